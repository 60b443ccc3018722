//! The provenance: one row for each modified cell.
//!
//! It is the largest table of an output, three rows for each row of dirty data, and its shape is
//! always the same; so its columns are put together here, see [`super::chunk`].

use std::sync::Arc;

use arrow::array::{Array, StringViewArray};
use parquet::basic::{Encoding, ZstdLevel};
use parquet::data_type::Int64Type;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{
    SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter,
};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::cells::ModifiedCells;
use super::chunk::{PageCompressor, RunColumn, TextColumn};
use super::file::{FileSink, OutputFile, PartFolder, at};
use super::{FileEntry, part};
use crate::error::Result;
use crate::operation::ChangeSource;
use crate::program::Program;

const SCHEMA: &str = "message provenance {
    required binary job_id (STRING);
    required int64 row_id;
    required binary column_name (STRING);
    optional binary original_value (STRING);
    optional binary cleaned_value (STRING);
    required binary transformation_id (STRING);
    required float confidence_score;
    required binary source (STRING);
}";

/// A column of jobs that put rows together: the row from which a cell has its value.
const FROM_ROW: &str = "optional int64 from_row_id;";

/// Rows after which a row group is complete.
const GROUP_ROWS: usize = 1 << 20;

/// What the parts of a provenance have in common.
#[derive(Debug)]
pub(super) struct ProvenanceTable {
    schema: TypePtr,
    /// Whether cells may have their value from another row.
    merges: bool,
    properties: WriterPropertiesPtr,
    job_id: String,
    columns: Vec<String>,
    transformations: Vec<String>,
    /// What stands for a clear value, by column; none for columns that hide nothing.
    placeholders: Vec<Option<String>>,
    /// Columns whose cleaned value is clear.
    clear: Vec<bool>,
}

impl ProvenanceTable {
    pub(super) fn new(
        program: &Program,
        job_id: &str,
        placeholders: Vec<Option<String>>,
    ) -> Result<Self> {
        let columns = &program.contract.columns;
        let keeps = columns.iter().map(|column| {
            column.pii && column.pii_strategy == Some(crate::spec::PiiStrategy::Keep)
        });
        Ok(Self {
            schema: Arc::new(schema(program.merges())?),
            merges: program.merges(),
            properties: properties(),
            job_id: job_id.to_owned(),
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            transformations: program
                .transformations
                .iter()
                .map(|step| step.id.clone())
                .collect(),
            placeholders,
            clear: keeps.collect(),
        })
    }
}

fn schema(merges: bool) -> ParquetResult<Type> {
    let message = if merges {
        SCHEMA.replace('}', FROM_ROW) + "}"
    } else {
        SCHEMA.to_owned()
    };
    parse_message_type(&message)
}

/// Settings of the file, as far as columns are left to the library: row ids rise.
fn properties() -> WriterPropertiesPtr {
    let properties = part::properties()
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false)
        .set_column_encoding(ColumnPath::from("row_id"), Encoding::DELTA_BINARY_PACKED);
    Arc::new(properties.build())
}

/// Writes one part of the provenance.
pub(super) struct ProvenanceWriter {
    table: Arc<ProvenanceTable>,
    file: OutputFile,
    writer: SerializedFileWriter<FileSink>,
    group: Group,
    rows: u64,
}

impl ProvenanceWriter {
    /// Begins the file `name` under `root`.
    pub(super) fn create(
        table: Arc<ProvenanceTable>,
        folder: &PartFolder,
        name: String,
    ) -> Result<Self> {
        let (file, sink) = OutputFile::create(folder, name)?;
        let (schema, properties) = (Arc::clone(&table.schema), Arc::clone(&table.properties));
        let writer = SerializedFileWriter::new(sink, schema, properties)
            .map_err(|error| at(file.place(), error))?;
        Ok(Self {
            group: Group::new()?,
            table,
            file,
            writer,
            rows: 0,
        })
    }

