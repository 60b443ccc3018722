//! The report as the template shows it: every figure a text, every bar a width.

use serde::Serialize;
use serde_json::Value;

use super::charts::{
    Distribution, FlowPart, ValueRow, distribution, frequent_values, optional_figure, row_flow,
};
use super::diff::{Piece, mark_changes};
use super::format::{
    bytes, capital, count, cut, duration, figure_text, name_list, percent, percent_of, plain_json,
    plural, width, words,
};
use super::model::{ColumnReport, Report, SampleFix, TransformationReport};
use super::sentences::{
    DUPLICATE, NEAR_DUPLICATE, is_exposed, overview, pii_outcome, removed_for, step_effects,
    step_title,
};
use planner_profile::ColumnProfile;

/// Up to this many columns are shown open.
const FEW_COLUMNS: usize = 12;

/// Most samples of a kind on the page.
const MOST_SAMPLES: usize = 300;

/// The whole page.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    job_id: String,
    generator: String,
    generated_at: Option<String>,
    rows_in: String,
    rows_out: String,
    tiles: Vec<Tile>,
    flow: Vec<FlowPart>,
    overview: Vec<String>,
    notes: Vec<String>,
    steps: Vec<StepView>,
    columns: Vec<ColumnView>,
    columns_open: bool,
    // What the figures of the columns rest on, if not on all rows.
    basis: Option<String>,
    fixes: Vec<FixView>,
    fixes_of: String,
    removed: Vec<ReasonView>,
    removed_samples: Vec<Vec<String>>,
    quarantine: Vec<ReasonView>,
    quarantine_samples: Vec<QuarantineView>,
    violations: Vec<Vec<String>>,
    pii: Vec<PiiView>,
    sources: Vec<Vec<String>>,
    timings: Vec<Vec<String>>,
}

/// A headline number.
#[derive(Debug, Serialize)]
struct Tile {
    label: &'static str,
    value: String,
    detail: String,
}

/// A step.
#[derive(Debug, Serialize)]
struct StepView {
    id: String,
    name: String,
    title: String,
    columns: String,
    effects: String,
    idle: bool,
    // Cells that the step changed, or rows that it took out.
    measure: String,
    unit: &'static str,
    width: Option<String>,
    params: Vec<(String, String)>,
    learned: Vec<(String, String)>,
    method: Option<String>,
}

/// A column.
#[derive(Debug, Serialize)]
struct ColumnView {
    number: usize,
    name: String,
    kind: String,
    pii: Option<String>,
    excluded: bool,
    changed: String,
    is_changed: bool,
    filled_before: Filled,
    filled_after: Option<Filled>,
    facts: Vec<Fact>,
    distribution: Option<Distribution>,
    values: Vec<ValueRow>,
    remarks: Vec<String>,
}

/// The share of the rows that have a value.
#[derive(Debug, Serialize)]
struct Filled {
    label: String,
    width: String,
}

/// A figure of a column, before and after.
#[derive(Debug, Serialize)]
struct Fact {
    label: &'static str,
    before: String,
    after: String,
    differs: bool,
}

/// A changed cell.
#[derive(Debug, Serialize)]
struct FixView {
    row: String,
    column: String,
    // Number of the column on the page.
    number: Option<usize>,
    original: Option<Vec<Piece>>,
    cleaned: Option<Vec<Piece>>,
    step: String,
    confidence: String,
    guess: bool,
}

/// A reason and its rows.
#[derive(Debug, Serialize)]
struct ReasonView {
    reason: String,
    rows: String,
    share: String,
    width: String,
}

/// A row set aside.
#[derive(Debug, Serialize)]
struct QuarantineView {
    row: String,
    place: String,
    column: Option<String>,
    reason: String,
    raw: Option<String>,
}

/// Personal data of a column.
#[derive(Debug, Serialize)]
struct PiiView {
    column: String,
    entity: String,
    confidence: String,
    hit_rate: String,
    outcome: String,
    exposed: bool,
}

