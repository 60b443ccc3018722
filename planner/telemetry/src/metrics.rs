//! The list of all metrics.

use std::collections::BTreeSet;
use std::sync::{LazyLock, RwLock};

use prometheus::{Registry, TextEncoder};

use super::family::{Counter, Family, Gauge, Histogram, Metric, Role};

/// Maximum number of tenants with series of their own; the others share the label `other`.
const TENANTS: usize = 100;

/// The metrics of this process.
pub static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

const fn count(labels: &[(&str, &[&str])]) -> usize {
    labels.len()
}

macro_rules! metrics {
    ($($role:ident { $($field:ident: $kind:ident, $name:literal, [$($label:literal: $values:expr),*], $help:literal;)+ })+) => {
        /// The metrics of a process.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            tenants: RwLock<BTreeSet<String>>,
            $($(#[doc = $help] pub $field: $kind<{ count(&[$(($label, &[])),*]) }>,)+)+
        }

        impl Metrics {
            /// Static descriptions of all metrics, in the order of their documentation.
            pub const LIST: &'static [Metric] = &[$($(Metric {
                name: concat!("data_sanitizer_", $name),
                kind: <$kind<{ count(&[$(($label, &[])),*]) }> as Family>::KIND,
                labels: &[$(($label, $values)),*],
                role: Role::$role,
                help: $help,
            },)+)+];

            // Names and labels are those of the list, and a test makes them all.
            #[allow(clippy::expect_used)]
            fn new() -> Self {
                let registry = Registry::new();
                let mut list = Self::LIST.iter();
                $($(let $field = {
                    let metric = list.next().expect("as many fields as metrics");
                    Family::make(metric, &registry).expect("a name that Prometheus takes")
                };)+)+
                #[cfg(target_os = "linux")]
                let _ = registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()));
                Self { registry, tenants: RwLock::default(), $($($field,)+)+ }
            }

            /// Initializes the series of a role whose label values are known in advance, so that rates include their
            /// first change.
            pub fn begin(&self, role: Role) {
                let mut list = Self::LIST.iter();
                $($(if let Some(metric) = list.next().filter(|metric| role.has(metric.role) && !LATER.contains(&metric.name)) {
                    for labels in metric.known() {
                        Family::touch(&self.$field, &labels);
                    }
                })+)+
                self.build_info.set([env!("CARGO_PKG_VERSION")], 1.0);
            }
        }
    };
}

/// Metrics without an initial value: they are exported once they are known.
const LATER: &[&str] = &[
    "data_sanitizer_audit_chain_intact",
    "data_sanitizer_audit_chain_checked_timestamp_seconds",
];

const JOB_STATES: &[&str] = &["pending", "queued", "pass1_running", "pass2_running"];
const ERROR_KINDS: &[&str] = &[
    "invalid",
    "not_found",
    "conflict",
    "exhausted",
    "unavailable",
    "refused",
    "late",
    "incomplete",
    "bug",
];
const ENDS: &[&str] = &["success", "failed", "cancelled"];
const TASK_ENDS: &[&str] = &["completed", "failed", "cancelled"];

