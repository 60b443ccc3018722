//! Telemetry of a process: Prometheus metrics and OpenTelemetry traces.
//!
//! Metrics are counted whether or not they are exported; [`METRICS`] is the only list. Trace context crosses processes
//! as W3C `traceparent`: over HTTP in a header, through the queue in the job's row, to executors in the settings of a
//! task.

mod family;
mod metrics;
#[cfg(test)]
mod page;
mod trace;

pub use family::{Counter, Gauge, Held, Histogram, Kind, Metric, Role};
pub use metrics::{METRICS, Metrics};
pub use trace::{TraceOptions, continue_trace, trace_id, traceparent};
pub use trace::{in_span, partition_span};
