//! The table on its way through the steps.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde_json::Value;

use crate::job::{COLUMNS, Job, RawRow, place};

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
    /// Days since 1970-01-01.
    Day(i32),
}

impl Cell {
    /// The cell as it is written; none for a null.
    pub fn text(&self) -> Option<String> {
        let array: ArrayRef = match self {
            Self::Null => return None,
            Self::Text(text) => return Some(text.clone()),
            Self::Int(value) => Arc::new(Int64Array::from(vec![*value])),
            Self::Float(value) => Arc::new(Float64Array::from(vec![*value])),
            Self::Day(value) => Arc::new(Date32Array::from(vec![*value])),
        };
        let text = cast(&array, &DataType::Utf8).unwrap();
        Some(text.as_string::<i32>().value(0).to_owned())
    }

    /// Numbers, and days as numbers.
    pub fn quantity(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Day(value) => Some(f64::from(*value)),
            Self::Null | Self::Text(_) => None,
        }
    }

    /// A cell of the same type that holds the number.
    pub fn like(&self, number: f64) -> Self {
        match self {
            Self::Int(_) => Self::Int(number as i64),
            Self::Day(_) => Self::Day(number as i32),
            _ => Self::Float(number),
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

/// What became of a cell.
#[derive(Debug, Clone)]
pub struct Story {
    /// What the source has; none where that spells nothing.
    pub original: Option<String>,
    /// The same in the type of its column.
    pub before: Option<String>,
    /// The step that changed it last.
    pub last: String,
    pub confidence: f32,
    pub source: &'static str,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub id: u64,
    /// The cells as the source has them.
    raw: RawRow,
    pub cells: Vec<Cell>,
    pub stories: Vec<Option<Story>>,
}

/// What a column holds at a step.
#[derive(Debug, Clone)]
pub struct Column {
    pub typed: bool,
    pub excluded: bool,
    /// Stands for its clear values.
    pub placeholder: Option<&'static str>,
    /// Holds personal data that is not changed.
    pub in_clear: bool,
}

impl Column {
    fn text() -> Self {
        Self {
            typed: false,
            excluded: false,
            placeholder: None,
            in_clear: false,
        }
    }
}

pub struct Table {
    pub rows: Vec<Row>,
    pub columns: Vec<Column>,
    pub hash: &'static str,
    /// Rows, and those that stay in their place.
    pub removed: Vec<(u64, u64)>,
    /// Rows, the columns they are refused for, and why.
    pub quarantine: Vec<(Row, &'static str, String)>,
}

impl Table {
    pub fn new(job: &Job) -> Self {
        let rows = job.rows.iter().enumerate().map(|(id, cells)| Row {
            id: id as u64,
            raw: cells.clone(),
            cells: cells
                .iter()
                .map(|cell| Cell::Text((*cell).to_owned()))
                .collect(),
            stories: vec![None; COLUMNS.len()],
        });
        Self {
            rows: rows.collect(),
            columns: vec![Column::text(); COLUMNS.len()],
            hash: job.hash,
            removed: Vec::new(),
            quarantine: Vec::new(),
        }
    }

    /// The columns that a step names; without names those that are in the output and do.
    pub fn places(&self, columns: &Value, fits: impl Fn(&Self, usize) -> bool) -> Vec<usize> {
        match columns.as_array() {
            Some(names) => names
                .iter()
                .map(|name| place(name.as_str().unwrap()))
                .collect(),
            None => (0..COLUMNS.len())
                .filter(|column| !self.columns[*column].excluded && fits(self, *column))
                .collect(),
        }
    }

    /// Whether the cells of a column are numbers or days by now.
    pub fn is_quantity(&self, column: usize) -> bool {
        self.columns[column].typed
    }

    /// Whether the cells of a column are texts.
    pub fn is_text(&self, column: usize) -> bool {
        !self.columns[column].typed
    }

    /// The row before any step, with personal data hidden.
    pub fn as_in_source(&self, row: &Row) -> Value {
        let cells = COLUMNS.iter().enumerate().map(|(column, (name, _))| {
            let text = row.raw[column];
            let placeholder = self.columns[column].placeholder;
            let shown = placeholder.filter(|_| !text.is_empty()).unwrap_or(text);
            ((*name).to_owned(), shown.into())
        });
        Value::Object(cells.collect())
    }
}

impl Row {
    /// Puts another value into a cell and notes it.
    pub fn set(
        &mut self,
        column: usize,
        cell: Cell,
        step: &str,
        confidence: f32,
        source: &'static str,
    ) {
        let before = std::mem::replace(&mut self.cells[column], cell);
        let original = (!before.is_null()).then(|| self.raw[column].to_owned());
        let story = &mut self.stories[column];
        *story = Some(match story.take() {
            None => Story {
                original,
                before: before.text(),
                last: step.to_owned(),
                confidence,
                source,
            },
            // The least certain change vouches for the cell; of certain ones the last.
            Some(story) if story.confidence < 1.0 && story.confidence <= confidence => Story {
                last: step.to_owned(),
                ..story
            },
            Some(story) => Story {
                last: step.to_owned(),
                confidence,
                source,
                ..story
            },
        });
    }
}
