//! Reports for the tests: a table of customers, a wide table, an empty one and a hostile one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use planner_profile::{ColumnProfile, Histogram};

const ROWS: u64 = 52_310;
const CLEAN: u64 = 50_104;

fn bell(low: f64, high: f64, bins: usize, total: f64, centre: f64, spread: f64) -> Histogram {
    let step = (high - low) / bins as f64;
    let edges: Vec<f64> = (0..=bins).map(|place| low + step * place as f64).collect();
    let weight = |middle: f64| (-((middle - centre) / spread).powi(2) / 2.0).exp();
    let weights: Vec<f64> = edges
        .windows(2)
        .map(|pair| weight((pair[0] + pair[1]) / 2.0))
        .collect();
    let sum: f64 = weights.iter().sum();
    let counts = weights
        .iter()
        .map(|weight| (weight / sum * total) as u64)
        .collect();
    Histogram { edges, counts }
}

fn profile(name: &str, kind: &str, rows: u64, nulls: u64, distinct: u64) -> ColumnProfile {
    ColumnProfile {
        name: name.to_owned(),
        column_type: kind.to_owned(),
        rows,
        nulls,
        distinct,
        distinct_exact: distinct < 10_000,
        sampled_rows: rows.min(10_000),
        ..ColumnProfile::default()
    }
}

fn column(
    before: ColumnProfile,
    after: Option<ColumnProfile>,
    cells_modified: u64,
) -> ColumnReport {
    ColumnReport {
        name: before.name.clone(),
        column_type: before.column_type.clone(),
        before,
        after,
        cells_modified,
        ..ColumnReport::default()
    }
}

fn top(values: &[(&str, u64)]) -> Vec<(String, u64)> {
    values
        .iter()
        .map(|(value, count)| ((*value).to_owned(), *count))
        .collect()
}

fn number(
    mut profile: ColumnProfile,
    figures: [&str; 3],
    mean: (f64, f64),
    bins: Histogram,
) -> ColumnProfile {
    let [min, median, max] = figures.map(|figure| Some(figure.to_owned()));
    (profile.min, profile.median, profile.max) = (min, median, max);
    (profile.mean, profile.stddev) = (Some(mean.0), Some(mean.1));
    profile.histogram = Some(bins);
    profile
}

fn age() -> ColumnReport {
    let mut wild = bell(18.0, 96.0, 39, 9_300.0, 43.0, 14.0);
    wild.edges.insert(0, -3.0);
    wild.counts.insert(0, 4);
    wild.edges.push(999.0);
    wild.counts.push(38);
    let before = number(
        profile("age", "integer", ROWS, 3_120, 104),
        ["-3", "43", "999"],
        (46.812, 61.3),
        wild,
    );
    let after = number(
        profile("age", "integer", CLEAN, 0, 78),
        ["18", "43", "96"],
        (42.97, 13.8),
        bell(18.0, 96.0, 39, 10_000.0, 43.0, 13.6),
    );
    column(before, Some(after), 3_338)
}

fn income() -> ColumnReport {
    let wave = |rows, nulls, total, spread| {
        number(
            profile("income", "decimal", rows, nulls, 41_200),
            ["8120.50", "52340.75", "148900.00"],
            (53_214.882, spread),
            bell(8_000.0, 150_000.0, 32, total, 52_000.0, spread),
        )
    };
    let mut report = column(
        wave(ROWS, 5_822, 8_900.0, 21_400.0),
        Some(wave(CLEAN, 0, 10_000.0, 20_100.0)),
        5_640,
    );
    report.remarks.push(
        "5,640 empty cells hold the median of their country now, which narrows the distribution."
            .to_owned(),
    );
    report
}