metrics! {
    All {
        build_info: Gauge, "build_info", ["version": &[]], "1, with the version of the program.";
        object_store_requests: Counter, "object_store_requests_total", ["operation": &["get", "put", "list", "delete", "copy"], "outcome": &["success", "error"]], "Requests to object stores; one that was tried again inside the client counts once.";
        object_store_seconds: Histogram, "object_store_request_duration_seconds", ["operation": &["get", "put", "list", "delete", "copy"]], "Seconds until an object store answered, retries of the client among them.";
        object_store_bytes: Counter, "object_store_bytes_total", ["direction": &["read", "written"]], "Bytes that object stores gave and were given.";
        object_store_retries: Counter, "object_store_retries_total", ["reason": &["throttled", "server_error", "connection"]], "Answers of object stores, or connections to them, that failed so that the client tries again; the last one, after which it gives up, among them.";
        spilled_bytes: Counter, "spilled_bytes_total", [], "Bytes that operators wrote to disk for lack of memory.";
        memory_pool: Gauge, "memory_pool_bytes", ["state": &["reserved", "limit"]], "Memory that the jobs of this process have asked for, and may have together; of executors, what their running tasks have asked for, and may have.";
    }
    Service {
        rows_processed: Counter, "rows_processed_total", ["tenant": &[]], "Rows of the sources of published jobs.";
        rows_cleaned: Counter, "rows_cleaned_total", ["tenant": &[]], "Rows of the cleaned data of published jobs.";
        rows_removed: Counter, "rows_removed_total", ["tenant": &[], "step": &[]], "Rows that a step took out, of published jobs.";
        rows_quarantined: Counter, "rows_quarantined_total", ["tenant": &[]], "Rows that were set aside, of published jobs.";
        duplicates_flagged: Counter, "duplicates_flagged_total", ["tenant": &[], "kind": &["exact", "near"]], "Duplicates that were found, of published jobs.";
        imputations_applied: Counter, "imputations_applied_total", ["tenant": &[]], "Cells that were filled, of published jobs.";
        cells_modified: Counter, "cells_modified_total", ["tenant": &[], "step": &[]], "Cells that a step changed, of published jobs.";
        low_confidence_fixes: Counter, "low_confidence_fixes_total", ["tenant": &[]], "Changed cells with a confidence below 1, of published jobs.";
        source_bytes: Counter, "source_bytes_total", ["tenant": &[]], "Bytes of the sources of published jobs.";
        output_bytes: Counter, "output_bytes_total", ["tenant": &[]], "Bytes of the outputs of published jobs.";
        review_decisions: Counter, "review_decisions_total", ["tenant": &[], "decision": &["approve", "reject", "edit"]], "Decisions of people on changed cells.";
        jobs: Gauge, "jobs", ["status": JOB_STATES], "Jobs of all tenants that have not ended, as the database has them; of those that are queued, those that could begin.";
        queue_oldest: Gauge, "queue_oldest_seconds", [], "Seconds for which the oldest queued job that could begin has waited; 0 when there is none.";
        jobs_finished: Counter, "jobs_finished_total", ["tenant": &[], "outcome": ENDS], "Jobs that this process brought to an end.";
        job_failures: Counter, "job_failures_total", ["kind": ERROR_KINDS], "Jobs that failed for good, by the kind of the error.";
        job_attempts: Counter, "job_attempts_total", ["outcome": &["published", "failed", "lost", "cancelled", "released"]], "Attempts at jobs that ended; `lost` are those whose worker was silent for longer than its lease.";
        job_wait: Histogram, "job_wait_seconds", [], "Seconds from the submission of a job to its first attempt.";
        job_duration: Histogram, "job_duration_seconds", [], "Seconds from the first attempt at a job to its publication.";
        worker_seconds: Histogram, "worker_processing_time_seconds", ["pass": &["pass1", "pass2"], "status": ENDS], "Seconds that an attempt spent on learning (`pass1`) and on writing (`pass2`).";
        worker_busy: Counter, "worker_busy_seconds_total", [], "Seconds that workers of this process spent on jobs.";
        jobs_running: Gauge, "jobs_running", [], "Jobs that this process works on.";
        job_slots: Gauge, "job_slots", [], "Jobs that this process may work on at the same time.";
        fenced_writes: Counter, "fenced_writes_total", [], "Writes of workers that were refused, because their job was somebody else's by then.";
        leases_lost: Counter, "leases_lost_total", [], "Attempts that stopped because their lease could not be prolonged.";
        api_seconds: Histogram, "api_request_duration_seconds", ["method": &[], "endpoint": &[], "status": &[]], "Seconds until the REST API had answered; of streams, until they began.";
        api_errors: Counter, "api_errors_total", ["method": &[], "endpoint": &[], "error_type": &[]], "Requests that the REST API refused, by the last part of the problem's type.";
        api_in_flight: Gauge, "api_requests_in_flight", [], "Requests that the REST API works on.";
        database_connections: Gauge, "database_connections", ["state": &["idle", "busy"]], "Connections of this process to the metadata database.";
        database_connections_max: Gauge, "database_connections_max", [], "Connections that this process may have to the metadata database.";
        database_errors: Counter, "database_errors_total", ["kind": &["unavailable", "failed"]], "Statements that the metadata database did not answer, or refused.";
        database_up: Gauge, "database_up", [], "1 when the metadata database answered this scrape, else 0.";
        audit_intact: Gauge, "audit_chain_intact", [], "1 when the audit logs of all tenants verified, 0 when one does not; checked in the background.";
        audit_checked: Gauge, "audit_chain_checked_timestamp_seconds", [], "When the audit logs were last verified, in Unix time.";
        flight_sql_sessions: Gauge, "flight_sql_sessions", [], "Sessions of Flight SQL clients.";
        flight_sql_statements: Counter, "flight_sql_statements_total", ["outcome": ENDS], "Statements of Flight SQL clients that ended.";
    }
    Scheduler {
        executors: Gauge, "executors", [], "Executors of the cluster that live.";
        cluster_jobs: Counter, "cluster_jobs_total", ["outcome": TASK_ENDS], "Plans that the cluster ran: several for each job.";
        cluster_job_seconds: Histogram, "cluster_job_duration_seconds", [], "Seconds from the submission of a plan to the cluster to its end.";
        cluster_stage_seconds: Histogram, "cluster_stage_duration_seconds", [], "Seconds from the first task of a stage that was sent to an executor to the last one that ended, of plans that ended.";
        tasks_pending: Gauge, "tasks_pending", [], "Tasks that could begin if an executor had a free slot.";
    }
    Executor {
        tasks: Counter, "tasks_total", ["outcome": TASK_ENDS], "Tasks of this executor that ended.";
        tasks_running: Gauge, "tasks_running", [], "Tasks that this executor works on.";
        task_slots: Gauge, "task_slots", [], "Tasks that this executor may work on at the same time.";
        task_seconds: Histogram, "task_duration_seconds", [], "Seconds that tasks took.";
        shuffle_bytes: Counter, "shuffle_written_bytes_total", [], "Bytes of results that tasks of this executor left for others.";
        shuffle_rows: Counter, "shuffle_written_rows_total", [], "Rows of results that tasks of this executor left for others.";
    }
}

