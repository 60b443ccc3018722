//! From what a run has counted to the report, and a plan in words.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::engine::Written;
use crate::error::Result;
use crate::operation::{ReportContext, StatisticValue, data_type, type_name};
use crate::profile::{ColumnProfile, ColumnSketch};
use crate::program::Program;
use crate::report::{
    ColumnReport, PiiReport, QualityMetrics, QuarantineReport, QuarantineSample, ReasonCount,
    RemovedReport, RemovedSample, Report, SampleFix, SourceReport, Summary, TransformationReport,
    ViolationReport,
};
use crate::sink::{Account, LossCount};
use crate::source::Source;
use crate::spec::JobSpec;

/// Everything that a report is made of.
pub(super) struct ReportParts<'a> {
    pub(super) spec: &'a JobSpec,
    pub(super) job_id: &'a str,
    pub(super) source: &'a Source,
    pub(super) program: &'a Program,
    pub(super) learned: &'a [Option<StatisticValue>],
    pub(super) sampled: f64,
    pub(super) first_row_id: u64,
    pub(super) before: Vec<Option<ColumnSketch>>,
    pub(super) written: Written,
}

/// The report of a run; without times.
pub(super) fn build_report(parts: ReportParts<'_>) -> Result<Report> {
    let account = &parts.written.account;
    let columns = column_reports(&parts);
    let dropped: u64 = losses(account, false).map(|loss| loss.rows).sum();
    let quarantined: u64 = losses(account, true).map(|loss| loss.rows).sum();
    let name = parts
        .spec
        .name
        .clone()
        .or_else(|| parts.spec.dataset.dataset_id.clone());
    Ok(Report {
        job_id: parts.job_id.to_owned(),
        name,
        generator: concat!("data-sanitizer ", env!("CARGO_PKG_VERSION")).to_owned(),
        generated_at: None,
        summary: Summary {
            original_row_count: account.rows,
            cleaned_row_count: account.clean_rows,
            rows_dropped: dropped,
            rows_quarantined: quarantined,
            deduplication_rate: 1.0 - ratio(dropped, account.rows),
        },
        quality_metrics: quality_metrics(account, &columns, parts.program),
        transformations_applied: transformations(&parts)?,
        pii_found: pii_found(parts.program),
        violations: violations(&parts),
        quarantine: quarantine(&parts, quarantined),
        removed: removed(&parts, dropped),
        samples: samples(account, parts.program),
        sources: parts
            .source
            .files
            .iter()
            .map(|file| SourceReport {
                path: file.path.clone(),
                bytes: file.bytes,
                rows: file.rows,
            })
            .collect(),
        notes: notes(&parts),
        timings: BTreeMap::new(),
        columns,
    })
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn losses(account: &Account, quarantined: bool) -> impl Iterator<Item = &LossCount> {
    account
        .losses
        .iter()
        .filter(move |loss| loss.quarantined == quarantined)
}

fn column_reports(parts: &ReportParts<'_>) -> Vec<ColumnReport> {
    let program = parts.program;
    let columns = program.contract.columns.iter().enumerate();
    let profile = |sketches: &[Option<ColumnSketch>], column: usize, kind: &str| {
        let name = &program.contract.columns[column].name;
        match sketches.get(column).and_then(Option::as_ref) {
            Some(sketch) => sketch.finish(name, kind),
            None => ColumnProfile {
                name: name.clone(),
                column_type: kind.to_owned(),
                ..ColumnProfile::default()
            },
        }
    };
    columns
        .map(|(number, column)| {
            let written = program.output.iter().find(|output| output.column == number);
            let before = data_type(column.column_type, column.decimal);
            let kind = written.map(|output| type_name(output.field.data_type()));
            let cells = &parts.written.account.cells;
            let modified = cells.iter().filter(|count| count.column == number);
            ColumnReport {
                name: column.name.clone(),
                column_type: kind.unwrap_or(type_name(&before)).to_owned(),
                pii: column.pii,
                pii_strategy: column.pii_strategy.and_then(|strategy| word(&strategy)),
                before: profile(&parts.before, number, type_name(&before)),
                after: kind.map(|kind| profile(&parts.written.after, number, kind)),
                cells_modified: modified.map(|count| count.cells).sum(),
                remarks: column
                    .inferred
                    .as_ref()
                    .map(|seen| seen.remarks.clone())
                    .unwrap_or_default(),
            }
        })
        .collect()
}

/// The name of a value of a spec, as the spec writes it.
fn word(value: &impl serde::Serialize) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn quality_metrics(
    account: &Account,
    columns: &[ColumnReport],
    program: &Program,
) -> QualityMetrics {
    let cells: u64 = account.cells.iter().map(|count| count.cells).sum();
    let imputed: u64 = account.cells.iter().map(|count| count.imputed).sum();
    let confidence: f64 = account.cells.iter().map(|count| count.confidence).sum();
    let present = |profiles: &mut dyn Iterator<Item = &ColumnProfile>| {
        let (nulls, rows) = profiles.fold((0, 0), |(nulls, rows), profile| {
            (nulls + profile.nulls, rows + profile.rows)
        });
        if rows == 0 {
            1.0
        } else {
            1.0 - ratio(nulls, rows)
        }
    };
    QualityMetrics {
        duplicates_detected: removed_as(account, "duplicate"),
        near_duplicates_detected: removed_as(account, "near_duplicate"),
        imputation_rate: ratio(imputed, account.clean_rows * program.output.len() as u64),
        cells_imputed: imputed,
        confidence_score_avg: (cells > 0).then(|| confidence / cells as f64),
        low_confidence_fixes: account.cells.iter().map(|count| count.uncertain).sum(),
        cells_modified: cells,
        rows_modified: account.modified_rows,
        cells_invalid: account.invalid.iter().map(|(_, _, cells)| cells).sum(),
        violations_flagged: account
            .flags
            .iter()
            .filter(|flag| stays(program, flag.transformation))
            .map(|flag| flag.rows)
            .sum(),
        completeness_before: present(&mut columns.iter().map(|column| &column.before)),
        completeness_after: present(&mut columns.iter().filter_map(|column| column.after.as_ref())),
    }
}

fn transformations(parts: &ReportParts<'_>) -> Result<Vec<TransformationReport>> {
    let account = &parts.written.account;
    let program = parts.program;
    let mut reports = Vec::with_capacity(program.transformations.len());
    for (number, step) in program.transformations.iter().enumerate() {
        let own = number as u16;
        let ops = program.ops.iter().filter(|op| op.transformation == own);
        let mut columns: Vec<usize> = ops
            .flat_map(|op| {
                op.op
                    .reads()
                    .iter()
                    .chain(op.op.writes().iter())
                    .collect::<Vec<_>>()
            })
            .collect();
        columns.sort_unstable();
        columns.dedup();
        let lost = |quarantined: bool| -> u64 {
            let own = losses(account, quarantined).filter(|loss| loss.transformation == Some(own));
            own.map(|loss| loss.rows).sum()
        };
        let (learned, method) = told(parts, own);
        reports.push(TransformationReport {
            id: step.id.clone(),
            step: step.spec.name().to_owned(),
            params: step.spec.params()?,
            columns: columns
                .iter()
                .map(|column| program.contract.columns[*column].name.clone())
                .collect(),
            rows_removed: lost(false),
            rows_quarantined: lost(true),
            rows_modified: account
                .rows_by_transformation
                .get(number)
                .copied()
                .unwrap_or_default(),
            cells_modified: account
                .cells
                .iter()
                .filter(|count| count.transformation == own)
                .map(|count| count.cells)
                .sum(),
            cells_invalid: account
                .invalid
                .iter()
                .filter(|(step, _, _)| *step == own)
                .map(|(_, _, cells)| cells)
                .sum(),
            cells_flagged: account
                .flags
                .iter()
                .filter(|flag| flag.transformation == own && stays(program, own))
                .map(|flag| flag.rows)
                .sum(),
            learned,
            method,
        });
    }
    Ok(reports)
}

/// Rows that were removed for this reason.
fn removed_as(account: &Account, reason: &str) -> u64 {
    let removed = losses(account, false).filter(|loss| loss.reason == reason);
    removed.map(|loss| loss.rows).sum()
}

/// What a transformation has learned of columns that hold nothing personal, and how.
fn told(parts: &ReportParts<'_>, transformation: u16) -> (Value, Option<String>) {
    let program = parts.program;
    let context = ReportContext {
        contract: &program.contract,
        rows: parts.source.total_rows,
        sampled: parts.sampled,
    };
    let mut told = Map::new();
    let mut method = None;
    for (op, value) in program.ops.iter().zip(parts.learned) {
        let statistic = op.op.statistic();
        let statistic = statistic.filter(|_| op.transformation == transformation);
        if let Some(report) = statistic.and_then(|s| s.report(value.as_ref(), &context)) {
            method = Some(report.method);
            told.extend(report.found);
        }
    }
    let told = (!told.is_empty()).then_some(Value::Object(told));
    (told.unwrap_or_default(), method)
}

fn pii_found(program: &Program) -> Vec<PiiReport> {
    let placeholders = program.placeholders();
    let mut found = Vec::new();
    for (column, placeholder) in program.contract.columns.iter().zip(placeholders) {
        let seen = column.inferred.as_ref().and_then(|seen| seen.pii.as_ref());
        if !column.pii && seen.is_none() {
            continue;
        }
        let declared = || placeholder.map(|text| text.trim_matches(['<', '>']).to_owned());
        found.push(PiiReport {
            column: column.name.clone(),
            entity: seen
                .map(|seen| seen.entity.clone())
                .or_else(declared)
                .unwrap_or_default(),
            confidence: if column.pii {
                1.0
            } else {
                seen.map_or(0.0, |seen| seen.confidence)
            },
            hit_rate: seen.map(|seen| seen.hit_rate),
            strategy: column
                .pii
                .then(|| column.pii_strategy.and_then(|s| word(&s)))
                .flatten(),
        });
    }
    found
}

/// What becomes of a violation, as the step says.
fn action(program: &Program, transformation: u16) -> Option<&'static str> {
    let step = &program.transformations[usize::from(transformation)].spec;
    step.step().on_violation()
}

