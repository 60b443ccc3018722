//! The right to write to a place of an object store, held by one process at a time.
//!
//! The holder puts an object there and puts it anew every few seconds, each time on condition that it
//! is still its own. Who finds the object unchanged for some time may take it over. Clocks are not
//! compared.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutResult, UpdateVersion};
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::storage::ObjectPlace;

/// Heartbeat interval.
const RENEWAL: Duration = Duration::from_secs(5);

/// Silence after which a holder is taken to be dead: several signs of life.
const SILENCE: Duration = Duration::from_secs(20);

/// Poll interval of another process's lease.
const LOOK: Duration = Duration::from_millis(500);

/// The right to write below a place.
#[derive(Debug)]
pub(super) struct Lease {
    root: ObjectPlace,
    object: ObjectPlace,
    lost: Arc<AtomicBool>,
    // Dropped to stop the renewal.
    stop: Option<oneshot::Sender<()>>,
    // Its other end goes with the renewal.
    stopped: mpsc::Receiver<()>,
}

/// Puts the lease's object, if it is still that of `version`; gives its new version.
fn put(object: &ObjectPlace, mode: PutMode, content: String) -> io::Result<PutResult> {
    object.request(|store, path| async move {
        let options = PutOptions::from(mode);
        store.put_opts(&path, content.into(), options).await
    })
}

fn version(result: PutResult) -> UpdateVersion {
    UpdateVersion {
        e_tag: result.e_tag,
        version: result.version,
    }
}

/// The version of a lease that is still its owner's.
async fn own_version(
    store: &dyn ObjectStore,
    path: &ObjectPath,
    owner: &str,
) -> Option<UpdateVersion> {
    let found = store.get(path).await.ok()?;
    let version = UpdateVersion {
        e_tag: found.meta.e_tag.clone(),
        version: found.meta.version.clone(),
    };
    let content = found.bytes().await.ok()?;
    content.starts_with(owner.as_bytes()).then_some(version)
}

impl Lease {
    /// Takes the lease `object` on the place `root`; waits for a holder that may be dead.
    pub(super) fn take(root: &ObjectPlace, object: &ObjectPlace) -> Result<Self> {
        let owner = uuid::Uuid::now_v7().simple().to_string();
        let failed = |error| Error::io(object, error);
        let mut seen: Option<(UpdateVersion, Instant)> = None;
        let held = loop {
            let mode = match &seen {
                Some((version, since)) if since.elapsed() >= SILENCE => {
                    PutMode::Update(version.clone())
                }
                _ => PutMode::Create,
            };
            match put(object, mode, format!("{owner} 0")) {
                Ok(result) => break version(result),
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(failed(error)),
            }
            let found = match object.head() {
                Ok(found) => UpdateVersion {
                    e_tag: found.e_tag,
                    version: found.version,
                },
                // Its holder has just ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            match &seen {
                None => {
                    tracing::warn!(lease = %object, "waiting to see whether another job is alive");
                    seen = Some((found, Instant::now()));
                }
                Some((version, _))
                    if version.e_tag == found.e_tag && version.version == found.version => {}
                Some(_) => {
                    return Err(Error::Output {
                        path: root.to_string().into(),
                        problem: "another job is writing to this place".to_owned(),
                    });
                }
            }
            std::thread::sleep(LOOK);
        };
        Self::hold(root, object, owner, held)
    }

    /// Renews the lease until it is ended or lost.
    fn hold(
        root: &ObjectPlace,
        object: &ObjectPlace,
        owner: String,
        mut held: UpdateVersion,
    ) -> Result<Self> {
        let lost = Arc::new(AtomicBool::new(false));
        let (stop, mut stopping) = oneshot::channel::<()>();
        let (renewal, stopped) = mpsc::channel::<()>();
        let (told, place) = (Arc::clone(&lost), object.clone());
        let renewing = object.spawn(|store, path| async move {
            let _renewal = renewal;
            for count in 1_u64.. {
                tokio::select! {
                    _ = &mut stopping => return,
                    () = tokio::time::sleep(RENEWAL) => {}
                }
                let options = PutOptions::from(PutMode::Update(held.clone()));
                let content = format!("{owner} {count}");
                match store.put_opts(&path, content.into(), options).await {
                    Ok(result) => held = version(result),
                    Err(
                        object_store::Error::Precondition { .. }
                        | object_store::Error::NotFound { .. },
                    ) => {
                        // The answer to an earlier renewal may have been lost.
                        if let Some(version) = own_version(&*store, &path, &owner).await {
                            held = version;
                            continue;
                        }
                        tracing::error!(lease = %place, "another job has taken the place over");
                        told.store(true, Ordering::Relaxed);
                        return;
                    }
                    // It is tried again; another job may find the lease silent meanwhile.
                    Err(error) => tracing::warn!(lease = %place, %error, "not renewed"),
                }
            }
        });
        renewing.map_err(|error| Error::io(object, error))?;
        Ok(Self {
            root: root.clone(),
            object: object.clone(),
            lost,
            stop: Some(stop),
            stopped,
        })
    }

    /// Fails once another job has taken the place over.
    pub(super) fn check(&self) -> Result<()> {
        if !self.lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Error::Output {
            path: self.root.to_string().into(),
            problem: "another job has taken this place over: this one was silent for too long"
                .to_owned(),
        })
    }

    /// Name of the lease's object.
    pub(super) fn key(&self) -> &str {
        self.object.key()
    }
}

impl Drop for Lease {
    /// Gives the place back.
    fn drop(&mut self) {
        // Without its sender the renewal ends, and after that its own.
        self.stop = None;
        let _ = self.stopped.recv_timeout(RENEWAL);
        if self.check().is_ok() {
            // A lease that stays is found silent.
            let _ = self
                .object
                .request(|store, path| async move { store.delete(&path).await });
        }
    }
}

/// Whether a put was refused because the object is there, or is another one.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::StaleNetworkFileHandle
    )
}
