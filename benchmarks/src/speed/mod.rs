//! The standard clean-up against the same work by hand in other engines.

mod contender;
mod floors;
mod peers;
mod table;
mod verdict;

pub use contender::{Contender, Finish};
pub use floors::Floors;
pub use peers::PythonPeers;
pub use table::CachedTable;
pub use verdict::{Measured, print_floors, print_growth, print_results};
