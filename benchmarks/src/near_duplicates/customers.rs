//! Near duplicates in a table of the generator, whose truth is known at any size.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use benchmarks_generator::{
    Alteration, CustomerGenerator, RowKind, StandardJob, quoted, write_table,
};

use super::score::PairScore;
use crate::measure::{Usage, run_measured};
use crate::quality::{number_columns, share};
use crate::workspace::{BENCHMARK_SALT, make_once, remove_folder};

/// Raised when the generator writes other rows for the same seed, so that no stale table is measured.
const GENERATOR_VERSION: u32 = 1;

/// A table of the generator on the disk.
#[derive(Clone, Debug)]
pub struct CustomerTable {
    /// Its rows.
    pub rows: u64,
    path: PathBuf,
    generator: CustomerGenerator,
}

impl CustomerTable {
    /// The table of this size and seed with so many near duplicates in a thousand rows, made in `folder` unless it is
    /// there.
    pub fn open(folder: &Path, rows: u64, seed: u64, near_per_mille: u64) -> Result<Self> {
        let name = format!("near-v{GENERATOR_VERSION}-{rows}-{seed}-{near_per_mille}.csv");
        let path = folder.join(name);
        let generator = CustomerGenerator::new(seed).with_near_duplicates(near_per_mille);
        make_once(&path, |unfinished| {
            write_table(generator, rows, 1, unfinished, None).map(|_| ())
        })?;
        Ok(Self {
            rows,
            path,
            generator,
        })
    }

    /// The standard clean-up with near duplicates; gives what it took, and what was found.
    pub fn clean(
        &self,
        sanitizer: &Path,
        memory_limit: &str,
        folder: &Path,
    ) -> Result<(Usage, CustomerScore)> {
        let output = folder.join("out");
        let job = StandardJob {
            memory_limit: memory_limit.to_owned(),
            near_duplicates: Some(String::new()),
            ..StandardJob::new(&self.path.to_string_lossy(), &output.to_string_lossy())
        };
        let usage = run_job(&job, sanitizer, folder)?;
        let score = self.score(&[&output])?;
        remove_folder(&output)?;
        Ok((usage, score))
    }

    /// The same in two jobs: nine tenths of the rows, with an index, and the last tenth against that. Gives what each
    /// took, and what both have found.
    pub fn clean_in_parts(
        &self,
        sanitizer: &Path,
        memory_limit: &str,
        folder: &Path,
    ) -> Result<([Usage; 2], CustomerScore)> {
        let parts = folder.join("parts");
        remove_folder(&parts)?;
        std::fs::create_dir_all(&parts)?;
        let written = write_table(self.generator, self.rows, 10, &parts.join("part.csv"), None)?;
        let files = written
            .files
            .iter()
            .map(|file| file.to_string_lossy().into_owned());
        let mut files: Vec<String> = files.collect();
        let last = files.split_off(9);
        let (first, second) = (folder.join("first"), folder.join("second"));
        let job = |sources: Vec<String>, output: &Path, options: String| StandardJob {
            sources,
            memory_limit: memory_limit.to_owned(),
            near_duplicates: Some(options),
            ..StandardJob::new("", &output.to_string_lossy())
        };
        let index = job(files, &first, ", index: true".to_owned());
        let against = format!(", against: {}", quoted(&first.to_string_lossy()));
        let against = job(last, &second, against);
        let usages = [
            run_job(&index, sanitizer, folder)?,
            run_job(&against, sanitizer, folder)?,
        ];
        let score = self.score(&[&first, &second])?;
        for folder in [&parts, &first, &second] {
            remove_folder(folder)?;
        }
        Ok((usages, score))
    }

