#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use arrow::array::RecordBatch;
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::TryStreamExt;

use super::*;
use planner_engine::operation::Splits;
use planner_engine::operators::{SumOrder, scan_splits};
use planner_engine::run::{JobRun, discover, open_source};
use planner_engine::session::session;
use planner_engine::sink::{PartFolder, SinkOrder};
use planner_engine::spec::JobSpec;
use planner_engine::steps::StepSpec;
use planner_source::Source;
use planner_storage::Place;

const SPLIT_ROWS: u64 = 8_192;

fn encode_plan(plan: &Arc<dyn ExecutionPlan>) -> Vec<u8> {
    let codec = SanitizerCodec::default();
    let node = PhysicalPlanNode::try_from_physical_plan(Arc::clone(plan), &codec).unwrap();
    node.encode_to_vec()
}

fn decode_plan(bytes: &[u8]) -> Arc<dyn ExecutionPlan> {
    let node = PhysicalPlanNode::decode(bytes).unwrap();
    let context = session().task_ctx();
    node.try_into_physical_plan(&context, &SanitizerCodec::default())
        .unwrap()
}

/// A job on a source, and the source, cut into small splits.
fn job(folder: &Path, spec: &str) -> (JobRun, Arc<Source>) {
    let text =
        format!("version: 1\noutput: {{location: out, rows_per_file: {SPLIT_ROWS}}}\n{spec}");
    let spec = JobSpec::parse(&text, "test", &[]).unwrap();
    let run = JobRun::new(spec, folder.to_owned());
    let staging = folder.join("staging");
    std::fs::create_dir_all(&staging).unwrap();
    let rows = run.spec.output.rows_per_file;
    let source = open_source(&run.spec.source, rows, &run.locations, &Place::own(staging)).unwrap();
    (run, source)
}

fn recipe(run: &JobRun, source: &Arc<Source>) -> PlanSpec {
    let progress = &run.progress;
    let contract = discover(source, &run.spec.dataset, 1, false, progress).unwrap();
    let types = source.columns.iter().map(|c| c.data_type.clone());
    PlanSpec::new(run.spec.clone(), contract, types.collect())
}

fn pass_state(recipe: PlanSpec, source: &Source, known: Vec<Known>) -> Arc<PassState> {
    Arc::new(PassState {
        recipe: Arc::new(recipe),
        pass: 0,
        known,
        rows_per_split: source.rows_per_split,
        total_rows: source.total_rows,
        first_row_id: 77,
        profile_sample: RowSample::of(source.total_rows, 100, 7),
        figure_sample: Some(RowSample::of(source.total_rows, 50, 8)),
        remote: true,
        exchange: None,
        progress: Arc::default(),
    })
}

async fn read(plan: Arc<dyn ExecutionPlan>) -> Vec<RecordBatch> {
    let context = session().task_ctx();
    let mut batches = Vec::new();
    for partition in 0..plan.output_partitioning().partition_count() {
        let stream = plan.execute(partition, Arc::clone(&context)).unwrap();
        batches.extend(stream.try_collect::<Vec<_>>().await.unwrap());
    }
    batches
}

