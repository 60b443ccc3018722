//! What the running tasks have of the executor's memory. Ballista gives each task a pool of its own.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool};
use planner::telemetry::METRICS;

type Pools = Arc<Mutex<Vec<Arc<dyn MemoryPool>>>>;

/// The memory pools of the tasks that run.
#[derive(Debug, Default, Clone)]
pub struct TaskMemory(Pools);

impl TaskMemory {
    /// Counts a task's pool for as long as the guard lives.
    pub(crate) fn hold(&self, pool: &Arc<dyn MemoryPool>) -> HeldPool {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pools.push(Arc::clone(pool));
        HeldPool {
            pools: Arc::clone(&self.0),
            pool: Arc::clone(pool),
        }
    }

    /// Brings the figures up to date. A pool without a limit adds none.
    pub fn refresh(&self) {
        let pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reserved: usize = pools.iter().map(|pool| pool.reserved()).sum();
        let limits = pools.iter().map(|pool| match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes,
            _ => 0,
        });
        let limit: usize = limits.sum();
        METRICS.memory_pool.set(["reserved"], reserved as f64);
        METRICS.memory_pool.set(["limit"], limit as f64);
    }
}

/// A pool that is counted.
#[derive(Debug)]
pub(crate) struct HeldPool {
    pools: Pools,
    pool: Arc<dyn MemoryPool>,
}

impl Drop for HeldPool {
    fn drop(&mut self) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = pools.iter().position(|pool| Arc::ptr_eq(pool, &self.pool)) {
            pools.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer};

    use super::*;

    /// What tasks have reserved is told while they run, and no longer.
    #[test]
    fn told_while_tasks_run() {
        let told = |state: &str, bytes: usize| {
            let line = format!("data_sanitizer_memory_pool_bytes{{state=\"{state}\"}} {bytes}\n");
            let text = METRICS.text();
            assert!(text.contains(&line), "{line}: {text}");
        };
        let memory = TaskMemory::default();
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1000));
        let other: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(500));
        let reservation = MemoryConsumer::new("task").register(&pool);
        reservation.try_grow(300).unwrap();
        let first = memory.hold(&pool);
        let second = memory.hold(&other);
        memory.refresh();
        told("reserved", 300);
        told("limit", 1500);
        drop(first);
        memory.refresh();
        told("reserved", 0);
        told("limit", 500);
        drop(second);
        memory.refresh();
        told("limit", 0);
    }
}
