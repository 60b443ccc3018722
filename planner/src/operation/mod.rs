//! What steps compile to: operations on cleaning batches, the statistics of all rows that they ask for, and what those are.

mod cleaning_batch;
mod layout;
mod learned;
mod learned_file;
mod op;
mod step_context;

pub use cleaning_batch::{
    Change, ChangeSource, CleaningBatch, Confidence, Flag, Origin, RemovalReason, null_rows,
};
pub use layout::{Layout, LayoutColumn, data_type, type_name};
pub use learned::{
    CanonicalValues, ColumnFigures, Figure, FigureNeed, GroupFigures, Keep, KeyNeed, Learned, Need,
    Repeats,
};
pub use learned_file::{LearnedFile, RepeatsFiles, Splits};
pub use op::{ColumnSet, Op, ProgramOp};
pub use step_context::StepContext;