fn signup_date() -> ColumnReport {
    let dates = |rows, nulls, total| {
        let mut dates = number(
            profile("signup_date", "date", rows, nulls, 1_461),
            ["2019-01-01", "2021-07-14", "2023-12-31"],
            (0.0, 0.0),
            bell(17_897.0, 19_722.0, 30, total, 18_900.0, 700.0),
        );
        (dates.mean, dates.stddev) = (None, None);
        dates
    };
    let mut report = column(
        dates(ROWS, 640, 9_870.0),
        Some(dates(CLEAN, 655, 9_869.0)),
        17_422,
    );
    report.remarks.push("312 dates such as 03/04/2021 may be day first or month first; they were read month first, as 2,911 others in the column can only be.".to_owned());
    report
}

fn text_columns() -> Vec<ColumnReport> {
    let id = |rows, distinct| {
        number(
            profile("customer_id", "integer", rows, 0, distinct),
            ["1", "26155", "52310"],
            (26_155.5, 15_100.2),
            bell(1.0, 52_310.0, 30, 10_000.0, 26_000.0, 9e6),
        )
    };
    let mut name = profile("full_name", "string", ROWS, 214, 48_903);
    name.lengths = Some((2, 61));
    name.top = top(&[
        ("John Smith", 41),
        ("Maria Garcia", 38),
        ("  john smith", 9),
        ("Wei Chen", 31),
    ]);
    let mut clean_name = profile("full_name", "string", CLEAN, 209, 47_120);
    clean_name.lengths = Some((2, 38));
    clean_name.top = top(&[("John Smith", 52), ("Maria Garcia", 39), ("Wei Chen", 31)]);
    let mut status = profile("status", "string", ROWS, 1_004, 23);
    status.top = top(&[
        ("active", 6_120),
        ("inactive", 1_932),
        ("ACTIVE", 710),
        ("suspended", 488),
        ("actve", 201),
        ("in-active", 96),
        ("Suspended", 61),
    ]);
    let mut clean_status = profile("status", "string", CLEAN, 0, 3);
    clean_status.top = top(&[("active", 7_310), ("inactive", 2_118), ("suspended", 572)]);
    let mut country = profile("country", "string", ROWS, 880, 61);
    country.top = top(&[
        ("US", 4_400),
        ("United States", 1_210),
        ("DE", 1_090),
        ("Germany", 310),
        ("FR", 930),
        ("usa", 402),
    ]);
    let mut clean_country = profile("country", "string", CLEAN, 880, 24);
    clean_country.top = top(&[("US", 6_050), ("DE", 1_408), ("FR", 955), ("GB", 610)]);
    vec![
        column(id(ROWS, 51_020), Some(id(CLEAN, 50_104)), 0),
        column(name, Some(clean_name), 8_211),
        column(status, Some(clean_status), 6_930),
        column(country, Some(clean_country), 11_804),
    ]
}

fn private(name: &str, strategy: &str, after: bool) -> ColumnReport {
    let clean = after.then(|| profile(name, "string", CLEAN, 402, 49_310));
    let mut report = column(
        profile(name, "string", ROWS, 420, 50_112),
        clean,
        if after { 49_702 } else { 0 },
    );
    (report.pii, report.pii_strategy) = (true, Some(strategy.to_owned()));
    report
}

fn step(
    number: u64,
    kind: &str,
    params: Value,
    columns: &[&str],
    cells: u64,
) -> TransformationReport {
    TransformationReport {
        id: format!("t-{number}"),
        step: kind.to_owned(),
        params,
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows_modified: cells - cells / 9,
        cells_modified: cells,
        ..TransformationReport::default()
    }
}

