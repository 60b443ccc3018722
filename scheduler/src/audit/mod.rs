//! What makes the audit log trustworthy to somebody who does not trust the database.
//!
//! The chain of hashes alone can be recomputed by whoever writes the database, or cut and its end set back. So its
//! end is signed (Ed25519, RFC 8032) from time to time and at each publication, and the signed checkpoint is written
//! beside the outputs under a name that is written once. The chain must pass through every checkpoint.

mod checkpoint;
mod key;
mod log;
mod trail;

pub use checkpoint::Checkpoint;
pub use key::{AuditKey, AuditKeyError, AuditKeySource, AuditPublicKey};
pub use log::{LogProblem, VerifiedLog, read_checkpoints, verify_log};
pub(crate) use trail::AuditTrail;
