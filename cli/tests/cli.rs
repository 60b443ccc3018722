//! The program `sanitizer` as a person runs it: real files in, real files out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/cluster.rs"]
mod cluster;
#[path = "cli/cluster_faults.rs"]
mod cluster_faults;
#[path = "cli/cluster_tls.rs"]
mod cluster_tls;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/crash.rs"]
mod crash;
#[path = "cli/determinism.rs"]
mod determinism;
#[path = "cli/near_duplicates.rs"]
mod near_duplicates;
#[path = "cli/near_increments.rs"]
mod near_increments;
#[path = "cli/objects.rs"]
mod objects;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/postgres.rs"]
mod postgres;
#[path = "cli/privacy.rs"]
mod privacy;
#[path = "cli/prompt.rs"]
mod prompt;
#[path = "cli/provider.rs"]
mod provider;
#[path = "cli/rest_service.rs"]
mod rest_service;
#[path = "cli/sandbox.rs"]
mod sandbox;
#[path = "cli/serve.rs"]
mod serve;
#[path = "cli/serve_reach.rs"]
mod serve_reach;
#[path = "cli/service.rs"]
mod service;
#[path = "cli/service_access.rs"]
mod service_access;
#[path = "cli/service_attacks.rs"]
mod service_attacks;
#[path = "cli/service_cluster_faults.rs"]
mod service_cluster_faults;
#[path = "cli/service_database_faults.rs"]
mod service_database_faults;
#[path = "cli/service_faults.rs"]
mod service_faults;
#[path = "cli/service_identity.rs"]
mod service_identity;
#[path = "cli/service_limits.rs"]
mod service_limits;
#[path = "cli/service_privacy.rs"]
mod service_privacy;
#[path = "cli/service_protection.rs"]
mod service_protection;
#[path = "cli/service_review.rs"]
mod service_review;
#[path = "cli/service_scopes.rs"]
mod service_scopes;
#[path = "cli/service_secrets.rs"]
mod service_secrets;
#[path = "cli/service_sql.rs"]
mod service_sql;
#[path = "cli/sql.rs"]
mod sql;
#[path = "cli/walk.rs"]
mod walk;
#[path = "cli/web.rs"]
mod web;
