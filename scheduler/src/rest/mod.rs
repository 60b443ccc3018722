//! The REST API, `/api/v1`: what people and programs say to the service over HTTP.
//!
//! Each handler is listed in `routes`, from which the OpenAPI document follows. Who may call it stands in the table of
//! endpoints (`access/endpoint.rs`), by which `gate` checks every request: a route that is not in it is not served.

mod access_log;
mod audit;
mod body;
mod datasets;
mod extract;
mod gate;
mod info;
mod ingest;
mod jobs;
mod keys;
mod masking;
mod page;
mod problem;
mod protection;
mod results;
mod review;
mod tenants;
mod tokens;
mod uploads;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Notify;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, ServerBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use problem::Problem;

use crate::access::{Endpoint, JwtVerifier, Needs, Permits, Rates};
use crate::audit::AuditTrail;
use crate::lifecycle::SpecPolicy;
use crate::limits::RequestLimits;
use crate::metadata::MetadataStore;
use crate::storage::Store;
use crate::vault::Vault;

/// What handlers work with.
pub(crate) struct App {
    pub(crate) metadata: MetadataStore,
    pub(crate) store: Store,
    /// What vouches for the audit log.
    pub(crate) trail: AuditTrail,
    /// What tokens stand for.
    pub(crate) vault: Vault,
    pub(crate) specs: SpecPolicy,
    pub(crate) jwt: Option<JwtVerifier>,
    pub(crate) rates: Rates,
    /// Bodies that are received.
    pub(crate) bodies: Permits,
    /// Documents that are parsed.
    pub(crate) parses: Permits,
    /// Outputs that are converted while they are downloaded.
    pub(crate) conversions: Permits,
    /// Wakes a worker.
    pub(crate) wake: Arc<Notify>,
    pub(crate) options: ApiOptions,
    pub(crate) stopping: AtomicBool,
}

/// Limits of the API.
#[derive(Debug, Clone)]
pub(crate) struct ApiOptions {
    /// Most bytes of a file that is sent.
    pub(crate) max_upload_bytes: u64,
    /// Time for which a sender may send nothing.
    pub(crate) body_timeout: Duration,
    /// What requests may have.
    pub(crate) requests: RequestLimits,
    /// How often a job may fail for reasons that another try may mend.
    pub(crate) max_attempts: i64,
    /// Jobs that are worked on at the same time.
    pub(crate) workers: usize,
}

impl App {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

fn routes() -> (Router<Arc<App>>, OpenApi) {
    let api = OpenApiRouter::new()
        .routes(routes!(info::me))
        .routes(routes!(info::steps))
        .routes(routes!(info::step))
        .routes(routes!(info::job_schema))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show, jobs::cancel))
        .routes(routes!(jobs::attempts))
        .routes(routes!(jobs::events))
        .routes(routes!(results::report::report))
        .routes(routes!(results::download::download))
        .routes(routes!(results::files::files))
        .routes(routes!(results::files::file))
        .routes(routes!(results::files::part))
        .routes(routes!(results::changed_cells::provenance))
        .routes(routes!(review::fixes, review::decide))
        .routes(routes!(review::publish))
        .routes(routes!(results::lost_rows::removed))
        .routes(routes!(results::lost_rows::quarantine))
        .routes(routes!(datasets::list))
        .routes(routes!(datasets::show))
        .routes(routes!(datasets::versions))
        .routes(routes!(datasets::lineage))
        .routes(routes!(datasets::contracts, datasets::add_contract))
        .routes(routes!(datasets::rules))
        .routes(routes!(
            datasets::rule,
            datasets::put_rule,
            datasets::delete_rule
        ))
        .routes(routes!(uploads::begin))
        .routes(routes!(uploads::show, uploads::remove))
        .routes(routes!(uploads::complete))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::export))
        .routes(routes!(tenants::usage))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::update))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(keys::rotate))
        .routes(routes!(users::list))
        .routes(routes!(users::update))
        .routes(routes!(tokens::reveal));
    // These stream, and have limits of their own.
    let streams = OpenApiRouter::new()
        .routes(routes!(ingest::ingest))
        .routes(routes!(uploads::put_part))
        .layer(DefaultBodyLimit::disable());
    let health = OpenApiRouter::new()
        .routes(routes!(info::health))
        .routes(routes!(info::ready));
    OpenApiRouter::with_openapi(document())
        .nest("/api/v1", api.merge(streams))
        .merge(health)
        .split_for_parts()
}

