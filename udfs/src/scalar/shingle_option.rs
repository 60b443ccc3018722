//! The option that says what texts are cut into, of the functions that compare shingles.

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_datafusion_err, plan_err};

use crate::kernels::shingle::Shingling;

/// What a shingle is when a query does not say it, for the documentation.
pub const SHINGLE_ARGUMENT: &str = "What the texts are cut into: a number of characters, or a text \
     such as `'3 characters'` (as if left out; fits names and addresses) or `'5 words'` (fits \
     documents). Case, accents and punctuation are of no effect.";

/// Returns the type that a shingle option is coerced to: 64 bits for a number, unchanged for a text.
///
/// # Errors
/// When the type is neither.
pub fn shingle_type(function: &str, given: &DataType) -> Result<DataType> {
    if given.is_integer() {
        Ok(DataType::Int64)
    } else if given.is_string() {
        Ok(given.clone())
    } else {
        plan_err!("{function}: a shingle is a number of characters or a text such as '5 words'")
    }
}

/// Parses a shingle option.
///
/// # Errors
/// When it is null, out of range or malformed.
pub fn shingling_of(function: &str, option: Option<&ScalarValue>) -> Result<Shingling> {
    let text = match option {
        None => return Ok(Shingling::default()),
        Some(ScalarValue::Int64(Some(characters))) => characters.to_string(),
        Some(option) => match option.try_as_str() {
            Some(Some(text)) => text.to_owned(),
            _ => return plan_err!("{function}: the shingle must be a constant, not null"),
        },
    };
    text.parse()
        .map_err(|error| plan_datafusion_err!("{function}: {error}"))
}
