//! SQL functions of one value, made of the kernels. One file a group of functions.

pub mod addresses;
pub mod cell_function;
pub mod dates;
pub mod quantities;
