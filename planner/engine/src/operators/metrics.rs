//! What each operation of a program costs and does, as `EXPLAIN ANALYZE` shows it.

use std::sync::Arc;

use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, Gauge, Metric, MetricBuilder, MetricsSet, Time,
};

use crate::operation::CleaningBatch;
use crate::program::Program;

/// The metrics of one operation in one partition.
#[derive(Debug)]
pub(super) struct OperationMetrics {
    /// Processor time of its work on the batches.
    pub(super) time: Time,
    removed: Count,
    changed: Count,
}

/// The metrics of one statistic in one partition.
#[derive(Debug)]
pub(super) struct StatisticMetrics {
    /// Processor time of what gathers its partial states.
    pub(super) time: Time,
    /// The memory of these.
    pub(super) memory: Gauge,
}

impl OperationMetrics {
    /// Of each operation of a program.
    pub(super) fn of(
        program: &Program,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) -> Vec<Self> {
        let operations = (0..program.ops.len()).map(|op| {
            let step = program.step_of(op);
            let name = |what: &str| format!("{step} {what}");
            let build = || MetricBuilder::new(metrics);
            Self {
                time: build().subset_time(name("time"), partition),
                removed: build().counter(name("rows_removed"), partition),
                changed: build().counter(name("cells_changed"), partition),
            }
        });
        operations.collect()
    }

    /// Counts what an operation has done to a batch, of which so many rows were live and so many changes recorded before.
    pub(super) fn count(&self, batch: &CleaningBatch, live: usize, changes: usize) {
        self.removed.add(live - batch.live_rows());
        let changed = batch.changes[changes..].iter();
        self.changed
            .add(changed.map(|change| change.rows.len()).sum());
    }
}

impl StatisticMetrics {
    /// Of the statistic of an operation.
    pub(super) fn of(
        program: &Program,
        op: usize,
        metrics: &ExecutionPlanMetricsSet,
        partition: usize,
    ) -> Self {
        let step = program.step_of(op);
        let name = |what: &str| format!("{step} statistic_{what}");
        let build = || MetricBuilder::new(metrics);
        Self {
            time: build().subset_time(name("time"), partition),
            memory: build().gauge(name("memory"), partition),
        }
    }
}

/// Of the metrics of a plan's operator, those of operations and statistics.
pub(crate) fn of_operations(metrics: &MetricsSet) -> impl Iterator<Item = Arc<Metric>> + '_ {
    let named = metrics.iter().filter(|metric| {
        let name = metric.value().name();
        name.starts_with("t-") && name.contains(' ')
    });
    named.cloned()
}
