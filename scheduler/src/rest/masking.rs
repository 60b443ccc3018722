//! What a caller does not see of what they may read: values of cells without `data:read`, and names of datasets
//! outside a key's limit.

use planner::report::{Report, render_html};
use serde_json::{Value, json};

use crate::access::{Action, Caller};
use crate::lifecycle::StoredReference;
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
            if StoredReference::dataset(text).is_some_and(|(name, _)| !caller.may_touch(name)) {
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

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use uuid::Uuid;

    use super::*;
    use crate::metadata::{ApiKey, Limits, Role, Tenant};

    fn caller(datasets: Option<&[&str]>) -> Caller {
        let tenant = Tenant {
            id: Uuid::nil(),
            name: "one".to_owned(),
            created_at: Utc::now(),
            suspended: false,
            limits: Limits::default(),
            running: 0,
        };
        let key = ApiKey {
            id: "k".to_owned(),
            tenant_id: tenant.id,
            name: "k".to_owned(),
            role: Role::Admin,
            operator: false,
            actions: None,
            datasets: datasets.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            created_by: "test".to_owned(),
            created_at: tenant.created_at,
            expires_at: None,
            revoked_at: None,
        };
        Caller::of_key(&key, tenant)
    }

    /// A key that is limited to a dataset reads no names of others in what its own rests on.
    #[test]
    fn h4_names_of_other_datasets_are_hidden() {
        let spec = json!({"steps": [
            {"type": "near_dedupe", "against": "dataset:payroll@3"},
            {"type": "near_dedupe", "against": "dataset:people@1"},
        ], "name": "payroll"});
        let shown = |datasets: Option<&[&str]>| {
            let mut spec = spec.clone();
            hide_datasets(&mut spec, &caller(datasets));
            spec
        };
        assert_eq!(shown(None), spec);
        let limited = shown(Some(&["people"]));
        assert_eq!(limited["steps"][0]["against"], "dataset:(another one)");
        assert_eq!(limited["steps"][1]["against"], "dataset:people@1");
    }
}
