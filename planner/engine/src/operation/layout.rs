//! The columns as a step finds them.

use arrow::datatypes::{DataType, TimeUnit};

use crate::contract::ContractColumn;
use crate::contract::{ColumnType, Columns};
use crate::error::{Error, Result};

/// The columns as the next step finds them, while a program is compiled.
#[derive(Debug, Clone)]
pub struct Layout {
    /// One entry for each column of the source, in source order.
    pub columns: Vec<LayoutColumn>,
}

/// A column as the next step finds it.
#[derive(Debug, Clone)]
pub struct LayoutColumn {
    /// What the contract says of it.
    pub contract: ContractColumn,
    /// Its type at this point.
    pub data_type: DataType,
    /// Whether it stays out of the cleaned data.
    pub excluded: bool,
}

impl LayoutColumn {
    /// Whether its cells are text at this point.
    pub fn is_text(&self) -> bool {
        self.data_type == DataType::Utf8View
    }

    /// Whether its cells can be counted with at this point.
    pub fn is_number(&self) -> bool {
        matches!(
            self.data_type,
            DataType::Int64 | DataType::Float64 | DataType::Decimal128(..)
        )
    }

    /// Whether its cells have an order and a distance at this point.
    pub fn is_quantity(&self) -> bool {
        self.is_number() || matches!(self.data_type, DataType::Date32 | DataType::Timestamp(..))
    }
}

impl Layout {
    /// Number of a column.
    pub fn find(&self, name: &str, field: &str) -> Result<usize> {
        let found = self
            .columns
            .iter()
            .position(|column| column.contract.name == name);
        found.ok_or_else(|| {
            let names = self
                .columns
                .iter()
                .map(|column| column.contract.name.as_str());
            Error::field(
                field,
                format!("the data has no column {name:?}{}", nearest(name, names)),
            )
        })
    }

    /// Numbers of the columns of a step: those named, which must all do, or all that do.
    pub fn select(
        &self,
        columns: &Columns,
        field: &str,
        fits: impl Fn(&LayoutColumn) -> bool,
        wanted: &str,
    ) -> Result<Vec<usize>> {
        match columns {
            Columns::All => Ok((0..self.columns.len())
                .filter(|number| !self.columns[*number].excluded && fits(&self.columns[*number]))
                .collect()),
            Columns::Named(names) => {
                let mut numbers = Vec::with_capacity(names.len());
                for (place, name) in names.iter().enumerate() {
                    let field = format!("{field}.columns[{place}]");
                    let number = self.find(name, &field)?;
                    let column = &self.columns[number];
                    if !fits(column) {
                        let problem = format!(
                            "the step works on {wanted}, but {name:?} is {} here",
                            type_name(&column.data_type)
                        );
                        return Err(Error::field(field, problem));
                    }
                    if !numbers.contains(&number) {
                        numbers.push(number);
                    }
                }
                Ok(numbers)
            }
        }
    }
}

/// ` (did you mean "x"?)` for the name nearest to a wrong one, if one is near.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    let lower = wrong.to_lowercase();
    let best = names
        .map(|name| {
            (
                datafusion::common::utils::datafusion_strsim::levenshtein(
                    &name.to_lowercase(),
                    &lower,
                ),
                name,
            )
        })
        .min_by_key(|(distance, _)| *distance);
    match best {
        Some((distance, name)) if distance <= 1 + wrong.chars().count() / 4 => {
            format!(" (did you mean {name:?}?)")
        }
        _ => String::new(),
    }
}

/// The Arrow type of a contract type.
pub fn data_type(column_type: ColumnType, decimal: Option<(u8, i8)>) -> DataType {
    match column_type {
        ColumnType::Integer => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Decimal => {
            let (precision, scale) = decimal.unwrap_or((38, 10));
            DataType::Decimal128(precision, scale)
        }
        ColumnType::String => DataType::Utf8View,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

/// The name of a type as a person knows it.
pub fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int64 => "integer",
        DataType::Float64 => "float",
        DataType::Decimal128(..) => "decimal",
        DataType::Boolean => "boolean",
        DataType::Date32 => "date",
        DataType::Timestamp(..) => "timestamp",
        _ => "string",
    }
}
