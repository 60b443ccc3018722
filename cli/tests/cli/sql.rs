//! `sanitizer sql`: statements, scripts, formats, the prompt's commands, and errors.

use std::io::Write;
use std::process::{Output, Stdio};

use benchmarks_harness::ClusterOptions;

use super::sandbox::Sandbox;

const PEOPLE: &str = "id,name,age\n1, Ann ,31\n2,Bob,\n2,Bob,\n3,Zoë,45\n";

/// A folder with `people.csv`, whose statements are run with a catalog in it.
pub fn with_people() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", PEOPLE);
    sandbox
}

/// Runs `sanitizer sql`, perhaps with something on standard input.
pub fn sql(sandbox: &Sandbox, arguments: &[&str], input: &str) -> Output {
    let arguments = [&["sql", "--home", "home"], arguments].concat();
    let mut child = sandbox
        .command(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that fails early does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What `sanitizer sql` prints; it must succeed.
pub fn printed(sandbox: &Sandbox, arguments: &[&str], input: &str) -> String {
    let output = sql(sandbox, arguments, input);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} {input}: {error}");
    assert_eq!(error, "", "{arguments:?} {input}");
    String::from_utf8(output.stdout).unwrap()
}

/// Its exit status and the error, which is one line.
fn failed(sandbox: &Sandbox, arguments: &[&str], input: &str) -> (i32, String) {
    let output = sql(sandbox, arguments, input);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    assert!(error.starts_with("error: "), "{error}");
    (output.status.code().unwrap(), error)
}

/// The text without the times that it tells.
fn timeless(text: &str) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        let line = match line.strip_suffix(" s)").and_then(|l| l.rsplit_once(", ")) {
            Some((before, _)) if line.starts_with('(') => format!("{before})"),
            _ => line.to_owned(),
        };
        kept.push_str(&line);
        kept.push('\n');
    }
    kept
}

const TABLE: &str = "CREATE EXTERNAL TABLE people (id BIGINT, name TEXT, age INT) \
    STORED AS CSV LOCATION 'people.csv';";

/// One statement or many, from the command line, files and standard input: tables for people, the
/// catalog lasts, and what is cleaned is clean.
#[test]
fn statements_run() {
    let sandbox = with_people();
    let made = printed(&sandbox, &[TABLE], "");
    assert_eq!(timeless(&made), "(done)\n");
    let query = "SELECT sanitize(*) FROM people ORDER BY id";
    let expected = " id │ name │ age
────┼──────┼─────
  1 │ Ann  │  31
  2 │ Bob  │  38
  3 │ Zoë  │  45
(3 rows)
";
    assert_eq!(timeless(&printed(&sandbox, &[query], "")), expected);
    assert_eq!(timeless(&printed(&sandbox, &[], query)), expected);
    sandbox.write("a.sql", &format!("-- a; comment\n{query}\n;\n"));
    assert_eq!(timeless(&printed(&sandbox, &["-f", "a.sql"], "")), expected);
    let twice = printed(&sandbox, &["-q", "-f", "a.sql", "-f", "a.sql"], "");
    assert_eq!(twice.lines().count(), 10, "{twice}");
    let two = printed(&sandbox, &["SELECT ';' AS a; SELECT NULL AS b"], "");
    assert_eq!(
        timeless(&two),
        " a\n───\n ;\n(1 row)\n b\n──────\n NULL\n(1 row)\n"
    );
}

/// A long chain of operators and a long chain of unions, within the limits, do not exhaust the stack.
#[test]
fn long_statements() {
    let sandbox = Sandbox::new();
    let chain = format!("SELECT 1{} AS sum", " + 1".repeat(2_000));
    assert!(printed(&sandbox, &["--format", "csv", &chain], "").contains("2001"));
    let unions = vec!["SELECT 1 AS a"; 300].join(" UNION ALL ");
    let counted = format!("SELECT sum(a) AS sum FROM ({unions})");
    assert!(printed(&sandbox, &["--format", "csv", &counted], "").contains("300"));
}

