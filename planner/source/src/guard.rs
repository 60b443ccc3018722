//! Decoders of others, which panic on some broken files where they should refuse them.

/// Runs a decoder; a process must not end by a file.
pub(super) fn guard<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    caught(decode).and_then(|done| done)
}

/// Runs a decoder that has errors of its own; gives what it was that it panicked with.
pub(super) fn caught<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode));
    done.map_err(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown");
        format!("the decoder gave up: {what}")
    })
}