impl Page {
    /// Returns the page of a report.
    pub(super) fn new(report: &Report) -> Self {
        let most_cells = report
            .transformations_applied
            .iter()
            .map(|step| step.cells_modified);
        let most_cells = most_cells.max().unwrap_or(0);
        let steps = report.transformations_applied.iter();
        let columns = report.columns.iter().enumerate();
        Self {
            title: report
                .name
                .as_deref()
                .map_or_else(|| "Cleaning report".to_owned(), |name| cut(name, 120)),
            job_id: cut(&report.job_id, 80),
            generator: cut(&report.generator, 80),
            generated_at: report.generated_at.as_deref().map(|time| cut(time, 40)),
            rows_in: plural(report.summary.original_row_count, "row"),
            rows_out: plural(report.summary.cleaned_row_count, "clean row"),
            tiles: tiles(report),
            flow: flow(report),
            overview: overview(report),
            notes: report.notes.iter().map(|note| cut(note, 600)).collect(),
            steps: steps.map(|step| step_view(step, most_cells)).collect(),
            columns: columns
                .map(|(place, column)| column_view(place + 1, column))
                .collect(),
            columns_open: report.columns.len() <= FEW_COLUMNS,
            basis: basis(report),
            fixes: report
                .samples
                .iter()
                .take(MOST_SAMPLES)
                .map(|fix| fix_view(report, fix))
                .collect(),
            fixes_of: count(report.quality_metrics.cells_modified),
            removed: reasons(&report.removed.reasons, report.removed.rows),
            removed_samples: removed_samples(report),
            quarantine: reasons(&report.quarantine.reasons, report.quarantine.rows),
            quarantine_samples: quarantine_samples(report),
            violations: violations(report),
            pii: pii(report),
            sources: sources(report),
            timings: timings(report),
        }
    }
}

fn tiles(report: &Report) -> Vec<Tile> {
    let (summary, metrics) = (&report.summary, &report.quality_metrics);
    let share = |rows| {
        format!(
            "{} of all rows",
            percent_of(rows, summary.original_row_count)
        )
    };
    let guesses = match metrics.low_confidence_fixes {
        0 if metrics.cells_modified == 0 => "nothing to fix".to_owned(),
        0 => "none of them a guess".to_owned(),
        guesses => format!("{} of them best guesses", count(guesses)),
    };
    let tile = |label, value, detail| Tile {
        label,
        value,
        detail,
    };
    let source = match report.sources.len() {
        0 => "from the source".to_owned(),
        files => format!("from {}", plural(files as u64, "file")),
    };
    let before = percent(metrics.completeness_before);
    vec![
        tile("Rows read", count(summary.original_row_count), source),
        tile(
            "Clean rows",
            count(summary.cleaned_row_count),
            share(summary.cleaned_row_count),
        ),
        tile(
            "Removed",
            count(summary.rows_dropped),
            share(summary.rows_dropped),
        ),
        tile(
            "Set aside",
            count(summary.rows_quarantined),
            share(summary.rows_quarantined),
        ),
        tile("Cells changed", count(metrics.cells_modified), guesses),
        match summary.original_row_count {
            0 => tile("Filled cells", "–".to_owned(), "no rows".to_owned()),
            _ => tile(
                "Filled cells",
                percent(metrics.completeness_after),
                format!("{before} before"),
            ),
        },
    ]
}

fn flow(report: &Report) -> Vec<FlowPart> {
    let summary = &report.summary;
    let exact = removed_for(report, DUPLICATE);
    let near = removed_for(report, NEAR_DUPLICATE);
    let others = summary
        .rows_dropped
        .saturating_sub(exact)
        .saturating_sub(near);
    row_flow(&[
        ("kept", "clean", summary.cleaned_row_count),
        ("duplicate", "duplicates removed", exact),
        ("near", "near duplicates removed", near),
        ("removed", "removed for other reasons", others),
        ("quarantine", "set aside", summary.rows_quarantined),
    ])
}

fn step_view(step: &TransformationReport, most_cells: u64) -> StepView {
    let effects = step_effects(step);
    let rows = step.rows_removed.saturating_add(step.rows_quarantined);
    let in_rows = rows > 0 && step.cells_modified == 0;
    let own = |name: &str| name != "columns" && name != "type";
    StepView {
        id: cut(&step.id, 20),
        name: cut(&step.step, 40),
        title: step_title(step),
        columns: name_list(&step.columns, 6),
        idle: effects.is_empty(),
        effects: match effects.is_empty() {
            true => "Found nothing to change.".to_owned(),
            false => format!("{}.", capital(&effects.join(", "))),
        },
        measure: match effects.is_empty() {
            true => String::new(),
            false => count(if in_rows { rows } else { step.cells_modified }),
        },
        unit: if in_rows { "rows" } else { "cells" },
        width: (step.cells_modified > 0)
            .then(|| width(step.cells_modified as f64 / most_cells.max(1) as f64)),
        params: json_rows(&step.params, own),
        learned: json_rows(&step.learned, |_| true),
        method: step.method.as_deref().map(|method| cut(method, 200)),
    }
}

