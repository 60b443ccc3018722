//! Clear values of personal data are nowhere in an output.

use super::output::rows;
use super::sandbox::{Sandbox, files_under};

/// Values that no other column holds, so that finding one is a leak.
fn people(count: usize) -> String {
    let mut table = String::from("id,email,phone,card,secret,note\n");
    for number in 0..count {
        let broken = if number % 50 == 7 {
            ",one,too,many"
        } else {
            ""
        };
        let id = if number % 40 == 3 { number - 1 } else { number };
        table.push_str(&format!(
            "{id},Person{number:05}@Example.org,(415) 555-{number:04},4111 1111 {number:04} 1111,zz{number:05}zz,note {}{broken}\n",
            number % 5
        ));
    }
    table
}

/// Hash, redact, exclude and keep; unreadable, duplicate and quarantined rows: no file of the
/// output holds a clear value, Parquet read back, but for the data column that is to keep it.
#[test]
fn no_clear_value_anywhere() {
    for format in ["parquet", "csv", "jsonl"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", &people(400));
        sandbox.write(
            "job.yaml",
            &format!(
                "source: {{location: people.csv}}
dataset:
  pii_salt: env:TEST_SALT
  columns:
    - {{name: id, type: integer, business_rules: [unique, {{range: {{max: 390}}}}]}}
    - {{name: email, type: string, pii: true, pii_strategy: hash}}
    - {{name: phone, type: string, pii: true, pii_strategy: redact}}
    - {{name: card, type: string, pii: true, pii_strategy: exclude}}
    - {{name: secret, type: string, pii: true, pii_strategy: keep}}
steps:
  - {{type: normalize, kind: email, columns: [email]}}
  - {{type: normalize, kind: phone, columns: [phone]}}
  - {{type: normalize_text, case: upper, columns: [secret]}}
  - {{type: rules, on_violation: quarantine}}
  - {{type: dedupe, columns: [note, id]}}
  - {{type: pii}}
output: {{location: out, format: {format}}}
"
            ),
        );
        sandbox.succeed(&["run", "job.yaml"]);
        let out = sandbox.path("out");
        let mut data = String::new();
        let mut account = String::new();
        for path in files_under(&out) {
            let bytes = std::fs::read(&path).unwrap();
            let is_data = path.starts_with(out.join("data"));
            let texts = if is_data { &mut data } else { &mut account };
            texts.push_str(&String::from_utf8_lossy(&bytes));
        }
        let table_text = |table: &str| -> String {
            let cells = rows(&out, table).into_iter().flatten().flatten();
            cells.map(|cell| cell + "\n").collect()
        };
        for table in ["provenance", "removed", "quarantine"] {
            account.push_str(&table_text(table));
        }
        if format == "parquet" {
            data.push_str(&table_text("data"));
        }
        for clear in ["@example.org", "555-0", "+1415555", "4111 1111", "41111111"] {
            for (place, texts) in [("the data", &data), ("the account", &account)] {
                assert!(
                    !texts.to_lowercase().contains(clear),
                    "{format}: {clear} is in {place}"
                );
            }
        }
        // The column that the job keeps clear stands in the data and nowhere else.
        assert!(data.to_lowercase().contains("zz00"), "{format}");
        assert!(
            !account.to_lowercase().contains("zz00"),
            "{format}: a kept value is in the account"
        );
    }
}

/// What is found, but not declared, is left as it is unless asked for; then it is gone.
#[test]
fn detected_only_when_asked() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", &people(400));
    sandbox.succeed(&["run", "people.csv", "-o", "left"]);
    let left: String = rows(&sandbox.path("left"), "data")
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert!(left.contains("@Example.org"));
    sandbox.succeed(&["run", "people.csv", "-o", "gone", "--pii", "redact"]);
    let gone: String = rows(&sandbox.path("gone"), "data")
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert!(!gone.contains("@Example.org"), "{}", &gone[..300]);
}
