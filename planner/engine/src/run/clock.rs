//! Where the time of a job goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Metric, MetricValue};

use super::Phase;
use crate::operators::{LOG_TIME, PARSE_TIME, STEP_TIME, WRITE_TIME, of_operations};

/// Seconds by phase.
pub(super) struct Clock {
    begun: Instant,
    last: Instant,
    laps: BTreeMap<String, f64>,
    /// Metrics of operations and statistics.
    operations: Vec<Arc<Metric>>,
}

impl Clock {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            laps: BTreeMap::new(),
            operations: Vec::new(),
        }
    }

    pub(super) fn lap(&mut self, phase: Phase) {
        let now = Instant::now();
        *self.laps.entry(phase.name()).or_default() += (now - self.last).as_secs_f64();
        self.last = now;
    }

    /// Adds the processor time that the operators of a plan have measured.
    pub(super) fn add_metrics(&mut self, plan: &dyn ExecutionPlan) {
        for name in [PARSE_TIME, STEP_TIME, LOG_TIME, WRITE_TIME] {
            let metric = plan.metrics().and_then(|metrics| metrics.sum_by_name(name));
            let Some(MetricValue::Time { time, .. }) = metric else {
                continue;
            };
            self.add_time(name, time.value() as u64);
        }
        let metrics = plan.metrics();
        self.operations
            .extend(metrics.iter().flat_map(of_operations));
        for child in plan.children() {
            self.add_metrics(child.as_ref());
        }
    }

    /// Adds processor time, in nanoseconds, that an operator has measured under one of our names.
    pub(super) fn add_time(&mut self, name: &str, nanoseconds: u64) {
        if [PARSE_TIME, STEP_TIME, LOG_TIME, WRITE_TIME].contains(&name) {
            let seconds = nanoseconds as f64 / 1e9;
            *self.laps.entry(format!("cpu_{name}")).or_default() += seconds;
        }
    }

    /// The metrics of the operations and statistics of all plans.
    pub(super) fn operations(self) -> Vec<Arc<Metric>> {
        self.operations
    }

    pub(super) fn seconds(mut self) -> BTreeMap<String, f64> {
        self.laps
            .insert("total".to_owned(), self.begun.elapsed().as_secs_f64());
        self.laps
    }
}
