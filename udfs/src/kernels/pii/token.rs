//! Replaces personal data by tokens that holders of the key can reverse.
//!
//! A token is `tok_`, the id of its key, and a keyed hash of the value (HMAC-SHA-256, 128 bits of it), so equal values
//! have equal tokens and tables can still be joined. The value is encrypted beside it with AES-256-GCM (NIST SP
//! 800-38D); the nonce is a keyed hash of token and value, so the same value has the same ciphertext in every run, and
//! no nonce occurs twice with different contents (the synthetic nonces of RFC 8452). Each of these keys, and the id, is
//! derived from the secret by HKDF with its own context.
//!
//! Tokens of earlier releases have no key id, and the keys of their vaults were HMACs of names; they can still be
//! decrypted, and are no longer created.

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::hash::{KeyRefused, Secret};
use crate::kernels::cell::{CellKernel, Verdict};

/// What every token begins with.
pub const TOKEN_PREFIX: &str = "tok_";

/// Bytes of a value's hash that are in its token.
const TOKEN_BYTES: usize = 16;

/// Bytes of a key's id.
const KEY_ID_BYTES: usize = 4;

/// Bytes of a nonce.
const NONCE_BYTES: usize = 12;

/// Creates tokens, and encrypts and decrypts their values.
#[derive(Clone)]
pub struct TokenVault {
    key_id: String,
    tokens: Hmac<Sha256>,
    nonces: Hmac<Sha256>,
    cipher: Aes256Gcm,
    earlier: Aes256Gcm,
}

impl fmt::Debug for TokenVault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenVault(..)")
    }
}

/// A value that was sealed with another key, or changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value was encrypted with another key, or was modified")]
pub struct NotOurs;

impl TokenVault {
    /// Returns a vault whose keys are derived from `secret`, each in a context of its own.
    ///
    /// # Errors
    /// When the library refuses a key of the right length.
    pub fn new(secret: &Secret) -> Result<Self, KeyRefused> {
        let derived = |purpose: &str| secret.derive(&["tokens", purpose]);
        let hmac = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).map_err(|_| KeyRefused);
        let cipher = |key: &[u8]| -> Result<Aes256Gcm, KeyRefused> {
            let key = Key::<Aes256Gcm>::try_from(key).map_err(|_| KeyRefused)?;
            Ok(Aes256Gcm::new(&key))
        };
        let id = derived("key id")?;
        let earlier = hmac(secret.bytes())?.chain_update("data-sanitizer token vault");
        Ok(Self {
            key_id: id
                .bytes()
                .iter()
                .take(KEY_ID_BYTES)
                .fold(String::new(), hex),
            tokens: hmac(derived("values")?.bytes())?,
            nonces: hmac(derived("nonces")?.bytes())?,
            cipher: cipher(derived("vault")?.bytes())?,
            earlier: cipher(&earlier.finalize().into_bytes())?,
        })
    }

    /// Returns the id of the key, 8 hexadecimal digits: it distinguishes keys and reveals nothing else of them.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the id of the key that made a token; none in tokens of earlier releases, and in what is no token.
    pub fn key_id_of(token: &str) -> Option<&str> {
        let (id, _) = token.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
        let digits = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        (id.len() == 2 * KEY_ID_BYTES && digits).then_some(id)
    }

    /// Returns the token of a value.
    pub fn token(&self, value: &str) -> String {
        let digest = self.tokens.clone().chain_update(value).finalize();
        let digest = digest.into_bytes();
        let token = format!("{TOKEN_PREFIX}{}_", self.key_id);
        digest.iter().take(TOKEN_BYTES).fold(token, hex)
    }

    /// Encrypts a value for this vault, bound to its token: nonce, then ciphertext and tag.
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

    /// Returns the value of a token that was encrypted with this key; the token may be of another key.
    ///
    /// # Errors
    /// When it was encrypted with another key or for another token, or was modified.
    pub fn open(&self, token: &str, sealed: &[u8]) -> Result<String, NotOurs> {
        open(&self.cipher, token, sealed)
    }

    /// Returns the value of a token that an earlier release encrypted with this key.
    ///
    /// # Errors
    /// When it was encrypted with another key or for another token, or was modified.
    pub fn open_earlier(&self, token: &str, sealed: &[u8]) -> Result<String, NotOurs> {
        open(&self.earlier, token, sealed)
    }
}

