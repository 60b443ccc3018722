//! Quotas are exact: what is reserved, used and kept never exceeds them.

use std::sync::Arc;

use super::super::{Ending, JobStatus, MetadataError, UploadPart};
use super::*;

/// What a tenant has used this month.
async fn used(store: &MetadataStore, tenant: &Tenant) -> i64 {
    let usage = store.usage(tenant.id).await.unwrap();
    usage.first().map_or(0, |month| month.rows)
}

fn is_spent<T>(result: &super::super::Result<T>) -> bool {
    matches!(result, Err(MetadataError::QuotaSpent { .. }))
}

on_both! {
    /// Two hundred jobs at once, run by many workers, use no row more than the quota; whatever ends without a
    /// publication gives its rows back.
    async fn m2_rows_are_reserved(store: &MetadataStore) {
        let limits = Limits { rows_per_month: Some(1000), max_running: 1000, ..Limits::default() };
        let one = Arc::new(tenant(store, limits).await);
        let mut submitting = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let (store, one) = (store.clone(), Arc::clone(&one));
            submitting.spawn(async move {
                let mut submission = submission(None);
                // Each is taken for 20 rows.
                submission.job.source_bytes = Some(20 << 10);
                store.submit(one.id, &submission).await
            });
        }
        let submitted = submitting.join_all().await;
        assert_eq!(submitted.iter().filter(|result| result.is_ok()).count(), 50);
        assert!(submitted.iter().all(|result| result.is_ok() || is_spent(result)));

        // They have 255 rows each: three of them fit beside what the others have reserved once these are gone.
        let mut claims = Vec::new();
        for _ in 0..50 {
            claims.push(claim(store, 60.0).await);
        }
        assert!(is_spent(&store.reserve(&claims[0].fence, 255).await), "the others hold 980 rows");
        for (number, claim) in claims.drain(4..).enumerate() {
            let ending = match number % 3 {
                0 => Ending::Failed(nothing()),
                1 => Ending::Cancelled,
                _ => Ending::Failed(json!({"kind": "refused"})),
            };
            store.end(&claim.fence, &ending).await.unwrap();
        }
        let mut reserving = tokio::task::JoinSet::new();
        for claim in claims {
            let store = store.clone();
            reserving.spawn(async move { (store.reserve(&claim.fence, 255).await.is_ok(), claim) });
        }
        let reserved = reserving.join_all().await;
        assert_eq!(reserved.iter().filter(|(reserved, _)| *reserved).count(), 3);
        for (reserved, claim) in &reserved {
            if *reserved {
                let mut publication = publication(claim);
                publication.rows_in = 255;
                store.publish(&claim.fence, &publication).await.unwrap();
            } else {
                assert!(is_spent(&store.reserve(&claim.fence, 236).await));
                store.reserve(&claim.fence, 235).await.unwrap();
                // A worker that is lost keeps its rows until its job has ended, and no longer.
                store.end(&claim.fence, &Ending::Released).await.unwrap();
                assert!(is_spent(&store.submit(one.id, &submission(None)).await));
            }
        }
        assert_eq!(used(store, &one).await, 765);
        let lost = claim(store, 0.0).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        while !store.job(one.id, lost.job.id).await.unwrap().unwrap().status.is_final() {
            store.reap().await.unwrap();
            if let Some(again) = store.claim("worker", 0.0).await.unwrap() {
                assert_eq!(again.job.id, lost.job.id);
            }
            store.cancel(one.id, lost.job.id, "test").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let job = store.submit(one.id, &submission(None)).await.unwrap().job;
        assert_eq!(job.status, JobStatus::Queued);
        // Whoever has lost the job reserves nothing.
        let late = store.reserve(&lost.fence, 1).await;
        assert!(matches!(late, Err(MetadataError::Fenced)), "{late:?}");
    }

    /// Uploads and outputs together keep no byte more than the tenant may.
    async fn m2_storage_is_bounded(store: &MetadataStore) {
        let limits = Limits { storage_bytes: Some(1000), ..Limits::default() };
        let one = tenant(store, limits).await;
        let id = Uuid::now_v7();
        store.begin_upload(one.id, id, ("a.csv", "uploads/a.csv"), "test").await.unwrap();
        let part = |number, bytes| UploadPart { number, bytes, sha256: String::new() };
        store.add_part(one.id, id, &part(1, 600)).await.unwrap();
        let full = store.add_part(one.id, id, &part(2, 401)).await;
        assert!(matches!(full, Err(MetadataError::StorageSpent { limit: 1000 })), "{full:?}");
        // Another part of the same number takes the room of the first.
        store.add_part(one.id, id, &part(1, 400)).await.unwrap();
        assert_eq!(store.storage_left(one.id).await.unwrap(), Some(600));
        store.complete_upload(one.id, id, (400, "x"), "test").await.unwrap();
        submit(store, &one).await;
        let claimed = claim(store, 20.0).await;
        let mut large = publication(&claimed);
        large.bytes = 601;
        let refused = store.publish(&claimed.fence, &large).await;
        assert!(matches!(refused, Err(MetadataError::StorageSpent { .. })), "{refused:?}");
        large.bytes = 600;
        assert_eq!(store.publish(&claimed.fence, &large).await.unwrap(), Some(1));
        assert_eq!(store.storage_left(one.id).await.unwrap(), Some(0));
        store.forget_upload(one.id, id).await.unwrap();
        assert_eq!(store.storage_left(one.id).await.unwrap(), Some(400));
        let other = tenant(store, Limits::default()).await;
        assert_eq!(store.storage_left(other.id).await.unwrap(), None);
    }
}
