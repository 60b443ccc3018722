//! Statements that nobody should write: no panic, no hang, no mistake that is taken for the engine's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use planner::ErrorKind;
use planner::storage::TenantRoots;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sql::{Access, Answer, Error, Session};

use crate::place::{Place, block_on, data, rows};

/// Time for one statement.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows of a result that are looked at: a mutated join may give billions.
const LOOKED_AT: usize = 4;

/// An engine whose statements see a copy of the data, and nothing else.
async fn fenced() -> Place {
    let place = Place::with(|options| {
        // What the engine keeps lies beside the data, and is no statement's.
        let data_copy = options.home.join("data");
        copy_folder(&data(), &data_copy);
        options.base = data_copy.clone();
        options.access = Access::Tenants(TenantRoots::parse([&*data_copy.to_string_lossy()]));
        options.home = options.home.join("home");
        options.secrets = Some(Vec::new());
        options.memory_limit = 64 << 20;
    })
    .await;
    let session = place.session();
    session
        .execute("CREATE EXTERNAL TABLE people STORED AS CSV LOCATION 'people.csv'")
        .await
        .unwrap();
    place
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Plans a statement, and looks at the first rows that it gives.
async fn try_statement(session: &Session, sql: &str) -> Result<(), Error> {
    let work = async {
        if let Answer::Rows(mut rows) = session.execute(sql).await? {
            for _ in 0..LOOKED_AT {
                match rows.next().await {
                    Some(batch) => drop(batch?),
                    None => break,
                }
            }
        }
        Ok(())
    };
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("no answer: {sql}"))
}

/// The statements of all files of `slt/`.
fn statements() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql/slt");
    let mut statements = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for record in text.split("\n\n") {
            let mut lines = record.lines();
            let first = lines.next().unwrap_or_default();
            if first.starts_with("statement") || first.starts_with("query") {
                statements.push(
                    lines
                        .take_while(|line| *line != "----")
                        .collect::<Vec<_>>()
                        .join(" "),
                );
            }
        }
    }
    statements.sort();
    statements
}

/// The words and signs of a text.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = false;
    for c in text.chars() {
        let of_word = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if word && of_word => last.push(c),
            _ => tokens.push(c.to_string()),
        }
        word = of_word;
    }
    tokens
}

fn mutate(random: &mut ChaCha8Rng, corpus: &[Vec<String>]) -> String {
    let mut tokens = corpus.choose(random).unwrap().clone();
    for _ in 0..random.random_range(1..5) {
        let at = random.random_range(0..=tokens.len());
        let other = corpus.choose(random).unwrap();
        match random.random_range(0..7) {
            0 if at < tokens.len() => drop(tokens.remove(at)),
            1 if at < tokens.len() => tokens.insert(at, tokens[at].clone()),
            2 if at < tokens.len() => {
                let with = random.random_range(0..tokens.len());
                tokens.swap(at, with);
            }
            3 => tokens.insert(at, other.choose(random).unwrap().clone()),
            4 => {
                let end = random.random_range(0..=other.len());
                tokens.truncate(at);
                tokens.extend(other[end..].iter().cloned());
            }
            5 => {
                let odd = [
                    "\u{0}",
                    "'",
                    "\"",
                    "$1",
                    "?",
                    "--",
                    "/*",
                    "(",
                    ")",
                    "[",
                    "{",
                    ";",
                    "::",
                    "\u{202e}",
                    "9999999999999999999999",
                    "1e999",
                    "sanitize",
                    "*",
                    "é",
                ];
                tokens.insert(at, (*odd.choose(random).unwrap()).to_owned());
            }
            _ => {
                let end = random.random_range(0..=other.len());
                let start = random.random_range(0..=end);
                for (place, token) in other[start..end].iter().enumerate() {
                    tokens.insert(at + place, token.clone());
                }
            }
        }
    }
    tokens.concat()
}

