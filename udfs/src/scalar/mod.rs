//! SQL functions of one value, made of the kernels. One file a group of functions.

pub mod addresses;
pub mod cell_function;
pub mod dates;
pub mod personal_data;
pub mod pii_hash;
pub mod quantities;
pub mod row_hash;
pub mod secret;
pub mod texts;

#[cfg(test)]
mod tests;
