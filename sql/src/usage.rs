//! What one user of the service holds at a time, over all of their sessions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::error::{Error, Result};
use crate::identity::Identity;

/// Most that one user holds at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsageLimits {
    /// Statements that are planned or run.
    pub(crate) statements: usize,
    /// Prepared statements, of the protocol and of PREPARE together.
    pub(crate) prepared: usize,
    /// Results that wait to be fetched.
    pub(crate) tickets: usize,
}

/// Bytes of text of a user's prepared statements.
const PREPARED_BYTES: usize = 64 << 20;

/// What one user holds.
#[derive(Debug)]
pub(crate) struct Usage {
    limits: UsageLimits,
    statements: Arc<AtomicUsize>,
    prepared: Arc<AtomicUsize>,
    prepared_bytes: Arc<AtomicUsize>,
    tickets: Arc<AtomicUsize>,
}

/// A part of what a user may hold; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    counter: Arc<AtomicUsize>,
    amount: usize,
}

impl Share {
    fn take(counter: &Arc<AtomicUsize>, amount: usize, most: usize) -> Option<Self> {
        let add = |now: usize| now.checked_add(amount).filter(|sum| *sum <= most);
        let taken = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        taken.ok().map(|_| Self {
            counter: Arc::clone(counter),
            amount,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.amount, Ordering::AcqRel);
    }
}

impl Usage {
    pub(crate) fn new(limits: UsageLimits) -> Self {
        Self {
            limits,
            statements: Arc::default(),
            prepared: Arc::default(),
            prepared_bytes: Arc::default(),
            tickets: Arc::default(),
        }
    }

    /// Takes the place of one more statement that is planned or run.
    ///
    /// # Errors
    /// [`Error::Exhausted`] where the user has as many as they may.
    pub(crate) fn statement(&self) -> Result<Share> {
        let most = self.limits.statements;
        Share::take(&self.statements, 1, most).ok_or_else(|| {
            Error::Exhausted(format!(
                "the user runs {most} statements, as many as one user may at a time"
            ))
        })
    }

    /// Takes the place of one more prepared statement, and of its text.
    ///
    /// # Errors
    /// [`Error::Exhausted`] where the user has as many as they may, or too much text.
    pub(crate) fn prepared(&self, bytes: usize) -> Result<(Share, Share)> {
        let most = self.limits.prepared;
        let place = Share::take(&self.prepared, 1, most);
        let text = Share::take(&self.prepared_bytes, bytes, PREPARED_BYTES);
        place.zip(text).ok_or_else(|| {
            Error::Exhausted(format!(
                "the user has {most} prepared statements, or {PREPARED_BYTES} bytes of them, as many as one user may; close some"
            ))
        })
    }

    /// Takes the place of one more result that waits to be fetched.
    ///
    /// # Errors
    /// [`Error::Exhausted`] where the user has as many as they may.
    pub(crate) fn ticket(&self) -> Result<Share> {
        let most = self.limits.tickets;
        Share::take(&self.tickets, 1, most).ok_or_else(|| {
            Error::Exhausted(format!(
                "the user has {most} results that wait to be fetched, as many as one user may"
            ))
        })
    }
}

/// What all users hold.
#[derive(Debug)]
pub(crate) struct Usages {
    limits: UsageLimits,
    users: Mutex<HashMap<Identity, Weak<Usage>>>,
}

impl Usages {
    pub(crate) fn new(limits: UsageLimits) -> Self {
        Self {
            limits,
            users: Mutex::default(),
        }
    }

    /// What a user holds; their sessions share it.
    pub(crate) fn of(&self, user: &Identity) -> Arc<Usage> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(usage) = users.get(user).and_then(Weak::upgrade) {
            return usage;
        }
        users.retain(|_, usage| usage.strong_count() > 0);
        let usage = Arc::new(Usage::new(self.limits));
        users.insert(user.clone(), Arc::downgrade(&usage));
        usage
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The sessions of a user share what they may hold; what is dropped is given back.
    #[test]
    fn users_share_their_limits() {
        let usages = Usages::new(UsageLimits {
            statements: 2,
            prepared: 2,
            tickets: 1,
        });
        let user = |user: &str| Identity {
            user: user.to_owned(),
            tenant: "north".to_owned(),
        };
        let (one, same) = (usages.of(&user("ada")), usages.of(&user("ada")));
        let held = [one.statement().unwrap(), same.statement().unwrap()];
        assert!(one.statement().is_err() && usages.of(&user("bob")).statement().is_ok());
        drop(held);
        assert!(one.statement().is_ok());
        assert!(one.prepared(PREPARED_BYTES + 1).is_err());
        let kept = (one.prepared(5).unwrap(), same.prepared(5).unwrap());
        assert!(one.prepared(5).is_err());
        drop(kept);
        let ticket = one.ticket().unwrap();
        assert!(same.ticket().is_err());
        drop(ticket);
    }
}