/// Each format, to standard output and into a file whose name promises one; a table without rows.
#[test]
fn formats() {
    let sandbox = with_people();
    let query = "SELECT CAST(id AS INT) AS id, trim(name) AS name, \
        CAST(nullif(age, '') AS INT) AS age FROM 'people.csv' WHERE id < '3' ORDER BY id LIMIT 2";
    let cases = [
        ("csv", "id,name,age\n1,Ann,31\n2,Bob,\n"),
        ("tsv", "id\tname\tage\n1\tAnn\t31\n2\tBob\t\n"),
        (
            "json",
            "[{\"id\":1,\"name\":\"Ann\",\"age\":31},{\"id\":2,\"name\":\"Bob\",\"age\":null}]\n",
        ),
        (
            "jsonl",
            "{\"id\":1,\"name\":\"Ann\",\"age\":31}\n{\"id\":2,\"name\":\"Bob\",\"age\":null}\n",
        ),
    ];
    for (format, expected) in cases {
        let text = printed(&sandbox, &["--format", format, query], "");
        assert_eq!(text, expected, "{format}");
        let file = format!("out.{format}");
        assert_eq!(printed(&sandbox, &["-o", &file, query], ""), "");
        let written = std::fs::read_to_string(sandbox.path(&file)).unwrap();
        assert_eq!(written, expected, "{format}");
    }
    let none = "SELECT id, name FROM 'people.csv' WHERE false";
    for (format, expected) in [("csv", "id,name\n"), ("json", "[]\n"), ("jsonl", "")] {
        let text = printed(&sandbox, &["--format", format, none], "");
        assert_eq!(text, expected, "{format}");
    }
    let nested = "SELECT [1, 2] AS list, {a: 1, b: 'x'} AS pair";
    assert_eq!(
        printed(&sandbox, &["--format", "csv", nested], ""),
        "list,pair\n\"[1, 2]\",\"{a: 1, b: x}\"\n"
    );
    assert_eq!(
        printed(&sandbox, &["--format", "jsonl", nested], ""),
        "{\"list\":[1,2],\"pair\":{\"a\":1,\"b\":\"x\"}}\n"
    );
}

/// Commands of the prompt work in scripts and on standard input.
#[test]
fn commands_of_the_prompt() {
    let sandbox = with_people();
    let script = format!(
        "{TABLE}\nCREATE VIEW old AS SELECT * FROM people WHERE age > 40;\nCREATE SCHEMA more;\n\
         CREATE SPEC tidy AS '{{\"steps\": [{{\"type\": \"dedupe\"}}]}}';"
    );
    printed(&sandbox, &["-q"], &script);
    let table = |input: &str| printed(&sandbox, &["-q"], input);
    assert_eq!(
        table("\\d"),
        " schema │ name   │ type\n────────┼────────┼────────────\n \
         public │ old    │ VIEW\n public │ people │ BASE TABLE\n"
    );
    assert!(!table("\\dt").contains("old"));
    assert!(!table("\\dv").contains("people"));
    let columns = table("\\d people");
    for column in ["id     │ Int64", "name   │ Utf8", "age    │ Int32"] {
        assert!(columns.contains(column), "{columns}");
    }
    assert_eq!(table("\\d public.PEOPLE;"), columns);
    assert!(table("\\dn").contains("more"));
    assert!(table("\\ds").contains("tidy"));
    let functions = table("\\df pii_*");
    assert!(functions.contains("pii_hash"), "{functions}");
    assert!(!functions.contains("abs"), "{functions}");
    assert!(table("\\df").contains("abs"));
    assert!(table("\\?").contains("\\timing"));

    let text = printed(
        &sandbox,
        &[],
        "\\timing\n\\x\nSELECT 1 AS a;\n\\q\nSELECT 2;",
    );
    assert_eq!(
        text,
        "times are off\nexpanded tables are on\n─ row 1 ─────────────\n a │ 1\n(1 row)\n"
    );
    sandbox.write("b.sql", "\\o b.csv\n\\format csv\nSELECT 1 AS a;\n\\o\n");
    let text = printed(&sandbox, &[], "\\i b.sql\nSELECT 2 AS b; \\format\n");
    assert_eq!(text, "b\n2\n");
    let written = std::fs::read_to_string(sandbox.path("b.csv")).unwrap();
    assert_eq!(written, "a\n1\n");
}

