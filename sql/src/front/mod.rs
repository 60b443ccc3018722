//! From text to statements as the engine plans them: parsing within limits, `sanitize(...)` rewritten as a relation,
//! arguments, parameters.

pub(crate) mod argument;
pub(crate) mod bind;
pub(crate) mod parse;
pub(crate) mod relation;
pub(crate) mod rewrite;
pub(crate) mod walk;
