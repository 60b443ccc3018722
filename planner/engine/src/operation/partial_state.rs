//! Partial states, and how they travel.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;

use crate::error::{Error, Result};

/// Buckets of keys; a power of two.
pub const KEY_BUCKETS: usize = 64;

/// Bytes of which each encoded state begins at a multiple, so that it can be read where it lies.
const ALIGNMENT: usize = 64;

/// A partial state of a statistic, as it leaves the operator that gathered it.
#[derive(Debug, Clone)]
pub struct PartialState {
    /// Bucket of the keys; 0 of statistics without keys.
    pub bucket: u16,
    /// The state.
    pub batch: RecordBatch,
}

impl PartialState {
    /// The state of a statistic without keys; none where it is empty.
    pub fn whole(batch: RecordBatch) -> Vec<Self> {
        let state = (batch.num_rows() > 0).then_some(Self { bucket: 0, batch });
        state.into_iter().collect()
    }

    /// The states of all buckets, but for those that are empty.
    pub fn by_bucket(batches: Vec<RecordBatch>) -> Vec<Self> {
        let buckets = batches.into_iter().enumerate();
        let states = buckets.map(|(bucket, batch)| Self {
            bucket: bucket as u16,
            batch,
        });
        states.filter(|state| state.batch.num_rows() > 0).collect()
    }

    /// Appends the state as an Arrow IPC stream, and zeros up to where the next may begin.
    pub fn encode(&self, to: &mut Vec<u8>) -> Result<()> {
        to.reserve(self.batch.get_array_memory_size() + 1024);
        let mut writer = StreamWriter::try_new(&mut *to, &self.batch.schema())?;
        writer.write(&self.batch)?;
        writer.finish()?;
        drop(writer);
        to.resize(to.len().next_multiple_of(ALIGNMENT), 0);
        Ok(())
    }

    /// Reads a state from an Arrow IPC stream, whose memory it shares; what lies behind is passed over.
    pub fn decode(bucket: u16, mut bytes: Buffer) -> Result<Self> {
        let mut decoder = StreamDecoder::new();
        let batch = decoder
            .decode(&mut bytes)?
            .ok_or(Error::Bug("an empty partial state"))?;
        Ok(Self { bucket, batch })
    }
}
