//! What was learned, in files beside the output, for workers in other processes.
//!
//! A plan names the files and holds nothing of the data. Repeats lie in a file for each bucket of
//! keys, an Arrow IPC file with one batch for each split, so that a worker reads those of its own
//! splits only. Figures
//! and values are an Arrow IPC stream for each column, one behind the other.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, Float32Array, Float64Array, RecordBatch,
    StringArray, UInt64Array, new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema, SchemaRef, UInt64Type};
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use serde::{Deserialize, Serialize};

use super::{CanonicalValues, ColumnFigures, GroupFigures, Learned, Repeats};
use crate::error::{Error, Result};
use crate::matching::{Candidates, Matches, MergedColumn};
use crate::storage::{Place, SeekableFile, WholeFile};
use planner_base::in_threads;

/// Files of a store that are read at the same time.
const REQUESTS_AT_ONCE: usize = 8;

/// What was learned for one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LearnedFile {
    /// Figures of columns.
    Figures(Place),
    /// Canonical values of columns.
    Values(Place),
    /// Repeats, in a file for each bucket of keys that has any.
    Repeats(RepeatsFiles),
    /// By which keys near duplicates may meet, in JSON.
    KeyPlan(Place),
    /// Pairs of rows that may be near duplicates, each in both directions.
    Candidates {
        /// Files like those of repeats.
        files: RepeatsFiles,
        /// How often a pair must stand there.
        least_shared: u32,
    },
    /// Clusters of near duplicates.
    Matches(Place),
    /// What fills missing values of columns.
    Merge(Place),
}

/// The files of an operation's repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatsFiles {
    /// Folder of what was learned.
    pub folder: Place,
    /// The operation.
    pub op: usize,
    /// Buckets that have repeats.
    pub buckets: Vec<u16>,
}

/// How the rows of a source are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splits {
    /// Number of splits.
    pub count: usize,
    /// Rows of every split but the last.
    pub rows: u64,
}

impl LearnedFile {
    /// Writes figures or values to a new file in the folder.
    pub fn write(folder: &Place, op: usize, learned: &Learned) -> Result<Self> {
        let place = folder.join(&format!("op-{op}.arrow"));
        let io = |error| Error::io(&place, error);
        let mut file = place.create().map_err(io)?;
        let kind = match learned {
            Learned::Figures(columns) => {
                for column in columns {
                    write_stream(&mut file, &figures_batch(column)?)?;
                }
                Self::Figures
            }
            Learned::Values(columns) => {
                for column in columns {
                    let values = StringArray::from_iter_values(&column.values);
                    let batch =
                        RecordBatch::try_from_iter([("value", Arc::new(values) as ArrayRef)])?;
                    write_stream(&mut file, &batch)?;
                }
                Self::Values
            }
            Learned::KeyPlan(plan) => {
                serde_json::to_writer(&mut file, plan.as_ref())?;
                Self::KeyPlan
            }
            Learned::Merge(columns) => {
                for column in columns {
                    write_stream(&mut file, &column.batch()?)?;
                }
                Self::Merge
            }
            Learned::Repeats(_) | Learned::Candidates(_) | Learned::Matches(_) => {
                return Err(Error::Bug(
                    "what is known by split lies in files of its own",
                ));
            }
        };
        file.finish().map_err(io)?;
        Ok(kind(place))
    }

    /// What the work on one split needs of it.
    pub fn of_split(&self, split: u64) -> Result<Learned> {
        Ok(match self {
            Self::Figures(place) => {
                let batches = read_streams(&mut open(place)?)?;
                let columns = batches.iter().map(figures_of).collect::<Result<_>>()?;
                Learned::Figures(columns)
            }
            Self::Values(place) => {
                let columns = read_streams(&mut open(place)?)?.into_iter().map(|batch| {
                    let values = batch.column(0).as_string::<i32>().iter().flatten();
                    CanonicalValues::new(values.map(str::to_owned).collect())
                });
                Learned::Values(columns.collect())
            }
            Self::Merge(place) => {
                let batches = read_streams(&mut open(place)?)?;
                let columns = batches.iter().map(MergedColumn::read);
                Learned::Merge(columns.collect::<Result<_>>()?)
            }
            Self::Repeats(files) => Learned::Repeats(files.of_split(split)?),
            Self::KeyPlan(place) => {
                Learned::KeyPlan(Arc::new(serde_json::from_reader(open(place)?)?))
            }
            Self::Candidates {
                files,
                least_shared,
            } => {
                let both = files.of_split(split)?.0;
                Learned::Candidates(Candidates::of_split(both, *least_shared))
            }
            Self::Matches(place) => Learned::Matches(Matches::read(place, split)?),
        })
    }

    /// Whether it is the same for every split.
    pub fn is_for_all(&self) -> bool {
        matches!(
            self,
            Self::Figures(_) | Self::Values(_) | Self::KeyPlan(_) | Self::Merge(_)
        )
    }
}

impl RepeatsFiles {
    fn place(folder: &Place, op: usize, bucket: u16) -> Place {
        folder.join(&format!("op-{op}-bucket-{bucket:03}.arrow"))
    }

