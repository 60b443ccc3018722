//! The index of an earlier output, read in the place of its rows.
//!
//! Rows are numbered on from job to job. Inside of a job, whose own rows begin at 0, those of earlier
//! outputs so have numbers below zero, which wrap around: they lie from [`EARLIER`] on.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListBuilder, RecordBatch, StringArray, UInt64Array,
    UInt64Builder,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type, UInt16Type, UInt32Type, UInt64Type};
use datafusion::execution::memory_pool::MemoryReservation;
use foldhash::{HashMap, HashMapExt, HashSet};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::file::statistics::Statistics;
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::Record;

use super::index::{CLUSTER_ID, IndexHead, LEAD, ROW_HASH, ROW_ID};
use super::pairs::{Bucket, KeyPlaces, keys_of};
use super::rows::EARLIER;
use crate::error::{Error, Result};
use crate::profile::RowSample;
use crate::storage::{ByteFile, CachedFile, Place};
use planner_base::in_threads;

/// Rows that are read at a time.
const BATCH_ROWS: usize = 1 << 16;

/// The index of an earlier output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlierIndex {
    /// What all rows have in common.
    pub head: IndexHead,
    /// The rows, in the order of their numbers.
    pub parts: Vec<IndexPart>,
}

/// A split of an index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexPart {
    /// File of the rows.
    pub rows: Place,
    /// File of the keys.
    pub keys: Place,
    /// Number of the row from which the keys' rows are counted.
    pub first_row_id: u64,
    /// Rows.
    pub count: u64,
}

/// The keys of a bucket that the rows of a job have.
type Wanted = HashMap<u16, KeyPlaces>;

