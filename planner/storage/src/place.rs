//! The name of a file or folder.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use super::client::{client, requests, wait};
use super::file::SeekableFile;
use super::local::{FileKind, LocalPath};
use super::write::{PlaceWriter, WholeFile};
use planner_base::Secret;

/// The place of a file, or of a folder of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// On a file system.
    Local(LocalPath),
    /// In an object store.
    Object(ObjectPlace),
}

/// An object, or a common prefix of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPlace {
    /// The bucket or container, such as `s3://bucket`.
    bucket: String,
    /// Key in the bucket, without a slash at either end.
    key: String,
    /// Name of the store's settings; `None` for those of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credentials: Option<Secret>,
}

impl Place {
    /// Returns a path that this process chose itself.
    pub fn own(path: impl Into<PathBuf>) -> Self {
        Self::Local(LocalPath::own(path))
    }

    /// Returns the place of this name below it; the name may have several components.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Local(path) => Self::Local(path.join(name)),
            Self::Object(object) => Self::Object(object.join(name)),
        }
    }

    /// Returns the path on this machine's file system if the process chose it itself; `None` for objects and for paths
    /// beneath a root.
    #[must_use]
    pub fn local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) if path.root().is_none() => Some(path.as_path()),
            Self::Local(_) | Self::Object(_) => None,
        }
    }

    /// Returns the path on a file system, whoever named it; `None` for an object.
    #[must_use]
    pub fn local_path(&self) -> Option<&LocalPath> {
        match self {
            Self::Local(path) => Some(path),
            Self::Object(_) => None,
        }
    }

    /// Returns the sorted names of its direct children; none where nothing exists.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self) -> io::Result<Vec<String>> {
        match self {
            Self::Local(path) => match path.entries() {
                Ok(entries) => Ok(entries.into_iter().map(|(name, _)| name).collect()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error),
            },
            Self::Object(object) => {
                let mut names = object.names()?;
                names.sort_unstable();
                Ok(names)
            }
        }
    }

    /// Returns whether it is a folder of a file system.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        match self {
            Self::Local(path) => path
                .facts()
                .is_ok_and(|facts| facts.kind == FileKind::Folder),
            Self::Object(_) => false,
        }
    }

    /// Creates a folder for files to be written; stores need none.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn make_folder(&self) -> io::Result<()> {
        match self {
            Self::Local(path) => path.make_folder(),
            Self::Object(_) => Ok(()),
        }
    }

    /// Writes a file durably and as a whole, or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, content: &[u8]) -> io::Result<()> {
        match self {
            Self::Local(path) => {
                let mut file = path.create()?;
                io::Write::write_all(&mut file, content)?;
                file.sync_all()
            }
            Self::Object(object) => object.put(content.to_vec().into()),
        }
    }

    /// Creates a file that must not exist yet.
    ///
    /// # Errors
    /// When the file exists or cannot be created.
    pub fn create(&self) -> io::Result<PlaceWriter> {
        PlaceWriter::create(self)
    }

    /// Begins a file that appears at its place, replacing an existing one, once it is complete. Missing folders of a
    /// file system are created.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn begin_whole(&self) -> io::Result<WholeFile> {
        let unfinished = match self {
            Self::Local(path) => {
                if path.root().is_some()
                    && path
                        .facts()
                        .is_ok_and(|facts| facts.kind == FileKind::Other)
                {
                    // A link would be replaced, which whoever made it did not mean.
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "not a regular file",
                    ));
                }
                let folder = path.parent();
                folder.make_folder()?;
                Self::Local(folder)
            }
            Self::Object(_) => self.clone(),
        };
        WholeFile::create(self, &unfinished)
    }

    /// Removes the file, or the folder with its content; a missing one is not an error.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove_all(&self) -> io::Result<()> {
        let absent = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        };
        match self {
            Self::Local(path) => path.remove_all(),
            Self::Object(object) => {
                let below = object.list()?.into_iter();
                let mut keys: Vec<String> = below.map(|found| found.location.to_string()).collect();
                keys.push(object.key.clone());
                for key in keys {
                    let one = object.sibling(&key);
                    one.request(|store, path| async move { store.delete(&path).await })
                        .or_else(absent)?;
                }
                Ok(())
            }
        }
    }

    /// Opens a file for random access.
    ///
    /// # Errors
    /// When the file does not exist or cannot be opened.
    pub fn open(&self) -> io::Result<SeekableFile> {
        SeekableFile::at(self)
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Self {
        place.clone()
    }
}

impl From<&ObjectPlace> for Place {
    fn from(object: &ObjectPlace) -> Self {
        Self::Object(object.clone())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What whoever reads this has named; the root is the service's business.
            Self::Local(path) => path.name().display().fmt(to),
            Self::Object(object) => object.fmt(to),
        }
    }
}

impl fmt::Display for ObjectPlace {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", self.bucket, self.key)
    }
}

