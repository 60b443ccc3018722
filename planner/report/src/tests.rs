//! The report as JSON, as a page and as text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::fixtures::{customers, empty, hostile, wide};
use super::{Report, render_html, summary_lines};

fn key_paths(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
    match value {
        // What a step takes and learns is its own affair, and so are the stages.
        Value::Object(_)
            if path.ends_with("params") || path.ends_with("learned") || path == ".timings" =>
        {
            paths.insert(path.to_owned());
        }
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| key_paths(value, &format!("{path}.{name}"), paths)),
        Value::Array(values) => values
            .iter()
            .for_each(|value| key_paths(value, &format!("{path}[]"), paths)),
        _ => {
            paths.insert(path.to_owned());
        }
    }
}

/// The key names of report.json: other programs rely on them.
#[test]
fn json_has_these_keys() {
    let mut paths = BTreeSet::new();
    key_paths(&serde_json::to_value(customers()).unwrap(), "", &mut paths);
    insta::assert_snapshot!(paths.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The account of the customers on the terminal.
#[test]
fn text_tells_it_in_short() {
    insta::assert_snapshot!(summary_lines(&customers()).join("\n"), @r"
    customer_data: 52,310 rows in, 50,104 out (95.8%) in 1.2 s
      removed      1,806 rows: duplicate (1,650), near duplicate (156)
      quarantined  400 rows: range (312), expected 9 fields, found 7 (61), quoted field is not closed (27)
      changed      103,047 cells, 8,760 of them filled; 14,686 are best guesses (mean confidence of all 0.96)
      filled       97.4% of the cells before, 99.5% after
      t-1          Recognised the spellings of missing values (customer_id, full_name and 7 more): changed 2,210 cells in 1,965 rows
      t-2          Gave every column its type (customer_id, full_name and 7 more): changed 17,460 cells in 15,520 rows, could not read 87 values
      t-3          Tidied white space and characters of text (full_name): changed 8,211 cells in 7,299 rows
      t-4          Wrote phone numbers in one way (phone): changed 39,004 cells in 34,671 rows
      t-5          Wrote countries in one way (country): changed 11,804 cells in 10,493 rows
      t-6          Replaced misspelt values by the right ones (status): changed 5,926 cells in 5,268 rows
      …            6 more steps, 1 of them with nothing to do
      personal     treated in email and phone; found in full_name and left as it is, see --pii
      notes        1 note to read in the report
      look at      report.html shows it all, provenance/ has each changed cell, removed/ each row taken out, quarantine/ each row set aside
    ");
    insta::assert_snapshot!(summary_lines(&empty()).join("\n"), @r"
    0 rows in, 0 out (–)
      changed      0 cells
      look at      report.html shows it all
    ");
    for report in [customers(), wide(), empty(), hostile()] {
        let lines = summary_lines(&report);
        assert!(lines.len() <= 15, "{lines:#?}");
        assert!(
            lines
                .iter()
                .all(|line| line.chars().count() < 300 && !line.chars().any(char::is_control)),
            "{lines:#?}"
        );
    }
}

/// The same report gives the same page. With REPORT_PREVIEW=folder the pages are kept there for inspection.
#[test]
fn pages_are_self_contained_and_repeatable() {
    let reports: [(&str, Report); 4] = [
        ("customers", customers()),
        ("wide", wide()),
        ("empty", empty()),
        ("hostile", hostile()),
    ];
    for (name, report) in reports {
        let page = render_html(&report).unwrap();
        assert_eq!(page, render_html(&report.clone()).unwrap(), "{name}");
        for reference in [
            "http:",
            "https:",
            "src=\"",
            "url(",
            "@import",
            "<link rel=\"stylesheet",
        ] {
            assert!(!page.contains(reference), "{name} refers to {reference}");
        }
        assert_eq!(page.matches("<script>").count(), 1, "{name}");
        assert!(page.len() < 4_000_000, "{name} has {} bytes", page.len());
        if let Ok(folder) = std::env::var("REPORT_PREVIEW") {
            std::fs::write(format!("{folder}/{name}.html"), page).unwrap();
        }
    }
}

/// Markup in the data stays text, and nothing that garbles a page comes through.
#[test]
fn data_is_escaped() {
    let page = render_html(&hostile()).unwrap();
    assert!(page.contains("&lt;script&gt;alert(1)&lt;&#x2f;script&gt;"));
    for attack in [
        "<script>alert",
        "<img",
        "onerror=alert(2)>",
        "\u{202e}",
        "\u{0}",
        "\u{1b}",
        "NaN",
    ] {
        assert!(!page.contains(attack), "{attack:?}");
    }
}

/// A report without rows says so and divides by nothing.
#[test]
fn nothing_in_is_nothing_out() {
    let page = render_html(&empty()).unwrap();
    assert!(page.contains("The source holds no rows"));
    assert!(!page.contains("NaN") && !page.contains("inf%"));
    assert!(
        render_html(&Report::default())
            .unwrap()
            .contains("The source has no columns")
    );
}

/// The page has the key figures.
#[test]
fn page_shows_the_run() {
    let page = render_html(&customers()).unwrap();
    for text in [
        "52,310 rows in, 50,104 clean rows out.",
        "95.8%",
        "1,650 repeat another row exactly",
        "personal data, hashed",
        // Outliers of the source do not squeeze the chart, and are not passed over either.
        "values further on both sides, not drawn.",
        "<del>United States</del>",
        "data&#x2f;customers.csv:40230",
        "Attention: full_name seems to hold personal data",
    ] {
        assert!(page.contains(text), "{text}");
    }
}
