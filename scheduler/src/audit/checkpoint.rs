//! A checkpoint: the end of a tenant's chain at a moment, signed.

use chrono::{DateTime, SecondsFormat, Utc};
use ed25519_dalek::{Signature, Signer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::key::{AuditKey, AuditPublicKey};
use crate::metadata::AuditHead;
use crate::storage::hexadecimal;

/// Version of the format.
const VERSION: u32 = 1;

/// What is signed begins with this, so that a signature is good for a checkpoint and nothing else.
const CONTEXT: &str = "data-sanitizer audit checkpoint\n";

/// The end of a tenant's chain at a moment, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Version of this format.
    pub version: u32,
    /// Whose log it is.
    pub tenant_id: Uuid,
    /// The tenant's name.
    pub tenant: String,
    /// Number of the last record.
    pub seq: i64,
    /// Its hash, which depends on all records before it.
    pub hash: String,
    /// When it was signed (RFC 3339).
    pub at: String,
    /// Id of the key.
    pub key_id: String,
    /// Ed25519 signature of the other fields as canonical JSON (RFC 8785) behind a line that names the use, in
    /// hexadecimal digits.
    pub signature: String,
}

impl Checkpoint {
    /// Signs the end of a chain.
    pub(super) fn sign(
        key: &AuditKey,
        (tenant_id, tenant): (Uuid, &str),
        head: &AuditHead,
        at: DateTime<Utc>,
    ) -> serde_json::Result<Self> {
        let mut checkpoint = Self {
            version: VERSION,
            tenant_id,
            tenant: tenant.to_owned(),
            seq: head.seq,
            hash: head.hash.clone(),
            at: at.to_rfc3339_opts(SecondsFormat::Micros, true),
            key_id: key.public().id(),
            signature: String::new(),
        };
        let signature = key.signing().sign(checkpoint.signed()?.as_bytes());
        checkpoint.signature = hexadecimal(&signature.to_bytes());
        Ok(checkpoint)
    }

    /// The text that is signed.
    fn signed(&self) -> serde_json::Result<String> {
        let mut document = serde_json::to_value(self)?;
        if let Value::Object(fields) = &mut document {
            fields.remove("signature");
        }
        let canonical = serde_json_canonicalizer::to_string(&document)?;
        Ok(format!("{CONTEXT}{canonical}"))
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, keys: &[AuditPublicKey]) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "version {} of checkpoints is not known",
                self.version
            ));
        }
        let key = keys.iter().find(|key| key.id() == self.key_id);
        let key = key.ok_or_else(|| {
            format!(
                "the checkpoint is signed with the key {}, which is not trusted",
                self.key_id
            )
        })?;
        let wrong = || "the signature of the checkpoint is wrong".to_owned();
        let signature = bytes(&self.signature).ok_or_else(wrong)?;
        let signature = Signature::from_slice(&signature).map_err(|_| wrong())?;
        let signed = self.signed().map_err(|_| wrong())?;
        let verified = key.verifying().verify_strict(signed.as_bytes(), &signature);
        verified.map_err(|_| wrong())
    }

    /// The name of its file: the same for whoever signs the same end with the same key.
    pub(super) fn name(&self) -> String {
        let hash = self.hash.get(..16).unwrap_or(&self.hash);
        format!("{:019}-{hash}-{}.json", self.seq, self.key_id)
    }

    /// The end of the chain that it vouches for.
    pub(super) fn head(&self) -> AuditHead {
        AuditHead {
            seq: self.seq,
            hash: self.hash.clone(),
        }
    }
}

/// The bytes of hexadecimal digits.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16));
    let digits: Vec<u32> = digits.collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    pairs.collect()
}
