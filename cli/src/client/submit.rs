//! `sanitizer submit`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use planner::spec::JobSpec;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::arguments::SubmitArguments;
use super::follow::{ended_well, follow};
use super::results::{fetch, summary};
use super::upload::upload;
use super::{ApiClient, wait};
use crate::ending::UsageError;

/// Submits a job, and waits for it where that is asked for.
pub(crate) fn submit(arguments: &SubmitArguments) -> anyhow::Result<()> {
    let client = ApiClient::open(&arguments.server)?;
    let (mut spec, base) = document(arguments)?;
    wait(async {
        let tenant = client.tenant().await?;
        send_sources(&client, &mut spec, &base).await?;
        if let Some(output) = spec.get_mut("output").and_then(Value::as_object_mut) {
            // The service has a place of its own.
            output.remove("location");
        }
        let key = arguments.idempotency_key.clone();
        let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
        let request = || {
            let path = format!("/datasets/{tenant}/ingest");
            let mut request = client
                .request(Method::POST, &path)
                .header("idempotency-key", &key)
                .json(&spec);
            let mut query = Vec::new();
            if let Some(dataset) = &arguments.dataset {
                query.push(("dataset_name", dataset.clone()));
            }
            if !arguments.rules.is_empty() {
                query.push(("rules", arguments.rules.join(",")));
            }
            if let Some(priority) = arguments.priority {
                query.push(("priority", priority.to_string()));
            }
            if let Some(deadline) = arguments.deadline {
                query.push(("deadline_seconds", deadline.0.as_secs().to_string()));
            }
            request = request.query(&query);
            request
        };
        let accepted: Value = client.send(request).await?.json().await?;
        let id = accepted["job_id"]
            .as_str()
            .context("the service names no job")?;
        if !arguments.wait && arguments.output.is_none() {
            match arguments.json {
                true => println!("{}", serde_json::to_string_pretty(&accepted)?),
                false => println!("{id}"),
            }
            return Ok(());
        }
        let job = follow(&client, id).await?;
        match arguments.json {
            true => println!("{}", serde_json::to_string_pretty(&job)?),
            false => print!("{}", summary(&job)),
        }
        ended_well(&job)?;
        if let Some(path) = &arguments.output {
            fetch(&client, id, path, None, Default::default(), false).await?;
        }
        Ok(())
    })
}

/// The spec that the command line asks for, and where its relative paths start.
fn document(arguments: &SubmitArguments) -> anyhow::Result<(Value, PathBuf)> {
    let here = std::env::current_dir().context("the current folder cannot be told")?;
    let path = Path::new(&arguments.job);
    let ending = path.extension().and_then(|ending| ending.to_str());
    let ending = ending.unwrap_or_default().to_ascii_lowercase();
    let text = match ending.as_str() {
        "yaml" | "yml" => {
            Some(std::fs::read_to_string(path).with_context(|| arguments.job.clone())?)
        }
        "json" => std::fs::read_to_string(path).ok(),
        _ => None,
    };
    let spec = match text {
        Some(text) => {
            let document = JobSpec::local_document(&text, &arguments.job);
            match document {
                Ok(document) if document.get("source").is_some() => Some(document),
                // Data may be JSON too; a spec in YAML has a source.
                Err(error) if ending != "json" => return Err(error.into()),
                _ if ending != "json" => {
                    let text = format!("{}: source: it is missing", arguments.job);
                    return Err(UsageError(text).into());
                }
                _ => None,
            }
        }
        None => None,
    };
    let (mut spec, base) = match spec {
        Some(spec) => (spec, path.parent().map(Path::to_owned).unwrap_or_default()),
        None => {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let name = name.split('.').next().unwrap_or("data");
            let spec = json!({"version": 1, "name": name, "source": {"location": arguments.job}});
            (spec, PathBuf::new())
        }
    };
    if !arguments.set.is_empty() {
        let text = spec.to_string();
        let set = JobSpec::parse(&text, &arguments.job, &arguments.set)?;
        spec = serde_json::to_value(&set)?;
    }
    Ok((spec, here.join(base)))
}

/// Sends files of this machine that a spec names, and puts the uploads in their stead.
async fn send_sources(client: &ApiClient, spec: &mut Value, base: &Path) -> anyhow::Result<()> {
    let location = &mut spec["source"]["location"];
    let locations: Vec<String> = match &*location {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many
            .iter()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    let mut sent = Vec::new();
    for named in locations {
        let elsewhere = named.contains("://") || named.starts_with("upload:");
        if elsewhere {
            sent.push(json!(named));
            continue;
        }
        let path = base.join(&named);
        if path.is_dir() {
            let text = format!("{named}: name the files of the folder one by one");
            return Err(UsageError(text).into());
        }
        let id = upload(client, &path).await?;
        sent.push(json!(format!("upload:{id}")));
    }
    *location = match sent.len() {
        1 => sent.remove(0),
        _ => Value::Array(sent),
    };
    Ok(())
}
