//! `row_hash(a, b, …)`: one hash of several values.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::cell_function::document;
use crate::kernels::row_hash::RowHasher;

/// The 128-bit hash of a row, in hexadecimal digits.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct RowHashFunction {
    signature: Signature,
}

impl Default for RowHashFunction {
    fn default() -> Self {
        Self {
            signature: Signature::variadic_any(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for RowHashFunction {
    fn name(&self) -> &str {
        "row_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns: Vec<ArrayRef> = ColumnarValue::values_to_arrays(&args.args)?;
        let mut hasher = RowHasher::new(&columns);
        let mut hashes = StringViewBuilder::with_capacity(hasher.rows());
        let mut digits = String::with_capacity(32);
        for row in 0..hasher.rows() {
            digits.clear();
            let hash = hasher.hash_row(row);
            digits.extend(
                (0..32).rev().map(|place| {
                    char::from(b"0123456789abcdef"[(hash >> (4 * place)) as usize & 15])
                }),
            );
            hashes.append_value(&digits);
        }
        Ok(ColumnarValue::Array(Arc::new(hashes.finish())))
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            document(
                "A hash of several values of any types, 32 hexadecimal digits, the same on every \
                 machine. Null differs from the empty text, and numbers of different types differ.",
                "row_hash(value[, value, ...])",
                "row_hash('Ada', 1) = row_hash('Ada', 1)",
                "true",
            )
            .with_argument("value", "A value of the row.")
            .build()
        });
        Some(&DOCUMENTATION)
    }
}
