//! Random tables and random steps.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Columns of every table.
pub const COLUMNS: [&str; 5] = ["name", "kind", "qty", "price", "day"];

/// A table of raw cells and the steps that clean it.
#[derive(Debug, Clone)]
pub struct Job {
    pub rows: Vec<[String; 5]>,
    pub steps: Vec<Value>,
    pub partitions: usize,
}

impl Job {
    /// The spec of the job over `table.csv`.
    pub fn spec(&self) -> Value {
        json!({
            "source": {"location": "table.csv", "format": "csv", "options": {"delimiter": ",", "header": true, "encoding": "utf-8"}},
            "dataset": {
                "missing_values": ["", "N/A"],
                "columns": [
                    {"name": "name", "type": "string"},
                    {"name": "kind", "type": "string"},
                    {"name": "qty", "type": "integer"},
                    {"name": "price", "type": "float"},
                    {"name": "day", "type": "date"},
                ],
            },
            "steps": self.steps,
            "output": {"location": "out", "rows_per_file": 8192},
            "options": {"partitions": self.partitions, "job_id": "job"},
        })
    }

    /// The raw table.
    pub fn csv(&self) -> String {
        let mut text = COLUMNS.join(",") + "\n";
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
                .collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }
}

/// Rows of cells from small pools, so that values repeat.
pub fn dirty_rows(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<[String; 5]>> {
    let cell = |pool: &'static [&'static str]| select(pool).prop_map(str::to_owned);
    let row = [
        cell(&[
            "Ann",
            " Ann ",
            "ann",
            "Bob  B",
            "N/A",
            "",
            "Zo\u{308}e",
            "x\ty",
        ])
        .boxed(),
        cell(&[
            "active", "Active", "actve", "inactive", "zzz", "N/A", " active",
        ])
        .boxed(),
        cell(&[
            "1", "2", "3", "4", "5", " 6", "1,000", "-7", "x", "", "N/A", "12.0",
        ])
        .boxed(),
        cell(&["1.5", "2.25", "$3", "10", "1e3", "oops", "", "-4.5", "2.5"]).boxed(),
        cell(&[
            "2024-01-31",
            "01/02/2024",
            "31/12/2023",
            "2024-02-30",
            "",
            "5 May 2020",
        ])
        .boxed(),
    ];
    prop::collection::vec(row, count)
}

/// One to six steps in any order.
pub fn steps() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(step(), 1..7).prop_map(|mut steps| {
        // A job has one coercion, and personal data is dealt with once.
        let mut seen = Vec::new();
        steps.retain(|step| {
            let name = step["type"].as_str().unwrap().to_owned();
            let once = ["pii", "coerce"].contains(&name.as_str());
            let keep = !once || !seen.contains(&name);
            seen.push(name);
            keep
        });
        steps
    })
}

fn step() -> impl Strategy<Value = Value> {
    let action = select(vec!["flag", "set_null", "quarantine"]);
    let rule = select(vec![
        json!({"column": "qty", "rule": {"range": {"min": 0, "max": 500}}}),
        json!({"column": "name", "rule": "not_null"}),
        json!({"column": "kind", "rule": {"one_of": ["active", "inactive"]}}),
        json!({"column": "qty", "rule": "unique"}),
        json!({"column": "price", "rule": "non_negative"}),
        json!({"column": "name", "rule": {"length": {"min": 2, "max": 4}}}),
        json!({"column": "price", "rule": {"expression": "price >= qty"}}),
    ]);
    let keys = select(vec![
        json!("*"),
        json!(["name"]),
        json!(["kind", "qty"]),
        json!(["day", "price"]),
    ]);
    let keep = select(vec!["first", "last", "most_complete"]);
    prop_oneof![
        select(vec![
            json!({"type": "normalize_text", "columns": ["name", "kind"]}),
            json!({"type": "normalize_text", "columns": ["name"], "case": "lower", "unicode": "nfkc"}),
            json!({"type": "canonicalize", "columns": ["kind"], "values": ["active", "inactive"]}),
            json!({"type": "canonicalize", "columns": ["kind"], "values": ["active"], "unmatched": "set_null"}),
            json!({"type": "canonicalize", "columns": ["name", "kind"], "learn": true}),
            json!({"type": "normalize", "kind": "date", "columns": ["day"]}),
            json!({"type": "normalize", "kind": "number", "columns": ["qty", "price"]}),
            json!({"type": "normalize", "kind": "number", "columns": ["qty"], "on_invalid": "keep"}),
            json!({"type": "normalize", "kind": "boolean", "columns": ["kind"], "on_invalid": "keep"}),
            json!({"type": "missing_values", "columns": ["name"], "values": ["Bob  B", "ann"]}),
            json!({"type": "coerce"}),
            json!({"type": "pii", "columns": ["name"], "strategy": "redact"}),
            json!({"type": "pii", "columns": ["name"], "strategy": "exclude"}),
        ]),
        (action, prop::collection::vec(rule, 1..4)).prop_map(
            |(action, rules)| json!({"type": "rules", "on_violation": action, "rules": rules})
        ),
        (select(vec!["iqr", "mad", "zscore"]), select(vec!["set_null", "clip", "flag"]), select(vec!["qty", "price"]), select(vec![0.5, 1.0]))
            .prop_map(|(method, action, column, threshold)| {
                json!({"type": "outliers", "columns": [column], "method": method, "action": action, "threshold": threshold})
            }),
        (keys, keep).prop_map(|(columns, keep)| json!({"type": "dedupe", "columns": columns, "keep": keep})),
        (select(vec!["median", "mean"]), select(vec![json!(["qty"]), json!(["price"]), json!(["qty", "price"])]), select(vec![json!([]), json!(["kind"])]))
            .prop_map(|(strategy, columns, by)| json!({"type": "impute", "strategy": strategy, "columns": columns, "by": by})),
        select(vec![
            json!({"type": "impute", "strategy": "mode", "columns": ["kind"], "by": ["day"]}),
            json!({"type": "impute", "strategy": "mode", "columns": ["name", "qty"]}),
            json!({"type": "impute", "strategy": "constant", "columns": ["qty"], "value": 9}),
        ]),
    ]
}
