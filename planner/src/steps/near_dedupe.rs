//! `near_dedupe`: near-duplicate rows by MinHash LSH.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Step;
use crate::error::{Error, Result};
use crate::program::{Keep, Layout, Op, StepContext};
use crate::spec::Columns;

/// Removes rows that are nearly the same as another. This version reads and checks the step, and
/// refuses to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NearDedupe {
    /// Columns to compare.
    #[serde(default)]
    pub columns: Columns,
    /// Least similarity of two rows that count as the same, 0 to 1.
    #[serde(default = "default_threshold")]
    pub threshold: f64,
    /// Which row of a cluster stays.
    #[serde(default)]
    pub keep: Keep,
}

fn default_threshold() -> f64 {
    0.85
}

impl Step for NearDedupe {
    const NAME: &'static str = "near_dedupe";
    const EXAMPLE: &'static str =
        "{type: near_dedupe, columns: [full_name, address], threshold: 0.85, keep: first}";

    fn compile(&self, _: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        Err(Error::field(
            context.field.clone(),
            "this version has no near_dedupe; dedupe removes exact duplicates",
        ))
    }
}
