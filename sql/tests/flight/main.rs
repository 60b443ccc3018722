//! The Flight SQL service, as clients meet it: a real server on a free port of this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod entrance;
mod fence;
mod ingest;
mod metadata;
mod options;
mod outside;
mod server;
mod statements;
mod strangers;
mod users;
