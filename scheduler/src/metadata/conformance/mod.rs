//! What any database must do for the metadata, on SQLite and on Postgres alike.

#![allow(clippy::panic)]

mod chain;
mod databases;
mod isolation;
mod lifecycle;
mod logins;
mod quotas;
mod records;

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use uuid::Uuid;

use self::databases::Databases;
use super::{
    Claim, Idempotency, Job, Limits, MetadataStore, NewJob, Publication, Submission, Tenant,
};

/// Runs a test on each database.
macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($store:ident: &MetadataStore) $body:block)+) => {
        $(mod $name {
            use super::*;
            async fn check($store: &MetadataStore) $body

            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                let databases = Databases::sqlite().await;
                check(databases.store()).await;
            }

            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgres() {
                let databases = Databases::postgres().await;
                check(databases.store()).await;
                databases.remove().await;
            }
        })+
    };
}
use on_both;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A tenant with limits of its own.
async fn tenant(store: &MetadataStore, limits: Limits) -> Tenant {
    let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    store.create_tenant(&name, &limits, "test").await.unwrap()
}

fn submission(key: Option<(&str, &str)>) -> Submission {
    Submission {
        job: NewJob {
            id: Uuid::now_v7(),
            dataset: "people".to_owned(),
            spec: json!({"version": 1, "source": {"location": "upload:x"}}),
            source_bytes: Some(1000),
            uploads: Vec::new(),
            priority: 0,
            deadline_seconds: None,
            max_attempts: 3,
        },
        idempotency: key.map(|(key, digest)| Idempotency {
            key: key.to_owned(),
            digests: vec![digest.to_owned()],
        }),
        actor: "key:test".to_owned(),
    }
}

async fn submit(store: &MetadataStore, tenant: &Tenant) -> Job {
    let submitted = store.submit(tenant.id, &submission(None)).await.unwrap();
    submitted.job
}

/// Claims a job; others may be claiming too.
async fn claim(store: &MetadataStore, seconds: f64) -> Claim {
    // Of many who claim from one tenant at the same moment, all but one come away empty.
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(60) {
        if let Some(claim) = store.claim("worker", seconds).await.unwrap() {
            return claim;
        }
        let pause = rand::random_range(5..40);
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
    }
    panic!("nothing can be claimed");
}

fn publication(claim: &Claim) -> Publication {
    Publication {
        output: claim.output.clone(),
        manifest_digest: "digest".to_owned(),
        rows_in: 10,
        bytes_in: 1000,
        rows: 9,
        bytes: 500,
        transformations: json!([]),
        contract: json!({"columns": []}),
        sources: json!([]),
        metrics: json!({"rows_processed": 10}),
        imputed: Vec::new(),
        indexes: Vec::new(),
        counts: Vec::new(),
        cells: Vec::new(),
    }
}

fn nothing() -> Value {
    json!({})
}
