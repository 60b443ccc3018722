//! From text to plans: parsing within limits, `sanitize(...)` as a relation, the steps as relations.

pub(crate) mod argument;
pub(crate) mod bind;
pub(crate) mod parse;
pub(crate) mod relation;
pub(crate) mod rewrite;
pub(crate) mod walk;
