//! Values of statistics in files beside the output, for workers in other processes.
//!
//! A plan names the files and holds nothing of the data. What differs from split to split lies in Arrow IPC files with
//! one batch for each split, so that a worker reads those of its own splits only. What all splits get is an Arrow IPC
//! stream for each column, one behind the other.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::storage::{Place, SeekableFile, WholeFile};
use planner_base::in_threads;

/// Files of a store that are read at the same time.
const REQUESTS_AT_ONCE: usize = 8;

/// The files of a stored value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Their folder.
    pub folder: Place,
    /// The operation.
    pub op: usize,
    /// Buckets that have a file of their own.
    pub buckets: Vec<u16>,
    /// What else the statistic must know to load it.
    pub note: Value,
}

/// How the rows of a source are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splits {
    /// Number of splits.
    pub count: usize,
    /// Rows of every split but the last.
    pub rows: u64,
}

/// Where the value of one operation's statistic is stored.
#[derive(Debug, Clone)]
pub struct StatisticFiles {
    /// The folder.
    pub folder: Place,
    /// The operation.
    pub op: usize,
    /// How the source is cut.
    pub splits: Splits,
}

impl StatisticFiles {
    /// A stored value without buckets.
    pub fn stored(&self) -> Stored {
        Stored {
            folder: self.folder.clone(),
            op: self.op,
            buckets: Vec::new(),
            note: Value::Null,
        }
    }

    /// The place of a file of this operation.
    pub fn place(&self, name: &str) -> Place {
        place(&self.folder, self.op, name)
    }

    /// Stores streams of one batch each, for all splits.
    pub fn write_streams(&self, batches: &[RecordBatch]) -> Result<Stored> {
        let place = self.place(STREAMS);
        let io = |error| Error::io(&place, error);
        let mut file = place.create().map_err(io)?;
        for batch in batches {
            let mut writer = StreamWriter::try_new(&mut file, &batch.schema())?;
            writer.write(batch)?;
            writer.finish()?;
        }
        file.finish().map_err(io)?;
        Ok(self.stored())
    }

    /// Stores a document, for all splits.
    pub fn write_document(&self, document: &impl Serialize) -> Result<Stored> {
        let place = self.place(DOCUMENT);
        let io = |error| Error::io(&place, error);
        let mut file = place.create().map_err(io)?;
        serde_json::to_writer(&mut file, document)?;
        file.finish().map_err(io)?;
        Ok(self.stored())
    }

    /// Stores a batch for each split.
    pub fn write_splits(
        &self,
        schema: &SchemaRef,
        mut of_split: impl FnMut(u64, usize) -> Result<RecordBatch>,
    ) -> Result<Stored> {
        let place = self.place(SPLITS);
        let io = |error| Error::io(&place, error);
        let mut file = place.create().map_err(io)?;
        write_by_split(&mut file, schema, self.splits, &mut of_split)?;
        file.finish().map_err(io)?;
        Ok(self.stored())
    }

    /// Stores the pairs of one bucket, which are ascending, split by split of their first rows. Attempts of a task
    /// write the same file.
    pub fn write_pairs(&self, bucket: u16, pairs: &[(u64, u64)]) -> Result<()> {
        let place = bucket_place(&self.folder, self.op, bucket);
        let io = |error| Error::io(&place, error);
        let mut file = WholeFile::create(&place, &self.folder).map_err(io)?;
        let schema = pairs_schema();
        write_by_split(&mut file, &schema, self.splits, &mut |first, rows| {
            let pairs = among(pairs, first, rows);
            let row = UInt64Array::from_iter_values(pairs.iter().map(|(row, _)| *row));
            let other = UInt64Array::from_iter_values(pairs.iter().map(|(_, other)| *other));
            let columns: Vec<ArrayRef> = vec![Arc::new(row), Arc::new(other)];
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        })?;
        file.finish().map_err(io)
    }
}

impl Stored {
    /// Opens a file of the operation.
    pub fn open(&self, name: &str) -> Result<SeekableFile> {
        open(&place(&self.folder, self.op, name))
    }

    /// The batch of each stream of [`StatisticFiles::write_streams`].
    pub fn read_streams(&self) -> Result<Vec<RecordBatch>> {
        use std::io::BufRead;
        let mut file = self.open(STREAMS)?;
        let mut batches = Vec::new();
        while !file
            .fill_buf()
            .map_err(arrow::error::ArrowError::from)?
            .is_empty()
        {
            let mut reader = StreamReader::try_new(&mut file, None)?;
            batches.push(reader.next().ok_or(Error::Bug("a stream without rows"))??);
            // To the end of the stream, where the next begins.
            if reader.next().is_some() {
                return Err(Error::Bug("a stream of more than one batch"));
            }
        }
        Ok(batches)
    }

