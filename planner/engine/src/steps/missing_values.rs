//! `missing_values`: cells that spell "no value" become null.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NamedStep, Reading, Step};
use crate::contract::Columns;
use crate::contract::MissingValues;
use crate::error::{Error, Result};
use crate::operation::{
    ChangeSource, CleaningBatch, ColumnSet, Confidence, Layout, Op, StatisticValue, StepContext,
    null_rows,
};

/// Sets cells to null whose trimmed text is one of the contract's `missing_values`. Every job
/// begins with it, whether its steps name it or not. An empty cell counts as missing already, so
/// that its becoming null is no change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NullMissingValues {
    /// Columns to look at.
    #[serde(default)]
    pub columns: Columns,
    /// Spellings; those of the contract when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
}

impl NamedStep for NullMissingValues {
    const NAME: &'static str = "missing_values";
    const EXAMPLE: &'static str = "{type: missing_values, columns: [age], values: [\"\", \"?\"]}";
}

impl Step for NullMissingValues {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let field = &context.field;
        let columns = layout.select(&self.columns, field, |column| column.is_text(), "text")?;
        let values = self
            .values
            .as_ref()
            .unwrap_or(&context.contract.missing_values);
        Ok(vec![Box::new(NullMissingOp {
            transformation: context.transformation,
            columns,
            missing: MissingValues::new(values),
        })])
    }

    fn reading(&self) -> Reading {
        Reading::MissingValues
    }

    fn works_on_notations(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct NullMissingOp {
    transformation: u16,
    columns: Vec<usize>,
    missing: MissingValues,
}

impl Op for NullMissingOp {
    fn reads(&self) -> ColumnSet {
        self.columns.iter().copied().collect()
    }

    fn writes(&self) -> ColumnSet {
        self.reads()
    }

    fn apply(&self, frame: &mut CleaningBatch, _: Option<&StatisticValue>) -> Result<()> {
        for column in &self.columns {
            let array = Arc::clone(&frame.columns[*column]);
            let texts = array
                .as_string_view_opt()
                .ok_or(Error::Bug("missing values of no text"))?;
            let (mut missing, mut spelt) = (Vec::new(), Vec::new());
            for (row, view) in texts.views().iter().enumerate() {
                // A view holds the length and, behind it, the first bytes of the text.
                let (length, first) = (*view as u32, (*view >> 32) as u8);
                if length > 0 && !self.missing.may_begin_with(first) {
                    continue;
                }
                if texts.is_valid(row) && self.missing.is_missing(texts.value(row)) {
                    missing.push(row as u32);
                    if !texts.value(row).is_empty() && frame.is_live(row) {
                        spelt.push(row as u32);
                    }
                }
            }
            if !missing.is_empty() {
                let array = null_rows(&array, &missing)?;
                let source = ChangeSource::Deterministic;
                let sure = Confidence::All(1.0);
                frame.change(self.transformation, *column, array, spelt, sure, source);
            }
        }
        Ok(())
    }
}