fn steps() -> Vec<TransformationReport> {
    let all = [
        "customer_id",
        "full_name",
        "email",
        "phone",
        "status",
        "age",
        "income",
        "signup_date",
        "country",
    ];
    let mut steps = vec![
        step(
            1,
            "missing_values",
            json!({"columns": "*", "values": ["", "N/A", "null", "-"]}),
            &all,
            2_210,
        ),
        step(2, "coerce", json!({"columns": "*"}), &all, 17_460),
        step(
            3,
            "normalize_text",
            json!({"columns": ["full_name"], "unicode": "nfc"}),
            &["full_name"],
            8_211,
        ),
        step(
            4,
            "normalize",
            json!({"kind": "phone", "columns": ["phone"], "region": "US"}),
            &["phone"],
            39_004,
        ),
        step(
            5,
            "normalize",
            json!({"kind": "country", "columns": ["country"]}),
            &["country"],
            11_804,
        ),
        step(
            6,
            "canonicalize",
            json!({"columns": ["status"], "min_similarity": 0.8}),
            &["status"],
            5_926,
        ),
        step(
            7,
            "rules",
            json!({"on_violation": "quarantine"}),
            &["age", "income"],
            0,
        ),
        step(
            8,
            "outliers",
            json!({"columns": ["age"], "method": "iqr", "action": "set_null"}),
            &["age"],
            218,
        ),
        step(
            9,
            "normalize",
            json!({"kind": "url", "columns": ["full_name"]}),
            &["full_name"],
            0,
        ),
        step(
            10,
            "dedupe",
            json!({"columns": "*", "keep": "first"}),
            &all,
            0,
        ),
        step(
            11,
            "impute",
            json!({"strategy": "median", "columns": ["age", "income"], "by": ["country"]}),
            &["age", "income"],
            8_760,
        ),
        step(12, "pii", json!({}), &["email", "phone"], 99_404),
    ];
    steps[1].cells_invalid = 87;
    steps[5].learned = json!({"status": ["active", "inactive", "suspended"]});
    steps[6].rows_quarantined = 312;
    steps[7].learned = json!({"age": {"low": 2.5, "high": 84.5, "quartiles": [33, 53.5]}});
    steps[7].method = Some("exact".to_owned());
    steps[9].rows_removed = 1_806;
    steps[10].learned =
        json!({"age": {"all": 43, "US": 44, "DE": 41}, "income": {"all": 52340.75, "US": 54100.5}});
    steps[10].method = Some("from a sample of 250,000 rows; the rank is off by at most 0.3 % with a probability of 99 %".to_owned());
    steps
}

fn fix(
    row_id: u64,
    column: &str,
    values: (Option<&str>, Option<&str>),
    id: &str,
    confidence: f64,
) -> SampleFix {
    SampleFix {
        row_id,
        column: column.to_owned(),
        original: values.0.map(str::to_owned),
        cleaned: values.1.map(str::to_owned),
        transformation_id: id.to_owned(),
        confidence,
    }
}

fn reason(reason: &str, rows: u64) -> ReasonCount {
    ReasonCount {
        reason: reason.to_owned(),
        rows,
    }
}

fn quarantine() -> QuarantineReport {
    let sample =
        |row_id, line, column: Option<&str>, reason: &str, raw: Option<&str>| QuarantineSample {
            row_id,
            file: "data/customers.csv".to_owned(),
            line,
            column: column.map(str::to_owned),
            reason: reason.to_owned(),
            raw: raw.map(str::to_owned),
        };
    QuarantineReport {
        rows: 400,
        reasons: vec![
            reason("range", 312),
            reason("expected 9 fields, found 7", 61),
            reason("quoted field is not closed", 27),
        ],
        samples: vec![
            sample(118, 120, Some("age"), "range", None),
            sample(
                40_211,
                40_230,
                None,
                "expected 9 fields, found 7",
                Some("40212,Ann Lee,,active,\t44,61200,2021-02-03"),
            ),
        ],
    }
}

fn removed() -> RemovedReport {
    let sample = |row_id, duplicate_of, score| RemovedSample {
        row_id,
        reason: if score < 1.0 {
            "near_duplicate"
        } else {
            "duplicate"
        }
        .to_owned(),
        transformation_id: "t-10".to_owned(),
        duplicate_of: Some(duplicate_of),
        score: Some(score),
    };
    RemovedReport {
        rows: 1_806,
        reasons: vec![reason("duplicate", 1_650), reason("near_duplicate", 156)],
        samples: vec![
            sample(311, 12, 1.0),
            sample(1_977, 1_976, 1.0),
            sample(20_004, 351, 0.91),
        ],
    }
}

