//! The trace that something belongs to, and how it goes on in another process: W3C Trace Context.

use std::collections::HashMap;

use datafusion::common::extensions_options;
use datafusion::config::ConfigExtension;
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Name of the header, of the column and of the setting.
const TRACEPARENT: &str = "traceparent";

extensions_options! {
    /// What a task of a cluster is told of the trace that it belongs to.
    pub struct TraceOptions {
        /// The span that the task is part of, as W3C `traceparent`; empty for none.
        pub parent: String, default = String::new()
    }
}

impl ConfigExtension for TraceOptions {
    const PREFIX: &'static str = "trace";
}

impl TraceOptions {
    /// Name of the setting.
    pub const PARENT: &'static str = "trace.parent";
}

/// The current span, as other processes are told of it; none where nobody traces.
pub fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let mut carrier = HashMap::new();
    get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
    carrier.remove(TRACEPARENT)
}

/// Makes a span part of the trace of a `traceparent`, if it is one.
pub fn continue_trace(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = get_text_map_propagator(|propagator| propagator.extract(&carrier));
    if context.span().span_context().is_valid() {
        // A span that nobody records has no parent either.
        let _ = span.set_parent(context);
    }
}

/// The trace of a span, in hexadecimal; none where nobody traces.
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.trace_id().to_string())
}
