//! What is around `sanitizer run`: the cluster that does the work, and the catalog that remembers the output. A program
//! without services has neither.

#[cfg(not(feature = "service"))]
mod alone;
#[cfg(feature = "service")]
mod served;

#[cfg(not(feature = "service"))]
pub(crate) use alone::SurroundingsArguments;
#[cfg(feature = "service")]
pub(crate) use served::SurroundingsArguments;
