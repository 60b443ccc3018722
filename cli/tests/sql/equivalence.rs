//! Cleaning by SQL gives the rows that `sanitizer run` gives, here and on a cluster.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use benchmarks_generator::{CustomerGenerator, write_table};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use planner::cluster::ClusterAddress;
use planner::run::JobRun;
use planner::spec::JobSpec;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sql::{Error, Session};

use crate::place::{Place, batches, block_on, cluster, texts};

/// Names and types of columns, and the rows as text.
type Table = (Vec<(String, DataType)>, Vec<Vec<String>>);

fn table(batches: &[RecordBatch]) -> Table {
    let schema = batches.first().map(RecordBatch::schema);
    let fields = schema.map(|schema| {
        let fields = schema.fields().iter();
        fields
            .map(|f| (f.name().clone(), f.data_type().clone()))
            .collect()
    });
    (fields.unwrap_or_default(), texts(batches))
}

/// The cleaned rows of `sanitizer run`.
async fn of_job(folder: &Path, file: &str, spec: &Value) -> Result<Table, planner::Error> {
    let mut document = spec.clone();
    document["source"] = json!({"location": file});
    document["output"] = json!({"location": "out", "rows_per_file": 8192});
    let spec = JobSpec::from_value(document, "test")?;
    let output = JobRun::new(spec, folder.to_owned()).run().await?.output;
    let data = output.local().unwrap().join("data");
    let mut parts: Vec<_> = std::fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    parts.sort();
    let batches = parts.iter().flat_map(|part| {
        let file = std::fs::File::open(part).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let reader = reader.build().unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        batches
    });
    Ok(table(&batches.collect::<Vec<_>>()))
}

async fn of_sql(session: &Session, sql: &str) -> Result<Table, Error> {
    Ok(table(&batches(session, sql).await?))
}

/// A statement of the steps of a job, one relation around the other, with those that every job has.
fn chained(input: &str, spec: &Value) -> String {
    let textual = [
        "missing_values",
        "normalize_text",
        "normalize",
        "canonicalize",
    ];
    let mut steps = vec![json!({"type": "missing_values"})];
    let mut coerced = false;
    for step in spec["steps"].as_array().unwrap() {
        if !coerced && !textual.contains(&step["type"].as_str().unwrap()) {
            coerced = true;
            steps.push(json!({"type": "coerce"}));
        }
        steps.push(step.clone());
    }
    if !coerced {
        steps.push(json!({"type": "coerce"}));
    }
    let dataset = spec["dataset"].to_string().replace('\'', "''");
    let mut relation = input.to_owned();
    for step in steps {
        let fields = step
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| *name != "type");
        let options: Vec<String> = fields
            .map(|(name, value)| match value {
                Value::String(text) => format!(", {name} => '{text}'"),
                other => format!(", {name} => '{}'", other.to_string().replace('\'', "''")),
            })
            .map(|option| option.replace("=> '0.", "=> 0.").replace("0.8'", "0.8"))
            .collect();
        let name = step["type"].as_str().unwrap();
        relation = format!(
            "{name}({relation}{}, dataset => '{dataset}')",
            options.concat()
        );
    }
    format!("SELECT * FROM {relation}")
}

/// Every way to say it in SQL.
fn ways(file: &str, spec: &Value) -> Vec<String> {
    let text = spec.to_string().replace('\'', "''");
    let mut ways = vec![
        format!("SELECT sanitize(*, '{text}') FROM '{file}'"),
        format!("SELECT * FROM sanitize('{file}', '{text}')"),
        format!(
            "SELECT * FROM sanitize((SELECT * FROM '{file}' WHERE true OR random() < 2), '{text}')"
        ),
        format!(
            "WITH raw AS (SELECT * FROM '{file}') SELECT * FROM (SELECT sanitize(*, '{text}') FROM raw) AS c"
        ),
    ];
    if spec["dataset"]["columns"].is_array() {
        ways.push(chained(&format!("'{file}'"), spec));
    }
    ways
}

/// All ways give the rows of the job, or fail as it does.
async fn check(session: &Session, folder: &Path, file: &str, spec: &Value) {
    let job = of_job(folder, file, spec).await;
    for sql in ways(file, spec) {
        match (&job, of_sql(session, &sql).await) {
            (Ok(job), Ok(rows)) => {
                if job.1.is_empty() {
                    // No batch tells the columns.
                    assert!(rows.1.is_empty(), "{sql}");
                    continue;
                }
                assert_eq!(job.0, rows.0, "the columns of {sql}");
                let differs = job.1.iter().zip(&rows.1).position(|(a, b)| a != b);
                if let Some(at) = differs {
                    panic!(
                        "{sql}: row {at} is {:?}, and {:?} of the job",
                        rows.1[at], job.1[at]
                    );
                }
                assert_eq!(job.1.len(), rows.1.len(), "{sql}");
            }
            (Err(job), Err(error)) => {
                assert_eq!(job.kind(), error.kind(), "{sql}: {job} / {error}");
            }
            (Ok(_), Err(error)) => panic!("{sql}: {error}"),
            (Err(job), Ok(_)) => panic!("{sql} gives rows, and the job fails: {job}"),
        }
    }
}

