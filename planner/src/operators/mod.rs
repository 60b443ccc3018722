//! The physical operators: a scan of splits, a pass that learns, a pass that writes.

mod learn;
mod publish;
mod scan;

pub use learn::{LearnExec, LearnedState, PROFILE_OP, learn_schema};
pub use publish::PublishExec;
pub use scan::{BATCH_ROWS, PARSE_TIME, SplitScan, scan_splits};

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};

/// Metric: processor time spent in the steps, and in looking at columns for the profiles.
pub const STEP_TIME: &str = "steps";

/// Metric: processor time spent in taking down what a pass learns: hashes of rows, values.
pub const LOG_TIME: &str = "hash";

/// Metric: processor time spent in encoding, compressing and writing the tables.
pub const WRITE_TIME: &str = "write";

/// Properties of an operator that works on each partition of its input by itself and gives rows
/// of its own.
fn map_properties(input: &Arc<dyn ExecutionPlan>, schema: SchemaRef) -> Arc<PlanProperties> {
    let partitions = input.output_partitioning().partition_count();
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}
