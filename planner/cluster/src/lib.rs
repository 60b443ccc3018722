//! A Ballista cluster: the codec of the engine's operators, the client that hands it a plan, and the connections and sessions of
//! its members.

mod address;
mod client;
mod codec;
mod failure;
mod member_tls;
mod message;
mod network;
mod progress;
mod session;
mod tunnel;

pub use address::ClusterAddress;
pub use client::{Cluster, MAX_MESSAGE_BYTES};
pub use codec::SanitizerCodec;
pub use member_tls::{DEFAULT_CLUSTER_NAME, MemberTls, MemberTlsError, MemberTlsFiles};
pub use network::{ListenError, MemberListener, MemberStream, connect_channel, connect_member};
pub use progress::{PARTITIONS_DONE, WANTS_PROGRESS};
pub use session::{member_config, member_session};
pub use tunnel::Tunnel;
