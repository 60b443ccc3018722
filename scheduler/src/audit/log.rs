//! An exported log, verified without the service: the lines, the checkpoints and the public keys are enough.

use std::collections::BTreeMap;
use std::io::BufRead;

use planner::storage::{ByteFile, Place};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use super::key::AuditPublicKey;
use crate::storage::hexadecimal;

/// Why a log is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum LogProblem {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A checkpoint is none.
    #[error("checkpoint {name}: {problem}")]
    Checkpoint {
        /// Its file.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A record is not the one that was written.
    #[error("audit record {seq}: {problem}")]
    Record {
        /// Number of the record.
        seq: i64,
        /// What is wrong.
        problem: String,
    },
}

/// A log that is what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLog {
    /// Records.
    pub records: i64,
    /// Hash of the last one.
    pub hash: String,
    /// Checkpoints that it passes through.
    pub checkpoints: usize,
    /// Number of the last record that a checkpoint vouches for; nothing vouches for those behind it.
    pub signed_up_to: i64,
}

/// A line of an export.
#[derive(Deserialize)]
struct Line {
    hash: String,
    record: Value,
}

/// Reads a checkpoint and checks its signature.
pub(super) fn check(
    content: &[u8],
    tenant: Option<Uuid>,
    keys: &[AuditPublicKey],
) -> Result<Checkpoint, String> {
    let checkpoint: Checkpoint =
        serde_json::from_slice(content).map_err(|_| "this is no checkpoint".to_owned())?;
    checkpoint.verify(keys)?;
    match tenant {
        Some(tenant) if tenant != checkpoint.tenant_id => {
            Err("the checkpoint is of another tenant".to_owned())
        }
        _ => Ok(checkpoint),
    }
}

/// Reads the checkpoints of one tenant in a place, such as `audit/TENANT` of a service's store.
///
/// # Errors
/// When they cannot be read, or one of them is forged or signed with a key that is not among these.
pub fn read_checkpoints(
    place: &Place,
    keys: &[AuditPublicKey],
) -> Result<Vec<Checkpoint>, LogProblem> {
    let mut checkpoints = Vec::new();
    for name in place
        .names()?
        .into_iter()
        .filter(|name| name.ends_with(".json"))
    {
        let file = ByteFile::find(&place.join(&name))?;
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut file.open(0..file.size())?, &mut content)?;
        let checkpoint = check(&content, None, keys);
        checkpoints.push(checkpoint.map_err(|problem| LogProblem::Checkpoint { name, problem })?);
    }
    Ok(checkpoints)
}

/// Verifies an export: each record follows the one before it, and the chain passes through every checkpoint.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_log(
    log: impl BufRead,
    checkpoints: &[Checkpoint],
) -> Result<VerifiedLog, LogProblem> {
    let mut signed: BTreeMap<i64, Vec<&Checkpoint>> = BTreeMap::new();
    for checkpoint in checkpoints {
        signed.entry(checkpoint.seq).or_default().push(checkpoint);
    }
    let (mut seq, mut hash) = (0, "0".repeat(64));
    for line in log.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        seq += 1;
        let wrong = |problem: &str| LogProblem::Record {
            seq,
            problem: problem.to_owned(),
        };
        let line: Line =
            serde_json::from_str(&line).map_err(|_| wrong("the line cannot be read"))?;
        let canonical = serde_json_canonicalizer::to_string(&line.record);
        let canonical = canonical.map_err(|_| wrong("the record cannot be read"))?;
        if hexadecimal(&Sha256::digest(canonical.as_bytes())) != line.hash {
            return Err(wrong("the hash is not that of the record"));
        }
        if line.record["seq"] != seq {
            return Err(wrong("the record is missing"));
        }
        if line.record["previous"] != hash.as_str() {
            return Err(wrong("the record does not follow the one before it"));
        }
        hash = line.hash;
        for checkpoint in signed.get(&seq).into_iter().flatten() {
            let tenant = checkpoint.tenant_id.to_string();
            if checkpoint.hash != hash || line.record["tenant_id"] != tenant.as_str() {
                return Err(wrong("the record is not the one that was signed"));
            }
        }
    }
    let signed_up_to = signed.keys().next_back().copied().unwrap_or(0);
    if signed_up_to > seq {
        return Err(LogProblem::Record {
            seq: seq + 1,
            problem: format!("records up to {signed_up_to} were signed, and are gone"),
        });
    }
    Ok(VerifiedLog {
        records: seq,
        hash,
        checkpoints: checkpoints.len(),
        signed_up_to,
    })
}
