//! `sanitizer keys` and `sanitizer tenants`.

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use comfy_table::{Table, presets};
use reqwest::Method;
use serde_json::{Value, json};

use super::arguments::{KeysArguments, KeysCommand, TenantsArguments, TenantsCommand};
use super::{ApiClient, wait};

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    table
}

/// A field as it is shown.
fn shown(document: &Value, name: &str) -> String {
    match &document[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items = items.iter().filter_map(Value::as_str);
            items.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

fn listed(rows: &Value, fields: &[&str]) -> Table {
    let mut table = table(fields);
    for row in rows.as_array().into_iter().flatten() {
        table.add_row(fields.iter().map(|name| shown(row, name)));
    }
    table
}

/// Lists, creates, revokes and rotates keys.
pub(crate) fn keys(arguments: &KeysArguments) -> anyhow::Result<()> {
    let client = ApiClient::open(&arguments.server)?;
    wait(async {
        match &arguments.command {
            KeysCommand::List => {
                let keys = client.get("/keys").await?;
                let fields = [
                    "id",
                    "name",
                    "role",
                    "operator",
                    "actions",
                    "datasets",
                    "created_by",
                    "created_at",
                    "expires_at",
                    "revoked_at",
                ];
                println!("{}", listed(&keys["keys"], &fields));
            }
            KeysCommand::Add {
                name,
                role,
                actions,
                datasets,
                expires,
                operator,
                tenant,
            } => {
                let some = |list: &Vec<String>| (!list.is_empty()).then(|| json!(list));
                let expires = match expires {
                    Some(period) => {
                        let span = TimeDelta::from_std(period.0).context("--expires")?;
                        let at = Utc::now().checked_add_signed(span);
                        Some(at.context("--expires is too far away")?.to_rfc3339())
                    }
                    None => None,
                };
                let request = json!({
                    "name": name, "role": role, "actions": some(actions), "datasets": some(datasets),
                    "expires_at": expires, "operator": operator, "tenant": tenant,
                });
                let made = client.post("/keys", &request).await?;
                print_secret(&made)?;
            }
            KeysCommand::Revoke { id } => {
                let path = format!("/keys/{id}");
                let answer = client.request(Method::DELETE, &path).send().await?;
                super::api::checked(answer)
                    .await
                    .map_err(|(refused, _)| refused)?;
            }
            KeysCommand::Rotate { id } => {
                let rotated = client
                    .post(&format!("/keys/{id}/rotate"), &json!({}))
                    .await?;
                print_secret(&rotated)?;
            }
        }
        Ok(())
    })
}

/// Prints the secret of a key, which the service shows once.
fn print_secret(key: &Value) -> anyhow::Result<()> {
    let secret = key["secret"].as_str();
    println!("{}", secret.context("the service sent no key")?);
    Ok(())
}

/// Lists, creates and changes tenants.
pub(crate) fn tenants(arguments: &TenantsArguments) -> anyhow::Result<()> {
    let client = ApiClient::open(&arguments.server)?;
    let fields = [
        "name",
        "id",
        "suspended",
        "running",
        "max_running",
        "max_queued",
        "weight",
        "rows_per_month",
        "storage_bytes",
        "calls_per_second",
    ];
    wait(async {
        match &arguments.command {
            TenantsCommand::List => {
                let tenants = client.get("/tenants").await?;
                println!("{}", listed(&tenants["tenants"], &fields));
            }
            TenantsCommand::Add { name, limits } => {
                let request = json!({"name": name, "limits": limits.document()});
                let made = client.post("/tenants", &request).await?;
                println!("{}", listed(&json!([made]), &fields));
            }
            TenantsCommand::Set {
                name,
                limits,
                suspend,
                resume,
            } => {
                let mut request = limits.document();
                if *suspend || *resume {
                    request["suspended"] = json!(suspend);
                }
                let path = format!("/tenants/{name}");
                let patch = || client.request(Method::PATCH, &path).json(&request);
                let changed: Value = client.send(patch).await?.json().await?;
                println!("{}", listed(&json!([changed]), &fields));
            }
            TenantsCommand::Usage => {
                let usage = client.get("/usage").await?;
                println!("{}", listed(&json!([usage["tenant"]]), &fields));
                let months = ["month", "jobs", "rows", "bytes_in", "bytes_out"];
                println!("{}", listed(&usage["months"], &months));
            }
        }
        Ok(())
    })
}
