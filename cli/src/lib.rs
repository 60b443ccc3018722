//! What the program `sanitizer` and the programs of a cluster's members have in common.

pub mod allocator;
pub mod ending;
pub mod home;
pub mod log;
pub mod member;
pub mod password;
pub mod period;
pub mod serve;
mod settings;
