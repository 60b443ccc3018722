//! The one list of the functions that this crate gives to a session.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::scalar::cell_function::CellFunction;
use crate::scalar::pii_hash::PiiHashFunction;
use crate::scalar::row_hash::RowHashFunction;
use crate::scalar::{personal_data, quantities, texts};

/// Every scalar function, in the order of the reference documentation.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let cell_functions: Vec<CellFunction> = vec![
        quantities::normalize_boolean(),
        texts::normalize_text(),
        texts::normalize_phone(),
        texts::canonicalize(),
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
