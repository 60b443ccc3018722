//! What is wrong is told in a line, with the right exit status, and nothing is left behind.

use super::sandbox::Sandbox;

/// Runs a job that must be refused; gives its status and its error.
fn refused(sandbox: &Sandbox, job: &str) -> (i32, String) {
    sandbox.write("job.yaml", job);
    let output = sandbox.run(&["run", "job.yaml"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.lines().count() <= 2, "{error}");
    assert!(
        !error.contains("panicked") && !error.contains("backtrace"),
        "{error}"
    );
    assert!(
        !sandbox.path("out").exists(),
        "{error}: something was left behind"
    );
    (output.status.code().unwrap(), error)
}

/// Mistakes in a spec, each with what its error must name.
#[test]
fn mistakes_in_a_spec() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", "x,y\n1,a\n2,b\n3,a\n");
    let source = "source: {location: a.csv}\noutput: {location: out}\n";
    let cases: &[(String, &[&str])] = &[
        (format!("{source}stepps: []"), &["job.yaml", "stepps"]),
        (format!("{source}version: 2"), &["version"]),
        (
            format!("{source}dataset: {{columns: [{{name: x, type: intger}}]}}"),
            &["dataset.columns[0].type", "integer"],
        ),
        (
            format!("{source}dataset: {{columns: [{{name: z, type: integer}}]}}"),
            &["dataset.columns[0].name", "z"],
        ),
        (
            format!("{source}steps: [{{type: dedup}}]"),
            &["steps[0].type", "dedup", "dedupe"],
        ),
        (
            format!("{source}steps: [{{type: dedupe, colums: [x]}}]"),
            &["steps[0]", "colums"],
        ),
        (
            format!("{source}steps: [{{type: dedupe, columns: [z]}}]"),
            &["steps[0].columns[0]", "\"z\""],
        ),
        (
            format!("{source}steps: [{{type: impute, strategy: median, columns: [y]}}]"),
            &["steps[0].columns[0]", "string"],
        ),
        (
            format!(
                "{source}steps: [{{type: normalize, kind: phone, columns: [y], region: Mars}}]"
            ),
            &["steps[0].region"],
        ),
        (
            format!(
                "{source}steps: [{{type: normalize, kind: date, columns: [y], formats: [\"%Q\"]}}]"
            ),
            &["steps[0].formats", "%Q"],
        ),
        (
            format!("{source}steps: [{{type: near_dedupe, keep: most_recent}}]"),
            &["steps[0].recent_by", "needed"],
        ),
        (
            format!("{source}steps: [{{type: near_dedupe, threshold: 1.5}}]"),
            &["steps[0].threshold", "from 0.1 to 1"],
        ),
        (
            format!("{source}steps: [{{type: near_dedupe, shingle: 5 lines}}]"),
            &["steps[0].shingle", "5 lines"],
        ),
        (
            format!("{source}steps: [{{type: near_dedupe, link_by: z}}]"),
            &["steps[0].link_by", "z"],
        ),
        (
            format!(
                "{source}steps: [{{type: rules, rules: [{{column: x, rule: {{expression: \"x +\"}}}}]}}]"
            ),
            &["steps[0]", "expression"],
        ),
        (
            format!(
                "{source}dataset: {{pii_token_key: env:NO_SUCH_KEY, columns: [{{name: y, pii: true, pii_strategy: tokenize}}]}}"
            ),
            &["NO_SUCH_KEY"],
        ),
        (
            format!(
                "{source}dataset: {{pii_salt: env:NO_SUCH_SALT, columns: [{{name: y, pii: true}}]}}"
            ),
            &["env:NO_SUCH_SALT", "not set"],
        ),
        (
            format!("{source}dataset: {{pii_salt: swordfish, columns: [{{name: y, pii: true}}]}}"),
            &["dataset.pii_salt", "env:NAME"],
        ),
        (
            format!("{source}options: {{memory_limit: lots}}"),
            &["options.memory_limit", "4GiB"],
        ),
        ("source: {location: a.csv}".into(), &["output.location"]),
        (
            "source: {location: nothing.csv}\noutput: {location: out}".into(),
            &["nothing.csv"],
        ),
        (
            "source: {location: \"ftp://host/a.csv\"}\noutput: {location: out}".into(),
            &["ftp"],
        ),
        ("source: [".into(), &["job.yaml"]),
    ];
    for (job, named) in cases {
        let (status, error) = refused(&sandbox, job);
        assert_eq!(status, 2, "{job}\n{error}");
        for word in *named {
            assert!(error.contains(word), "{job}\nmust name {word:?}: {error}");
        }
        assert!(!error.contains("swordfish"), "a secret is not repeated");
    }
}

