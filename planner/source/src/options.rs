//! What a person may say about a source; whatever is left out is found out.

/// How the files of a source are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Format {
    /// Separated values; the separator is found out unless told.
    Csv,
    /// Values separated by tabs.
    Tsv,
    /// One JSON object a line.
    Jsonl,
    /// A JSON array of objects, or one object after the other.
    Json,
    /// Apache Parquet.
    Parquet,
    /// A sheet of an xlsx, xlsm, xlsb, xls or ods workbook.
    Excel,
}

impl Format {
    /// The format that a file name stands for, once the ending of a compression is taken off.
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

/// How a file is compressed as a whole.
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
    /// The compression that the first bytes of a file show.
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

/// Most bytes of a file once its compression is taken off: a small file may unfold to one that fills the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecompressedLimit(pub u64);

impl Default for DecompressedLimit {
    fn default() -> Self {
        Self(1 << 40)
    }
}

impl DecompressedLimit {
    /// A file has more.
    pub(super) fn broken(self, path: &str) -> SourceError {
        SourceError::Options {
            path: path.to_owned(),
            option: "max_decompressed_bytes",
            reason: format!("the file unfolds to more than {} bytes", self.0),
        }
    }
}

/// Bounds of what the files of a source hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ContentLimits {
    /// Most bytes of a cell. A row with a longer one is set aside.
    pub cell: u64,
    /// Most bytes of a record of a text. A file with a longer one is no table. It is at least twice the distance at which a
    /// quote that is never closed is given up: one stray quote makes no file unreadable.
    pub record: usize,
    /// Most columns.
    pub columns: usize,
    /// Most bytes that a byte of a compressed file may unfold to, where it unfolds to more than
    /// [`FREE_UNFOLDED`](Self::FREE_UNFOLDED).
    pub ratio: u64,
    /// Most bytes that are held at a time of what a file unfolds to: a page, the parts of a workbook, the texts of a batch.
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
    /// Of files that strangers send.
    pub const STRICT: Self = Self {
        cell: 1 << 20,
        record: 32 << 20,
        columns: 4096,
        ratio: 200,
        held: 256 << 20,
    };

    /// Bytes to which a file may unfold whatever its ratio is.
    pub const FREE_UNFOLDED: u64 = 64 << 20;

    /// Returns the stricter of both, bound by bound.
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

    /// Why a cell of so many bytes is set aside, if it is.
    pub(super) fn too_long(&self, cell: usize) -> Option<String> {
        let most = self.cell;
        (cell as u64 > most).then(|| format!("a cell of {cell} bytes, where {most} are the most"))
    }

    /// The most bytes that a compressed file of so many may unfold to.
    pub(super) fn unfolded(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(self.ratio).max(Self::FREE_UNFOLDED)
    }
}

/// What a person says about a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceOptions {
    /// Format of all files; from the name, then from the content, when left out.
    pub format: Option<Format>,
    /// Separator of a CSV file: one ASCII character.
    pub delimiter: Option<u8>,
    /// Quotation mark of a CSV file.
    pub quote: Option<u8>,
    /// Character that takes the meaning off a quotation mark, besides doubling it.
    pub escape: Option<u8>,
    /// A CSV line that begins with this character is skipped.
    pub comment: Option<u8>,
    /// Whether the first record names the columns.
    pub header: Option<bool>,
    /// A label of the WHATWG Encoding Standard; found out when left out.
    pub encoding: Option<String>,
    /// Compression of the files; by their first bytes when left out.
    pub compression: Option<Compression>,
    /// Name or 0-based number of the sheet; the first one that is not empty when left out.
    pub sheet: Option<String>,
    /// Lines (rows of a sheet) to skip at the start of each file.
    pub skip_rows: usize,
    /// Name of the object store's settings; those of the environment when left out.
    pub credentials: Option<Secret>,
    /// Columns whose values the folders of the files name, such as `country` of `country=US/`.
    pub partition_columns: Vec<String>,
    /// How much is fetched of a document of the web, and for how long.
    pub fetch: FetchLimits,
    /// Most bytes of a file once its compression is taken off.
    pub decompressed: DecompressedLimit,
    /// Bounds of what the files hold.
    pub limits: ContentLimits,
    /// What some locations are called in the output and in errors, by location.
    pub shown_as: Vec<(String, String)>,
}

impl SourceOptions {
    /// Checks what can be checked without looking at a file.
    ///
    /// # Errors
    /// The name of the option and what is wrong with it.
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
                    "one ASCII character other than a line end is expected".to_owned(),
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
