//! `sanitizer status`, `report`, `download` and `cancel`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::Value;

use super::arguments::{
    CancelArguments, DownloadArguments, DownloadFormat, DownloadTable, ReportArguments,
    StatusArguments,
};
use super::follow::{ended_well, follow};
use super::{ApiClient, wait};

/// Shows a job, or the last ones.
pub(crate) fn status(arguments: &StatusArguments) -> anyhow::Result<()> {
    let client = ApiClient::open(&arguments.server)?;
    wait(async {
        let Some(id) = &arguments.job else {
            let jobs = client.get("/jobs?limit=20").await?;
            match arguments.json {
                true => println!("{}", serde_json::to_string_pretty(&jobs)?),
                false => println!("{}", table(&jobs)),
            }
            return Ok(());
        };
        let job = match arguments.wait {
            true => follow(&client, id).await?,
            false => client.get(&format!("/jobs/{id}")).await?,
        };
        match arguments.json {
            true => println!("{}", serde_json::to_string_pretty(&job)?),
            false => print!("{}", summary(&job)),
        }
        match arguments.wait {
            true => ended_well(&job),
            false => Ok(()),
        }
    })
}

fn text<'a>(document: &'a Value, name: &str) -> &'a str {
    document[name].as_str().unwrap_or_default()
}

fn table(jobs: &Value) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["job", "dataset", "status", "submitted", "rows"]);
    for job in jobs["jobs"].as_array().into_iter().flatten() {
        let rows = job["metrics"]["rows_processed"].as_u64().unwrap_or(0);
        table.add_row([
            text(job, "job_id"),
            text(job, "dataset_name"),
            text(job, "status"),
            text(job, "created_at"),
            &rows.to_string(),
        ]);
    }
    table
}

/// A job in a few lines.
pub(crate) fn summary(job: &Value) -> String {
    let mut lines = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{name:<12} {value}");
    };
    line("job", text(job, "job_id").to_owned());
    line("dataset", text(job, "dataset_name").to_owned());
    line("status", text(job, "status").to_owned());
    let metrics = &job["metrics"];
    let number = |name: &str| metrics[name].as_u64();
    if let (Some(rows), Some(cleaned)) = (number("rows_processed"), number("rows_cleaned")) {
        let dropped = number("rows_dropped").unwrap_or(0);
        let quarantined = number("rows_quarantined").unwrap_or(0);
        let rows =
            format!("{rows} in, {cleaned} clean, {dropped} dropped, {quarantined} quarantined");
        line("rows", rows);
        let cells = number("cells_modified").unwrap_or(0);
        let filled = number("imputations_applied").unwrap_or(0);
        line(
            "cells",
            format!("{cells} changed, of these {filled} filled"),
        );
    } else if let Some(share) = job["progress"]["pass1_progress"].as_f64() {
        let written = job["progress"]["pass2_progress"].as_f64().unwrap_or(0.0);
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        line("learned", percent(share));
        line("written", percent(written));
    }
    if let Some(message) = job["error"]["message"].as_str() {
        line("error", message.to_owned());
    }
    lines
}

/// Prints a report, or writes its page.
pub(crate) fn report(arguments: &ReportArguments) -> anyhow::Result<()> {
    let client = ApiClient::open(&arguments.server)?;
    wait(async {
        let path = format!("/jobs/{}/report", arguments.job);
        match &arguments.html {
            None => {
                let report = client.get(&path).await?;
                println!("{}", serde_json::to_string_pretty(&report)?);
            }
            Some(file) => {
                let path = format!("{path}?format=html");
                let answer = client.send(|| client.request(Method::GET, &path)).await?;
                let page = answer.bytes().await?;
                std::fs::write(file, page).with_context(|| file.display().to_string())?;
            }
        }
        Ok(())
    })
}

/// Writes a table of an output to a file.
pub(crate) fn download(arguments: &DownloadArguments) -> anyhow::Result<()> {
    let client = ApiClient::open(&arguments.server)?;
    wait(fetch(
        &client,
        &arguments.job,
        &arguments.output,
        arguments.format,
        arguments.table,
        arguments.keep_formulas,
    ))
}

/// Fetches a table; the file is there when it is whole.
pub(crate) async fn fetch(
    client: &ApiClient,
    job: &str,
    file: &Path,
    format: Option<DownloadFormat>,
    table: DownloadTable,
    keep_formulas: bool,
) -> anyhow::Result<()> {
    let ending = file.extension().and_then(|ending| ending.to_str());
    let ending = ending.map(|ending| DownloadFormat::from_str(ending, true));
    let format = format.or(ending.and_then(Result::ok));
    let format = name_of(format.unwrap_or(DownloadFormat::Parquet));
    let formulas = if keep_formulas { "keep" } else { "escape" };
    let table = name_of(table);
    let path = format!("/jobs/{job}/download?format={format}&table={table}&formulas={formulas}");
    let mut answer = client.send(|| client.request(Method::GET, &path)).await?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let shown = || file.display().to_string();
    let mut to = tempfile::NamedTempFile::new_in(folder).with_context(shown)?;
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} receiving {bytes} {bytes_per_sec}") {
        bar.set_style(style);
    }
    while let Some(chunk) = answer.chunk().await.context("the download broke off")? {
        to.write_all(&chunk).with_context(shown)?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    use std::os::unix::fs::PermissionsExt;
    let readable = std::fs::Permissions::from_mode(0o644);
    to.as_file().set_permissions(readable).with_context(shown)?;
    to.persist(file).with_context(shown)?;
    Ok(())
}

fn name_of(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// Stops a job.
pub(crate) fn cancel(arguments: &CancelArguments) -> anyhow::Result<()> {
    let client = ApiClient::open(&arguments.server)?;
    wait(async {
        let path = format!("/jobs/{}", arguments.job);
        let answer = client
            .send(|| client.request(Method::DELETE, &path))
            .await?;
        let mut job: Value = answer.json().await?;
        if arguments.wait {
            job = follow(&client, &arguments.job).await?;
        }
        print!("{}", summary(&job));
        Ok(())
    })
}
