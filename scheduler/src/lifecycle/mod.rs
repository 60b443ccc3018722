//! Jobs on their way: claimed, run, published or given back, and what dead attempts left removed.

mod account;
mod failure;
mod janitor;
mod preparation;
mod protection;
mod review;
mod secrets;
mod spec;
mod watch;
mod worker;

pub use failure::{JobFailure, retry_delay};
pub(crate) use janitor::Janitor;
pub(crate) use protection::Protection;
pub(crate) use review::spec_of_review;
pub use secrets::SecretPolicy;
pub(crate) use spec::{
    SourceLocations, SpecPolicy, overlay, spec_of_upload, upload_of, version_of,
};
pub(crate) use watch::job_ended;
pub use worker::WorkerOptions;
pub(crate) use worker::{Workers, farewell};
