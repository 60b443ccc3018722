//! Guards third-party decoders, which panic on some malformed files instead of returning an error.

/// Runs a decoder and turns a panic into an error, so that a file cannot end the process.
pub(super) fn guard<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    caught(decode).and_then(|done| done)
}

/// Runs a decoder that has its own errors; `Err` holds the message of a panic.
pub(super) fn caught<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode));
    done.map_err(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("unknown");
        format!("the decoder panicked: {what}")
    })
}
