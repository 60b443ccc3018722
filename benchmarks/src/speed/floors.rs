//! What the unavoidable parts of the clean-up cost on this machine, each done by itself on all cores.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use benchmarks_generator::COLUMNS;
use csv_core::{ReadRecordResult, Reader};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::CachedTable;

const BATCH_ROWS: usize = 32_768;

/// The seconds of the parts. They are marks to compare with, not bounds that nothing can beat: another parser or
/// encoder may do better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floors {
    /// Reading the bytes from the page cache.
    pub read: f64,
    /// Finding all fields, with the crate csv-core, and keeping none.
    pub parse: f64,
    /// Writing the fields as they are as Parquet with zstd level 1, once they are in Arrow arrays.
    pub write: f64,
}

impl Floors {
    /// Measures the parts on a table, once each.
    pub fn measure(table: &CachedTable) -> Result<Self> {
        let path = &table.path;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let ranges = line_ranges(path, table.bytes, threads as u64)?;
        Ok(Self {
            read: slowest(&ranges, |range| read_bytes(path, range))?,
            parse: slowest(&ranges, |range| find_fields(path, range))?,
            write: slowest(&ranges, |range| write_fields(path, range))?,
        })
    }
}

/// Runs `work` on all ranges at once; the seconds of the one that took longest.
fn slowest(
    ranges: &[Range<u64>],
    work: impl Fn(Range<u64>) -> Result<Duration> + Sync,
) -> Result<f64> {
    let work = &work;
    let durations: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = ranges
            .iter()
            .map(|range| scope.spawn(move || work(range.clone())))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow!("a measuring thread ended early"))
            })
            .collect()
    });
    let mut longest = Duration::ZERO;
    for duration in durations {
        longest = longest.max(duration??);
    }
    Ok(longest.as_secs_f64())
}

/// About equal ranges of bytes that end with lines. The generator puts no line breaks into quotes.
fn line_ranges(path: &Path, bytes: u64, count: u64) -> Result<Vec<Range<u64>>> {
    let mut file = BufReader::new(open(path, 0)?);
    let mut bounds = vec![0];
    for index in 1..count {
        let about = bytes * index / count;
        file.seek(SeekFrom::Start(about))
            .with_context(|| format!("cannot read {}", path.display()))?;
        let skipped = file
            .skip_until(b'\n')
            .with_context(|| format!("cannot read {}", path.display()))?;
        bounds.push(about + skipped as u64);
    }
    bounds.push(bytes);
    Ok(bounds.windows(2).map(|pair| pair[0]..pair[1]).collect())
}

fn open(path: &Path, start: u64) -> Result<File> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    file.seek(SeekFrom::Start(start))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(file)
}

fn read_bytes(path: &Path, range: Range<u64>) -> Result<Duration> {
    let started = Instant::now();
    let mut file = open(path, range.start)?.take(range.end - range.start);
    let mut buffer = vec![0; 1 << 20];
    while file
        .read(&mut buffer)
        .with_context(|| format!("cannot read {}", path.display()))?
        > 0
    {}
    Ok(started.elapsed())
}

fn find_fields(path: &Path, range: Range<u64>) -> Result<Duration> {
    let started = Instant::now();
    for_each_record(path, range, |_, _| Ok(()))?;
    Ok(started.elapsed())
}

/// Calls `take` with the text of each record and the ends of its fields.
fn for_each_record(
    path: &Path,
    range: Range<u64>,
    mut take: impl FnMut(&[u8], &[usize]) -> Result<()>,
) -> Result<()> {
    let mut file = BufReader::with_capacity(
        1 << 20,
        open(path, range.start)?.take(range.end - range.start),
    );
    let mut reader = Reader::new();
    let (mut text, mut ends) = (vec![0; 4096], vec![0; 64]);
    let (mut text_len, mut ends_len) = (0, 0);
    loop {
        let input = file
            .fill_buf()
            .with_context(|| format!("cannot read {}", path.display()))?;
        let (result, read, wrote, ended) =
            reader.read_record(input, &mut text[text_len..], &mut ends[ends_len..]);
        file.consume(read);
        text_len += wrote;
        ends_len += ended;
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => text.resize(text.len() * 2, 0),
            ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            ReadRecordResult::Record => {
                take(&text[..text_len], &ends[..ends_len])?;
                (text_len, ends_len) = (0, 0);
            }
            ReadRecordResult::End => return Ok(()),
        }
    }
}

fn write_fields(path: &Path, range: Range<u64>) -> Result<Duration> {
    let fields: Vec<_> = COLUMNS
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(
            ZstdLevel::try_new(1).context("zstd has no level 1")?,
        ))
        .build();
    let mut writer = ArrowWriter::try_new(std::io::sink(), Arc::clone(&schema), Some(properties))
        .context("cannot write Parquet")?;
    let mut columns: Vec<StringBuilder> = COLUMNS.iter().map(|_| StringBuilder::new()).collect();
    let (mut rows, mut spent) = (0, Duration::ZERO);
    let mut write = |columns: &mut Vec<StringBuilder>| -> Result<()> {
        let batch = finish(columns, &schema)?;
        let started = Instant::now();
        writer.write(&batch).context("cannot write Parquet")?;
        spent += started.elapsed();
        Ok(())
    };
    for_each_record(path, range, |text, ends| {
        if ends.len() == COLUMNS.len() {
            let starts = std::iter::once(0).chain(ends.iter().copied());
            for (column, (start, end)) in columns.iter_mut().zip(starts.zip(ends)) {
                column.append_value(String::from_utf8_lossy(&text[start..*end]));
            }
            rows += 1;
            if rows % BATCH_ROWS == 0 {
                write(&mut columns)?;
            }
        }
        Ok(())
    })?;
    write(&mut columns)?;
    let started = Instant::now();
    writer.close().context("cannot write Parquet")?;
    Ok(spent + started.elapsed())
}

fn finish(columns: &mut [StringBuilder], schema: &SchemaRef) -> Result<RecordBatch> {
    let arrays = columns
        .iter_mut()
        .map(|column| Arc::new(column.finish()) as ArrayRef)
        .collect();
    RecordBatch::try_new(Arc::clone(schema), arrays).context("the columns do not fit together")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// The ranges hold every row once, and all parts can be measured.
    #[test]
    fn ranges_hold_every_row_once() {
        let folder = tempfile::tempdir().unwrap();
        let table = CachedTable::open(folder.path(), 2000, 1).unwrap();
        let mut records = 0;
        for range in line_ranges(&table.path, table.bytes, 3).unwrap() {
            for_each_record(&table.path, range, |_, _| {
                records += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(records, 2001, "the header and the rows");
        assert!(Floors::measure(&table).unwrap().write > 0.0);
    }
}