/// An error ends a script, tells its place, and gives the exit status of its kind.
#[test]
fn errors_are_told() {
    let sandbox = with_people();
    sandbox.write(
        "bad.sql",
        "SELECT 1 AS a;\n\nSELECT 2 AS b\n  FORM x y;\nSELECT 3 AS c;\n",
    );
    let output = sql(&sandbox, &["-q", "-f", "bad.sql"], "");
    let rows = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        rows, " a\n───\n 1\n",
        "what stands before the error has run"
    );
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with("error: bad.sql:4:"), "{error}");
    sandbox.write("loop.sql", "\\i loop.sql\n");

    let cases: [(&[&str], &str, i32, &[&str]); 12] = [
        (&["SELECT 1 +"], "", 2, &["error: Expected"]),
        (&["SELECT 1; SELECT * FORM x"], "", 2, &["line 1, column 2"]),
        (
            &[],
            "SELECT 1;\nSELECT nothing;",
            2,
            &["stdin:2", "nothing"],
        ),
        (&["SELECT * FROM nowhere"], "", 2, &["nowhere"]),
        (
            &["SELECT sanitize(*) FROM 'gone.csv'"],
            "",
            2,
            &["gone.csv"],
        ),
        (&["SELECT CAST('x' AS INT)"], "", 1, &["'x'"]),
        (&["\\d nowhere"], "", 2, &["no table or view nowhere"]),
        (&["\\nothing"], "", 2, &["\\nothing is no command"]),
        (&["\\format xml"], "", 2, &["xml"]),
        (&["-f", "gone.sql"], "", 2, &["gone.sql"]),
        (&["-f", "loop.sql"], "", 2, &["too deeply"]),
        (
            &["-o", "no/where.csv", "SELECT 1"],
            "",
            2,
            &["no/where.csv"],
        ),
    ];
    for (arguments, input, status, words) in cases {
        let (code, error) = failed(&sandbox, arguments, input);
        assert_eq!(code, status, "{arguments:?}: {error}");
        for word in words {
            assert!(error.contains(word), "{arguments:?}: {error}");
        }
    }
    for wrong in [
        &["--format", "xml", "SELECT 1"][..],
        &["--cluster", "localhost", "SELECT 1"],
        &[
            "--cluster",
            "df://a:1",
            "--server",
            "grpc://a:1",
            "SELECT 1",
        ],
        &["--server", "a:1", "SELECT 1"],
    ] {
        assert_eq!(sql(&sandbox, wrong, "").status.code(), Some(2), "{wrong:?}");
    }
}

/// Rows come as they are made: a reader that leaves ends a query of many rows quietly.
#[test]
fn a_closed_pipe_ends_quietly() {
    let sandbox = with_people();
    for format in ["table", "csv", "json", "jsonl"] {
        let query = "SELECT value AS n FROM generate_series(1, 100000000000)";
        let mut child = sandbox
            .command(&["sql", "--home", "home", "--format", format, query])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut start = [0; 64];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut start).unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{format}: {error}");
        assert_eq!(error, "", "{format}");
    }
}

/// The rows of two executors are the rows of one process.
#[test]
fn a_cluster_gives_the_same_rows() {
    let sandbox = Sandbox::with_customers(3_000);
    let cluster = sandbox.cluster(ClusterOptions {
        executors: 2,
        ..ClusterOptions::default()
    });
    let query = "CREATE EXTERNAL TABLE IF NOT EXISTS c STORED AS CSV LOCATION 'customers.csv'; \
        SELECT sanitize(*) FROM c; SELECT count(*) AS n FROM c WHERE email LIKE '%@%'";
    let run = |more: &[&str]| printed(&sandbox, &[&["--format", "csv", query], more].concat(), "");
    let here = run(&[]);
    assert!(here.lines().count() > 2_000, "{}", here.len());
    assert!(run(&["--cluster", &cluster.url()]) == here, "the same rows");
    let (status, error) = failed(&sandbox, &["--cluster", "df://127.0.0.1:1", query], "");
    assert_eq!(status, 1, "{error}");
    assert!(error.contains("does not answer"), "{error}");
}

/// The output of a finished job is there as tables; a later job of the name takes its place.
#[test]
fn finished_jobs_are_tables() {
    let sandbox = with_people();
    let run = |more: &[&str]| {
        let arguments = [
            &["run", "people.csv", "-o", "Out-1", "--home", "home"],
            more,
        ]
        .concat();
        sandbox.succeed(&arguments);
    };
    run(&[]);
    let count = |table: &str| {
        let sql_text = format!("SELECT count(*) FROM jobs.out_1.{table}");
        printed(&sandbox, &["--format", "csv", &sql_text], "")
    };
    assert_eq!(count("data"), "count(*)\n3\n");
    assert_eq!(count("removed"), "count(*)\n1\n");
    assert_eq!(count("quarantine"), "count(*)\n0\n");
    let changed = "SELECT column_name, cleaned_value FROM jobs.out_1.provenance ORDER BY row_id";
    let changed = printed(&sandbox, &["--format", "csv", changed], "");
    assert!(changed.contains("name,Ann"), "{changed}");
    let named = "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'jobs' AND table_schema = 'out_1' ORDER BY table_name";
    let named = printed(&sandbox, &["--format", "csv", named], "");
    assert_eq!(named, "table_name\ndata\nprovenance\nquarantine\nremoved\n");
    run(&["--set", "output.format=csv"]);
    assert_eq!(count("data"), "count(*)\n3\n");
}
