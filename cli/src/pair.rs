//! `sanitizer explain-pair`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use planner::contract::Contract;
use planner::matching::{FieldExplanation, PairExplanation};
use planner::run::{JobRun, PairFinding, PairStep, explain_pair};
use planner::sink::Manifest;
use planner::spec::JobSpec;
use planner::storage::{LocationPolicy, Place};

use crate::arguments::PairArguments;
use crate::clean::from_here;
use crate::lines::print_line;

/// Prints what the steps of a finished job make of two rows.
pub(crate) fn explain(arguments: &PairArguments) -> anyhow::Result<()> {
    let here = std::env::current_dir().context("the current folder cannot be told")?;
    let manifest = read_manifest(&arguments.output, &here)?;
    let mut spec: JobSpec =
        serde_json::from_value(manifest.spec).context("the job's spec is none that is known")?;
    let contract: Contract =
        serde_json::from_value(manifest.contract).context("the contract is none that is known")?;
    let base = match &arguments.input {
        Some(input) => {
            spec.source.location.0 = vec![from_here(&here, input)];
            here
        }
        None => base_of(&spec, &here.join(&arguments.output), &here),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let staging = tempfile::tempdir().context("no temporary folder can be made")?;
    let rows = (arguments.row, arguments.other);
    let run = JobRun::new(spec, base);
    let place = Place::own(staging.path());
    let steps = runtime.block_on(explain_pair(run, contract, rows, &place))?;
    if steps.is_empty() {
        bail!("the job has no step that looks for duplicates");
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&steps)?);
        return Ok(());
    }
    for step in &steps {
        print_step(step, (rows.0.min(rows.1), rows.0.max(rows.1)));
    }
    Ok(())
}

fn read_manifest(output: &str, here: &Path) -> anyhow::Result<Manifest> {
    let place = LocationPolicy::everything(here).place(output, None)?;
    Manifest::read(&place).with_context(|| format!("{place}: no finished output can be read"))
}

/// Where the relative paths of the job started: where its output's path leads back to, or here.
fn base_of(spec: &JobSpec, output: &Path, here: &Path) -> PathBuf {
    let location = Path::new(&spec.output.location);
    let mut base = output.to_path_buf();
    if location.is_relative() && output.ends_with(location) {
        for _ in location.components() {
            base.pop();
        }
        return base;
    }
    here.to_path_buf()
}

fn print_step(step: &PairStep, (left, right): (u64, u64)) {
    match &step.finding {
        PairFinding::Copies(survivors) => {
            let said = |row, survivor: &Option<u64>| {
                survivor.map(|stays| format!("row {row} is a copy of row {stays}, which stays"))
            };
            let [one, two] = survivors;
            let said: Vec<String> = [said(left, one), said(right, two)]
                .into_iter()
                .flatten()
                .collect();
            let said = if said.is_empty() {
                "neither row is a copy of another that stays".to_owned()
            } else {
                said.join("; ")
            };
            print_line(&format!("{}: {said}", step.step));
        }
        PairFinding::Near(explained) => print_near(&step.step, explained),
    }
}

fn print_near(step: &str, explained: &PairExplanation) {
    let (left, right) = explained.rows;
    if !explained.gone.is_empty() {
        let gone: Vec<String> = explained.gone.iter().map(u64::to_string).collect();
        print_line(&format!(
            "{step}: row {} had left before rows were compared (see removed/ and quarantine/)",
            gone.join(" and row ")
        ));
        return;
    }
    let score = explained.score.unwrap_or_default();
    let what = match explained.method.as_str() {
        "records" => "probability",
        _ => "similarity",
    };
    let verdict = match explained.clusters {
        [Some((one, survivor)), Some((two, _))] if one == two => {
            format!("taken for the same; row {survivor} of their cluster stays")
        }
        _ => "not taken for the same".to_owned(),
    };
    print_line(&format!(
        "{step}: rows {left} and {right} were {verdict}. {what} {score:.4}, threshold {:.4}",
        explained.threshold
    ));
    if !explained.met {
        print_line(
            "They share too few keys: the step did not compare them, what follows is what it would have \
             found.",
        );
    } else if score >= explained.threshold && explained.clusters[0] != explained.clusters[1] {
        print_line(
            "Alone they match; the other rows that match one of them do not agree with the other.",
        );
    }
    if explained.fields.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    let (left, right) = (format!("row {left}"), format!("row {right}"));
    let weighed = if explained.outset.is_some() {
        "bits"
    } else {
        "adds"
    };
    table.set_header(["column", &left, &right, "agreement", weighed]);
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for field in &explained.fields {
        table.add_row(row_of(field));
    }
    let mut add = |what: &str, bits: Option<f64>| {
        if let Some(bits) = bits {
            table.add_row([what, "", "", "", &signed(bits)]);
        }
    };
    add("any two rows", explained.outset);
    add("columns exchanged", explained.exchanged);
    add("how rare what is identical is", explained.rarity);
    println!("{table}");
}

fn row_of(field: &FieldExplanation) -> [String; 5] {
    let name = match field.part.as_str() {
        "whole" => field.column.clone(),
        part => format!("{} ({part})", field.column),
    };
    let [left, right] = &field.values;
    [
        name,
        left.clone().unwrap_or_default(),
        right.clone().unwrap_or_default(),
        field.agreement.clone().unwrap_or("missing".to_owned()),
        field.weight.map_or("0".to_owned(), signed),
    ]
}

fn signed(bits: f64) -> String {
    format!("{bits:+.2}")
}
