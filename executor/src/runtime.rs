//! What tasks run with: their share of the executor's memory, and the settings of their sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::{ConfigProducer, RuntimeProducer};
use ballista_executor::runtime_cache::{
    DefaultSessionRuntimeCache, MemoryPoolPolicy, SessionRuntimeCache,
};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use planner::cluster::MemberTls;
use planner::cluster::member_config;
use planner::storage::RootedStores;

use crate::{ExecutorError, ExecutorOptions};

/// Share of the machine's or container's memory that tasks may take.
const MEMORY_SHARE: f64 = 0.75;

/// Sessions whose clients of object stores and footers of files are kept for their next task.
const SESSIONS: usize = 16;

/// Files in which the kernel tells the limit of a container, in bytes: those of both versions of control groups.
const CONTAINER_LIMITS: [&str; 2] = [
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
];

/// Makes the runtimes of tasks.
pub(crate) struct Runtimes {
    /// Makes one where a task is decoded, which needs no memory of its own.
    pub(crate) plain: RuntimeProducer,
    /// Makes one for each task that runs.
    pub(crate) of_tasks: Arc<dyn SessionRuntimeCache>,
}

impl Runtimes {
    /// Divides the executor's memory among its slots. Rows that do not fit are spilled into `work_dir`.
    pub(crate) fn new(options: &ExecutorOptions, work_dir: &Path) -> Result<Self, ExecutorError> {
        let limit = options.memory_limit.map(|limit| limit.0);
        let limit = limit.or_else(|| detected().map(|bytes| (bytes as f64 * MEMORY_SHARE) as u64));
        let limit = limit.ok_or(ExecutorError::UnknownMemory)?;
        let slots = options.slots();
        let share = usize::try_from(limit / slots as u64).unwrap_or(usize::MAX);
        if share == 0 {
            return Err(ExecutorError::TooLittleMemory { limit, slots });
        }
        tracing::info!(limit, slots, share, "memory of tasks, in bytes");
        let work_dir: PathBuf = work_dir.to_owned();
        let plain: RuntimeProducer = Arc::new(move |_| {
            RuntimeEnvBuilder::new()
                .with_temp_file_path(work_dir.clone())
                .with_object_store_registry(Arc::new(RootedStores::default()))
                .build_arc()
        });
        let pools: MemoryPoolPolicy = Arc::new(move |base, _, slots| {
            let bytes = share.saturating_mul(slots.max(1) as usize);
            RuntimeEnvBuilder::from_runtime_env(&base)
                .with_memory_pool(Arc::new(FairSpillPool::new(bytes)))
                .build_arc()
        });
        let of_tasks = DefaultSessionRuntimeCache::new(Arc::clone(&plain), pools, SESSIONS);
        Ok(Self {
            plain,
            of_tasks: Arc::new(of_tasks),
        })
    }
}

/// Returns the settings of sessions, whose clients of other executors prove that they are members.
pub(crate) fn settings(tls: Option<&MemberTls>) -> ConfigProducer {
    let secured = tls.map(MemberTls::secured_endpoints);
    Arc::new(move || match &secured {
        Some(secured) => {
            member_config().with_ballista_override_create_grpc_client_endpoint(Arc::clone(secured))
        }
        None => member_config(),
    })
}

/// Returns the memory of the machine, or of the container where that has less, in bytes.
fn detected() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.as_deref().and_then(machine_memory);
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse().ok();
    let container: Option<u64> = CONTAINER_LIMITS.into_iter().find_map(read);
    match (machine, container) {
        (Some(machine), Some(container)) => Some(machine.min(container)),
        (machine, container) => machine.or(container),
    }
}

fn machine_memory(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's figure is in kibibytes, whatever stands around it; what is no figure is none.
    #[test]
    fn memory_of_the_machine() {
        let text = "MemFree:  1 kB\nMemTotal:       16384 kB\nMemAvailable: 2 kB\n";
        assert_eq!(machine_memory(text), Some(16 << 20));
        for text in ["", "MemTotal: much", "MemTotal: 5 MB"] {
            assert_eq!(machine_memory(text), None, "{text}");
        }
        assert!(detected().is_some_and(|bytes| bytes > 64 << 20));
    }
}