    /// The document of [`StatisticFiles::write_document`].
    pub fn read_document<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_reader(self.open(DOCUMENT)?)?)
    }

    /// The batch of a split of [`StatisticFiles::write_splits`].
    pub fn read_split(&self, split: u64) -> Result<RecordBatch> {
        read_split(self.open(SPLITS)?, split)
    }

    /// The pairs of all buckets whose first rows are of a split, ascending.
    pub fn read_pairs(&self, split: u64) -> Result<Vec<(u64, u64)>> {
        // What takes time with a store is waiting.
        let threads = match &self.folder {
            Place::Local(_) => 1,
            Place::Object(_) => REQUESTS_AT_ONCE,
        };
        let read = in_threads(threads, self.buckets.clone(), |bucket| -> Result<_> {
            let place = bucket_place(&self.folder, self.op, bucket);
            let batch = read_split(open(&place)?, split)?;
            let rows = batch.column(0).as_primitive::<UInt64Type>().values();
            let others = batch.column(1).as_primitive::<UInt64Type>().values();
            let pairs = rows.iter().copied().zip(others.iter().copied());
            Ok(pairs.collect::<Vec<_>>())
        })?;
        let mut pairs = read.concat();
        pairs.sort_unstable();
        Ok(pairs)
    }
}

/// Of ascending pairs, those whose first row is among `rows` rows from `first_row`.
pub fn among(pairs: &[(u64, u64)], first_row: u64, rows: usize) -> &[(u64, u64)] {
    let start = pairs.partition_point(|(row, _)| *row < first_row);
    let end = pairs.partition_point(|(row, _)| *row < first_row + rows as u64);
    &pairs[start..end]
}

/// Ends of the files' names.
const STREAMS: &str = "streams.arrow";
const DOCUMENT: &str = "document.json";
const SPLITS: &str = "splits.arrow";

fn place(folder: &Place, op: usize, name: &str) -> Place {
    folder.join(&format!("op-{op}-{name}"))
}

fn bucket_place(folder: &Place, op: usize, bucket: u16) -> Place {
    place(folder, op, &format!("bucket-{bucket:03}.arrow"))
}

fn open(place: &Place) -> Result<SeekableFile> {
    place.open().map_err(|error| Error::io(place, error))
}

fn pairs_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("row", DataType::UInt64, false),
        Field::new("survivor", DataType::UInt64, false),
    ]))
}

/// Writes a batch for each split; `of_split` makes it from the split's first row and its number of rows.
fn write_by_split(
    to: &mut impl Write,
    schema: &SchemaRef,
    splits: Splits,
    of_split: &mut dyn FnMut(u64, usize) -> Result<RecordBatch>,
) -> Result<()> {
    let mut writer = FileWriter::try_new(to, schema)?;
    let rows = usize::try_from(splits.rows).unwrap_or(usize::MAX);
    for split in 0..splits.count as u64 {
        writer.write(&of_split(split * splits.rows, rows)?)?;
    }
    Ok(writer.finish()?)
}

fn read_split(file: SeekableFile, split: u64) -> Result<RecordBatch> {
    let mut reader = FileReader::try_new(file, None)?;
    let place = usize::try_from(split).unwrap_or(usize::MAX);
    if place >= reader.num_batches() {
        return Err(Error::Bug("nothing is stored of such a split"));
    }
    reader.set_index(place)?;
    let batch = reader
        .next()
        .ok_or(Error::Bug("a stored split that is not there"))?;
    Ok(batch?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Each split gets back its own pairs of all buckets, an empty one none, and one that is not there an error.
    #[test]
    fn pairs_by_split() {
        let folder = tempfile::tempdir().unwrap();
        let files = StatisticFiles {
            folder: Place::own(folder.path()),
            op: 7,
            splits: Splits { count: 4, rows: 10 },
        };
        files.write_pairs(0, &[(3, 0), (10, 2), (39, 38)]).unwrap();
        files.write_pairs(63, &[(2, 0), (9, 4)]).unwrap();
        // A twin of the task writes the same.
        files.write_pairs(63, &[(2, 0), (9, 4)]).unwrap();
        let stored = Stored {
            buckets: vec![0, 63],
            ..files.stored()
        };
        let of = |split| stored.read_pairs(split).unwrap();
        assert_eq!(of(0), [(2, 0), (3, 0), (9, 4)]);
        assert_eq!(of(1), [(10, 2)]);
        assert_eq!(of(2), []);
        assert_eq!(of(3), [(39, 38)]);
        assert!(stored.read_pairs(4).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
