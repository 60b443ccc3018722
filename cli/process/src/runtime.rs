//! The runtime of a program that runs for long, and the signals that end it.

use std::future::Future;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Stack of a runtime's threads. Plans and statements are planned, encoded and decoded on it, and are as deep as their
/// limits allow.
pub const STACK_BYTES: usize = 64 << 20;

/// Returns a runtime with a thread for each core.
///
/// # Errors
/// When the system gives it no threads.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .context("the runtime does not start")
}

/// Returns a future that is ready when the program is interrupted or terminated, from this call on.
///
/// # Errors
/// When the system takes no handler of signals.
pub fn asked_to_stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}
