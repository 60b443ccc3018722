//! SQL functions of texts: plain text, telephone numbers, canonical values.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, plan_datafusion_err, plan_err};

use super::cell_function::{CellFunction, OptionCount, document, text_options};
use crate::kernels::canonical::Canonicalizer;
use crate::kernels::mojibake::FixMojibake;
use crate::kernels::phone::NormalizePhone;
use crate::kernels::text::{Case, NormalizeText, UnicodeForm};

/// How near a value must be when a query does not say it.
const DEFAULT_MIN_SIMILARITY: f64 = 0.8;

/// `normalize_text(x, …)`: trimmed text in a Unicode form, without double blanks.
pub fn normalize_text() -> CellFunction {
    CellFunction::new(
        "normalize_text",
        OptionCount::up_to(9),
        |options| {
            let mut kernel = NormalizeText::default();
            for option in text_options("normalize_text", options)? {
                apply_option(&mut kernel, &option)?;
            }
            Ok(Arc::new(kernel))
        },
        document(
            "Removes white space at both ends and control characters, makes one blank of every \
             run of white space, and brings the text to Unicode's NFC. Options change the letter \
             case or the Unicode form, or add repairs.",
            "normalize_text(text[, option, ...])",
            "normalize_text('  Ada   LOVELACE ', 'title')",
            "Ada Lovelace",
        )
        .with_argument("text", "The text to clean.")
        .with_argument(
            "option",
            "`lower`, `upper` or `title`; `nfc`, `nfkc`, `nfd` or `nfkd`; `mojibake` repairs text \
             that was read in the wrong encoding; `quotes` straightens quotation marks; `keep_spaces` \
             leaves white space within the text as it is.",
        )
        .build(),
    )
}

fn apply_option(kernel: &mut NormalizeText, option: &str) -> Result<()> {
    match option.to_ascii_lowercase().as_str() {
        "lower" => kernel.case = Some(Case::Lower),
        "upper" => kernel.case = Some(Case::Upper),
        "title" => kernel.case = Some(Case::Title),
        "nfc" => kernel.unicode = Some(UnicodeForm::Nfc),
        "nfkc" => kernel.unicode = Some(UnicodeForm::Nfkc),
        "nfd" => kernel.unicode = Some(UnicodeForm::Nfd),
        "nfkd" => kernel.unicode = Some(UnicodeForm::Nfkd),
        "mojibake" => kernel.fix_mojibake = true,
        "quotes" => kernel.straighten_quotes = true,
        "keep_spaces" => kernel.collapse_whitespace = false,
        _ => {
            return plan_err!(
                "normalize_text does not know the option '{option}': expected lower, upper, title, \
                 nfc, nfkc, nfd, nfkd, mojibake, quotes or keep_spaces"
            );
        }
    }
    Ok(())
}

/// `fix_mojibake(x)`: text that was read in the wrong encoding.
pub fn fix_mojibake() -> CellFunction {
    CellFunction::new(
        "fix_mojibake",
        OptionCount::NONE,
        |_| Ok(Arc::new(FixMojibake)),
        document(
            "Repairs UTF-8 that was read as Latin-1 or Windows-1252, once or several times; a text \
             that is not mojibake throughout stays as it is.",
            "fix_mojibake(text)",
            "fix_mojibake('FranÃ§ois')",
            "François",
        )
        .with_argument("text", "The text to repair.")
        .with_related_udf("normalize_text")
        .build(),
    )
}

/// `normalize_phone(x[, region])`: telephone numbers as E.164.
pub fn normalize_phone() -> CellFunction {
    CellFunction::new(
        "normalize_phone",
        OptionCount::up_to(1),
        |options| {
            let texts = text_options("normalize_phone", options)?;
            let region = texts.first().map_or("US", String::as_str);
            let kernel = NormalizePhone::new(region)
                .map_err(|error| plan_datafusion_err!("normalize_phone: {error}"))?;
            Ok(Arc::new(kernel))
        },
        document(
            "Writes a telephone number in the form of E.164, an extension behind `;ext=`. Null \
             where the text is no valid number.",
            "normalize_phone(text[, region])",
            "normalize_phone('(415) 555-0132', 'US')",
            "+14155550132",
        )
        .with_argument("text", "The number to read.")
        .with_argument(
            "region",
            "Country whose numbers need no country code, two letters of ISO 3166; `US` if left out.",
        )
        .build(),
    )
}

/// `canonicalize(x, values[, min_similarity])`: the canonical value of a text.
pub fn canonicalize() -> CellFunction {
    CellFunction::new(
        "canonicalize",
        OptionCount { min: 1, max: 2 },
        |options| {
            let (values, rest) = options.split_at(1.min(options.len()));
            let values = text_options("canonicalize", values)?;
            let min_similarity = match rest.first() {
                Some(option) => similarity(option)?,
                None => DEFAULT_MIN_SIMILARITY,
            };
            Ok(Arc::new(Canonicalizer::new(values, min_similarity)))
        },
        document(
            "Replaces a text by the value of a list that it stands for: the same but for case, \
             accents, punctuation and word order, or the nearest. Null where none is near enough, \
             or two are equally near.",
            "canonicalize(text, values[, min_similarity])",
            "canonicalize('actve', ['active', 'inactive'])",
            "active",
        )
        .with_argument("text", "The text to replace.")
        .with_argument("values", "The canonical values, a constant list.")
        .with_argument(
            "min_similarity",
            "How near the value must be, from 0 to 1; 0.8 if left out.",
        )
        .build(),
    )
}

fn similarity(option: &ScalarValue) -> Result<f64> {
    match option.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(Some(value))) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => plan_err!("min_similarity of canonicalize must be a number from 0 to 1, not {option}"),
    }
}
