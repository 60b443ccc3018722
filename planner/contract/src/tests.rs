//! Columns and what is inferred of them; contracts and how they are completed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringViewArray};
use arrow::datatypes::DataType;
use proptest::prelude::*;

use super::*;
use crate::{ColumnType, DatasetSpec};

fn evidence(cells: &[&str]) -> ColumnEvidence {
    let mut evidence = ColumnEvidence::new(&MissingValues::default());
    let array: ArrayRef = Arc::new(StringViewArray::from_iter_values(cells));
    evidence.observe(&array, 0);
    evidence
}

/// Cells, their type, and a word of the remark that there must be (none: no remark).
#[test]
fn columns_and_their_types() {
    use ColumnType::{Boolean, Date, Decimal, Float, Integer, String, Timestamp};
    let cases: &[(&[&str], ColumnType, &str)] = &[
        (&["1", "-2", "30", "N/A", ""], Integer, ""),
        (&["1", "0", "1"], Integer, ""),
        (&["1,200", "15", "12,500.00"], Float, ""),
        (&["1,234", "2,500"], Integer, "separator"),
        (&["007", "12", "13"], String, "zeros"),
        (&["94107", "02134"], String, "zeros"),
        (&["12345678901234567890", "1"], String, "digits"),
        (&["+4915112345678", "+4915112345679"], String, ""),
        (&["1.5", "2", "-0.25"], Float, ""),
        (&["1,5", "2,25", "1.000,5"], Float, ""),
        (&["1.0", "2.0"], Float, ""),
        (&["1e5", "2.5"], Float, ""),
        (&["$1,234.50", "$5"], Float, ""),
        (&["123456789012345.25", "1.50"], Decimal, ""),
        (&["0.12345678901234567891", "1"], Decimal, ""),
        (&["yes", "no", "Yes"], Boolean, ""),
        (&["true", "true"], Boolean, ""),
        (&["no", "no"], String, ""),
        (&["T", "F", "M"], String, ""),
        (&["2024-01-31", "2023-12-01"], Date, ""),
        (&["13/04/2021", "03/04/2021"], Date, ""),
        (&["04/13/2021", "03/04/2021"], Date, ""),
        (&["03/04/2021", "05/06/2021"], Date, "month is taken"),
        (
            &["13/04/2021", "04/13/2021", "13/05/2021"],
            Date,
            "day is taken",
        ),
        (&["4 March 2021", "Mar 5, 2021"], Date, ""),
        (&["20240131", "20240201"], Integer, ""),
        (&["2024-01-31", "2024-01-31T10:00:00Z"], Timestamp, ""),
        (&["1", "2", "3", "4", "x5"], String, "4 of 5"),
        (&["a", "1"], String, ""),
        (&["🙂", "é", "\u{a0}"], String, ""),
    ];
    for (cells, column_type, remark) in cases {
        let inferred = evidence(cells).infer("v");
        assert_eq!(
            inferred.column_type,
            Some(*column_type),
            "{cells:?} {inferred:?}"
        );
        assert_eq!(inferred.type_confidence, 1.0, "{cells:?}");
        if remark.is_empty() {
            assert!(
                inferred.remarks.is_empty(),
                "{cells:?} {:?}",
                inferred.remarks
            );
        } else {
            assert!(
                inferred.remarks.iter().any(|text| text.contains(remark)),
                "{cells:?} {:?}",
                inferred.remarks
            );
        }
    }
    assert_eq!(evidence(&["", "NULL"]).infer("v").column_type, None);
    assert!(evidence(&["1,5", "2,25"]).reading().decimal_comma);
    assert!(evidence(&["13/04/2021", "03/04/2021"]).reading().day_first);
    assert_eq!(
        evidence(&["123456789012345.25"]).reading().decimal,
        Some((18, 2))
    );
}

/// One unreadable value in a thousand is reported, and not lost silently; two are too many.
#[test]
fn few_unreadable_values_among_many() {
    let numbers: Vec<String> = (0..2_998)
        .map(|number| (number * 7 % 5_000).to_string())
        .collect();
    let mut cells: Vec<&str> = numbers.iter().map(String::as_str).collect();
    cells.push("abc");
    let inferred = evidence(&cells).infer("v");
    assert_eq!(inferred.column_type, Some(ColumnType::Integer));
    assert!(inferred.type_confidence < 1.0 && inferred.remarks[0].starts_with("1 of 2999"));
    cells.extend(["d", "e", "f"]);
    assert_eq!(
        evidence(&cells).infer("v").column_type,
        Some(ColumnType::String)
    );
    assert_eq!(
        evidence(&cells[2_000..]).infer("v").column_type,
        Some(ColumnType::String)
    );
}