fn found(
    column: &str,
    entity: &str,
    rates: (f64, Option<f64>),
    strategy: Option<&str>,
) -> PiiReport {
    PiiReport {
        column: column.to_owned(),
        entity: entity.to_owned(),
        confidence: rates.0,
        hit_rate: rates.1,
        strategy: strategy.map(str::to_owned),
    }
}

/// A table of customers with nine columns, cleaned with a dozen steps.
pub(super) fn customers() -> Report {
    let mut columns = text_columns();
    columns.insert(2, private("email", "hash", true));
    columns.insert(3, private("phone", "exclude", false));
    columns.splice(5..5, [age(), income(), signup_date()]);
    Report {
        job_id: "0197a3c2-8f0e-7c31-b6a5-5f3d2f6f1c11".to_owned(),
        name: Some("customer_data".to_owned()),
        generator: "sanitizer 0.1.0".to_owned(),
        generated_at: Some("2026-11-23T12:00:00Z".to_owned()),
        summary: Summary {
            original_row_count: ROWS,
            cleaned_row_count: CLEAN,
            rows_dropped: 1_806,
            rows_quarantined: 400,
            deduplication_rate: 0.965,
        },
        quality_metrics: QualityMetrics {
            duplicates_detected: 1_650,
            near_duplicates_detected: 156,
            imputation_rate: 0.0194,
            cells_imputed: 8_760,
            confidence_score_avg: Some(0.957),
            low_confidence_fixes: 14_686,
            cells_modified: 103_047,
            rows_modified: 49_980,
            cells_invalid: 87,
            violations_flagged: 41,
            completeness_before: 0.974,
            completeness_after: 0.9953,
        },
        columns,
        transformations_applied: steps(),
        pii_found: vec![
            found("email", "EMAIL", (1.0, Some(0.998)), Some("hash")),
            found("phone", "PHONE", (1.0, None), Some("exclude")),
            found("full_name", "PERSON", (0.72, Some(0.81)), None),
        ],
        violations: vec![
            ViolationReport {
                column: Some("age".to_owned()),
                rule: "range".to_owned(),
                transformation_id: "t-7".to_owned(),
                action: "quarantine".to_owned(),
                rows: 312,
                sample_row_ids: vec![118, 402, 997],
            },
            ViolationReport {
                rule: "signup_date <= today".to_owned(),
                transformation_id: "t-7".to_owned(),
                action: "flag".to_owned(),
                rows: 41,
                sample_row_ids: vec![5, 6],
                ..ViolationReport::default()
            },
        ],
        quarantine: quarantine(),
        removed: removed(),
        samples: vec![
            fix(
                0,
                "full_name",
                (Some("  john   smith "), Some("john smith")),
                "t-3",
                1.0,
            ),
            fix(
                3,
                "full_name",
                (Some("Zoe\u{308}  Mu\u{308}ller"), Some("Zoë Müller")),
                "t-3",
                1.0,
            ),
            fix(
                7,
                "signup_date",
                (Some("03/14/2021"), Some("2021-03-14")),
                "t-2",
                1.0,
            ),
            fix(9, "status", (Some("actve"), Some("active")), "t-6", 0.92),
            fix(
                12,
                "country",
                (Some("United States"), Some("US")),
                "t-5",
                1.0,
            ),
            fix(15, "age", (Some("999"), None), "t-8", 0.97),
            fix(15, "age", (None, Some("43")), "t-11", 0.61),
            fix(
                21,
                "income",
                (Some("$ 61,200"), Some("61200.00")),
                "t-2",
                1.0,
            ),
        ],
        sources: vec![SourceReport {
            path: "data/customers.csv".to_owned(),
            bytes: 8_312_044,
            rows: ROWS,
        }],
        notes: vec![
            "The contract names no column country; its type was taken from the data.".to_owned(),
        ],
        timings: [("pass_1", 0.412), ("pass_2", 0.655), ("total", 1.204)]
            .map(|(stage, seconds)| (stage.to_owned(), seconds))
            .into(),
    }
}

