//! The SQL front end: `sanitize(*)` and the cleaning steps as relations, a catalog that lasts, and
//! the Flight SQL service.
//!
//! An [`Engine`] is what a process shares; a [`Session`] is one person's; a [`Statement`] is parsed,
//! then [`Planned`], then run to an [`Answer`].
//!
//! Modules depend on each other one way. From the bottom up:
//!
//! - `error`; `identifiers` and `identity`; what a login may do, set and hold: `grants`, `settings`, `usage`; the `audit` log;
//! - `engine`: what a process shares; `users` and `keys`: who may log in; `served`: what a session of the service has in
//!   addition;
//! - `table`: tables as DataFusion reads them; `catalog`: what names stand for; `session`: a person's catalogs and settings;
//! - `front`: from text to syntax trees; `statement`: from there to rows, and to records in the audit log;
//! - `flight`: the service; `reference`: the pages of the documentation that are generated.
//!
//! A module gives the types below it the methods that it adds: [`Session::execute`] is in `statement`,
//! [`Engine::session`] in `session`, [`Engine::remember_job`] in `catalog`.

mod audit;
mod catalog;
mod engine;
mod error;
mod flight;
mod front;
mod grants;
mod identifiers;
mod identity;
mod keys;
mod names;
mod password;
mod reference;
mod served;
mod session;
mod settings;
mod statement;
mod store;
mod table;
mod usage;
mod users;

pub use audit::{AuditEvent, AuditLog};
pub use engine::{Access, Engine, EngineOptions, STACK_BYTES};
pub use error::{AuditError, Error, Result};
pub use flight::{Endpoints, FlightOptions, FlightServer, Tls};
pub use grants::{Action, Grants};
pub use identity::Identity;
pub use keys::ApiKey;
pub use reference::{relation_reference, statement_reference};
pub use session::Session;
pub use statement::{Answer, Ingest, IngestMode, Planned, Statement};
pub use users::{User, Users};
