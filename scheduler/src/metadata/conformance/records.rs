//! Keys, contracts, rules, provenance, uploads.

use chrono::{TimeDelta, Utc};

use super::*;
use crate::metadata::{
    Cell, CellFilter, ColumnCount, Imputed, JobFilter, JobStatus, MetadataError, NewKey, Reaped,
    Role, UploadPart,
};

fn key(name: &str) -> NewKey {
    NewKey {
        name: name.to_owned(),
        role: Role::DataEngineer,
        operator: false,
        actions: Some(vec!["jobs:read".to_owned()]),
        datasets: Some(vec!["people".to_owned()]),
        expires_at: None,
    }
}

fn cell(row_id: i64, column: &str, confidence: f64) -> Cell {
    Cell {
        row_id,
        column_name: column.to_owned(),
        original_value: Some("a\tb\\c\nd\r\u{fffd}ü".to_owned()),
        cleaned_value: None,
        transformation_id: "t-1".to_owned(),
        confidence_score: confidence,
        source: "deterministic".to_owned(),
    }
}

on_both! {
    /// Only a key that was made, with its own secret, for as long as it holds, lets anybody in.
    async fn keys(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let made = store.create_key(one.id, &key("one"), "test").await.unwrap();
        let admitted = store.admit_key(&made.secret).await.unwrap().unwrap();
        assert_eq!(admitted, made.key);
        assert!(!format!("{:?}", store.keys(one.id).await.unwrap()).contains(&made.secret[made.secret.len() - 43..]));
        let other = store.create_key(one.id, &key("two"), "test").await.unwrap();
        let (head, _) = made.secret.split_at(made.secret.len() - 43);
        let tail = &other.secret[other.secret.len() - 43..];
        for wrong in [format!("{head}{tail}"), format!("{}x", made.secret), made.secret[..40].to_owned(), "dsk_x_y".to_owned(), String::new()] {
            assert!(store.admit_key(&wrong).await.unwrap().is_none(), "{wrong}");
        }
        let past = NewKey { expires_at: Some(Utc::now() - TimeDelta::seconds(1)), ..key("past") };
        let past = store.create_key(one.id, &past, "test").await.unwrap();
        assert!(store.admit_key(&past.secret).await.unwrap().is_none());
        store.revoke_key(one.id, &made.key.id, "test").await.unwrap();
        assert!(store.admit_key(&made.secret).await.unwrap().is_none());
        assert!(store.revoke_key(one.id, &made.key.id, "test").await.is_err());
        store.update_tenant(one.id, &one.limits, true, "test").await.unwrap();
        assert!(store.admit_key(&other.secret).await.unwrap().is_none(), "the tenant is suspended");
        assert!(matches!(store.create_key(one.id, &key(""), "test").await, Err(MetadataError::Invalid(_))));
    }

    /// Contracts of a dataset are numbered; rules are written over.
    async fn contracts_and_rules(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        for number in 1..=3 {
            let contract = json!({"version": number, "columns": [{"name": "a"}]});
            let added = store.add_contract(one.id, "people", &contract, "test").await.unwrap();
            assert_eq!((added.version, &added.contract), (number, &contract));
        }
        let dataset = store.dataset(one.id, "people").await.unwrap().unwrap();
        assert_eq!((dataset.latest_contract, dataset.latest_version), (3, 0));
        assert_eq!(store.contracts(one.id, dataset.id).await.unwrap().len(), 3);
        assert_eq!(store.contract(one.id, dataset.id, None).await.unwrap().unwrap().version, 3);
        assert_eq!(store.contract(one.id, dataset.id, Some(2)).await.unwrap().unwrap().version, 2);
        assert!(store.contract(one.id, dataset.id, Some(4)).await.unwrap().is_none());
        store.put_rule(one.id, "tidy", &json!({"steps": []}), "a").await.unwrap();
        let rule = store.put_rule(one.id, "tidy", &json!({"steps": [1]}), "b").await.unwrap();
        assert_eq!((rule.created_by.as_str(), rule.rule), ("a", json!({"steps": [1]})));
        assert_eq!(store.rules(one.id).await.unwrap().len(), 1);
        store.delete_rule(one.id, "tidy", "a").await.unwrap();
        assert!(store.rule(one.id, "tidy").await.unwrap().is_none());
        for name in ["", "a/b", "a\nb"] {
            assert!(store.add_contract(one.id, name, &json!({}), "test").await.is_err(), "{name:?}");
            assert!(store.put_rule(one.id, name, &json!({}), "test").await.is_err(), "{name:?}");
        }
    }

    /// Changed cells come back as they were, page by page, as far as they are asked for.
    async fn provenance(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let job = submit(store, &one).await;
        let claimed = claim(store, 20.0).await;
        let mut published = publication(&claimed);
        published.cells = (0..250).flat_map(|row| [cell(row, "b", 1.0), cell(row, "A", 0.5)]).collect();
        published.counts = vec![ColumnCount { transformation_id: "t-1".to_owned(), column_name: "A".to_owned(), cells: 250, low_confidence: 250, complete: true }];
        published.imputed = vec![Imputed { transformation_id: "t-1".to_owned(), column_name: "A".to_owned(), strategy: "median".to_owned(), value: json!(1.5) }];
        store.publish(&claimed.fence, &published).await.unwrap();
        assert_eq!(store.provenance_counts(one.id, job.id).await.unwrap(), published.counts);
        let mut all = Vec::new();
        let mut filter = CellFilter::default();
        loop {
            let page = store.cells(one.id, job.id, &filter, 99).await.unwrap();
            all.extend(page.cells);
            let last = all.last().map(|cell: &Cell| (cell.row_id, cell.column_name.clone()));
            filter.after = last;
            if !page.more {
                break;
            }
        }
        let expected: Vec<Cell> = (0..250).flat_map(|row| [cell(row, "A", 0.5), cell(row, "b", 1.0)]).collect();
        assert_eq!(all, expected);
        let filter = CellFilter { row_id: Some(7), below: Some(1.0), ..CellFilter::default() };
        assert_eq!(store.cells(one.id, job.id, &filter, 10).await.unwrap().cells, [cell(7, "A", 0.5)]);
        let filter = CellFilter { column: Some("b".to_owned()), transformation_id: Some("t-2".to_owned()), ..CellFilter::default() };
        assert!(store.cells(one.id, job.id, &filter, 10).await.unwrap().cells.is_empty());
    }

    /// Lists come page by page, and nothing is left out or twice.
    async fn pages(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let mut expected = Vec::new();
        for _ in 0..25 {
            expected.push(submit(store, &one).await.id);
        }
        expected.reverse();
        let mut found = Vec::new();
        let mut filter = JobFilter::default();
        loop {
            let page = store.jobs(one.id, &filter, 7).await.unwrap();
            let Some(last) = page.last() else { break };
            filter.before = Some((last.created_at, last.id));
            found.extend(page.iter().map(|job| job.id));
        }
        assert_eq!(found, expected);
    }

    /// Parts of an upload may come twice and in any order; what is complete stays as it is.
    async fn uploads(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let id = Uuid::now_v7();
        store.begin_upload(one.id, id, ("a.csv", "uploads/a.csv"), "test").await.unwrap();
        for number in [2, 1, 2] {
            let part = UploadPart { number, bytes: number, sha256: "x".to_owned() };
            store.add_part(one.id, id, &part).await.unwrap();
        }
        let upload = store.upload(one.id, id).await.unwrap().unwrap();
        assert_eq!(upload.parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2]);
        store.complete_upload(one.id, id, (3, "digest"), "test").await.unwrap();
        let part = UploadPart { number: 3, bytes: 1, sha256: "x".to_owned() };
        assert!(matches!(store.add_part(one.id, id, &part).await, Err(MetadataError::Conflict(_))));
        let stranger = tenant(store, Limits::default()).await;
        assert!(store.upload(stranger.id, id).await.unwrap().is_none());
        store.forget_upload(one.id, id).await.unwrap();
        assert!(store.upload(one.id, id).await.unwrap().is_none());
    }

    /// A job waits for all of its uploads, and no longer, even where they complete at the same moment.
    async fn pending(store: &MetadataStore) {
        let one = tenant(store, Limits { max_queued: 10, ..Limits::default() }).await;
        let job = |uploads: &[Uuid]| {
            let mut job = submission(None);
            job.job.uploads = uploads.to_vec();
            job
        };
        for _ in 0..5 {
            let uploads = [Uuid::now_v7(), Uuid::now_v7()];
            for id in uploads {
                store.begin_upload(one.id, id, ("a.csv", "uploads/a.csv"), "test").await.unwrap();
            }
            let made = store.submit(one.id, &job(&uploads)).await.unwrap().job;
            assert_eq!(made.status, JobStatus::Pending);
            assert!(store.claim("worker", 20.0).await.unwrap().is_none());
            assert!(store.needs_upload(one.id, uploads[0]).await.unwrap());
            let [first, second] = uploads.map(|id| {
                let (store, tenant) = (store.clone(), one.id);
                tokio::spawn(async move { store.complete_upload(tenant, id, (21, "digest"), "test").await })
            });
            first.await.unwrap().unwrap();
            second.await.unwrap().unwrap();
            let claimed = claim(store, 20.0).await;
            assert_eq!((claimed.job.id, claimed.job.source_bytes), (made.id, Some(42)));
            store.publish(&claimed.fence, &publication(&claimed)).await.unwrap();
            assert!(!store.needs_upload(one.id, uploads[0]).await.unwrap());
            let kinds = store.events(one.id, made.id, 0).await.unwrap();
            let kinds: Vec<&str> = kinds.iter().map(|event| event.kind.as_str()).collect();
            assert_eq!(kinds, ["pending", "queued", "started", "success"]);
        }
        // One whose upload is there already does not wait; one that names none at all is refused.
        let there = Uuid::now_v7();
        store.begin_upload(one.id, there, ("a.csv", "uploads/a.csv"), "test").await.unwrap();
        store.complete_upload(one.id, there, (7, "digest"), "test").await.unwrap();
        let made = store.submit(one.id, &job(&[there])).await.unwrap().job;
        assert_eq!((made.status, made.source_bytes), (JobStatus::Queued, Some(7)));
        let none = store.submit(one.id, &job(&[Uuid::now_v7()])).await;
        assert!(matches!(none, Err(MetadataError::NotFound(_))), "{none:?}");
        store.cancel(one.id, made.id, "test").await.unwrap();

        // Those that wait count as well; nobody waits for ever.
        let never = Uuid::now_v7();
        store.begin_upload(one.id, never, ("a.csv", "uploads/a.csv"), "test").await.unwrap();
        let mut waiting = Vec::new();
        for number in 0..10 {
            let mut one_more = job(&[never]);
            one_more.job.deadline_seconds = (number == 0).then_some(0.0);
            waiting.push(store.submit(one.id, &one_more).await.unwrap().job.id);
        }
        let full = store.submit(one.id, &job(&[never])).await;
        assert!(matches!(full, Err(MetadataError::QueueFull { .. })), "{full:?}");
        let ids = |given_up: Vec<Reaped>| given_up.into_iter().map(|job| job.job_id).collect::<Vec<Uuid>>();
        assert_eq!(ids(store.give_up_pending(60.0).await.unwrap()), waiting[..1]);
        assert!(store.give_up_pending(60.0).await.unwrap().is_empty());
        store.cancel(one.id, waiting[1], "test").await.unwrap();
        let mut given_up = ids(store.give_up_pending(-1.0).await.unwrap());
        given_up.sort();
        assert_eq!(given_up, waiting[2..]);
        let failed = store.job(one.id, waiting[2]).await.unwrap().unwrap();
        assert_eq!((failed.status, &failed.error.unwrap()["kind"]), (JobStatus::Failed, &json!("incomplete")));
        store.complete_upload(one.id, never, (1, "digest"), "test").await.unwrap();
        assert!(store.claim("worker", 20.0).await.unwrap().is_none(), "what has ended does not begin");
    }

    /// People are remembered when they come, and may be shut out; each tenant has its own.
    async fn users(store: &MetadataStore) {
        let (one, other) = (tenant(store, Limits::default()).await, tenant(store, Limits::default()).await);
        let ann = store.visit(one.id, "ann", Role::Reviewer).await.unwrap();
        assert_eq!(store.visit(one.id, "ann", Role::Reviewer).await.unwrap(), ann);
        let promoted = store.visit(one.id, "ann", Role::Admin).await.unwrap();
        assert_eq!((promoted.id, promoted.role, promoted.suspended), (ann.id, Role::Admin, false));
        let namesake = store.visit(other.id, "ann", Role::Admin).await.unwrap();
        assert_ne!(namesake.id, ann.id);
        let elsewhere = store.suspend_user(other.id, ann.id, true, "test").await;
        assert!(matches!(elsewhere, Err(MetadataError::NotFound(_))), "{elsewhere:?}");
        assert!(store.suspend_user(one.id, ann.id, true, "test").await.unwrap().suspended);
        assert!(store.visit(one.id, "ann", Role::Reviewer).await.unwrap().suspended);
        let subjects: Vec<(String, bool)> = store.users(one.id).await.unwrap().into_iter().map(|user| (user.subject, user.suspended)).collect();
        assert_eq!(subjects, [("ann".to_owned(), true)]);
        assert!(!store.users(other.id).await.unwrap()[0].suspended);
    }

    /// Names of tenants are those that paths can have; there is one of each.
    async fn tenants(store: &MetadataStore) {
        let one = tenant(store, Limits::default()).await;
        let again = store.create_tenant(&one.name, &Limits::default(), "test").await;
        assert!(matches!(again, Err(MetadataError::Conflict(_))), "{again:?}");
        for name in ["", "../x", "a b", "ü"] {
            let made = store.create_tenant(name, &Limits::default(), "test").await;
            assert!(matches!(made, Err(MetadataError::Invalid(_))), "{name:?}");
        }
        let wrong = Limits { weight: 0.0, ..Limits::default() };
        assert!(store.create_tenant("fine", &wrong, "test").await.is_err());
        let by_id = store.find_tenant(&one.id.to_string()).await.unwrap().unwrap();
        assert_eq!(by_id, one);
        let limits = Limits { max_running: 7, rows_per_month: Some(5), ..one.limits.clone() };
        let changed = store.update_tenant(one.id, &limits, true, "test").await.unwrap();
        assert_eq!((changed.limits, changed.suspended), (limits, true));
    }
}