/// Whether what violates a rule of the step stays as it is.
fn stays(program: &Program, transformation: u16) -> bool {
    action(program, transformation) == Some("flag")
}

fn violations(parts: &ReportParts<'_>) -> Vec<ViolationReport> {
    let program = parts.program;
    let account = &parts.written.account;
    let flagged = account.flags.iter().map(|flag| ViolationReport {
        column: Some(program.contract.columns[flag.column].name.clone()),
        rule: flag.rule.clone(),
        transformation_id: program.transformations[usize::from(flag.transformation)]
            .id
            .clone(),
        action: action(program, flag.transformation)
            .unwrap_or("flag")
            .to_owned(),
        rows: flag.rows,
        sample_row_ids: flag.samples.clone(),
    });
    let set_aside = losses(account, true).filter_map(|loss| {
        let transformation = loss.transformation?;
        Some(ViolationReport {
            column: loss
                .column
                .map(|column| program.contract.columns[column].name.clone()),
            rule: loss.reason.clone(),
            transformation_id: program.transformations[usize::from(transformation)]
                .id
                .clone(),
            action: "quarantine".to_owned(),
            rows: loss.rows,
            sample_row_ids: loss.samples.iter().map(|sample| sample.0).collect(),
        })
    });
    flagged.chain(set_aside).collect()
}

