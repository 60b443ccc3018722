//! Every statement form, every function, every refusal: the files of `slt/`.

use std::path::Path;
use std::time::Duration;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use futures::TryStreamExt;
use sql::{Answer, Error, Session};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::place::{Place, block_on, cluster, rows, texts};

/// Time in which a statement must answer, on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(240);

/// A session as the runner of the files sees it.
struct Database(Session);

#[async_trait]
impl AsyncDB for Database {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        // A statement that never ends would hold up all tests.
        let answer = tokio::time::timeout(PATIENCE, self.0.execute(sql)).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer: {sql}"))?;
        Ok(match answer {
            Answer::Rows(rows) => {
                let types = rows
                    .schema()
                    .fields()
                    .iter()
                    .map(|f| kind(f.data_type()))
                    .collect();
                let batches = tokio::time::timeout(PATIENCE, rows.try_collect::<Vec<_>>()).await;
                let batches = batches.unwrap_or_else(|_| panic!("no rows: {sql}"))?;
                let mut rows = texts(&batches);
                for cell in rows.iter_mut().flatten().filter(|cell| cell.is_empty()) {
                    *cell = "(empty)".to_owned();
                }
                DBOutput::Rows { types, rows }
            }
            Answer::Written(rows) => DBOutput::StatementComplete(rows),
            Answer::Done => DBOutput::StatementComplete(0),
        })
    }

    async fn shutdown(&mut self) {}
}

fn kind(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        data_type if data_type.is_integer() => DefaultColumnType::Integer,
        data_type if data_type.is_floating() || data_type.is_decimal() => {
            DefaultColumnType::FloatingPoint
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

/// Runs the files on an engine each.
pub(crate) async fn run_files(place: impl AsyncFn() -> Place) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/slt");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut failures = Vec::new();
    for file in &files {
        let place = place().await;
        std::fs::write(place.home.path().join("salt"), "sixteen bytes and more").unwrap();
        let session = place.session();
        let mut runner = Runner::new(|| {
            let database = Database(session.clone());
            async { Ok(database) }
        });
        runner.set_var(
            "HOME_DIR".to_owned(),
            place.home.path().display().to_string(),
        );
        if std::env::var_os("UPDATE_SLT").is_some() {
            let columns = sqllogictest::default_column_validator;
            let (rows, cells) = (
                sqllogictest::default_validator,
                sqllogictest::default_normalizer,
            );
            runner
                .update_test_file(file, "\t", rows, cells, columns)
                .await
                .unwrap();
        } else if let Err(error) = runner.run_file_async(file).await {
            failures.push(error.display(false).to_string());
        }
    }
    assert!(!files.is_empty());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// On two executors, whose plans differ from those of one process in nothing that a statement shows.
#[test]
fn statements_on_a_cluster() {
    let cluster = cluster();
    block_on(run_files(async || Place::on(&cluster).await));
}

/// In one process.
#[test]
fn statements_in_one_process() {
    block_on(run_files(async || Place::new().await));
}

/// A plan is shown without any pass over the data, and with its figures when the statement is run.
#[test]
fn plans() {
    block_on(async {
        let place = Place::new().await;
        let session = place.session();
        let plan = rows(
            &session,
            "EXPLAIN SELECT sanitize(id, age) FROM 'people.csv'",
        )
        .await;
        let plan = plan.unwrap();
        assert_eq!(plan[0][0], "logical_plan");
        for part in [
            "CleanExec: pass=2, operations=[t-1 missing_values(columns=[id, age]), t-2 coerce(columns=[id, age]), ",
            "dedupe(columns=[id, age], keep=first)",
        ] {
            assert!(plan[1][1].contains(part), "{plan:?}");
        }
        assert!(plan[1][1].contains("file_type=splits"), "{plan:?}");
        // A rule that fails the job is not tried out by showing the plan.
        let failing = "sanitize('people.csv', dataset => {columns: [{name: 'age', type: 'integer', business_rules: [{range: {max: 50}}]}]}, steps => [{type: 'rules', on_violation: 'fail'}])";
        rows(&session, &format!("EXPLAIN SELECT * FROM {failing}"))
            .await
            .unwrap();
        let error = rows(&session, &format!("SELECT * FROM {failing}"))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("breaks the rule range"),
            "{error}"
        );
        assert_eq!(error.kind(), planner::ErrorKind::Refused);
        let ran = rows(
            &session,
            "EXPLAIN ANALYZE SELECT sanitize(id, age) FROM 'people.csv'",
        )
        .await;
        let ran = ran.unwrap()[0][1].clone();
        for shown in [
            "steps=",
            "dedupe rows_removed=",
            "impute cells_changed=",
            "impute time=",
            "impute statistic_time=",
            "dedupe statistic_memory=",
        ] {
            assert!(ran.contains(shown), "{shown}: {ran}");
        }
    });
}

/// Runs a statement, cancels it and waits for its end.
async fn cancel(session: &Session, sql: &str) {
    let statement = session.statement(sql).unwrap();
    let progress = std::sync::Arc::clone(statement.progress());
    let running = tokio::spawn(async move {
        match statement.plan().await?.run(&[]).await? {
            Answer::Rows(rows) => drop(rows.try_collect::<Vec<_>>().await?),
            Answer::Written(_) | Answer::Done => {}
        }
        Ok::<(), Error>(())
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    progress.cancel();
    let ended = tokio::time::timeout(PATIENCE, running).await;
    let error = ended.unwrap_or_else(|_| panic!("not cancelled: {sql}"));
    let error = error.unwrap().expect_err(sql);
    assert_eq!(error.to_string(), "cancelled", "{sql}");
}

/// A statement that somebody cancels ends, wherever it is.
#[test]
fn cancelled_statements() {
    block_on(async {
        let place = Place::new().await;
        let session = place.session();
        let numbers = "SELECT value AS n FROM generate_series(1, 100000000000)";
        for sql in [
            format!("SELECT max(n) FROM ({numbers})"),
            format!("SELECT sanitize(*) FROM ({numbers}) AS t"),
            format!("CREATE TABLE t AS {numbers}"),
        ] {
            cancel(&session, &sql).await;
        }
        assert!(rows(&session, "SELECT * FROM t").await.is_err());
        let left = std::fs::read_dir(place.home.path().join("warehouse/t")).unwrap();
        assert_eq!(left.count(), 0, "files of a table that was not made");
    });
}

/// Executors put down the tasks of a statement that somebody cancels, and take on others.
#[test]
fn cancelled_statements_on_a_cluster() {
    let cluster = cluster();
    block_on(async {
        let place = Place::on(&cluster).await;
        let session = place.session();
        let file = place.home.path().join("n.csv");
        let numbers: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        std::fs::write(&file, format!("n\n{}\n", numbers.join("\n"))).unwrap();
        let n = format!("'{}'", file.display());
        let endless = format!("{n} AS a CROSS JOIN {n} AS b CROSS JOIN {n} AS c");
        for sql in [
            format!("SELECT max(a.n || b.n || c.n) FROM {endless}"),
            format!("SELECT sanitize(*) FROM (SELECT a.n || b.n AS m, c.n FROM {endless}) AS t"),
        ] {
            // More often than there are places for tasks.
            for _ in 0..3 {
                cancel(&session, &sql).await;
            }
            let after = rows(&session, "SELECT count(*) FROM 'people.csv'");
            let after = tokio::time::timeout(PATIENCE, after).await;
            let after = after.unwrap_or_else(|_| panic!("tasks are left of {sql}"));
            assert_eq!(after.unwrap(), [["6"]], "{sql}");
        }
    });
}