/// Files of every format that is cut, and of some that are staged; more rows than a split has.
fn write_sources(folder: &Path) -> Vec<&'static str> {
    let rows = 3 * SPLIT_ROWS / 2;
    let mut csv = String::from("id,text\n");
    let mut jsonl = String::new();
    for row in 0..rows {
        csv.push_str(&format!("{row},\"line {row}\nand \"\"quotes\"\"\"\n"));
        jsonl.push_str(&format!("{{\"text\":\"t{row}\",\"id\":{row}}}\n"));
    }
    let batch = RecordBatch::try_from_iter([(
        "id",
        Arc::new(arrow::array::Int64Array::from_iter_values(0..rows as i64)) as _,
    )])
    .unwrap();
    let parquet = std::fs::File::create(folder.join("b.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(parquet, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let pieces = folder.join("pieces");
    std::fs::create_dir(&pieces).unwrap();
    for piece in 0..40 {
        let text = format!("id,text\n{}", format!("{piece},p\n").repeat(700));
        std::fs::write(pieces.join(format!("{piece:02}.csv")), text).unwrap();
    }
    std::fs::write(folder.join("a.csv"), &csv).unwrap();
    std::fs::write(folder.join("latin.csv"), csv.replace("line", "l\u{fc}ne")).unwrap();
    std::fs::write(folder.join("c.jsonl"), &jsonl).unwrap();
    let array = format!("[{}]", jsonl.trim_end().replace('\n', ","));
    std::fs::write(folder.join("d.json"), array).unwrap();
    vec![
        "a.csv",
        "latin.csv",
        "b.parquet",
        "c.jsonl",
        "d.json",
        "pieces",
    ]
}

/// The scan of each split by itself, as a task gets it, reads what the whole scan reads, and its
/// message does not grow with the files and marks of other splits.
#[tokio::test]
async fn scans_of_single_splits() {
    let folder = tempfile::tempdir().unwrap();
    for name in write_sources(folder.path()) {
        let (_, source) = job(folder.path(), &format!("source: {{location: {name}}}"));
        let splits: Vec<usize> = (0..source.split_count()).collect();
        assert!(splits.len() > 1, "{name}");
        let all: Arc<dyn ExecutionPlan> = scan_splits(&source, &splits, 1);
        let whole = encode_plan(&all);
        assert_eq!(encode_plan(&decode_plan(&whole)), whole, "{name}");
        let mut parts = Vec::new();
        for split in splits {
            let one: Arc<dyn ExecutionPlan> = scan_splits(&source, &[split], 1);
            let message = encode_plan(&one);
            if name == "pieces" {
                assert!(
                    message.len() < whole.len() * 2 / 3,
                    "{} {}",
                    message.len(),
                    whole.len()
                );
            }
            // The scheduler decodes a scan of all and encodes a scan of some.
            let (_, scan) = scan_of(&all).unwrap();
            let again: Arc<dyn ExecutionPlan> = scan_groups(scan.source(), &[vec![split]]);
            assert_eq!(encode_plan(&again), message, "{name}");
            parts.extend(read(decode_plan(&message)).await);
        }
        assert_eq!(read(all).await, parts, "{name}");
    }
}

/// Passes come back with every step's spec, the contract, what was learned and where to write; the
/// program that another process compiles is the same.
#[test]
fn passes_of_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let header = "id,customer_id,status,full_name,address,city,notes,email,phone,age,income,country,\
                  signup_date,order_id,start_date,end_date,price,amount,company";
    let cells = header.split(',').map(|name| format!("{name} 1"));
    let row = cells.collect::<Vec<_>>().join(",");
    std::fs::write(folder.path().join("a.csv"), format!("{header}\n{row}\n")).unwrap();
    let mut encoded = 0;
    for (name, example) in StepSpec::EXAMPLES {
        let spec = format!("source: {{location: a.csv}}\nsteps: [{example}]");
        let (run, source) = job(folder.path(), &spec);
        let made = recipe(&run, &source);
        let stored = Stored {
            folder: Place::own(folder.path().join("learned")),
            op: 3,
            buckets: vec![0, 63],
            note: 2.into(),
        };
        let known = vec![Known::Nothing, Known::Stored(stored)];
        let state = pass_state(made, &source, known);
        let scan: Arc<dyn ExecutionPlan> = scan_splits(&source, &[0], 1);
        let sink = SinkOrder {
            folder: PartFolder {
                files: Place::own(folder.path().join("files")),
                unfinished: Place::own(folder.path().join("unfinished")),
            },
            job_id: "job".to_owned(),
            various: vec![true, false],
        };
        let learn: Arc<dyn ExecutionPlan> =
            Arc::new(LearnExec::new(Arc::clone(&scan), Arc::clone(&state)));
        let publish: Arc<dyn ExecutionPlan> =
            Arc::new(PublishExec::new(scan, Arc::clone(&state), sink.clone()));
        let order = SumOrder {
            sums: vec![
                (1, serde_json::Value::Null),
                (6, serde_json::json!({"meeting": {"most": 7}})),
            ],
            folder: Place::own(folder.path().join("learned")),
            splits: Splits { count: 1, rows: 1 },
            told: Some(RowSample::of(9, 3, 1)),
        };
        let sum = SumExec::over(
            Arc::clone(&learn),
            3,
            Arc::clone(&state.recipe),
            order.clone(),
        )
        .unwrap();
        let sum: Arc<dyn ExecutionPlan> = Arc::new(sum);
        let back = decode_plan(&encode_plan(&sum));
        let again = back.downcast_ref::<SumExec>().unwrap();
        assert_eq!(again.order(), &order);
        assert_eq!(again.recipe().job, state.recipe.job, "{name}");
        assert_eq!(back.output_partitioning().partition_count(), 3);
        for plan in [learn, publish] {
            let message = encode_plan(&plan);
            let back = decode_plan(&message);
            assert_eq!(encode_plan(&back), message, "{name}");
            let other = match back.downcast_ref::<LearnExec>() {
                Some(learn) => Arc::clone(&learn.work().0),
                None => {
                    let work = back.downcast_ref::<PublishExec>().unwrap().work();
                    assert_eq!(work.order, sink);
                    Arc::clone(&work.state)
                }
            };
            assert_eq!(other.recipe.job, state.recipe.job, "{name}");
            assert_eq!(other.recipe.contract, state.recipe.contract, "{name}");
            assert_eq!(other.recipe.types, state.recipe.types, "{name}");
            assert_eq!(other.first_row_id, state.first_row_id);
            assert_eq!(other.profile_sample, state.profile_sample);
            assert_eq!(other.figure_sample, state.figure_sample);
            assert!(matches!(
                &other.known[..],
                [Known::Nothing, Known::Stored(_)]
            ));
            if let Ok(program) = state.recipe.program() {
                let same = other.recipe.program().unwrap();
                assert_eq!(format!("{program:?}"), format!("{same:?}"), "{name}");
                encoded += 1;
            }
        }
    }
    assert!(encoded > 10, "only {encoded} programs were compiled");
}

