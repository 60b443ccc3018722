//! Propagation of trace context between processes: W3C Trace Context.

use std::any::Any;
use std::collections::HashMap;

use datafusion::common::config_err;
use datafusion::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::execution::TaskContext;
use futures::{Stream, StreamExt};
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::trace::TraceContextExt;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Name of the header, the column and the setting.
const TRACEPARENT: &str = "traceparent";

/// Trace context of a task on a cluster.
///
/// Implemented by hand: the macro of DataFusion lists settings without their prefix, and members of a cluster exchange
/// these lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceOptions {
    /// The parent span of the task as W3C `traceparent`; empty for none.
    pub parent: String,
}

impl TraceOptions {
    /// Name of the setting.
    pub const PARENT: &'static str = "trace.parent";
}

impl ConfigExtension for TraceOptions {
    const PREFIX: &'static str = "trace";
}

impl ExtensionOptions for TraceOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> datafusion::error::Result<()> {
        match key {
            "parent" => {
                value.clone_into(&mut self.parent);
                Ok(())
            }
            _ => config_err!("unknown setting trace.{key}"),
        }
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![ConfigEntry {
            key: Self::PARENT.to_owned(),
            value: Some(self.parent.clone()),
            description: "parent span of a task",
        }]
    }
}

/// Returns the current span as `traceparent`; `None` when tracing is disabled.
pub fn traceparent() -> Option<String> {
    let context = Span::current().context();
    let mut carrier = HashMap::new();
    get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
    carrier.remove(TRACEPARENT)
}

/// Returns the span of a partition of a task, in the trace that the task carries; a disabled span on the driver, where
/// tasks run within the span of their pass.
pub fn partition_span(context: &TaskContext, partition: usize) -> Span {
    let options = context.session_config().options();
    let told = options.extensions.get::<TraceOptions>();
    match told.filter(|told| !told.parent.is_empty()) {
        Some(told) => {
            let span = info_span!("partition", partition);
            continue_trace(&span, &told.parent);
            span
        }
        None => Span::none(),
    }
}

/// Wraps a stream so that its items are produced within a span.
pub fn in_span<S: Stream + Unpin>(span: Span, mut stream: S) -> impl Stream<Item = S::Item> {
    futures::stream::poll_fn(move |context| {
        let _in = span.enter();
        stream.poll_next_unpin(context)
    })
}

/// Makes a span part of the trace of a `traceparent`, if it is valid.
pub fn continue_trace(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = get_text_map_propagator(|propagator| propagator.extract(&carrier));
    if context.span().span_context().is_valid() {
        // A span that nobody records has no parent either.
        let _ = span.set_parent(context);
    }
}

/// Returns the trace id of a span in hexadecimal; `None` when tracing is disabled.
pub fn trace_id(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.trace_id().to_string())
}
