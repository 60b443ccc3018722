//! Replaces personal data by tokens that those who hold the key can turn back.
//!
//! A token is a keyed hash of the value (HMAC-SHA-256, 128 bits of it), so equal values have equal tokens and
//! tables can still be joined. What it stands for is sealed beside it with AES-256-GCM (NIST SP 800-38D); the
//! nonce is a keyed hash of token and value, so the same value is sealed to the same bytes in every run, and no
//! nonce comes twice with different contents (the synthetic nonces of RFC 8452).

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::hash::Secret;
use crate::kernels::cell::{CellKernel, Verdict};

/// What every token begins with.
pub const TOKEN_PREFIX: &str = "tok_";

/// Bytes of a value's hash that are in its token.
const TOKEN_BYTES: usize = 16;

/// Bytes of a nonce.
const NONCE_BYTES: usize = 12;

/// Makes tokens, seals what they stand for, and opens it again.
#[derive(Clone)]
pub struct TokenVault {
    tokens: Hmac<Sha256>,
    nonces: Hmac<Sha256>,
    cipher: Aes256Gcm,
}

impl fmt::Debug for TokenVault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenVault(..)")
    }
}

/// A value that was sealed with another key, or changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value was sealed with another key, or was changed since")]
pub struct NotOurs;

impl TokenVault {
    /// A vault whose keys come from `secret`, each from a name of its own.
    ///
    /// # Errors
    /// When the library refuses a key of the right length.
    pub fn new(secret: &Secret) -> Result<Self, NotOurs> {
        let keyed = |name: &str| -> Result<[u8; 32], NotOurs> {
            let mut hmac = Hmac::<Sha256>::new_from_slice(secret.bytes()).map_err(|_| NotOurs)?;
            hmac.update(name.as_bytes());
            Ok(hmac.finalize().into_bytes().into())
        };
        let hmac = |key: [u8; 32]| Hmac::<Sha256>::new_from_slice(&key).map_err(|_| NotOurs);
        Ok(Self {
            tokens: hmac(keyed("data-sanitizer tokens")?)?,
            nonces: hmac(keyed("data-sanitizer token nonces")?)?,
            cipher: Aes256Gcm::new(&keyed("data-sanitizer token vault")?.into()),
        })
    }

    /// The token of a value.
    pub fn token(&self, value: &str) -> String {
        let mut hmac = self.tokens.clone();
        hmac.update(value.as_bytes());
        let digest = hmac.finalize().into_bytes();
        let mut token = String::with_capacity(TOKEN_PREFIX.len() + TOKEN_BYTES * 2);
        token.push_str(TOKEN_PREFIX);
        for byte in &digest[..TOKEN_BYTES] {
            token.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            token.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
        }
        token
    }

    /// A value so that only this vault can read it, bound to its token: nonce, then ciphertext and tag.
    ///
    /// # Errors
    /// When the value is longer than AES-GCM takes (64 GiB).
    pub fn seal(&self, token: &str, value: &str) -> Result<Vec<u8>, NotOurs> {
        let mut hmac = self.nonces.clone();
        hmac.update(token.as_bytes());
        hmac.update(b"\x1f");
        hmac.update(value.as_bytes());
        let digest = hmac.finalize().into_bytes();
        let mut sealed = digest[..NONCE_BYTES].to_vec();
        let nonce = Nonce::try_from(sealed.as_slice()).map_err(|_| NotOurs)?;
        let payload = Payload {
            msg: value.as_bytes(),
            aad: token.as_bytes(),
        };
        sealed.extend(self.cipher.encrypt(&nonce, payload).map_err(|_| NotOurs)?);
        Ok(sealed)
    }

    /// What a token stands for.
    ///
    /// # Errors
    /// When it was sealed with another key or for another token, or was changed since.
    pub fn open(&self, token: &str, sealed: &[u8]) -> Result<String, NotOurs> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(NotOurs)?;
        let nonce = Nonce::try_from(nonce).map_err(|_| NotOurs)?;
        let payload = Payload {
            msg: sealed,
            aad: token.as_bytes(),
        };
        let value = self.cipher.decrypt(&nonce, payload).map_err(|_| NotOurs)?;
        String::from_utf8(value).map_err(|_| NotOurs)
    }
}

impl CellKernel for TokenVault {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        out.push_str(&self.token(cell));
        Verdict::Changed(1.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn vault(secret: &str) -> TokenVault {
        TokenVault::new(&Secret::new(secret.as_bytes().to_vec()).unwrap()).unwrap()
    }

    /// Equal values have equal tokens, and only the same key turns them back.
    #[test]
    fn there_and_back() {
        let ours = vault("0123456789abcdef");
        let theirs = vault("0123456789abcdeg");
        for value in ["ann@example.com", "", "ü", &"x".repeat(100_000)] {
            let token = ours.token(value);
            assert_eq!(token.len(), 36);
            assert_eq!(token, vault("0123456789abcdef").token(value));
            assert_ne!(token, theirs.token(value));
            let sealed = ours.seal(&token, value).unwrap();
            assert_eq!(sealed, ours.seal(&token, value).unwrap());
            assert_eq!(ours.open(&token, &sealed).unwrap(), value);
            assert_eq!(sealed.len(), 28 + value.len());
            assert_eq!(theirs.open(&token, &sealed), Err(NotOurs));
            assert_eq!(ours.open("tok_other", &sealed), Err(NotOurs));
            let mut changed = sealed.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert_eq!(ours.open(&token, &changed), Err(NotOurs));
        }
        assert_eq!(ours.open("tok_x", b"short"), Err(NotOurs));
    }

    /// Other programs can make the same tokens: the key's HMAC with its name, and the value's HMAC with that.
    #[test]
    fn known_tokens() {
        // Python: k = hmac.new(b"0123456789abcdef", b"data-sanitizer tokens", "sha256").digest()
        //         "tok_" + hmac.new(k, b"ann@example.com", "sha256").hexdigest()[:32]
        let token = vault("0123456789abcdef").token("ann@example.com");
        assert_eq!(token, "tok_1f3bf2e055e87354ab3f604389f7d4e0");
    }
}
