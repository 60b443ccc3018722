//! `impute_median(x)` and `impute_mode(x)`: missing values filled from the others of their partition.
//!
//! They fill with the same values as the step `impute` of a job: see the kernels [`median`] and [`mode`] for even
//! numbers of values and ties. The whole partition counts, whatever the frame and order of the window. Only a window
//! with PARTITION BY is distributed; the rows of a partition are processed by one worker.

use std::fmt::{Debug, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Scalar};
use arrow::compute::is_not_null;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    DocSection, Documentation, PartitionEvaluator, Signature, Volatility, WindowUDFImpl,
};

use crate::kernels::median::{has_median, median};
use crate::kernels::mode::mode;

/// Section of the window functions in the function reference.
pub const WINDOW_FUNCTIONS: DocSection = DocSection {
    include: true,
    label: "Window Functions",
    description: Some(
        "Functions of a row among the rows of its partition. They need an `OVER` clause, whose \
         `PARTITION BY` makes the groups: `OVER ()` is all rows. The whole partition counts, whatever \
         the order and the frame.",
    ),
};

/// Computes the replacement from the present values of a partition: an array of one value, or none.
type Figure = fn(&ArrayRef) -> std::result::Result<Option<ArrayRef>, ArrowError>;

/// A window function that fills the missing values of its argument.
pub struct ImputeFunction {
    name: &'static str,
    signature: Signature,
    figure: Figure,
    accepts: fn(&DataType) -> bool,
    /// What to write instead, where a type is not accepted.
    advice: &'static str,
    documentation: Documentation,
}

/// `impute_median(x)`: missing values filled with the median.
pub fn impute_median() -> ImputeFunction {
    ImputeFunction {
        name: "impute_median",
        signature: Signature::user_defined(Volatility::Immutable),
        figure: median,
        accepts: has_median,
        advice: "numbers, dates and times: fill categories with impute_mode(x), and make numbers of \
                 texts with cast(normalize_number(x) AS double)",
        documentation: Documentation::builder(
            WINDOW_FUNCTIONS,
            "The value where it is present, else the median of the present values of the partition; \
             null where there is none. Of an even number of values it is the middle between the two \
             in the middle, rounded to a value of the type: whole numbers, dates and the last digit \
             of decimals to the nearest, a half to the even one.",
            "impute_median(value) over ([partition by ...])",
        )
        .with_sql_example(
            "```sql\n\
             > select country, age, impute_median(age) over (partition by country) as filled\n  \
               from (values ('FR', 30), ('FR', 40), ('FR', null), ('US', 25), ('US', null)) as t(country, age)\n  \
               order by country, age;\n\
             FR | 30 | 30\n\
             FR | 40 | 40\n\
             FR | null | 35\n\
             US | 25 | 25\n\
             US | null | 25\n```",
        )
        .with_argument("value", "A number, a date, a time or a timestamp.")
        .build(),
    }
}

/// `impute_mode(x)`: missing values filled with the most frequent one.
pub fn impute_mode() -> ImputeFunction {
    ImputeFunction {
        name: "impute_mode",
        signature: Signature::user_defined(Volatility::Immutable),
        figure: mode,
        accepts: |data_type| !data_type.is_nested(),
        advice: "texts, truth values, numbers, dates and times: take a list or a struct apart first",
        documentation: Documentation::builder(
            WINDOW_FUNCTIONS,
            "The value where it is present, else the most frequent of the present values of the \
             partition, of equally frequent ones the smallest; null where there is none.",
            "impute_mode(value) over ([partition by ...])",
        )
        .with_sql_example(
            "```sql\n\
             > select id, impute_mode(status) over () as filled\n  \
               from (values (1, 'active'), (2, null), (3, 'active'), (4, 'closed')) as t(id, status)\n  \
               order by id;\n\
             1 | active\n\
             2 | active\n\
             3 | active\n\
             4 | closed\n```",
        )
        .with_argument(
            "value",
            "A text, a truth value, a number, a date, a time or a timestamp.",
        )
        .build(),
    }
}

impl Debug for ImputeFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImputeFunction")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// A name stands for one function in the registry, so it is its identity.
impl PartialEq for ImputeFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ImputeFunction {}

impl Hash for ImputeFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl WindowUDFImpl for ImputeFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [given] = arg_types else {
            return plan_err!("{} takes 1 argument, got {}", self.name, arg_types.len());
        };
        let value = match given {
            DataType::Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        if !value.is_null() && !(self.accepts)(value) {
            return plan_err!("{} fills {}; it got {given}", self.name, self.advice);
        }
        Ok(vec![value.clone()])
    }

    fn field(&self, field_args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let Some(value) = field_args.get_input_field(0) else {
            return plan_err!("{} takes 1 argument, got 0", self.name);
        };
        Ok(Arc::new(Field::new(
            field_args.name(),
            value.data_type().clone(),
            value.is_nullable(),
        )))
    }

    fn partition_evaluator(
        &self,
        _partition_evaluator_args: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(ImputeEvaluator {
            figure: self.figure,
        }))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[derive(Debug)]
struct ImputeEvaluator {
    figure: Figure,
}

impl PartitionEvaluator for ImputeEvaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], _num_rows: usize) -> Result<ArrayRef> {
        let Some(values) = values.first() else {
            return exec_err!("there is no column to fill");
        };
        let missing = values.logical_null_count();
        if missing == 0 || missing == values.len() {
            return Ok(Arc::clone(values));
        }
        let Some(figure) = (self.figure)(values)? else {
            return Ok(Arc::clone(values));
        };
        let present = is_not_null(values)?;
        Ok(zip(&present, values, &Scalar::new(figure))?)
    }
}
