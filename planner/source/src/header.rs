//! Detection of the header, and the names of columns.

use hashbrown::HashSet;

/// Returns whether a first record names the columns.
///
/// A header is assumed unless the evidence is strong: at least three records follow, every cell of
/// the first record is of the kind of all cells below it, and some column is of numbers or dates
/// that are no plausible labels (a year, a count from 0 or 1). A repeated or empty name is no
/// evidence.
pub(super) fn is_header(records: &[Vec<String>]) -> bool {
    let Some((first, below)) = records.split_first() else {
        return true;
    };
    if below.len() < 3 {
        return true;
    }
    let mut values = false;
    let mut labels = true;
    for (column, cell) in first.iter().enumerate() {
        let kind = kind_of(cell);
        let mut cells = below.iter().filter_map(|record| record.get(column));
        if kind == Kind::Text {
            if cells.any(|c| !matches!(kind_of(c), Kind::Text | Kind::Empty)) {
                return true;
            }
            continue;
        }
        if kind == Kind::Empty {
            continue;
        }
        if cells.any(|c| kind_of(c) != kind && kind_of(c) != Kind::Empty) {
            return true;
        }
        values = true;
        labels &= plausible_label(cell, column);
    }
    !values || labels
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Empty,
    Number,
    Date,
    Text,
}

fn kind_of(cell: &str) -> Kind {
    let cell = cell.trim();
    if cell.is_empty() {
        return Kind::Empty;
    }
    let digits = cell.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return Kind::Text;
    }
    if cell.parse::<f64>().is_ok() {
        return Kind::Number;
    }
    if digits >= 6
        && cell.bytes().all(|b| {
            b.is_ascii_digit() || matches!(b, b'-' | b'/' | b'.' | b':' | b' ' | b'T' | b'Z')
        })
    {
        return Kind::Date;
    }
    Kind::Text
}

fn plausible_label(cell: &str, column: usize) -> bool {
    cell.trim().parse::<usize>().is_ok_and(|number| {
        (1900..=2100).contains(&number) || number == column || number == column + 1
    })
}

/// Returns usable column names: trimmed, empty ones numbered, repeated ones with a suffix. Changes are reported in
/// `notes`.
pub(super) fn column_names(header: Vec<String>, notes: &mut Vec<String>) -> Vec<String> {
    let given: HashSet<String> = header.iter().map(|name| name.trim().to_owned()).collect();
    let mut taken: HashSet<String> = HashSet::with_capacity(header.len());
    let mut repeats: hashbrown::HashMap<String, u64> = hashbrown::HashMap::new();
    let mut trimmed = 0_usize;
    let mut names = Vec::with_capacity(header.len());
    for (index, raw) in header.into_iter().enumerate() {
        let mut name = raw.trim().to_owned();
        trimmed += usize::from(name.len() != raw.len() && !name.is_empty());
        if name.is_empty() {
            name = format!("column_{}", index + 1);
            notes.push(format!(
                "column {} has no name and is named {name}",
                index + 1
            ));
        }
        if taken.contains(&name) {
            let base = name.clone();
            let count = repeats.entry(base.clone()).or_insert(1);
            loop {
                *count += 1;
                name = format!("{base}_{count}");
                if !taken.contains(&name) && !given.contains(&name) {
                    break;
                }
            }
            notes.push(format!(
                "column {} is another {base:?} and is named {name:?}",
                index + 1
            ));
        }
        taken.insert(name.clone());
        names.push(name);
    }
    if trimmed > 0 {
        notes.push(format!(
            "white space around {trimmed} column name(s) was removed"
        ));
    }
    names
}

/// Returns the names of the columns of a file without a header.
pub(super) fn numbered_names(columns: usize) -> Vec<String> {
    (1..=columns).map(|n| format!("column_{n}")).collect()
}
