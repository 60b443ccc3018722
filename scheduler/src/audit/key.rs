//! The key that signs checkpoints, and its public part.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{SigningKey, VerifyingKey};
use planner::private;
use planner::spec::Secret;
use rand::Rng;
use sha2::{Digest, Sha256};

use crate::storage::hexadecimal;

/// Hexadecimal digits of a key's id.
const ID_DIGITS: usize = 16;

/// Where the key that signs checkpoints comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditKeySource {
    /// It is named.
    Named(Secret),
    /// It lies in this file, and is made there when there is none.
    Generated(PathBuf),
}

/// A key of the audit log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeyError {
    /// It cannot be found, or is too short.
    #[error("{0}")]
    Missing(String),
    /// Its text has no known form.
    #[error(
        "{name}: an Ed25519 key in PEM is expected (PKCS #8; openssl genpkey -algorithm ed25519)"
    )]
    Malformed {
        /// Where it was found.
        name: String,
    },
    /// Its file cannot be read or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// The key that signs checkpoints.
#[derive(Clone)]
pub struct AuditKey(SigningKey);

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AuditKey(..)")
    }
}

impl AuditKey {
    /// Looks the key up, or makes it where it is to be made.
    ///
    /// # Errors
    /// When it cannot be found, read or made, or is no Ed25519 key.
    pub fn open(source: &AuditKeySource) -> Result<Self, AuditKeyError> {
        match source {
            AuditKeySource::Named(name) => {
                let secret = planner::secret::resolve(name);
                let secret = secret.map_err(|error| AuditKeyError::Missing(error.to_string()))?;
                Self::parse(&name.to_string(), secret.bytes())
            }
            AuditKeySource::Generated(path) => Self::generated(path),
        }
    }

    fn parse(name: &str, text: &[u8]) -> Result<Self, AuditKeyError> {
        let malformed = || AuditKeyError::Malformed {
            name: name.to_owned(),
        };
        let text = std::str::from_utf8(text).map_err(|_| malformed())?;
        let key = SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| malformed())?;
        Ok(Self(key))
    }

    /// The key in a file; the file comes to its place whole, and the first of several processes makes it.
    fn generated(path: &Path) -> Result<Self, AuditKeyError> {
        let failed = |source| AuditKeyError::Io {
            path: path.to_owned(),
            source,
        };
        if !path.exists() {
            let key = SigningKey::from_bytes(&rand::rng().random());
            let text = key
                .to_pkcs8_pem(LineEnding::LF)
                .map_err(|_| AuditKeyError::Malformed {
                    name: path.display().to_string(),
                })?;
            let folder = path.parent().unwrap_or(Path::new("."));
            private::folder(folder).map_err(failed)?;
            // A temporary file is its owner's alone.
            let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
            file.as_file().sync_all().map_err(failed)?;
            match file.persist_noclobber(path) {
                Ok(_) => {
                    tracing::info!(file = %path.display(), "created the key that signs audit checkpoints");
                }
                Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error.error)),
            }
        }
        let text = std::fs::read(path).map_err(failed)?;
        Self::parse(&path.display().to_string(), &text)
    }

    pub(super) fn signing(&self) -> &SigningKey {
        &self.0
    }

    /// Its public part.
    pub fn public(&self) -> AuditPublicKey {
        AuditPublicKey(self.0.verifying_key())
    }
}

/// The public part of a key: whoever has it can check signatures, and make none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPublicKey(VerifyingKey);

impl AuditPublicKey {
    /// Reads a public key in PEM (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// When it is none; `name` says in the message where it was found.
    pub fn from_pem(name: &str, text: &str) -> Result<Self, AuditKeyError> {
        let key = VerifyingKey::from_public_key_pem(text.trim());
        let key = key.map_err(|_| AuditKeyError::Malformed {
            name: name.to_owned(),
        })?;
        Ok(Self(key))
    }

    /// The key in PEM.
    pub(super) fn to_pem(&self) -> Option<String> {
        self.0.to_public_key_pem(LineEnding::LF).ok()
    }

    /// Its id: the first 16 hexadecimal digits of the SHA-256 of the 32 bytes of the key.
    pub fn id(&self) -> String {
        let mut id = hexadecimal(&Sha256::digest(self.0.as_bytes()));
        id.truncate(ID_DIGITS);
        id
    }

    pub(super) fn verifying(&self) -> &VerifyingKey {
        &self.0
    }
}
