//! What wrong passwords and keys cost: time of whoever sends them, and of nobody else.
//!
//! - One password of a user is checked at a time, so that an attack on one user leaves the other
//!   hashers to others.
//! - After some wrong ones in a row, a user's name is refused from that address for a while, which
//!   doubles with each more; from other addresses it is not.
//! - An address that tries many names, or keys, runs out of tries. Users who have logged in from it
//!   before do not notice.
//! - A user who is tried from many addresses is let in from those that they have logged in from.
//!
//! What is refused is refused without hashing, and with the same words whether the user exists.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use planner::peer::network_of;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// Wrong passwords in a row that cost nothing but their hash.
const FREE: u32 = 5;

/// Time for which a user's name is refused after one wrong password more; doubles with each.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// Longest time for which it is refused.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Time after which wrong passwords are forgotten.
const MEMORY: Duration = Duration::from_secs(15 * 60);

/// Wrong tries that an address has, and how fast they come back.
const ADDRESS_TRIES: f64 = 50.0;
const ADDRESS_TRIES_PER_SECOND: f64 = 1.0;

/// Wrong tries that a user has from all addresses, and how fast they come back.
const USER_TRIES: f64 = 100.0;
const USER_TRIES_PER_SECOND: f64 = 0.2;

/// Logins of one user that wait for their turn.
const MOST_WAITING: usize = 256;

/// Addresses that a user is known to log in from.
const KNOWN_ADDRESSES: usize = 16;

/// Users and addresses that are remembered; the oldest go first.
const REMEMBERED: usize = 20_000;

/// Who has failed to log in, and how often.
#[derive(Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Default)]
struct State {
    pairs: HashMap<(String, IpAddr), Wrong>,
    addresses: HashMap<IpAddr, Tries>,
    users: HashMap<String, User>,
}

/// Wrong passwords of one user from one address, in a row.
struct Wrong {
    count: u32,
    last: Instant,
}

/// Tries that are used up by wrong ones, and come back with time.
struct Tries {
    left: f64,
    at: Instant,
}

struct User {
    turn: Arc<Semaphore>,
    waiting: usize,
    tries: Tries,
    known: VecDeque<IpAddr>,
    used: Instant,
}

/// A login whose password is about to be checked.
pub(super) struct Attempt {
    user: String,
    address: IpAddr,
    /// Ends the turn of this user's passwords.
    _turn: OwnedSemaphorePermit,
}

impl Tries {
    fn full(most: f64) -> Self {
        Self {
            left: most,
            at: Instant::now(),
        }
    }

    fn now(&mut self, most: f64, per_second: f64) -> f64 {
        let now = Instant::now();
        let back = now.duration_since(self.at).as_secs_f64() * per_second;
        self.left = (self.left + back).min(most);
        self.at = now;
        self.left
    }
}

impl Wrong {
    /// Time for which the user is refused from here.
    fn refused_for(&self) -> Option<Duration> {
        let over = self.count.checked_sub(FREE)?;
        let delay = FIRST_DELAY
            .saturating_mul(1 << over.min(16))
            .min(LONGEST_DELAY);
        delay.checked_sub(self.last.elapsed())
    }
}

impl User {
    fn new() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            waiting: 0,
            tries: Tries::full(USER_TRIES),
            known: VecDeque::new(),
            used: Instant::now(),
        }
    }
}

impl State {
    fn check(&mut self, user: &str, address: IpAddr) -> Result<(), Status> {
        let pair = self.pairs.get(&(user.to_owned(), address));
        if let Some(delay) = pair.and_then(Wrong::refused_for) {
            return Err(too_many(delay));
        }
        let of = self.users.get_mut(user);
        let known = of
            .as_ref()
            .is_some_and(|user| user.known.contains(&address));
        if known {
            return Ok(());
        }
        if let Some(of) = of
            && of.tries.now(USER_TRIES, USER_TRIES_PER_SECOND) < 1.0
        {
            return Err(too_many(Duration::from_secs(5)));
        }
        self.check_address(address)
    }

