//! What another process must know of a source to read some of its splits.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::dataset::{Content, Source, SourceColumn, SourceFile};
use super::index::Mark;

/// The files that hold some splits, and of the index of each what these splits need.
///
/// The columns are not in it: they travel as an Arrow schema.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourcePart {
    files: Vec<SourceFile>,
    total_rows: u64,
    rows_per_split: u64,
}

impl Source {
    /// Returns what reading these splits takes.
    #[must_use]
    pub fn part(&self, splits: impl IntoIterator<Item = usize>) -> SourcePart {
        let mut ranges: Vec<Range<u64>> = splits.into_iter().map(|k| self.split_rows(k)).collect();
        ranges.sort_by_key(|range| range.start);
        let files = self.files.iter().filter_map(|file| file.part(&ranges));
        SourcePart {
            files: files.collect(),
            total_rows: self.total_rows,
            rows_per_split: self.rows_per_split,
        }
    }
}

impl SourcePart {
    /// Returns a source of these columns that reads the splits it was made for, and no others.
    #[must_use]
    pub fn into_source(self, columns: Vec<SourceColumn>) -> Source {
        let names = columns.iter().enumerate();
        let by_name: HashMap<String, usize> = names
            .map(|(place, column)| (column.name.clone(), place))
            .collect();
        Source {
            columns,
            files: self.files,
            total_rows: self.total_rows,
            rows_per_split: self.rows_per_split,
            notes: Vec::new(),
            by_name: Arc::new(by_name),
        }
    }
}

impl SourceFile {
    /// The file with the marks that these rows of the dataset need; none where it has none of them.
    fn part(&self, ranges: &[Range<u64>]) -> Option<Self> {
        let end = self.first_row + self.rows;
        let inside = ranges
            .iter()
            .filter(|range| range.start < end && range.end > self.first_row);
        let local: Vec<Range<u64>> = inside
            .map(|range| {
                range.start.max(self.first_row) - self.first_row
                    ..range.end.min(end) - self.first_row
            })
            .collect();
        if local.is_empty() {
            return None;
        }
        let mut part = self.clone();
        if let Content::Csv { marks, .. } | Content::Jsonl { marks, .. } = &mut part.content {
            *marks = needed(marks, &local);
        }
        Some(part)
    }
}

/// The marks from the last one before each range to the first one behind it.
fn needed(marks: &[Mark], ranges: &[Range<u64>]) -> Vec<Mark> {
    let mut kept: Vec<Mark> = Vec::new();
    for range in ranges {
        let first = marks
            .partition_point(|mark| mark.row <= range.start)
            .saturating_sub(1);
        let behind = marks.partition_point(|mark| mark.row < range.end);
        let last = behind.min(marks.len().saturating_sub(1));
        for mark in marks.iter().take(last + 1).skip(first) {
            if kept
                .last()
                .is_none_or(|before| before.row < mark.row || before.offset < mark.offset)
            {
                kept.push(*mark);
            }
        }
    }
    kept
}
