//! The steps, one after another, over a table in memory. Nothing here knows of passes, splits,
//! batches, logs or frames; of the engine it uses the kernels on single cells only.

mod dedupe;
mod figures;
mod personal;
mod rules;
mod table;
mod text;

use serde_json::{Value, json};

use super::job::{COLUMNS, Job};
use super::outcome::{Outcome, round, sort_by_cell};
use table::{Cell, Table};

/// A step cannot work on the columns that it names.
struct Refused;

/// Runs the job.
pub fn run(job: &Job) -> Outcome {
    let mut table = Table::new(job);
    for (number, step) in with_implied(&job.steps).iter().enumerate() {
        if table.apply(step, &format!("t-{}", number + 1)).is_err() {
            return Outcome::Refused;
        }
    }
    outcome(table)
}

/// Missing values first, types after the leading steps on text.
fn with_implied(steps: &[Value]) -> Vec<Value> {
    let mut all = steps.to_vec();
    if !steps.iter().any(|step| step["type"] == "coerce") {
        let textual = [
            "missing_values",
            "normalize_text",
            "normalize",
            "canonicalize",
        ];
        let lead = steps
            .iter()
            .take_while(|step| textual.contains(&step["type"].as_str().unwrap()))
            .count();
        all.insert(lead, json!({"type": "coerce"}));
    }
    if all[0]["type"] != "missing_values" {
        all.insert(0, json!({"type": "missing_values"}));
    }
    all
}

impl Table {
    fn apply(&mut self, step: &Value, id: &str) -> Result<(), Refused> {
        match step["type"].as_str().unwrap() {
            "missing_values" => self.missing_values(step, id),
            "coerce" => self.coerce(id),
            "normalize_text" => self.normalize_text(step, id),
            "normalize" => self.normalize(step, id),
            "canonicalize" => self.canonicalize(step, id),
            "rules" => self.rules(step, id),
            "outliers" => self.outliers(step, id)?,
            "dedupe" => self.dedupe(step),
            "impute" => self.impute(step, id)?,
            "pii" => self.personal(step, id),
            other => panic!("{other}"),
        }
        Ok(())
    }
}

/// What the steps left, with personal data hidden.
fn outcome(table: Table) -> Outcome {
    let kept: Vec<usize> = (0..COLUMNS.len())
        .filter(|column| !table.columns[*column].excluded)
        .collect();
    let mut provenance = Vec::new();
    for row in &table.rows {
        for column in &kept {
            let Some(story) = &row.stories[*column] else {
                continue;
            };
            let cleaned = row.cells[*column].text();
            if story.before == cleaned {
                continue;
            }
            let described = &table.columns[*column];
            let shown = |text: Option<String>, hidden: bool| match described.placeholder {
                Some(placeholder) if hidden => text.map(|_| placeholder.to_owned()),
                _ => text,
            };
            provenance.push(vec![
                Some(row.id.to_string()),
                Some(COLUMNS[*column].0.to_owned()),
                shown(story.original.clone(), true),
                shown(cleaned, described.in_clear),
                Some(story.last.clone()),
                Some(round(story.confidence)),
                Some(story.source.to_owned()),
            ]);
        }
    }
    sort_by_cell(&mut provenance);
    let mut removed = table.removed.clone();
    removed.sort_unstable();
    let mut quarantine = table.quarantine.clone();
    quarantine.sort_by_key(|(row, ..)| row.id);
    let cells = |cells: &[Cell]| kept.iter().map(|column| cells[*column].text()).collect();
    Outcome::Tables {
        columns: kept
            .iter()
            .map(|column| COLUMNS[*column].0.to_owned())
            .collect(),
        data: table.rows.iter().map(|row| cells(&row.cells)).collect(),
        provenance,
        removed: removed
            .iter()
            .map(|(row, survivor)| vec![Some(row.to_string()), Some(survivor.to_string())])
            .collect(),
        quarantine: quarantine
            .iter()
            .map(|(row, column, reason)| {
                vec![
                    Some(row.id.to_string()),
                    Some((*column).to_owned()),
                    Some(reason.clone()),
                    Some(table.as_in_source(row).to_string()),
                ]
            })
            .collect(),
    }
}
