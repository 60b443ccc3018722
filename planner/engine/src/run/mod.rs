//! A job, from spec to published output.

mod account;
mod admission;
mod audit;
mod checkpoint;
mod clock;
mod discover;
mod engine;
mod explain;
mod gathered;
mod in_order;
mod indexes;
mod job;
mod pair;
mod relation;
mod reveal;
mod review;
mod workers;

pub use crate::progress::{Phase, Progress};
pub use admission::Admission;
pub use discover::{discover, open_source, profile_source, source_stamp};
pub use job::{ChangedColumn, Finished, JobRun, explain_job};
pub use pair::{PairFinding, PairStep, explain_pair};
pub use relation::{LearnedRelation, Relation};
pub use reveal::reveal;
pub use review::{Decision, Reviewer, Verdict, revise, value_of};
pub use workers::{Cluster, Executors, SplitPlan};
