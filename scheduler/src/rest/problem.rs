//! Problem documents (RFC 9457): what went wrong with a request.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use planner::telemetry::trace_id;
use serde::Serialize;
use tracing::{Span, error};
use utoipa::ToSchema;

use crate::metadata::MetadataError;

/// What went wrong with a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Kind of the problem, `urn:data-sanitizer:problem:…`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:data-sanitizer:problem:queue-full")]
    pub kind: Box<str>,
    /// The kind in words.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// HTTP status.
    #[schema(example = 429)]
    pub status: u16,
    /// What is wrong with this request, and what to do.
    pub detail: String,
    /// The field of the request that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// The trace of the request, by which it is found in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    pub trace_id: Option<Box<str>>,
    /// Seconds until another try may succeed.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:data-sanitizer:problem:{kind}").into(),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            trace_id: trace_id(&Span::current()).map(String::into_boxed_str),
            retry_after: None,
        }
    }

    /// The last part of its type.
    pub(crate) fn kind(&self) -> &str {
        self.kind.rsplit(':').next().unwrap_or_default()
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        let title = "The request cannot be read";
        Self::new(StatusCode::BAD_REQUEST, "bad-request", title, detail)
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        let title = "The request asks for what cannot be";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", title, detail)
    }

    /// A field with a value that cannot be.
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::invalid(detail)
        }
    }

    pub(crate) fn unauthorized() -> Self {
        let title = "Nobody was let in";
        let detail = "send an API key or a token that holds: Authorization: Bearer KEY";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title, detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        let title = "Not allowed";
        Self::new(StatusCode::FORBIDDEN, "forbidden", title, detail)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        let title = "Not found";
        let detail = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "not-found", title, detail)
    }

    pub(crate) fn method() -> Self {
        let title = "The method is not allowed";
        let detail = "what is there does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", title, detail)
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        let title = "Something stands in the way";
        Self::new(StatusCode::CONFLICT, "conflict", title, detail)
    }

    pub(crate) fn too_large(detail: impl Into<String>) -> Self {
        let title = "Too large";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", title, detail)
    }

    pub(crate) fn media_type(detail: impl Into<String>) -> Self {
        let title = "The content type is not known here";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media-type",
            title,
            detail,
        )
    }

    pub(crate) fn too_slow() -> Self {
        let title = "Too slow";
        let detail = "the body was sent too slowly, or not at all for too long";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", title, detail)
    }

    pub(crate) fn rate(retry_after: u64) -> Self {
        let title = "Too many calls";
        let detail = "the tenant calls more often than it may";
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate", title, detail)
        }
    }

    /// Too much of one sender goes on at the same time.
    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        let title = "Too much at the same time";
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", title, detail)
        }
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        let title = "Not available now";
        Self {
            retry_after: Some(5),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                title,
                detail,
            )
        }
    }

    pub(crate) fn internal() -> Self {
        let title = "The service failed";
        let detail = "a mistake of the service; its log has the reason";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", title, detail)
    }

    /// Reading or writing the store failed.
    pub(crate) fn of_store(cause: &std::io::Error) -> Self {
        error!(error = %cause, "the store failed");
        match cause.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                let title = "The store is full";
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "store-full",
                    title,
                    "no file can be kept now",
                )
            }
            _ => Self::unavailable("the store of files does not answer"),
        }
    }
}

impl From<MetadataError> for Problem {
    fn from(cause: MetadataError) -> Self {
        match cause {
            MetadataError::Invalid(detail) => Self::invalid(detail),
            MetadataError::NotFound(detail) => Self {
                detail,
                ..Self::not_found("thing")
            },
            MetadataError::Conflict(detail) => Self::conflict(detail),
            MetadataError::KeyReused => {
                let title = "The Idempotency-Key was used before";
                let detail =
                    "the Idempotency-Key came with another request earlier; take a new one";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "key-reused", title, detail)
            }
            MetadataError::QueueFull { .. } => {
                let title = "The queue is full";
                Self {
                    retry_after: Some(30),
                    ..Self::new(
                        StatusCode::TOO_MANY_REQUESTS,
                        "queue-full",
                        title,
                        cause.to_string(),
                    )
                }
            }
            MetadataError::QuotaSpent { .. } => {
                let title = "The quota is spent";
                Self {
                    retry_after: Some(seconds_left_in_month()),
                    ..Self::new(
                        StatusCode::TOO_MANY_REQUESTS,
                        "quota-spent",
                        title,
                        cause.to_string(),
                    )
                }
            }
            MetadataError::StorageSpent { .. } => {
                let title = "The storage of the tenant is full";
                let status = StatusCode::INSUFFICIENT_STORAGE;
                Self::new(status, "storage-spent", title, cause.to_string())
            }
            MetadataError::Fenced => Self::conflict(cause.to_string()),
            MetadataError::Unavailable(reason) => {
                error!(%reason, "the metadata store does not answer");
                Self::unavailable("the metadata store does not answer")
            }
            MetadataError::Failed(reason) => {
                error!(%reason, "the metadata store failed");
                Self::internal()
            }
        }
    }
}

fn seconds_left_in_month() -> u64 {
    use chrono::{Datelike, NaiveDate, Utc};
    let now = Utc::now();
    let (year, month) = match now.month() {
        12 => (now.year() + 1, 1),
        month => (now.year(), month + 1),
    };
    let next = NaiveDate::from_ymd_opt(year, month, 1).and_then(|day| day.and_hms_opt(0, 0, 0));
    let left = next.map_or(0, |next| (next.and_utc() - now).num_seconds());
    u64::try_from(left).unwrap_or(0).max(1)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, content).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        // For the log.
        response.extensions_mut().insert(self);
        response
    }
}

/// The problems that any request may have.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code)]
pub(crate) enum Problems {
    /// The request cannot be read.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(#[to_schema] Problem),
    /// No key or token, or one that does not hold.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(#[to_schema] Problem),
    /// The key or token does not allow this.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] Problem),
    /// There is no such thing, or it is another tenant's.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] Problem),
    /// Nothing was sent for too long.
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(#[to_schema] Problem),
    /// Something stands in the way.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] Problem),
    /// The document is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] Problem),
    /// The body is not what is expected here.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(#[to_schema] Problem),
    /// The request asks for what cannot be.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(#[to_schema] Problem),
    /// Too many calls, a full queue, or a quota that is spent; `Retry-After` says when to come again.
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(#[to_schema] Problem),
    /// Something that the service needs does not answer now.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] Problem),
}
