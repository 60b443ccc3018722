//! The audit log.

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use super::*;
use crate::metadata::{AuditEntry, AuditFilter, AuditHead};

fn entry(number: u32) -> AuditEntry {
    AuditEntry {
        actor: "key:one".to_owned(),
        action: if number.is_multiple_of(2) {
            "even"
        } else {
            "odd"
        },
        subject: number.to_string(),
        job_id: None,
        details: json!({"b": number, "a": "ü\u{2028}"}),
    }
}

on_both! {
    /// Records come in order whoever writes them at the same time, are found again, and verify.
    async fn records_are_chained(store: &MetadataStore) {
        let (one, other) = (tenant(store, Limits::default()).await, tenant(store, Limits::default()).await);
        let writers: Vec<_> = (0..40).map(|number| {
            let store = store.clone();
            let id = if number < 30 { one.id } else { other.id };
            tokio::spawn(async move { store.record(id, &entry(number)).await })
        }).collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
        let (head, problem) = store.verify_audit(one.id, None).await.unwrap();
        assert_eq!((head.seq, problem), (31, None));
        let all = store.audit(one.id, &AuditFilter::default(), 1000).await.unwrap();
        let numbers: Vec<i64> = all.iter().map(|record| record.seq).collect();
        assert_eq!(numbers, (1..=31).rev().collect::<Vec<_>>());
        assert_eq!(all[30].action, "tenant_created");
        let filter = AuditFilter { action: Some("even".to_owned()), before: Some(20), ..AuditFilter::default() };
        let even = store.audit(one.id, &filter, 1000).await.unwrap();
        assert!(even.iter().all(|record| record.action == "even" && record.seq < 20));
        assert!(!even.is_empty());
        assert_eq!(store.audit_head(other.id).await.unwrap().seq, 11);
    }

    /// A publication asks for a checkpoint, and one that was written is asked for no more; a chain that only grew is due
    /// when all are.
    async fn m5_checkpoints_fall_due(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let due = async |all: bool| {
            let due = store.due_checkpoints(all).await.unwrap().into_iter();
            due.filter(|due| due.tenant_id == one.id).collect::<Vec<_>>()
        };
        assert!(due(false).await.is_empty());
        let grown = due(true).await;
        assert_eq!((grown[0].head.seq, &grown[0].last), (1, &None));
        store.checkpoint_written(one.id, &grown[0].head).await.unwrap();
        assert!(due(true).await.is_empty());
        submit(store, &one).await;
        let claimed = claim(store, 60.0).await;
        store.publish(&claimed.fence, &publication(&claimed)).await.unwrap().unwrap();
        let wanted = due(false).await;
        assert_eq!(wanted[0].last.as_ref(), Some(&grown[0].head));
        assert_eq!(wanted[0].head, store.audit_head(one.id).await.unwrap());
        store.checkpoint_written(one.id, &wanted[0].head).await.unwrap();
        // An answer that comes late does not set it back.
        store.checkpoint_written(one.id, &grown[0].head).await.unwrap();
        assert_eq!(store.last_checkpoint(one.id).await.unwrap().as_ref(), Some(&wanted[0].head));
        assert!(due(true).await.is_empty());
        let lines = store.audit_lines(one.id, 1, 3, 10).await.unwrap();
        assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(store.audit_hash(one.id, 3).await.unwrap().as_ref(), Some(&lines[1].hash));
    }

    /// An end that was seen earlier must still be there.
    async fn an_earlier_end_is_found(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        store.record(one.id, &entry(1)).await.unwrap();
        let seen = store.audit_head(one.id).await.unwrap();
        store.record(one.id, &entry(2)).await.unwrap();
        assert_eq!(store.verify_audit(one.id, Some(&seen)).await.unwrap().1, None);
        let cut = AuditHead { seq: 9, hash: seen.hash.clone() };
        let problem = store.verify_audit(one.id, Some(&cut)).await.unwrap().1.unwrap();
        assert!(problem.problem.contains("gone"), "{problem:?}");
        let other = AuditHead { hash: "0".repeat(64), ..seen };
        let problem = store.verify_audit(one.id, Some(&other)).await.unwrap().1.unwrap();
        assert_eq!(problem.seq, 2);
    }
}

/// Whoever changes, removes or cuts off records, with all rights in the database, is found out.
#[tokio::test(flavor = "multi_thread")]
async fn tampering_is_found() {
    for (statement, seq) in [
        ("UPDATE audit_logs SET actor = 'nobody' WHERE seq = 3", 3),
        (
            "UPDATE audit_logs SET at = at - interval '1 hour' WHERE seq = 3",
            3,
        ),
        (
            "UPDATE audit_logs SET record = replace(record, 'one', 'two') WHERE seq = 4",
            4,
        ),
        ("DELETE FROM audit_logs WHERE seq = 3", 3),
        ("DELETE FROM audit_logs WHERE seq = 6", 6),
        (
            "UPDATE audit_logs SET record = (SELECT record FROM audit_logs WHERE seq = 2), hash = (SELECT hash FROM audit_logs WHERE seq = 2) WHERE seq = 3",
            3,
        ),
    ] {
        let databases = Databases::postgres().await;
        let store = databases.store();
        let one = tenant(store, Limits::default()).await;
        for number in 0..5 {
            store.record(one.id, &entry(number)).await.unwrap();
        }
        assert_eq!(store.verify_audit(one.id, None).await.unwrap().1, None);
        let mut owner = PgConnection::connect(&databases.url()).await.unwrap();
        owner.execute(statement).await.unwrap();
        let (_, problem) = store.verify_audit(one.id, None).await.unwrap();
        assert_eq!(problem.unwrap().seq, seq, "{statement}");
        databases.remove().await;
    }
}
