//! The reference is what the code says.

use std::path::Path;

use planner::steps::StepSpec;

use crate::place::{Place, block_on};

/// The page of the relations is up to date, and every example on it is a statement that is right, whether
/// or not the table at hand is what the step works on.
#[test]
fn reference_of_the_relations() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/relations.md");
    let made = sql::relation_reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&page, &made).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == made,
        "docs/reference/relations.md is out of date; run with UPDATE_REFERENCE=1"
    );
    let examples: Vec<&str> = made
        .split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .collect();
    // Beside the steps there are `sanitize` and `near_clusters`.
    assert_eq!(examples.len(), StepSpec::NAMES.len() + 2);
    block_on(async {
        let place = Place::new().await;
        let session = place.session();
        let made = "CREATE TABLE people AS SELECT * FROM (VALUES ('Ada', 'London', 36, 1000.5, '2021-03-04', '1', 'active', 'a@b.de')) AS v(full_name, address, age, income, signup_date, phone, status, email)";
        session.execute(made).await.unwrap();
        for example in examples {
            let planned = session.statement(example).unwrap().plan().await;
            if let Err(error) = planned {
                // The table may not be what the step works on; the statement is what it should be.
                let wrong = ["unknown", "no option", "no constant", "SQL", "not found"];
                let error = error.to_string();
                let wrong = wrong.iter().any(|text| error.contains(text));
                assert!(!wrong && error.contains("steps[0]"), "{example}: {error}");
            }
        }
    });
}

/// The page of the statements is up to date with the tables that the service checks.
#[test]
fn reference_of_the_statements() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/statements.md");
    let made = sql::statement_reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&page, &made).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == made,
        "docs/reference/statements.md is out of date; run with UPDATE_REFERENCE=1"
    );
}