impl ObjectPlace {
    /// Returns the object that `BUCKET/KEY` names under a scheme.
    pub(super) fn parse(
        scheme: &str,
        name: &str,
        credentials: Option<&Secret>,
    ) -> Result<Self, String> {
        let (bucket, key) = name.split_once('/').unwrap_or((name, ""));
        let has_password = bucket.contains(':');
        if bucket.is_empty() || has_password {
            return Err(format!("{scheme}://BUCKET/NAME is expected"));
        }
        let key = key.trim_matches('/');
        ObjectPath::parse(key).map_err(|e| format!("not the key of an object: {e}"))?;
        Ok(Self {
            bucket: format!("{scheme}://{bucket}"),
            key: key.to_owned(),
            credentials: credentials.cloned(),
        })
    }

    /// Returns whether another object is this one or is below it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let rest = other.key.strip_prefix(self.key.as_str());
        self.bucket == other.bucket
            && rest
                .is_some_and(|rest| self.key.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the object of this name below this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let key = match self.key.as_str() {
            "" => name.to_owned(),
            key => format!("{key}/{name}"),
        };
        Self {
            key,
            ..self.clone()
        }
    }

    /// Returns another object of the same bucket.
    pub fn sibling(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// Returns the key in the bucket.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the key in the form that the client of the store takes.
    pub fn path(&self) -> ObjectPath {
        ObjectPath::parse(&self.key).unwrap_or_else(|_| ObjectPath::from(self.key.as_str()))
    }

    pub(super) fn store(&self) -> io::Result<Arc<dyn ObjectStore>> {
        client(&self.bucket, self.credentials.as_ref())
    }

    /// Runs a request about the object and waits for its response.
    pub fn request<T, F>(
        &self,
        request: impl FnOnce(Arc<dyn ObjectStore>, ObjectPath) -> F,
    ) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        wait(request(self.store()?, self.path()))
    }

    /// Starts a task about the object on the request threads, and returns at once.
    pub fn spawn<F>(
        &self,
        work: impl FnOnce(Arc<dyn ObjectStore>, ObjectPath) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        requests()?.spawn(work(self.store()?, self.path()));
        Ok(())
    }

    /// Returns the size and version of the object.
    ///
    /// # Errors
    /// When the object does not exist, or the store does not respond.
    pub fn head(&self) -> io::Result<ObjectMeta> {
        self.request(|store, path| async move { store.head(&path).await })
    }

    /// Reads the whole object.
    ///
    /// # Errors
    /// When the object does not exist, or the store does not respond.
    pub fn get(&self) -> io::Result<Bytes> {
        self.request(|store, path| async move { store.get(&path).await?.bytes().await })
    }

    /// Writes the object.
    ///
    /// # Errors
    /// When the store rejects it or does not respond.
    pub fn put(&self, content: Bytes) -> io::Result<()> {
        self.request(|store, path| async move {
            store.put(&path, content.into()).await?;
            Ok(())
        })
    }

    /// Returns the sorted names of the direct children.
    ///
    /// # Errors
    /// When the store cannot list them.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let prefix = (!self.key.is_empty()).then(|| self.path());
        let store = self.store()?;
        let found = wait(async move { store.list_with_delimiter(prefix.as_ref()).await })?;
        let objects = found.objects.into_iter().map(|object| object.location);
        let paths = found.common_prefixes.into_iter().chain(objects);
        Ok(paths
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect())
    }

    /// Returns the objects below this one, ordered by key.
    ///
    /// # Errors
    /// When the store cannot list them.
    pub fn list(&self) -> io::Result<Vec<ObjectMeta>> {
        let prefix = (!self.key.is_empty()).then(|| self.path());
        let store = self.store()?;
        let mut found: Vec<ObjectMeta> =
            wait(async move { store.list(prefix.as_ref()).try_collect().await })?;
        found.sort_by(|left, right| left.location.cmp(&right.location));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Keys are decoded from URLs, displayed as written, and survive serialization.
    #[test]
    fn names() {
        let parse = |scheme, name| ObjectPlace::parse(scheme, name, None);
        for (scheme, name, shown) in [
            ("s3", "bucket/a b/c.csv", "s3://bucket/a b/c.csv"),
            ("s3", "bucket/a/", "s3://bucket/a"),
            ("gs", "b", "gs://b/"),
            (
                "abfss",
                "c@account.dfs.core.windows.net/x",
                "abfss://c@account.dfs.core.windows.net/x",
            ),
        ] {
            let place = Place::Object(parse(scheme, name).unwrap());
            assert_eq!(place.to_string(), shown);
            let json = serde_json::to_string(&place).unwrap();
            assert_eq!(serde_json::from_str::<Place>(&json).unwrap(), place);
        }
        for name in ["", "/x", "user:key@b/x", "b/a//b", "b/../x"] {
            assert!(parse("s3", name).is_err(), "{name}");
        }
        let place = Place::Object(parse("s3", "b/x").unwrap()).join("data/p");
        assert_eq!(place.to_string(), "s3://b/x/data/p");
        let (wide, below) = (parse("s3", "b").unwrap(), parse("s3", "b/x/y").unwrap());
        assert!(wide.covers(&below) && parse("s3", "b/x").unwrap().covers(&below));
        for other in ["b/x/y/z", "b/", "c/x/y", "b/x/yy"] {
            assert!(
                !parse("s3", other).unwrap().covers(&below) || other == "b/",
                "{other}"
            );
        }
        assert!(!parse("s3a", "b/x").unwrap().covers(&below));
    }
}
