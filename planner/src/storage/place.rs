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
use super::write::{PlaceWriter, WholeFile};
use crate::spec::Secret;

/// Where a file or a folder of files lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// On a file system.
    Local(PathBuf),
    /// In an object store.
    Object(ObjectPlace),
}

/// An object, or what the names of several objects begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPlace {
    /// The bucket or container, such as `s3://bucket`.
    bucket: String,
    /// Name in the bucket, without a slash at either end.
    key: String,
    /// Name of the store's settings; those of the environment when none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credentials: Option<Secret>,
}

/// The scheme of a location that is a URL.
pub(crate) fn scheme(location: &str) -> Option<&str> {
    let (scheme, _) = location.split_once("://")?;
    let first = scheme.chars().next()?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (first.is_ascii_alphabetic() && scheme.chars().all(named)).then_some(scheme)
}

impl Place {
    /// The place that a person names: a path, from `base` on where it is relative, or a URL of a
    /// local file (`file:///…`) or an object (`s3://`, `gs://`, `az://`, `abfs://`).
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn parse(
        location: &str,
        base: &Path,
        credentials: Option<&Secret>,
    ) -> Result<Self, String> {
        if location.trim().is_empty() {
            return Err("the location is empty".to_owned());
        }
        let Some(scheme) = scheme(location) else {
            return Ok(Self::Local(base.join(location)));
        };
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "file" => {
                let url = url::Url::parse(location).map_err(|e| format!("not a URL: {e}"))?;
                let path = url.to_file_path().map_err(|()| {
                    "not the URL of a local file (file:///path is expected)".to_owned()
                })?;
                Ok(Self::Local(path))
            }
            "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss" => {
                let rest = &location[scheme.len() + 3..];
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                let has_password = bucket.contains(':');
                if bucket.is_empty() || has_password {
                    return Err(format!("{scheme}://BUCKET/NAME is expected"));
                }
                let key = key.trim_matches('/');
                ObjectPath::parse(key).map_err(|e| format!("not the name of an object: {e}"))?;
                Ok(Self::Object(ObjectPlace {
                    bucket: format!("{scheme}://{bucket}"),
                    key: key.to_owned(),
                    credentials: credentials.cloned(),
                }))
            }
            _ => Err(format!(
                "locations of the scheme {scheme}:// are not known; a path or one of file, s3, gs, az, abfs is expected"
            )),
        }
    }

    /// What lies below it under this name, which may have several parts.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Local(path) => Self::Local(path.join(name)),
            Self::Object(object) => Self::Object(object.join(name)),
        }
    }

    /// The path on this machine's file system; none of an object.
    #[must_use]
    pub fn local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Object(_) => None,
        }
    }

    /// Makes a folder for the files that come; stores have none.
    pub(crate) fn make_folder(&self) -> io::Result<()> {
        match self {
            Self::Local(path) => std::fs::create_dir_all(path),
            Self::Object(_) => Ok(()),
        }
    }

    /// Writes a file that is there in full, through a power cut too, or not at all.
    pub(crate) fn write(&self, content: &[u8]) -> io::Result<()> {
        match self {
            Self::Local(path) => {
                let mut file = std::fs::File::create(path)?;
                io::Write::write_all(&mut file, content)?;
                file.sync_all()
            }
            Self::Object(object) => object.put(content.to_vec().into()),
        }
    }

    /// Begins a file that is not there yet.
    pub(crate) fn create(&self) -> io::Result<PlaceWriter> {
        PlaceWriter::create(self)
    }

    /// Begins a file that comes to its place, over one that is there, when it is whole. Folders that
    /// are missing on a file system are made.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn begin_whole(&self) -> io::Result<WholeFile> {
        let unfinished = match self {
            Self::Local(path) => {
                let folder = path.parent().unwrap_or(Path::new("."));
                std::fs::create_dir_all(folder)?;
                Self::from(folder)
            }
            Self::Object(_) => self.clone(),
        };
        WholeFile::create(self, &unfinished)
    }

    /// Removes the file, or the folder and everything below it; what is not there is removed already.
    ///
    /// # Errors
    /// When something stays.
    pub fn remove_all(&self) -> io::Result<()> {
        let absent = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        };
        match self {
            Self::Local(path) => match std::fs::symlink_metadata(path) {
                Ok(found) if found.is_dir() => std::fs::remove_dir_all(path).or_else(absent),
                Ok(_) => std::fs::remove_file(path).or_else(absent),
                Err(error) => absent(error),
            },
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

    /// Opens a file whose parts are read in any order.
    pub(crate) fn open(&self) -> io::Result<SeekableFile> {
        SeekableFile::at(self)
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::Local(path)
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::Local(path.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Self {
        Self::Local(path.clone())
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
            Self::Local(path) => path.display().fmt(to),
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
    pub(crate) fn join(&self, name: &str) -> Self {
        let key = match self.key.as_str() {
            "" => name.to_owned(),
            key => format!("{key}/{name}"),
        };
        Self {
            key,
            ..self.clone()
        }
    }

    /// Another object of the same bucket.
    pub(crate) fn sibling(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// Name in the bucket.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The name as the store's client takes it.
    pub(crate) fn path(&self) -> ObjectPath {
        ObjectPath::parse(&self.key).unwrap_or_else(|_| ObjectPath::from(self.key.as_str()))
    }

    pub(super) fn store(&self) -> io::Result<Arc<dyn ObjectStore>> {
        client(&self.bucket, self.credentials.as_ref())
    }

    /// Runs a request about the object.
    pub(crate) fn request<T, F>(
        &self,
        request: impl FnOnce(Arc<dyn ObjectStore>, ObjectPath) -> F,
    ) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        wait(request(self.store()?, self.path()))
    }

    /// Begins work about the object that goes on by itself.
    pub(crate) fn spawn<F>(
        &self,
        work: impl FnOnce(Arc<dyn ObjectStore>, ObjectPath) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        requests()?.spawn(work(self.store()?, self.path()));
        Ok(())
    }

    /// Size and version of the object.
    pub(crate) fn head(&self) -> io::Result<ObjectMeta> {
        self.request(|store, path| async move { store.head(&path).await })
    }

    /// The whole object.
    pub(crate) fn get(&self) -> io::Result<Bytes> {
        self.request(|store, path| async move { store.get(&path).await?.bytes().await })
    }

    pub(crate) fn put(&self, content: Bytes) -> io::Result<()> {
        self.request(|store, path| async move {
            store.put(&path, content.into()).await?;
            Ok(())
        })
    }

    /// The first parts of the names below this one.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let prefix = (!self.key.is_empty()).then(|| self.path());
        let store = self.store()?;
        let found = wait(async move { store.list_with_delimiter(prefix.as_ref()).await })?;
        let objects = found.objects.into_iter().map(|object| object.location);
        let paths = found.common_prefixes.into_iter().chain(objects);
        Ok(paths
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect())
    }

    /// The objects whose names begin with this one and a slash, in the order of their names.
    pub(crate) fn list(&self) -> io::Result<Vec<ObjectMeta>> {
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

    /// Names of places are read as they are meant, shown as they were written, and travel.
    #[test]
    fn names() {
        let base = Path::new("/base");
        for (text, shown) in [
            ("a/b.csv", "/base/a/b.csv"),
            ("/x", "/x"),
            ("file:///x%20y", "/x y"),
            ("s3://bucket/a b/c.csv", "s3://bucket/a b/c.csv"),
            ("S3://bucket/a/", "s3://bucket/a"),
            ("gs://b", "gs://b/"),
            (
                "abfss://c@account.dfs.core.windows.net/x",
                "abfss://c@account.dfs.core.windows.net/x",
            ),
            ("odd://name", "/base/odd://name"),
        ] {
            let place = Place::parse(text, base, None);
            if text.starts_with("odd") {
                assert!(place.is_err());
                continue;
            }
            let place = place.unwrap();
            assert_eq!(place.to_string(), shown);
            let json = serde_json::to_string(&place).unwrap();
            assert_eq!(serde_json::from_str::<Place>(&json).unwrap(), place);
        }
        for text in [
            "",
            "s3://",
            "s3:///x",
            "s3://user:key@b/x",
            "s3://b/a//b",
            "s3://b/../x",
        ] {
            assert!(Place::parse(text, base, None).is_err(), "{text}");
        }
        let place = Place::parse("s3://b/x", base, None).unwrap().join("data/p");
        assert_eq!(place.to_string(), "s3://b/x/data/p");
    }
}
