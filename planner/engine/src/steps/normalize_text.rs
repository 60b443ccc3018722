//! `normalize_text`: white space, case, Unicode form.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfs::kernels::cell::CellKernel;
use udfs::kernels::text;

use super::text_op::{TextOp, Unreadable};
use super::{NamedStep, Step};
use crate::contract::Columns;
use crate::error::Result;
use crate::operation::{ChangeSource, Layout, Op, StepContext};

/// Brings text to one form: trimmed, runs of white space collapsed, Unicode normalised (UAX #15).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormalizeText {
    /// Columns to normalise.
    #[serde(default)]
    pub columns: Columns,
    /// Remove white space at both ends.
    #[serde(default = "yes")]
    pub trim: bool,
    /// Make each run of white space one blank.
    #[serde(default = "yes")]
    pub collapse_whitespace: bool,
    /// Case to bring the text to; as it is when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<TextCase>,
    /// Unicode normal form.
    #[serde(default)]
    pub unicode: UnicodeNormalForm,
    /// Remove control characters.
    #[serde(default = "yes")]
    pub strip_control: bool,
    /// Repair UTF-8 that was read as Latin-1 (`FranÃ§ois`).
    #[serde(default)]
    pub fix_mojibake: bool,
    /// Make curly quotes straight.
    #[serde(default)]
    pub straighten_quotes: bool,
}

impl Default for NormalizeText {
    fn default() -> Self {
        Self {
            columns: Columns::All,
            trim: true,
            collapse_whitespace: true,
            case: None,
            unicode: UnicodeNormalForm::Nfc,
            strip_control: true,
            fix_mojibake: false,
            straighten_quotes: false,
        }
    }
}

fn yes() -> bool {
    true
}

/// Case of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextCase {
    /// all lower
    Lower,
    /// ALL UPPER
    Upper,
    /// First Letters
    Title,
}

/// Unicode normal form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnicodeNormalForm {
    /// Composed.
    #[default]
    Nfc,
    /// Composed, compatibility characters replaced.
    Nfkc,
    /// Decomposed.
    Nfd,
    /// Decomposed, compatibility characters replaced.
    Nfkd,
    /// As it is.
    None,
}

impl NormalizeText {
    /// The kernel of this step.
    pub fn kernel(&self) -> text::NormalizeText {
        text::NormalizeText {
            trim: self.trim,
            collapse_whitespace: self.collapse_whitespace,
            case: self.case.map(|case| match case {
                TextCase::Lower => text::Case::Lower,
                TextCase::Upper => text::Case::Upper,
                TextCase::Title => text::Case::Title,
            }),
            unicode: match self.unicode {
                UnicodeNormalForm::Nfc => Some(text::UnicodeForm::Nfc),
                UnicodeNormalForm::Nfkc => Some(text::UnicodeForm::Nfkc),
                UnicodeNormalForm::Nfd => Some(text::UnicodeForm::Nfd),
                UnicodeNormalForm::Nfkd => Some(text::UnicodeForm::Nfkd),
                UnicodeNormalForm::None => None,
            },
            strip_control: self.strip_control,
            fix_mojibake: self.fix_mojibake,
            straighten_quotes: self.straighten_quotes,
        }
    }
}

impl NamedStep for NormalizeText {
    const NAME: &'static str = "normalize_text";
    const EXAMPLE: &'static str =
        "{type: normalize_text, columns: [full_name, address], case: lower, unicode: nfc}";
}

impl Step for NormalizeText {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let fits = |column: &crate::operation::LayoutColumn| column.is_text();
        let columns = layout.select(&self.columns, &context.field, fits, "text")?;
        let kernel: Arc<dyn CellKernel> = Arc::new(self.kernel());
        let columns = columns
            .into_iter()
            .map(|column| (column, Arc::clone(&kernel)))
            .collect();
        Ok(vec![Box::new(TextOp {
            name: "NormalizeTextOp",
            transformation: context.transformation,
            columns,
            unreadable: Unreadable::Keep,
            source: ChangeSource::Deterministic,
        })])
    }

    fn works_on_notations(&self) -> bool {
        true
    }

    fn text_columns(&self) -> Option<&Columns> {
        Some(&self.columns)
    }
}
