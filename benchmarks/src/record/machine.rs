//! Where something was measured.

use serde::{Deserialize, Serialize};

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the processor.
    pub processor: String,
    /// Processors that a process may use.
    pub processors: usize,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Operating system and its version.
    pub system: String,
}

/// The value of a line `name : value` of a file of the system.
fn line_of(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl Machine {
    /// The machine of this process.
    pub fn this() -> Self {
        let memory = line_of("/proc/meminfo", "MemTotal");
        let kilobytes = memory.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
        let version = std::fs::read_to_string("/proc/sys/kernel/osrelease");
        Self {
            processor: line_of("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes.unwrap_or(0) * 1024,
            system: format!(
                "{} {}",
                std::env::consts::OS,
                version.unwrap_or_default().trim()
            ),
        }
    }
}
