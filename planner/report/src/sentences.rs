//! The account in sentences: shared by the page and the lines on the terminal.

use super::format::{capital, count, name_list, percent_of, plural, words};
use super::model::{PiiReport, Report, TransformationReport};

/// Reason of rows that repeat another one exactly.
pub(super) const DUPLICATE: &str = "duplicate";

/// Reason of rows that repeat another one nearly.
pub(super) const NEAR_DUPLICATE: &str = "near_duplicate";

/// Rows taken out for this reason.
pub(super) fn removed_for(report: &Report, reason: &str) -> u64 {
    let found = report
        .removed
        .reasons
        .iter()
        .filter(|entry| entry.reason == reason);
    found.fold(0, |sum, entry| sum.saturating_add(entry.rows))
}

/// Returns what a step is for, in a few words. A step that this table does not know goes by its name.
pub(super) fn step_title(step: &TransformationReport) -> String {
    let param = |name: &str| {
        step.params
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap_or("")
    };
    match step.step.as_str() {
        "missing_values" => "Recognised the spellings of missing values".to_owned(),
        "coerce" => "Gave every column its type".to_owned(),
        "normalize_text" => "Tidied white space and characters of text".to_owned(),
        "normalize" => match param("kind") {
            "email" => "Wrote e-mail addresses in one way".to_owned(),
            "phone" => "Wrote phone numbers in one way".to_owned(),
            "date" => "Wrote dates in one way".to_owned(),
            "number" => "Wrote numbers in one way".to_owned(),
            "boolean" => "Wrote yes and no in one way".to_owned(),
            "url" => "Wrote web addresses in one way".to_owned(),
            "country" => "Wrote countries in one way".to_owned(),
            "currency" => "Wrote currencies in one way".to_owned(),
            kind => format!("Wrote {} values in one way", words(kind)),
        },
        "canonicalize" => "Replaced misspelt values by the right ones".to_owned(),
        "rules" => "Checked the rules".to_owned(),
        "outliers" => match param("action") {
            "set_null" => "Took out values far from the others".to_owned(),
            "clip" => "Limited values far from the others".to_owned(),
            _ => "Looked for values far from the others".to_owned(),
        },
        "dedupe" => "Removed rows that repeat another one".to_owned(),
        "near_dedupe" => "Removed rows that nearly repeat another one".to_owned(),
        "impute" => match param("strategy") {
            "" => "Filled missing values".to_owned(),
            "mode" => "Filled missing values with the most frequent value".to_owned(),
            "constant" => "Filled missing values with a fixed value".to_owned(),
            strategy => format!("Filled missing values with the {}", words(strategy)),
        },
        "pii" => "Protected personal data".to_owned(),
        other => capital(&words(other)),
    }
}

/// Returns what a step did, as parts of a sentence; empty when it changed and found nothing.
pub(super) fn step_effects(step: &TransformationReport) -> Vec<String> {
    let mut effects = Vec::new();
    if step.cells_modified > 0 {
        let rows = match step.rows_modified {
            0 => String::new(),
            rows => format!(" in {}", plural(rows, "row")),
        };
        effects.push(format!(
            "changed {}{rows}",
            plural(step.cells_modified, "cell")
        ));
    }
    if step.rows_removed > 0 {
        effects.push(format!("removed {}", plural(step.rows_removed, "row")));
    }
    if step.rows_quarantined > 0 {
        effects.push(format!(
            "set aside {}",
            plural(step.rows_quarantined, "row")
        ));
    }
    if step.cells_invalid > 0 {
        effects.push(format!(
            "could not read {}",
            plural(step.cells_invalid, "value")
        ));
    }
    if step.cells_flagged > 0 {
        effects.push(format!("marked {}", plural(step.cells_flagged, "value")));
    }
    effects
}

/// Returns what became of personal data, after the name of its column.
pub(super) fn pii_outcome(strategy: Option<&str>) -> String {
    match strategy {
        Some("hash") => "replaced by a keyed hash".to_owned(),
        Some("redact") => "replaced by a placeholder".to_owned(),
        Some("exclude") => "left out of the cleaned data".to_owned(),
        Some("tokenize") => "replaced by reversible tokens".to_owned(),
        Some("keep") => "kept as it is, as asked".to_owned(),
        Some(other) => words(other),
        None => "found, and unchanged: no treatment was requested".to_owned(),
    }
}

