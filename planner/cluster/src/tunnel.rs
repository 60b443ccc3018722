//! A way for clients of Ballista that take an endpoint and no connector, and that last: each member that they talk to is
//! behind a Unix socket of this process, from which every connection goes on with TLS and the certificates of its moment.
//!
//! The sockets lie in a folder that only this process's user may enter. Whoever else runs as that user can read the
//! member's key as well.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::Endpoint;

use super::MemberTls;
use super::network::{connect_member, target};

/// Time for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keep-alive interval of a connection.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Time after which the socket of a member that nobody talks to goes.
const IDLE: Duration = Duration::from_secs(3600);

/// The sockets of a process, one for each member that it talks to.
#[derive(Clone)]
pub struct Tunnel(Arc<Sockets>);

struct Sockets {
    tls: MemberTls,
    folder: TempDir,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    made: u64,
    paths: HashMap<(String, u16), PathBuf>,
}

impl Tunnel {
    /// Makes the folder of the sockets.
    ///
    /// # Errors
    ///
    /// Fails when no folder can be made in the folder for temporary files.
    pub fn new(tls: MemberTls) -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new()
            .prefix("members-")
            .permissions(private)
            .tempdir()?;
        Ok(Self(Arc::new(Sockets {
            tls,
            folder,
            known: Mutex::default(),
        })))
    }

    /// Returns what Ballista does with an endpoint before it connects: it connects to the socket of the member instead.
    pub fn endpoints(&self) -> EndpointOverrideFn {
        let tunnel = self.clone();
        Arc::new(move |endpoint| {
            let (host, port) = target(endpoint.uri())?;
            let path = tunnel.socket(host, port)?;
            let endpoint = Endpoint::from_shared(format!("unix:{}", path.display()))?
                .connect_timeout(PATIENCE)
                .timeout(PATIENCE)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(PATIENCE)
                .keep_alive_while_idle(true);
            Ok(endpoint)
        })
    }

    /// Returns the socket of a member, and makes it where there is none.
    fn socket(&self, host: String, port: u16) -> io::Result<PathBuf> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let member = (host, port);
        if let Some(path) = known.paths.get(&member) {
            return Ok(path.clone());
        }
        known.made += 1;
        let path = self.0.folder.path().join(known.made.to_string());
        let listener = UnixListener::bind(&path)?;
        known.paths.insert(member.clone(), path.clone());
        tokio::spawn(serve(self.clone(), listener, member, path.clone()));
        Ok(path)
    }

    /// Forgets a member that nobody has talked to for long. Whoever asks for it again gets a new socket.
    fn forget(&self, member: &(String, u16), path: &PathBuf) {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.paths.remove(member);
        // What is left goes with the folder.
        let _ = std::fs::remove_file(path);
    }
}

/// Passes on the connections to one member, until there are none for long.
async fn serve(tunnel: Tunnel, listener: UnixListener, member: (String, u16), path: PathBuf) {
    let open = Arc::new(());
    loop {
        match tokio::time::timeout(IDLE, listener.accept()).await {
            Ok(Ok((stream, _))) => {
                let (tls, member) = (tunnel.0.tls.clone(), member.clone());
                let open = Arc::clone(&open);
                tokio::spawn(async move {
                    let _open = open;
                    pass_on(stream, tls, member).await;
                });
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "failed to accept a connection to another member");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(_) if Arc::strong_count(&open) == 1 => {
                tunnel.forget(&member, &path);
                return;
            }
            Err(_) => {}
        }
    }
}

async fn pass_on(mut near: UnixStream, tls: MemberTls, (host, port): (String, u16)) {
    match connect_member(&host, port, Some(&tls)).await {
        Ok(mut far) => {
            // Both ends see how the other one ended.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        }
        Err(error) => {
            tracing::warn!(%host, port, %error, "failed to connect to a member of the cluster");
        }
    }
}
