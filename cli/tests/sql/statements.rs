//! Every statement form, every function, every refusal: the files of `slt/`.

use std::path::Path;
use std::time::Duration;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use futures::TryStreamExt;
use sql::{Answer, Error, Session};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::place::{Place, block_on, cluster, texts};

/// Time in which a statement must answer, on a machine that builds something else meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

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