/// The fields of an object as rows of a table; anything else as one row without a name.
fn json_rows(value: &Value, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    match value {
        Value::Null => Vec::new(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, value)| wanted(name) && !value.is_null())
            .take(50)
            .map(|(name, value)| (cut(name, 60), plain_json(value)))
            .collect(),
        other => vec![(String::new(), plain_json(other))],
    }
}

fn column_view(number: usize, column: &ColumnReport) -> ColumnView {
    let filled = |profile: &ColumnProfile| {
        let present = profile.rows.saturating_sub(profile.nulls);
        Filled {
            label: percent_of(present, profile.rows),
            width: width(present as f64 / profile.rows.max(1) as f64),
        }
    };
    let after = column.after.as_ref();
    let distribution = distribution(column);
    ColumnView {
        number,
        name: match column.name.is_empty() {
            true => "(no name)".to_owned(),
            false => cut(&column.name, 80),
        },
        kind: cut(&column.column_type, 20),
        pii: column
            .pii
            .then(|| pii_badge(column.pii_strategy.as_deref())),
        excluded: after.is_none(),
        changed: count(column.cells_modified),
        is_changed: column.cells_modified > 0 || after.is_none(),
        filled_before: filled(&column.before),
        filled_after: after.map(filled),
        facts: facts(&column.before, after),
        // Long continuous distributions say more than their most frequent values.
        values: if distribution.is_some() {
            Vec::new()
        } else {
            frequent_values(column)
        },
        distribution,
        remarks: column
            .remarks
            .iter()
            .map(|remark| cut(remark, 400))
            .collect(),
    }
}

/// Whether figures rest on a sample of the rows.
fn basis(report: &Report) -> Option<String> {
    let sampled = |profile: &&ColumnProfile| profile.sampled_rows < profile.rows;
    let profiles = report.columns.iter().map(|column| &column.before);
    let rows = profiles
        .filter(sampled)
        .map(|profile| profile.sampled_rows)
        .max()?;
    Some(format!(
        "Distributions, medians, means and frequent values are from a sample of {} at most; counts of rows and missing values, smallest and largest are exact.",
        plural(rows, "row")
    ))
}

fn pii_badge(strategy: Option<&str>) -> String {
    match strategy {
        Some("hash") => "personal data, hashed".to_owned(),
        Some("redact") => "personal data, redacted".to_owned(),
        Some("exclude") => "personal data, left out".to_owned(),
        Some("tokenize") => "personal data, tokenized".to_owned(),
        Some("keep") => "personal data, kept".to_owned(),
        Some(other) => format!("personal data, {}", words(other)),
        None => "personal data".to_owned(),
    }
}