    fn check_address(&mut self, address: IpAddr) -> Result<(), Status> {
        let tries = self.addresses.get_mut(&address);
        let left = tries.map(|tries| tries.now(ADDRESS_TRIES, ADDRESS_TRIES_PER_SECOND));
        match left {
            Some(left) if left < 1.0 => Err(too_many(Duration::from_secs(1))),
            _ => Ok(()),
        }
    }

    /// Forgets what is too old, and the oldest of what is too much.
    fn forget(&mut self) {
        if self.pairs.len() >= REMEMBERED {
            self.pairs.retain(|_, wrong| wrong.last.elapsed() < MEMORY);
        }
        if self.addresses.len() >= REMEMBERED {
            let full = |tries: &mut Tries| {
                tries.now(ADDRESS_TRIES, ADDRESS_TRIES_PER_SECOND) >= ADDRESS_TRIES
            };
            self.addresses.retain(|_, tries| !full(tries));
        }
        if self.users.len() >= REMEMBERED {
            self.users
                .retain(|_, user| user.waiting > 0 || user.used.elapsed() < MEMORY);
        }
        while self.pairs.len() >= REMEMBERED {
            let oldest = self.pairs.iter().min_by_key(|(_, wrong)| wrong.last);
            let Some(oldest) = oldest.map(|(pair, _)| pair.clone()) else {
                break;
            };
            self.pairs.remove(&oldest);
        }
        while self.addresses.len() >= REMEMBERED {
            let oldest = self.addresses.iter().min_by_key(|(_, tries)| tries.at);
            let Some(oldest) = oldest.map(|(address, _)| *address) else {
                break;
            };
            self.addresses.remove(&oldest);
        }
    }

    /// Forgets the user of whom nothing was heard for longest.
    fn forget_user(&mut self) {
        let idle = self.users.iter().filter(|(_, user)| user.waiting == 0);
        let oldest = idle.min_by_key(|(_, user)| user.used);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.users.remove(&name);
        }
    }

    fn wrong_from(&mut self, address: IpAddr) {
        let tries = self
            .addresses
            .entry(address)
            .or_insert_with(|| Tries::full(ADDRESS_TRIES));
        tries.now(ADDRESS_TRIES, ADDRESS_TRIES_PER_SECOND);
        tries.left = (tries.left - 1.0).max(0.0);
    }
}

impl Throttle {
    /// Waits for the turn of a user's password.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` where the name, or the address, has had too many wrong ones.
    pub(super) async fn attempt(&self, user: &str, address: IpAddr) -> Result<Attempt, Status> {
        let address = network_of(address);
        let turn = {
            let mut state = self.locked();
            state.forget();
            state.check(user, address)?;
            if state.users.len() >= REMEMBERED {
                state.forget_user();
            }
            let of = state.users.entry(user.to_owned()).or_insert_with(User::new);
            if of.waiting >= MOST_WAITING {
                return Err(too_many(Duration::from_secs(1)));
            }
            of.waiting += 1;
            of.used = Instant::now();
            Arc::clone(&of.turn)
        };
        let waits = Waits {
            throttle: self,
            user,
        };
        let turn = turn.acquire_owned().await;
        drop(waits);
        let turn = turn.map_err(|_| too_many(Duration::from_secs(1)))?;
        // Those who were first may have been wrong.
        self.locked().check(user, address)?;
        Ok(Attempt {
            user: user.to_owned(),
            address,
            _turn: turn,
        })
    }

    /// Refuses keys of an address that has sent too many wrong ones.
    pub(super) fn check_key(&self, address: IpAddr) -> Result<(), Status> {
        let mut state = self.locked();
        state.forget();
        state.check_address(network_of(address))
    }

    /// Notes a wrong key.
    pub(super) fn wrong_key(&self, address: IpAddr) {
        self.locked().wrong_from(network_of(address));
    }

