//! Who calls, and what they may do.

mod action;
mod caller;
mod endpoint;
mod jwt;
mod permits;
mod rates;
mod reference;

pub use action::Action;
pub use caller::{Caller, Credential};
pub use endpoint::{ENDPOINTS, Endpoint, Needs, Reach};
pub use jwt::JwtOptions;
pub(crate) use jwt::JwtVerifier;
pub(crate) use permits::{Permit, Permits};
pub(crate) use rates::Rates;
pub use reference::reference;
