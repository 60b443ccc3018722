//! SQL functions of numbers, amounts of money, bank accounts and truth values.

use std::sync::Arc;

use datafusion::common::{Result, ScalarValue, plan_err};

use super::cell_function::{CellFunction, OptionCount, document, text_options};
use crate::kernels::boolean::NormalizeBoolean;
use crate::kernels::cell::CellKernel;
use crate::kernels::currency::{Currency, NormalizeCurrency};
use crate::kernels::iban::NormalizeIban;
use crate::kernels::number::{NormalizeNumber, NumberFormat};

/// `normalize_number(x[, decimal])`: numbers in plain notation.
pub fn normalize_number() -> CellFunction {
    CellFunction::new(
        "normalize_number",
        OptionCount::up_to(1),
        number_kernel,
        document(
            "Writes a number in plain notation: without currency, thousand separators, parentheses \
             for a minus or percent sign; spelt-out English numbers are read too. Null where the \
             text is no number.",
            "normalize_number(text[, decimal])",
            "normalize_number('($1,234.50)')",
            "-1234.50",
        )
        .with_argument("text", "The text to read.")
        .with_argument(
            "decimal",
            "The decimal separator, `.` or `,`; without it each number must tell by itself.",
        )
        .build(),
    )
}

fn number_kernel(options: &[ScalarValue]) -> Result<Arc<dyn CellKernel>> {
    let options = text_options("normalize_number", options)?;
    let decimal = match options.first().map(String::as_str) {
        None => None,
        Some(".") => Some(b'.'),
        Some(",") => Some(b','),
        Some(other) => {
            return plan_err!(
                "normalize_number: the decimal separator is '.' or ',', not '{other}'"
            );
        }
    };
    Ok(Arc::new(NormalizeNumber::new(NumberFormat {
        decimal,
        thousands: None,
    })))
}

/// `normalize_boolean(x)`: truth values as `true` and `false`.
pub fn normalize_boolean() -> CellFunction {
    CellFunction::new(
        "normalize_boolean",
        OptionCount::NONE,
        |_| Ok(Arc::new(NormalizeBoolean)),
        document(
            "Writes a truth value as `true` or `false`: yes/no, y/n, on/off, t/f, 1/0 in any case, \
             and the yes and no of French, German, Spanish and Italian. Null where the text is \
             none of these.",
            "normalize_boolean(text)",
            "normalize_boolean(' Yes ')",
            "true",
        )
        .with_argument("text", "The text to read.")
        .build(),
    )
}

/// `normalize_currency(x[, dollar])`: amounts with their ISO 4217 code.
pub fn normalize_currency() -> CellFunction {
    CellFunction::new(
        "normalize_currency",
        OptionCount::up_to(1),
        currency_kernel,
        document(
            "Writes an amount of money as its ISO 4217 code and a plain number, and a currency \
             without an amount as its code. Null where the text is neither.",
            "normalize_currency(text[, dollar])",
            "normalize_currency('1.234,50 €')",
            "EUR 1234.50",
        )
        .with_argument("text", "The text to read.")
        .with_argument(
            "dollar",
            "The code that a bare `$` stands for; `USD` if left out.",
        )
        .build(),
    )
}

/// `normalize_iban(x)`: international bank account numbers in electronic notation.
pub fn normalize_iban() -> CellFunction {
    CellFunction::new(
        "normalize_iban",
        OptionCount::NONE,
        |_| Ok(Arc::new(NormalizeIban)),
        document(
            "Writes an international bank account number (ISO 13616) in capitals without blanks. \
             Null where the text is none: its check digits, its length and the form of its country \
             are checked.",
            "normalize_iban(text)",
            "normalize_iban('gb82 west 1234 5698 7654 32')",
            "GB82WEST12345698765432",
        )
        .with_argument("text", "The text to read.")
        .build(),
    )
}

fn currency_kernel(options: &[ScalarValue]) -> Result<Arc<dyn CellKernel>> {
    let options = text_options("normalize_currency", options)?;
    let Some(code) = options.first() else {
        return Ok(Arc::new(NormalizeCurrency::default()));
    };
    match Currency::from_code(code) {
        Some(currency) => Ok(Arc::new(NormalizeCurrency::new(currency))),
        None => plan_err!("normalize_currency: '{code}' is not an ISO 4217 code"),
    }
}
