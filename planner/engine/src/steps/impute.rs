//! `impute`: missing values are filled from the others.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use udfs::kernels::row_hash::hash_rows;

use super::{NamedStep, Step};
use crate::contract::Columns;
use crate::error::{Error, Result};
use crate::operation::{
    ChangeSource, CleaningBatch, ColumnSet, Confidence, Layout, LayoutColumn, Op, Statistic,
    StatisticValue, StepContext, known, type_name,
};
use crate::statistics::{ColumnFigures, Figure, Figures};

/// Fills missing values. The confidence of a filled cell is what the column allows: the share of
/// the mode, or how near the values lie to their median or mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Impute {
    /// What to fill in.
    pub strategy: Strategy,
    /// Columns to fill; `"*"` takes number columns for median and mean, text columns for mode,
    /// and never those with personal data.
    #[serde(default)]
    pub columns: Columns,
    /// Columns whose values make groups, each filled from its own rows: `[country]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// The value of strategy `constant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What to fill in for a missing value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The middle value; of whole numbers rounded to the nearest, ties to the even one.
    Median,
    /// The arithmetic mean, rounded likewise.
    Mean,
    /// The most frequent value; the smallest of equally frequent ones.
    Mode,
    /// The given `value`.
    Constant,
}

impl NamedStep for Impute {
    const NAME: &'static str = "impute";
    const EXAMPLE: &'static str =
        "{type: impute, strategy: median, columns: [age, income], by: [country]}";
}

impl Step for Impute {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let field = &context.field;
        let any = |column: &LayoutColumn| self.columns != Columns::All || !column.contract.pii;
        let (figure, columns) = match self.strategy {
            Strategy::Median | Strategy::Mean => {
                let fits = |column: &LayoutColumn| column.is_quantity() && any(column);
                let columns = layout.select(&self.columns, field, fits, "numbers and dates")?;
                let median = self.strategy == Strategy::Median;
                (
                    Some(if median { Figure::Median } else { Figure::Mean }),
                    columns,
                )
            }
            Strategy::Mode => {
                let all = self.columns == Columns::All;
                let fits = |column: &LayoutColumn| any(column) && (!all || column.is_text());
                (
                    Some(Figure::Mode),
                    layout.select(&self.columns, field, fits, "any column")?,
                )
            }
            Strategy::Constant => (
                None,
                layout.select(&self.columns, field, any, "any column")?,
            ),
        };
        let Some(figure) = figure else {
            return self.compile_constant(layout, context, &columns);
        };
        if self.value.is_some() {
            let problem = "belongs to strategy constant only";
            return Err(Error::field(format!("{field}.value"), problem));
        }
        let mut by = Vec::with_capacity(self.by.len());
        for (place, name) in self.by.iter().enumerate() {
            let field = format!("{field}.by[{place}]");
            let number = layout.find(name, &field)?;
            if columns.contains(&number) {
                return Err(Error::field(
                    field,
                    format!("column {name:?} is filled itself"),
                ));
            }
            by.push(number);
        }
        Ok(vec![Box::new(ImputeOp {
            transformation: context.transformation,
            figures: Figures {
                figures: columns.into_iter().map(|column| (column, figure)).collect(),
                by,
            },
        })])
    }
}

impl Impute {
    fn compile_constant(
        &self,
        layout: &Layout,
        context: &StepContext<'_>,
        columns: &[usize],
    ) -> Result<Vec<Box<dyn Op>>> {
        let field = format!("{}.value", context.field);
        if !self.by.is_empty() {
            let problem = "a constant is the same in every group";
            return Err(Error::field(format!("{}.by", context.field), problem));
        }
        let text = match &self.value {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => return Err(Error::field(field, "strategy constant needs a value")),
        };
        let text: ArrayRef = Arc::new(StringViewArray::from(vec![text.as_str()]));
        let mut filled = Vec::with_capacity(columns.len());
        for number in columns {
            let column = &layout.columns[*number];
            let value = cast(&text, &column.data_type)
                .ok()
                .filter(|value| value.is_valid(0));
            let value = value.ok_or_else(|| {
                let problem = format!(
                    "is no {}, as column {:?} needs",
                    type_name(&column.data_type),
                    column.contract.name
                );
                Error::field(field.clone(), problem)
            })?;
            filled.push((*number, value));
        }
        Ok(vec![Box::new(FillOp {
            transformation: context.transformation,
            columns: filled,
        })])
    }
}

