//! An output in an object store: whose it is, where an attempt writes, and how it is published.
//!
//! Stores rename nothing and lock nothing. An attempt writes under `_sanitizer/attempt-…`; to publish
//! it, the old manifest is deleted first and the old objects after it, then the store copies the
//! attempt's objects to their places, and the new manifest is put last. One job at a time holds the
//! place by a lease.

use std::io;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;

use super::lease::Lease;
use super::output::{Attempt, CONTENT, WORK, attempt_in};
use super::{Manifest, PartFolder};
use crate::error::{Error, Result};
use crate::storage::{ObjectPlace, Place};

/// Objects that are copied at the same time.
const COPIES_AT_ONCE: usize = 16;

/// The objects of an output, to which this process alone writes.
#[derive(Debug)]
pub struct OutputPrefix {
    root: ObjectPlace,
    lease: Lease,
}

impl OutputPrefix {
    /// Takes a place without objects, with an earlier output, or with what a crashed attempt left.
    pub(super) fn open(root: &ObjectPlace) -> Result<Self> {
        check_ours(root)?;
        Ok(Self {
            lease: Lease::take(root, &root.join(WORK).join("lock"))?,
            root: root.clone(),
        })
    }

    pub(super) fn begin(&self, attempt: &str) -> Result<Attempt> {
        self.sweep()?;
        if !self.has_manifest()? {
            self.delete_content()?;
        }
        let folder = self.root.join(WORK).join(&format!("attempt-{attempt}"));
        Ok(attempt_in(&Place::Object(folder)))
    }

    pub(super) fn publish(self, attempt: &Attempt, manifest: &Manifest) -> Result<()> {
        self.lease.check()?;
        let content = serde_json::to_vec_pretty(manifest)?;
        let target = self.root.join(Manifest::NAME);
        self.delete(vec![target.clone()])?;
        self.delete_content()?;
        self.copy(&attempt.parts, manifest)?;
        self.lease.check()?;
        target
            .put(content.into())
            .map_err(|error| failed(&target, error))?;
        // The output is there. What cannot be removed now, the next job removes.
        if let Err(error) = self.sweep() {
            tracing::warn!(%error, "an attempt was left behind");
        }
        Ok(())
    }

    pub(super) fn abandon(self) -> Result<()> {
        self.sweep()
    }

    /// Copies the listed files of an attempt to their places.
    fn copy(&self, parts: &PartFolder, manifest: &Manifest) -> Result<()> {
        let Place::Object(from) = &parts.files else {
            return Err(Error::Bug("an attempt outside of the output's store"));
        };
        let pairs: Vec<(ObjectPath, ObjectPath)> = manifest
            .files
            .iter()
            .map(|file| {
                (
                    from.join(&file.path).path(),
                    self.root.join(&file.path).path(),
                )
            })
            .collect();
        self.root
            .request(|store, _| async move {
                futures::stream::iter(pairs)
                    .map(|(from, to)| {
                        let store = std::sync::Arc::clone(&store);
                        async move { store.copy(&from, &to).await }
                    })
                    .buffer_unordered(COPIES_AT_ONCE)
                    .try_collect::<()>()
                    .await
            })
            .map_err(|error| failed(&self.root, error))
    }

    fn has_manifest(&self) -> Result<bool> {
        let place = self.root.join(Manifest::NAME);
        match place.head() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(&place, error)),
        }
    }

    /// Deletes what attempts have left.
    fn sweep(&self) -> Result<()> {
        let lock = self.lease.key();
        let work = self.root.join(WORK);
        let left = work.list().map_err(|error| failed(&work, error))?;
        let left = left
            .iter()
            .map(|object| self.root.sibling(object.location.as_ref()))
            .filter(|object| object.key() != lock);
        self.delete(left.collect())
    }

    fn delete_content(&self) -> Result<()> {
        let mut content = Vec::new();
        for name in CONTENT {
            let place = self.root.join(name);
            if name.contains('.') {
                content.push(place);
                continue;
            }
            let found = place.list().map_err(|error| failed(&place, error))?;
            let found = found.iter();
            content.extend(found.map(|object| self.root.sibling(object.location.as_ref())));
        }
        self.delete(content)
    }

    /// Deletes objects; those that are not there are as good as deleted.
    fn delete(&self, objects: Vec<ObjectPlace>) -> Result<()> {
        let paths: Vec<ObjectPath> = objects.iter().map(ObjectPlace::path).collect();
        self.root
            .request(|store, _| async move {
                let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
                let mut deleted = store.delete_stream(paths);
                while let Some(one) = deleted.next().await {
                    match one {
                        Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            })
            .map_err(|error| failed(&self.root, error))
    }
}

fn failed(place: &ObjectPlace, error: io::Error) -> Error {
    Error::io(place, error)
}

/// Refuses a place that holds what no job of ours wrote.
fn check_ours(root: &ObjectPlace) -> Result<()> {
    let names = root.names().map_err(|error| failed(root, error))?;
    let manifest = || {
        let content = root.join(Manifest::NAME).get().ok()?;
        serde_json::from_slice::<Manifest>(&content).ok()
    };
    if names.is_empty() {
        return Ok(());
    }
    let ours = names.iter().any(|name| name == WORK) || manifest().is_some();
    let known = |name: &&String| {
        CONTENT.contains(&name.as_str()) || *name == WORK || *name == Manifest::NAME
    };
    match names.iter().find(|name| !ours || !known(name)) {
        None => Ok(()),
        Some(name) => Err(Error::Output {
            path: root.to_string().into(),
            problem: format!(
                "is not empty and not an output of this program (it holds {name:?}); choose another place"
            ),
        }),
    }
}
