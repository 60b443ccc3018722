//! Programs as plans show them: the operations of a pass, with their columns and parameters.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use super::{Action, Program};

/// Columns that are named before the rest is counted.
const NAMED_COLUMNS: usize = 4;

/// Longest parameter that is shown, in bytes.
const LONGEST_PARAMETER: usize = 40;

/// The operations of a pass, in order: those that it applies, and those whose statistics it gathers.
pub(crate) struct PassOperations<'a> {
    program: &'a Program,
    pass: usize,
}

impl Program {
    /// Returns what a pass does, for plans; passes are numbered from 0.
    pub(crate) fn operations_of(&self, pass: usize) -> PassOperations<'_> {
        PassOperations {
            program: self,
            pass,
        }
    }

    /// Names columns: the first few, or how many there are where it is all of them.
    pub(crate) fn column_names(&self, columns: &[usize]) -> String {
        let all = &self.contract.columns;
        if columns.len() == all.len() && columns.len() > NAMED_COLUMNS {
            return format!("all {} columns", all.len());
        }
        let named = columns.iter().take(NAMED_COLUMNS);
        let named: Vec<&str> = named.map(|column| all[*column].name.as_str()).collect();
        let more = match columns.len().saturating_sub(NAMED_COLUMNS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{}{more}", named.join(", "))
    }

    /// Describes an operation: `t-3 impute(columns=[age], strategy=median)`.
    fn operation(&self, number: usize) -> String {
        let op = &self.ops[number].op;
        let mut columns: Vec<usize> = op.writes().iter().collect();
        if columns.is_empty() || op.drops_rows() {
            columns = op.reads().iter().collect();
        }
        let columns = self.column_names(&columns);
        let step = &self.transformations[usize::from(self.ops[number].transformation)].spec;
        let parameters = match step.params() {
            Ok(Value::Object(parameters)) => parameters,
            _ => serde_json::Map::new(),
        };
        let parameters = parameters
            .iter()
            .filter(|(name, _)| *name != "columns")
            .filter_map(|(name, value)| Some(format!(", {name}={}", parameter(value)?)));
        let parameters: String = parameters.collect();
        format!("{}(columns=[{columns}]{parameters})", self.step_of(number))
    }

    fn operations(&self, numbers: impl Iterator<Item = usize>) -> String {
        let operations: Vec<String> = numbers.map(|number| self.operation(number)).collect();
        operations.join(", ")
    }
}

/// A parameter as text; none for what is long, nested, or may be the place of a file.
fn parameter(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if !text.contains(['/', '\\', '\n']) => text.clone(),
        Value::Array(values) if !values.is_empty() => {
            let values: Option<Vec<String>> = values.iter().map(parameter).collect();
            format!("[{}]", values?.join(", "))
        }
        _ => return None,
    };
    (text.len() <= LONGEST_PARAMETER).then_some(text)
}

impl Display for PassOperations<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let Some(pass) = self.program.passes.get(self.pass) else {
            return Ok(());
        };
        let applied = pass.actions.iter().filter_map(|action| match action {
            Action::Apply(op) => Some(*op),
            Action::Learn(_) => None,
        });
        let applied = self.program.operations(applied);
        let learned = self.program.operations(pass.learns());
        write!(to, "operations=[{applied}]")?;
        if !learned.is_empty() {
            write!(to, ", statistics=[{learned}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fmt::Write;

    use arrow::datatypes::DataType;
    use serde_json::json;

    use super::*;
    use crate::contract::complete;
    use crate::spec::JobSpec;
    use crate::steps::{ImpliedSteps, StepSpec};

    /// The columns of the steps' examples.
    const TABLE: &str = "
version: 1
source: {location: a.csv}
dataset:
  columns:
    - {name: id, type: integer}
    - {name: customer_id, type: string}
    - {name: full_name, type: string}
    - {name: address, type: string}
    - {name: status, type: string, canonical_values: [open, closed]}
    - {name: age, type: integer}
    - {name: income, type: float}
    - {name: signup_date, type: date}
    - {name: city, type: string}
    - {name: notes, type: string}
    - {name: email, type: string}
    - {name: phone, type: string}
    - {name: country, type: string}
    - {name: order_id, type: string}
    - {name: price, type: string}
    - {name: amount, type: string}
    - {name: company, type: string}
    - {name: start_date, type: date}
    - {name: end_date, type: date}
";

    /// The plans of a job of these steps, a line for each pass.
    fn plan(steps: &str) -> String {
        let text = format!("{TABLE}steps: [{steps}]\n");
        let job = JobSpec::parse(&text, "test", &[]).unwrap();
        let columns = job.dataset.columns.iter();
        let columns = columns.map(|column| (column.name.clone(), DataType::Utf8View));
        let columns: Vec<(String, DataType)> = columns.collect();
        let contract = complete(&job.dataset, &columns, None).unwrap();
        let types: Vec<DataType> = columns.into_iter().map(|(_, kind)| kind).collect();
        let program = Program::compile_with(&job, &contract, &types, ImpliedSteps::Usual).unwrap();
        let mut shown = String::new();
        for pass in 0..program.passes.len() {
            writeln!(shown, "pass={}, {}", pass + 1, program.operations_of(pass)).unwrap();
        }
        shown
    }

    /// A plan names each operation with its columns and parameters, in the pass that it is part of; of every step.
    #[test]
    fn plans_of_every_step() {
        let mut shown = String::new();
        for (name, example) in StepSpec::EXAMPLES {
            let plan = plan(example);
            assert!(plan.contains(&format!(" {name}(")), "{plan}");
            writeln!(shown, "{example}\n{plan}").unwrap();
        }
        insta::assert_snapshot!(shown);
    }

    /// Parameters that are long, nested, or may name a file, are not shown.
    #[test]
    fn parameters() {
        assert_eq!(parameter(&json!("/srv/data")), None);
        assert_eq!(parameter(&json!({"a": 1})), None);
        assert_eq!(parameter(&json!("x".repeat(41))), None);
        assert_eq!(parameter(&json!([1, "a"])), Some("[1, a]".to_owned()));
    }
}
