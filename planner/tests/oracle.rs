//! A compiled job gives what its steps give one after another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "oracle/interpreter.rs"]
mod interpreter;
#[path = "oracle/job.rs"]
mod job;
#[path = "oracle/outcome.rs"]
mod outcome;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use job::{Job, dirty_rows, steps};

/// So many cases, the same in every run; PROPTEST_CASES and PROPTEST_RNG_SEED ask for others.
fn cases(count: u32) -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = count;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(42);
    }
    config
}

proptest! {
    #![proptest_config(cases(240))]

    /// Random tables and random steps in any order: data, provenance, removed and quarantined rows
    /// are those of an interpreter that knows no passes, splits or batches.
    #[test]
    fn a_job_is_its_steps(rows in dirty_rows(0..50), steps in steps(), partitions in 1usize..4) {
        let job = Job { rows, steps, partitions };
        prop_assert_eq!(outcome::of_engine(&job).softened(), interpreter::run(&job).softened());
    }
}

proptest! {
    #![proptest_config(cases(6))]

    /// The same over several splits and batches, in several partitions.
    #[test]
    fn a_job_over_splits_is_its_steps(rows in dirty_rows(40..60), steps in steps()) {
        let rows = rows.iter().cycle().take(20_000).cloned().collect();
        let job = Job { rows, steps, partitions: 3 };
        prop_assert_eq!(outcome::of_engine(&job).softened(), interpreter::run(&job).softened());
    }
}
