//! The Flight SQL service, as clients meet it: a real server on a free port of this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod doors;
mod entrance;
mod fence;
mod ingest;
mod limits;
mod metadata;
mod options;
mod outside;
mod server;
mod statements;
mod strangers;
mod users;