fn reasons<'a>(losses: impl Iterator<Item = &'a LossCount>, program: &Program) -> Vec<ReasonCount> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for loss in losses {
        let reason = match loss.column {
            Some(column) => format!("{}: {}", program.contract.columns[column].name, loss.reason),
            None => loss.reason.clone(),
        };
        *counts.entry(reason).or_default() += loss.rows;
    }
    let mut reasons: Vec<ReasonCount> = counts
        .into_iter()
        .map(|(reason, rows)| ReasonCount { reason, rows })
        .collect();
    reasons.sort_by(|left, right| {
        right
            .rows
            .cmp(&left.rows)
            .then(left.reason.cmp(&right.reason))
    });
    reasons
}

/// Samples that a report shows of one kind of row.
const SHOWN: usize = 20;

fn quarantine(parts: &ReportParts<'_>, rows: u64) -> QuarantineReport {
    let program = parts.program;
    let account = &parts.written.account;
    let mut samples: Vec<QuarantineSample> = losses(account, true)
        .flat_map(|loss| {
            loss.samples
                .iter()
                .map(|(row, file, line, _)| QuarantineSample {
                    row_id: *row,
                    file: parts
                        .source
                        .files
                        .get(*file as usize)
                        .map(|file| file.path.clone())
                        .unwrap_or_default(),
                    line: *line,
                    column: loss
                        .column
                        .map(|column| program.contract.columns[column].name.clone()),
                    reason: loss.reason.clone(),
                    raw: None,
                })
        })
        .collect();
    samples.sort_by_key(|sample| sample.row_id);
    samples.truncate(SHOWN);
    QuarantineReport {
        rows,
        reasons: reasons(losses(account, true), program),
        samples,
    }
}

