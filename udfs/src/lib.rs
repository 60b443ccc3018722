//! The cleaning kernels, and the DataFusion functions made of them.
//!
//! [`kernels`] is pure: Arrow arrays in, Arrow arrays out, no DataFusion types. [`scalar`],
//! [`aggregate`] and [`window`] make SQL functions of them, [`registry`] lists those, and
//! [`reference`](mod@reference) writes what users read about them.

pub mod aggregate;
pub mod kernels;
pub mod reference;
pub mod registry;
pub mod scalar;
pub mod window;

#[cfg(test)]
mod test_session;