/// Uniqueness is claimed where it is proven: by order at any length, by hashes up to a limit.
#[test]
fn unique_columns() {
    let ids: Vec<String> = (0..5_000).map(|number| format!("C{number}")).collect();
    let mut cells: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert!(evidence(&cells).infer("v").unique);
    cells.reverse();
    let inferred = evidence(&cells).infer("v");
    assert!(inferred.unique && inferred.distinct == 5_000);
    cells.push("C17");
    let inferred = evidence(&cells).infer("v");
    assert!(
        !inferred.unique
            && inferred
                .remarks
                .iter()
                .any(|text| text.starts_with("nearly all"))
    );
    assert!(
        evidence(&["b", "a"]).infer("v").unique && !evidence(&["a", "b", "a"]).infer("v").unique
    );
    let mut native = ColumnEvidence::new(&MissingValues::default());
    let array: ArrayRef = Arc::new(Int64Array::from(vec![Some(3), None, Some(1)]));
    native.observe(&array, 0);
    let inferred = native.infer("v");
    assert_eq!(
        (
            inferred.column_type,
            inferred.missing,
            inferred.distinct,
            inferred.unique
        ),
        (Some(ColumnType::Integer), 1, 2, true)
    );
}

/// Spellings of missing values are counted, categories listed, and possibly disguised missing values reported.
#[test]
fn spellings_categories_and_disguises() {
    let mut cells = Vec::new();
    for _ in 0..30 {
        cells.extend(["active", "active", "closed", "N/A"]);
    }
    cells.extend(["actve", "-", "unknown", "unknown"]);
    let inferred = evidence(&cells).infer("status");
    assert_eq!(
        inferred.missing_values,
        [("N/A".to_owned(), 30), ("-".to_owned(), 1)]
    );
    assert_eq!(inferred.categories, ["active", "closed", "unknown"]);
    assert!(
        inferred.remarks[0].contains("\"unknown\" occurs in 2 cells"),
        "{:?}",
        inferred.remarks
    );
    let ages: Vec<String> = (0..2_000)
        .map(|row| if row % 20 == 0 { 999 } else { row * 31 % 600 }.to_string())
        .collect();
    let ages: Vec<&str> = ages.iter().map(String::as_str).collect();
    assert!(evidence(&ages).infer("age").remarks[0].contains("\"999\""));
}

/// Personal data is found and its values are not shown.
#[test]
fn personal_data() {
    let mails: Vec<String> = (0..300)
        .map(|number| format!("ann{}@example.org", number % 10))
        .collect();
    let mails: Vec<&str> = mails.iter().map(String::as_str).collect();
    let inferred = evidence(&mails).infer("email");
    assert!(inferred.pii.unwrap().entity.contains("EMAIL") && inferred.categories.is_empty());
}

fn columns() -> Vec<(String, DataType)> {
    let column = |name: &str, data_type| (name.to_owned(), data_type);
    vec![
        column("id", DataType::Int64),
        column("email", DataType::Utf8View),
        column("amount", DataType::Utf8View),
    ]
}

fn spec(json: serde_json::Value) -> DatasetSpec {
    serde_json::from_value(json).unwrap()
}

/// Invalid contracts, and their error messages.
#[test]
fn contracts_that_are_refused() {
    let of = |column: serde_json::Value| serde_json::json!({"columns": [column]});
    let amount =
        |key: &str, value: serde_json::Value| of(serde_json::json!({"name": "amount", key: value}));
    let rule = |rule: serde_json::Value| amount("business_rules", serde_json::json!([rule]));
    let cases = [
        (
            of(serde_json::json!({"name": "emial"})),
            "dataset.columns[0].name: no column \"emial\" in the data (nearest: \"email\")",
        ),
        (
            serde_json::json!({"schema": {"columns": [{"name": "zzz"}]}}),
            "dataset.schema.columns[0].name: no column \"zzz\" in the data",
        ),
        (
            serde_json::json!({"columns": [{"name": "id"}, {"name": "id"}]}),
            "dataset.columns[1].name: the column \"id\" is declared twice",
        ),
        (
            serde_json::json!({"columns": [{"name": "id"}], "schema": {"columns": []}}),
            "dataset.schema: the columns are declared twice",
        ),
        (
            serde_json::json!({"strict_schema": true, "columns": [{"name": "id"}]}),
            "dataset.strict_schema: the data has a column \"email\"",
        ),
        (
            amount("precision", 39.into()),
            "dataset.columns[0].precision: 39 is not between 1 and 38",
        ),
        (
            of(
                serde_json::json!({"name": "amount", "type": "decimal", "precision": 4, "scale": 5}),
            ),
            "dataset.columns[0].scale: the scale 5 exceeds",
        ),
        (
            of(serde_json::json!({"name": "amount", "type": "float", "scale": 2})),
            "dataset.columns[0].scale: applies to decimal",
        ),
        (
            of(serde_json::json!({"name": "id", "type": "boolean"})),
            "dataset.columns[0].type: the column has the type",
        ),
        (
            of(serde_json::json!({"name": "id", "pii": false, "pii_strategy": "hash"})),
            "dataset.columns[0].pii_strategy",
        ),
        (
            of(serde_json::json!({"name": "id", "type": "integer", "formats": ["%Y"]})),
            "dataset.columns[0].formats: applies to",
        ),
        (
            rule("one_of".into()),
            "dataset.columns[0].business_rules[0].one_of: has no values",
        ),
        (
            rule(serde_json::json!({"regex": "(a"})),
            "dataset.columns[0].business_rules[0].regex: \"(a\" is not a regular expression: unclosed group",
        ),
        (
            rule(serde_json::json!({"range": {"min": 2, "max": 1}})),
            "dataset.columns[0].business_rules[0].range: min 2 is larger than max 1",
        ),
        (
            rule(serde_json::json!({"range": {"min": "2024-02-01", "max": "2024-01-01"}})),
            "dataset.columns[0].business_rules[0].range",
        ),
        (
            rule(serde_json::json!({"length": {"min": 2, "max": 1}})),
            "dataset.columns[0].business_rules[0].length",
        ),
    ];
    for (json, says) in cases {
        let error = complete(&spec(json.clone()), &columns(), None)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(says), "{json}: {error}");
    }
}

