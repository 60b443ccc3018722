//! SQL functions of truth values.

use std::sync::Arc;

use super::cell_function::{CellFunction, OptionCount, document};
use crate::kernels::boolean::NormalizeBoolean;

/// `normalize_boolean(x)`: truth values as `true` and `false`.
pub fn normalize_boolean() -> CellFunction {
    CellFunction::new(
        "normalize_boolean",
        OptionCount::NONE,
        |_| Ok(Arc::new(NormalizeBoolean)),
        document(
            "Writes a truth value as `true` or `false`: yes/no, y/n, on/off, t/f, 1/0 in any case, \
             and the yes and no of French, German, Spanish and Italian. Null where the text is none of these.",
            "normalize_boolean(text)",
            "normalize_boolean(' Yes ')",
            "true",
        )
        .with_argument("text", "The text to read.")
        .build(),
    )
}
