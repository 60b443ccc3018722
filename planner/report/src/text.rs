//! The report as a few lines of text, for the terminal.

use super::format::{count, cut, duration, name_list, percent, percent_of, plural, words};
use super::model::{ReasonCount, Report};
use super::sentences::{is_exposed, step_effects, step_title};

/// Number of steps that are listed individually.
const MOST_STEPS: usize = 6;

/// Returns a summary of a run in at most fifteen lines: rows in and out, what each step did, and notes. Control
/// characters are removed, whatever the data holds.
pub fn summary_lines(report: &Report) -> Vec<String> {
    let summary = &report.summary;
    let metrics = &report.quality_metrics;
    let name = report
        .name
        .as_deref()
        .map(|name| format!("{}: ", cut(name, 60)));
    let took = report
        .timings
        .get("total")
        .map(|seconds| format!(" in {}", duration(*seconds)));
    let mut lines = vec![format!(
        "{}{} in, {} out ({}){}",
        name.unwrap_or_default(),
        plural(summary.original_row_count, "row"),
        count(summary.cleaned_row_count),
        percent_of(summary.cleaned_row_count, summary.original_row_count),
        took.unwrap_or_default(),
    )];
    if summary.rows_dropped > 0 {
        lines.push(row_line(
            "removed",
            summary.rows_dropped,
            &report.removed.reasons,
        ));
    }
    if summary.rows_quarantined > 0 {
        lines.push(row_line(
            "quarantined",
            summary.rows_quarantined,
            &report.quarantine.reasons,
        ));
    }
    lines.push(cell_line(report));
    if summary.original_row_count > 0 {
        lines.push(format!(
            "  {:<12} {} of the cells before, {} after",
            "filled",
            percent(metrics.completeness_before),
            percent(metrics.completeness_after)
        ));
    }
    lines.extend(step_lines(report));
    lines.extend(pii_line(report));
    if !report.notes.is_empty() {
        let notes = plural(report.notes.len() as u64, "note");
        lines.push(format!("  {:<12} {notes} to read in the report", "notes"));
    }
    lines.push(where_to_look(report));
    lines
}

fn row_line(what: &str, rows: u64, reasons: &[ReasonCount]) -> String {
    let named = |reason: &ReasonCount| {
        format!(
            "{} ({})",
            cut(&words(&reason.reason), 40),
            count(reason.rows)
        )
    };
    let mut parts: Vec<String> = reasons.iter().take(3).map(named).collect();
    if reasons.len() > 3 {
        parts.push("…".to_owned());
    }
    format!("  {what:<12} {}: {}", plural(rows, "row"), parts.join(", "))
}

fn cell_line(report: &Report) -> String {
    let metrics = &report.quality_metrics;
    let mut text = format!(
        "  {:<12} {}",
        "changed",
        plural(metrics.cells_modified, "cell")
    );
    if metrics.cells_imputed > 0 {
        text.push_str(&format!(
            ", {} of them filled",
            count(metrics.cells_imputed)
        ));
    }
    if let (1.., Some(confidence)) = (metrics.low_confidence_fixes, metrics.confidence_score_avg) {
        text.push_str(&format!(
            "; {} are best guesses (mean confidence of all {confidence:.2})",
            count(metrics.low_confidence_fixes)
        ));
    }
    text
}

fn step_lines(report: &Report) -> Vec<String> {
    let steps = &report.transformations_applied;
    let effective: Vec<_> = steps
        .iter()
        .map(|step| (step, step_effects(step)))
        .filter(|(_, effects)| !effects.is_empty())
        .collect();
    let line = |(step, effects): &(&super::TransformationReport, Vec<String>)| {
        let columns = match step.columns.len() {
            0 => String::new(),
            _ => format!(" ({})", name_list(&step.columns, 2)),
        };
        format!(
            "  {:<12} {}{columns}: {}",
            cut(&step.id, 12),
            step_title(step),
            effects.join(", ")
        )
    };
    let mut lines: Vec<String> = effective.iter().take(MOST_STEPS).map(line).collect();
    let hidden = effective.len() - lines.len();
    let idle = steps.len() - effective.len();
    let rest = match (hidden, idle) {
        (0, 0) => return lines,
        (hidden, 0) => plural(hidden as u64, "more step"),
        (0, idle) => format!("{} with nothing to do", plural(idle as u64, "more step")),
        (hidden, idle) => format!(
            "{}, {idle} of them with nothing to do",
            plural((hidden + idle) as u64, "more step")
        ),
    };
    lines.push(format!("  {:<12} {rest}", "…"));
    lines
}

fn pii_line(report: &Report) -> Option<String> {
    let list = |exposed: bool| -> Vec<String> {
        let found = report
            .pii_found
            .iter()
            .filter(|found| is_exposed(found) == exposed);
        found.map(|found| found.column.clone()).collect()
    };
    let (handled, exposed) = (list(false), list(true));
    let text = match (handled.as_slice(), exposed.as_slice()) {
        ([], []) => return None,
        (_, []) => format!("treated in {}", name_list(&handled, 3)),
        ([], _) => format!(
            "found in {} and left as it is; see --pii",
            name_list(&exposed, 3)
        ),
        _ => format!(
            "treated in {}; found in {} and left as it is, see --pii",
            name_list(&handled, 3),
            name_list(&exposed, 3)
        ),
    };
    Some(format!("  {:<12} {text}", "personal"))
}

fn where_to_look(report: &Report) -> String {
    let mut places = vec!["report.html shows it all"];
    if report.quality_metrics.cells_modified > 0 {
        places.push("provenance/ has each changed cell");
    }
    if report.summary.rows_dropped > 0 {
        places.push("removed/ each row taken out");
    }
    if report.summary.rows_quarantined > 0 {
        places.push("quarantine/ each row set aside");
    }
    format!("  {:<12} {}", "look at", places.join(", "))
}
