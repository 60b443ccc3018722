//! The allocator of the programs.

// Columns are built and dropped by the million; the system's allocator was a tenth of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Freed memory goes back to the system after so many milliseconds. Batches and pages take it again
/// at once, and fresh memory has to be zeroed: with the default of 10 that was a twentieth of the time.
const GIVE_BACK_AFTER: std::ffi::c_long = 1_000;

/// Number of mimalloc's `mi_option_purge_delay`, which its bindings leave out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Sets it up; to be called before any other thread begins.
pub fn set_up() {
    // SAFETY: the option is known to the allocator, which takes it at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, GIVE_BACK_AFTER) };
}
