//! The one list of the functions that this crate gives to a session.

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use crate::scalar::cell_function::CellFunction;
use crate::scalar::quantities;

/// Every scalar function, in the order of the reference documentation.
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let cell_functions: Vec<CellFunction> = vec![quantities::normalize_boolean()];
    cell_functions
        .into_iter()
        .map(|function| Arc::new(ScalarUDF::from(function)))
        .collect()
}
