//! How much memory a process has had.

/// Returns the most memory that a process has had, in bytes: `VmHWM` of `/proc/PID/status`, see proc(5). None where there is no
/// `/proc`, and when the process is gone.
pub fn peak_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
