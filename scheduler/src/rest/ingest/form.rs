//! The order that a form is: a file, and fields that say what to do with it.

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use bytes::Bytes;
use futures::StreamExt;
use planner::spec::{ByteSize, DocumentLimits};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::body::{BodyError, Taken, file_name, limited};
use super::super::extract::{Sender, off_the_workers};
use super::super::uploads::most_bytes;
use super::super::{App, Problem};
use super::IngestParams;
use super::order::{Order, digest_of, rule_names};
use crate::access::Caller;
use crate::lifecycle::{overlay, spec_of_upload};
use crate::limits::{FIELD_BYTES, FORM_OVERHEAD};
use crate::metadata::MetadataError;
use crate::storage::Stored;

/// Returns the order that a form is; its file is in the store.
pub(super) async fn order(
    app: &App,
    caller: &Caller,
    (mut form, read): (Multipart, Taken),
    params: &IngestParams,
) -> Result<Order, Problem> {
    let id = Uuid::now_v7();
    let folder = format!("uploads/{}/{id}", caller.tenant_id());
    let mut fields = Map::new();
    let mut file: Option<(String, Stored)> = None;
    let most = most_bytes(app, caller).await?;
    let place = (folder.as_str(), most);
    let taken = take_fields(app, place, (&mut form, &read), &mut fields, &mut file).await;
    let order = match taken {
        Ok(()) => {
            let (params, file) = (params.clone(), file.clone());
            let order = move || order_of(id, &params, &fields, file.as_ref());
            off_the_workers(app, &Sender::of(caller), order).await
        }
        Err(problem) => Err(problem),
    };
    let order = match (order, &file) {
        (Ok(order), Some((name, stored))) => {
            let location = format!("{folder}/{name}");
            let tenant = caller.tenant_id();
            let kept = async {
                app.metadata
                    .begin_upload(tenant, id, (name, &location), &caller.actor)
                    .await?;
                let bytes = i64::try_from(stored.bytes).unwrap_or(i64::MAX);
                app.metadata
                    .complete_upload(tenant, id, (bytes, &stored.sha256), &caller.actor)
                    .await
            };
            let kept = kept.await;
            if let Err(MetadataError::StorageSpent { .. }) = &kept {
                let _ = app.metadata.forget_upload(tenant, id).await;
            }
            kept.map(|_| order).map_err(Problem::from)
        }
        (order, _) => order,
    };
    if order.is_err() {
        let _ = app.store.remove(&folder).await;
    }
    order.map(|order| Order {
        upload: Some((id, folder)),
        ..order
    })
}

fn unreadable(error: MultipartError) -> Problem {
    match BodyError::of(&error) {
        BodyError::TooSlow => Problem::too_slow(),
        BodyError::TooLarge(_) => {
            let most = ByteSize(FORM_OVERHEAD);
            Problem::too_large(format!(
                "the boundaries and headers of a form may have {most}"
            ))
        }
        BodyError::Broken => Problem::bad_request("the form cannot be read, or ends too early"),
    }
}

async fn take_fields(
    app: &App,
    (folder, most): (&str, u64),
    (form, taken): (&mut Multipart, &Taken),
    fields: &mut Map<String, Value>,
    file: &mut Option<(String, Stored)>,
) -> Result<(), Problem> {
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" if file.is_some() => {
                return Err(Problem::field("file", "one file is expected"));
            }
            "file" => {
                let name = file_name(field.file_name());
                let place = format!("{folder}/{name}");
                let count = |chunk: &Result<Bytes, MultipartError>| {
                    taken.add(chunk.as_ref().map_or(0, Bytes::len));
                };
                let content = limited(field.inspect(count), most);
                let stored = app.store.write(&place, content).await?;
                *file = Some((name, stored));
            }
            "dataset_name" | "schema_config" | "spec" | "rules" => {
                if fields.contains_key(&name) {
                    return Err(Problem::field(name, "the field is there twice"));
                }
                let text = text_of(field, taken).await?;
                fields.insert(name, Value::String(text));
            }
            _ => {
                let known = "file, dataset_name, schema_config, spec and rules are expected";
                return Err(Problem::field(name, known));
            }
        }
    }
    Ok(())
}

async fn text_of(mut field: Field<'_>, taken: &Taken) -> Result<String, Problem> {
    let mut content = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        taken.add(chunk.len());
        content.extend_from_slice(&chunk);
        if content.len() > FIELD_BYTES {
            return Err(Problem::too_large("a field that is no file may have 1 MiB"));
        }
    }
    String::from_utf8(content).map_err(|_| Problem::bad_request("a field is not UTF-8"))
}

fn order_of(
    id: Uuid,
    params: &IngestParams,
    fields: &Map<String, Value>,
    file: Option<&(String, Stored)>,
) -> Result<Order, Problem> {
    let (name, stored) =
        file.ok_or_else(|| Problem::field("file", "the form has no field file"))?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let stem = name.split('.').next().unwrap_or(name);
    let dataset = text("dataset_name").or(params.dataset_name.as_deref());
    let dataset = dataset.unwrap_or(stem).to_owned();
    let rules = text("rules").or(params.rules.as_deref());
    let mut parts = Map::new();
    if let Some(spec) = text("spec") {
        let document = planner::spec::JobSpec::document(spec, "spec")
            .map_err(|error| Problem::field("spec", error.to_string()))?;
        let Value::Object(document) = document else {
            return Err(Problem::field("spec", "expected an object"));
        };
        if let Some(source) = document.get("source")
            && source.get("location").is_some()
        {
            return Err(Problem::field(
                "spec",
                "source.location is the file of the form",
            ));
        }
        parts = document;
    }
    if let Some(config) = text("schema_config") {
        let config = DocumentLimits::WIRE.json(config);
        let config = config.map_err(|problem| Problem::field("schema_config", problem))?;
        if !config.is_object() {
            return Err(Problem::field("schema_config", "expected an object"));
        }
        let mut all = Value::Object(parts);
        overlay(&mut all, &json!({"dataset": config}));
        parts = match all {
            Value::Object(parts) => parts,
            _ => Map::new(),
        };
    }
    let digest = digest_of(&[
        ("file", &stored.sha256),
        ("name", name),
        ("dataset", &dataset),
        ("rules", rules.unwrap_or_default()),
        ("spec", text("spec").unwrap_or_default()),
        ("config", text("schema_config").unwrap_or_default()),
    ]);
    Ok(Order {
        rules: rule_names(rules)?,
        spec: spec_of_upload(&dataset, id, &parts),
        dataset,
        digests: vec![digest],
        upload: None,
    })
}
