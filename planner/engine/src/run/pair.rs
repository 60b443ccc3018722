//! Why two rows were, or were not, taken for duplicates.

use std::sync::Arc;

use serde::Serialize;

use super::audit::Audit;
use super::clock::Clock;
use super::discover::source_types;

use super::engine::Engine;
use super::indexes::{Earlier, name_columns};
use super::job::JobRun;
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::matching::{EARLIER, Matches, PairExplanation};
use crate::program::PlanSpec;
use crate::statistics::Repeats;
use crate::storage::Place;

/// What a step has found of two rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairStep {
    /// The transformation: `t-2 near_dedupe`.
    pub step: String,
    /// What it has found.
    #[serde(flatten)]
    pub finding: PairFinding,
}

/// What a step has found of two rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PairFinding {
    /// Of the step `dedupe`: for each row, the one that stays in its place, if it is a copy.
    Copies([Option<u64>; 2]),
    /// Of the step `near_dedupe`.
    Near(Box<PairExplanation>),
}

/// In the place of a value of personal data.
const HIDDEN: &str = "(personal)";

/// Personal data is shown to nobody.
fn hide_personal(explained: &mut PairExplanation, contract: &Contract) {
    for field in &mut explained.fields {
        let column = contract
            .columns
            .iter()
            .find(|column| column.name == field.column);
        if column.is_none_or(|column| column.pii) {
            for value in field.values.iter_mut().flatten() {
                HIDDEN.clone_into(value);
            }
        }
    }
}

/// Runs the passes of a job that learn, and tells what each step that removes duplicates has found of
/// two rows. Writes nothing but what it needs for the time, in `staging`. `contract` is the one of the
/// job's output.
pub async fn explain_pair(
    mut run: JobRun,
    contract: Contract,
    (left, right): (u64, u64),
    staging: &Place,
) -> Result<Vec<PairStep>> {
    let source = run.open_source(staging)?;
    let spec = name_columns(&run)?;
    let recipe = PlanSpec::new(spec, contract, source_types(&source));
    let recipe = Arc::new(recipe);
    let program = recipe.program()?;
    // Inside of the job its own rows begin at 0; those of an earlier output are behind them.
    let first_row_id = Earlier::open(&run, &program)?.next_row_id();
    let inside = |row: u64| row.wrapping_sub(first_row_id);
    let rows = (
        inside(left).min(inside(right)),
        inside(left).max(inside(right)),
    );
    let known = |row: u64| row < source.total_rows || row >= EARLIER;
    if left == right || rows.0 >= source.total_rows || !known(rows.1) {
        let problem = format!(
            "two different rows are wanted, one at least of the {} of the source, counted from {first_row_id}",
            source.total_rows
        );
        return Err(Error::field(format!("rows {left} and {right}"), problem));
    }
    run.watched = Some(rows);
    let engine = Engine::new(&run, &source, recipe, staging.clone()).await?;
    let learned = engine
        .learn(&mut Clock::start(), &mut Audit::default())
        .await?;
    let mut steps = Vec::new();
    for (op, learned) in learned.learned.iter().enumerate() {
        let Some(value) = learned else { continue };
        let drops_rows = program.ops[op].op.drops_rows();
        let finding = match (value.get::<Repeats>(), value.get::<Matches>()) {
            (Some(repeats), _) if drops_rows => {
                let survivor = |row: u64| repeats.among(row, 1).first().map(|(_, stays)| *stays);
                let survivor = |row: u64| Some(survivor(inside(row))?.wrapping_add(first_row_id));
                PairFinding::Copies([survivor(left.min(right)), survivor(left.max(right))])
            }
            (_, Some(matches)) => match &matches.explained {
                Some(explained) => {
                    let mut explained = explained.as_ref().clone();
                    hide_personal(&mut explained, &program.contract);
                    explained.renumber(first_row_id);
                    PairFinding::Near(Box::new(explained))
                }
                None => continue,
            },
            _ => continue,
        };
        steps.push(PairStep {
            step: program.step_of(op),
            finding,
        });
    }
    Ok(steps)
}
