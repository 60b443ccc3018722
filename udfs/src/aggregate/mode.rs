//! `mode(x)`: the most frequent value.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, DocSection, Documentation, ReversedUDAF, Signature, Volatility,
};

use crate::kernels::mode::ValueCounts;

/// Section of the aggregate functions in the function reference.
pub const AGGREGATE_FUNCTIONS: DocSection = DocSection {
    include: true,
    label: "Aggregate Functions",
    description: Some("Functions of all rows of a group."),
};

/// The most frequent value of a group; its state is how often each value occurs.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ModeFunction {
    signature: Signature,
}

impl Default for ModeFunction {
    fn default() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

const NAME: &str = "mode";

impl AggregateUDFImpl for ModeFunction {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [DataType::Dictionary(_, value)] => self.coerce_types(&[value.as_ref().clone()]),
            [given] if given.is_nested() => {
                plan_err!("{NAME} cannot count values of type {given}; extract their fields first")
            }
            [given] => Ok(vec![given.clone()]),
            _ => plan_err!("{NAME} takes 1 argument, got {}", arg_types.len()),
        }
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [value] => Ok(value.clone()),
            _ => plan_err!("{NAME} takes 1 argument, got {}", arg_types.len()),
        }
    }

    fn accumulator(&self, acc_args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if acc_args.is_distinct {
            return plan_err!(
                "{NAME}(DISTINCT x) has no meaning: each value occurs once; write min(x)"
            );
        }
        let data_type = acc_args.return_field.data_type().clone();
        Ok(Box::new(ModeAccumulator {
            counts: ValueCounts::new(&data_type)?,
            data_type,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |name: &str, data_type: &DataType| {
            let list = DataType::List(Arc::new(Field::new_list_field(data_type.clone(), true)));
            Arc::new(Field::new(format_state_name(args.name, name), list, true))
        };
        Ok(vec![
            list("mode_values", args.return_type()),
            list("mode_counts", &DataType::UInt64),
        ])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            Documentation::builder(
                AGGREGATE_FUNCTIONS,
                "The most frequent value of a group, of equally frequent ones the smallest. Nulls \
                 are not counted; null where there is nothing else.",
                "mode(value)",
            )
            .with_sql_example(
                "```sql\n\
                 > select mode(status)\n  \
                   from (values ('active'), ('closed'), ('active'), (null)) as t(status);\n\
                 active\n```",
            )
            .with_argument(
                "value",
                "A text, a truth value, a number, a date, a time or a timestamp.",
            )
            .build()
        });
        Some(&DOCUMENTATION)
    }
}

#[derive(Debug)]
struct ModeAccumulator {
    counts: ValueCounts,
    data_type: DataType,
}

impl Accumulator for ModeAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match values {
            [values] => Ok(self.counts.add(values)?),
            _ => exec_err!("{NAME} counts one column"),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.counts.mode()? {
            Some(mode) => ScalarValue::try_from_array(&mode, 0),
            None => ScalarValue::try_new_null(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (values, counts) = self.counts.counts()?;
        Ok([values, Arc::new(counts)]
            .map(|list| SingleRowListArrayBuilder::new(list).build_list_scalar())
            .to_vec())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [values, counts] = states else {
            return exec_err!("the state of {NAME} is values and their counts");
        };
        let (Some(values), Some(counts)) =
            (values.as_list_opt::<i32>(), counts.as_list_opt::<i32>())
        else {
            return exec_err!("the state of {NAME} is two lists");
        };
        for (values, counts) in values.iter().zip(counts.iter()) {
            // A group that no partial sum has seen.
            let (Some(values), Some(counts)) = (values, counts) else {
                continue;
            };
            let Some(counts) = counts.as_primitive_opt::<UInt64Type>() else {
                return exec_err!("the counts of {NAME} are numbers");
            };
            self.counts.add_counts(&values, counts)?;
        }
        Ok(())
    }
}