/// A table of dirty cells, as CSV.
fn dirty_table(random: &mut ChaCha8Rng) -> String {
    let cells = [
        "",
        "n/a",
        "-",
        " a ",
        "a",
        "A",
        "b  b",
        "B b",
        "1",
        "2",
        "3",
        "10",
        "1000",
        "x1",
        "3.5",
        "-7",
        "2021-03-04",
        "04/03/2021",
        "yes",
        "no",
        "é",
        "ada@example.com",
        "\"q,\"\"r\"",
    ];
    let rows = random.random_range(0..60);
    let mut text = "k,n,w,d\n".to_owned();
    for _ in 0..rows {
        let number = random.random_range(0..5).to_string();
        let age = if random.random_bool(0.2) {
            "".to_owned()
        } else {
            random.random_range(0..90).to_string()
        };
        let word = *cells.choose(random).unwrap();
        let free = *cells.choose(random).unwrap();
        text.push_str(&format!("{number},{age},{word},{free}\n"));
    }
    text
}

/// A job of some steps.
fn random_spec(random: &mut ChaCha8Rng) -> Value {
    let steps = [
        json!({"type": "normalize_text", "columns": ["w", "d"], "case": "lower"}),
        json!({"type": "normalize", "kind": "number", "columns": ["n"]}),
        json!({"type": "canonicalize", "columns": ["w"]}),
        json!({"type": "rules", "on_violation": "quarantine"}),
        json!({"type": "rules", "on_violation": "set_null"}),
        json!({"type": "outliers", "columns": ["n"], "method": "iqr", "action": "set_null"}),
        json!({"type": "dedupe", "columns": ["k"], "keep": "last"}),
        json!({"type": "dedupe", "columns": "*"}),
        json!({"type": "dedupe", "columns": ["k", "w"], "keep": "most_complete"}),
        json!({"type": "impute", "strategy": "median", "columns": ["n"]}),
        json!({"type": "impute", "strategy": "mode", "columns": ["w"]}),
    ];
    let dataset = json!({"columns": [
        {"name": "k", "type": "integer"},
        {"name": "n", "type": "integer", "business_rules": [{"range": {"min": 5, "max": 80}}]},
        {"name": "w", "type": "string", "canonical_values": ["a", "b b", "yes"]},
        {"name": "d", "type": "string"},
    ]});
    // Texts are cleaned before types are read from them, as jobs do.
    let mut order: Vec<usize> = (0..steps.len())
        .filter(|_| random.random_bool(0.35))
        .collect();
    order.sort_unstable();
    let chosen: Vec<Value> = order.into_iter().map(|at| steps[at].clone()).collect();
    if random.random_bool(0.2) {
        // The default pipeline, on a contract that is found out.
        return json!({});
    }
    json!({"dataset": dataset, "steps": chosen})
}

async fn check_random(place: &Place, cases: u64) {
    for seed in 0..cases {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let folder = tempfile::tempdir_in(place.home.path()).unwrap();
        let file = folder.path().join("t.csv");
        std::fs::write(&file, dirty_table(&mut random)).unwrap();
        let spec = random_spec(&mut random);
        check(
            &place.session(),
            folder.path(),
            file.to_str().unwrap(),
            &spec,
        )
        .await;
    }
}

/// A table of several splits, by jobs with steps that learn.
async fn check_customers(place: &Place) {
    let folder = tempfile::tempdir_in(place.home.path()).unwrap();
    let file = folder.path().join("customers.csv");
    write_table(CustomerGenerator::new(7), 30_000, 40, &file, None).unwrap();
    let specs = [
        json!({}),
        json!({"steps": [
            {"type": "normalize_text", "columns": ["full_name"], "case": "title"},
            {"type": "outliers", "columns": ["age"], "method": "mad", "action": "clip"},
            {"type": "dedupe", "columns": ["email"], "keep": "most_complete"},
            {"type": "impute", "strategy": "median", "columns": ["age"]},
        ]}),
        json!({"dataset": {"pii_strategy": "redact", "pii_detect": true}}),
    ];
    for spec in specs {
        check(
            &place.session(),
            folder.path(),
            file.to_str().unwrap(),
            &spec,
        )
        .await;
    }
}

/// Small random tables and jobs, and a table of several splits, in one process.
#[test]
fn sql_equals_jobs_in_one_process() {
    block_on(async {
        let place = Place::with(|options| options.rows_per_split = Some(8192)).await;
        check_random(&place, 60).await;
        check_customers(&place).await;
    });
}

/// The same on two executors.
#[test]
fn sql_equals_jobs_on_a_cluster() {
    let cluster = cluster();
    block_on(async {
        let address: ClusterAddress = cluster.url().parse().unwrap();
        let place = Place::with(|options| {
            options.rows_per_split = Some(8192);
            options.cluster = Some(address);
        })
        .await;
        check_random(&place, 5).await;
        check_customers(&place).await;
    });
}