    /// Notes that the password was wrong; tells whether the name is refused from now on, for a while.
    pub(super) fn wrong(&self, attempt: &Attempt) -> bool {
        let mut state = self.locked();
        state.wrong_from(attempt.address);
        if let Some(user) = state.users.get_mut(&attempt.user) {
            user.tries.now(USER_TRIES, USER_TRIES_PER_SECOND);
            user.tries.left = (user.tries.left - 1.0).max(0.0);
        }
        let pair = (attempt.user.clone(), attempt.address);
        let wrong = state.pairs.entry(pair).or_insert(Wrong {
            count: 0,
            last: Instant::now(),
        });
        if wrong.last.elapsed() >= MEMORY {
            wrong.count = 0;
        }
        wrong.count = wrong.count.saturating_add(1);
        wrong.last = Instant::now();
        wrong.count >= FREE
    }

    /// Notes that the password was right.
    pub(super) fn right(&self, attempt: &Attempt) {
        let mut state = self.locked();
        state.pairs.remove(&(attempt.user.clone(), attempt.address));
        if let Some(user) = state.users.get_mut(&attempt.user)
            && !user.known.contains(&attempt.address)
        {
            if user.known.len() >= KNOWN_ADDRESSES {
                user.known.pop_front();
            }
            user.known.push_back(attempt.address);
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for the turn of a user, until it is dropped.
struct Waits<'a> {
    throttle: &'a Throttle,
    user: &'a str,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let Some(user) = self.throttle.locked().users.get_mut(self.user) {
            user.waiting = user.waiting.saturating_sub(1);
        }
    }
}

fn too_many(delay: Duration) -> Status {
    Status::resource_exhausted(format!(
        "too many wrong logins; try again in {} s",
        delay.as_secs() + 1
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn wrong(throttle: &Throttle, user: &str, address: IpAddr) -> bool {
        match throttle.attempt(user, address).await {
            Ok(attempt) => {
                throttle.wrong(&attempt);
                true
            }
            Err(_) => false,
        }
    }

    /// m4: wrong passwords cost the one who sends them, from where they are sent, and nobody else.
    #[tokio::test]
    async fn m4_wrong_passwords_are_slowed() {
        let throttle = Throttle::default();
        let there = IpAddr::from([10, 0, 0, 9]);
        let mut hashed = 0;
        for _ in 0..60 {
            hashed += u32::from(wrong(&throttle, "ada", HERE).await);
        }
        assert_eq!(hashed, FREE);
        assert!(throttle.attempt("bob", HERE).await.is_ok());
        let attempt = throttle.attempt("ada", there).await.unwrap();
        throttle.right(&attempt);
        drop(attempt);
        assert!(
            throttle.attempt("ada", HERE).await.is_err(),
            "still refused from here"
        );
    }

    /// m4: an address that tries many names runs out of tries; whoever has logged in from it before
    /// is let in.
    #[tokio::test]
    async fn m4_addresses_run_out_of_tries() {
        let throttle = Throttle::default();
        let attempt = throttle.attempt("bob", HERE).await.unwrap();
        throttle.right(&attempt);
        drop(attempt);
        let mut hashed = 0;
        for number in 0..200 {
            hashed += u32::from(wrong(&throttle, &format!("user {number}"), HERE).await);
        }
        assert!((50..60).contains(&hashed), "{hashed}");
        assert!(throttle.check_key(HERE).is_err());
        assert!(throttle.attempt("bob", HERE).await.is_ok());
        assert!(throttle.attempt("eve", HERE).await.is_err());
        assert!(
            throttle
                .attempt("eve", IpAddr::from([10, 0, 0, 9]))
                .await
                .is_ok()
        );
    }

    /// m4: one password of a user is checked at a time, and those who wait are counted.
    #[tokio::test]
    async fn m4_passwords_of_a_user_take_turns() {
        let throttle = Throttle::default();
        let first = throttle.attempt("ada", HERE).await.unwrap();
        let second = throttle.attempt("ada", HERE);
        let patience = Duration::from_millis(20);
        assert!(tokio::time::timeout(patience, second).await.is_err());
        assert_eq!(throttle.locked().users["ada"].waiting, 0);
        assert!(throttle.attempt("bob", HERE).await.is_ok());
        drop(first);
        assert!(throttle.attempt("ada", HERE).await.is_ok());
    }
}
