//! Random tables and random steps.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::job::{Job, RawRow};

/// Cells of each column; few, so that values repeat.
const CELLS: [&[&str]; 10] = [
    &[
        "Ann",
        " Ann ",
        "ann",
        "Bob  B",
        "N/A",
        "",
        "Zo\u{308}e",
        "x\ty",
    ],
    &[
        "active", "Active", "actve", "actv", "inactive", "zzz", "N/A", " active",
    ],
    &[
        "1", "2", "3", "4", "5", " 6", "1,000", "-7", "x", "", "N/A", "12.0",
    ],
    &["1.5", "2.25", "$3", "10", "1e3", "oops", "", "-4.5", "2.5"],
    &[
        "2024-01-31",
        "01/02/2024",
        "31/12/2023",
        "2024-02-30",
        "",
        "5 May 2020",
    ],
    &[
        "ann@example.com",
        " Ann@Example.COM",
        "mailto:bob@example.org",
        "bob@example.org",
        "no mail",
        "",
        "N/A",
    ],
    &[
        "(212) 555-0123",
        "+1 212 555 0123",
        "212.555.0199",
        "+49 30 901820",
        "12",
        "",
        "N/A",
    ],
    &[
        "https://example.com/",
        "HTTPS://Example.com:443",
        "example.com/a b",
        "not a site",
        "",
        "N/A",
    ],
    &[
        "DE", "Germany", "Germny", "germany", "USA", "U.S.", "Narnia", "", "N/A",
    ],
    &[
        "$5",
        "5 USD",
        "EUR 1,234.50",
        "EUR",
        "-3 GBP",
        "much",
        "",
        "N/A",
    ],
];

/// Jobs over tables of so many rows.
pub fn jobs(rows: std::ops::Range<usize>) -> impl Strategy<Value = Job> {
    let row = CELLS.map(|cells| select(cells).boxed());
    let row = row.prop_map(|cells| cells.to_vec());
    let hash = select(vec!["hmac_sha256", "salted_sha256"]);
    (prop::collection::vec(row, rows), steps(), hash, 1usize..4).prop_map(
        |(rows, steps, hash, partitions): (Vec<RawRow>, _, _, _)| Job {
            rows,
            steps,
            hash,
            partitions,
        },
    )
}

