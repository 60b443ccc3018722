//! Traces of programs that run for long, and their log.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::log::{LogFormat, filter};

/// Whose spans are traced.
const OWN: [&str; 6] = [
    "cli",
    "executor",
    "planner",
    "sanitizer",
    "scheduler",
    "sql",
];

/// What sends traces, until it is dropped: then it sends what is left.
#[must_use]
pub struct Traces {
    provider: SdkTracerProvider,
    // Where the sender runs.
    _runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that does not answer is no reason to end differently.
        let _ = self.provider.shutdown();
    }
}

/// Starts the log of a process that runs for long, and its traces. They go to the collector of
/// `OTEL_EXPORTER_OTLP_ENDPOINT` (OTLP over gRPC) where it is set; the log has their identifiers in either case.
///
/// # Errors
/// When what sends traces cannot be set up.
pub fn start_process(name: &'static str, format: LogFormat) -> anyhow::Result<Option<Traces>> {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let named = std::env::var("OTEL_SERVICE_NAME").ok();
    let resource = Resource::builder()
        .with_service_name(named.unwrap_or_else(|| name.to_owned()))
        .with_attribute(opentelemetry::KeyValue::new(
            "service.version",
            env!("CARGO_PKG_VERSION"),
        ))
        .build();
    let provider = SdkTracerProvider::builder().with_resource(resource);
    let set = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
    let endpoint =
        set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let (provider, runtime) = match endpoint {
        Some(endpoint) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("traces")
                .enable_all()
                .build()?;
            // All of it is made on the runtime that it sends on.
            let here = runtime.enter();
            let exporter = SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .build()?;
            let provider = provider.with_batch_exporter(exporter).build();
            drop(here);
            (provider, Some(runtime))
        }
        None => (provider.build(), None),
    };
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let log = match format {
        LogFormat::Text => log.boxed(),
        // The span at hand has all that is known of a job or a request.
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(name))
        .with_filter(Targets::new().with_targets(OWN.map(|own| (own, LevelFilter::INFO))));
    tracing_subscriber::registry()
        .with(log.with_filter(filter("info")))
        .with(traces)
        .init();
    Ok(Some(Traces {
        provider,
        _runtime: runtime,
    }))
}
