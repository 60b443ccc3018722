//! Jobs on their way: claimed, run, published or given back, and what dead attempts left removed.

mod account;
mod attempt;
mod failure;
mod janitor;
mod job_progress;
mod preparation;
mod protection;
mod review;
mod secrets;
mod spec;
mod stored_reference;
mod watch;
mod worker;
mod worker_options;

pub use failure::{JobFailure, retry_delay};
pub(crate) use janitor::Janitor;
pub(crate) use protection::Protection;
pub(crate) use review::spec_of_review;
pub use secrets::SecretPolicy;
pub(crate) use spec::{SourceLocations, SpecPolicy, overlay, spec_of_upload};
pub(crate) use stored_reference::{StoredReference, earlier_outputs, find_version, uploads_of};
pub(crate) use watch::job_ended;
pub(crate) use worker::{Workers, farewell};
pub use worker_options::WorkerOptions;
