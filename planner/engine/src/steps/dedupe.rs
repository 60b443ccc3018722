//! `dedupe`: exact duplicates leave, one row stays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NamedStep, Step};
use crate::contract::Columns;
use crate::error::{Error, Result};
use crate::operation::{
    CleaningBatch, ColumnSet, Layout, Op, RemovalReason, Statistic, StatisticValue, StepContext,
    known,
};
use crate::statistics::{Keep, RepeatedKeys, Repeats};

/// Removes rows that equal another in the given columns. Missing values equal one another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dedupe {
    /// Columns to compare; `"*"` for all.
    #[serde(default)]
    pub columns: Columns,
    /// Which of equal rows stays.
    #[serde(default)]
    pub keep: Keep,
}

impl NamedStep for Dedupe {
    const NAME: &'static str = "dedupe";
    const EXAMPLE: &'static str = "{type: dedupe, columns: \"*\", keep: first}";
}

impl Step for Dedupe {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let columns = layout.select(&self.columns, &context.field, |_| true, "any column")?;
        if columns.is_empty() {
            return Err(Error::field(
                format!("{}.columns", context.field),
                "names no column",
            ));
        }
        Ok(vec![Box::new(DedupeOp {
            transformation: context.transformation,
            width: layout.columns.len(),
            repeated: RepeatedKeys {
                columns,
                keep: self.keep,
                skip_nulls: false,
            },
        })])
    }
}

#[derive(Debug)]
struct DedupeOp {
    transformation: u16,
    width: usize,
    repeated: RepeatedKeys,
}

impl Op for DedupeOp {
    fn reads(&self) -> ColumnSet {
        match self.repeated.keep {
            // How complete a row is depends on all of its columns.
            Keep::MostComplete => (0..self.width).collect(),
            Keep::First | Keep::Last => self.repeated.columns.iter().copied().collect(),
        }
    }

    fn writes(&self) -> ColumnSet {
        ColumnSet::new()
    }

    fn drops_rows(&self) -> bool {
        true
    }

    fn statistic(&self) -> Option<&dyn Statistic> {
        Some(&self.repeated)
    }

    fn apply(&self, frame: &mut CleaningBatch, value: Option<&StatisticValue>) -> Result<()> {
        let repeats: &Repeats = known(value)?;
        let found = repeats.among(frame.first_row, frame.rows());
        if !found.is_empty() {
            let losses = found.iter().map(|(row, survivor)| {
                let loss = RemovalReason::Duplicate {
                    transformation: self.transformation,
                    survivor: *survivor,
                };
                ((row - frame.first_row) as u32, loss)
            });
            frame.remove(losses.collect());
        }
        Ok(())
    }
}
