//! What a search for near duplicates must know.

use planner_base::Secret;
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::{FEW_ROWS, KeyPlan, Veil};

use crate::error::{Error, Result};
use crate::secret;

/// What a search for near duplicates must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatchingNeed {
    /// Columns that are compared.
    pub columns: Vec<usize>,
    /// Whether the values of each of these are keys by themselves.
    pub keys: Vec<bool>,
    /// How rows are compared.
    pub method: Method,
    /// Only rows that differ in this column are compared, and each has one partner at most.
    pub link_by: Option<usize>,
    /// Which row of a cluster stays.
    pub keep: KeepMatch,
    /// What is kept of rows from job to job; none where nothing is.
    pub index: Option<IndexNeed>,
}

/// What is kept of rows from job to job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexNeed {
    /// Output of an earlier job, of whose rows copies are looked for.
    pub against: Option<String>,
    /// Whether an index is written of the rows that stay.
    pub writes: bool,
    /// Columns, by their place among those that are compared, of which only sketches are kept.
    pub hidden: Vec<bool>,
    /// The secret that these depend on.
    pub salt: Secret,
}

impl MatchingNeed {
    /// What hides values and keys of rows; none where nothing is hidden.
    pub(super) fn veil(&self) -> Result<Option<Veil>> {
        let index = self.index.as_ref();
        let index = index.filter(|index| index.hidden.contains(&true));
        let veil = index.map(|index| {
            let veil = Veil::new(&secret::resolve(&index.salt)?);
            veil.map_err(|_| Error::Bug("a key of the right length was refused"))
        });
        veil.transpose()
    }

    /// Output of an earlier job, of whose rows copies are looked for.
    pub fn against(&self) -> Option<&str> {
        self.index.as_ref()?.against.as_deref()
    }

    /// Whether an index is written of the rows that stay.
    pub fn writes_index(&self) -> bool {
        self.index.as_ref().is_some_and(|index| index.writes)
    }

    /// Which rows of a key meet, by the plan of records.
    pub fn meeting(&self, plan: &KeyPlan) -> Meeting {
        match self.method {
            // Their keys are of pieces of words, many of which are common.
            Method::Records { .. } => Meeting {
                most: 1_000,
                of_value: plan.value_rows,
                least_shared: plan.least_shared,
            },
            // Those of texts are of texts that are alike.
            Method::Texts { .. } => Meeting {
                most: 10_000,
                of_value: FEW_ROWS,
                least_shared: 1,
            },
        }
    }
}

/// Which rows of a key meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meeting {
    /// A key of more rows than this tells nothing.
    pub most: usize,
    /// A whole value of more rows than this brings nobody together.
    pub of_value: usize,
    /// Keys that two rows must share; a value that few have counts for two.
    pub least_shared: u32,
}

/// How rows are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// Field by field.
    Records {
        /// The least probability, or the least mean likeness; none for the engine's own.
        threshold: Option<f64>,
        /// How much each column counts; none where that is learned.
        weights: Option<Vec<f64>>,
    },
    /// The columns as one text, by the Jaccard similarity of its shingles.
    Texts {
        /// The least similarity.
        threshold: f64,
        /// What the text is cut into, as `udfs::kernels::shingle` reads it; none where their length tells.
        shingle: Option<String>,
    },
}

/// Which row of a cluster stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeepMatch {
    /// The first in source order.
    First,
    /// The last in source order.
    Last,
    /// The one with the fewest missing values in all columns; the first of them.
    MostComplete,
    /// The one with the greatest value in this column; the first of them.
    MostRecent(usize),
}