/// What is no message of ours, or of another version, is an error.
#[test]
fn broken_messages() {
    for message in [&b""[..], b"\xff", b"\x0a\x02\x08", b"\x0a\x00"] {
        assert!(decode(message, &[]).is_err(), "{message:?}");
    }
}

/// Which secrets a query may name travels with it, through the scheduler too: an executor resolves none that the
/// driver refuses, and makes the hashes of the tenant.
#[tokio::test]
async fn c4_a_policy_travels_with_the_plan() {
    use udfs::scalar::secret::SecretReference;
    let listed: SecretReference = "env:PATH".parse().unwrap();
    let access = SecretAccess::Tenant {
        name: "acme".to_owned(),
        allowed: vec![listed.clone()],
    };
    let session = session();
    session.register_udf(PiiHashFunction::new(access).into());
    let of = async |statement: &str| {
        let frame = session.sql(statement).await?;
        frame.create_physical_plan().await
    };
    let values = "FROM (VALUES ('ann'), ('bob')) AS t (x)";
    let plan = of(&format!("SELECT pii_hash(x, 'env:PATH') {values}"))
        .await
        .unwrap();
    let once = encode_plan(&plan);
    let decoded = decode_plan(&once);
    assert_eq!(encode_plan(&decoded), once);
    let (here, there) = (read(plan).await, read(decoded).await);
    assert_eq!(here, there);
    let plain = session;
    plain.register_udf(PiiHashFunction::default().into());
    let raw = plain
        .sql(&format!("SELECT pii_hash(x, 'env:PATH') {values}"))
        .await
        .unwrap();
    let raw = raw.collect().await.unwrap();
    assert_ne!(raw[0].column(0), here[0].column(0));
    let derived = plain
        .sql(&format!(
            "SELECT pii_hash(x, 'tenant:acme:env:PATH') {values}"
        ))
        .await
        .unwrap();
    assert_eq!(
        derived.collect().await.unwrap()[0].column(0),
        here[0].column(0)
    );

    // A name that is computed where the rows are is asked for under the policy too.
    let hash = PiiHashFunction::new(SecretAccess::Tenant {
        name: "acme".to_owned(),
        allowed: vec![listed],
    });
    let mut buffer = Vec::new();
    let codec = SanitizerCodec::default();
    codec.try_encode_udf(&hash.into(), &mut buffer).unwrap();
    let decoded = codec.try_decode_udf(PII_HASH, &buffer).unwrap();
    let elsewhere = planner_engine::session::session();
    elsewhere.register_udf(decoded.as_ref().clone());
    for secret in [
        "concat('env:', 'HOME')",
        "concat('file:', '/etc/passwd')",
        "concat('env:', 'NO_SUCH')",
        "'env:HOME'",
    ] {
        let statement = format!("SELECT pii_hash(x, {secret}) {values}");
        let refused = match elsewhere.sql(&statement).await {
            Ok(frame) => frame.collect().await.map(drop),
            Err(error) => Err(error),
        };
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("not among those that may be named"),
            "{secret}: {refused}"
        );
    }
}
