//! Tables of an output, as batches.

use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use planner::storage::{ByteFile, CachedFile, Place};

/// Rows that are read at a time.
const BATCH: usize = 8192;

/// The batches of a Parquet file.
pub(crate) fn open_table(place: &Place) -> planner::Result<ParquetRecordBatchReader> {
    let unreadable = |source| planner::Error::Io {
        path: place.to_string().into(),
        source,
    };
    let file = ByteFile::find(place).map_err(unreadable)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(CachedFile::from(&file))?;
    Ok(builder.with_batch_size(BATCH).build()?)
}
