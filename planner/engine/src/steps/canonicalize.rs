//! `canonicalize`: each value becomes the nearest of the values that the column may take.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfs::kernels::canonical::Canonicalizer;
use udfs::kernels::cell::CellKernel;

use super::text_op::{TextOp, Unreadable, clean_column};
use super::{NamedStep, Step};
use crate::contract::Columns;
use crate::error::{Error, Result};
use crate::operation::{
    ChangeSource, CleaningBatch, ColumnSet, Layout, LayoutColumn, Op, Statistic, StatisticValue,
    StepContext, known,
};
use crate::statistics::{CanonicalValues, FrequentValues};

/// Replaces a value by the nearest canonical value, if it is near enough and no other is as near.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canonicalize {
    /// Columns to work on; `"*"` takes those with canonical values in the contract.
    #[serde(default)]
    pub columns: Columns,
    /// The canonical values; those of the contract when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
    /// Learn the canonical values from the column: those that it repeats, against rare near-copies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learn: bool,
    /// Least similarity to a canonical value, 0 to 1.
    #[serde(default = "default_similarity")]
    pub min_similarity: f64,
    /// What becomes of a value that is near to none.
    #[serde(default)]
    pub unmatched: Unmatched,
}

/// What becomes of a value that is near to no canonical value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes null.
    SetNull,
}

fn default_similarity() -> f64 {
    0.8
}

impl Default for Canonicalize {
    fn default() -> Self {
        Self {
            columns: Columns::All,
            values: None,
            learn: false,
            min_similarity: default_similarity(),
            unmatched: Unmatched::Keep,
        }
    }
}

impl NamedStep for Canonicalize {
    const NAME: &'static str = "canonicalize";
    const EXAMPLE: &'static str = "{type: canonicalize, columns: [status], min_similarity: 0.8}";
}

impl Step for Canonicalize {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let field = &context.field;
        if !(0.0..=1.0).contains(&self.min_similarity) {
            return Err(Error::field(
                format!("{field}.min_similarity"),
                "expected 0 to 1",
            ));
        }
        if self.learn && self.values.is_some() {
            return Err(Error::field(
                format!("{field}.learn"),
                "values are given already",
            ));
        }
        let has_values = |column: &LayoutColumn| {
            self.learn || self.values.is_some() || column.contract.canonical_values.is_some()
        };
        let fits = |column: &LayoutColumn| {
            column.is_text() && (self.columns != Columns::All || has_values(column))
        };
        let numbers = layout.select(&self.columns, field, fits, "text")?;
        let unreadable = match self.unmatched {
            Unmatched::Keep => Unreadable::Keep,
            Unmatched::SetNull => Unreadable::SetNull,
        };
        if self.learn {
            return Ok(vec![Box::new(LearnedCanonicalOp {
                transformation: context.transformation,
                values: FrequentValues { columns: numbers },
                min_similarity: self.min_similarity,
            })]);
        }
        let mut columns = Vec::with_capacity(numbers.len());
        for number in numbers {
            let column = &layout.columns[number].contract;
            let values =
                self.values.as_ref().or(column.canonical_values.as_ref()).ok_or_else(|| {
                    let problem = format!(
                        "column {:?} has no canonical_values in the contract: give values, or learn: true",
                        column.name
                    );
                    Error::field(field.clone(), problem)
                })?;
            let kernel = Canonicalizer::new(values.clone(), self.min_similarity);
            columns.push((number, Arc::new(kernel) as Arc<dyn CellKernel>));
        }
        Ok(vec![Box::new(TextOp {
            name: "CanonicalizeOp",
            transformation: context.transformation,
            columns,
            unreadable,
            source: ChangeSource::FuzzyCanonicalize,
        })])
    }

    fn works_on_notations(&self) -> bool {
        true
    }

    fn text_columns(&self) -> Option<&Columns> {
        Some(&self.columns)
    }
}

/// Canonical values learned from the columns themselves.
#[derive(Debug)]
struct LearnedCanonicalOp {
    transformation: u16,
    values: FrequentValues,
    min_similarity: f64,
}

impl Op for LearnedCanonicalOp {
    fn reads(&self) -> ColumnSet {
        self.values.columns.iter().copied().collect()
    }

    fn writes(&self) -> ColumnSet {
        self.reads()
    }

    fn statistic(&self) -> Option<&dyn Statistic> {
        Some(&self.values)
    }

    fn apply(&self, frame: &mut CleaningBatch, value: Option<&StatisticValue>) -> Result<()> {
        let values: &Vec<CanonicalValues> = known(value)?;
        for (column, canonical) in self.values.columns.iter().zip(values) {
            if let Some(kernel) = canonical.kernel(self.min_similarity) {
                // A value that is near to none is one of the column's own.
                let keep = Unreadable::Keep;
                let source = ChangeSource::FuzzyCanonicalize;
                clean_column(frame, self.transformation, *column, kernel, keep, source)?;
            }
        }
        Ok(())
    }
}
