//! Replaces personal data by a keyed hash, so that equal values stay equal and none can be read.
//!
//! A hash without a secret is undone by trying every phone number or every name; a secret that
//! differs from run to run breaks joins. So the secret is the user's, and long enough.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, StringViewArray, make_view};
use arrow::buffer::{Buffer, ScalarBuffer};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::kernels::cell::{CellKernel, Verdict};

/// Fewer bytes than this can be guessed (NIST SP 800-107 asks for 112 bits).
const MIN_SECRET_BYTES: usize = 16;

/// Bytes of a hash in hexadecimal digits.
const HEX_BYTES: usize = 64;

/// What the context of every derived key begins with.
const DERIVED: &str = "data-sanitizer 2";

/// Bytes of a derived key.
const DERIVED_BYTES: usize = 32;

/// Separates the context from the value (ASCII unit separator), so that they cannot be confused.
const SEPARATOR: u8 = 0x1F;

/// The secret that hashes depend on; it is wiped from memory when dropped and never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Creates a secret of at least 16 bytes.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn new(bytes: Vec<u8>) -> Result<Self, SecretTooShort> {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() < MIN_SECRET_BYTES {
            return Err(SecretTooShort {
                length: bytes.len(),
            });
        }
        Ok(Self(bytes))
    }

    /// Returns the secret itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Derives the key of 32 bytes for one use by HKDF-SHA-256 (RFC 5869) without a salt. `context` names the use,
    /// and whose it is; its parts hold no unit separator. No keyed hash of a text under this secret is such a key,
    /// for HKDF works with a key that is itself a hash of the secret.
    ///
    /// # Errors
    /// When the library refuses a key of 32 bytes.
    pub fn derive(&self, context: &[&str]) -> Result<Self, KeyRefused> {
        let mut info = DERIVED.to_owned();
        for part in context {
            info.push(char::from(SEPARATOR));
            info.push_str(part);
        }
        let mut key = Zeroizing::new(vec![0; DERIVED_BYTES]);
        let derived = Hkdf::<Sha256>::new(None, &self.0).expand(info.as_bytes(), &mut key);
        derived.map_err(|_| KeyRefused)?;
        Ok(Self(key))
    }
}

/// The library refused a key of the right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of the correct length was rejected")]
pub struct KeyRefused;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secret could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret has {length} bytes; at least {MIN_SECRET_BYTES} are required")]
pub struct SecretTooShort {
    /// Bytes it has.
    pub length: usize,
}

/// How a value is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashMethod {
    /// HMAC with SHA-256 (RFC 2104), the default: made for this.
    HmacSha256,
    /// SHA-256 of the secret followed by the value, for values hashed so elsewhere.
    SaltedSha256,
}

/// Replaces a cell by its keyed hash: 64 lower-case hexadecimal digits.
///
/// Without a context, HMAC-SHA-256 equals this line of Python: `hmac.new(salt, value.encode(), "sha256").hexdigest()`,
/// and salted SHA-256 is `hashlib.sha256(salt + value.encode()).hexdigest()`. With a context, `context + "\x1f" +
/// value` is hashed in place of the value; columns of different contexts cannot be joined.
#[derive(Clone)]
pub struct PiiHash {
    state: State,
}

/// What is the same for every value, computed once: the secret and the context are already in it.
#[derive(Clone)]
enum State {
    Hmac(Hmac<Sha256>),
    Salted(Sha256),
}

impl fmt::Debug for PiiHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PiiHash(..)")
    }
}

impl PiiHash {
    /// Returns a kernel for `secret`, whose hashes differ from those of any other context.
    pub fn new(secret: &Secret, method: HashMethod, context: Option<&str>) -> Self {
        let prefix = context.map(|context| {
            let mut prefix = context.as_bytes().to_vec();
            prefix.push(SEPARATOR);
            prefix
        });
        let prefix = prefix.as_deref().unwrap_or_default();
        let state = match method {
            HashMethod::HmacSha256 => {
                let mut hmac = keyed(&secret.0);
                hmac.update(prefix);
                State::Hmac(hmac)
            }
            HashMethod::SaltedSha256 => {
                let mut hash = Sha256::new();
                hash.update(secret.0.as_slice());
                Digest::update(&mut hash, prefix);
                State::Salted(hash)
            }
        };
        Self { state }
    }

    fn digest(&self, value: &[u8]) -> [u8; 32] {
        match &self.state {
            State::Hmac(hmac) => {
                let mut hmac = hmac.clone();
                hmac.update(value);
                hmac.finalize().into_bytes().into()
            }
            State::Salted(hash) => {
                let mut hash = hash.clone();
                Digest::update(&mut hash, value);
                hash.finalize().into()
            }
        }
    }