impl EarlierIndex {
    /// Rows of it.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.count).sum()
    }

    /// The number of a row inside of the job.
    fn inside(&self, row_id: u64) -> u64 {
        row_id.wrapping_sub(self.head.next_row_id)
    }

    /// Adds to the logs of keys, by bucket, the earlier rows that have one of these keys.
    pub fn add_keys(
        &self,
        logs: &mut BTreeMap<u16, Vec<RecordBatch>>,
        threads: usize,
        memory: &MemoryReservation,
    ) -> Result<()> {
        let mut wanted = Wanted::new();
        for (bucket, logs) in logs.iter() {
            let keys = logs.iter().map(RecordBatch::num_rows).sum();
            let mut own = KeyPlaces::of(keys, memory)?;
            for log in logs {
                for key in keys_of(log)? {
                    own.insert(*key);
                }
            }
            wanted.insert(*bucket, own);
        }
        let parts = self.parts.iter().collect();
        let found = in_threads(threads, parts, |part: &IndexPart| -> Result<_> {
            self.keys_of(part, &wanted, memory)
        })?;
        for (bucket, log) in found.into_iter().flatten() {
            logs.entry(bucket).or_default().push(log);
        }
        Ok(())
    }

    fn keys_of(
        &self,
        part: &IndexPart,
        wanted: &Wanted,
        memory: &MemoryReservation,
    ) -> Result<Vec<(u16, RecordBatch)>> {
        let broken = || broken(&part.keys, "its columns are not those of an index");
        let builder = open(&part.keys)?;
        let groups = builder.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| {
            let range = group
                .columns()
                .first()
                .and_then(|column| column.statistics());
            wanted.keys().any(|bucket| may_hold(range, *bucket))
        });
        let groups: Vec<usize> = groups.map(|(group, _)| group).collect();
        let reader = builder
            .with_row_groups(groups)
            .with_batch_size(BATCH_ROWS)
            .build()?;
        let mut found: BTreeMap<u16, Bucket> = BTreeMap::new();
        for batch in reader {
            let batch = batch?;
            let buckets = batch
                .columns()
                .first()
                .and_then(|column| column.as_primitive_opt::<UInt16Type>());
            let number =
                |place: usize| batch.columns().get(place)?.as_primitive_opt::<UInt32Type>();
            let (Some(buckets), Some(keys), Some(rows)) = (buckets, number(1), number(2)) else {
                return Err(broken());
            };
            let mut taken = 0;
            for place in 0..batch.num_rows() {
                let (bucket, key) = (buckets.value(place), keys.value(place));
                if wanted.get(&bucket).is_some_and(|keys| keys.may_hold(key)) {
                    let bucket = found.entry(bucket).or_default();
                    bucket.keys.push(key);
                    bucket.rows.push(rows.value(place));
                    taken += 1;
                }
            }
            memory.try_grow(taken * 12)?;
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut hashes: HashMap<u32, u32> = HashMap::new();
        let rows: HashSet<u32> = found
            .values()
            .flat_map(|b| b.rows.iter().copied())
            .collect();
        memory.try_grow(rows.len() * 24)?;
        let of_part = |row_id: u64| u32::try_from(row_id.checked_sub(part.first_row_id)?).ok();
        let wanted = |row_id: u64| of_part(row_id).is_some_and(|row| rows.contains(&row));
        for batch in read_rows(&part.rows, &[ROW_ID, ROW_HASH], wanted)? {
            let ids = batch.column(0).as_primitive_opt::<Int64Type>();
            let own = batch.column(1).as_primitive_opt::<UInt32Type>();
            let (Some(ids), Some(own)) = (ids, own) else {
                return Err(broken());
            };
            for (id, hash) in ids.values().iter().zip(own.values()) {
                if let Some(row) = of_part(*id as u64) {
                    hashes.insert(row, *hash);
                }
            }
        }
        let first_row = self.inside(part.first_row_id);
        let mut logs = Vec::with_capacity(found.len());
        for (number, mut bucket) in found {
            for row in &bucket.rows {
                bucket.same.push(*hashes.get(row).ok_or_else(broken)?);
            }
            logs.push((number, bucket.into_batch(first_row)?));
        }
        Ok(logs)
    }

    /// The records of those earlier rows that rows in the logs of records are to be compared with, and of
    /// `more` rows, as another log; none where there are none.
    pub fn records_for(
        &self,
        logs: &[RecordBatch],
        more: &[u64],
        memory: &MemoryReservation,
    ) -> Result<Option<RecordBatch>> {
        let mut wanted: HashSet<u64> = more.iter().copied().collect();
        for log in logs {
            let partners = log.column(2).as_list_opt::<i32>();
            let partners =
                partners.and_then(|lists| lists.values().as_primitive_opt::<UInt64Type>());
            let partners = partners.ok_or(Error::Bug("a log of records without partners"))?;
            wanted.extend(partners.values());
        }
        wanted.retain(|row| *row >= EARLIER);
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut rows: Vec<u64> = Vec::new();
        let mut columns: Vec<Vec<ArrayRef>> = Vec::new();
        for part in &self.parts {
            let own = |row_id: u64| wanted.contains(&self.inside(row_id));
            for batch in read_rows(&part.rows, &[], own)? {
                memory.try_grow(batch.get_array_memory_size())?;
                let ids = row_ids(&part.rows, &batch)?;
                rows.extend(ids.iter().map(|id| self.inside(*id as u64)));
                let values = batch.columns().get(LEAD..).unwrap_or_default();
                columns.resize_with(values.len(), Vec::new);
                for (parts, values) in columns.iter_mut().zip(values) {
                    parts.push(cast(values, &DataType::Utf8)?);
                }
            }
        }
        let mut partners = ListBuilder::new(UInt64Builder::new());
        rows.iter().for_each(|_| partners.append(true));
        let mut log: Vec<(String, ArrayRef, bool)> = vec![
            (
                "row".into(),
                Arc::new(UInt64Array::from(rows.clone())),
                false,
            ),
            // Which row of a cluster stays is not asked of these.
            (
                "rank".into(),
                Arc::new(UInt64Array::from(vec![0; rows.len()])),
                false,
            ),
            ("partners".into(), Arc::new(partners.finish()), true),
        ];
        for (place, parts) in columns.iter().enumerate() {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            log.push((
                format!("value-{place}"),
                arrow::compute::concat(&parts)?,
                true,
            ));
        }
        Ok((!rows.is_empty())
            .then(|| RecordBatch::try_from_iter_with_nullable(log))
            .transpose()?)
    }

    /// About `wanted` of its rows, with what is compared of them.
    pub(super) fn sample(&self, wanted: u64, seed: u64) -> Result<Vec<Record>> {
        let sampled = RowSample::of(self.rows(), wanted, seed);
        let mut sample = Vec::new();
        for part in &self.parts {
            for batch in read_rows(&part.rows, &[], |row_id| sampled.contains(row_id))? {
                let values = batch.columns().get(LEAD..).unwrap_or_default().iter();
                let columns = values.map(|values| cast(values, &DataType::Utf8));
                let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
                let texts = columns.iter().map(|column| column.as_string_opt::<i32>());
                let texts: Vec<&StringArray> = texts
                    .collect::<Option<_>>()
                    .ok_or(Error::Bug("a cast to text that is not"))?;
                for place in 0..batch.num_rows() {
                    let value = |text: &&StringArray| {
                        text.is_valid(place).then(|| text.value(place).to_owned())
                    };
                    sample.push(texts.iter().map(value).collect());
                }
            }
        }
        Ok(sample)
    }

    /// The clusters of rows: by row, both as numbers inside of the job.
    pub fn clusters(&self, rows: &HashSet<u64>) -> Result<HashMap<u64, u64>> {
        let mut clusters = HashMap::new();
        if rows.is_empty() {
            return Ok(clusters);
        }
        for part in &self.parts {
            let own = |row_id: u64| rows.contains(&self.inside(row_id));
            for batch in read_rows(&part.rows, &[ROW_ID, CLUSTER_ID], own)? {
                let ids = row_ids(&part.rows, &batch)?;
                let own = batch.column(1).as_primitive_opt::<Int64Type>();
                let own = own.ok_or_else(|| broken(&part.rows, "clusters that are none"))?;
                for (id, cluster) in ids.iter().zip(own.values()) {
                    clusters.insert(self.inside(*id as u64), self.inside(*cluster as u64));
                }
            }
        }
        Ok(clusters)
    }
}

