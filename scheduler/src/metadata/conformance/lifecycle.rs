//! Jobs from submission to their end.

use std::collections::HashMap;
use std::time::Duration;

use super::*;
use crate::metadata::{CancelOutcome, Ending, JobFilter, JobStatus, MetadataError};

on_both! {
    /// A job is submitted, claimed, told of, published as a version, and leaves its traces.
    async fn from_queue_to_version(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let job = submit(store, &one).await;
        assert_eq!(job.status, JobStatus::Queued);
        let claimed = claim(store, 20.0).await;
        assert_eq!((claimed.job.id, claimed.job.attempt), (job.id, 1));
        assert_eq!(store.claim("other", 20.0).await.unwrap().map(|claim| claim.job.id), None);
        let progress = json!({"pass1_progress": 0.5});
        let beat = store.beat(&claimed.fence, 20.0, JobStatus::Pass2Running, &progress).await.unwrap();
        assert!(!beat.cancel && !beat.late);
        let seen = store.job(one.id, job.id).await.unwrap().unwrap();
        assert_eq!((seen.status, seen.progress), (JobStatus::Pass2Running, Some(progress)));
        assert_eq!(store.publish(&claimed.fence, &publication(&claimed)).await.unwrap(), Some(1));
        // An answer that got lost is asked for again.
        assert_eq!(store.publish(&claimed.fence, &publication(&claimed)).await.unwrap(), Some(1));
        let done = store.job(one.id, job.id).await.unwrap().unwrap();
        assert_eq!(done.status, JobStatus::Success);
        assert_eq!(done.output.as_deref(), Some(claimed.output.as_str()));
        let kinds: Vec<String> = store.events(one.id, job.id, 0).await.unwrap().into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["queued", "started", "status", "success"]);
        let usage = store.usage(one.id).await.unwrap();
        assert_eq!((usage[0].jobs, usage[0].rows, usage[0].bytes_in, usage[0].bytes_out), (1, 10, 1000, 500));
        let second = submit(store, &one).await;
        let claimed = claim(store, 20.0).await;
        assert_eq!(store.publish(&claimed.fence, &publication(&claimed)).await.unwrap(), Some(2));
        let dataset = store.dataset(one.id, "people").await.unwrap().unwrap();
        assert_eq!(dataset.latest_version, 2);
        let versions = store.versions(one.id, dataset.id, None, 10).await.unwrap();
        assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [2, 1]);
        let lineage = store.lineage(one.id, dataset.id, 2).await.unwrap().unwrap();
        assert_eq!((lineage.version.job_id, lineage.created_by.as_str()), (second.id, "key:test"));
        assert_eq!(store.find_tenant(&one.name).await.unwrap().unwrap().running, 0);
    }

    /// Of two who believe to have a job, only the one with the current lease changes anything.
    async fn late_workers_change_nothing(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let job = submit(store, &one).await;
        let late = claim(store, 0.2).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let fenced = |result: Result<_, MetadataError>| matches!(result, Err(MetadataError::Fenced));
        assert!(fenced(store.beat(&late.fence, 20.0, JobStatus::Pass1Running, &nothing()).await.map(drop)));
        let reaped = store.reap().await.unwrap();
        assert_eq!(reaped.iter().map(|reaped| (reaped.job_id, reaped.status)).collect::<Vec<_>>(), [(job.id, JobStatus::Queued)]);
        assert!(store.reap().await.unwrap().is_empty());
        // It waits a little before it is tried again.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let current = claim(store, 20.0).await;
        assert_eq!((current.job.id, current.job.attempt), (job.id, 2));
        assert_ne!(current.output, late.output);
        assert!(fenced(store.publish(&late.fence, &publication(&late)).await.map(drop)));
        assert!(fenced(store.end(&late.fence, &Ending::Released).await.map(drop)));
        assert_eq!(store.publish(&current.fence, &publication(&current)).await.unwrap(), Some(1));
        assert!(fenced(store.publish(&late.fence, &publication(&late)).await.map(drop)));
        let ended = store.attempts_to_sweep(0.0).await.unwrap();
        let ended: Vec<(i64, Option<&str>)> = ended.iter().map(|attempt| (attempt.attempt, attempt.outcome.as_deref())).collect();
        assert_eq!(ended, [(1, Some("lost")), (2, Some("published"))]);
        for attempt in [1, 2] {
            store.mark_swept(job.id, attempt).await.unwrap();
        }
        assert!(store.attempts_to_sweep(0.0).await.unwrap().is_empty());
        assert!(store.has_ended(job.id).await.unwrap());
        let attempts = store.attempts(one.id, job.id).await.unwrap();
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.as_deref()).collect();
        assert_eq!(outcomes, [Some("lost"), Some("published")]);
        assert_eq!(store.find_tenant(&one.name).await.unwrap().unwrap().running, 0);
    }

    /// What may be mended is tried again, as often as it may be; what may not fails at once; a worker that goes costs
    /// nothing.
    async fn failures(store: &MetadataStore) {
        let one = tenant(store, Limits { max_running: 10, ..Limits::default() }).await;
        let job = submit(store, &one).await;
        let error = json!({"kind": "unavailable", "message": "x"});
        let first = claim(store, 20.0).await;
        assert_eq!(store.end(&first.fence, &Ending::Released).await.unwrap(), JobStatus::Queued);
        for expected in [JobStatus::Queued, JobStatus::Queued, JobStatus::Failed] {
            let claimed = claim(store, 20.0).await;
            let ending = Ending::Retry { error: error.clone(), delay: 0.0 };
            assert_eq!(store.end(&claimed.fence, &ending).await.unwrap(), expected);
        }
        let failed = store.job(one.id, job.id).await.unwrap().unwrap();
        assert_eq!((failed.status, failed.error, failed.attempt, failed.failures), (JobStatus::Failed, Some(error.clone()), 4, 3));
        assert!(failed.finished_at.is_some());
        let other = submit(store, &one).await;
        let claimed = claim(store, 20.0).await;
        assert_eq!(claimed.job.id, other.id);
        assert_eq!(store.end(&claimed.fence, &Ending::Failed(error)).await.unwrap(), JobStatus::Failed);
        // One that waits for its next try does not stand in the way of others.
        submit(store, &one).await;
        let claimed = claim(store, 20.0).await;
        let wait = Ending::Retry { error: nothing(), delay: 60.0 };
        store.end(&claimed.fence, &wait).await.unwrap();
        let next = submit(store, &one).await;
        assert_eq!(claim(store, 20.0).await.job.id, next.id);
    }

    /// A job that kills its workers fails in the end, and others go on meanwhile.
    async fn poison(store: &MetadataStore) {
        let one = tenant(store, Limits { max_running: 1, ..Limits::default() }).await;
        let poison = submit(store, &one).await;
        let other = submit(store, &one).await;
        let claimed = claim(store, 0.05).await;
        assert_eq!(claimed.job.id, poison.id);
        tokio::time::sleep(Duration::from_millis(100)).await;
        store.reap().await.unwrap();
        let claimed = claim(store, 20.0).await;
        assert_eq!(claimed.job.id, other.id, "the next one comes first");
        store.publish(&claimed.fence, &publication(&claimed)).await.unwrap();
        let mut status = JobStatus::Queued;
        while status == JobStatus::Queued {
            let claimed = claim_patiently(store, 0.05).await;
            assert_eq!(claimed.job.id, poison.id);
            assert_eq!(claimed.alone, claimed.job.attempt == 3, "the last try takes nobody along");
            tokio::time::sleep(Duration::from_millis(100)).await;
            status = store.reap().await.unwrap()[0].status;
        }
        let failed = store.job(one.id, poison.id).await.unwrap().unwrap();
        assert_eq!((failed.status, failed.failures), (JobStatus::Failed, 3));
    }

    /// Requests with one key make one job, however many come at the same time; another request with the key is
    /// refused.
    async fn idempotency(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let requests: Vec<_> = (0..50).map(|_| {
            let (store, id) = (store.clone(), one.id);
            tokio::spawn(async move { store.submit(id, &submission(Some(("key", "hash")))).await })
        }).collect();
        let mut ids = Vec::new();
        let mut made = 0;
        for request in requests {
            let submitted = request.await.unwrap().unwrap();
            made += usize::from(!submitted.repeated);
            ids.push(submitted.job.id);
        }
        ids.dedup();
        assert_eq!((ids.len(), made), (1, 1));
        let other = store.submit(one.id, &submission(Some(("key", "another")))).await;
        assert!(matches!(other, Err(MetadataError::KeyReused)), "{other:?}");
        // Keys are each tenant's own.
        let stranger = tenant(store, Limits::default()).await;
        let theirs = store.submit(stranger.id, &submission(Some(("key", "another")))).await.unwrap();
        assert!(!theirs.repeated);
        assert_eq!(store.jobs(one.id, &JobFilter::default(), 100).await.unwrap().len(), 1);
    }

    /// No more of a tenant's jobs run than may, however many workers ask.
    async fn running_limits_are_exact(store: &MetadataStore) {
        let one = tenant(store, Limits { max_running: 3, ..Limits::default() }).await;
        let two = tenant(store, Limits { max_running: 1, ..Limits::default() }).await;
        for _ in 0..12 {
            submit(store, &one).await;
            submit(store, &two).await;
        }
        let workers: Vec<_> = (0..16).map(|worker| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut claimed = Vec::new();
                for _ in 0..20 {
                    if let Some(claim) = store.claim(&format!("w{worker}"), 60.0).await.unwrap() {
                        claimed.push(claim);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                claimed
            })
        }).collect();
        let mut claims = Vec::new();
        for worker in workers {
            claims.extend(worker.await.unwrap());
        }
        let of = |tenant: &Tenant| claims.iter().filter(|claim| claim.job.tenant_id == tenant.id).count();
        assert_eq!((of(&one), of(&two)), (3, 1));
        let mut ids: Vec<Uuid> = claims.iter().map(|claim| claim.job.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4, "a job was claimed twice");
        // A place that is free is taken again.
        let gone = claims.iter().find(|claim| claim.job.tenant_id == two.id).unwrap();
        store.publish(&gone.fence, &publication(gone)).await.unwrap();
        assert_eq!(claim(store, 60.0).await.job.tenant_id, two.id);
    }

    /// Tenants take turns, by weight; one with many jobs does not keep another one waiting.
    async fn tenants_take_turns(store: &MetadataStore) {
        let many = Limits { max_running: 100, ..Limits::default() };
        let heavy = tenant(store, many.clone()).await;
        let double = tenant(store, Limits { weight: 2.0, ..many.clone() }).await;
        for _ in 0..30 {
            submit(store, &heavy).await;
            submit(store, &double).await;
        }
        let mut counts: HashMap<Uuid, usize> = HashMap::new();
        for _ in 0..30 {
            *counts.entry(claim(store, 60.0).await.job.tenant_id).or_default() += 1;
        }
        assert!((9..=11).contains(&counts[&heavy.id]), "{counts:?}");
        assert!((19..=21).contains(&counts[&double.id]), "{counts:?}");
        // Somebody who comes now is served soon, and does not catch up on the past.
        let late = tenant(store, many).await;
        for _ in 0..30 {
            submit(store, &late).await;
        }
        counts.clear();
        for _ in 0..12 {
            *counts.entry(claim(store, 60.0).await.job.tenant_id).or_default() += 1;
        }
        assert!((2..=5).contains(&counts[&late.id]), "{counts:?}");
    }

    /// Priorities order the jobs of a tenant; suspended tenants wait.
    async fn priorities(store: &MetadataStore) {
        let one = tenant(store, Limits { max_running: 10, ..Limits::default() }).await;
        submit(store, &one).await;
        let mut urgent = submission(None);
        urgent.job.priority = 5;
        let urgent = store.submit(one.id, &urgent).await.unwrap().job;
        assert_eq!(claim(store, 20.0).await.job.id, urgent.id);
        store.update_tenant(one.id, &one.limits, true, "test").await.unwrap();
        assert!(store.claim("worker", 20.0).await.unwrap().is_none());
        store.update_tenant(one.id, &one.limits, false, "test").await.unwrap();
        claim(store, 20.0).await;
    }

    /// A full queue and a spent quota are told.
    async fn limits_are_told(store: &MetadataStore) {
        let one = tenant(store, Limits { max_queued: 2, rows_per_month: Some(10), ..Limits::default() }).await;
        submit(store, &one).await;
        submit(store, &one).await;
        let full = store.submit(one.id, &submission(None)).await;
        assert!(matches!(full, Err(MetadataError::QueueFull { queued: 2 })), "{full:?}");
        let claimed = claim(store, 20.0).await;
        store.publish(&claimed.fence, &publication(&claimed)).await.unwrap();
        let spent = store.submit(one.id, &submission(None)).await;
        assert!(matches!(spent, Err(MetadataError::QuotaSpent { limit: 10, held: 11, rows: 1 })), "{spent:?}");
    }

    /// What is cancelled publishes nothing, whichever comes first.
    async fn cancellation(store: &MetadataStore) {
        let one = tenant(store, Limits { max_running: 1000, ..Limits::default() }).await;
        let waiting = submit(store, &one).await;
        assert_eq!(store.cancel(one.id, waiting.id, "test").await.unwrap(), CancelOutcome::Cancelled);
        assert_eq!(store.cancel(one.id, waiting.id, "test").await.unwrap(), CancelOutcome::Ended(JobStatus::Cancelled));
        let running = submit(store, &one).await;
        let claimed = claim(store, 60.0).await;
        assert_eq!(claimed.job.id, running.id);
        assert_eq!(store.cancel(one.id, running.id, "test").await.unwrap(), CancelOutcome::Requested);
        assert!(store.beat(&claimed.fence, 60.0, JobStatus::Pass1Running, &nothing()).await.unwrap().cancel);
        assert_eq!(store.publish(&claimed.fence, &publication(&claimed)).await.unwrap(), None);
        assert_eq!(store.end(&claimed.fence, &Ending::Cancelled).await.unwrap(), JobStatus::Cancelled);

        let races: Vec<_> = (0..200).map(|number| {
            let (store, one) = (store.clone(), one.clone());
            tokio::spawn(async move {
                submit(&store, &one).await;
                let claimed = claim(&store, 60.0).await;
                let id = claimed.job.id;
                let publish = async {
                    tokio::time::sleep(Duration::from_millis(number % 7)).await;
                    match store.publish(&claimed.fence, &publication(&claimed)).await.unwrap() {
                        Some(_) => JobStatus::Success,
                        None => store.end(&claimed.fence, &Ending::Cancelled).await.unwrap(),
                    }
                };
                let cancel = async {
                    tokio::time::sleep(Duration::from_millis(number % 5)).await;
                    store.cancel(one.id, id, "test").await.unwrap()
                };
                let (status, cancelled) = tokio::join!(publish, cancel);
                let version = store.version_of_job(one.id, id).await.unwrap();
                assert_eq!(version.is_some(), status == JobStatus::Success);
                match cancelled {
                    CancelOutcome::Ended(ended) => assert_eq!((ended, status), (JobStatus::Success, JobStatus::Success)),
                    _ => assert_eq!(status, JobStatus::Cancelled),
                }
            })
        }).collect();
        for race in races {
            race.await.unwrap();
        }
        assert_eq!(store.find_tenant(&one.name).await.unwrap().unwrap().running, 0);
        assert_eq!(store.verify_audit(one.id, None).await.unwrap().1, None);
    }

    /// A deadline is told to the worker.
    async fn deadlines(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let mut soon = submission(None);
        soon.job.deadline_seconds = Some(0.1);
        store.submit(one.id, &soon).await.unwrap();
        let claimed = claim(store, 20.0).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(store.beat(&claimed.fence, 20.0, JobStatus::Pass1Running, &nothing()).await.unwrap().late);
    }
}

/// Claims a job that waits for its next try.
async fn claim_patiently(store: &MetadataStore, seconds: f64) -> Claim {
    for _ in 0..200 {
        if let Some(claim) = store.claim("worker", seconds).await.unwrap() {
            return claim;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing can be claimed");
}