    /// Returns the hash of one value.
    pub fn hash_value(&self, value: &str) -> [u8; HEX_BYTES] {
        hex(&self.digest(value.as_bytes()))
    }

    /// Hashes every non-null cell; the hexadecimal digits go into one buffer.
    pub fn hash_column(&self, column: &StringViewArray) -> StringViewArray {
        /// Arrow's views hold offsets of 32 bits, of which only the positive ones are used.
        const CELLS_PER_BUFFER: usize = i32::MAX as usize / HEX_BYTES;
        let mut views = Vec::with_capacity(column.len());
        let mut buffers: Vec<Buffer> = Vec::new();
        let live = column.len() - column.null_count();
        let mut digits: Vec<u8> = Vec::with_capacity(live.min(CELLS_PER_BUFFER) * HEX_BYTES);
        for row in 0..column.len() {
            if column.is_null(row) {
                views.push(0);
                continue;
            }
            if digits.len() >= CELLS_PER_BUFFER * HEX_BYTES {
                buffers.push(Buffer::from_vec(std::mem::take(&mut digits)));
            }
            let cell = self.hash_value(column.value(row));
            views.push(make_view(&cell, buffers.len() as u32, digits.len() as u32));
            digits.extend_from_slice(&cell);
        }
        buffers.push(Buffer::from_vec(digits));
        let buffers: Arc<[Buffer]> = buffers.into();
        // SAFETY: every view of a non-null row was made by `make_view` of 64 bytes that were then
        // written at that offset of that buffer, and hexadecimal digits are UTF-8.
        unsafe {
            StringViewArray::new_unchecked(
                ScalarBuffer::from(views),
                buffers,
                column.nulls().cloned(),
            )
        }
    }
}

impl CellKernel for PiiHash {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        out.extend(self.hash_value(cell).iter().map(|&digit| char::from(digit)));
        Verdict::Changed(1.0)
    }
}

/// HMAC takes a key of any length; one longer than a block is hashed first, as RFC 2104 says.
fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(secret) {
        Ok(hmac) => hmac,
        Err(_) => Hmac::new(&Sha256::digest(secret).into_iter().chain([0; 32]).collect()),
    }
}

fn hex(bytes: &[u8; 32]) -> [u8; HEX_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; HEX_BYTES];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    hex
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn text(hash: [u8; HEX_BYTES]) -> String {
        String::from_utf8(hash.to_vec()).unwrap()
    }

    fn secret(bytes: &[u8]) -> Secret {
        Secret::new(bytes.to_vec()).unwrap()
    }

    /// The values of RFC 4231 (test cases 1, 3 and 6) come out, for short and long secrets.
    #[test]
    fn rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, value, want) in cases {
            let hasher = PiiHash::new(&secret(key), HashMethod::HmacSha256, None);
            assert_eq!(text(hex(&hasher.digest(value))), want);
        }
    }

    /// A context keeps columns apart, the salted form is SHA-256 of both, cells equal columns.
    #[test]
    fn contexts_methods_and_columns() {
        let secret = secret(b"0123456789abcdef");
        let plain = PiiHash::new(&secret, HashMethod::HmacSha256, None);
        let scoped = PiiHash::new(&secret, HashMethod::HmacSha256, Some("email"));
        let salted = PiiHash::new(&secret, HashMethod::SaltedSha256, None);
        assert_ne!(plain.hash_value("ada"), scoped.hash_value("ada"));
        assert_eq!(plain.hash_value("email\u{1f}ada"), scoped.hash_value("ada"));
        assert_eq!(
            text(salted.hash_value("ada")),
            text(hex(&Sha256::digest(b"0123456789abcdefada").into()))
        );
        let column = StringViewArray::from(vec![Some("ada"), None, Some(""), Some("ada")]);
        let hashed = plain.hash_column(&column);
        assert!(hashed.is_null(1) && hashed.len() == 4);
        assert_eq!(hashed.value(0), text(plain.hash_value("ada")));
        assert_eq!(hashed.value(3), hashed.value(0));
        let mut out = String::new();
        assert_eq!(plain.clean("", &mut out), Verdict::Changed(1.0));
        assert_eq!(out, hashed.value(2));
        let slice = plain.hash_column(&column.slice(2, 2));
        assert_eq!(slice.value(1), hashed.value(0));
    }

    /// A short secret is refused, and none is ever shown.
    #[test]
    fn secrets_are_long_and_silent() {
        assert_eq!(
            Secret::new(b"too short".to_vec()).err(),
            Some(SecretTooShort { length: 9 })
        );
        let shown = format!("{:?}", secret(b"0123456789abcdef"));
        assert!(!shown.contains("0123") && !shown.contains("48"));
    }
}
