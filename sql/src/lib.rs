//! The SQL front end: `sanitize(*)` and the cleaning steps as relations, a catalog that lasts, and
//! the Flight SQL service.
//!
//! An [`Engine`] is what a process shares; a [`Session`] is one person's; a [`Statement`] is parsed,
//! then [`Planned`], then run to an [`Answer`].

mod catalog;
mod engine;
mod error;
mod flight;
mod front;
mod reference;
mod session;
mod statement;
mod store;
mod table;
mod users;

pub use engine::{Access, Engine, EngineOptions, Identity, STACK_BYTES};
pub use error::{Error, Result};
pub use flight::{Endpoints, FlightOptions, FlightServer, Tls};
pub use reference::relation_reference;
pub use session::{Ingest, IngestMode, Session};
pub use statement::{Answer, Planned, Statement};
pub use users::{ApiKey, User, Users};