    /// Adds the modified cells of the frame whose first row has this id.
    pub(super) fn write(&mut self, first_row: u64, cells: &[ModifiedCells]) -> Result<()> {
        let before = self.group.rows.len();
        for part in cells {
            self.group.add(&self.table, first_row, part)?;
        }
        self.rows += (self.group.rows.len() - before) as u64;
        if self.group.rows.len() >= GROUP_ROWS {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        self.group
            .flush(&self.table, &mut self.writer)
            .map_err(|error| at(self.file.place(), error))
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<FileEntry> {
        if !self.group.rows.is_empty() {
            self.end_group()?;
        }
        let sink = self
            .writer
            .into_inner()
            .map_err(|error| at(self.file.place(), error))?;
        self.file.finish(sink, self.rows)
    }
}

/// A row group on its way.
struct Group {
    compressor: PageCompressor,
    rows: Vec<i64>,
    column: RunColumn<u16>,
    original: TextColumn,
    cleaned: TextColumn,
    transformation: RunColumn<u16>,
    /// By its bits.
    confidence: RunColumn<u32>,
    source: RunColumn<ChangeSource>,
    /// Rows of the group whose cell is another row's, and that row.
    from: Vec<(usize, i64)>,
}

impl Group {
    fn new() -> Result<Self> {
        Ok(Self {
            compressor: PageCompressor::new(ZstdLevel::default())?,
            rows: Vec::new(),
            column: RunColumn::new(),
            original: TextColumn::new(),
            cleaned: TextColumn::new(),
            transformation: RunColumn::new(),
            confidence: RunColumn::new(),
            source: RunColumn::new(),
            from: Vec::new(),
        })
    }

    fn add(
        &mut self,
        table: &ProvenanceTable,
        first_row: u64,
        cells: &ModifiedCells,
    ) -> ParquetResult<()> {
        let first = self.rows.len();
        let from = cells.from.iter();
        self.from
            .extend(from.map(|(place, row)| (first + *place as usize, *row as i64)));
        let ids = cells.rows.iter().map(|row| first_row + u64::from(*row));
        self.rows.extend(ids.map(|id| id as i64));
        self.column
            .push(cells.column as u16, cells.rows.len() as u32);
        for transformation in &cells.transformation {
            self.transformation.push(*transformation, 1);
        }
        for confidence in &cells.confidence {
            self.confidence.push(confidence.to_bits(), 1);
        }
        for source in &cells.source {
            self.source.push(*source, 1);
        }
        let placeholder = table.placeholders[cells.column].as_deref();
        let hide_cleaned = placeholder.filter(|_| table.clear[cells.column]);
        let compressor = &mut self.compressor;
        add_cells(&mut self.original, &cells.original, placeholder, compressor)?;
        add_cells(&mut self.cleaned, &cells.cleaned, hide_cleaned, compressor)
    }

    fn flush(
        &mut self,
        table: &ProvenanceTable,
        writer: &mut SerializedFileWriter<FileSink>,
    ) -> ParquetResult<()> {
        let columns = writer.schema_descr().columns().to_vec();
        let column = |number: usize| Arc::clone(&columns[number]);
        let zstd = &mut self.compressor;
        let count = self.rows.len();
        let mut group = writer.next_row_group()?;

        let mut job = RunColumn::new();
        job.push((), self.rows.len() as u32);
        job.flush_words(&mut group, column(0), zstd, |()| table.job_id.as_str())?;

        let mut rows = next_column(&mut group)?;
        rows.typed::<Int64Type>()
            .write_batch(&self.rows, None, None)?;
        rows.close()?;
        self.rows.clear();

        let name = |number| table.columns[usize::from(number)].as_str();
        self.column.flush_words(&mut group, column(2), zstd, name)?;
        self.original.flush(&mut group, column(3), zstd)?;
        self.cleaned.flush(&mut group, column(4), zstd)?;
        let id = |number| table.transformations[usize::from(number)].as_str();
        self.transformation
            .flush_words(&mut group, column(5), zstd, id)?;
        self.confidence.flush(
            &mut group,
            column(6),
            zstd,
            |bits, to| to.extend_from_slice(&bits.to_le_bytes()),
            |distinct| {
                let scores = || distinct.iter().map(|bits| f32::from_bits(*bits));
                let (least, most) = (scores().reduce(f32::min), scores().reduce(f32::max));
                Statistics::float(least, most, None, Some(0), false)
            },
        )?;
        self.source
            .flush_words(&mut group, column(7), zstd, ChangeSource::name)?;
        let from = std::mem::take(&mut self.from);
        if table.merges {
            let mut levels = vec![0; count];
            from.iter().for_each(|(place, _)| levels[*place] = 1);
            let rows: Vec<i64> = from.into_iter().map(|(_, row)| row).collect();
            let mut column = next_column(&mut group)?;
            column
                .typed::<Int64Type>()
                .write_batch(&rows, Some(&levels), None)?;
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

/// The next column of a row group, for the library to write.
fn next_column<'a>(
    group: &'a mut SerializedRowGroupWriter<'_, FileSink>,
) -> ParquetResult<SerializedColumnWriter<'a>> {
    let missing = || ParquetError::General("a table without its columns".to_owned());
    group.next_column()?.ok_or_else(missing)
}

fn add_cells(
    column: &mut TextColumn,
    cells: &StringViewArray,
    placeholder: Option<&str>,
    compressor: &mut PageCompressor,
) -> ParquetResult<()> {
    if cells.null_count() == 0 && placeholder.is_none() {
        for place in 0..cells.len() {
            column.push(Some(cells.value(place)), compressor)?;
        }
        return Ok(());
    }
    for cell in cells {
        column.push(cell.map(|text| placeholder.unwrap_or(text)), compressor)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::fs::File;

    use arrow::array::AsArray;
    use arrow::datatypes::{Float32Type, Int64Type as Int64};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use proptest::prelude::*;

    use super::*;

    /// A row of the table: id, column, original, cleaned, transformation, confidence, source, the row that
    /// the cell comes from.
    type Row = (
        i64,
        String,
        Option<String>,
        Option<String>,
        String,
        f32,
        String,
        Option<i64>,
    );

    fn table(
        columns: usize,
        hidden: Option<usize>,
        clear: Option<usize>,
        merges: bool,
    ) -> Arc<ProvenanceTable> {
        let placeholder = |column| {
            (hidden == Some(column) || clear == Some(column)).then(|| "[HIDDEN]".to_owned())
        };
        Arc::new(ProvenanceTable {
            schema: Arc::new(schema(merges).unwrap()),
            merges,
            properties: properties(),
            job_id: "job".to_owned(),
            columns: (0..columns)
                .map(|number| format!("column {number}"))
                .collect(),
            transformations: (0..3).map(|number| format!("step_{number}")).collect(),
            placeholders: (0..columns).map(placeholder).collect(),
            clear: (0..columns).map(|column| clear == Some(column)).collect(),
        })
    }

    fn written(
        table: &Arc<ProvenanceTable>,
        frames: &[(u64, Vec<ModifiedCells>)],
    ) -> (FileEntry, Vec<Row>) {
        let folder = tempfile::tempdir().unwrap();
        let place = PartFolder {
            files: crate::storage::Place::own(folder.path()),
            unfinished: crate::storage::Place::own(folder.path()),
        };
        let mut writer =
            ProvenanceWriter::create(Arc::clone(table), &place, "part".to_owned()).unwrap();
        for (first_row, cells) in frames {
            writer.write(*first_row, cells).unwrap();
        }
        let entry = writer.finish().unwrap();
        let file = File::open(folder.path().join("part")).unwrap();
        assert_eq!(file.metadata().unwrap().len(), entry.bytes);
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let mut rows = Vec::new();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let text = |column: usize, row: usize| {
                let array = batch.column(column).as_string::<i32>();
                array.is_valid(row).then(|| array.value(row).to_owned())
            };
            for row in 0..batch.num_rows() {
                assert_eq!(text(0, row).as_deref(), Some("job"));
                rows.push((
                    batch.column(1).as_primitive::<Int64>().value(row),
                    text(2, row).unwrap(),
                    text(3, row),
                    text(4, row),
                    text(5, row).unwrap(),
                    batch.column(6).as_primitive::<Float32Type>().value(row),
                    text(7, row).unwrap(),
                    table
                        .merges
                        .then(|| batch.column(8).as_primitive::<Int64>())
                        .and_then(|from| from.is_valid(row).then(|| from.value(row))),
                ));
            }
        }
        assert_eq!(entry.rows, Some(rows.len() as u64));
        (entry, rows)
    }

    fn expected(table: &ProvenanceTable, frames: &[(u64, Vec<ModifiedCells>)]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (first_row, cells) in frames {
            for part in cells {
                let hidden = table.placeholders[part.column].clone();
                let show = |array: &StringViewArray, place: usize, hide: bool| {
                    let cell = array.is_valid(place).then(|| array.value(place).to_owned());
                    cell.map(|cell| hidden.clone().filter(|_| hide).unwrap_or(cell))
                };
                for (place, row) in part.rows.iter().enumerate() {
                    let from = part.from.iter().find(|(at, _)| *at as usize == place);
                    rows.push((
                        (*first_row + u64::from(*row)) as i64,
                        table.columns[part.column].clone(),
                        show(&part.original, place, true),
                        show(&part.cleaned, place, table.clear[part.column]),
                        table.transformations[usize::from(part.transformation[place])].clone(),
                        part.confidence[place],
                        part.source[place].name().to_owned(),
                        from.filter(|_| table.merges).map(|(_, row)| *row as i64),
                    ));
                }
            }
        }
        rows
    }

    fn any_cells(columns: usize) -> impl Strategy<Value = ModifiedCells> {
        let cell = || prop::option::weighted(0.8, "[a-zé]{0,20}");
        let score = prop_oneof![Just(1.0_f32), 0.0_f32..1.0];
        let from = prop::option::weighted(0.3, 0..1_u64 << 40);
        let source = 0..ChangeSource::ALL.len();
        let change = (cell(), cell(), 0..3_u16, score, source, from);
        (0..columns, prop::collection::vec(change, 0..40)).prop_map(|(column, changes)| {
            ModifiedCells {
                column,
                rows: (0..changes.len() as u32).map(|row| row * 3).collect(),
                original: changes.iter().map(|change| change.0.as_deref()).collect(),
                cleaned: changes.iter().map(|change| change.1.as_deref()).collect(),
                transformation: changes.iter().map(|change| change.2).collect(),
                confidence: changes.iter().map(|change| change.3).collect(),
                source: changes
                    .iter()
                    .map(|change| ChangeSource::ALL[change.4])
                    .collect(),
                from: (0..)
                    .zip(&changes)
                    .filter_map(|(place, change)| Some((place, change.5?)))
                    .collect(),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever is written reads back, personal values excepted, with more columns than a byte counts.
        #[test]
        fn reads_back(
            parts in prop::collection::vec(prop::collection::vec(any_cells(400), 0..6), 0..6),
            hidden in prop::option::of(0..400_usize),
            clear in prop::option::of(0..400_usize),
            merges in any::<bool>(),
        ) {
            let frames: Vec<(u64, Vec<ModifiedCells>)> = parts
                .into_iter()
                .enumerate()
                .map(|(number, cells)| (number as u64 * 8192, cells))
                .collect();
            let table = table(400, hidden, clear, merges);
            prop_assert_eq!(written(&table, &frames).1, expected(&table, &frames));
        }
    }

    /// Several pages of text and several row groups read back, and the same cells give the same bytes.
    #[test]
    fn large_parts() {
        let frames: Vec<(u64, Vec<ModifiedCells>)> = (0..3_u64)
            .map(|number| {
                let rows: Vec<u32> = (0..400_000).collect();
                let text = |row: &u32| (!row.is_multiple_of(7)).then(|| format!("{number} {row}"));
                let cells = ModifiedCells {
                    column: number as usize,
                    original: rows.iter().map(text).collect(),
                    cleaned: rows.iter().map(|row| Some(row.to_string())).collect(),
                    transformation: rows.iter().map(|row| (row % 3) as u16).collect(),
                    confidence: rows
                        .iter()
                        .map(|row| (row % 1000) as f32 / 1000.0)
                        .collect(),
                    source: vec![ChangeSource::FuzzyCanonicalize; rows.len()],
                    from: Vec::new(),
                    rows,
                };
                (number * 400_000, vec![cells])
            })
            .collect();
        let table = table(3, None, None, false);
        let (entry, rows) = written(&table, &frames);
        assert!(rows == expected(&table, &frames));
        assert_eq!(written(&table, &frames).0, entry);
    }
}
