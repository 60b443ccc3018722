//! Small CSV tables in memory (RFC 4180).

use std::path::Path;

use anyhow::{Context, Result, bail};
use benchmarks_generator::push_record;
use csv_core::{ReadRecordResult, ReaderBuilder};

/// A header and rows of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsvTable {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows, each with a cell for every column unless the file is ragged.
    pub rows: Vec<Vec<String>>,
}

impl CsvTable {
    /// A table of one column.
    pub fn of_column<'a>(name: &str, cells: impl IntoIterator<Item = &'a str>) -> Self {
        let rows = cells
            .into_iter()
            .map(|cell| vec![cell.to_owned()])
            .collect();
        Self {
            header: vec![name.to_owned()],
            rows,
        }
    }

    /// Reads a whole file; bytes that are no UTF-8 become replacement characters.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::of_records(path, parse(&bytes, b','))
    }

    /// Reads a whole file with this delimiter whose cells may be padded with blanks, also before a quote: they come
    /// without.
    pub fn read_padded(path: &Path, delimiter: u8) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let bytes = without_padding(&bytes, delimiter);
        let mut table = Self::of_records(path, parse(&bytes, delimiter))?;
        let cells = table.rows.iter_mut().flatten();
        for cell in table.header.iter_mut().chain(cells) {
            *cell = cell.trim().to_owned();
        }
        Ok(table)
    }

    fn of_records(path: &Path, records: Vec<Vec<String>>) -> Result<Self> {
        let mut records = records.into_iter();
        let Some(header) = records.next() else {
            bail!("{} has no header", path.display())
        };
        Ok(Self {
            header,
            rows: records.collect(),
        })
    }

    /// Writes the table to a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = Vec::new();
        for row in std::iter::once(&self.header).chain(&self.rows) {
            push_record(&mut text, row.iter().map(String::as_str));
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The text without blanks that follow a delimiter outside quotes.
fn without_padding(bytes: &[u8], delimiter: u8) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut quoted = false;
    for &byte in bytes {
        let padding = byte == b' ' && !quoted && kept.last() == Some(&delimiter);
        if !padding {
            quoted ^= byte == b'"';
            kept.push(byte);
        }
    }
    kept
}

fn parse(bytes: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let mut bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    let mut records = Vec::new();
    let mut output = vec![0; 1024];
    let mut ends = vec![0; 32];
    let (mut output_len, mut ends_len) = (0, 0);
    loop {
        let (result, read, wrote, ended) =
            reader.read_record(bytes, &mut output[output_len..], &mut ends[ends_len..]);
        bytes = &bytes[read..];
        output_len += wrote;
        ends_len += ended;
        match result {
            // All input is there: an empty rest tells the reader that it is the end.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => output.resize(output.len() * 2, 0),
            ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends[..ends_len].iter().copied());
                let cells = starts.zip(&ends[..ends_len]);
                records.push(
                    cells
                        .map(|(start, end)| {
                            String::from_utf8_lossy(&output[start..*end]).into_owned()
                        })
                        .collect(),
                );
                (output_len, ends_len) = (0, 0);
            }
            ReadRecordResult::End => return records,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// What is written is read back, whatever the cells hold.
    #[test]
    fn round_trip() {
        let long = "x".repeat(5000);
        let cells = [
            "",
            "a,b",
            "say \"so\"",
            "two\nlines",
            " padded ",
            "é",
            &long,
        ];
        let mut table = CsvTable::of_column("text", cells);
        table.header = vec!["text".to_owned()];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        table.write(&path).unwrap();
        assert_eq!(CsvTable::read(&path).unwrap(), table);
        let wide = CsvTable {
            header: vec!["h".to_owned(); 100],
            rows: vec![vec!["c".to_owned(); 100]],
        };
        wide.write(&path).unwrap();
        assert_eq!(CsvTable::read(&path).unwrap(), wide);
    }

    /// Blanks around cells and before quotes go, those within cells stay.
    #[test]
    fn padding_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        for (text, delimiter) in [
            ("a, b\n\"x, y\",  \"u v\" \n, 1\n", b','),
            ("a|b\r\nx, y| u v\r\n|1\r\n", b'|'),
        ] {
            std::fs::write(&path, text).unwrap();
            let table = CsvTable::read_padded(&path, delimiter).unwrap();
            assert_eq!(table.header, ["a", "b"]);
            assert_eq!(table.rows, [["x, y", "u v"], ["", "1"]]);
        }
    }
}