/// A table of 300 columns.
pub(super) fn wide() -> Report {
    let kinds = customers().columns;
    let columns = (0..300).map(|number| {
        let mut column = kinds[number % kinds.len()].clone();
        column.name = format!("{}_{number:03}", column.name);
        column
    });
    Report {
        name: Some("sensor_and_survey_export_with_a_long_name_2026_q3".to_owned()),
        columns: columns.collect(),
        ..customers()
    }
}

/// A source without rows.
pub(super) fn empty() -> Report {
    let none = |name: &str| profile(name, "string", 0, 0, 0);
    Report {
        job_id: "empty".to_owned(),
        columns: vec![column(none("a"), Some(none("a")), 0)],
        ..Report::default()
    }
}

/// Every text of the report is an attack or absurd, every figure out of bounds.
pub(super) fn hostile() -> Report {
    let attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}{% raw %}\u{202e}\u{0}\u{1b}[31m&lt;";
    let long = attack.repeat(20_000);
    let broken = [
        (vec![1.0], vec![5]),
        (vec![f64::NAN, f64::INFINITY], vec![1]),
        (vec![f64::MIN, f64::MAX], vec![u64::MAX]),
        (vec![3.0, 3.0], vec![9]),
        (vec![5.0, 1.0], vec![2]),
    ];
    let columns = broken.into_iter().map(|(edges, counts)| {
        let mut bad = profile(attack, "timestamp", 1, u64::MAX, u64::MAX);
        bad.histogram = Some(Histogram { edges, counts });
        bad.median = Some(long.clone());
        bad.top = vec![(long.clone(), u64::MAX)];
        (bad.mean, bad.stddev) = (Some(f64::NAN), Some(f64::NEG_INFINITY));
        let mut report = column(bad.clone(), Some(bad), u64::MAX);
        report.remarks = vec![long.clone()];
        report
    });
    let all = customers();
    Report {
        job_id: long.clone(),
        name: Some(long.clone()),
        generator: attack.to_owned(),
        generated_at: Some(attack.to_owned()),
        columns: columns.collect(),
        transformations_applied: vec![TransformationReport {
            learned: json!({ attack: [attack, {attack: f64::MAX}] }),
            method: Some(long.clone()),
            ..step(
                u64::MAX,
                attack,
                json!({"kind": attack, attack: long}),
                &[attack],
                u64::MAX,
            )
        }],
        pii_found: vec![
            found(
                attack,
                attack,
                (f64::NAN, Some(f64::INFINITY)),
                Some(attack),
            ),
            found(attack, attack, (-1.0, None), None),
        ],
        violations: vec![ViolationReport {
            column: Some(attack.to_owned()),
            rule: attack.to_owned(),
            transformation_id: attack.to_owned(),
            action: attack.to_owned(),
            rows: u64::MAX,
            sample_row_ids: vec![u64::MAX; 9],
        }],
        quarantine: QuarantineReport {
            rows: 0,
            reasons: vec![reason(attack, u64::MAX), reason(attack, u64::MAX)],
            samples: vec![QuarantineSample {
                row_id: u64::MAX,
                file: attack.to_owned(),
                line: u64::MAX,
                column: Some(attack.to_owned()),
                reason: attack.to_owned(),
                raw: Some(long.clone()),
            }],
        },
        removed: RemovedReport {
            rows: 0,
            reasons: vec![reason("duplicate", u64::MAX), reason("duplicate", u64::MAX)],
            samples: Vec::new(),
        },
        samples: vec![
            fix(1, attack, (Some(&long), Some(attack)), attack, f64::NAN),
            fix(2, attack, (Some(""), Some("")), attack, -1.0),
        ],
        sources: vec![SourceReport {
            path: attack.to_owned(),
            bytes: u64::MAX,
            rows: u64::MAX,
        }],
        notes: vec![long.clone()],
        timings: [
            (attack.to_owned(), f64::NAN),
            ("total".to_owned(), f64::MAX),
        ]
        .into(),
        ..all
    }
}
