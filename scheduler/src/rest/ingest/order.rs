//! What a request asks for, and the order that a job spec is.

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::{App, Problem};
use super::IngestParams;
use crate::access::Caller;
use crate::lifecycle::StoredReference;
use crate::limits::{RULES, UPLOADS_OF_JOB};
use crate::storage::hexadecimal;

/// What a request asks for.
pub(super) struct Order {
    pub(super) dataset: String,
    pub(super) rules: Vec<String>,
    pub(super) spec: Value,
    /// Digests of everything that makes it this request; of an upload, its content counts or its name.
    pub(super) digests: Vec<String>,
    /// The file that came along: the upload, and its folder in the store.
    pub(super) upload: Option<(Uuid, String)>,
}

/// Returns the order that a spec is.
pub(super) async fn of_spec(
    app: &App,
    caller: &Caller,
    spec: Value,
    params: &IngestParams,
) -> Result<Order, Problem> {
    if !spec.is_object() {
        return Err(Problem::invalid(
            "expected a job spec: an object with a source",
        ));
    }
    let named = params.dataset_name.as_deref().or(spec["name"].as_str());
    let dataset = named
        .ok_or_else(|| {
            Problem::field(
                "name",
                "the dataset has no name; give it in name or dataset_name",
            )
        })?
        .to_owned();
    let named_text = spec.to_string();
    // What was sent counts, whatever its upload is called: whoever sends it again means the same job. While it is
    // not complete, and after it was removed, its name is all there is.
    let mut sent = spec.clone();
    let locations = match sent.pointer_mut("/source/location") {
        Some(Value::Array(locations)) => locations.iter_mut().collect(),
        Some(location) => vec![location],
        None => Vec::new(),
    };
    let ids = |location: &Value| location.as_str().and_then(StoredReference::upload);
    if locations
        .iter()
        .filter(|location| ids(location).is_some())
        .count()
        > UPLOADS_OF_JOB
    {
        let problem = format!("a job reads {UPLOADS_OF_JOB} uploads at most");
        return Err(Problem::field("source.location", problem));
    }
    for location in locations {
        let Some(id) = ids(location) else {
            continue;
        };
        let upload = app.metadata.upload(caller.tenant_id(), id).await?;
        let upload = upload.filter(|upload| caller.may_reach_upload_of(&upload.created_by));
        if let Some(digest) = upload.and_then(|upload| upload.sha256) {
            *location = format!("sha256:{digest}").into();
        }
    }
    let text = sent.to_string();
    let rules = params.rules.as_deref();
    let digest = |text: &str| {
        digest_of(&[
            ("spec", text),
            ("dataset", &dataset),
            ("rules", rules.unwrap_or_default()),
        ])
    };
    let mut digests = vec![digest(&text), digest(&named_text)];
    digests.dedup();
    Ok(Order {
        dataset,
        rules: rule_names(rules)?,
        spec,
        digests,
        upload: None,
    })
}

/// Splits a list of names of rules, which are separated by commas.
pub(super) fn rule_names(list: Option<&str>) -> Result<Vec<String>, Problem> {
    let list = list.unwrap_or_default().split(',').map(str::trim);
    let list = list.filter(|name| !name.is_empty()).map(str::to_owned);
    let names: Vec<String> = list.take(RULES + 1).collect();
    if names.len() > RULES {
        let problem = format!("a request names {RULES} rules at most");
        return Err(Problem::field("rules", problem));
    }
    Ok(names)
}

/// Returns the digest of named parts of a request.
pub(super) fn digest_of(parts: &[(&str, &str)]) -> String {
    let mut digest = Sha256::new();
    for (name, value) in parts {
        digest.update(format!("{name} {} ", value.len()));
        digest.update(value);
    }
    hexadecimal(&digest.finalize())
}
