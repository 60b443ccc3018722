//! The SQL front end: `sanitize(*)` and the cleaning steps as relations, a catalog that lasts, and
//! the Flight SQL service.
//!
//! An [`Engine`] is what a process shares; a [`Session`] is one person's; a [`Statement`] is parsed,
//! then [`Planned`], then run to an [`Answer`].

mod audit;
mod catalog;
mod engine;
mod error;
mod flight;
mod front;
mod grants;
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

pub use audit::{AuditError, AuditEvent, AuditLog};
pub use engine::{Access, Engine, EngineOptions, Identity, STACK_BYTES};
pub use error::{Error, Result};
pub use flight::{Endpoints, FlightOptions, FlightServer, Tls};
pub use grants::{Action, Grants};
pub use keys::ApiKey;
pub use reference::{relation_reference, statement_reference};
pub use session::{Ingest, IngestMode, Session};
pub use statement::{Answer, Planned, Statement};
pub use users::{User, Users};
