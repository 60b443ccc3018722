//! Sources: what is read equals what an independent parser reads, whatever the cuts; and real,
//! odd and broken files are read right or refused with a reason, never with a panic or a hang.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "sources/csv.rs"]
mod csv;
#[path = "sources/folders.rs"]
mod folders;
#[path = "sources/formats.rs"]
mod formats;
#[path = "sources/limits.rs"]
mod limits;

use std::path::Path;

use arrow::array::{Array, AsArray};
use planner_source::{RawBatch, Source, SourceError, SourceOptions};
use planner_storage::{LocationPolicy, Place};

/// A row as texts; `None` for null.
type Row = Vec<Option<String>>;

/// What a source holds, read split by split.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
    /// Row, file, line, reason.
    bad: Vec<(u64, u32, u64, String)>,
    /// File and line of each row.
    places: Vec<(u32, u64)>,
}

fn discover(dir: &Path, names: &[&str], options: &SourceOptions) -> Result<Source, SourceError> {
    let staging = tempfile::tempdir().unwrap().keep();
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    Source::discover(
        &names,
        &LocationPolicy::everything(dir),
        options,
        &Place::own(staging),
    )
}

fn text_of(batch: &RawBatch, column: usize, row: usize) -> Option<String> {
    let array = &batch.columns[column];
    if array.is_null(row) {
        return None;
    }
    Some(match array.as_string_view_opt() {
        Some(text) => text.value(row).to_owned(),
        None => arrow::util::display::array_value_to_string(array, row).unwrap(),
    })
}

fn is_send<T: Send>(value: T) -> T {
    value
}

fn read(source: &Source, batch_rows: usize) -> Result<Table, SourceError> {
    let mut table = Table {
        columns: source.columns.iter().map(|c| c.name.clone()).collect(),
        rows: Vec::new(),
        bad: Vec::new(),
        places: Vec::new(),
    };
    for k in 0..source.split_count() {
        for batch in is_send(source.read_split(k, batch_rows)?) {
            let batch = batch?;
            assert_eq!(batch.first_row, table.rows.len() as u64);
            assert_eq!(batch.columns.len(), source.columns.len());
            for (array, column) in batch.columns.iter().zip(&source.columns) {
                assert_eq!(array.len(), batch.rows);
                assert_eq!(array.data_type(), &column.data_type);
                array.to_data().validate_full().unwrap();
            }
            let end = batch.first_row + batch.rows as u64;
            assert!(
                end.is_multiple_of(batch_rows as u64) || end == source.split_rows(k).end,
                "batches end at multiples"
            );
            for row in 0..batch.rows {
                let cells = 0..batch.columns.len();
                table
                    .rows
                    .push(cells.map(|c| text_of(&batch, c, row)).collect());
                table.places.push(batch.location(row).unwrap());
            }
            for bad in &batch.bad {
                let (file, line) = batch.location(bad.row as usize).unwrap();
                let row = batch.first_row + u64::from(bad.row);
                table.bad.push((row, file, line, bad.reason.clone()));
                let row = &table.rows[row as usize];
                assert!(row.iter().all(Option::is_none), "a bad row is null");
            }
        }
    }
    assert_eq!(table.rows.len() as u64, source.total_rows);
    Ok(table)
}