/// Returns whether personal data remains in the cleaned data without a decision that it should.
pub(super) fn is_exposed(found: &PiiReport) -> bool {
    found.strategy.is_none()
}

/// Returns a summary of the run in a few sentences.
pub(super) fn overview(report: &Report) -> Vec<String> {
    let summary = &report.summary;
    if summary.original_row_count == 0 {
        return vec!["The source holds no rows, so there was nothing to clean.".to_owned()];
    }
    let mut sentences = vec![format!(
        "Of {} read, {} ({}) are in the cleaned data.",
        plural(summary.original_row_count, "row"),
        count(summary.cleaned_row_count),
        percent_of(summary.cleaned_row_count, summary.original_row_count),
    )];
    sentences.extend(removed_sentence(report));
    sentences.extend(quarantine_sentence(report));
    sentences.push(cells_sentence(report));
    sentences.extend(rules_sentence(report));
    sentences.extend(pii_sentences(report));
    sentences
}

fn removed_sentence(report: &Report) -> Option<String> {
    let exact = removed_for(report, DUPLICATE);
    let near = removed_for(report, NEAR_DUPLICATE);
    let others = report
        .summary
        .rows_dropped
        .saturating_sub(exact)
        .saturating_sub(near);
    let parts: Vec<String> = [
        (exact, "repeat another row exactly"),
        (near, "repeat another row nearly"),
        (others, "were removed for other reasons"),
    ]
    .into_iter()
    .filter(|(rows, _)| *rows > 0)
    .map(|(rows, what)| format!("{} {what}", count(rows)))
    .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "{} removed: {}.",
            was(report.summary.rows_dropped, "row"),
            parts.join(", ")
        )
    })
}

fn quarantine_sentence(report: &Report) -> Option<String> {
    let rows = report.summary.rows_quarantined;
    let main = report.quarantine.reasons.first();
    let main = main.map(|first| format!(", most often because of: {}", words(&first.reason)));
    (rows > 0).then(|| {
        format!(
            "{} set aside for you to look at{}.",
            was(rows, "row"),
            main.unwrap_or_default()
        )
    })
}

fn cells_sentence(report: &Report) -> String {
    let metrics = &report.quality_metrics;
    if metrics.cells_modified == 0 {
        return "No cell had to be changed.".to_owned();
    }
    let mut text = format!("{} changed", was(metrics.cells_modified, "cell"));
    if metrics.cells_imputed > 0 {
        text.push_str(&format!(
            ", {} of them filled because they were empty",
            count(metrics.cells_imputed)
        ));
    }
    match metrics.low_confidence_fixes {
        0 => text.push_str("; none of the changes rests on a guess."),
        1 => text.push_str("; 1 change is a best guess, with its confidence on record."),
        fixes => text.push_str(&format!(
            "; {} changes are best guesses, each with its confidence on record.",
            count(fixes)
        )),
    }
    text
}

fn rules_sentence(report: &Report) -> Option<String> {
    let flagged = report.quality_metrics.violations_flagged;
    (flagged > 0).then(|| {
        let verb = if flagged == 1 { "stays" } else { "stay" };
        format!(
            "{} of a rule {verb} in the cleaned data, marked.",
            plural(flagged, "violation")
        )
    })
}

fn pii_sentences(report: &Report) -> Vec<String> {
    let columns = |exposed: bool| -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for found in &report.pii_found {
            if is_exposed(found) == exposed && !names.contains(&found.column) {
                names.push(found.column.clone());
            }
        }
        names
    };
    let (handled, exposed) = (columns(false), columns(true));
    let mut sentences = Vec::new();
    if !handled.is_empty() {
        sentences.push(format!(
            "Personal data in {} was treated as decided.",
            name_list(&handled, 5)
        ));
    }
    if !exposed.is_empty() {
        sentences.push(format!(
            "Attention: {} {} to hold personal data, unchanged because no treatment was requested.",
            name_list(&exposed, 5),
            if exposed.len() == 1 { "seems" } else { "seem" },
        ));
    }
    sentences
}

fn was(number: u64, noun: &str) -> String {
    let verb = if number == 1 { "was" } else { "were" };
    format!("{} {verb}", plural(number, noun))
}
