//! From the stored spec of a job that was claimed to the run of it: names of the service's own become places, secrets
//! become those of the tenant, and limits become those of the process.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryPool;
use planner::run::{Admission, JobRun};
use planner::spec::{ByteSize, JobSpec, Partitions, Secret};
use planner::storage::LocationPolicy;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::secrets::derive;
use super::spec::SourceLocations;
use super::stored_reference::{StoredReference, earlier_outputs, find_version};
use super::worker_options::WorkerOptions;
use crate::metadata::{Fence, Job, MetadataError, MetadataStore, Upload};
use crate::storage::Store;
use crate::vault::Owner;

/// The name under which a spec has the place of its output.
const OUTPUT: &str = "service:output";

/// What runs are prepared with.
pub(super) struct Preparation {
    pub(super) metadata: MetadataStore,
    pub(super) store: Store,
    /// What jobs may read from.
    pub(super) sources: SourceLocations,
    /// The key under which new tokens are sealed.
    pub(super) token_key: Secret,
    pub(super) options: WorkerOptions,
    pub(super) memory: Arc<dyn MemoryPool>,
}

/// A job that was claimed.
pub(super) struct Claimed<'a> {
    pub(super) job: &'a Job,
    pub(super) fence: Fence,
    /// Name of the attempt's output in the store.
    pub(super) output: &'a str,
}

impl Preparation {
    /// Returns the run of a job, and whose it is.
    ///
    /// # Errors
    /// When the spec cannot be read, names what is not there any more, or the metadata store does not answer.
    pub(super) async fn prepare(self, claimed: Claimed<'_>) -> planner::Result<(JobRun, Owner)> {
        let Claimed { job, fence, output } = claimed;
        let spec = JobSpec::from_value(job.spec.clone(), "spec")?;
        let owner = owner(&self.metadata, job.tenant_id).await?;
        let locations = self.sources.of(&owner.name);
        let locations = locations.map_err(|error| planner::Error::Remote {
            kind: planner::ErrorKind::Invalid,
            message: format!("source.location: {error}"),
        })?;
        let named = resolve(
            &self.metadata,
            &self.store,
            job.tenant_id,
            (spec, locations),
        )
        .await?;
        let (mut spec, locations) = named;
        derive(&mut spec, &owner.name, &self.token_key);
        spec.output.location = OUTPUT.to_owned();
        spec.options.job_id = Some(job.id.to_string());
        let limit = spec.options.memory_limit.0.min(self.options.memory_limit);
        spec.options.memory_limit = ByteSize(limit);
        if matches!(spec.options.partitions, Partitions::Auto) {
            spec.options.partitions = Partitions::Count(self.options.threads);
        }
        let mut run = JobRun::new(spec, PathBuf::from("/"));
        run.locations = locations.with_name(OUTPUT, self.store.place(output));
        run.cluster = self.options.cluster.map(Into::into);
        run.memory = Some(self.memory);
        run.checkpoint = Some(self.store.place(&checkpoint_of(output)));
        run.admission = Some(admission(self.metadata, fence));
        Ok((run, owner))
    }
}

/// Where a job keeps what it learns, beside the outputs of its attempts.
pub(super) fn checkpoint_of(output: &str) -> String {
    let job = output.rsplit_once('/').map_or(output, |(job, _)| job);
    format!("{job}/checkpoint")
}

/// Reserves the rows of a source once they are counted, on the runtime of the service: that of jobs may have no thread
/// left for a connection to the database.
fn admission(metadata: MetadataStore, fence: Fence) -> Admission {
    let service = Handle::current();
    Admission::new(move |rows| {
        let (metadata, fence) = (metadata.clone(), fence.clone());
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let reserving = service.spawn(async move { metadata.reserve(&fence, rows).await });
        Box::pin(async move {
            let reserved = reserving.await;
            let reserved = reserved.map_err(|_| planner::Error::Bug("a reservation panicked"))?;
            reserved.map_err(|error| planner::Error::Remote {
                kind: match &error {
                    MetadataError::QuotaSpent { .. } => planner::ErrorKind::Refused,
                    error if error.is_transient() => planner::ErrorKind::Unavailable,
                    _ => planner::ErrorKind::Bug,
                },
                message: error.to_string(),
            })
        })
    })
}

/// The tenant of a job, by the name that its keys are derived with.
async fn owner(metadata: &MetadataStore, id: Uuid) -> planner::Result<Owner> {
    let tenant = metadata.find_tenant(&id.to_string()).await;
    let tenant = tenant.map_err(|error| planner::Error::Remote {
        kind: planner::ErrorKind::Unavailable,
        message: error.to_string(),
    })?;
    let tenant = tenant.ok_or(planner::Error::Bug("a job of no tenant"))?;
    Ok(Owner {
        id: tenant.id,
        name: tenant.name,
    })
}

/// Resolves the names that the service has given, of uploads and of versions of datasets, to places.
async fn resolve(
    metadata: &MetadataStore,
    store: &Store,
    tenant: Uuid,
    (mut spec, mut locations): (JobSpec, LocationPolicy),
) -> planner::Result<(JobSpec, LocationPolicy)> {
    let unavailable = |error: MetadataError| planner::Error::Remote {
        kind: match error.is_transient() {
            true => planner::ErrorKind::Unavailable,
            false => planner::ErrorKind::Bug,
        },
        message: error.to_string(),
    };
    let missing = |message: String| planner::Error::Remote {
        kind: planner::ErrorKind::NotFound,
        message,
    };
    for location in &spec.source.location.0 {
        if let Some(id) = StoredReference::upload(location) {
            let upload: Option<Upload> = metadata.upload(tenant, id).await.map_err(unavailable)?;
            let upload = upload
                .filter(|upload| upload.completed_at.is_some())
                .ok_or_else(|| missing(format!("there is no complete upload {id}")))?;
            locations = locations.with_name(location, store.place(&upload.location));
            let shown = (location.clone(), upload.name.clone());
            spec.source.shown_as.push(shown);
        }
    }
    for (_, against) in earlier_outputs(&mut spec) {
        let named = || missing(format!("there is no version {against}"));
        let reference = StoredReference::dataset(against).ok_or_else(named)?;
        let found = find_version(metadata, tenant, reference).await;
        let (dataset, version) = found.map_err(unavailable)?.ok_or_else(named)?;
        let found = metadata
            .lineage(tenant, dataset.id, version)
            .await
            .map_err(unavailable)?
            .ok_or_else(named)?;
        let pinned = StoredReference::Dataset {
            name: reference.0,
            version: Some(version),
        };
        let pinned = pinned.to_string();
        locations = locations.with_name(&pinned, store.place(&found.version.location));
        *against = pinned;
    }
    Ok((spec, locations))
}