/// Rows of a column that are live and have no value.
fn missing_rows(frame: &CleaningBatch, column: usize) -> Vec<u32> {
    let array = &frame.columns[column];
    if array.null_count() == 0 {
        return Vec::new();
    }
    let missing = (0..array.len()).filter(|row| array.is_null(*row) && frame.is_live(*row));
    missing.map(|row| row as u32).collect()
}

/// Fills with a value that the spec gives.
#[derive(Debug)]
struct FillOp {
    transformation: u16,
    columns: Vec<(usize, ArrayRef)>,
}

impl Op for FillOp {
    fn reads(&self) -> ColumnSet {
        self.columns.iter().map(|(column, _)| *column).collect()
    }

    fn writes(&self) -> ColumnSet {
        self.reads()
    }

    fn apply(&self, frame: &mut CleaningBatch, _: Option<&StatisticValue>) -> Result<()> {
        for (column, value) in &self.columns {
            let rows = missing_rows(frame, *column);
            let fills: Vec<&ArrayRef> = vec![value; rows.len()];
            fill(
                frame,
                self.transformation,
                *column,
                rows,
                &fills,
                Confidence::All(1.0),
            )?;
        }
        Ok(())
    }
}

/// Fills with figures of the other rows.
#[derive(Debug)]
struct ImputeOp {
    transformation: u16,
    figures: Figures,
}

impl Op for ImputeOp {
    fn reads(&self) -> ColumnSet {
        let columns = self.figures.figures.iter().map(|(column, _)| *column);
        columns.chain(self.figures.by.iter().copied()).collect()
    }

    fn writes(&self) -> ColumnSet {
        self.figures
            .figures
            .iter()
            .map(|(column, _)| *column)
            .collect()
    }

    fn statistic(&self) -> Option<&dyn Statistic> {
        Some(&self.figures)
    }

    fn apply(&self, frame: &mut CleaningBatch, value: Option<&StatisticValue>) -> Result<()> {
        let figures: &Vec<ColumnFigures> = known(value)?;
        let keys: Vec<ArrayRef> = self
            .figures
            .by
            .iter()
            .map(|column| Arc::clone(&frame.columns[*column]))
            .collect();
        let groups = if keys.is_empty() {
            Vec::new()
        } else {
            hash_rows(&keys)
        };
        for ((column, _), figures) in self.figures.figures.iter().zip(figures) {
            self.fill_column(frame, *column, figures, &groups)?;
        }
        Ok(())
    }
}

impl ImputeOp {
    fn fill_column(
        &self,
        frame: &mut CleaningBatch,
        column: usize,
        figures: &ColumnFigures,
        groups: &[u128],
    ) -> Result<()> {
        let (mut rows, mut fills, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for row in missing_rows(frame, column) {
            let figures = figures.group(groups.get(row as usize).copied());
            if let Some((value, figures)) =
                figures.and_then(|figures| figures.value.as_ref().map(|value| (value, figures)))
            {
                rows.push(row);
                fills.push(value);
                scores.push(figures.confidence);
            }
        }
        let confidence = match scores.first() {
            Some(first) if scores.iter().all(|score| score == first) => Confidence::All(*first),
            _ => Confidence::Each(scores),
        };
        fill(frame, self.transformation, column, rows, &fills, confidence)
    }
}

/// Puts one value each at `rows` of a column.
fn fill(
    frame: &mut CleaningBatch,
    transformation: u16,
    column: usize,
    rows: Vec<u32>,
    fills: &[&ArrayRef],
    confidence: Confidence,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let array = &frame.columns[column];
    // The mode of truth values comes by name.
    let fills: Vec<ArrayRef> = if array.data_type() == &DataType::Boolean {
        let named = fills.iter().map(|value| cast(value, &DataType::Boolean));
        named.collect::<Result<_, _>>()?
    } else {
        fills.iter().map(|value| Arc::clone(value)).collect()
    };
    let mut parts: Vec<&dyn Array> = vec![array.as_ref()];
    let mut places: Vec<(usize, usize)> = (0..array.len()).map(|row| (0, row)).collect();
    let mut last: Option<(&ArrayRef, usize)> = None;
    for (row, value) in rows.iter().zip(&fills) {
        let part = match last {
            Some((known, part)) if Arc::ptr_eq(known, value) => part,
            _ => {
                parts.push(value.as_ref());
                parts.len() - 1
            }
        };
        last = Some((value, part));
        places[*row as usize] = (part, 0);
    }
    let filled = arrow::compute::interleave(&parts, &places)?;
    let source = ChangeSource::DeterministicImpute;
    frame.change(transformation, column, filled, rows, confidence, source);
    Ok(())
}
