//! An object store that counts its requests and the retries of its client.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::path::Path;
use object_store::{
    ClientOptions, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, Result, UploadPart,
};
use tracing::{Instrument, info_span};

use planner_telemetry::METRICS;

/// Counts requests with their duration and bytes, and opens a span for each.
#[derive(Debug)]
pub(super) struct MeteredStore(pub(super) Arc<dyn ObjectStore>);

impl fmt::Display for MeteredStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the outcome of a request. A missing or existing object is a successful answer.
fn outcome<T>(answer: &Result<T>) -> &'static str {
    use object_store::Error;
    match answer {
        Ok(_)
        | Err(
            Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. },
        ) => "success",
        Err(_) => "error",
    }
}

fn answered<T>(operation: &'static str, begun: Instant, answer: &Result<T>) {
    METRICS
        .object_store_requests
        .count([operation, outcome(answer)]);
    METRICS
        .object_store_seconds
        .observe([operation], begun.elapsed().as_secs_f64());
}

async fn metered<T>(
    operation: &'static str,
    request: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let begun = Instant::now();
    let span = info_span!("object_store", operation, otel.kind = "client");
    let answer = request.instrument(span).await;
    answered(operation, begun, &answer);
    answer
}

fn read(bytes: usize) {
    METRICS.object_store_bytes.add(["read"], bytes as f64);
}

fn written(bytes: usize) {
    METRICS.object_store_bytes.add(["written"], bytes as f64);
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for MeteredStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let bytes = payload.content_length();
        let put = metered("put", self.0.put_opts(location, payload, opts)).await?;
        written(bytes);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = metered("put", self.0.put_multipart_opts(location, opts)).await?;
        Ok(Box::new(MeteredUpload(upload)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = metered("get", self.0.get_opts(location, options)).await?;
        if let GetResultPayload::Stream(stream) = result.payload {
            let counted = stream.inspect(|chunk| {
                if let Ok(chunk) = chunk {
                    read(chunk.len());
                }
            });
            result.payload = GetResultPayload::Stream(counted.boxed());
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let chunks = metered("get", self.0.get_ranges(location, ranges)).await?;
        read(chunks.iter().map(Bytes::len).sum());
        Ok(chunks)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let mut begun = Instant::now();
        let deleted = self.0.delete_stream(locations).inspect(move |answer| {
            answered("delete", begun, answer);
            begun = Instant::now();
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        listed(self.0.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        listed(self.0.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        metered("list", self.0.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        metered("copy", self.0.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        metered("copy", self.0.rename_opts(from, to, options)).await
    }
}

/// Creates clients that count retries, which the store above them cannot see.
#[derive(Debug)]
pub(super) struct MeteredConnector;

impl HttpConnector for MeteredConnector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(MeteredClient(client)))
    }
}

#[derive(Debug)]
struct MeteredClient(HttpClient);

#[async_trait]
impl HttpService for MeteredClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.execute(request).await;
        let reason = match &answer {
            Ok(response) => tried_again(response.status().as_u16()),
            Err(error) => broken_off(error.kind()).then_some("connection"),
        };
        if let Some(reason) = reason {
            METRICS.object_store_retries.count([reason]);
        }
        answer
    }
}

/// Returns why a request with this status is retried, if it is.
fn tried_again(status: u16) -> Option<&'static str> {
    match status {
        // Amazon's stores say 503 (`SlowDown`) where others say 429.
        429 | 503 => Some("throttled"),
        408 | 500..=599 => Some("server_error"),
        _ => None,
    }
}

/// Returns whether a request without a response is retried. Every request here is safe to repeat.
fn broken_off(kind: HttpErrorKind) -> bool {
    use HttpErrorKind::{Connect, Interrupted, Request, Timeout};
    matches!(kind, Connect | Request | Timeout | Interrupted)
}

/// Counts a list request once, when it ends or fails.
fn listed(list: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
    let begun = Instant::now();
    let failed = list.inspect(move |entry| {
        if entry.is_err() {
            answered("list", begun, entry);
        }
    });
    let end = futures::stream::once(async move { answered("list", begun, &Ok(())) });
    failed
        .map(Some)
        .chain(end.map(|()| None))
        .filter_map(std::future::ready)
        .boxed()
}

/// A multipart upload; each part is a request.
#[derive(Debug)]
struct MeteredUpload(Box<dyn MultipartUpload>);

#[async_trait]
impl MultipartUpload for MeteredUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let bytes = data.content_length();
        let part = self.0.put_part(data);
        Box::pin(async move {
            metered("put", part).await?;
            written(bytes);
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        metered("put", self.0.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        metered("delete", self.0.abort()).await
    }
}