    /// Writes the repeats of one bucket. Attempts of a task write the same file.
    pub fn write(
        folder: &Place,
        (op, bucket): (usize, u16),
        repeats: &Repeats,
        splits: Splits,
    ) -> Result<()> {
        let place = Self::place(folder, op, bucket);
        let io = |error| Error::io(&place, error);
        let mut file = WholeFile::create(&place, folder).map_err(io)?;
        write_repeats(&mut file, repeats, splits)?;
        file.finish().map_err(io)
    }

    /// The repeats among the rows of one split.
    fn of_split(&self, split: u64) -> Result<Repeats> {
        // What takes time with a store is waiting.
        let threads = match &self.folder {
            Place::Local(_) => 1,
            Place::Object(_) => REQUESTS_AT_ONCE,
        };
        let read = in_threads(threads, self.buckets.clone(), |bucket| -> Result<_> {
            let place = Self::place(&self.folder, self.op, bucket);
            read_repeats(open(&place)?, split)
        })?;
        let mut pairs = read.concat();
        pairs.sort_unstable();
        Ok(Repeats(pairs))
    }
}

fn open(place: &Place) -> Result<SeekableFile> {
    place.open().map_err(|error| Error::io(place, error))
}

fn repeats_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("row", DataType::UInt64, false),
        Field::new("survivor", DataType::UInt64, false),
    ]))
}

fn write_repeats(to: &mut impl Write, repeats: &Repeats, splits: Splits) -> Result<()> {
    let schema = repeats_schema();
    let mut writer = FileWriter::try_new(to, &schema)?;
    let rows = usize::try_from(splits.rows).unwrap_or(usize::MAX);
    for split in 0..splits.count as u64 {
        let pairs = repeats.among(split * splits.rows, rows);
        let row = UInt64Array::from_iter_values(pairs.iter().map(|(row, _)| *row));
        let survivor = UInt64Array::from_iter_values(pairs.iter().map(|(_, stays)| *stays));
        let columns: Vec<ArrayRef> = vec![Arc::new(row), Arc::new(survivor)];
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    }
    Ok(writer.finish()?)
}

fn read_repeats(file: SeekableFile, split: u64) -> Result<Vec<(u64, u64)>> {
    let mut reader = FileReader::try_new(file, None)?;
    let place = usize::try_from(split).unwrap_or(usize::MAX);
    if place >= reader.num_batches() {
        return Err(Error::Bug("no repeats are kept of such a split"));
    }
    reader.set_index(place)?;
    let batch = reader
        .next()
        .ok_or(Error::Bug("repeats of a split that are not there"))??;
    let rows = batch.column(0).as_primitive::<UInt64Type>().values();
    let survivors = batch.column(1).as_primitive::<UInt64Type>().values();
    let pairs = rows.iter().copied().zip(survivors.iter().copied());
    Ok(pairs.collect())
}

fn write_stream(to: &mut impl Write, batch: &RecordBatch) -> Result<()> {
    let mut writer = StreamWriter::try_new(to, &batch.schema())?;
    writer.write(batch)?;
    Ok(writer.finish()?)
}

/// The one batch of each stream.
fn read_streams(file: &mut SeekableFile) -> Result<Vec<RecordBatch>> {
    use std::io::BufRead;
    let mut batches = Vec::new();
    while !file
        .fill_buf()
        .map_err(arrow::error::ArrowError::from)?
        .is_empty()
    {
        let mut reader = StreamReader::try_new(&mut *file, None)?;
        batches.push(reader.next().ok_or(Error::Bug("a stream without rows"))??);
        // To the end of the stream, where the next begins.
        if reader.next().is_some() {
            return Err(Error::Bug("a stream of more than one batch"));
        }
    }
    Ok(batches)
}

/// Key of the schema's metadata: the share of the rows that the figures rest on.
const SAMPLED: &str = "sampled";

/// One row a group, the last for all rows: `group`, `value`, `low`, `high`, `confidence`, `count`.
fn figures_batch(column: &ColumnFigures) -> Result<RecordBatch> {
    let figures = &column.figures;
    let value_type = figures.iter().find_map(|figure| figure.value.as_ref());
    let value_type = value_type.map_or(DataType::Null, |value| value.data_type().clone());
    let missing = new_null_array(&value_type, 1);
    let values: Vec<&dyn Array> = figures
        .iter()
        .map(|figure| figure.value.as_ref().unwrap_or(&missing).as_ref())
        .collect();
    let keys =
        (0..figures.len()).map(|place| column.groups.get(place).map(|key| key.to_be_bytes()));
    let keys = FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys, 16)?;
    let bound = |pick: fn((f64, f64)) -> f64| {
        let bounds = figures.iter().map(|figure| figure.pair.map(pick));
        Arc::new(bounds.collect::<Float64Array>()) as ArrayRef
    };
    let confidences = figures.iter().map(|figure| figure.confidence);
    let counts = figures.iter().map(|figure| figure.count);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(keys),
        concat(&values)?,
        bound(|pair| pair.0),
        bound(|pair| pair.1),
        Arc::new(Float32Array::from_iter_values(confidences)),
        Arc::new(UInt64Array::from_iter_values(counts)),
    ];
    let names = ["group", "value", "low", "high", "confidence", "count"];
    let fields: Vec<Field> = names
        .into_iter()
        .zip(&columns)
        .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
        .collect();
    let sampled = (SAMPLED.to_owned(), column.sampled.to_string());
    let schema = Schema::new(fields).with_metadata([sampled].into());
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

