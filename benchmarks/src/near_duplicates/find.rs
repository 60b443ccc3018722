//! Finding near duplicates: our program, and Splink.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::documents::{DocumentSet, THRESHOLD};
use super::table::LabelledTable;
use crate::measure::{Usage, run_measured};
use crate::quality::{QualityJob, number_columns};
use crate::speed::PythonPeers;

/// What was found in a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The rows that are the same, by their numbers from 0; rows that stand alone may be left out.
    pub clusters: Vec<Vec<u64>>,
    /// The seconds it took; of a script without the start of the interpreter and its imports.
    pub seconds: f64,
}

impl Found {
    /// The rows that go if one of each cluster stays.
    pub fn removed(&self) -> usize {
        let clusters = self.clusters.iter();
        clusters.map(|rows| rows.len().saturating_sub(1)).sum()
    }
}

/// The file of a table in `folder`, written anew.
fn write_table(table: &LabelledTable, folder: &Path) -> Result<PathBuf> {
    let words: Vec<_> = table
        .name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let path = folder.join(format!("{}.csv", words.join("-")));
    table.table.write(&path)?;
    Ok(path)
}

/// Cleans the table with the step `near_dedupe` as it is by default, the same for all tables.
pub fn find_with_sanitizer(
    table: &LabelledTable,
    sanitizer: &Path,
    folder: &Path,
) -> Result<Found> {
    let step = if table.is_linking() {
        "{type: near_dedupe, link_by: source}"
    } else {
        "{type: near_dedupe}"
    };
    let job = QualityJob {
        steps: vec![step.to_owned()],
        ..QualityJob::default()
    };
    let source = write_table(table, folder)?;
    let (output, usage) = job.write_output(sanitizer, &source, folder)?;
    Ok(Found {
        clusters: clusters_of(&output)?,
        seconds: usage.wall_seconds,
    })
}

/// The clusters of an output.
pub(super) fn clusters_of(output: &Path) -> Result<Vec<Vec<u64>>> {
    let members = number_columns(&output.join("clusters"), ["cluster_id", "row_id"])?;
    let mut clusters: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for [cluster, row] in members {
        clusters.entry(cluster).or_default().push(row);
    }
    Ok(clusters.into_values().collect())
}

/// What a script prints.
#[derive(Deserialize)]
struct ScriptOutput {
    clusters: Vec<Vec<u64>>,
    work_seconds: f64,
}

/// Finds the duplicates with Splink, with one configuration for all tables.
pub fn find_with_splink(
    table: &LabelledTable,
    peers: &PythonPeers,
    folder: &Path,
) -> Result<Found> {
    let source = write_table(table, folder)?;
    let mut command = peers.splink();
    command.arg(&source);
    command.arg(if table.is_linking() { "link" } else { "dedupe" });
    let (_, output) = run_measured(&mut command, folder)?;
    read_output(&output)
}

fn read_output(output: &str) -> Result<Found> {
    let output: ScriptOutput =
        serde_json::from_str(output).context("the script wrote no clusters")?;
    Ok(Found {
        clusters: output.clusters,
        seconds: output.work_seconds,
    })
}

/// Finds documents that nearly repeat others with the script of another tool.
pub fn find_documents_with(
    mut script: Command,
    documents: &DocumentSet,
    folder: &Path,
) -> Result<(Found, Usage)> {
    script.arg(&documents.path).arg(THRESHOLD.to_string());
    let (usage, output) = run_measured(&mut script, folder)?;
    Ok((read_output(&output)?, usage))
}
