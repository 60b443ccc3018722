//! Storage: files of this machine, and objects of a store.
//!
//! A [`Place`] names a file or a folder and can be part of a plan; each process that opens it looks up the settings of
//! the store for itself. A text that a user writes becomes a place only through a [`LocationPolicy`]. Reads and writes
//! block the calling thread, for a store as for a disk: requests run on their own threads.

mod client;
mod file;
mod local;
mod location;
mod metered;
mod once;
mod place;
mod read;
mod rooted_store;
mod write;

pub use client::{transfer, wait};
pub use file::{ByteFile, CachedFile, SeekableFile};
pub use local::{FileFacts, FileKind, LocalPath};
pub use location::{Location, LocationError, LocationPolicy, TenantRoots, WebAddress, covers};
pub use place::{ObjectPlace, Place};
pub use rooted_store::{RootedStores, rooted_url};
pub use write::{PlaceWriter, WholeFile};
