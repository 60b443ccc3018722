//! `coerce`: text becomes the type that the contract gives the column.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, PrimitiveBuilder, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float64Type, Int64Type,
    TimestampMicrosecondType,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfs::kernels::boolean::parse_boolean;
use udfs::kernels::date::DateFormats;
use udfs::kernels::number::{
    NumberFormat, Parsed, parse_decimal_with, parse_float_with, parse_integer_with,
};

use super::normalize::{date_formats, number_format};
use super::{NamedStep, Reading, Step};
use crate::contract::Columns;
use crate::contract::ContractColumn;
use crate::error::{Error, Result};
use crate::operation::{
    ChangeSource, CleaningBatch, ColumnSet, Confidence, Layout, Op, StatisticValue, StepContext,
    data_type,
};

/// Gives columns the types of the contract. A cell that cannot be read as its type becomes null,
/// with provenance; a cell in an ordinary notation of its value (`12`, `3.50`, `2024-01-31`,
/// `true`) is read without counting as changed. Where a job names no `coerce` of its own, it
/// happens after the leading normalize_text, normalize and canonicalize steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coerce {
    /// Columns to give their types.
    #[serde(default)]
    pub columns: Columns,
}

impl NamedStep for Coerce {
    const NAME: &'static str = "coerce";
    const EXAMPLE: &'static str = "{type: coerce, columns: [age, signup_date]}";
}

impl Step for Coerce {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let numbers = layout.select(&self.columns, &context.field, |_| true, "any column")?;
        let mut columns = Vec::new();
        for number in numbers {
            let column = &mut layout.columns[number];
            let target = data_type(column.contract.column_type, column.contract.decimal);
            if target != column.data_type {
                let reader = Reader::new(&column.contract, &target, &context.field)?;
                columns.push((number, target.clone(), reader));
                column.data_type = target;
            }
        }
        Ok(vec![Box::new(CoerceOp {
            transformation: context.transformation,
            columns,
        })])
    }

    fn reading(&self) -> Reading {
        Reading::Types
    }
}

#[derive(Debug)]
struct CoerceOp {
    transformation: u16,
    columns: Vec<(usize, DataType, Reader)>,
}

/// How the cells of a column are read.
#[derive(Debug)]
enum Reader {
    Text,
    Integer(NumberFormat),
    Float(NumberFormat),
    Decimal(NumberFormat, u8, i8),
    Boolean,
    Date(DateFormats),
    Timestamp(DateFormats),
}

/// A column after reading: the array, rows in another notation, rows that cannot be read.
struct ReadColumn {
    array: ArrayRef,
    changed: Vec<u32>,
    invalid: Vec<u32>,
}

impl Reader {
    fn new(column: &ContractColumn, target: &DataType, field: &str) -> Result<Self> {
        let numbers = number_format(column.decimal_comma);
        let dates = || date_formats(&column.formats, column.day_first, field);
        Ok(match target {
            DataType::Int64 => Self::Integer(numbers),
            DataType::Float64 => Self::Float(numbers),
            DataType::Decimal128(precision, scale) => Self::Decimal(numbers, *precision, *scale),
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date(dates()?),
            DataType::Timestamp(..) => Self::Timestamp(dates()?),
            _ => Self::Text,
        })
    }

    fn read(
        &self,
        array: &ArrayRef,
        target: &DataType,
        frame: &CleaningBatch,
    ) -> Result<ReadColumn> {
        let text = cast(array, &DataType::Utf8View)?;
        let text = text
            .as_string_view_opt()
            .ok_or(Error::Bug("a cast to text that is not"))?;
        match self {
            Self::Text => Ok(ReadColumn {
                array: Arc::new(text.clone()),
                changed: Vec::new(),
                invalid: Vec::new(),
            }),
            Self::Integer(format) => read_cells::<Int64Type>(text, target, frame, |cell| {
                parse_integer_with(cell, format)
            }),
            Self::Float(format) => read_cells::<Float64Type>(text, target, frame, |cell| {
                parse_float_with(cell, format)
            }),
            Self::Decimal(format, precision, scale) => {
                read_cells::<Decimal128Type>(text, target, frame, |cell| {
                    parse_decimal_with(cell, *precision, *scale, format)
                })
            }
            Self::Date(formats) => {
                read_cells::<Date32Type>(text, target, frame, |cell| formats.parse_date(cell))
            }
            Self::Timestamp(formats) => {
                read_cells::<TimestampMicrosecondType>(text, target, frame, |cell| {
                    formats.parse_timestamp(cell)
                })
            }
            Self::Boolean => Ok(read_booleans(text, frame)),
        }
    }
}

fn read_cells<T: ArrowPrimitiveType>(
    text: &StringViewArray,
    target: &DataType,
    frame: &CleaningBatch,
    parse: impl Fn(&str) -> Option<Parsed<T::Native>>,
) -> Result<ReadColumn> {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(text.len());
    let (mut changed, mut invalid) = (Vec::new(), Vec::new());
    for row in 0..text.len() {
        if text.is_null(row) {
            builder.append_null();
            continue;
        }
        match parse(text.value(row)) {
            Some(parsed) => {
                builder.append_value(parsed.value);
                if !parsed.plain && frame.is_live(row) {
                    changed.push(row as u32);
                }
            }
            None => {
                builder.append_null();
                if frame.is_live(row) {
                    invalid.push(row as u32);
                }
            }
        }
    }
    Ok(ReadColumn {
        array: Arc::new(builder.finish().with_data_type(target.clone())),
        changed,
        invalid,
    })
}

fn read_booleans(text: &StringViewArray, frame: &CleaningBatch) -> ReadColumn {
    let mut builder = BooleanBuilder::with_capacity(text.len());
    let (mut changed, mut invalid) = (Vec::new(), Vec::new());
    for row in 0..text.len() {
        let parsed = text.is_valid(row).then(|| parse_boolean(text.value(row)));
        match parsed {
            None => builder.append_null(),
            Some(Some(parsed)) => {
                builder.append_value(parsed.value);
                if !parsed.plain && frame.is_live(row) {
                    changed.push(row as u32);
                }
            }
            Some(None) => {
                builder.append_null();
                if frame.is_live(row) {
                    invalid.push(row as u32);
                }
            }
        }
    }
    ReadColumn {
        array: Arc::new(builder.finish()),
        changed,
        invalid,
    }
}

impl Op for CoerceOp {
    fn reads(&self) -> ColumnSet {
        self.columns.iter().map(|(column, _, _)| *column).collect()
    }

    fn writes(&self) -> ColumnSet {
        self.reads()
    }

    fn apply(&self, frame: &mut CleaningBatch, _: Option<&StatisticValue>) -> Result<()> {
        for (column, target, reader) in &self.columns {
            let before = Arc::clone(&frame.columns[*column]);
            let from_text = before.data_type() == &DataType::Utf8View;
            let mut read = reader.read(&before, target, frame)?;
            if !read.invalid.is_empty() {
                frame
                    .invalid
                    .push((self.transformation, *column, read.invalid.len() as u64));
            }
            // Another type for the same value is no change; another notation in text is one.
            let mut rows = if from_text { read.changed } else { Vec::new() };
            rows.append(&mut read.invalid);
            rows.sort_unstable();
            let sure = Confidence::All(1.0);
            let source = ChangeSource::Deterministic;
            frame.change(self.transformation, *column, read.array, rows, sure, source);
        }
        Ok(())
    }
}
