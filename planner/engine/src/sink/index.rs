//! The part of a split in an index of near duplicates.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt16Array, UInt32Array};
use arrow::datatypes::SchemaRef;
use parquet::basic::Encoding;
use parquet::schema::types::ColumnPath;

use super::part::properties;
use super::{FileEntry, PartFolder, TableWriter};
use crate::error::{Error, Result};
use crate::matching::{
    Indexed, IndexedRows, MatchingNeed, index_files, index_keys_schema, index_rows_schema,
};
use crate::operation::CleaningBatch;
use crate::spec::OutputFormat;

/// Keys that are brought into the order of their buckets at a time.
const HELD_KEYS: usize = 1 << 21;

/// Keys from which each bucket gets a row group of its own, so that who wants some reads no others.
const GROUPED_KEYS: usize = 1 << 18;

/// An index that an output gets.
#[derive(Debug)]
pub(super) struct IndexTable {
    transformation: u16,
    /// `t-2`.
    id: String,
    rows: SchemaRef,
    keys: SchemaRef,
}

/// Writes one split of an index.
pub(super) struct IndexWriter {
    table: Arc<IndexTable>,
    first_row_id: u64,
    rows: TableWriter,
    keys: TableWriter,
    /// Bucket, key, and row from the first of the split.
    held: Vec<(u16, u32, u32)>,
}

impl IndexTable {
    pub(super) fn new(transformation: u16, id: String, need: &MatchingNeed) -> Self {
        Self {
            transformation,
            id,
            rows: index_rows_schema(need),
            keys: index_keys_schema(),
        }
    }
}

impl IndexWriter {
    /// Begins the part of the split whose first row has this number.
    pub(super) fn create(
        table: &Arc<IndexTable>,
        folder: &PartFolder,
        first_row_id: u64,
    ) -> Result<Self> {
        let create = |name, schema: &SchemaRef, packed: &[&str]| {
            let mut settings = properties();
            for column in packed {
                let path = ColumnPath::new(vec![(*column).to_owned()]);
                settings = settings
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
            let format = OutputFormat::Parquet;
            TableWriter::create(folder, name, format, schema, settings.build(), false)
        };
        let rows = index_files::rows(&table.id, first_row_id);
        let keys = index_files::keys(&table.id, first_row_id);
        Ok(Self {
            rows: create(rows, &table.rows, &["row_id", "cluster_id"])?,
            keys: create(keys, &table.keys, &["key", "row"])?,
            table: Arc::clone(table),
            first_row_id,
            held: Vec::new(),
        })
    }

    /// Adds the rows of a frame that have come to its end.
    pub(super) fn write(&mut self, frame: &CleaningBatch) -> Result<()> {
        let own = |rows: &&IndexedRows| rows.transformation == self.table.transformation;
        let indexed = frame.extensions.get::<Indexed>();
        let Some(indexed) = indexed.and_then(|indexed| indexed.0.iter().find(own)) else {
            return Ok(());
        };
        // What left by a later step is not in the output: nothing may leave for it.
        let stays = |place: &usize| frame.is_live(indexed.rows[*place] as usize);
        let places: Vec<usize> = (0..indexed.rows.len()).filter(stays).collect();
        let row_id = |place: usize| frame.first_row + u64::from(indexed.rows[place]);
        for place in &places {
            let row = row_id(*place).checked_sub(self.first_row_id);
            let row = row.and_then(|row| u32::try_from(row).ok());
            let row = row.ok_or(Error::Bug("a row of another split"))?;
            let keys = indexed.keys_of(*place).iter();
            self.held
                .extend(keys.map(|(bucket, key)| (*bucket, *key, row)));
        }
        let places = || places.iter().copied();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(
                places().map(|place| row_id(place) as i64),
            )),
            Arc::new(Int64Array::from_iter_values(
                places().map(|place| indexed.clusters[place] as i64),
            )),
            Arc::new(UInt32Array::from_iter_values(
                places().map(|place| indexed.row_hashes[place]),
            )),
        ];
        for column in 0..self.table.rows.fields().len() - columns.len() {
            let value = |place: usize| indexed.records[place].get(column)?.as_deref();
            columns.push(Arc::new(places().map(value).collect::<StringArray>()));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.table.rows), columns)?;
        self.rows.write(&batch)?;
        if self.held.len() >= HELD_KEYS {
            self.write_keys()?;
        }
        Ok(())
    }

    /// Writes the keys that are held, bucket by bucket.
    fn write_keys(&mut self) -> Result<()> {
        self.held.sort_unstable();
        let grouped = self.held.len() >= GROUPED_KEYS;
        let same = |left: &(u16, u32, u32), right: &(u16, u32, u32)| !grouped || left.0 == right.0;
        for keys in self.held.chunk_by(same) {
            let number = |of: fn(&(u16, u32, u32)) -> u32| {
                Arc::new(UInt32Array::from_iter_values(keys.iter().map(of))) as ArrayRef
            };
            let buckets = UInt16Array::from_iter_values(keys.iter().map(|key| key.0));
            let columns = vec![Arc::new(buckets), number(|key| key.1), number(|key| key.2)];
            let batch = RecordBatch::try_new(Arc::clone(&self.table.keys), columns)?;
            self.keys.write(&batch)?;
            self.keys.end_group()?;
        }
        self.held.clear();
        Ok(())
    }

    /// Ends the part.
    pub(super) fn finish(mut self) -> Result<[FileEntry; 2]> {
        self.write_keys()?;
        Ok([self.rows.finish()?, self.keys.finish()?])
    }
}
