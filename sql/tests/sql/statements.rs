//! Every statement form, every function, every refusal: the files of `slt/`.

use std::path::Path;

use arrow::datatypes::DataType;
use async_trait::async_trait;
use futures::TryStreamExt;
use sql::{Answer, Error, Session};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::place::{Place, texts};

/// A session as the runner of the files sees it.
struct Database(Session);

#[async_trait]
impl AsyncDB for Database {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        Ok(match self.0.execute(sql).await? {
            Answer::Rows(rows) => {
                let types = rows.schema().fields().iter().map(|f| kind(f.data_type())).collect();
                let batches: Vec<_> = rows.try_collect().await?;
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
        runner.set_var("HOME_DIR".to_owned(), place.home.path().display().to_string());
        // SAFETY of a literal kind: the salt of the tests is no secret.
        if let Err(error) = runner.run_file_async(file).await {
            failures.push(error.display(false).to_string());
        }
    }
    assert!(!files.is_empty());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// In one process.
#[tokio::test(flavor = "multi_thread")]
async fn statements_in_one_process() {
    run_files(Place::new).await;
}