/// One to eight steps in any order.
fn steps() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(step(), 1..9).prop_map(|mut steps| {
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
    prop_oneof![
        2 => select(vec![
            json!({"type": "normalize_text"}),
            json!({"type": "normalize_text", "columns": ["name", "kind"]}),
            json!({"type": "normalize_text", "columns": ["name"], "case": "lower", "unicode": "nfkc"}),
            json!({"type": "missing_values", "columns": ["name"], "values": ["Bob  B", "ann"]}),
            json!({"type": "missing_values", "values": ["x", "zzz", "EUR"]}),
            json!({"type": "coerce"}),
        ]),
        2 => notation(),
        1 => select(vec![
            json!({"type": "canonicalize", "columns": ["kind"], "values": ["active", "inactive"]}),
            json!({"type": "canonicalize", "columns": ["kind"], "values": ["active"], "unmatched": "set_null"}),
            json!({"type": "canonicalize", "columns": ["country", "kind"], "values": ["Germany", "active"], "min_similarity": 0.6}),
            json!({"type": "canonicalize", "columns": ["name", "kind"], "learn": true}),
            json!({"type": "canonicalize", "columns": ["country", "site", "money"], "learn": true, "min_similarity": 0.7}),
        ]),
        2 => personal(),
        2 => rules(),
        1 => outliers(),
        1 => dedupe(),
        2 => impute(),
    ]
}

fn notation() -> impl Strategy<Value = Value> {
    let kinds = vec![
        ("date", "day", json!({})),
        ("date", "day", json!({"day_first": true})),
        ("date", "day", json!({"formats": ["%Y-%m-%d", "%d %B %Y"]})),
        ("number", "qty", json!({})),
        ("number", "price", json!({})),
        ("number", "price", json!({"decimal_comma": true})),
        ("boolean", "kind", json!({})),
        ("email", "email", json!({})),
        ("phone", "phone", json!({})),
        ("phone", "phone", json!({"region": "DE"})),
        ("url", "site", json!({})),
        ("country", "country", json!({})),
        ("country", "country", json!({"to": "alpha3"})),
        ("country", "country", json!({"to": "name"})),
        ("currency", "money", json!({})),
    ];
    (select(kinds), select(vec!["set_null", "keep"])).prop_map(|((kind, column, more), invalid)| {
        let mut step =
            json!({"type": "normalize", "kind": kind, "columns": [column], "on_invalid": invalid});
        for (name, value) in more.as_object().unwrap() {
            step[name] = value.clone();
        }
        step
    })
}

fn personal() -> impl Strategy<Value = Value> {
    let columns = select(vec![
        json!(["name"]),
        json!(["email", "phone"]),
        json!(["country", "name"]),
    ]);
    let strategy = select(vec!["hash", "redact", "exclude", "keep"]);
    (columns, strategy).prop_map(
        |(columns, strategy)| json!({"type": "pii", "columns": columns, "strategy": strategy}),
    )
}

fn rules() -> impl Strategy<Value = Value> {
    let rule = select(vec![
        json!({"column": "qty", "rule": {"range": {"min": 0, "max": 500}}}),
        json!({"column": "price", "rule": {"range": {"max": 100}}}),
        json!({"column": "day", "rule": {"range": {"min": "2021-01-01", "max": "2024-01-15"}}}),
        json!({"column": "name", "rule": "not_null"}),
        json!({"column": "phone", "rule": "not_null"}),
        json!({"column": "kind", "rule": {"one_of": ["active", "inactive"]}}),
        json!({"column": "country", "rule": {"one_of": ["DE", "USA", "Germany"]}}),
        json!({"column": "qty", "rule": "unique"}),
        json!({"column": "email", "rule": "unique"}),
        json!({"column": "price", "rule": "non_negative"}),
        json!({"column": "name", "rule": {"length": {"min": 2, "max": 4}}}),
        json!({"column": "site", "rule": {"length": {"min": 15}}}),
        json!({"column": "phone", "rule": {"regex": r"\+[0-9]+"}}),
        json!({"column": "email", "rule": {"regex": "ann|[a-z]+@example[.]org"}}),
        json!({"column": "price", "rule": {"expression": "price >= qty"}}),
        json!({"column": "email", "rule": {"expression": "email IS NOT NULL OR phone IS NOT NULL"}}),
    ]);
    let action = select(vec!["flag", "set_null", "quarantine"]);
    (action, prop::collection::vec(rule, 1..4)).prop_map(
        |(action, rules)| json!({"type": "rules", "on_violation": action, "rules": rules}),
    )
}

fn outliers() -> impl Strategy<Value = Value> {
    let columns = select(vec![
        json!(["qty"]),
        json!(["price"]),
        json!(["day"]),
        json!("*"),
    ]);
    let method = select(vec!["iqr", "mad", "zscore"]);
    let action = select(vec!["set_null", "clip", "flag"]);
    (method, action, columns, select(vec![0.5, 1.0])).prop_map(
        |(method, action, columns, threshold)| {
            json!({
                "type": "outliers", "columns": columns, "method": method, "action": action,
                "threshold": threshold,
            })
        },
    )
}

fn dedupe() -> impl Strategy<Value = Value> {
    let keys = select(vec![
        json!("*"),
        json!(["name"]),
        json!(["kind", "qty"]),
        json!(["day", "price"]),
        json!(["email"]),
        json!(["phone", "country"]),
    ]);
    (keys, select(vec!["first", "last", "most_complete"]))
        .prop_map(|(columns, keep)| json!({"type": "dedupe", "columns": columns, "keep": keep}))
}

fn impute() -> impl Strategy<Value = Value> {
    let middle = (
        select(vec!["median", "mean"]),
        select(vec![
            json!(["qty"]),
            json!(["price"]),
            json!(["qty", "price"]),
            json!(["day"]),
            json!("*"),
        ]),
        select(vec![json!([]), json!(["kind"]), json!(["country", "site"])]),
    );
    prop_oneof![
        middle.prop_map(|(strategy, columns, by)| {
            json!({"type": "impute", "strategy": strategy, "columns": columns, "by": by})
        }),
        select(vec![
            json!({"type": "impute", "strategy": "mode", "columns": ["kind"], "by": ["day"]}),
            json!({"type": "impute", "strategy": "mode", "columns": ["name", "qty"]}),
            json!({"type": "impute", "strategy": "mode", "columns": ["phone"], "by": ["email"]}),
            json!({"type": "impute", "strategy": "mode"}),
            json!({"type": "impute", "strategy": "mode", "columns": "*"}),
            json!({"type": "impute", "strategy": "constant", "columns": ["qty"], "value": 9}),
            json!({"type": "impute", "strategy": "constant", "columns": ["country", "money"], "value": "none"}),
        ]),
    ]
}
