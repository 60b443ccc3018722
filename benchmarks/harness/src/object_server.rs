//! An S3 server on this machine, whose objects are files of a temporary folder.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder as ConnectionBuilder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The one bucket of an [`ObjectServer`].
pub const BUCKET: &str = "lake";

/// Keys that the server takes.
const ACCESS_KEY: &str = "access-key-of-tests";
const SECRET_KEY: &str = "secret-key-of-tests";

/// An S3 server with one bucket. It ends when it is dropped.
pub struct ObjectServer {
    address: SocketAddr,
    folder: TempDir,
    // Its tasks end with it.
    _runtime: Runtime,
}

impl ObjectServer {
    /// Starts a server on a free port of the loopback interface.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join(BUCKET))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let files = FileSystem::new(folder.path())
            .ok()
            .context("the folder of the objects cannot be served")?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            let connections = ConnectionBuilder::new(TokioExecutor::new());
            while let Ok((socket, _)) = listener.accept().await {
                let served = connections.serve_connection(TokioIo::new(socket), service.clone());
                let served = served.into_owned();
                tokio::spawn(async move {
                    // A client that goes away is no concern of the server.
                    let _ = served.await;
                });
            }
        });
        Ok(Self {
            address,
            folder,
            _runtime: runtime,
        })
    }

    /// URL of an object, or of those whose names begin so.
    pub fn url(&self, key: &str) -> String {
        format!("s3://{BUCKET}/{key}")
    }

    /// The file that an object lies in.
    pub fn file(&self, key: &str) -> PathBuf {
        self.bucket().join(key)
    }

    /// The folder that the bucket lies in.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// Puts a copy of a file into the bucket.
    pub fn add(&self, key: &str, file: &Path) -> Result<()> {
        let target = self.file(key);
        std::fs::create_dir_all(target.parent().context("no folder")?)?;
        std::fs::copy(file, target)?;
        Ok(())
    }

    /// The environment of a process that may read and write the bucket.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// What must be in no log, plan or output.
    pub fn secret(&self) -> &'static str {
        SECRET_KEY
    }
}