/// Declarations take precedence; the rest comes from the source's types and the values.
#[test]
fn contracts_that_are_completed() {
    let seen = vec![
        ColumnEvidence::new(&MissingValues::default()),
        evidence(&["a@b.org", "c@d.org"]),
        evidence(&["1,5", "2,25"]),
    ];
    let given = serde_json::json!({"pii_strategy": "redact", "columns": [{"name": "email", "pii_strategy": "hash", "nullable": false}]});
    let given = spec(given);
    assert!(needs_evidence(&given, &columns()));
    let contract = complete(&given, &columns(), Some(&seen)).unwrap();
    let types: Vec<ColumnType> = contract
        .columns
        .iter()
        .map(|column| column.column_type)
        .collect();
    assert_eq!(
        types,
        [ColumnType::Integer, ColumnType::String, ColumnType::Float]
    );
    let email = &contract.columns[1];
    assert!(email.pii && !email.nullable && email.pii_strategy == Some(crate::PiiStrategy::Hash));
    assert!(
        contract.columns[2].decimal_comma
            && !contract.columns[2].declared
            && contract.columns[0].declared
    );
    assert_eq!(contract.missing_values, default_missing_values());
    let all = spec(
        serde_json::json!({"columns": [{"name": "email", "type": "string"}, {"name": "amount", "type": "decimal", "precision": 10, "scale": 2}]}),
    );
    assert!(!needs_evidence(&all, &columns()));
    assert_eq!(
        complete(&all, &columns(), None).unwrap().columns[2].decimal,
        Some((10, 2))
    );
}

fn cells() -> impl Strategy<Value = Vec<String>> {
    let cell = prop_oneof![
        4 => (0..3_000_u32).prop_map(|number| number.to_string()),
        1 => "[a-c]{0,2}",
        1 => Just("N/A".to_owned()),
        1 => Just("03/04/2021".to_owned()),
        1 => "\\PC{0,6}",
    ];
    prop::collection::vec(cell, 0..2_500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any division of the rows, merged in any tree, gives the same as all rows at once.
    #[test]
    fn divisions_of_the_rows_do_not_matter(cells in cells(), cuts in prop::collection::vec(0..2_500_usize, 0..5), left in any::<bool>()) {
        let texts: Vec<&str> = cells.iter().map(String::as_str).collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(texts.len())).collect();
        cuts.extend([0, texts.len()]);
        cuts.sort_unstable();
        let mut parts: Vec<ColumnEvidence> = cuts.windows(2).map(|cut| {
            let mut part = ColumnEvidence::new(&MissingValues::default());
            let array: ArrayRef = Arc::new(StringViewArray::from_iter_values(&texts[cut[0]..cut[1]]));
            part.observe(&array, cut[0] as u64);
            part
        }).collect();
        while parts.len() > 1 {
            let at = if left { 0 } else { parts.len() - 2 };
            let later = parts.remove(at + 1);
            parts[at].merge(later);
        }
        let whole = evidence(&texts);
        prop_assert_eq!(parts[0].infer("v"), whole.infer("v"));
        prop_assert_eq!(parts[0].reading(), whole.reading());
    }
}

/// A column that the source names a second time holds what the first does, and is protected like it.
#[test]
fn m1_copies_of_protected_columns() {
    let spec: DatasetSpec = serde_json::from_value(serde_json::json!({
        "columns": [
            {"name": "email", "pii": true, "pii_strategy": "redact"},
            {"name": "age"},
        ]
    }))
    .unwrap();
    let names = ["email", "email_2", "email_copy", "age", "age_2"];
    let columns = names.map(|name| (name.to_owned(), DataType::Utf8View));
    let contract = complete(&spec, &columns, None).unwrap();
    let protected = contract
        .columns
        .iter()
        .map(|column| (column.pii, column.pii_strategy));
    let protected: Vec<_> = protected.collect();
    let redact = (true, Some(PiiStrategy::Redact));
    assert_eq!(protected[..2], [redact, redact]);
    assert!(protected[2..].iter().all(|(pii, _)| !pii));
}
