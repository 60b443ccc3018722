//! The one list of the functions that this crate gives to a session.

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use crate::aggregate::mode::ModeFunction;
use crate::scalar::cell_function::CellFunction;
use crate::scalar::minhash_lsh::MinHashLshFunction;
use crate::scalar::pii_hash::PiiHashFunction;
use crate::scalar::row_hash::RowHashFunction;
use crate::scalar::{addresses, dates, personal_data, quantities, similarity, texts};
use crate::window::impute;

/// Returns every scalar function, in the order of the reference documentation.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let cell_functions: Vec<CellFunction> = vec![
        texts::normalize_text(),
        texts::fix_mojibake(),
        texts::normalize_phone(),
        texts::canonicalize(),
        addresses::normalize_email(),
        addresses::normalize_url(),
        addresses::normalize_country(),
        dates::normalize_date(),
        quantities::normalize_number(),
        quantities::normalize_boolean(),
        quantities::normalize_currency(),
        quantities::normalize_iban(),
        personal_data::pii_detect(),
        personal_data::pii_redact(),
    ];
    cell_functions
        .into_iter()
        .map(ScalarUDF::from)
        .chain([
            ScalarUDF::from(PiiHashFunction::default()),
            ScalarUDF::from(RowHashFunction::default()),
            ScalarUDF::from(MinHashLshFunction::default()),
            ScalarUDF::from(similarity::jaccard_similarity()),
            ScalarUDF::from(similarity::jaro_winkler_similarity()),
        ])
        .map(Arc::new)
        .collect()
}

/// Returns every aggregate function, in the order of the reference documentation.
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::from(ModeFunction::default()))]
}

/// Returns every window function, in the order of the reference documentation.
pub fn window_functions() -> Vec<Arc<WindowUDF>> {
    [impute::impute_median(), impute::impute_mode()]
        .map(|function| Arc::new(WindowUDF::from(function)))
        .to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::collections::HashSet;

    use datafusion::logical_expr::Documentation;

    use super::*;
    use crate::test_session::ask;

    /// The statement of an example and the lines of its result.
    fn example_of(documentation: &Documentation) -> (String, Vec<String>) {
        let example = documentation.sql_example.as_deref().unwrap();
        let example = example.trim_start_matches("```sql\n> ");
        let (statement, result) = example.split_once(";\n").unwrap();
        let result = result.trim_end_matches("\n```").lines();
        (statement.to_owned(), result.map(str::to_owned).collect())
    }

    /// Each function is listed once and documented, and its example gives what it says; that of
    /// `pii_hash` would need a secret.
    #[tokio::test]
    async fn every_example_gives_its_result() {
        let (scalar, aggregate, window) = (
            scalar_functions(),
            aggregate_functions(),
            window_functions(),
        );
        let scalar = scalar
            .iter()
            .map(|function| (function.name(), function.documentation()));
        let aggregate = aggregate
            .iter()
            .map(|function| (function.name(), function.documentation()));
        let window = window
            .iter()
            .map(|function| (function.name(), function.documentation()));
        let mut names = HashSet::new();
        for (name, documentation) in scalar.chain(aggregate).chain(window) {
            assert!(names.insert(name), "{name} twice");
            let (statement, want) = example_of(documentation.unwrap());
            if name != "pii_hash" {
                assert_eq!(ask(&statement).await, Ok(want), "{statement}");
            }
        }
    }

    /// Options are read, and wrong ones refused with what was expected.
    #[tokio::test]
    async fn options() {
        for (call, result) in [
            ("normalize_country('KR', 'alpha3')", "KOR"),
            ("normalize_date('03/04/2021')", "2021-03-04"),
            ("normalize_date('03/04/2021', 'day_first')", "2021-04-03"),
            ("normalize_number('1.234', ',')", "1234"),
            ("normalize_currency('$5', 'CAD')", "CAD 5"),
        ] {
            let statement = format!("select {call}");
            assert_eq!(ask(&statement).await, Ok(vec![result.to_owned()]), "{call}");
        }
        for (call, says) in [
            (
                "normalize_country('KR', 'latin')",
                "'alpha2', 'alpha3' or 'name'",
            ),
            ("normalize_date('x', '%Q')", "unknown specifier \"%Q\""),
            ("normalize_number('1', ';')", "'.' or ','"),
            (
                "normalize_currency('$5', 'dollars')",
                "not an ISO 4217 code",
            ),
        ] {
            let error = ask(&format!("select {call}")).await.unwrap_err();
            assert!(error.contains(says), "{call}: {error}");
        }
        for call in ["normalize_email('none')", "normalize_email(null)"] {
            let statement = format!("select {call}");
            assert_eq!(ask(&statement).await, Ok(vec!["null".to_owned()]), "{call}");
        }
    }
}
