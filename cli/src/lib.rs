//! What the program `sanitizer` and the programs of a cluster's members have in common.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod allocator;
pub mod api;
pub mod ending;
pub mod home;
pub mod log;
pub mod member;
pub mod password;
pub mod period;
pub mod scrape;
pub mod serve;
mod settings;