/// A source that cannot be read fails the job with status 1, like a rule that fails it: neither the
/// command line nor the spec is wrong.
#[test]
fn a_source_that_cannot_be_read() {
    let sandbox = Sandbox::new();
    sandbox.write("a.parquet", "PAR1 and no more");
    std::fs::write(sandbox.path("a.csv.gz"), b"\x1f\x8b\x08\0 and no more").unwrap();
    sandbox.write("a.xlsx", "no workbook");
    sandbox.write("a.json", "{\"rows\": [");
    for name in ["a.parquet", "a.csv.gz", "a.xlsx", "a.json"] {
        let job = format!("source: {{location: {name}}}\noutput: {{location: out}}");
        let (status, error) = refused(&sandbox, &job);
        assert_eq!(status, 1, "{error}");
        assert!(error.contains(name), "{error}");
        let looked = sandbox.run(&["profile", name]);
        assert_eq!(looked.status.code(), Some(1), "{name}");
    }
}

/// A rule that fails the job does so with status 1, and leaves nothing.
#[test]
fn a_rule_that_fails_the_job() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", "x\n1\n2\n-3\n");
    let (status, error) = refused(
        &sandbox,
        "source: {location: a.csv}\noutput: {location: out}\nsteps: [{type: rules, on_violation: fail, rules: [{column: x, rule: non_negative}]}]",
    );
    assert_eq!(status, 1, "{error}");
    assert!(
        error.contains("row 2") && error.contains("non_negative"),
        "{error}"
    );
}

/// A folder that holds something else is left alone.
#[test]
fn a_folder_that_is_not_ours() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", "x\n1\n");
    sandbox.write("out/precious.txt", "keep me");
    let output = sandbox.run(&["run", "a.csv", "-o", "out"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("precious.txt"), "{error}");
    assert_eq!(std::fs::read_dir(sandbox.path("out")).unwrap().count(), 1);
}

/// A memory limit that is too small fails the job with status 1, in a line that names the limit,
/// and leaves nothing; a greater one lets the same job pass.
#[test]
fn too_small_a_memory_limit() {
    let sandbox = Sandbox::with_customers(8_000);
    let job = std::fs::read_to_string(sandbox.path("job.yaml")).unwrap();
    let mut refusals = 0;
    // Doubled until the job passes, so that it fails at each place that asks for memory.
    for limit in (17..26).map(|power| 1u64 << power) {
        let job = job.replace("2GiB", &limit.to_string());
        sandbox.write("limited.yaml", &job);
        let output = sandbox.run(&["run", "limited.yaml"]);
        if output.status.success() {
            break;
        }
        let (status, error) = refused(&sandbox, &job);
        assert_eq!(status, 1, "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            error.starts_with("error: options.memory_limit (")
                && error.contains("dedupe (9 columns)")
                && error.ends_with("raise it\n"),
            "{error}"
        );
        refusals += 1;
    }
    assert!(refusals > 1, "the limit was never reached");
    assert!(
        sandbox.path("out/metadata.json").exists(),
        "no limit was enough"
    );
}

/// A full disk fails the job with status 1 and leaves nothing; a limit on file sizes stands in for it.
#[cfg(unix)]
#[test]
fn a_full_disk() {
    let sandbox = Sandbox::with_customers(3_000);
    let script = format!(
        "trap '' XFSZ; ulimit -f 40; exec {} run job.yaml",
        env!("CARGO_BIN_EXE_sanitizer")
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(sandbox.path(""))
        .env("TEST_SALT", "0123456789abcdef0123456789abcdef")
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("part-00000"), "{error}");
    assert!(!sandbox.path("out/metadata.json").exists());
    assert!(!sandbox.path("out/data").exists());
}
