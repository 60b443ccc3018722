//! Some rows of a table of an output.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and, cast, filter_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::json::writer::JsonArray;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use planner::storage::{ByteFile, CachedFile, Place};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Rows that are read at a time.
const BATCH: usize = 4096;

/// Which rows are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowFilter {
    /// Of this row of the source.
    pub(crate) row_id: Option<i64>,
    /// With these texts, by column.
    pub(crate) texts: Vec<(&'static str, String)>,
    /// With a confidence below this.
    pub(crate) below: Option<f64>,
}

/// Where in a table a page begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowPlace {
    /// Number of the part.
    pub(crate) part: usize,
    /// Rows of it that come before.
    pub(crate) row: usize,
}

/// Some rows, and where the next ones begin.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Map<String, Value>>,
    pub(crate) next: Option<RowPlace>,
}

/// Rows of a table from a place on, as JSON objects. Blocks its thread.
pub(crate) fn rows(
    parts: &[Place],
    filter: &RowFilter,
    from: RowPlace,
    limit: usize,
) -> planner::Result<Rows> {
    if filter.row_id.is_none() {
        return some(parts, filter, from, limit);
    }
    // One row of the source has few: they are found anew, and counted.
    let all = some(parts, filter, RowPlace::default(), usize::MAX)?.rows;
    let end = from.row.saturating_add(limit);
    let next = RowPlace { part: 0, row: end };
    Ok(Rows {
        next: (all.len() > end).then_some(next),
        rows: all.into_iter().skip(from.row).take(limit).collect(),
    })
}

fn some(
    parts: &[Place],
    filter: &RowFilter,
    from: RowPlace,
    limit: usize,
) -> planner::Result<Rows> {
    let mut found = Rows::default();
    for (number, part) in parts.iter().enumerate().skip(from.part) {
        let unreadable = |source| planner::Error::Io {
            path: part.to_string().into(),
            source,
        };
        let file = CachedFile::from(&ByteFile::find(part).map_err(unreadable)?);
        let mut builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH);
        let mut before = 0;
        if let Some(row_id) = filter.row_id {
            // Of the whole part only the groups that may hold the row.
            let groups = builder.metadata().row_groups();
            let held: Vec<usize> = (0..groups.len())
                .filter(|group| may_hold(&groups[*group], row_id))
                .collect();
            builder = builder.with_row_groups(held);
        } else if number == from.part {
            before = from.row;
            builder = builder.with_offset(from.row);
        }
        let mut at = before;
        for batch in builder.build()? {
            let batch = batch?;
            let wanted = matching(&batch, filter)?;
            let places: Vec<usize> = (0..batch.num_rows())
                .filter(|row| wanted.is_valid(*row) && wanted.value(*row))
                .collect();
            let room = limit - found.rows.len();
            if places.len() > room {
                // The next page begins with the first row that has no room.
                let cut = places[room];
                let rest = batch.slice(0, cut);
                let wanted = wanted.slice(0, cut);
                found.rows.extend(objects(&rest, &wanted)?);
                let row = at + cut;
                found.next = Some(RowPlace { part: number, row });
                return Ok(found);
            }
            found.rows.extend(objects(&batch, &wanted)?);
            at += batch.num_rows();
        }
    }
    Ok(found)
}

/// Whether a row group may hold a row of the source, as far as its statistics tell.
fn may_hold(group: &RowGroupMetaData, row_id: i64) -> bool {
    let columns = group.columns().iter();
    let column = columns
        .into_iter()
        .find(|column| column.column_path().string() == "row_id");
    match column.and_then(|column| column.statistics()) {
        Some(Statistics::Int64(known)) => {
            known.min_opt().is_none_or(|least| *least <= row_id)
                && known.max_opt().is_none_or(|most| *most >= row_id)
        }
        _ => true,
    }
}

fn column(batch: &RecordBatch, name: &str, to: &DataType) -> planner::Result<Option<ArrayRef>> {
    let column = batch.column_by_name(name);
    Ok(column.map(|column| cast(column, to)).transpose()?)
}

fn matching(batch: &RecordBatch, filter: &RowFilter) -> planner::Result<BooleanArray> {
    let mut wanted = BooleanArray::from(vec![true; batch.num_rows()]);
    if let Some(row_id) = filter.row_id
        && let Some(ids) = column(batch, "row_id", &DataType::Int64)?
    {
        let ids = ids.as_primitive::<Int64Type>();
        let same: BooleanArray = ids.iter().map(|id| Some(id == Some(row_id))).collect();
        wanted = and(&wanted, &same)?;
    }
    for (name, text) in &filter.texts {
        if let Some(texts) = column(batch, name, &DataType::Utf8)? {
            let texts = texts.as_string::<i32>();
            let same: BooleanArray = texts
                .iter()
                .map(|known| Some(known == Some(text.as_str())))
                .collect();
            wanted = and(&wanted, &same)?;
        }
    }
    if let Some(below) = filter.below
        && let Some(scores) = column(batch, "confidence_score", &DataType::Float64)?
    {
        let scores = scores.as_primitive::<Float64Type>();
        let low: BooleanArray = scores
            .iter()
            .map(|score| Some(score.is_some_and(|score| score < below)))
            .collect();
        wanted = and(&wanted, &low)?;
    }
    Ok(wanted)
}

/// The wanted rows of a batch as JSON objects.
fn objects(batch: &RecordBatch, wanted: &BooleanArray) -> planner::Result<Vec<Map<String, Value>>> {
    let batch = filter_record_batch(batch, wanted)?;
    if batch.num_rows() == 0 {
        return Ok(Vec::new());
    }
    let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, JsonArray>(Vec::new());
    writer.write(&batch)?;
    writer.finish()?;
    Ok(serde_json::from_slice(&writer.into_inner())?)
}
