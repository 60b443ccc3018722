//! Where bytes lie: files of this machine, and objects of a store.
//!
//! A [`Place`] names a file or a folder and travels in plans; whoever opens it looks the store's
//! settings up for itself. From what a person writes there is one way to a place, a [`LocationPolicy`]. Reading and writing block the calling thread, for a store as for a disk:
//! requests run on threads of their own.

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