fn open(cipher: &Aes256Gcm, token: &str, sealed: &[u8]) -> Result<String, NotOurs> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(NotOurs)?;
    let nonce = Nonce::try_from(nonce).map_err(|_| NotOurs)?;
    let payload = Payload {
        msg: sealed,
        aad: token.as_bytes(),
    };
    let value = cipher.decrypt(&nonce, payload).map_err(|_| NotOurs)?;
    String::from_utf8(value).map_err(|_| NotOurs)
}

fn hex(mut text: String, byte: &u8) -> String {
    text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
    text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
    text
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
            assert_eq!(token.len(), 45);
            assert_eq!(TokenVault::key_id_of(&token), Some(ours.key_id()));
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

    /// Other programs can make the same tokens: HKDF of the key without a salt, and the value's HMAC with that.
    #[test]
    fn known_tokens() {
        // Python: prk = hmac.new(bytes(32), b"0123456789abcdef", "sha256").digest()
        //         key = lambda use: hmac.new(prk, b"data-sanitizer 2\x1ftokens\x1f" + use + b"\x01", "sha256").digest()
        //         "tok_" + key(b"key id").hex()[:8] + "_" + hmac.new(key(b"values"), b"ann@example.com", "sha256").hexdigest()[:32]
        let token = vault("0123456789abcdef").token("ann@example.com");
        assert_eq!(token, "tok_8b64df6e_9d07e53406b43a41c2221aba43ab362d");
    }

    /// A vault of an earlier release: the key was the secret's HMAC of a name, and tokens had no key id.
    #[test]
    fn h9_opens_what_an_earlier_release_sealed() {
        // Python, with cryptography: AESGCM(hmac.new(key, b"data-sanitizer token vault", "sha256").digest())
        //                              .encrypt(bytes(12), b"ann@example.com", b"tok_1f3bf2e055e87354ab3f604389f7d4e0")
        let token = "tok_1f3bf2e055e87354ab3f604389f7d4e0";
        let sealed = hex_bytes(
            "000000000000000000000000de9728e4dd1d8bf591e8659307ec9892fc7a3dc393e2ac9eac76d2603eb6ce",
        );
        let ours = vault("0123456789abcdef");
        assert_eq!(TokenVault::key_id_of(token), None);
        assert_eq!(
            ours.open_earlier(token, &sealed).unwrap(),
            "ann@example.com"
        );
        assert_eq!(ours.open(token, &sealed), Err(NotOurs));
        assert_eq!(
            vault("0123456789abcdeg").open_earlier(token, &sealed),
            Err(NotOurs)
        );
    }

    fn hex_bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .bytes()
            .map(|digit| char::from(digit).to_digit(16).unwrap() as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    /// No keyed hash that a query can ask for is a key of the vault.
    #[test]
    fn c4_no_hash_of_a_name_is_a_key() {
        use crate::kernels::pii::hash::{HashMethod, PiiHash};
        let secret = Secret::new(b"0123456789abcdef".to_vec()).unwrap();
        let hashes = PiiHash::new(&secret, HashMethod::HmacSha256, None);
        let vault = TokenVault::new(&secret).unwrap();
        let token = vault.token("ann@example.com");
        let sealed = vault.seal(&token, "ann@example.com").unwrap();
        for name in [
            "data-sanitizer token vault",
            "data-sanitizer 2\u{1f}tokens\u{1f}vault",
            "data-sanitizer 2\u{1f}tokens\u{1f}vault\u{1}",
            "tokens",
            "vault",
        ] {
            let hash = String::from_utf8(hashes.hash_value(name).to_vec()).unwrap();
            let key = Key::<Aes256Gcm>::try_from(hex_bytes(&hash).as_slice()).unwrap();
            assert_eq!(
                open(&Aes256Gcm::new(&key), &token, &sealed),
                Err(NotOurs),
                "{name}"
            );
        }
    }
}
