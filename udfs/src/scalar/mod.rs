//! SQL functions of one row, made of the kernels. One file a group of functions.

pub mod addresses;
pub mod bounded;
pub mod cell_function;
pub mod dates;
pub mod minhash_lsh;
pub mod personal_data;
pub mod pii_hash;
pub mod quantities;
pub mod row_hash;
pub mod secret;
mod shingle_option;
pub mod similarity;
pub mod texts;

#[cfg(test)]
mod tests;
