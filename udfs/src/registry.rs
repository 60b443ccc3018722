//! The one list of the functions that this crate gives to a session.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::scalar::cell_function::CellFunction;
use crate::scalar::pii_hash::PiiHashFunction;
use crate::scalar::row_hash::RowHashFunction;
use crate::scalar::{addresses, dates, personal_data, quantities, texts};

/// Every scalar function, in the order of the reference documentation.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let cell_functions: Vec<CellFunction> = vec![
        texts::normalize_text(),
        texts::normalize_phone(),
        texts::canonicalize(),
        addresses::normalize_email(),
        addresses::normalize_url(),
        addresses::normalize_country(),
        dates::normalize_date(),
        quantities::normalize_number(),
        quantities::normalize_boolean(),
        quantities::normalize_currency(),
        personal_data::pii_detect(),
        personal_data::pii_redact(),
    ];
    cell_functions
        .into_iter()
        .map(ScalarUDF::from)
        .chain([
            ScalarUDF::from(PiiHashFunction::default()),
            ScalarUDF::from(RowHashFunction::default()),
        ])
        .map(Arc::new)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::collections::HashSet;

    use arrow::array::AsArray;
    use arrow::datatypes::Schema;
    use arrow::record_batch::{RecordBatch, RecordBatchOptions};
    use datafusion::common::DFSchema;
    use datafusion::prelude::SessionContext;

    use super::*;

    /// The text that a call of constants gives, or the error that its planning gives.
    fn ask(call: &str) -> Result<Option<String>, String> {
        let session = SessionContext::new();
        for function in scalar_functions() {
            session.register_udf(function.as_ref().clone());
        }
        let text = |error: datafusion::error::DataFusionError| error.to_string();
        let empty = DFSchema::empty();
        let call = session.parse_sql_expr(call, &empty).map_err(text)?;
        let call = session.create_physical_expr(call, &empty).map_err(text)?;
        let one_row = RecordBatchOptions::new().with_row_count(Some(1));
        let batch =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one_row).unwrap();
        let result = call
            .evaluate(&batch)
            .map_err(text)?
            .into_array(1)
            .map_err(text)?;
        Ok(result
            .as_string_view()
            .iter()
            .next()
            .flatten()
            .map(str::to_owned))
    }

    /// Each function is listed once and documented, and an example of constants that gives a text
    /// gives just that; others need a column or a secret.
    #[test]
    fn every_example_gives_its_result() {
        let mut names = HashSet::new();
        for function in scalar_functions() {
            assert!(
                names.insert(function.name().to_owned()),
                "{} twice",
                function.name()
            );
            let documentation = function.documentation().unwrap();
            let example = documentation.sql_example.as_deref().unwrap();
            let mut lines = example.lines().filter(|line| !line.starts_with("```"));
            let call = lines
                .next()
                .unwrap()
                .trim_start_matches("> select ")
                .trim_end_matches(';');
            let result = lines.next().unwrap();
            if ["pii_hash", "row_hash"].contains(&function.name()) {
                continue;
            }
            assert_eq!(ask(call), Ok(Some(result.to_owned())), "{call}");
        }
    }

    /// Options are read, and wrong ones refused with what was expected.
    #[test]
    fn options() {
        for (call, result) in [
            ("normalize_country('KR', 'alpha3')", "KOR"),
            ("normalize_date('03/04/2021')", "2021-03-04"),
            ("normalize_date('03/04/2021', 'day_first')", "2021-04-03"),
            ("normalize_number('1.234', ',')", "1234"),
            ("normalize_currency('$5', 'CAD')", "CAD 5"),
        ] {
            assert_eq!(ask(call), Ok(Some(result.to_owned())), "{call}");
        }
        for (call, says) in [
            (
                "normalize_country('KR', 'latin')",
                "'alpha2', 'alpha3' or 'name'",
            ),
            ("normalize_date('x', '%Q')", "unknown specifier \"%Q\""),
            ("normalize_number('1', ';')", "'.' or ','"),
            ("normalize_currency('$5', 'dollars')", "no code of ISO 4217"),
        ] {
            let error = ask(call).unwrap_err();
            assert!(error.contains(says), "{call}: {error}");
        }
        assert_eq!(ask("normalize_email('none')"), Ok(None));
        assert_eq!(ask("normalize_email(null)"), Ok(None));
    }
}
