//! The service: jobs over REST, their queue and their metadata, and the scheduler of a cluster.
//!
//! ```text
//!  rest ──► access            who asks, and may they
//!    │
//!    ▼
//!  metadata ◄── lifecycle ──► planner::run    what is to be done, and who does it
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod audit;
pub mod ballista;
mod connections;
pub mod lifecycle;
mod limits;
pub mod metadata;
mod output;
pub mod rest;
mod rotate;
mod service;
mod storage;
mod vault;

pub use limits::{RequestLimits, table as limits_table};
pub use rotate::rotate_tokens;
pub use service::{Figures, Service, ServiceError, ServiceOptions, TlsFiles, migrate};
pub use vault::TokenKeys;
