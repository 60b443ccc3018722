//! The reference of the relations for people, made from the list of steps.

use std::fmt::Write as _;

use planner::spec::JobSpec;
use planner::steps::StepSpec;
use serde_json::Value;

/// Every relation that cleans, as Markdown.
pub fn relation_reference() -> String {
    let mut text = String::from(
        "# Relations that clean\n\n\
         This page is made from the list of steps: `UPDATE_REFERENCE=1 cargo nextest run --workspace --test sql reference` \
         writes it anew. The functions of values are in [functions.md](functions.md), the statements in [../sql.md](../sql.md).\n\n\
         A relation stands in FROM. Its first argument is a table, a subquery in brackets, a path in quotation marks, or another \
         relation; the others have names: `name => value`. A value is a constant: a text, a number, `true`, `NULL`, a list `['a', 'b']`, \
         an object `{min: 0}`, or a text that holds a list or an object of JSON.\n\n\
         ## `sanitize`\n\n\
         The whole pipeline, as `sanitizer run` has it. `SELECT sanitize(*) FROM t` is the same as `FROM sanitize(t)`.\n\n\
         | option | |\n|---|---|\n\
         | (a text without a name) | the name of a stored spec, or a spec in JSON or YAML; its `source` and `output` are left out |\n\
         | `dataset` | the contract: see [the job spec](../job.md) |\n\
         | `steps` | the steps, in order; left out: the default pipeline |\n\
         | `options` | how the job runs |\n\
         | `pii` | `hash`, `redact`, `exclude` or `tokenize`: what becomes of personal data, found or declared |\n\n\
         ```sql\nSELECT * FROM sanitize(people, pii => 'redact')\n```\n\n\
         ## `near_clusters`\n\n\
         Every row of a cluster of near duplicates, those that would leave too, with four more columns: `cluster_id`, `row_id` (the row's \
         number in the input, from 0), `survivor` and `score`. It takes the options of [`near_dedupe`](#near_dedupe).\n\n\
         ```sql\nSELECT * FROM near_clusters(people, columns => ['full_name', 'address']) ORDER BY cluster_id, row_id\n```\n\n\
         ## Steps\n\n\
         A step alone, on the types that its input has: no missing value is looked for and no type is read but by `missing_values` and \
         `coerce`. `dataset` gives a step its contract, where it needs one.\n",
    );
    for (name, example) in StepSpec::EXAMPLES {
        let _ = write!(text, "{}", StepSpec::reference(name, 3).unwrap_or_default());
        if let Some(call) = call(example) {
            let _ = writeln!(text, "\n```sql\nSELECT * FROM {call}\n```");
        }
    }
    text
}

/// A step of a spec as a relation of SQL.
fn call(step: &str) -> Option<String> {
    // An example is one line of YAML.
    let steps = JobSpec::document(&format!("- {step}"), "example").ok()?;
    let mut fields = steps.get(0)?.as_object()?.clone();
    let name = fields.remove("type")?;
    let options: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!(", {name} => {}", literal(value)))
        .collect();
    Some(format!("{}(people{})", name.as_str()?, options.concat()))
}

/// A value as a constant of SQL.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|(name, value)| format!("{name}: {}", literal(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}
