//! A job, compiled: operations on frames, and the passes over the data that they need.

mod compile;
mod frame;
mod layout;
mod learned;
mod learned_file;
mod op;
mod passes;
mod profiler;
mod recipe;

pub use compile::{ImpliedSteps, OutputColumn, Program, StepContext, Transformation};
pub use frame::{Change, ChangeSource, Confidence, Flag, Frame, Loss, Origin, null_rows};
pub use layout::{Layout, LayoutColumn, data_type, type_name};
pub use learned::{
    CanonicalValues, ColumnFigures, Figure, FigureNeed, GroupFigures, Keep, KeyNeed, Learned, Need,
    Repeats,
};
pub use learned_file::{LearnedFile, RepeatsFiles, Splits};
pub use op::{ColumnSet, Op, ProgramOp};
pub use passes::{Action, Pass, plan_passes};
pub use profiler::Profiler;
pub use recipe::Recipe;
