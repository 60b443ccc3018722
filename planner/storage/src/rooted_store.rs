//! Files beneath a root for the engine's own readers: a read-only object store per root.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use url::Url;

use super::local::{FileKind, LocalPath};
use super::place::Place;

/// Scheme of the URLs of these stores. No location that a user names has it.
const SCHEME: &str = "rooted";

/// Returns the URL under which the engine reads a file beneath a root; `None` for any other place.
pub fn rooted_url(place: &Place) -> Option<Url> {
    let path = place.local_path()?;
    let root = path.root()?.to_str()?;
    let mut host = String::with_capacity(root.len() * 2);
    for byte in root.bytes() {
        host.push(char::from_digit(u32::from(byte >> 4), 16)?);
        host.push(char::from_digit(u32::from(byte & 15), 16)?);
    }
    let mut url = Url::parse(&format!("{SCHEME}://{host}/")).ok()?;
    let mut segments = url.path_segments_mut().ok()?;
    segments.clear();
    for part in path.name() {
        segments.push(part.to_str()?);
    }
    drop(segments);
    // A store's names hold no control characters.
    ObjectPath::from_url_path(url.path()).is_ok().then_some(url)
}

/// Returns the root that a URL names.
fn root_of(url: &Url) -> Option<PathBuf> {
    let host = url.host_str()?;
    let digits = |at: usize| u8::from_str_radix(host.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..host.len()).step_by(2).map(digits).collect();
    Some(PathBuf::from(String::from_utf8(bytes?).ok()?))
}

/// The object stores of a session: those of DataFusion, and one per root.
#[derive(Debug)]
pub struct RootedStores(Arc<dyn ObjectStoreRegistry>);

impl RootedStores {
    /// Adds the stores of roots to those of another registry.
    pub fn over(others: Arc<dyn ObjectStoreRegistry>) -> Self {
        Self(others)
    }
}

impl Default for RootedStores {
    fn default() -> Self {
        Self(Arc::new(DefaultObjectStoreRegistry::new()))
    }
}

impl ObjectStoreRegistry for RootedStores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        self.0.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> EngineResult<Arc<dyn ObjectStore>> {
        self.0.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> EngineResult<Arc<dyn ObjectStore>> {
        if url.scheme() != SCHEME {
            return self.0.get_store(url);
        }
        let root = root_of(url);
        let root =
            root.ok_or_else(|| DataFusionError::Internal("the URL names no root folder".into()))?;
        Ok(Arc::new(RootedStore(root)))
    }
}

/// Read-only access to the files beneath a root.
struct RootedStore(PathBuf);

impl fmt::Debug for RootedStore {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_name(to)
    }
}

impl fmt::Display for RootedStore {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_name(to)
    }
}

impl RootedStore {
    /// Appears in plans, so it does not name the root.
    fn fmt_name(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("RootedStore")
    }

    fn path(&self, location: &ObjectPath) -> Result<LocalPath> {
        let name: PathBuf = location
            .parts()
            .map(|part| part.as_ref().to_owned())
            .collect();
        LocalPath::beneath(&self.0, Path::new(&name)).map_err(|error| failed(location, error))
    }
}

fn failed(location: &ObjectPath, source: std::io::Error) -> Error {
    let path = location.to_string();
    match source.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound {
            path,
            source: source.into(),
        },
        _ => Error::PermissionDenied {
            path,
            source: source.into(),
        },
    }
}

fn read_only<T>(operation: &str) -> Result<T> {
    Err(Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "RootedStore".to_owned(),
    })
}

fn facts(path: &LocalPath, location: &ObjectPath) -> Result<ObjectMeta> {
    let found = path.facts().map_err(|error| failed(location, error))?;
    if found.kind != FileKind::File {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, "not a regular file");
        return Err(failed(location, error));
    }
    Ok(ObjectMeta {
        location: location.clone(),
        last_modified: found.modified.map(Into::into).unwrap_or_default(),
        size: found.bytes,
        e_tag: None,
        version: None,
    })
}

#[async_trait]
impl ObjectStore for RootedStore {
    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        let path = self.path(location)?;
        let location = location.clone();
        let opening = tokio::task::spawn_blocking(move || {
            let meta = facts(&path, &location)?;
            options.check_preconditions(&meta)?;
            let range = match options.range {
                Some(range) => range.as_range(meta.size).map_err(|error| Error::Generic {
                    store: "RootedStore",
                    source: error.into(),
                })?,
                None => 0..meta.size,
            };
            let file = path.open().map_err(|error| failed(&location, error))?;
            Ok(GetResult {
                payload: GetResultPayload::File(file, path.name().to_owned()),
                attributes: Default::default(),
                range,
                meta,
            })
        });
        opening
            .await
            .map_err(|error| Error::JoinError { source: error })?
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        // The engine lists a place to find out whether it is a file.
        let found = match prefix {
            Some(prefix) => self.path(prefix).and_then(|path| facts(&path, prefix)),
            None => read_only("list"),
        };
        futures::stream::iter([found]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&ObjectPath>) -> Result<ListResult> {
        read_only("list")
    }

    async fn put_opts(&self, _: &ObjectPath, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        read_only("put")
    }

    async fn put_multipart_opts(
        &self,
        _: &ObjectPath,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        read_only("put")
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        futures::stream::iter([read_only("delete")]).boxed()
    }

    async fn copy_opts(&self, _: &ObjectPath, _: &ObjectPath, _: CopyOptions) -> Result<()> {
        read_only("copy")
    }
}
