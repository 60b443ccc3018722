//! A compiled job gives what its steps give one after another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "oracle/interpreter.rs"]
mod interpreter;
#[path = "oracle/job.rs"]
mod job;
#[path = "oracle/outcome.rs"]
mod outcome;

use proptest::prelude::*;

use job::{Job, dirty_rows, steps};

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random tables and random steps in any order: data, provenance, removed and quarantined rows
    /// are those of an interpreter that knows no passes, splits or batches.
    #[test]
    fn a_job_is_its_steps(rows in dirty_rows(0..50), steps in steps(), partitions in 1usize..4) {
        let job = Job { rows, steps, partitions };
        prop_assert_eq!(outcome::of_engine(&job).softened(), interpreter::run(&job).softened());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// The same over several splits and batches, in several partitions.
    #[test]
    fn a_job_over_splits_is_its_steps(rows in dirty_rows(40..60), steps in steps()) {
        let rows = rows.iter().cycle().take(20_000).cloned().collect();
        let job = Job { rows, steps, partitions: 3 };
        prop_assert_eq!(outcome::of_engine(&job).softened(), interpreter::run(&job).softened());
    }
}
