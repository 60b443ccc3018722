//! A Ballista cluster: the codec of our operators, and the client that hands it a plan.

mod address;
mod client;
mod codec;
mod failure;
mod message;
mod progress;

pub use address::ClusterAddress;
pub use client::{Cluster, MAX_MESSAGE_BYTES};
pub use codec::SanitizerCodec;
pub(crate) use failure::tell;
