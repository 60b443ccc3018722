//! Where bytes lie: files of this machine, and objects of a store.
//!
//! A [`Place`] names a file or a folder and travels in plans; whoever opens it looks the store's
//! settings up for itself. Reading and writing block the calling thread, for a store as for a disk:
//! requests run on threads of their own.

mod client;
mod file;
mod metered;
mod once;
mod place;
mod read;
mod write;

pub(crate) use client::{transfer, wait};
pub use file::{ByteFile, CachedFile, SeekableFile};
pub(crate) use place::scheme;
pub use place::{ObjectPlace, Place};
pub use write::{PlaceWriter, WholeFile};
