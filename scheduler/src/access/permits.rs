//! What a tenant, and a key of it, may do at the same time: so many at once, and the next one waits for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// Time for which a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names that are kept before those without a holder are forgotten.
const KEPT: usize = 4096;

/// A tenant, or one of its keys and users.
type Name = (Uuid, Option<Box<str>>);

/// Permits of one kind, counted by tenant and by key.
#[derive(Debug)]
pub(crate) struct Permits {
    of_tenant: usize,
    of_key: usize,
    patience: Duration,
    held: Mutex<HashMap<Name, Arc<Semaphore>>>,
}

/// The right to go on; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _tenant: OwnedSemaphorePermit,
    _key: OwnedSemaphorePermit,
}

impl Permits {
    /// Returns permits of which a tenant holds so many at the same time, and each of its keys so many.
    pub(crate) fn new(of_tenant: usize, of_key: usize) -> Self {
        Self {
            of_tenant: of_tenant.max(1),
            of_key: of_key.max(1),
            patience: PATIENCE,
            held: Mutex::default(),
        }
    }

    /// Waits for a permit of a key; none when others of the same key or tenant hold all of them for too long.
    pub(crate) async fn take(&self, tenant: Uuid, key: &str) -> Option<Permit> {
        // The key first: what one key waits for keeps no other one waiting.
        let key = self.of((tenant, Some(key.into())), self.of_key);
        let tenant = self.of((tenant, None), self.of_tenant);
        let both = async {
            let key = key.acquire_owned().await.ok()?;
            let tenant = tenant.acquire_owned().await.ok()?;
            Some(Permit {
                _tenant: tenant,
                _key: key,
            })
        };
        tokio::time::timeout(self.patience, both)
            .await
            .ok()
            .flatten()
    }

    fn of(&self, name: Name, most: usize) -> Arc<Semaphore> {
        let Ok(mut held) = self.held.lock() else {
            return Arc::new(Semaphore::new(most));
        };
        if held.len() >= KEPT {
            held.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let semaphore = held.entry(name);
        Arc::clone(semaphore.or_insert_with(|| Arc::new(Semaphore::new(most))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one key holds keeps neither another key nor another tenant waiting.
    #[tokio::test]
    async fn counted_by_tenant_and_key() {
        let permits = Permits {
            patience: Duration::from_millis(20),
            ..Permits::new(3, 2)
        };
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        let held = [
            permits.take(one, "key:a").await.unwrap(),
            permits.take(one, "key:a").await.unwrap(),
        ];
        assert!(permits.take(one, "key:a").await.is_none());
        let third = permits.take(one, "key:b").await.unwrap();
        assert!(permits.take(one, "key:c").await.is_none());
        assert!(permits.take(other, "key:a").await.is_some());
        drop((held, third));
        assert!(permits.take(one, "key:a").await.is_some());
    }
}
