//! What steps compile to: operations on cleaning batches, and the statistics of all rows that they ask for.

mod cleaning_batch;
mod extensions;
mod layout;
mod op;
mod partial_state;
mod removed_rows;
mod statistic;
mod step_context;
mod stored;

pub use cleaning_batch::{
    Change, ChangeSource, CleaningBatch, ClusteredRow, Confidence, Flag, Origin, RemovalReason,
    null_rows,
};
pub use extensions::{Extension, Extensions};
pub use layout::{Layout, LayoutColumn, data_type, type_name};
pub use op::{ColumnSet, Op, ProgramOp, known};
pub use partial_state::{KEY_BUCKETS, PartialState};
pub use removed_rows::{RemovedCursor, RemovedRows};
pub use statistic::{
    Accumulator, BucketEvaluator, Collected, DriverContext, KeyedStatistic, PartialStates,
    ReportContext, SplitContext, Statistic, StatisticReport, StatisticValue, Traffic,
};
pub use step_context::StepContext;
pub use stored::{Splits, StatisticFiles, Stored, among};
