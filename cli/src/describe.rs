//! `sanitizer profile` and `sanitizer schema`.

use std::sync::Arc;

use anyhow::Context;
use comfy_table::{ContentArrangement, Table, presets};
use planner::contract::Contract;
use planner::profile::ColumnProfile;
use planner::run::{Progress, discover, open_source, profile_source};
use planner::source::Source;
use planner::spec::{DatasetSpec, JobSpec, Locations, SourceSpec};
use planner::storage::{LocationPolicy, Place};

use crate::arguments::{ProfileArguments, SchemaArguments, SchemaDocument};
use crate::lines::print_line;
use crate::progress::Bar;

/// A source with what its values show.
pub(crate) struct Described {
    pub(crate) source: Arc<Source>,
    pub(crate) contract: Contract,
    pub(crate) profiles: Vec<ColumnProfile>,
}

/// Looks at all values of a location.
pub(crate) fn look(location: &str) -> anyhow::Result<Described> {
    let here = std::env::current_dir().context("the current folder cannot be told")?;
    let staging = tempfile::tempdir().context("no temporary folder can be made")?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let spec = SourceSpec {
        location: Locations(vec![location.to_owned()]),
        ..SourceSpec::default()
    };
    let progress = Arc::new(Progress::default());
    let bar = Bar::start(Arc::clone(&progress));
    let described = (|| -> planner::Result<Described> {
        let source = open_source(
            &spec,
            None,
            &LocationPolicy::everything(here),
            &Place::own(staging.path()),
        )?;
        let contract = discover(&source, &DatasetSpec::default(), threads, true, &progress)?;
        let profiles = profile_source(&source, &contract, 42, threads, &progress)?;
        Ok(Described {
            source,
            contract,
            profiles,
        })
    })();
    bar.stop();
    Ok(described?)
}

/// Prints a table of the columns.
pub(crate) fn profile(arguments: &ProfileArguments) -> anyhow::Result<()> {
    let described = look(&arguments.data)?;
    if arguments.json {
        let document = serde_json::json!({
            "rows": described.source.total_rows,
            "columns": described.profiles,
            "contract": described.contract,
            "notes": described.source.notes,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    println!(
        "{} rows, {} columns",
        described.source.total_rows,
        described.profiles.len()
    );
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            "column",
            "type",
            "nulls",
            "distinct",
            "min",
            "median",
            "max",
            "personal data",
            "samples",
        ]);
    for (profile, column) in described.profiles.iter().zip(&described.contract.columns) {
        let pii = column.inferred.as_ref().and_then(|seen| seen.pii.as_ref());
        let about = if profile.distinct_exact { "" } else { "≈" };
        table.add_row([
            profile.name.clone(),
            profile.column_type.clone(),
            profile.nulls.to_string(),
            format!("{about}{}", profile.distinct),
            profile.min.clone().unwrap_or_default(),
            profile.median.clone().unwrap_or_default(),
            profile.max.clone().unwrap_or_default(),
            pii.map(|found| format!("{} {:.0} %", found.entity, found.hit_rate * 100.0))
                .unwrap_or_default(),
            profile
                .samples
                .iter()
                .take(3)
                .map(|text| cut(text))
                .collect::<Vec<_>>()
                .join(", "),
        ]);
    }
    println!("{table}");
    for column in &described.contract.columns {
        for remark in column.inferred.iter().flat_map(|seen| &seen.remarks) {
            print_line(&format!("{}: {remark}", column.name));
        }
    }
    for note in &described.source.notes {
        print_line(&format!("note: {note}"));
    }
    Ok(())
}

fn cut(text: &str) -> String {
    if text.chars().count() <= 24 {
        return text.to_owned();
    }
    let head: String = text.chars().take(23).collect();
    format!("{head}…")
}

/// Prints the JSON Schema of a document.
pub(crate) fn schema(arguments: &SchemaArguments) -> anyhow::Result<()> {
    match arguments.document {
        SchemaDocument::Job if arguments.markdown => print!("{}", JobSpec::reference()),
        SchemaDocument::Job => {
            println!(
                "{}",
                serde_json::to_string_pretty(&JobSpec::document_schema())?
            );
        }
    }
    Ok(())
}
