//! Detection of the dialect of separated values from the head of a file.
//!
//! Every candidate (delimiter, quote, escape) splits the head into records; the candidate wins whose records agree best
//! in their number of fields and whose cells look complete: the consistency measure of van den Burg, Nazábal, Sutton,
//! "Wrangling messy CSV files by detecting row and type patterns" (2019), in a reduced form.

use super::dialect::{Close, Dialect, Step};
use super::options::{Format, SourceOptions};

/// Number of records of the head that are analysed.
pub(super) const SAMPLE_RECORDS: usize = 200;

/// Delimiters that are tried, the likelier first.
const DELIMITERS: [u8; 7] = [b',', b';', b'\t', b'|', b'~', b'^', b':'];

/// Splits the head of a text into records, and these into unquoted fields.
pub(super) fn sample(text: &[u8], from: usize, last: bool, dialect: &Dialect) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    let mut pos = from;
    while pos < text.len() && records.len() < SAMPLE_RECORDS {
        match dialect.next_record(text, pos, last) {
            Step::Record { end } => {
                records.push(split_fields(text, pos, end, dialect));
                pos = end;
            }
            Step::Skip { end } => pos = end,
            Step::Unclosed { end } => {
                // Read as a record of one field, it counts against the dialect.
                records.push(vec![String::from_utf8_lossy(&text[pos..end]).into_owned()]);
                pos = end;
            }
            Step::NeedMore => break,
        }
    }
    records
}

/// Returns the fields of the record `text[pos..end]`.
pub(super) fn split_fields(text: &[u8], pos: usize, end: usize, dialect: &Dialect) -> Vec<String> {
    let record = &text[..dialect.content_end(text, pos, end)];
    let mut fields = Vec::new();
    let mut start = pos;
    loop {
        let mut field = Vec::new();
        let mut at = start;
        if dialect.quote.is_some()
            && record.get(start).copied() == dialect.quote
            && let Close::At { position, .. } = dialect.close(record, start, true)
        {
            let quote = record[start];
            super::csv::unescape(
                &mut field,
                &record[start + 1..position],
                quote,
                dialect.escape,
            );
            at = position + 1;
        }
        let found = record
            .get(at..)
            .and_then(|rest| memchr::memchr(dialect.delimiter, rest));
        let stop = found.map_or(record.len(), |f| at + f);
        field.extend_from_slice(record.get(at..stop).unwrap_or_default());
        fields.push(String::from_utf8_lossy(&field).into_owned());
        match found {
            Some(_) => start = stop + 1,
            None => return fields,
        }
    }
}

/// Detects the dialect of a text with the head `text`; options given by the user are not questioned.
pub(super) fn sniff(
    text: &[u8],
    last: bool,
    format: Format,
    options: &SourceOptions,
    skip: impl Fn(u8) -> usize,
) -> Dialect {
    let told = Dialect {
        delimiter: options
            .delimiter
            .unwrap_or(if format == Format::Tsv { b'\t' } else { b',' }),
        quote: Some(options.quote.unwrap_or(b'"')),
        escape: options.escape,
        comment: options.comment,
        terminator: if memchr::memchr(b'\n', text).is_none()
            && memchr::memchr(b'\r', text).is_some()
        {
            b'\r'
        } else {
            b'\n'
        },
    };
    let from = skip(told.terminator);
    let mut best = told;
    let mut best_score = 0.0;
    for (rank, candidate) in candidates(&told, text, format, options)
        .into_iter()
        .enumerate()
    {
        let records = sample(text, from, last, &candidate);
        // An earlier candidate is the likelier one: a later one has to be clearly better.
        let score = score(&records, &candidate) - 0.0001 * rank as f64;
        if score > best_score + 0.01 {
            best_score = score;
            best = candidate;
        }
    }
    best
}

fn candidates(
    told: &Dialect,
    text: &[u8],
    format: Format,
    options: &SourceOptions,
) -> Vec<Dialect> {
    let has = |mark: u8| memchr::memchr(mark, text).is_some();
    let delimiters: Vec<u8> = if options.delimiter.is_some() || format == Format::Tsv {
        vec![told.delimiter]
    } else {
        DELIMITERS.into_iter().filter(|d| has(*d)).collect()
    };
    let mut quotes = vec![told.quote];
    if options.quote.is_none() {
        if has(b'\'') {
            quotes.push(Some(b'\''));
        }
        if has(b'"') {
            quotes.push(None);
        }
    }
    let mut escapes = vec![told.escape];
    if options.escape.is_none() && memchr::memmem::find(text, b"\\\"").is_some() {
        escapes.push(Some(b'\\'));
    }
    let mut all = Vec::new();
    for quote in &quotes {
        for escape in &escapes {
            for delimiter in &delimiters {
                let taken = |mark: Option<u8>| mark == Some(*delimiter);
                if taken(*quote) || taken(*escape) || taken(told.comment) {
                    continue;
                }
                all.push(Dialect {
                    delimiter: *delimiter,
                    quote: *quote,
                    escape: *escape,
                    ..*told
                });
            }
        }
    }
    all
}

/// Returns a score between 0 and 1 for how well the records agree and how complete their cells look.
fn score(records: &[Vec<String>], dialect: &Dialect) -> f64 {
    let fields = usual_fields(records);
    if records.is_empty() || fields < 2 {
        return 0.0;
    }
    let agree = records.iter().filter(|r| r.len() == fields).count() as f64 / records.len() as f64;
    let mut cells = 0_u32;
    let mut whole = 0_u32;
    for cell in records.iter().flatten() {
        cells += 1;
        whole += u32::from(looks_whole(cell, dialect));
    }
    let whole = f64::from(whole) / f64::from(cells.max(1));
    agree * agree * whole * (1.0 - 0.5 / fields as f64)
}

/// Returns the number of fields most records have; the larger one of two.
pub(super) fn usual_fields(records: &[Vec<String>]) -> usize {
    let mut counts: Vec<(usize, usize)> = Vec::new();
    for record in records {
        match counts.iter_mut().find(|(len, _)| *len == record.len()) {
            Some((_, count)) => *count += 1,
            None => counts.push((record.len(), 1)),
        }
    }
    counts
        .into_iter()
        .max_by_key(|(len, count)| (*count, *len))
        .map_or(0, |(len, _)| len)
}

/// Returns whether a cell looks like a complete value: not enclosed in quotes that were not removed, and with no
/// delimiter of another dialect except in plain text or a number.
fn looks_whole(cell: &str, dialect: &Dialect) -> bool {
    let cell = cell.trim();
    let quoted = |mark: u8| {
        cell.len() > 1
            && (cell.as_bytes().first() == Some(&mark) || cell.as_bytes().last() == Some(&mark))
    };
    if quoted(b'"') || (dialect.quote != Some(b'"') && quoted(b'\'')) {
        return false;
    }
    let number = cell
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'-' | b'+' | b':' | b' ' | b'%'));
    if number {
        return true;
    }
    !cell
        .bytes()
        .zip(cell.bytes().skip(1))
        .any(|(mark, next)| mark != b':' && DELIMITERS.contains(&mark) && next != b' ')
}
