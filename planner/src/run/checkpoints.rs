//! Frames of the first pass that wait for the last one, so that a table which fits in memory is
//! read and parsed once. A process that has no room for a split reads it again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::Array;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use crate::program::Frame;

/// Frames by split, within a budget of memory.
#[derive(Debug)]
pub struct Checkpoints {
    kept: Mutex<Kept>,
    budget: usize,
}

#[derive(Debug)]
struct Kept {
    splits: BTreeMap<u64, (usize, Vec<Frame>)>,
    reservation: MemoryReservation,
}

impl Checkpoints {
    /// Room for at most `budget` bytes of the pool.
    pub fn new(pool: &Arc<dyn MemoryPool>, budget: usize) -> Self {
        Self {
            kept: Mutex::new(Kept {
                splits: BTreeMap::new(),
                reservation: MemoryConsumer::new("Checkpoints").register(pool),
            }),
            budget,
        }
    }

    /// Keeps the frames of a split, if there is room.
    pub fn keep(&self, split: u64, frames: Vec<Frame>) {
        let bytes: usize = frames.iter().map(frame_bytes).sum();
        let Ok(mut kept) = self.kept.lock() else {
            return;
        };
        if kept.reservation.size() + bytes <= self.budget
            && kept.reservation.try_grow(bytes).is_ok()
        {
            kept.splits.insert(split, (bytes, frames));
        }
    }

    /// The splits that were kept.
    pub fn splits(&self) -> Vec<u64> {
        self.kept
            .lock()
            .map(|kept| kept.splits.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Gives the frames of a split away.
    pub fn take(&self, split: u64) -> Vec<Frame> {
        let Ok(mut kept) = self.kept.lock() else {
            return Vec::new();
        };
        let Some((bytes, frames)) = kept.splits.remove(&split) else {
            return Vec::new();
        };
        kept.reservation.shrink(bytes);
        frames
    }
}

/// Bytes that a frame keeps alive. Views share the text of their source block with their
/// neighbours; each frame answers for the text that it shows.
fn frame_bytes(frame: &Frame) -> usize {
    let columns: usize = frame
        .columns
        .iter()
        .map(|column| array_bytes(column.as_ref()))
        .sum();
    let changes: usize = frame
        .changes
        .iter()
        .map(|change| change.rows.len() * 8 + array_bytes(change.before.as_ref()))
        .sum();
    columns + changes + frame.rows() * 12
}

fn array_bytes(array: &dyn Array) -> usize {
    use arrow::array::AsArray;
    match array.as_string_view_opt() {
        Some(text) => text.views().len() * 16 + text.total_buffer_bytes_used(),
        None => array.get_array_memory_size(),
    }
}
