//! The Flight SQL service, as clients meet it: a real server on a free port of this machine.

mod entrance;
mod metadata;
mod outside;
mod server;
mod statements;
mod strangers;
mod users;