impl Metrics {
    /// Returns all series in the text format of Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Only a name that is none fails, and those of the list are.
        let _ = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text);
        text
    }

    /// Returns the label of a tenant: its name, or `other` once there are too many.
    pub fn tenant<'a>(&self, name: &'a str) -> &'a str {
        let known = |tenants: &BTreeSet<String>| tenants.contains(name);
        if self.tenants.read().is_ok_and(|tenants| known(&tenants)) {
            return name;
        }
        let Ok(mut tenants) = self.tenants.write() else {
            return "other";
        };
        if tenants.len() < TENANTS {
            tenants.insert(name.to_owned());
        }
        if known(&tenants) { name } else { "other" }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Names are those of Prometheus' conventions, none is there twice, and each says what it counts.
    #[test]
    fn names() {
        let mut names = BTreeSet::new();
        for metric in Metrics::LIST {
            let name = metric.name;
            assert!(names.insert(name), "{name} is there twice");
            let counter = metric.kind == super::super::Kind::Counter;
            assert_eq!(name.ends_with("_total"), counter, "{name}");
            let seconds = metric.kind == super::super::Kind::Histogram;
            assert!(!seconds || name.ends_with("_seconds"), "{name}");
            assert!(metric.help.ends_with('.'), "{name}: {}", metric.help);
        }
    }

    /// The reference page is up to date; `UPDATE_REFERENCE=1` rewrites it.
    #[test]
    fn documented() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/reference/metrics.md"
        );
        let page = super::super::page::metrics_page();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, page, "UPDATE_REFERENCE=1 writes {path} anew");
    }

    /// A process exports its metrics from the start, where their label values are known.
    #[test]
    fn from_the_beginning() {
        let metrics = Metrics::new();
        assert!(!metrics.text().contains("data_sanitizer_tasks_total"));
        metrics.begin(Role::Executor);
        let text = metrics.text();
        assert!(
            text.contains("data_sanitizer_tasks_total{outcome=\"failed\"} 0"),
            "{text}"
        );
        assert!(
            text.contains("data_sanitizer_build_info{version="),
            "{text}"
        );
        assert!(!text.contains("data_sanitizer_jobs"), "{text}");
        metrics.begin(Role::Scheduler);
        let text = metrics.text();
        for series in [
            "data_sanitizer_jobs{status=\"queued\"} 0",
            "data_sanitizer_worker_processing_time_seconds_count{pass=\"pass2\",status=\"failed\"} 0",
            "data_sanitizer_executors 0",
        ] {
            assert!(text.contains(series), "{series}: {text}");
        }
        metrics.rows_removed.add(["acme", "dedupe"], 3.0);
        metrics.rows_removed.add(["acme", "dedupe"], -1.0);
        let text = metrics.text();
        assert!(
            text.contains("data_sanitizer_rows_removed_total{step=\"dedupe\",tenant=\"acme\"} 3"),
            "{text}"
        );
    }

    /// The number of series is bounded, whatever the number of tenants.
    #[test]
    fn tenants_have_an_end() {
        let metrics = Metrics::new();
        let names: Vec<String> = (0..TENANTS + 2)
            .map(|number| format!("t{number}"))
            .collect();
        let labels: BTreeSet<&str> = names.iter().map(|name| metrics.tenant(name)).collect();
        assert_eq!(labels.len(), TENANTS + 1);
        assert_eq!(metrics.tenant("t0"), "t0");
        assert_eq!(metrics.tenant("t101"), "other");
    }
}