    /// How far the duplicates of outputs, whose rows are numbered on, are the true ones.
    fn score(&self, outputs: &[&Path]) -> Result<CustomerScore> {
        // Each row by the row that it was put together with: exact copies first, then clusters.
        let mut found: HashMap<u64, u64> = HashMap::new();
        for output in outputs {
            let clusters = output.join("clusters");
            for [cluster, row] in number_columns(&clusters, ["cluster_id", "row_id"])? {
                found.insert(row, cluster);
                // A row of an earlier output that stood alone there.
                found.entry(cluster).or_insert(cluster);
            }
        }
        for output in outputs {
            for [row, of] in number_columns(&output.join("removed"), ["row_id", "duplicate_of"])? {
                if !found.contains_key(&row) {
                    let cluster = *found.entry(of).or_insert(of);
                    found.insert(row, cluster);
                }
            }
        }
        let found = groups(found.into_iter().map(|(row, cluster)| (cluster, row)));
        let customers = (0..self.rows).filter_map(|row| {
            Some(match self.generator.kind(row) {
                RowKind::Original => (row, row),
                RowKind::Copy { of } | RowKind::Respelt { of } => (of, row),
                RowKind::NearDuplicate { of, .. } => (of, row),
                RowKind::Ragged => return None,
            })
        });
        let truth = groups(customers);
        let mut score = CustomerScore::default();
        self.pairs(truth.values(), |alteration, _| {
            if let Some(alteration) = alteration {
                score.pairs.truth += 1;
                if let Altered::By(by) = alteration {
                    score.kinds.entry(by).or_default().0 += 1;
                }
            }
        });
        self.pairs(found.values(), |alteration, same| match alteration {
            _ if !same => score.pairs.found += 1,
            // Exact copies count neither way.
            None => {}
            Some(alteration) => {
                score.pairs.found += 1;
                score.pairs.right += 1;
                if let Altered::By(by) = alteration {
                    score.kinds.entry(by).or_default().1 += 1;
                }
            }
        });
        Ok(score)
    }

    /// Gives of each pair within a group what makes it differ, and whether it is one customer.
    fn pairs<'a>(
        &self,
        groups: impl Iterator<Item = &'a Vec<u64>>,
        mut take: impl FnMut(Option<Altered>, bool),
    ) {
        for rows in groups.filter(|rows| rows.len() > 1) {
            let rows: Vec<_> = rows.iter().map(|row| self.customer_of(*row)).collect();
            for (place, (left, one)) in rows.iter().enumerate() {
                for (right, two) in &rows[place + 1..] {
                    let altered = match (one, two) {
                        (None, None) => None,
                        (Some(by), None) | (None, Some(by)) => Some(Altered::By(*by)),
                        (Some(_), Some(_)) => Some(Altered::Twice),
                    };
                    take(altered, left == right);
                }
            }
        }
    }

    fn customer_of(&self, row: u64) -> (u64, Option<Alteration>) {
        match self.generator.kind(row) {
            RowKind::Original | RowKind::Ragged => (row, None),
            RowKind::Copy { of } | RowKind::Respelt { of } => (of, None),
            RowKind::NearDuplicate { of, by } => (of, Some(by)),
        }
    }
}

/// Runs a job over an output of its own; gives what it took.
fn run_job(job: &StandardJob, sanitizer: &Path, folder: &Path) -> Result<Usage> {
    remove_folder(Path::new(&job.output))?;
    let spec = folder.join("job.yaml");
    std::fs::write(&spec, job.to_yaml())
        .with_context(|| format!("cannot write {}", spec.display()))?;
    let mut command = Command::new(sanitizer);
    command.arg("run").arg(&spec);
    command.env("SANITIZER_SALT", BENCHMARK_SALT);
    let (usage, _) = run_measured(&mut command, folder)
        .with_context(|| format!("cleaning {}", job.sources.join(", ")))?;
    Ok(usage)
}

/// What makes the rows of a near duplicate differ.
#[derive(Clone, Copy, Debug)]
enum Altered {
    /// One row was altered.
    By(Alteration),
    /// Both were.
    Twice,
}

fn groups(members: impl Iterator<Item = (u64, u64)>) -> HashMap<u64, Vec<u64>> {
    let mut groups: HashMap<u64, Vec<u64>> = HashMap::new();
    for (group, row) in members {
        groups.entry(group).or_default().push(row);
    }
    groups
}

/// How far the near duplicates that were found are the true ones; exact copies count neither way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerScore {
    /// Pair by pair.
    pub pairs: PairScore,
    /// Of the pairs with one altered row: true ones, and those that were found.
    kinds: BTreeMap<Alteration, (u64, u64)>,
}

impl CustomerScore {
    /// The share of the pairs of this kind that were found.
    pub fn recall_of(&self, kind: Alteration) -> Option<f64> {
        let (truth, right) = self.kinds.get(&kind).copied().unwrap_or_default();
        share(right, truth)
    }
}
