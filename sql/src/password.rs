//! Passwords: hashed with Argon2id, away from the threads that serve, and a bounded number at a time.

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Fewest and most bytes of a password.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;

/// Passwords that are hashed at the same time: each takes 19 MiB and a core.
static HASHERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Arc::new(Semaphore::new(cores.clamp(1, 8)))
});

/// Stands in for the password of a user who is not there, so that both take the same time.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| {
    let hash = Argon2::default().hash_password(b"nobody's password").ok()?;
    Some(hash.to_string())
});

/// Hashes a password.
///
/// # Errors
/// [`Error::Invalid`] for a password that is too short or too long.
pub(crate) async fn hash(password: &str) -> Result<String> {
    if !PASSWORD_BYTES.contains(&password.len()) {
        return Err(Error::Invalid(format!(
            "a password has {} to {} bytes",
            PASSWORD_BYTES.start(),
            PASSWORD_BYTES.end()
        )));
    }
    let password = password.to_owned();
    apart(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|_| Error::Bug("a password cannot be hashed"))
    })
    .await?
}

/// Whether a password has this hash; never without one, but after the same work.
pub(crate) async fn verify(password: &str, hash: Option<String>) -> Result<bool> {
    if password.len() > *PASSWORD_BYTES.end() {
        return Ok(false);
    }
    let password = password.to_owned();
    apart(move || {
        let known = hash.is_some();
        let Some(hash) = hash.or_else(|| NOBODY.clone()) else {
            return false;
        };
        let holds = PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        });
        known && holds
    })
    .await
}

/// Makes the hash that stands in for unknown users, so that the first of them takes no longer.
pub(crate) async fn prepare() -> Result<()> {
    apart(|| LazyLock::force(&NOBODY).is_some()).await.map(drop)
}

/// Runs work that takes a core for a while.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let turn = Arc::clone(&HASHERS).acquire_owned().await;
    let turn = turn.map_err(|_| Error::Bug("nobody hashes passwords"))?;
    // The turn ends with the work, whether or not somebody still waits for it.
    let working = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(working)
        .await
        .map_err(|_| Error::Bug("a password cannot be hashed"))
}