/// 10,000 statements made of those of the other tests by taking out, doubling, exchanging and mixing
/// their words: each is answered or refused, and none is taken for a mistake of the engine's.
#[test]
fn mutated_statements() {
    let corpus: Vec<Vec<String>> = statements().iter().map(|text| tokens(text)).collect();
    assert!(corpus.len() > 100);
    block_on(async {
        let place = fenced().await;
        let mut session = place.session();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
        let mut bugs = Vec::new();
        for number in 0..10_000 {
            if number % 100 == 0 {
                // What a statement sets or prepares does not last.
                session = place.session();
            }
            let sql = mutate(&mut random, &corpus);
            let outcome = match try_statement(&session, &sql).await {
                Ok(()) => "answered".to_owned(),
                Err(error) if error.kind() == ErrorKind::Bug => {
                    bugs.push(format!("{sql}\n  {error}"));
                    "bug".to_owned()
                }
                Err(error) => format!("{:?}", error.kind()),
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
        assert!(
            bugs.is_empty(),
            "{} of 10,000:\n{}",
            bugs.len(),
            bugs.join("\n")
        );
        // The mutations are not so wild that nothing is left to plan.
        assert!(outcomes["answered"] > 300, "{outcomes:?}");
        assert!(outcomes["Invalid"] > 500, "{outcomes:?}");
    });
}

/// Long and deep statements are answered, or refused with a word on why.
#[test]
fn long_and_deep_statements() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("SELECT {}1{}", open.repeat(levels), close.repeat(levels))
    };
    let list: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let list = list.join(",");
    let refused = [
        nested("(", ")", 1_000),
        nested("[", "]", 1_000),
        nested("abs(", ")", 1_000),
        nested("CASE WHEN true THEN ", " END", 10_000),
        format!("SELECT {}1", "-".repeat(0) + &"NOT ".repeat(100_000)),
        format!("SELECT 1{}", " + 1".repeat(250_000)),
        format!("SELECT 1{}", "::int".repeat(100_000)),
        format!(
            "SELECT * FROM {}people{}",
            "(SELECT * FROM ".repeat(1_000),
            ")".repeat(1_000)
        ),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(50_000)),
        format!("SELECT * FROM people{}", ", people".repeat(100_000)),
        format!(
            "SELECT * FROM {}people{}",
            "sanitize(".repeat(1_000),
            ")".repeat(1_000)
        ),
        format!("{}SELECT 1", "EXPLAIN ".repeat(50_000)),
        format!("SELECT '{}", "x".repeat(1 << 20)),
        "SELECT ".repeat(100_000),
        "(".repeat(1 << 20),
        "x".repeat(8 << 20),
        String::new(),
        ";;;".to_owned(),
    ];
    let answered = [
        format!("SELECT '{}'", "x".repeat(1 << 20)),
        format!("SELECT count(*) FROM people WHERE id IN ({list})"),
        format!("SELECT 1 /* {} */", "x".repeat(1 << 20)),
        format!("SELECT 1{}", " + 1".repeat(1_000)),
        nested("(", ")", 40),
        format!(
            "SELECT count(*) FROM people WHERE {}",
            vec!["id = '1'"; 2_000].join(" OR ")
        ),
    ];
    block_on(async {
        let place = fenced().await;
        let session = place.session();
        for sql in refused {
            let start: String = sql.chars().take(60).collect();
            // As a task, so that it runs on the small stack of a worker.
            let session = session.clone();
            let tried = tokio::spawn(async move { try_statement(&session, &sql).await });
            let error = tried.await.unwrap().expect_err(&start);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{start}: {error}");
            assert!(error.to_string().len() < 1_000, "{start}");
        }
        for sql in answered {
            let start: String = sql.chars().take(60).collect();
            let session = session.clone();
            let tried = tokio::spawn(async move { try_statement(&session, &sql).await });
            tried
                .await
                .unwrap()
                .unwrap_or_else(|error| panic!("{start}: {error}"));
        }
    });
}

