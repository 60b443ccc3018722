//! A caller that asks again until it gets through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::process::Services;

/// Time in which a request must get through, whatever happens to the services.
const PATIENCE: Duration = Duration::from_secs(120);

/// A caller with a key.
pub(super) struct Client {
    services: Arc<Services>,
    client: reqwest::Client,
    key: String,
    turn: AtomicUsize,
}

impl Client {
    pub(super) fn new(services: Arc<Services>, key: String) -> Self {
        Self {
            services,
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(30))
                .build()
                .unwrap_or_default(),
            key,
            turn: AtomicUsize::new(0),
        }
    }

    /// Sends a request to one service after the other, until one takes it.
    async fn send(
        &self,
        method: Method,
        path: &str,
        more: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response> {
        let begun = Instant::now();
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let url = format!("{}/api/v1{path}", self.services.url(turn)?);
            let request = self
                .client
                .request(method.clone(), url)
                .bearer_auth(&self.key);
            let failure = match more(request).send().await {
                Ok(answer) if answer.status().is_server_error() => format!("{}", answer.status()),
                Ok(answer) => return Ok(answer),
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > PATIENCE {
                bail!("{method} {path} does not get through: {failure}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.send(Method::GET, path, |request| request).await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Makes something; an earlier try may have made it.
    pub(super) async fn made(&self, path: &str, document: &Value) -> Result<Value> {
        let answer = self
            .send(Method::POST, path, |request| request.json(document))
            .await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Submits a table; gives the job.
    pub(super) async fn submit(
        &self,
        tenant: &str,
        key: &str,
        table: &[u8],
        spec: Option<Value>,
    ) -> Result<String> {
        let path = format!("/datasets/{tenant}/ingest");
        let answer = self
            .send(Method::POST, &path, |request| {
                let file =
                    reqwest::multipart::Part::bytes(table.to_vec()).file_name("customers.csv");
                let mut form = reqwest::multipart::Form::new().part("file", file);
                if let Some(spec) = &spec {
                    form = form.text("spec", spec.to_string());
                }
                request.header("idempotency-key", key).multipart(form)
            })
            .await?;
        job_of(answer).await
    }

    /// Submits a spec; gives the job.
    pub(super) async fn submit_spec(&self, tenant: &str, spec: &Value) -> Result<String> {
        let path = format!("/datasets/{tenant}/ingest");
        let answer = self
            .send(Method::POST, &path, |request| request.json(spec))
            .await?;
        job_of(answer).await
    }

    /// Sends a file; gives the upload.
    pub(super) async fn upload(&self, name: &str, content: &[u8]) -> Result<String> {
        let begun = self
            .made("/uploads", &json!({"name": format!("{name}.csv")}))
            .await?;
        let id = begun["upload_id"]
            .as_str()
            .context("no upload came")?
            .to_owned();
        let part = format!("/uploads/{id}/parts/1");
        let put = self.send(Method::PUT, &part, |request| request.body(content.to_vec()));
        put.await?.error_for_status()?;
        self.made(&format!("/uploads/{id}/complete"), &json!({}))
            .await?;
        Ok(id)
    }

    /// Cancels a job, unless it has ended.
    pub(super) async fn cancel(&self, job: &str) -> Result<()> {
        let path = format!("/jobs/{job}");
        let answer = self.send(Method::DELETE, &path, |request| request).await?;
        match answer.status().as_u16() {
            202 | 409 => Ok(()),
            other => bail!("cancelling answers {other}"),
        }
    }
}

async fn job_of(answer: Response) -> Result<String> {
    let status = answer.status();
    let document: Value = answer.json().await?;
    let job = document["job_id"].as_str();
    Ok(job
        .with_context(|| format!("{status}: {document}"))?
        .to_owned())
}
