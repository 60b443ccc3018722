//! What tests and measurements start on this machine: the programs of a build, a cluster of real processes, and a store of
//! objects.

mod cluster;
mod memory;
mod object_server;
mod program;

pub use cluster::{ClusterOptions, ClusterTls, LocalCluster, Member};
pub use memory::peak_bytes;
pub use object_server::{BUCKET, ObjectServer};
pub use program::program_beside;
