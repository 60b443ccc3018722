//! Options of a source; omitted ones are detected.

/// Format of the files of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Format {
    /// Separated values; the separator is detected unless given.
    Csv,
    /// Values separated by tabs.
    Tsv,
    /// One JSON object per line.
    Jsonl,
    /// A JSON array of objects, or a sequence of objects.
    Json,
    /// Apache Parquet.
    Parquet,
    /// A sheet of an xlsx, xlsm, xlsb, xls or ods workbook.
    Excel,
}

impl Format {
    /// Returns the format that a file name indicates, ignoring the extension of a compression.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let stem = ["gz", "gzip", "zst", "zstd", "bz2", "xz"]
            .iter()
            .find_map(|e| lower.strip_suffix(e)?.strip_suffix('.'))
            .unwrap_or(&lower);
        Some(match stem.rsplit_once('.')?.1 {
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "jsonl" | "ndjson" => Self::Jsonl,
            "json" => Self::Json,
            "parquet" | "pq" | "parq" => Self::Parquet,
            "xlsx" | "xlsm" | "xlsb" | "xls" | "ods" => Self::Excel,
            _ => return None,
        })
    }
}

/// Compression of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), several members included.
    Gzip,
    /// Zstandard (RFC 8878), several frames included.
    Zstd,
    /// bzip2, several streams included.
    Bzip2,
    /// xz, several streams included.
    Xz,
}

impl Compression {
    /// Returns the compression that the first bytes of a file indicate.
    #[must_use]
    pub fn of_magic(head: &[u8]) -> Self {
        if head.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
            Self::Bzip2
        } else if head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
            Self::Xz
        } else {
            Self::None
        }
    }
}

use super::error::SourceError;
use super::fetch::FetchLimits;
use planner_base::Secret;

/// Maximum number of bytes of a decompressed file: a small file may decompress to one that fills the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecompressedLimit(pub u64);

impl Default for DecompressedLimit {
    fn default() -> Self {
        Self(1 << 40)
    }
}

impl DecompressedLimit {
    /// Returns the error for a file that exceeds the limit.
    pub(super) fn broken(self, path: &str) -> SourceError {
        SourceError::Options {
            path: path.to_owned(),
            option: "max_decompressed_bytes",
            reason: format!("the file decompresses to more than {} bytes", self.0),
        }
    }
}

/// Limits of the content of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ContentLimits {
    /// Maximum number of bytes of a cell. A row with a longer one is quarantined.
    pub cell: u64,
    /// Maximum number of bytes of a record of a text file. A file with a longer one is rejected. It is at least twice
    /// the maximum length of a quoted field, so that one stray quote makes no file unreadable.
    pub record: usize,
    /// Maximum number of columns.
    pub columns: usize,
    /// Maximum ratio of decompression, for files that decompress to more than [`FREE_UNFOLDED`](Self::FREE_UNFOLDED).
    pub ratio: u64,
    /// Maximum number of decompressed bytes in memory at a time: a page, the parts of a workbook, the texts of a batch.
    pub held: u64,
}

impl Default for ContentLimits {
    fn default() -> Self {
        Self {
            cell: 64 << 20,
            record: 64 << 20,
            columns: 100_000,
            ratio: u64::MAX,
            held: 4 << 30,
        }
    }
}

impl ContentLimits {
    /// Limits of files from untrusted senders.
    pub const STRICT: Self = Self {
        cell: 1 << 20,
        record: 32 << 20,
        columns: 4096,
        ratio: 200,
        held: 256 << 20,
    };

    /// Number of bytes to which any file may decompress, whatever the ratio.
    pub const FREE_UNFOLDED: u64 = 64 << 20;

    /// Returns the stricter of both, limit by limit.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            cell: self.cell.min(other.cell),
            record: self.record.min(other.record),
            columns: self.columns.min(other.columns),
            ratio: self.ratio.min(other.ratio),
            held: self.held.min(other.held),
        }
    }

    /// Returns why a cell of this many bytes is quarantined, if it is.
    pub(super) fn too_long(&self, cell: usize) -> Option<String> {
        let most = self.cell;
        (cell as u64 > most).then(|| format!("a cell of {cell} bytes; at most {most} are allowed"))
    }

    /// Returns the maximum number of bytes that a compressed file of this size may decompress to.
    pub(super) fn unfolded(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(self.ratio).max(Self::FREE_UNFOLDED)
    }
}

/// Options of a source as given by the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// Format of all files; detected from the name, then from the content, when omitted.
    pub format: Option<Format>,
    /// Separator of a CSV file: one ASCII character.
    pub delimiter: Option<u8>,
    /// Quotation mark of a CSV file.
    pub quote: Option<u8>,
    /// Character that escapes a quotation mark, besides doubling it.
    pub escape: Option<u8>,
    /// A CSV line that begins with this character is skipped.
    pub comment: Option<u8>,
    /// Whether the first record names the columns.
    pub header: Option<bool>,
    /// A label of the WHATWG Encoding Standard; detected when omitted.
    pub encoding: Option<String>,
    /// Compression of the files; detected from their first bytes when omitted.
    pub compression: Option<Compression>,
    /// Name or 0-based number of the sheet; the first one that is not empty when omitted.
    pub sheet: Option<String>,
    /// Lines (rows of a sheet) to skip at the start of each file.
    pub skip_rows: usize,
    /// Name of the object store's settings; those of the environment when omitted.
    pub credentials: Option<Secret>,
    /// Partition columns: their values are in the names of folders, such as `country` of `country=US/`.
    pub partition_columns: Vec<String>,
    /// Limits of downloads.
    pub fetch: FetchLimits,
    /// Maximum number of bytes of a decompressed file.
    pub decompressed: DecompressedLimit,
    /// Limits of the content of files.
    pub limits: ContentLimits,
    /// Display names of some locations, by location, for the output and errors.
    pub shown_as: Vec<(String, String)>,
}

impl SourceOptions {
    /// Validates the options without reading a file.
    ///
    /// # Errors
    /// The name of the invalid option and the problem.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let marks = [
            ("delimiter", self.delimiter),
            ("quote", self.quote),
            ("escape", self.escape),
            ("comment", self.comment),
        ];
        for (index, (name, mark)) in marks.iter().enumerate() {
            let Some(mark) = *mark else { continue };
            if !mark.is_ascii() || matches!(mark, 0 | b'\n' | b'\r') {
                return Err((
                    name,
                    "expected one ASCII character other than a line end".to_owned(),
                ));
            }
            for (other, taken) in &marks[..index] {
                let doubled_quote = *other == "quote" && *name == "escape";
                if *taken == Some(mark) && !doubled_quote {
                    return Err((name, format!("the same character as {other}")));
                }
            }
        }
        if let Some(label) = &self.encoding
            && !label.eq_ignore_ascii_case("auto")
            && encoding_rs::Encoding::for_label(label.as_bytes()).is_none()
        {
            return Err((
                "encoding",
                format!("{label:?} is not a label of the WHATWG Encoding Standard"),
            ));
        }
        Ok(())
    }
}
