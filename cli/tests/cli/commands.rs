//! The commands beside `run`, and `run` without a spec.

use super::output::{document, rows};
use super::sandbox::Sandbox;

/// A file of each text format goes through the default pipeline, into each output format.
#[test]
fn the_default_pipeline() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "a.csv",
        "id,name,born\n1, Ann ,2001-02-03\n2,Bob,2002-03-04\n2,Bob,2002-03-04\n3,N/A,\n",
    );
    sandbox.write("a.jsonl", "{\"id\":1,\"name\":\" Ann \",\"born\":\"2001-02-03\"}\n{\"id\":2,\"name\":\"Bob\",\"born\":\"2002-03-04\"}\nnot json\n{\"id\":2,\"name\":\"Bob\",\"born\":\"2002-03-04\"}\n");
    for data in ["a.csv", "a.jsonl"] {
        let printed = sandbox.succeed(&["run", data, "-o", "out"]);
        assert!(printed.contains("report.html"), "{printed}");
        let clean = rows(&sandbox.path("out"), "data");
        assert_eq!(clean[0][1].as_deref(), Some("Ann"), "{data}");
        assert_eq!(clean[0][2].as_deref(), Some("2001-02-03"), "{data}");
        assert_eq!(rows(&sandbox.path("out"), "removed").len(), 1, "{data}");
    }
    sandbox.succeed(&["run", "a.csv", "-o", "text", "--set", "output.format=csv"]);
    let text = std::fs::read_to_string(sandbox.path("text/data/part-00000.csv")).unwrap();
    assert_eq!(
        text,
        "id,name,born\n1,Ann,2001-02-03\n2,Bob,2002-03-04\n3,,\n"
    );
    sandbox.succeed(&[
        "run",
        "a.csv",
        "-o",
        "lines",
        "--set",
        "output.format=jsonl",
    ]);
    let lines = std::fs::read_to_string(sandbox.path("lines/data/part-00000.jsonl")).unwrap();
    assert_eq!(
        lines.lines().next(),
        Some(r#"{"id":1,"name":"Ann","born":"2001-02-03"}"#)
    );
}

/// What `init` prints is a spec that runs and does what its steps say.
#[test]
fn init_gives_a_spec_that_runs() {
    let sandbox = Sandbox::with_customers(2_000);
    let draft = sandbox.succeed(&["init", "customers.csv"]);
    sandbox.write("draft.yaml", &draft);
    sandbox.succeed(&["run", "draft.yaml", "-o", "drafted"]);
    let report = document(&sandbox.path("drafted/report.json"));
    assert_eq!(report["summary"]["original_row_count"], 2_000);
    let steps: Vec<&str> = report["transformations_applied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["type"].as_str().unwrap())
        .collect();
    assert!(
        steps.contains(&"normalize_text") && steps.contains(&"dedupe"),
        "{steps:?}"
    );
}

/// `profile` shows each column with its type; `--json` is a document.
#[test]
fn profile_shows_the_columns() {
    let sandbox = Sandbox::with_customers(500);
    let table = sandbox.succeed(&["profile", "customers.csv"]);
    assert!(table.contains("500 rows, 9 columns"), "{table}");
    let json = sandbox.succeed(&["profile", "customers.csv", "--json"]);
    let profile: serde_json::Value = serde_json::from_str(&json).unwrap();
    let age = profile["columns"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["name"] == "age")
        .unwrap();
    assert_eq!(age["type"], "integer");
    assert_eq!(age["rows"], 500);
}

/// `explain` shows which pass learns what, and why a pass is needed.
#[test]
fn explain_shows_the_passes() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", "x,y\n1,a\n2,b\n900,c\n");
    sandbox.write(
        "job.yaml",
        "source: {location: a.csv}\noutput: {location: out}\nsteps: [{type: outliers, columns: [x], action: set_null}, {type: dedupe}, {type: impute, strategy: median, columns: [x]}]",
    );
    let text = sandbox.succeed(&["explain", "job.yaml"]);
    assert!(text.contains("pass 3: clean and write"), "{text}");
    assert!(text.contains("must wait for the pass before"), "{text}");
    assert!(
        text.contains("a 128-bit hash of x, y: 24 bytes a row"),
        "{text}"
    );
    assert!(text.contains("median of x: 16 bytes a row"), "{text}");
    assert!(
        text.contains("→ LearnExec: shuffles hashes of at most about 72 bytes; "),
        "{text}"
    );
    assert!(
        text.contains("2  SumExec(1 partitions): shuffles nothing"),
        "{text}"
    );
    assert!(text.contains("→ PublishExec: shuffles nothing"), "{text}");
    assert!(!text.contains('{'), "words, no data structures: {text}");
    assert!(!sandbox.path("out").exists(), "explain writes nothing");
}

/// The schema of the job spec names every step and accepts the examples of all.
#[test]
fn schema_accepts_every_example() {
    let sandbox = Sandbox::new();
    let text = sandbox.succeed(&["schema", "job"]);
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (name, example) in planner::steps::StepSpec::EXAMPLES {
        let job = format!(
            "{{source: {{location: a.csv}}, output: {{location: out}}, steps: [{example}]}}"
        );
        let spec = planner::spec::JobSpec::parse(
            &format!(
                "version: 1\n{}",
                &job[1..job.len() - 1]
                    .replace(", output", "\noutput")
                    .replace(", steps", "\nsteps")
            ),
            "example",
            &[],
        );
        let spec = spec.unwrap_or_else(|error| panic!("{name}: {error}"));
        let document = serde_json::to_value(&spec).unwrap();
        assert!(validator.is_valid(&document), "{name}: {document}");
    }
}

/// The report goes to stdout as JSON on request, and the progress nowhere without a terminal.
#[test]
fn json_report_on_stdout() {
    let sandbox = Sandbox::with_customers(300);
    let output = sandbox.run(&["run", "job.yaml", "--json"]);
    assert!(output.status.success());
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["summary"]["original_row_count"], 300);
}

/// The page on the job spec is the one that the program prints.
#[test]
fn the_reference_is_up_to_date() {
    let printed = Sandbox::new().succeed(&["schema", "job", "--markdown"]);
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/job.md");
    let written = std::fs::read_to_string(page).unwrap();
    assert!(
        printed == written,
        "run: sanitizer schema job --markdown > docs/job.md"
    );
}
