//! Who asks, and what they may.

mod action;
mod caller;
mod jwt;
mod permits;
mod rates;

pub use action::Action;
pub use caller::Caller;
pub use jwt::JwtOptions;
pub(crate) use jwt::JwtVerifier;
pub(crate) use permits::{Permit, Permits};
pub(crate) use rates::Rates;
