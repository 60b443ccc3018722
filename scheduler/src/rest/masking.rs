//! What a caller does not see of what they may read: values of cells without `data:read`, and names of datasets
//! outside a key's limit.

use planner::report::{Report, render_html};
use serde_json::{Value, json};

use crate::access::{Action, Caller};
use crate::lifecycle::version_of;
use crate::metadata::Lineage;

/// Why a report cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaskError {
    /// The stored report is not one, or cannot be written.
    #[error("the report: {0}")]
    Json(#[from] serde_json::Error),
    /// The page cannot be made.
    #[error("the page: {0}")]
    Page(#[from] planner::report::ReportError),
}

/// Returns a stored report as the caller may see it, as JSON or as a page.
pub(super) fn report(stored: &[u8], caller: &Caller, html: bool) -> Result<Vec<u8>, MaskError> {
    let mut report: Report = serde_json::from_slice(stored)?;
    if !caller.may(Action::ReadData) {
        report = report.without_values();
    }
    for step in &mut report.transformations_applied {
        hide_datasets(&mut step.params, caller);
        hide_datasets(&mut step.learned, caller);
    }
    Ok(match html {
        true => render_html(&report)?.into_bytes(),
        false => serde_json::to_vec_pretty(&report)?,
    })
}

/// Removes values of cells from where a version comes from: what steps learned, and what the contract was completed
/// with by looking at the data.
pub(super) fn hide_values(lineage: &mut Lineage) {
    let steps = lineage.transformations.as_array_mut();
    for step in steps.into_iter().flatten() {
        if let Some(step) = step.as_object_mut() {
            step.remove("learned");
        }
    }
    let columns = lineage.contract.get_mut("columns");
    for column in columns.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(column) = column.as_object_mut() {
            column.remove("inferred");
        }
    }
}

/// Replaces references to versions of datasets (`dataset:NAME@7`) that the caller may not see.
pub(super) fn hide_datasets(document: &mut Value, caller: &Caller) {
    if caller.datasets.is_none() {
        return;
    }
    match document {
        Value::String(text) => {
            if version_of(text).is_some_and(|(name, _)| !caller.may_touch(name)) {
                *document = json!("dataset:(another one)");
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| hide_datasets(item, caller)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| hide_datasets(field, caller)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
