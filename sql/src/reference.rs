//! The reference of the relations for people, made from the list of steps.

use std::fmt::Write as _;

use planner::spec::JobSpec;
use planner::steps::StepSpec;
use serde_json::Value;

use crate::flight::calls::{CALLS, Needs};
use crate::grants::Action;
use crate::settings::{CLIENT_SETTINGS, Values};
use crate::statement::{Datasets, KINDS};

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

/// Returns the page of the statements that the service takes, and of what each needs, as Markdown.
pub fn statement_reference() -> String {
    let mut text = String::from(
        "# Statements of the service, and what each needs\n\n\
         This page is generated from the tables that the service checks: `UPDATE_REFERENCE=1 cargo nextest run --workspace --test sql reference` \
         writes it anew. How logins get actions and datasets is described in [../flight-sql.md](../flight-sql.md). A statement, \
         call or setting that is not listed here is refused. `sanitizer sql` without `--server` is not limited.\n\n\
         ## Actions\n\n\
         | action | allows |\n|---|---|\n",
    );
    for action in Action::ALL {
        let _ = writeln!(text, "| `{}` | {} |", action.name(), allows(action));
    }
    text.push_str(
        "\nReading a table or view needs `data:read`, reading `jobs.<name>.provenance` needs `provenance:read`, a file name or URL in \
         FROM needs `data:read` and `files:read`, and `sanitize(\u{2026})` or a step as a relation needs `jobs:submit`, whatever the \
         statement around it. What a login may not read does not exist for it.\n\n\
         ## Statements\n\n\
         | kind | statement | needs | login limited to datasets |\n|---|---|---|---|\n",
    );
    for kind in KINDS {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            kind.name,
            kind.statement,
            needs(kind.needs, kind.one_of),
            limited(kind.datasets),
        );
    }
    text.push_str(
        "\nThe audit log records each statement under its kind. UPDATE, DELETE, MERGE, TRUNCATE, transactions, and every other \
         statement are refused, also within PREPARE, EXPLAIN and queries.\n\n\
         ## Calls and actions of Flight SQL\n\n\
         | call | needs |\n|---|---|\n",
    );
    for call in CALLS {
        let _ = writeln!(text, "| `{}` | {} |", call.name, call_needs(call.needs));
    }
    text.push_str(
        "\n## Settings that a client may change and see\n\n\
         | setting | values | |\n|---|---|---|\n",
    );
    for setting in CLIENT_SETTINGS {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} |",
            setting.name,
            values(setting.values),
            setting.meaning
        );
    }
    text
}

fn allows(action: Action) -> &'static str {
    match action {
        Action::SubmitJobs => "cleaning: `sanitize(\u{2026})` and the steps as relations",
        Action::ReadData => "reading the rows of tables, views, files and job outputs",
        Action::ReadProvenance => "reading which cells a job changed, and from what",
        Action::WriteContracts => "creating and dropping stored specs",
        Action::WriteTables => "creating, filling and dropping tables, views and schemas",
        Action::ReadFiles => {
            "naming files and URLs in statements, as far as the server allows the location"
        }
        Action::WriteFiles => "writing files with COPY, as far as the server allows the location",
    }
}

fn needs(all: &[Action], one_of: &[Action]) -> String {
    let names = |actions: &[Action]| {
        let names = actions.iter().map(|action| format!("`{}`", action.name()));
        names.collect::<Vec<_>>()
    };
    let mut parts = names(all);
    if !one_of.is_empty() {
        parts.push(names(one_of).join(" or "));
    }
    match parts.is_empty() {
        true => "a login".to_owned(),
        false => parts.join(", "),
    }
}

fn limited(datasets: Datasets) -> &'static str {
    match datasets {
        Datasets::None => "allowed",
        Datasets::Reads => "sees its datasets only, and no files",
        Datasets::Target => "the table, view or spec must be one of its datasets",
        Datasets::Tenant => "refused",
    }
}

fn call_needs(needs: Needs) -> &'static str {
    match needs {
        Needs::Credentials => "credentials",
        Needs::Login => "a login; the answer holds what the login may see",
        Needs::Statement => "what the kind of its statement needs",
        Needs::Ingest => "what the kind `ingest` needs",
        Needs::Own => "a ticket, handle or session of the login's own",
        Needs::Absent => "refused: not supported",
    }
}

fn values(values: Values) -> String {
    match values {
        Values::Any => "any that the engine takes".to_owned(),
        Values::Number(least, most) => format!("{least} to {most}"),
        Values::Threads => "1 to the threads of the server".to_owned(),
        Values::OneOf(names) => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
