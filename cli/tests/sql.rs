//! The SQL front end as a person meets it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "sql/equivalence.rs"]
mod equivalence;
#[path = "sql/hostile.rs"]
mod hostile;
#[path = "sql/place.rs"]
mod place;
#[path = "sql/reference.rs"]
mod reference;
#[path = "sql/statements.rs"]
mod statements;
