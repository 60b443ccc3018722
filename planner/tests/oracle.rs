//! A compiled job gives what its steps give one after another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "oracle/interpreter/mod.rs"]
mod interpreter;
#[path = "oracle/job.rs"]
mod job;
#[path = "oracle/outcome.rs"]
mod outcome;
#[path = "oracle/random.rs"]
mod random;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use serde_json::json;

use job::Job;
use random::jobs;

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
    #![proptest_config(cases(400))]

    /// Random tables and random steps in any order: data, provenance, removed and quarantined rows
    /// are those of an interpreter that knows no passes, splits or batches.
    #[test]
    fn a_job_is_its_steps(job in jobs(0..50)) {
        prop_assert_eq!(outcome::of_engine(&job).softened(), interpreter::run(&job).softened());
    }
}

proptest! {
    #![proptest_config(cases(6))]

    /// The same over several splits and batches, in several partitions.
    #[test]
    fn a_job_over_splits_is_its_steps(mut job in jobs(40..60)) {
        job.rows = job.rows.iter().cycle().take(20_000).cloned().collect();
        job.partitions = 3;
        prop_assert_eq!(outcome::of_engine(&job).softened(), interpreter::run(&job).softened());
    }
}

/// A pass that learns reads only the types that it needs; a condition on other columns holds there too.
#[test]
fn a_condition_before_a_dedupe() {
    let row = |email, phone| {
        let cells = [
            "Ann",
            "active",
            "1",
            "1.5",
            "2024-01-31",
            email,
            phone,
            "",
            "DE",
            "",
        ];
        cells.to_vec()
    };
    let condition = json!({"column": "email", "rule": {"expression": "email IS NOT NULL OR phone IS NOT NULL"}});
    let job = Job {
        rows: vec![row("", ""), row("ann@example.com", ""), row("", "12")],
        steps: vec![
            json!({"type": "rules", "on_violation": "quarantine", "rules": [condition]}),
            json!({"type": "dedupe", "columns": ["name"], "keep": "first"}),
        ],
        hash: "hmac_sha256",
        partitions: 1,
    };
    let outcome = outcome::of_engine(&job);
    assert_ne!(outcome, outcome::Outcome::Refused);
    assert_eq!(outcome, interpreter::run(&job));
}
