//! The standard clean-up against the same work by hand in other engines.

mod contender;
mod peers;
mod table;
mod verdict;

pub use contender::{Contender, Finish};
pub use peers::PythonPeers;
pub use table::CachedTable;
pub use verdict::{Measured, print_growth, print_results};
