//! SQL functions of one value, made of the kernels. One file a group of functions.

pub mod cell_function;
pub mod quantities;
