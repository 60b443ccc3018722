//! Names of the relations that clean: `sanitize`, and one for each step.

use planner::steps::StepSpec;

/// The relation that runs a whole job.
pub(crate) const SANITIZE: &str = "sanitize";

/// The relation of the clusters that [`NEAR_DEDUPE`] finds.
pub(crate) const NEAR_CLUSTERS: &str = "near_clusters";

/// The step whose clusters [`NEAR_CLUSTERS`] gives.
pub(crate) const NEAR_DEDUPE: &str = "near_dedupe";

/// Names of the relations: `sanitize` and `near_clusters`, then a step each.
pub(crate) const NAMES: &[&str] = &relation_names();

/// The relation that `row_hash(*)` reads.
pub(crate) const ROW_HASHED: &str = "__row_hashed";

/// The column that [`ROW_HASHED`] adds.
pub(crate) const ROW_HASH_COLUMN: &str = "__row_hash";

const fn relation_names() -> [&'static str; StepSpec::NAMES.len() + 2] {
    let mut names = [SANITIZE; StepSpec::NAMES.len() + 2];
    names[1] = NEAR_CLUSTERS;
    let mut at = 0;
    while at < StepSpec::NAMES.len() {
        names[at + 2] = StepSpec::NAMES[at];
        at += 1;
    }
    names
}