fn broken(place: &Place, problem: &str) -> Error {
    Error::io(
        place,
        std::io::Error::new(std::io::ErrorKind::InvalidData, problem.to_owned()),
    )
}

fn open(place: &Place) -> Result<ParquetRecordBatchReaderBuilder<CachedFile>> {
    let file = ByteFile::find(place).map_err(|error| Error::io(place, error))?;
    let file = CachedFile::from(&file);
    ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| broken(place, &format!("it is no file of an index: {error}")))
}

fn row_ids<'a>(place: &Place, batch: &'a RecordBatch) -> Result<&'a [i64]> {
    let ids = batch.columns().first();
    let ids = ids.and_then(|column| column.as_primitive_opt::<Int64Type>());
    match ids {
        Some(ids) => Ok(ids.values()),
        None => Err(broken(place, "its rows have no numbers")),
    }
}

/// Whether a bucket may be in a row group, by the statistics of its buckets.
fn may_hold(range: Option<&Statistics>, bucket: u16) -> bool {
    let Some(Statistics::Int32(range)) = range else {
        return true;
    };
    let bucket = i32::from(bucket);
    range.min_opt().is_none_or(|min| *min <= bucket)
        && range.max_opt().is_none_or(|max| bucket <= *max)
}

/// Columns of those rows whose numbers are wanted, in their order; of all columns where none are named.
fn read_rows(
    place: &Place,
    columns: &[usize],
    wanted: impl Fn(u64) -> bool,
) -> Result<Vec<RecordBatch>> {
    let builder = open(place)?;
    let ids = ProjectionMask::roots(builder.parquet_schema(), [ROW_ID]);
    let reader = builder
        .with_projection(ids)
        .with_batch_size(BATCH_ROWS)
        .build()?;
    let mut filters: Vec<BooleanArray> = Vec::new();
    for batch in reader {
        let batch = batch?;
        let ids = row_ids(place, &batch)?.iter();
        filters.push(ids.map(|id| Some(wanted(*id as u64))).collect());
    }
    if filters.iter().all(|filter| filter.true_count() == 0) {
        return Ok(Vec::new());
    }
    let builder = open(place)?;
    let projection = match columns {
        [] => ProjectionMask::all(),
        columns => ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied()),
    };
    let reader = builder
        .with_projection(projection)
        .with_row_selection(RowSelection::from_filters(&filters))
        .with_batch_size(BATCH_ROWS)
        .build()?;
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let batches = reader.collect::<Result<Vec<_>, _>>()?;
    // Few rows of many pages are many small batches.
    Ok(vec![concat_batches(&schema, &batches)?])
}
