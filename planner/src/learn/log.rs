//! The logs of one split, and how they travel.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;

use super::{FigureLog, KeyLog, ValueLog};
use crate::error::{Error, Result};
use crate::matching::{CandidateLog, MergeLog, RecordLog, SampleLog};
use crate::operation::{CleaningBatch, Need};
use crate::profile::RowSample;

/// What is taken down of a split for one operation.
#[derive(Debug)]
pub enum Accumulator {
    /// Keys, for [`Need::Repeats`].
    Keys(KeyLog),
    /// Values with rows, for [`Need::Figures`].
    Figures(FigureLog),
    /// Counts of values, for [`Need::Values`].
    Values(ValueLog),
    /// A sample of rows, for [`Need::Sample`].
    Sample(Box<SampleLog>),
    /// Keys, for [`Need::Candidates`].
    Candidates(Box<CandidateLog>),
    /// Records, for [`Need::Matches`].
    Records(Box<RecordLog>),
    /// Values of rows that leave, for [`Need::Merge`].
    Merge(Box<MergeLog>),
}

/// What a log must know of the table.
#[derive(Debug, Clone, Copy)]
pub struct LogContext {
    /// First row of the split.
    pub first_row: u64,
    /// Rows of the split.
    pub rows: usize,
    /// Rows of the table.
    pub total_rows: u64,
    /// Rows that figures rest on; all when none.
    pub figure_sample: Option<RowSample>,
    /// Seed of samples.
    pub seed: u64,
    /// Buckets among which pairs of rows are divided.
    pub pair_buckets: usize,
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

impl Accumulator {
    /// An empty log of a split.
    pub fn new(need: &Need, context: &LogContext) -> Self {
        match need {
            Need::Repeats(need) => Self::Keys(KeyLog::new(need.clone(), context.rows)),
            Need::Figures(need) => {
                Self::Figures(FigureLog::new(need.clone(), context.figure_sample))
            }
            Need::Values(columns) => Self::Values(ValueLog::new(columns.clone())),
            Need::Sample(need) => {
                let log = SampleLog::new(need.clone(), context.total_rows, context.seed);
                Self::Sample(Box::new(log))
            }
            Need::Candidates(need) => {
                let log = CandidateLog::new(need.clone(), context.first_row);
                Self::Candidates(Box::new(log))
            }
            Need::Matches(need) => {
                let log = RecordLog::new(need.clone(), context.pair_buckets);
                Self::Records(Box::new(log))
            }
            Need::Merge(need) => Self::Merge(Box::new(MergeLog::new(need.clone()))),
        }
    }

    /// Whether it is summed up bucket by bucket.
    pub fn is_keys(&self) -> bool {
        matches!(self, Self::Keys(_) | Self::Candidates(_) | Self::Records(_))
    }

    /// Takes down a frame; gives the bytes that this took.
    pub fn observe(&mut self, frame: &CleaningBatch) -> Result<usize> {
        match self {
            Self::Keys(log) => Ok(log.observe(frame)),
            Self::Figures(log) => log.observe(frame),
            Self::Values(log) => log.observe(frame),
            Self::Sample(log) => log.observe(frame),
            Self::Candidates(log) => log.observe(frame),
            Self::Records(log) => log.observe(frame),
            Self::Merge(log) => log.observe(frame),
        }
    }

    /// The parts of the log that are not empty.
    pub fn finish(self) -> Result<Vec<LogEntry>> {
        let batches = match self {
            Self::Keys(log) => log.finish()?,
            Self::Figures(log) => vec![log.finish()?],
            Self::Values(log) => vec![log.finish()?],
            Self::Sample(log) => vec![log.finish()?],
            Self::Merge(log) => vec![log.finish()?],
            Self::Candidates(log) => return log.finish(),
            Self::Records(log) => return log.finish(),
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
