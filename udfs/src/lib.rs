//! The cleaning kernels, and the DataFusion functions made of them.
//!
//! [`kernels`] is pure: Arrow arrays in, Arrow arrays out, no DataFusion types. [`scalar`] makes
//! SQL functions of them, and [`registry`] lists those.

pub mod kernels;
pub mod registry;
pub mod scalar;