fn facts(before: &ColumnProfile, after: Option<&ColumnProfile>) -> Vec<Fact> {
    type Reader = fn(&ColumnProfile) -> String;
    let readers: [(&'static str, Reader); 9] = [
        ("Rows", |profile| count(profile.rows)),
        ("Missing", |profile| match profile.nulls {
            0 => "0".to_owned(),
            nulls => format!("{} ({})", count(nulls), percent_of(nulls, profile.rows)),
        }),
        ("Different values", |profile| match profile.distinct_exact {
            true => count(profile.distinct),
            false => format!("≈ {}", count(profile.distinct)),
        }),
        ("Smallest", |profile| option_text(&profile.min)),
        ("Median", |profile| option_text(&profile.median)),
        ("Mean", |profile| optional_figure(profile.mean)),
        ("Largest", |profile| option_text(&profile.max)),
        ("Standard deviation", |profile| {
            optional_figure(profile.stddev)
        }),
        ("Length of the text", |profile| match profile.lengths {
            Some((least, most)) if least == most => count(least),
            Some((least, most)) => format!("{} to {}", count(least), count(most)),
            None => "–".to_owned(),
        }),
    ];
    let fact = |(label, read): (&'static str, Reader)| {
        let before = read(before);
        let after = after.map(read);
        let empty = |text: &str| text == "–";
        let shown = !empty(&before) || after.as_deref().is_some_and(|after| !empty(after));
        shown.then(|| Fact {
            label,
            differs: label != "Rows" && after.as_deref().is_some_and(|after| after != before),
            before,
            after: after.unwrap_or_else(|| "–".to_owned()),
        })
    };
    readers.into_iter().filter_map(fact).collect()
}

fn option_text(value: &Option<String>) -> String {
    value.as_deref().map_or_else(|| "–".to_owned(), figure_text)
}

fn fix_view(report: &Report, fix: &SampleFix) -> FixView {
    let place = report
        .columns
        .iter()
        .position(|column| column.name == fix.column);
    let (original, cleaned) = match (&fix.original, &fix.cleaned) {
        (Some(original), Some(cleaned)) => {
            let (before, after) = mark_changes(original, cleaned);
            (Some(before), Some(after))
        }
        (original, cleaned) => (
            original.as_deref().map(|value| mark_changes(value, "").0),
            cleaned.as_deref().map(|value| mark_changes("", value).1),
        ),
    };
    let step = report
        .transformations_applied
        .iter()
        .find(|step| step.id == fix.transformation_id);
    FixView {
        row: fix.row_id.to_string(),
        column: cut(&fix.column, 60),
        number: place.map(|place| place + 1),
        original,
        cleaned,
        step: match step {
            Some(step) => format!("{} {}", cut(&step.id, 20), cut(&step.step, 40)),
            None => cut(&fix.transformation_id, 20),
        },
        confidence: match fix.confidence.is_finite() {
            true => format!("{:.2}", fix.confidence),
            false => "–".to_owned(),
        },
        guess: fix.confidence < 1.0,
    }
}

fn reasons(reasons: &[super::ReasonCount], rows: u64) -> Vec<ReasonView> {
    let largest = reasons
        .iter()
        .map(|reason| reason.rows)
        .max()
        .unwrap_or(0)
        .max(1);
    let reason = |reason: &super::ReasonCount| ReasonView {
        reason: capital(&cut(&words(&reason.reason), 160)),
        rows: count(reason.rows),
        share: percent_of(reason.rows, rows),
        width: width(reason.rows as f64 / largest as f64),
    };
    reasons.iter().take(50).map(reason).collect()
}

fn removed_samples(report: &Report) -> Vec<Vec<String>> {
    let samples = report.removed.samples.iter().take(MOST_SAMPLES);
    let dash = || "–".to_owned();
    samples
        .map(|sample| {
            vec![
                sample.row_id.to_string(),
                words(&sample.reason),
                sample.duplicate_of.map_or_else(dash, |row| row.to_string()),
                sample
                    .score
                    .map_or_else(dash, |score| format!("{score:.2}")),
                cut(&sample.transformation_id, 20),
            ]
        })
        .collect()
}

fn quarantine_samples(report: &Report) -> Vec<QuarantineView> {
    let samples = report.quarantine.samples.iter().take(MOST_SAMPLES);
    samples
        .map(|sample| QuarantineView {
            row: sample.row_id.to_string(),
            place: format!("{}:{}", cut(&sample.file, 80), sample.line),
            column: sample.column.as_deref().map(|column| cut(column, 60)),
            reason: cut(&words(&sample.reason), 200),
            raw: sample.raw.as_deref().map(|raw| cut(raw, 240)),
        })
        .collect()
}

fn violations(report: &Report) -> Vec<Vec<String>> {
    let outcome = |action: &str| match action {
        "flag" => "marked, row stays".to_owned(),
        "set_null" => "value taken out".to_owned(),
        "quarantine" => "row set aside".to_owned(),
        other => words(other),
    };
    let row = |violation: &super::ViolationReport| {
        let ids: Vec<String> = violation
            .sample_row_ids
            .iter()
            .take(5)
            .map(u64::to_string)
            .collect();
        vec![
            violation
                .column
                .as_deref()
                .map_or_else(|| "(row)".to_owned(), |name| cut(name, 60)),
            words(&violation.rule),
            count(violation.rows),
            outcome(&violation.action),
            ids.join(" · "),
            cut(&violation.transformation_id, 20),
        ]
    };
    report.violations.iter().map(row).collect()
}

fn pii(report: &Report) -> Vec<PiiView> {
    let row = |found: &super::PiiReport| PiiView {
        column: cut(&found.column, 60),
        entity: cut(&found.entity, 60),
        confidence: percent(found.confidence),
        hit_rate: found.hit_rate.map_or_else(|| "–".to_owned(), percent),
        outcome: pii_outcome(found.strategy.as_deref()),
        exposed: is_exposed(found),
    };
    report.pii_found.iter().map(row).collect()
}

fn sources(report: &Report) -> Vec<Vec<String>> {
    let sources = report.sources.iter().take(MOST_SAMPLES);
    sources
        .map(|source| {
            vec![
                cut(&source.path, 200),
                bytes(source.bytes),
                count(source.rows),
            ]
        })
        .collect()
}

fn timings(report: &Report) -> Vec<Vec<String>> {
    let timings = report.timings.iter();
    timings
        .map(|(stage, seconds)| vec![capital(&words(stage)), duration(*seconds)])
        .collect()
}
