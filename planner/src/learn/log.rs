//! The logs of one split, and how they travel.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;

use super::{FigureLog, KeyLog, ValueLog};
use crate::error::{Error, Result};
use crate::profile::RowSample;
use crate::program::{Frame, Need};

/// What is taken down of a split for one operation.
#[derive(Debug)]
pub enum SplitLog {
    /// Keys, for [`Need::Repeats`].
    Keys(KeyLog),
    /// Values with rows, for [`Need::Figures`].
    Figures(FigureLog),
    /// Counts of values, for [`Need::Values`].
    Values(ValueLog),
}

/// Bytes of which each log begins at a multiple, so that it can be read where it lies.
const ALIGNMENT: usize = 64;

/// A part of a log, as it leaves the operator that kept it.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Bucket of the keys; 0 for other logs.
    pub bucket: u16,
    /// The log.
    pub batch: RecordBatch,
}

impl SplitLog {
    /// An empty log of a split of so many rows; figures of a `sample` of them only, if there is one.
    pub fn new(need: &Need, rows: usize, sample: Option<&RowSample>) -> Self {
        match need {
            Need::Repeats(need) => Self::Keys(KeyLog::new(need.clone(), rows)),
            Need::Figures(need) => Self::Figures(FigureLog::new(need.clone(), sample.cloned())),
            Need::Values(columns) => Self::Values(ValueLog::new(columns.clone())),
        }
    }

    /// Whether these are keys, which are summed up bucket by bucket.
    pub fn is_keys(&self) -> bool {
        matches!(self, Self::Keys(_))
    }

    /// Takes down a frame; gives the bytes that this took.
    pub fn observe(&mut self, frame: &Frame) -> Result<usize> {
        match self {
            Self::Keys(log) => Ok(log.observe(frame)),
            Self::Figures(log) => log.observe(frame),
            Self::Values(log) => log.observe(frame),
        }
    }

    /// The parts of the log that are not empty.
    pub fn finish(self) -> Result<Vec<LogEntry>> {
        let batches = match self {
            Self::Keys(log) => log.finish()?,
            Self::Figures(log) => vec![log.finish()?],
            Self::Values(log) => vec![log.finish()?],
        };
        let entries = batches
            .into_iter()
            .enumerate()
            .filter(|(_, batch)| batch.num_rows() > 0);
        Ok(entries
            .map(|(bucket, batch)| LogEntry {
                bucket: bucket as u16,
                batch,
            })
            .collect())
    }
}

impl LogEntry {
    /// Appends the log as an Arrow IPC stream, and zeros up to where the next may begin.
    pub fn encode(&self, to: &mut Vec<u8>) -> Result<()> {
        to.reserve(self.batch.get_array_memory_size() + 1024);
        let mut writer = StreamWriter::try_new(&mut *to, &self.batch.schema())?;
        writer.write(&self.batch)?;
        writer.finish()?;
        drop(writer);
        to.resize(to.len().next_multiple_of(ALIGNMENT), 0);
        Ok(())
    }

    /// The log from an Arrow IPC stream, whose memory it shares; what lies behind is passed over.
    pub fn decode(bucket: u16, mut bytes: Buffer) -> Result<Self> {
        let mut decoder = StreamDecoder::new();
        let batch = decoder
            .decode(&mut bytes)?
            .ok_or(Error::Bug("an empty log"))?;
        Ok(Self { bucket, batch })
    }
}