fn document() -> OpenApi {
    let about = "Jobs that clean tables: submitted, watched, and what came of them.\n\n\
        Send an API key with each request: `Authorization: Bearer dsk_…`. Errors are problem documents (RFC 9457). \
        Lists come in pages: `next_cursor` of one is `cursor` of the next.";
    let mut document = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Data Sanitizer")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(about))
                .license(Some(utoipa::openapi::License::new("Apache-2.0"))),
        )
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .build();
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, or a token of the identity provider"))
        .build();
    let mut components = utoipa::openapi::Components::new();
    components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    let key =
        ApiKeyValue::with_description("X-API-Key", "The same API key, in a header of its own");
    components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    document.components = Some(components);
    let either = ["bearer", "key"];
    let either = either.map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
    document.security = Some(either.to_vec());
    document
}

/// The whole API.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (router, document) = routes();
    let text = described(&document).unwrap_or_default();
    let document = move || {
        let kind = [(header::CONTENT_TYPE, "application/json")];
        let text = text.clone();
        async move { (kind, text) }
    };
    let header = |name: header::HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    router
        .route("/api/v1/openapi.json", get(document))
        .route_layer(axum::middleware::from_fn_with_state(
            Arc::clone(&app),
            gate::authorize,
        ))
        .fallback(|| async { Problem::not_found("path") })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .layer(RequestBodyTimeoutLayer::new(app.options.body_timeout))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(header(header::CACHE_CONTROL, "no-store"))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::X_FRAME_OPTIONS, "DENY"))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .layer(axum::middleware::from_fn(access_log::log))
        .with_state(app)
}

/// Media type of problem documents.
const PROBLEM: &str = "application/problem+json";

/// The OpenAPI document, with what its maker leaves out: a unique name for each operation, the actions that it needs,
/// and a description of each answer.
fn described(document: &OpenApi) -> serde_json::Result<String> {
    let mut document = serde_json::to_value(document)?;
    let paths = document["paths"].as_object_mut();
    let operations = paths.into_iter().flatten().flat_map(|(route, methods)| {
        let methods = methods.as_object_mut().into_iter().flatten();
        methods.map(move |(method, operation)| (route, method, operation))
    });
    for (route, method, operation) in operations {
        let endpoint = Endpoint::find(&method.to_ascii_uppercase(), route);
        if let Some(Needs::OneOf(actions)) = endpoint.map(|endpoint| endpoint.needs) {
            let names: Vec<&str> = actions.iter().map(|action| action.name()).collect();
            operation["x-required-actions"] = names.into();
        }
        let name = |field: &serde_json::Value| field.as_str().unwrap_or_default().to_owned();
        let own = name(&operation["operationId"]);
        operation["operationId"] = match name(&operation["tags"][0]).as_str() {
            tag if tag == own => own,
            tag => format!("{tag}_{own}"),
        }
        .into();
        let answers = operation["responses"].as_object_mut();
        for (status, answer) in answers.into_iter().flatten() {
            let said = answer["description"].as_str().unwrap_or_default();
            if said.is_empty() {
                answer["description"] = match status.as_str() {
                    "200" => "What was asked for",
                    "201" => "It is made",
                    "202" => "It is accepted",
                    _ => "What is wrong",
                }
                .into();
            }
            // Named once, and not spelled out for each answer.
            let content = answer.get_mut("content");
            if let Some(content) = content.and_then(|content| content.get_mut(PROBLEM)) {
                content["schema"] = serde_json::json!({"$ref": "#/components/schemas/Problem"});
            }
        }
    }
    serde_json::to_string(&document)
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // The panic itself is in the log.
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation is in the table of endpoints, and every endpoint is served: neither can be forgotten.
    #[test]
    fn every_operation_is_in_the_table() {
        let document = serde_json::to_value(routes().1).unwrap();
        let mut served = vec![("GET".to_owned(), "/api/v1/openapi.json".to_owned())];
        for (route, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                served.push((method.to_ascii_uppercase(), route.clone()));
            }
        }
        for (method, route) in &served {
            let found = Endpoint::find(method, route);
            assert!(found.is_some(), "{method} {route} is not in the table");
        }
        assert_eq!(served.len(), crate::access::ENDPOINTS.len());
    }

    /// Each operation has a name that no other one has: clients are made from them.
    #[test]
    fn operations_have_names() {
        let document = described(&routes().1).unwrap();
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let names = operations.map(|operation| operation["operationId"].as_str().unwrap());
        let mut names: Vec<&str> = names.collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), count), (52, 52));
        assert!(document["components"]["schemas"]["Problem"].is_object());
    }
}
