//! The SQL front end as a person meets it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "sql/place.rs"]
mod place;
#[path = "sql/statements.rs"]
mod statements;
