//! The client of a cluster: hands it a plan, waits, and fetches what the executors have kept.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::config::{
    BALLISTA_ADAPTIVE_PLANNER_ENABLED, BALLISTA_JOB_NAME,
    BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, BALLISTA_SHUFFLE_COMPRESSION_CODEC,
};
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Submitted;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::operator_metric::Metric;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, GetJobMetricsParams, GetJobStatusParams, KeyValuePair,
    PartitionLocation,
};
use ballista_core::version::insert_version_header;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::{Stream, StreamExt, TryStreamExt};
use hashbrown::HashSet;
use prost::Message;
use tokio::runtime::Handle;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use super::network::connect_channel;
use super::progress::StageWatch;
use super::{ClusterAddress, MemberTls, SanitizerCodec};
use crate::failure::cluster_failure;
use planner_engine::run::{Executors, Progress, SplitPlan};
use planner_engine::{Error, Result};
use planner_telemetry::{TraceOptions, traceparent};

/// Bytes of the longest message between the members of a cluster: the log of a split for one
/// operation is one value of a column.
pub const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Time between two questions for the state of a job.
const POLL: Duration = Duration::from_millis(50);

/// Time to connect, and for which a scheduler may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Parts of the results that are fetched at the same time.
const FETCHES: usize = 4;

/// How often what got lost with an executor is computed again.
const ROUNDS: usize = 4;

/// Name of the column that tells which split a row is about.
const SPLIT: &str = "split";

/// A connection to the scheduler of a cluster.
pub struct Cluster {
    address: ClusterAddress,
    scheduler: SchedulerGrpcClient<Channel>,
    codec: Arc<dyn PhysicalExtensionCodec>,
}

