//! `pii_hash(x[, secret])`: keyed hashes, with a secret that the query only names.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use super::cell_function::document;
use super::secret::{SecretAccess, SecretError, SecretReference};
use crate::kernels::pii::hash::{HashMethod, PiiHash};

/// HMAC-SHA-256 of a text, in hexadecimal digits.
///
/// The plan holds only the name of the secret; each process that runs a part of the plan resolves it for itself. A
/// missing secret is an error: a hash without it would give no protection. The policy of which secrets may be named is
/// part of the function, and so of every plan that calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PiiHashFunction {
    signature: Signature,
    access: SecretAccess,
}

impl Default for PiiHashFunction {
    fn default() -> Self {
        Self::new(SecretAccess::Any)
    }
}

const NOT_A_NAME: &str = "pii_hash needs the name of its secret as a constant text";

fn failed(error: SecretError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl PiiHashFunction {
    /// Creates the function with the policy of who calls it.
    pub fn new(access: SecretAccess) -> Self {
        Self {
            // Stable, for the same name may stand for another secret tomorrow.
            signature: Signature::user_defined(Volatility::Stable),
            access,
        }
    }

    /// Returns which secrets its calls may name.
    pub fn access(&self) -> &SecretAccess {
        &self.access
    }

    /// The secret among the arguments of a call, literal or computed, once it is known that it may be named.
    fn reference_of(&self, name: Option<&ScalarValue>) -> Result<SecretReference> {
        let Some(value) = name else {
            return self.access.usual().map_err(failed);
        };
        let Some(Some(name)) = value.try_as_str() else {
            return plan_err!("{NOT_A_NAME}");
        };
        let reference: SecretReference = name.parse().map_err(failed)?;
        self.access.admit(&reference).map_err(failed)
    }
}

impl ScalarUDFImpl for PiiHashFunction {
    fn name(&self) -> &str {
        "pii_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        // The name is checked when planning; the secret need not exist where the plan is made.
        if let Some(Some(name)) = args.scalar_arguments.get(1) {
            self.reference_of(Some(name))?;
        }
        let nullable = args
            .arg_fields
            .first()
            .is_none_or(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            DataType::Utf8View,
            nullable,
        )))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [cell] | [cell, _]
                if cell.is_nested() || !can_cast_types(cell, &DataType::Utf8View) =>
            {
                plan_err!("pii_hash cannot read a value of type {cell} as text")
            }
            [_] => Ok(vec![DataType::Utf8View]),
            [_, name] if name.is_string() => Ok(vec![DataType::Utf8View, name.clone()]),
            [_, _] => plan_err!("{NOT_A_NAME}"),
            _ => plan_err!("pii_hash takes 1 to 2 arguments, got {}", arg_types.len()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let name = match args.args.get(1) {
            None => None,
            Some(ColumnarValue::Scalar(name)) => Some(name.clone()),
            // One secret a call: a column of names is not what anybody means.
            Some(ColumnarValue::Array(_)) => return plan_err!("{NOT_A_NAME}"),
        };
        let reference = self.reference_of(name.as_ref())?;
        let secret = reference.resolve().map_err(failed)?;
        let hasher = PiiHash::new(&secret, HashMethod::HmacSha256, None);
        let is_scalar = matches!(args.args.first(), Some(ColumnarValue::Scalar(_)));
        let Some(cells) = args.args.into_iter().next() else {
            return plan_err!("pii_hash takes 1 to 2 arguments, got 0");
        };
        let cells = cells.into_array(if is_scalar { 1 } else { args.number_rows })?;
        let cells = cast(&cells, &DataType::Utf8View)?;
        let hashed = hasher.hash_column(cells.as_string_view());
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &hashed, 0,
            )?));
        }
        Ok(ColumnarValue::Array(Arc::new(hashed)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: std::sync::LazyLock<Documentation> = std::sync::LazyLock::new(|| {
            document(
                "Replaces a text by its HMAC-SHA-256 under a secret, 64 hexadecimal digits: equal \
                 texts stay equal, none can be read or guessed without the secret.",
                "pii_hash(text[, secret])",
                "pii_hash(email, 'env:SANITIZER_SALT')",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            )
            .with_argument("text", "The text to hash.")
            .with_argument(
                "secret",
                "Where the secret of at least 16 bytes is found when the query runs: `env:NAME` or \
                 `file:PATH`; `env:SANITIZER_SALT` if left out. A service allows those of its `--secret` list only, and \
                 derives from each a secret of the tenant's own.",
            )
            .build()
        });
        Some(&DOCUMENTATION)
    }
}
