//! Column chunks of Parquet for tables whose values come in runs or as text at hand.
//!
//! The general writer of Arrow arrays hashes and compares each value to find its dictionary entry.
//! A column of the account is a handful of words in runs of thousands, known by number: here a run
//! is one entry of the run-length encoding, and text goes to its page in one copy. Pages, headers
//! and metadata are the library's. Format: <https://parquet.apache.org/docs/file-format/>.

use std::hash::Hash;
use std::io::{self, Read, Write};

use bytes::Bytes;
use hashbrown::HashMap;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, SerializedRowGroupWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;

/// Bytes of text in a page: what stays in a core's own cache while it is compressed.
const PAGE_BYTES: usize = 1 << 18;

/// Compresses the pages of one file.
pub(super) struct PageCompressor {
    zstd: Compressor<'static>,
}

impl PageCompressor {
    pub(super) fn new(level: ZstdLevel) -> Result<Self> {
        Ok(Self {
            zstd: Compressor::new(level.compression_level())?,
        })
    }

    fn compress(&mut self, plain: &[u8]) -> Result<Bytes> {
        Ok(self.zstd.compress(plain)?.into())
    }
}

/// Bytes in memory as they were written, piece by piece, so that none is moved when more come.
#[derive(Default)]
struct Pieces(Vec<Bytes>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(Bytes::copy_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads pieces in their order.
struct PieceReader(std::vec::IntoIter<Bytes>, Bytes);

impl Read for PieceReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.1.is_empty() {
            match self.0.next() {
                Some(piece) => self.1 = piece,
                None => return Ok(0),
            }
        }
        let taken = self.1.split_to(to.len().min(self.1.len()));
        to[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.0.iter().map(|piece| piece.len() as u64).sum()
    }
}

impl ChunkReader for Pieces {
    type T = PieceReader;

    fn get_read(&self, start: u64) -> Result<PieceReader> {
        let mut reader = PieceReader(self.0.clone().into_iter(), Bytes::new());
        io::copy(&mut (&mut reader).take(start), &mut io::sink())?;
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut bytes = Vec::with_capacity(length);
        self.get_read(start)?
            .take(length as u64)
            .read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// The pages of a chunk, in memory.
struct Pages {
    sink: TrackedWrite<Pieces>,
    values: u64,
    uncompressed: usize,
    compressed: usize,
    dictionary_at: Option<i64>,
    data_at: Option<i64>,
    counts: Vec<PageEncodingStats>,
}

impl Pages {
    fn new() -> Self {
        Self {
            sink: TrackedWrite::new(Pieces::default()),
            values: 0,
            uncompressed: 0,
            compressed: 0,
            dictionary_at: None,
            data_at: None,
            counts: Vec::new(),
        }
    }

    /// Adds a dictionary of plain values.
    fn dictionary(
        &mut self,
        plain: &[u8],
        values: usize,
        compressor: &mut PageCompressor,
    ) -> Result<()> {
        let page = Page::DictionaryPage {
            buf: compressor.compress(plain)?,
            num_values: values as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.dictionary_at = Some(self.add(page, plain.len())?);
        Ok(())
    }

    /// Adds a page of levels and values.
    fn data(
        &mut self,
        plain: &[u8],
        values: u64,
        encoding: Encoding,
        compressor: &mut PageCompressor,
    ) -> Result<()> {
        let page = Page::DataPage {
            buf: compressor.compress(plain)?,
            num_values: values as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let at = self.add(page, plain.len())?;
        self.data_at.get_or_insert(at);
        self.values += values;
        Ok(())
    }

    fn add(&mut self, page: Page, uncompressed: usize) -> Result<i64> {
        let (page_type, encoding) = (page.page_type(), page.encoding());
        let page = CompressedPage::new(page, uncompressed);
        let written = SerializedPageWriter::new(&mut self.sink).write_page(page)?;
        self.uncompressed += written.uncompressed_size;
        self.compressed += written.compressed_size;
        match self.counts.last_mut() {
            Some(last) if last.page_type == page_type && last.encoding == encoding => {
                last.count += 1;
            }
            _ => self.counts.push(PageEncodingStats {
                page_type,
                encoding,
                count: 1,
            }),
        }
        Ok(written.offset as i64)
    }

    /// Puts the chunk into a row group, as its next column.
    fn append_to<W: Write + Send>(
        self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        column: ColumnDescPtr,
        statistics: Option<Statistics>,
    ) -> Result<()> {
        let mut encodings: Vec<Encoding> = self.counts.iter().map(|count| count.encoding).collect();
        encodings.push(Encoding::RLE);
        let mut metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings(encodings)
            .set_page_encoding_stats(self.counts)
            .set_total_compressed_size(self.compressed as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.values as i64)
            .set_data_page_offset(self.data_at.unwrap_or_default())
            .set_dictionary_page_offset(self.dictionary_at);
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: self.compressed as u64,
            rows_written: self.values,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        group.append_column(&self.sink.into_inner()?, close)?;
        Ok(())
    }
}

/// Values with how often each stands in a row.
struct Runs<K> {
    runs: Vec<(K, u32)>,
    values: u64,
}

impl<K: Copy + Eq> Runs<K> {
    fn new() -> Self {
        Self {
            runs: Vec::new(),
            values: 0,
        }
    }

    fn push(&mut self, value: K, times: u32) {
        if times == 0 {
            return;
        }
        self.values += u64::from(times);
        match self.runs.last_mut() {
            Some((last, count)) if *last == value => *count += times,
            _ => self.runs.push((value, times)),
        }
    }

    /// Writes the runs in the run-length encoding, `number` telling the number of a value.
    fn encode(&self, bytes_each: usize, number: impl Fn(K) -> u32, to: &mut Vec<u8>) {
        for (value, count) in &self.runs {
            // The lowest bit tells a run from packed values.
            let mut header = u64::from(*count) << 1;
            while header >= 0x80 {
                to.push(header as u8 | 0x80);
                header >>= 7;
            }
            to.push(header as u8);
            to.extend_from_slice(&number(*value).to_le_bytes()[..bytes_each]);
        }
    }
}

/// A required column of few values in long runs.
pub(super) struct RunColumn<K> {
    runs: Runs<K>,
}

impl<K: Copy + Eq + Hash> RunColumn<K> {
    pub(super) fn new() -> Self {
        Self { runs: Runs::new() }
    }

    /// Adds a value `times` times.
    pub(super) fn push(&mut self, value: K, times: u32) {
        self.runs.push(value, times);
    }

    /// Writes what was added as the next column of a row group, and begins anew. `plain` appends
    /// the plain encoding of a value; `statistics` is made of the distinct values.
    pub(super) fn flush<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        column: ColumnDescPtr,
        compressor: &mut PageCompressor,
        plain: impl Fn(K, &mut Vec<u8>),
        statistics: impl Fn(&[K]) -> Statistics,
    ) -> Result<()> {
        let runs = std::mem::replace(&mut self.runs, Runs::new());
        let mut numbers: HashMap<K, u32, foldhash::fast::FixedState> = HashMap::default();
        let mut distinct: Vec<K> = Vec::new();
        let mut dictionary = Vec::new();
        for (value, _) in &runs.runs {
            numbers.entry(*value).or_insert_with(|| {
                distinct.push(*value);
                plain(*value, &mut dictionary);
                distinct.len() as u32 - 1
            });
        }
        let bits = (usize::BITS - distinct.len().saturating_sub(1).leading_zeros()).max(1);
        let mut page = vec![bits as u8];
        let number = |value| numbers.get(&value).copied().unwrap_or_default();
        runs.encode(bits.div_ceil(8) as usize, number, &mut page);
        let mut pages = Pages::new();
        pages.dictionary(&dictionary, distinct.len(), compressor)?;
        pages.data(&page, runs.values, Encoding::RLE_DICTIONARY, compressor)?;
        pages.append_to(group, column, Some(statistics(&distinct)))
    }
}

impl<K: Copy + Eq + Hash> RunColumn<K> {
    /// [`Self::flush`] of a column of words.
    pub(super) fn flush_words<'w, W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        column: ColumnDescPtr,
        compressor: &mut PageCompressor,
        word: impl Fn(K) -> &'w str,
    ) -> Result<()> {
        let plain = |value, to: &mut Vec<u8>| plain_text(word(value), to);
        let bounds = |distinct: &[K]| {
            let words = || distinct.iter().map(|value| word(*value));
            let bytes = |word: &str| ByteArray::from(word);
            let (least, most) = (words().min().map(bytes), words().max().map(bytes));
            Statistics::byte_array(least, most, None, Some(0), false)
        };
        self.flush(group, column, compressor, plain, bounds)
    }
}

/// The plain encoding of a text: its length and its bytes.
#[inline]
fn plain_text(text: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(&(text.len() as u32).to_le_bytes());
    to.extend_from_slice(text.as_bytes());
}

/// An optional column of text that hardly repeats.
pub(super) struct TextColumn {
    pages: Pages,
    present: Runs<bool>,
    plain: Vec<u8>,
}

impl TextColumn {
    pub(super) fn new() -> Self {
        Self {
            pages: Pages::new(),
            present: Runs::new(),
            plain: Vec::new(),
        }
    }

    /// Adds a cell.
    #[inline]
    pub(super) fn push(
        &mut self,
        cell: Option<&str>,
        compressor: &mut PageCompressor,
    ) -> Result<()> {
        self.present.push(cell.is_some(), 1);
        if let Some(text) = cell {
            plain_text(text, &mut self.plain);
            if self.plain.len() >= PAGE_BYTES {
                self.end_page(compressor)?;
            }
        }
        Ok(())
    }

    fn end_page(&mut self, compressor: &mut PageCompressor) -> Result<()> {
        let present = std::mem::replace(&mut self.present, Runs::new());
        let mut levels = Vec::new();
        present.encode(1, u32::from, &mut levels);
        let mut page = Vec::with_capacity(4 + levels.len() + self.plain.len());
        page.extend_from_slice(&(levels.len() as u32).to_le_bytes());
        page.append(&mut levels);
        page.extend_from_slice(&self.plain);
        self.plain.clear();
        self.pages
            .data(&page, present.values, Encoding::PLAIN, compressor)
    }

    /// Writes what was added as the next column of a row group, and begins anew.
    pub(super) fn flush<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        column: ColumnDescPtr,
        compressor: &mut PageCompressor,
    ) -> Result<()> {
        if self.present.values > 0 {
            self.end_page(compressor)?;
        }
        std::mem::replace(&mut self.pages, Pages::new()).append_to(group, column, None)
    }
}