/// Chains of every operator are planned up to the limit on a server's stack, and refused beyond; what nests without brackets,
/// what can be read in several ways, and what grows by being named twice, is refused at once.
#[test]
fn h2_whatever_nests_is_bounded() {
    let chain = |operator: &str, length: usize| {
        let word = operator
            .split(' ')
            .filter(|word| !word.starts_with('('))
            .count();
        format!("SELECT 'a'{}", format!(" {operator}").repeat(length / word))
    };
    let operators = [
        "+ 1",
        "|| 'a'",
        "= 'a'",
        "<< 1",
        "AND 'a'",
        "OR 'a'",
        "XOR 'a'",
        "LIKE 'a'",
        "ILIKE 'a'",
        "RLIKE 'a'",
        "REGEXP 'a'",
        "SIMILAR TO 'a'",
        "OVERLAPS 'a'",
        "IS NULL",
        "IS NOT TRUE",
        "IN ('a')",
        "NOT IN ('a')",
        "BETWEEN 1 AND 2",
        "MEMBER OF ('a')",
        "AT TIME ZONE 'UTC'",
        "COLLATE x",
        ":: TEXT",
        "DIV 1",
        "ISNULL",
        "NOTNULL",
        "-> 'a'",
        "@> 'a'",
        "UNION SELECT 1",
    ];
    let doubling = |levels: usize| {
        let tables = (1..=levels).map(|n| {
            let below = n - 1;
            format!(", a{n} AS (SELECT l.x FROM a{below} l, a{below} r)")
        });
        let tables = tables.collect::<String>();
        format!("WITH a0 AS (SELECT 1 AS x){tables} SELECT count(*) FROM a{levels}")
    };
    let refused = [
        format!("SELECT {}'1' DAY", "INTERVAL ".repeat(3_000)),
        format!("SELECT {}1", "PRIOR ".repeat(3_000)),
        format!("SELECT {}1 1{}", "CASE(".repeat(30), ")".repeat(30)),
        format!(
            "SELECT {}1 1{}",
            "CURRENT_TIMESTAMP(".repeat(30),
            ")".repeat(30)
        ),
        format!(
            "SELECT CAST(1 AS {}INT{})",
            "ARRAY<".repeat(3_000),
            ">".repeat(3_000)
        ),
        format!(
            "WITH {} SELECT 1",
            vec!["a AS (SELECT 1)"; 40_000].join(", ")
        ),
        format!(
            "WITH {} SELECT 1",
            (0..600)
                .map(|n| format!("a{n} AS (SELECT 1)"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        doubling(30),
        "SELECT length(repeat('x', 1000000000))".to_owned(),
    ];
    block_on(async {
        let place = fenced().await;
        let session = place.session();
        let tried = async |sql: String| {
            let session = session.clone();
            // As a task, so that it runs on the small stack of a worker.
            let tried = tokio::spawn(async move { try_statement(&session, &sql).await });
            tried.await.unwrap()
        };
        for operator in operators {
            // Answered or refused, for its types; but not at the cost of the process.
            let _ = tried(chain(operator, 4_900)).await;
            let error = tried(chain(operator, 20_000)).await.expect_err(operator);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{operator}: {error}");
        }
        for sql in refused {
            let start: String = sql.chars().take(60).collect();
            let begun = std::time::Instant::now();
            let error = tried(sql).await.expect_err(&start);
            assert!(
                matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Refused),
                "{start}: {:?} {error}",
                error.kind()
            );
            // Not a measure of speed: what is not refused would take hours.
            assert!(begun.elapsed() < PATIENCE, "{start}");
        }
        assert!(tried(doubling(6)).await.is_ok());
        // Many statements in one line are found in one walk over it; the first of them is answered.
        let many = format!("SELECT 'é'{}", "; SHOW SPECS".repeat(60_000));
        let _ = tried(many).await;
    });
}

/// Views that name each other twice are planned as often as they are named: so often, and no more.
#[test]
fn h2_views_do_not_multiply() {
    block_on(async {
        let place = fenced().await;
        let session = place.session();
        session
            .execute("CREATE VIEW v0 AS SELECT 1 AS x")
            .await
            .unwrap();
        let mut refused = None;
        for level in 1..=20 {
            let below = level - 1;
            let view = format!("CREATE VIEW v{level} AS SELECT l.x FROM v{below} l, v{below} r");
            if let Err(error) = session.execute(&view).await {
                refused = Some(error);
                break;
            }
            let read = format!("SELECT count(*) FROM v{level}");
            if let Err(error) = try_statement(&session, &read).await {
                refused = Some(error);
                break;
            }
        }
        let refused = refused.expect("views that multiply");
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    });
}

/// Statements of a server see the folders that they may see, however they name others.
#[test]
fn fenced_statements() {
    block_on(async {
        let place = fenced().await;
        let session = place.session();
        let secret = place.home.path().join("secret.csv");
        std::fs::write(&secret, "a\n1\n").unwrap();
        std::os::unix::fs::symlink(&secret, place.home.path().join("data/link.csv")).unwrap();
        let outside = secret.display();
        for sql in [
            format!("SELECT * FROM '{outside}'"),
            "SELECT * FROM '../secret.csv'".to_owned(),
            "SELECT * FROM 'visits/../../secret.csv'".to_owned(),
            "SELECT * FROM 'link.csv'".to_owned(),
            format!("SELECT * FROM 'file://{outside}'"),
            "SELECT * FROM 'http://127.0.0.1:9/x.csv'".to_owned(),
            format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{outside}'"),
            format!(
                "COPY people TO '{}'",
                place.home.path().join("out.csv").display()
            ),
            "COPY people TO '../out.csv'".to_owned(),
            format!("SELECT * FROM sanitize('{outside}')"),
            "SELECT * FROM '../catalog.sqlite'".to_owned(),
        ] {
            let error = try_statement(&session, &sql).await.expect_err(&sql);
            let error = error.to_string();
            let refused = ["may be named here", "not a regular file"];
            assert!(
                refused.iter().any(|why| error.contains(why)),
                "{sql}: {error}"
            );
        }
        let salt = place.home.path().join("salt");
        std::fs::write(&salt, "sixteen bytes and more").unwrap();
        let salt = format!("file:{}", salt.display());
        for sql in [
            format!("SELECT pii_hash('x', '{salt}')"),
            format!("SELECT upper(pii_hash(id, '{salt}')) FROM people"),
            format!("SELECT sanitize(*, dataset => {{pii_salt: '{salt}'}}) FROM people"),
            format!("COPY people TO 'x.csv' OPTIONS (credentials '{salt}')"),
            format!(
                "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'people.csv' OPTIONS (credentials '{salt}')"
            ),
        ] {
            let error = try_statement(&session, &sql).await.expect_err(&sql);
            assert!(
                error
                    .to_string()
                    .contains("not among those that may be named"),
                "{sql}: {error}"
            );
        }
        assert!(!place.home.path().join("out.csv").exists());
        assert_eq!(
            rows(&session, "SELECT count(*) FROM 'people.csv'")
                .await
                .unwrap(),
            [["6"]]
        );
        try_statement(&session, "COPY people TO 'copy.csv'")
            .await
            .unwrap();
    });
}

/// A statement reads no output of a job by the back door of a step, and writes no index.
#[test]
fn indexes_are_for_jobs() {
    block_on(async {
        let place = fenced().await;
        let session = place.session();
        for (options, option) in [("against => '/etc'", "against"), ("index => true", "index")] {
            let sql = format!("SELECT * FROM near_dedupe(people, {options})");
            let error = try_statement(&session, &sql).await.unwrap_err().to_string();
            let refused = error.contains("is for jobs, which have an output");
            assert!(refused && error.contains(option), "{error}");
        }
        let sql = "SELECT * FROM near_dedupe(people, index => false)";
        try_statement(&session, sql).await.unwrap();
    });
}
