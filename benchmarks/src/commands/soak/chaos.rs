//! What goes wrong meanwhile: services are killed, services sleep, connections to the database are cut.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;

use super::process::Services;

/// How often each fault came.
pub(super) type Faults = BTreeMap<&'static str, usize>;

/// Faults, until they are stopped.
pub(super) struct Chaos {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Faults>,
}

impl Chaos {
    pub(super) fn start(
        services: Arc<Services>,
        database: Option<String>,
        every: f64,
        seed: u64,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(every <= 0.0));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed);
            let mut faults = Faults::new();
            while !stopped.load(Ordering::Relaxed) {
                let pause = every * random.random_range(0.5..1.5);
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
                let number = random.random_range(0..services.count());
                let fault = match random.random_range(0..10) {
                    0..=3 => {
                        let services = Arc::clone(&services);
                        let killed =
                            tokio::task::spawn_blocking(move || services.restart(number)).await;
                        matches!(killed, Ok(Ok(()))).then_some("services killed")
                    }
                    4..=6 => {
                        // Some sleep past their lease.
                        let time = Duration::from_secs_f64(random.random_range(0.5..8.0));
                        let frozen = services.freeze(number, time).await;
                        frozen.is_ok().then_some("services frozen")
                    }
                    _ => database
                        .as_deref()
                        .is_some_and(cut)
                        .then_some("database connections cut"),
                };
                if let Some(fault) = fault {
                    *faults.entry(fault).or_default() += 1;
                }
            }
            faults
        });
        Self { stop, task }
    }

    pub(super) async fn stop(self) -> Faults {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap_or_default()
    }
}

/// Cuts every connection to a database.
fn cut(database: &str) -> bool {
    let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let cut = Command::new("psql")
        .args([database, "-qAtc", statement])
        .output();
    cut.is_ok_and(|output| output.status.success())
}
