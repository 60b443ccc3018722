//! Checkpoints of the service: written when they are due, and read to verify.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use tracing::{error, warn};
use uuid::Uuid;

use super::checkpoint::Checkpoint;
use super::key::{AuditKey, AuditPublicKey};
use crate::metadata::{
    AuditHead, ChainProblem, DueCheckpoint, MetadataError, MetadataStore, Result,
};
use crate::storage::{Store, blocking};

/// Folder of checkpoints in the store, beside the outputs.
const FOLDER: &str = "audit";

/// Checkpoints that are read at the same time.
const AT_ONCE: usize = 16;

/// Checkpoints of the service.
#[derive(Debug, Clone)]
pub(crate) struct AuditTrail {
    metadata: MetadataStore,
    store: Store,
    /// None where nobody gave the service a key: nothing is signed then.
    key: Option<Arc<AuditKey>>,
    trusted: Vec<AuditPublicKey>,
}

/// What was found out about a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verification {
    /// The end of the chain.
    pub(crate) head: AuditHead,
    /// The first thing that is wrong.
    pub(crate) problem: Option<ChainProblem>,
    /// Checkpoints that were checked.
    pub(crate) checkpoints: usize,
    /// The number of the last record that a checkpoint vouches for.
    pub(crate) signed_up_to: i64,
}

impl AuditTrail {
    /// A trail that signs with `key` and trusts this key and those of `trusted`.
    pub(crate) fn new(
        metadata: MetadataStore,
        store: Store,
        key: Option<AuditKey>,
        mut trusted: Vec<AuditPublicKey>,
    ) -> Self {
        trusted.extend(key.as_ref().map(AuditKey::public));
        Self {
            metadata,
            store,
            key: key.map(Arc::new),
            trusted,
        }
    }

    /// Puts the public key beside the outputs, for whoever verifies without the service.
    pub(crate) async fn publish_key(&self) -> std::io::Result<()> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let public = key.public();
        let place = self
            .store
            .place(&format!("{FOLDER}/keys/{}.pem", public.id()));
        let text = public.to_pem().unwrap_or_default();
        blocking(move || place.write_once(text.as_bytes()).map(drop)).await
    }

    /// Signs the ends of the chains that wait for it: those behind a publication, or `all` that have grown. One that
    /// does not go on from its last checkpoint is not signed. What fails is tried again by the next call.
    pub(crate) async fn write_due(&self, all: bool) -> Result<()> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        for due in self.metadata.due_checkpoints(all).await? {
            if let Err(problem) = self.write(key, &due).await {
                warn!(tenant = due.tenant, error = %problem, "failed to write an audit checkpoint");
            }
        }
        Ok(())
    }

    async fn write(&self, key: &AuditKey, due: &DueCheckpoint) -> Result<()> {
        if let Some(last) = &due.last {
            let hash = self.metadata.audit_hash(due.tenant_id, last.seq).await?;
            if hash.as_ref() != Some(&last.hash) {
                error!(
                    tenant = due.tenant,
                    seq = last.seq,
                    "the audit log no longer holds the record of its last checkpoint; nothing is signed"
                );
                return Ok(());
            }
        }
        let now = chrono::Utc::now();
        let checkpoint = Checkpoint::sign(key, (due.tenant_id, &due.tenant), &due.head, now)?;
        let place = self.folder(due.tenant_id).join(&checkpoint.name());
        let content = serde_json::to_vec_pretty(&checkpoint)?;
        let written = blocking(move || place.write_once(&content)).await;
        written.map_err(|error| MetadataError::Unavailable(format!("the store: {error}")))?;
        self.metadata
            .checkpoint_written(due.tenant_id, &due.head)
            .await
    }

    fn folder(&self, tenant: Uuid) -> planner::storage::Place {
        self.store.place(&format!("{FOLDER}/{tenant}"))
    }

    /// Recomputes a tenant's chain and looks for each end that was signed, or `seen` by somebody.
    pub(crate) async fn verify(
        &self,
        tenant: Uuid,
        seen: Option<&AuditHead>,
    ) -> Result<Verification> {
        // Before the chain is read: a checkpoint that comes meanwhile is of records that are there.
        let last = self.metadata.last_checkpoint(tenant).await?;
        let (heads, forged) = self.signed(tenant).await?;
        let known = heads.iter().chain(seen).chain(&last);
        let (head, problem) = self.metadata.verify_audit(tenant, known).await?;
        let missing = last.filter(|last| self.key.is_some() && !heads.contains(last));
        let missing = missing.map(|last| ChainProblem {
            seq: last.seq,
            problem: "the checkpoint of this record is gone from the store".to_owned(),
        });
        Ok(Verification {
            head,
            problem: problem.or(forged).or(missing),
            checkpoints: heads.len(),
            signed_up_to: heads.iter().map(|head| head.seq).max().unwrap_or(0),
        })
    }

    /// The keys beside the outputs: those of other processes of the service, each of which may have made its own. Whoever
    /// can write to the store can add one, which is why a copy of the keys and of the checkpoints is kept elsewhere.
    async fn published_keys(&self) -> std::io::Result<Vec<AuditPublicKey>> {
        let folder = self.store.place(&format!("{FOLDER}/keys"));
        let names = blocking(move || folder.names()).await?;
        let mut keys = Vec::new();
        for name in names.into_iter().filter(|name| name.ends_with(".pem")) {
            let text = self.store.load(&format!("{FOLDER}/keys/{name}")).await?;
            match AuditPublicKey::from_pem(&name, &String::from_utf8_lossy(&text)) {
                Ok(key) => keys.push(key),
                Err(error) => warn!(%error, "a public key beside the outputs cannot be read"),
            }
        }
        Ok(keys)
    }

    /// The ends that checkpoints of a tenant vouch for, and the first checkpoint that is none.
    async fn signed(&self, tenant: Uuid) -> Result<(Vec<AuditHead>, Option<ChainProblem>)> {
        let failed =
            |error: std::io::Error| MetadataError::Unavailable(format!("the store: {error}"));
        let folder = self.folder(tenant);
        let names = blocking(move || folder.names()).await.map_err(failed)?;
        let names = names.into_iter().filter(|name| name.ends_with(".json"));
        let loaded = futures::stream::iter(names).map(|name| async move {
            let content = self
                .store
                .load(&format!("{FOLDER}/{tenant}/{name}"))
                .await?;
            std::io::Result::Ok((name, content))
        });
        let loaded: Vec<(String, Vec<u8>)> = loaded
            .buffered(AT_ONCE)
            .try_collect()
            .await
            .map_err(failed)?;
        let mut trusted = self.trusted.clone();
        trusted.extend(self.published_keys().await.map_err(failed)?);
        let (mut heads, mut forged) = (Vec::new(), None);
        for (name, content) in loaded {
            match super::log::check(&content, Some(tenant), &trusted) {
                Ok(checkpoint) => heads.push(checkpoint.head()),
                Err(problem) if forged.is_none() => {
                    let seq = name.split('-').next().and_then(|seq| seq.parse().ok());
                    let seq = seq.unwrap_or(0);
                    let problem = format!("{name}: {problem}");
                    forged = Some(ChainProblem { seq, problem });
                }
                Err(_) => {}
            }
        }
        Ok((heads, forged))
    }
}
