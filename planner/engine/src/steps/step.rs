//! What every step is: its place in specs, its operations, and what else others must know of it.

use std::fmt::Debug;

use crate::contract::{Columns, PiiStrategy};
use crate::error::Result;
use crate::operation::{Layout, Op, StepContext};

/// A cleaning step.
pub trait Step: Debug {
    /// The operations of the step on the columns of `layout`, which is brought to what the next
    /// step finds.
    ///
    /// # Errors
    /// The spec of the step does not fit the columns.
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>>;

    /// What it still reads of the source, rather than cleans.
    fn reading(&self) -> Reading {
        Reading::Nothing
    }

    /// Whether it works on notations, before types are read from them.
    fn works_on_notations(&self) -> bool {
        false
    }

    /// Columns that it takes for text, which are given no other type because their values look like it.
    fn text_columns(&self) -> Option<&Columns> {
        None
    }

    /// What becomes of a value that breaks its rules, as the spec names it; none where it has no rules.
    fn on_violation(&self) -> Option<&'static str> {
        None
    }

    /// What it compiles of regular expressions.
    fn patterns(&self) -> Patterns {
        Patterns::default()
    }

    /// What becomes of personal data; none where it leaves that alone.
    fn privacy(&self) -> Option<Privacy<'_>> {
        None
    }

    /// Treats all personal data by this strategy, where it treats any.
    fn treat_personal_data(&mut self, _strategy: PiiStrategy) {}

    /// The output of an earlier job that it reads.
    fn reference(&self) -> Option<&str> {
        None
    }

    /// The same, to be put in other words.
    fn reference_mut(&mut self) -> Option<ReferenceMut<'_>> {
        None
    }

    /// The first of its options that need an output, which a query has none of.
    fn output_option(&self) -> Option<&'static str> {
        None
    }

    /// Whether another attempt at the job may go on from what it has learned.
    fn is_resumable(&self) -> bool {
        true
    }
}

/// A step as specs name it.
pub trait NamedStep: Step {
    /// Name in specs: the value of `type`.
    const NAME: &'static str;

    /// A step as it may stand in a spec: documentation and test.
    const EXAMPLE: &'static str;
}

/// The option of a step that names the output of an earlier job.
pub const REFERENCE_OPTION: &str = "against";

/// What a step reads of the source. Columns are profiled as they were before cleaning behind what reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing: it cleans.
    Nothing,
    /// Which values are missing.
    MissingValues,
    /// The types of the values.
    Types,
}

/// Regular expressions that a step compiles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Its own.
    pub own: usize,
    /// Whether those of the contract too.
    pub contract: bool,
}

/// What becomes of personal data by a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy<'a> {
    /// The columns; all stands for those that hold personal data.
    pub columns: &'a Columns,
    /// Whether personal data is looked for that the contract does not name.
    pub detect: bool,
    /// The strategy for columns without one of their own.
    pub strategy: Option<PiiStrategy>,
}

/// The output of an earlier job that a step reads.
#[derive(Debug)]
pub struct ReferenceMut<'a> {
    /// Where it is.
    pub location: &'a mut String,
    /// The columns of the step, where it leaves them to that output.
    pub columns: Option<&'a mut Columns>,
}
