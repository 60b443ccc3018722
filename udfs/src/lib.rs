//! The cleaning kernels, and the DataFusion functions made of them.
//!
//! [`kernels`] is pure: Arrow arrays in, Arrow arrays out, no DataFusion types.

pub mod kernels;
