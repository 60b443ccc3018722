//! How often a tenant may call: a token bucket for each (the generic cell rate algorithm of `governor`).

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use uuid::Uuid;

/// The buckets of a process.
#[derive(Default)]
pub(crate) struct Rates {
    buckets: Mutex<HashMap<Uuid, (f64, Arc<DefaultDirectRateLimiter>)>>,
}

impl Rates {
    /// Takes a call of a tenant into account that may make so many in a second; what it may save up is two
    /// seconds' worth.
    ///
    /// # Errors
    /// Time until the next call.
    pub(crate) fn take(&self, tenant: Uuid, calls_per_second: f64) -> Result<(), Duration> {
        let bucket = {
            let Ok(mut buckets) = self.buckets.lock() else {
                return Ok(());
            };
            let entry = buckets
                .entry(tenant)
                .or_insert_with(|| (calls_per_second, bucket(calls_per_second)));
            if entry.0 != calls_per_second {
                *entry = (calls_per_second, bucket(calls_per_second));
            }
            Arc::clone(&entry.1)
        };
        bucket
            .check()
            .map_err(|early| early.wait_time_from(DefaultClock::default().now()))
    }
}

fn bucket(calls_per_second: f64) -> Arc<DefaultDirectRateLimiter> {
    let burst = (calls_per_second * 2.0).ceil().clamp(1.0, 1e9);
    // Between 1 and 1e9, as it was just made.
    let burst = NonZeroU32::new(burst as u32).unwrap_or(NonZeroU32::MIN);
    let period = Duration::from_secs_f64(1.0 / calls_per_second.clamp(0.001, 1e6));
    let quota = Quota::with_period(period).unwrap_or(Quota::per_second(burst));
    Arc::new(RateLimiter::direct(quota.allow_burst(burst)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenant that calls too often waits, and no other one does.
    #[test]
    fn buckets() {
        let rates = Rates::default();
        let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
        let taken = (0..10).filter(|_| rates.take(one, 2.0).is_ok()).count();
        assert_eq!(taken, 4);
        let wait = rates.take(one, 2.0).unwrap_err();
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        assert!(rates.take(other, 2.0).is_ok());
        // Another limit counts at once.
        assert!(rates.take(one, 100.0).is_ok());
    }
}