impl Cluster {
    /// Connects to the scheduler.
    pub async fn connect(address: &ClusterAddress) -> Result<Self> {
        let endpoint = Endpoint::from_shared(address.endpoint())
            .map_err(|error| unreachable(address, &error))?
            .connect_timeout(PATIENCE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PATIENCE)
            .keep_alive_timeout(PATIENCE)
            .keep_alive_while_idle(true);
        let channel = connect_channel(endpoint, address.tls().cloned())
            .await
            .map_err(|error| unreachable(address, &error))?;
        let scheduler = SchedulerGrpcClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self {
            address: address.clone(),
            scheduler,
            codec: Arc::new(SanitizerCodec::default()),
        })
    }

    /// Has a plan executed and gives its rows, partition by partition in their order. The executors
    /// keep them until they are read, and for some minutes; what gets lost with an executor is an
    /// error.
    pub async fn query(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        progress: Arc<Progress>,
    ) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
        let results = self
            .execute(plan, (&progress, |_| ()), &mut |_, _| ())
            .await?;
        let tls = self.address.tls().cloned();
        let parts = futures::stream::iter(results);
        let parts = parts.map(move |location| open_part(location, tls.clone()));
        let batches = parts.buffered(FETCHES).try_flatten();
        Ok(batches.map(move |batch| {
            progress.check()?;
            batch
        }))
    }

    /// Has a plan executed; gives the places of its results.
    async fn execute(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        (progress, advance): (&Progress, impl Fn(usize)),
        measured: &mut (impl FnMut(&str, u64) + Send + ?Sized),
    ) -> Result<Vec<PartitionLocation>> {
        let name = plan.name().to_owned();
        let node = PhysicalPlanNode::try_from_physical_plan(plan, self.codec.as_ref())?;
        let setting = |key: &str, value: &str| KeyValuePair {
            key: key.to_owned(),
            value: Some(value.to_owned()),
        };
        let parent = traceparent().unwrap_or_default();
        let mut request = Request::new(ExecuteQueryParams {
            session_id: Uuid::now_v7().to_string(),
            settings: vec![
                setting(TraceOptions::PARENT, &parent),
                setting(BALLISTA_JOB_NAME, &name),
                // The adaptive planner has given wrong results, and there is nothing to adapt.
                setting(BALLISTA_ADAPTIVE_PLANNER_ENABLED, "false"),
                // A task of several splits frees its slots when the last of them is done.
                setting(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, "1"),
                // Hashes do not shrink; trying takes longer than sending them.
                setting(BALLISTA_SHUFFLE_COMPRESSION_CODEC, "none"),
            ],
            operation_id: Uuid::now_v7().to_string(),
            query: Some(Query::PhysicalPlan(node.encode_to_vec())),
        });
        insert_version_header(request.metadata_mut());
        let mut scheduler = self.scheduler.clone();
        let answer = scheduler
            .execute_query(request)
            .await
            .map_err(|status| unreachable(&self.address, &status))?;
        let job = match answer.into_inner().result {
            Some(Submitted::Success(success)) => success.job_id,
            Some(Submitted::Failure(failure)) => {
                return Err(cluster_failure(&format!("{failure:?}")));
            }
            None => return Err(cluster_failure("the scheduler did not answer")),
        };
        let unfinished = Unfinished {
            scheduler,
            job: Some(job.clone()),
        };
        let results = self.wait(&job, progress, advance).await?;
        unfinished.finish();
        self.ask_times(job, measured).await;
        Ok(results)
    }

    /// Tells the times that the operators of a finished job have measured, by name, in nanoseconds. A
    /// scheduler that does not tell them is no reason to fail.
    async fn ask_times(
        &self,
        job_id: String,
        measured: &mut (impl FnMut(&str, u64) + Send + ?Sized),
    ) {
        let mut scheduler = self.scheduler.clone();
        let question = scheduler.get_job_metrics(GetJobMetricsParams { job_id });
        let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, question).await else {
            return;
        };
        let stages = answer.into_inner().stages.into_iter();
        let operators = stages.flat_map(|stage| stage.operators);
        for metric in operators.flat_map(|operator| operator.metrics) {
            if let Some(Metric::Time(time)) = metric.metric {
                measured(&time.name, time.value);
            }
        }
    }

    /// Waits for the end of a job; tells `advance` how many of its splits are done.
    async fn wait(
        &self,
        job: &str,
        progress: &Progress,
        advance: impl Fn(usize),
    ) -> Result<Vec<PartitionLocation>> {
        let mut scheduler = self.scheduler.clone();
        let mut watch = StageWatch::default();
        let mut heard = Instant::now();
        loop {
            progress.check()?;
            let mut question = Request::new(GetJobStatusParams {
                job_id: job.to_owned(),
            });
            watch.ask(question.metadata_mut());
            let answer = tokio::time::timeout(PATIENCE, scheduler.get_job_status(question)).await;
            let status = match answer {
                Ok(Ok(answer)) => {
                    if let Some(done) = watch.partitions_done(answer.metadata()) {
                        advance(done);
                    }
                    answer.into_inner().status.and_then(|job| job.status)
                }
                Ok(Err(status)) if heard.elapsed() >= PATIENCE => {
                    return Err(unreachable(&self.address, &status));
                }
                Ok(Err(_)) => None,
                Err(silence) => return Err(unreachable(&self.address, &silence)),
            };
            match status {
                Some(Status::Successful(success)) => return Ok(success.partition_location),
                Some(Status::Failed(failure)) => return Err(cluster_failure(&failure.error)),
                Some(Status::Queued(_) | Status::Running(_)) => heard = Instant::now(),
                // A scheduler that was started anew knows nothing of the job.
                None if heard.elapsed() >= PATIENCE => {
                    return Err(cluster_failure("the scheduler has forgotten the job"));
                }
                None => {}
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[async_trait]
impl Executors for Cluster {
    // What was lost with an executor before it was fetched is computed again.
    async fn run(
        &self,
        (mut splits, alone): (Vec<usize>, bool),
        plan: &SplitPlan<'_>,
        progress: &Progress,
        measured: &mut (dyn for<'n> FnMut(&'n str, u64) + Send),
        take: &mut (dyn FnMut(RecordBatch) -> Result<()> + Send),
    ) -> Result<()> {
        let mut round = 1;
        let all = splits.len();
        loop {
            // The rows of splits that are done already count.
            let advance = |done: usize| progress.reach(all - splits.len() + done, all);
            let results = self
                .execute(plan(&splits)?, (progress, advance), measured)
                .await?;
            let mut lost = None;
            let mut done = HashSet::new();
            // Executors that have failed once are not waited for again.
            let silent: Arc<Mutex<HashSet<String>>> = Arc::default();
            let fetches = results.into_iter().map(|location| {
                let silent = Arc::clone(&silent);
                let tls = self.address.tls().cloned();
                async move { tokio::spawn(fetch_once(location, tls, silent)).await }
            });
            let mut fetched = futures::stream::iter(fetches).buffered(FETCHES);
            while let Some(batches) = fetched.next().await {
                progress.check()?;
                match batches.map_err(|_| Error::Bug("fetching results panicked"))? {
                    Ok(batches) => {
                        for batch in batches {
                            done.extend(splits_of(&batch));
                            take(batch)?;
                        }
                    }
                    Err(error @ Error::Cluster { .. }) => lost = Some(error),
                    Err(error) => return Err(error),
                }
            }
            let Some(error) = lost else {
                return Ok(());
            };
            if round == ROUNDS {
                return Err(error);
            }
            tracing::warn!(round, %error, "results were lost; what is missing is computed again");
            round += 1;
            splits.retain(|split| !alone || !done.contains(&(*split as u64)));
        }
    }
}

#[async_trait]
impl planner_engine::run::Cluster for ClusterAddress {
    async fn connect(&self) -> Result<Box<dyn Executors>> {
        Ok(Box::new(Cluster::connect(self).await?))
    }
}

impl From<ClusterAddress> for Arc<dyn planner_engine::run::Cluster> {
    fn from(address: ClusterAddress) -> Self {
        Arc::new(address)
    }
}

/// A job that is cancelled when nobody waits for it any more, whatever the reason.
struct Unfinished {
    scheduler: SchedulerGrpcClient<Channel>,
    job: Option<String>,
}

impl Unfinished {
    /// The job has ended.
    fn finish(mut self) {
        self.job = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let (Some(job_id), Ok(runtime)) = (self.job.take(), Handle::try_current()) else {
            return;
        };
        let mut scheduler = self.scheduler.clone();
        runtime.spawn(async move {
            // A scheduler that does not answer has no job to cancel.
            let _ = scheduler.cancel_job(CancelJobParams { job_id }).await;
        });
    }
}

/// Splits that a batch tells of.
fn splits_of(batch: &RecordBatch) -> Vec<u64> {
    let splits = batch.column_by_name(SPLIT);
    let splits = splits.and_then(|splits| splits.as_primitive_opt::<UInt64Type>());
    splits.map_or_else(Vec::new, |splits| splits.values().to_vec())
}

/// Fetches one part of the results, unless its executor is known to be silent.
async fn fetch_once(
    location: PartitionLocation,
    tls: Option<MemberTls>,
    silent: Arc<Mutex<HashSet<String>>>,
) -> Result<Vec<RecordBatch>> {
    let known = || silent.lock().map_err(|_| Error::Bug("a lock was poisoned"));
    let executor = location.executor_meta.as_ref().map(|meta| meta.id.clone());
    let executor = executor.unwrap_or_default();
    if known()?.contains(&executor) {
        return Err(cluster_failure("an executor does not give its results"));
    }
    let fetched = fetch(location, tls).await;
    if matches!(fetched, Err(Error::Cluster { .. })) {
        known()?.insert(executor);
    }
    fetched
}

/// Fetches one part of the results.
async fn fetch(location: PartitionLocation, tls: Option<MemberTls>) -> Result<Vec<RecordBatch>> {
    open_part(location, tls).await?.try_collect().await
}

/// Asks an executor for one part of the results.
async fn open_part(
    location: PartitionLocation,
    tls: Option<MemberTls>,
) -> Result<impl Stream<Item = Result<RecordBatch>> + Send + use<>> {
    let layout = location.layout();
    let (Some(executor), Some(partition)) = (location.executor_meta, location.partition_id) else {
        return Err(Error::Bug("a result without a place"));
    };
    let address = format!("{}:{}", executor.host, executor.port);
    let lost = move |error: &dyn std::fmt::Display| {
        cluster_failure(&format!(
            "executor {address} does not give its results: {error}"
        ))
    };
    let port = u16::try_from(executor.port).map_err(|error| lost(&error))?;
    let secured = tls.map(|tls| BallistaConfigGrpcEndpoint::new(tls.secured_endpoints()));
    let client = BallistaClient::try_new(
        &executor.host,
        port,
        MAX_MESSAGE_BYTES,
        false,
        secured.map(Arc::new),
        3,
        500,
        0,
        0,
    );
    let client = tokio::time::timeout(PATIENCE, client).await;
    let mut client = client
        .map_err(|error| lost(&error))?
        .map_err(|error| lost(&error))?;
    let partition = partition.into();
    let stream = client.fetch_partition(&executor.id, &partition, location.file_id, layout, true);
    let stream = tokio::time::timeout(PATIENCE, stream).await;
    let stream = stream
        .map_err(|error| lost(&error))?
        .map_err(|error| lost(&error))?;
    // The connection lasts as long as its client does.
    let opened = (client, stream);
    Ok(futures::stream::try_unfold(
        opened,
        move |(client, mut stream)| {
            let lost = lost.clone();
            async move {
                // A stopped process keeps its connections.
                let batch = tokio::time::timeout(PATIENCE, stream.next()).await;
                let Some(batch) = batch.map_err(|error| lost(&error))? else {
                    return Ok(None);
                };
                let batch = batch.map_err(|error| lost(&error))?;
                Ok(Some((batch, (client, stream))))
            }
        },
    ))
}

/// A scheduler that cannot be asked.
fn unreachable(address: &ClusterAddress, cause: &dyn std::error::Error) -> Error {
    let mut problem = format!("{address} does not answer: {cause}");
    let mut source = cause.source();
    while let Some(cause) = source {
        problem.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Error::Cluster { problem }
}
