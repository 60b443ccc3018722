//! `benchmarks quality`: repairs, outliers and normalisation against the truth of real data.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use comfy_table::Table;

use super::data_sets::{DATA, open_data};
use super::failures::Failures;
use crate::figure_table::figure_table;
use crate::quality::{
    Agreement, NormalizationScore, OUTLIER_METHODS, dates, numbers, outlier_tables, phones,
    repair_sets, score_outliers, score_repairs, truth_values,
};
use crate::workspace::Workspace;

/// Measure how well real data is repaired and normalised.
#[derive(Args, Clone, Debug)]
pub struct QualityArgs {
    /// The folder of the data sets.
    #[arg(long, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// The program to measure [default: the one built next to this one].
    #[arg(long, value_name = "PATH")]
    pub sanitizer: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &QualityArgs) -> Result<()> {
    let Some(data) = open_data(&args.data)? else {
        return Ok(());
    };
    let workspace = Workspace::of_this_build()?;
    let sanitizer = workspace.sanitizer(args.sanitizer.as_deref())?;
    let folder = workspace.subfolder("quality")?;
    let mut failures = Failures::default();
    print_repairs(&data, &sanitizer, &folder, &mut failures)?;
    print_outliers(&data, &sanitizer, &folder, &mut failures)?;
    print_normalization(&data, &sanitizer, &folder, &mut failures)?;
    failures.into_result()
}

fn print_repairs(
    data: &Path,
    sanitizer: &Path,
    folder: &Path,
    failures: &mut Failures,
) -> Result<()> {
    println!("repairs, cell by cell");
    let mut output = figure_table(&[
        "table",
        "cells",
        "dirty",
        "changed",
        "right",
        "precision",
        "recall",
        "F1",
    ]);
    let mut dgov = Agreement::default();
    let sets = repair_sets(data)?;
    if sets.is_empty() {
        println!(
            "skipped: no repair_hospital, repair_beers or repair_dgov in {}\n",
            data.display()
        );
        return Ok(());
    }
    for set in &sets {
        let Some(score) = failures.note(&set.table.name, score_repairs(set, sanitizer, folder))
        else {
            continue;
        };
        if set.table.name.starts_with("DGov") {
            dgov += score;
        }
        add_agreement(&mut output, &set.table.name, &score);
    }
    add_agreement(&mut output, "DGov_Typo, all tables", &dgov);
    println!("{output}\n");
    Ok(())
}

fn print_outliers(
    data: &Path,
    sanitizer: &Path,
    folder: &Path,
    failures: &mut Failures,
) -> Result<()> {
    println!(
        "outliers put into the numbers of DGov_NO, found with default thresholds ({} is the default)",
        OUTLIER_METHODS[0]
    );
    let mut output = figure_table(&[
        "table",
        "cells",
        "outliers",
        "found",
        "right",
        "precision",
        "recall",
        "F1",
    ]);
    let tables = outlier_tables(data)?;
    if tables.is_empty() {
        println!("skipped: no repair_dgov/DGov_NO in {}\n", data.display());
        return Ok(());
    }
    for method in OUTLIER_METHODS {
        let mut all = Agreement::default();
        for table in &tables {
            let name = format!("{method}, {}", table.name);
            let score = score_outliers(table, method, sanitizer, folder);
            let Some(score) = failures.note(&name, score) else {
                continue;
            };
            all += score;
            if method == OUTLIER_METHODS[0] {
                add_agreement(&mut output, &name, &score);
            }
        }
        add_agreement(&mut output, &format!("{method}, all tables"), &all);
    }
    println!("{output}\n");
    Ok(())
}

fn print_normalization(
    data: &Path,
    sanitizer: &Path,
    folder: &Path,
    failures: &mut Failures,
) -> Result<()> {
    println!("normalisation of single cells");
    let mut output = figure_table(&[
        "cells",
        "number",
        "right",
        "wrong",
        "not read",
        "right in 100",
    ]);
    let mut sets = Vec::new();
    let mut add = |file: &str, found: Option<Vec<_>>| match found {
        Some(found) => sets.extend(found),
        None => println!("skipped: no {file} in {}", data.display()),
    };
    add("norm_libphonenumber", phones(data)?.map(Vec::from));
    add("norm_recognizers_text (dates)", dates(data)?.map(Vec::from));
    add(
        "norm_recognizers_text (numbers)",
        numbers(data)?.map(Vec::from),
    );
    add(
        "norm_recognizers_text (yes or no)",
        truth_values(data)?.map(Vec::from),
    );
    for set in &sets {
        let Some(score) = failures.note(set.name, set.score(sanitizer, folder)) else {
            continue;
        };
        let NormalizationScore {
            cells,
            right,
            wrong,
            unread,
        } = score;
        let share = 100.0 * right as f64 / cells.max(1) as f64;
        output.add_row([
            set.name.to_owned(),
            cells.to_string(),
            right.to_string(),
            wrong.to_string(),
            unread.to_string(),
            format!("{share:.1}"),
        ]);
    }
    println!("{output}");
    Ok(())
}

fn add_agreement(output: &mut Table, name: &str, score: &Agreement) {
    let figure = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{share:.3}"));
    output.add_row([
        name.to_owned(),
        score.cells.to_string(),
        score.dirty.to_string(),
        score.changed.to_string(),
        score.correct.to_string(),
        figure(score.precision()),
        figure(score.recall()),
        figure(score.f1()),
    ]);
}
