//! Personal data: detection in texts and columns, and protection.

pub mod column;
pub mod detect;
pub mod entity;
pub mod hash;
pub mod redact;
pub mod token;

mod check_digits;
mod context;
mod name;
mod network;
mod number;
mod pattern;

#[cfg(test)]
mod tests;