fn figures_of(batch: &RecordBatch) -> Result<ColumnFigures> {
    let sampled = batch.schema_ref().metadata().get(SAMPLED);
    let sampled = sampled
        .and_then(|share| share.parse().ok())
        .ok_or(Error::Bug("figures that name no share of the rows"))?;
    let keys = batch.column(0).as_fixed_size_binary();
    let groups = keys
        .iter()
        .flatten()
        .filter_map(|key| Some(u128::from_be_bytes(key.try_into().ok()?)));
    let values = batch.column(1);
    let low = batch.column(2).as_primitive::<Float64Type>();
    let high = batch.column(3).as_primitive::<Float64Type>();
    let confidence = batch.column(4).as_primitive::<Float32Type>();
    let count = batch.column(5).as_primitive::<UInt64Type>();
    let figures = (0..batch.num_rows()).map(|row| GroupFigures {
        // An array of nulls has no bitmap of them.
        value: (values.data_type() != &DataType::Null && values.is_valid(row))
            .then(|| values.slice(row, 1)),
        pair: low.is_valid(row).then(|| (low.value(row), high.value(row))),
        confidence: confidence.value(row),
        count: count.value(row),
    });
    Ok(ColumnFigures {
        groups: groups.collect(),
        figures: figures.collect(),
        sampled,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use arrow::array::{Date32Array, StringViewArray};

    use super::*;

    /// Each split gets back its own repeats of all buckets, an empty one none, and one that is not
    /// there an error.
    #[test]
    fn repeats_by_split() {
        let folder = tempfile::tempdir().unwrap();
        let splits = Splits { count: 4, rows: 10 };
        let write = |bucket, pairs: &[(u64, u64)]| {
            let repeats = Repeats(pairs.to_vec());
            RepeatsFiles::write(&Place::own(folder.path()), (7, bucket), &repeats, splits).unwrap();
        };
        write(0, &[(3, 0), (10, 2), (39, 38)]);
        write(63, &[(2, 0), (9, 4)]);
        // A twin of the task writes the same.
        write(63, &[(2, 0), (9, 4)]);
        let file = LearnedFile::Repeats(RepeatsFiles {
            folder: Place::own(folder.path()),
            op: 7,
            buckets: vec![0, 63],
        });
        let of = |split| match file.of_split(split).unwrap() {
            Learned::Repeats(repeats) => repeats.0,
            other => panic!("{other:?}"),
        };
        assert_eq!(of(0), [(2, 0), (3, 0), (9, 4)]);
        assert_eq!(of(1), [(10, 2)]);
        assert_eq!(of(2), []);
        assert_eq!(of(3), [(39, 38)]);
        assert!(file.of_split(4).is_err());
        assert!(!file.is_for_all());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    /// Figures and values come back as they were: every type, with and without groups, bounds that
    /// no decimal notation is exact for, and columns of nothing.
    #[test]
    fn figures_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let figure = |value: Option<ArrayRef>, pair| GroupFigures {
            value,
            pair,
            confidence: 0.7,
            count: 3,
        };
        let date = |days| Some(Arc::new(Date32Array::from(vec![days])) as ArrayRef);
        let text = Arc::new(StringViewArray::from(vec!["a text longer than a view"]));
        let columns = vec![
            ColumnFigures {
                groups: vec![1, u128::MAX],
                figures: vec![
                    figure(date(5), None),
                    figure(None, None),
                    figure(date(-7), None),
                ],
                sampled: 1.0 / 3.0,
            },
            ColumnFigures {
                groups: Vec::new(),
                figures: vec![figure(None, Some((0.1 + 0.2, f64::MAX)))],
                sampled: 1.0,
            },
            ColumnFigures {
                groups: Vec::new(),
                figures: vec![figure(Some(text), None)],
                sampled: 1.0,
            },
        ];
        let learned = Learned::Figures(columns);
        let file = LearnedFile::write(&Place::own(folder.path()), 1, &learned).unwrap();
        let back = file.of_split(2).unwrap();
        assert_eq!(format!("{back:?}"), format!("{learned:?}"));
        let values = vec![
            CanonicalValues::new(vec!["x".to_owned()]),
            CanonicalValues::default(),
        ];
        let learned = Learned::Values(values);
        let file = LearnedFile::write(&Place::own(folder.path()), 2, &learned).unwrap();
        let back = file.of_split(0).unwrap();
        assert_eq!(format!("{back:?}"), format!("{learned:?}"));
        assert!(file.is_for_all());
    }
}
