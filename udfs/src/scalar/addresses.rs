//! SQL functions of e-mail addresses, web addresses and countries.

use std::sync::Arc;

use datafusion::common::{Result, ScalarValue, plan_err};

use super::cell_function::{CellFunction, OptionCount, document, text_options};
use crate::kernels::cell::CellKernel;
use crate::kernels::country::{CountryForm, NormalizeCountry};
use crate::kernels::email::NormalizeEmail;
use crate::kernels::url::NormalizeUrl;

/// `normalize_email(x)`: bare addresses in lower case.
pub fn normalize_email() -> CellFunction {
    CellFunction::new(
        "normalize_email",
        OptionCount::NONE,
        |_| Ok(Arc::new(NormalizeEmail::default())),
        document(
            "Writes an e-mail address bare and in lower case, its domain in ASCII; common slips are \
             repaired. Null where the text is no address.",
            "normalize_email(text)",
            "normalize_email('Ann Example <Ann@Example.COM>')",
            "ann@example.com",
        )
        .with_argument("text", "The text to read.")
        .build(),
    )
}

/// `normalize_url(x)`: web addresses in their normal notation.
pub fn normalize_url() -> CellFunction {
    CellFunction::new(
        "normalize_url",
        OptionCount::NONE,
        |_| Ok(Arc::new(NormalizeUrl)),
        document(
            "Writes a web address in its normal notation (RFC 3986): `https` where the scheme is \
             missing, host in lower case, no default port, no password, `/` for an empty path. \
             Null where the text is no web address.",
            "normalize_url(text)",
            "normalize_url('WWW.Example.com')",
            "https://www.example.com/",
        )
        .with_argument("text", "The text to read.")
        .build(),
    )
}

/// `normalize_country(x[, form])`: countries by ISO 3166-1.
pub fn normalize_country() -> CellFunction {
    CellFunction::new(
        "normalize_country",
        OptionCount::up_to(1),
        country_kernel,
        document(
            "Writes a country, given by code or name, in one form of ISO 3166-1; misspelt names are \
             read where only one is near. Null where the text is no country.",
            "normalize_country(text[, form])",
            "normalize_country('South Korea')",
            "KR",
        )
        .with_argument("text", "The text to read.")
        .with_argument("form", "`alpha2` (as if left out), `alpha3` or `name`.")
        .build(),
    )
}

fn country_kernel(options: &[ScalarValue]) -> Result<Arc<dyn CellKernel>> {
    let options = text_options("normalize_country", options)?;
    let form = match options.first().map(String::as_str) {
        None | Some("alpha2") => CountryForm::Alpha2,
        Some("alpha3") => CountryForm::Alpha3,
        Some("name") => CountryForm::Name,
        Some(other) => {
            return plan_err!(
                "normalize_country: the form is 'alpha2', 'alpha3' or 'name', not '{other}'"
            );
        }
    };
    Ok(Arc::new(NormalizeCountry::new(form)))
}