fn removed(parts: &ReportParts<'_>, rows: u64) -> RemovedReport {
    let program = parts.program;
    let account = &parts.written.account;
    let mut samples: Vec<RemovedSample> = losses(account, false)
        .flat_map(|loss| {
            let step = loss
                .transformation
                .map(|step| program.transformations[usize::from(step)].id.clone());
            loss.samples
                .iter()
                .map(move |(row, _, _, survivor)| RemovedSample {
                    row_id: *row,
                    reason: loss.reason.clone(),
                    transformation_id: step.clone().unwrap_or_default(),
                    duplicate_of: *survivor,
                    score: Some(1.0),
                })
        })
        .collect();
    samples.sort_by_key(|sample| sample.row_id);
    samples.truncate(SHOWN);
    RemovedReport {
        rows,
        reasons: reasons(losses(account, false), program),
        samples,
    }
}

fn samples(account: &Account, program: &Program) -> Vec<SampleFix> {
    let mut fixes = Vec::new();
    for count in &account.cells {
        for sample in &count.samples {
            fixes.push(SampleFix {
                row_id: sample.row,
                column: program.contract.columns[count.column].name.clone(),
                original: sample.original.clone(),
                cleaned: sample.cleaned.clone(),
                transformation_id: program.transformations[usize::from(count.transformation)]
                    .id
                    .clone(),
                confidence: f64::from(sample.confidence),
            });
        }
    }
    fixes.sort_by(|left, right| {
        (&left.transformation_id, &left.column, left.row_id).cmp(&(
            &right.transformation_id,
            &right.column,
            right.row_id,
        ))
    });
    fixes
}

fn notes(parts: &ReportParts<'_>) -> Vec<String> {
    let program = parts.program;
    let mut notes = parts.source.notes.clone();
    let added = program
        .transformations
        .iter()
        .any(|step| step.implied && step.spec.name() == "pii");
    if added && parts.spec.steps.is_some() {
        notes.push(
            "The steps name no pii step; the contract's strategies were applied at the end."
                .to_owned(),
        );
    }
    let left: Vec<&str> = program
        .contract
        .columns
        .iter()
        .filter(|column| {
            !column.pii
                && column
                    .inferred
                    .as_ref()
                    .is_some_and(|seen| seen.pii.is_some())
        })
        .map(|column| column.name.as_str())
        .collect();
    if !left.is_empty() {
        notes.push(format!(
            "Personal data seems to stand in {} and was left as it is; a pii step with detect: true, or --pii, takes care of it.",
            left.join(", ")
        ));
    }
    notes
}
