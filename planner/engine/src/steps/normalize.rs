//! `normalize`: one notation for e-mail addresses, phone numbers, dates, numbers and the like.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfs::kernels::boolean::NormalizeBoolean;
use udfs::kernels::cell::CellKernel;
use udfs::kernels::country::{CountryForm, NormalizeCountry};
use udfs::kernels::currency::NormalizeCurrency;
use udfs::kernels::date::{DateFormats, DayMonthOrder, NormalizeDate};
use udfs::kernels::email::NormalizeEmail;
use udfs::kernels::number::{NormalizeNumber, NumberFormat};
use udfs::kernels::phone::NormalizePhone;
use udfs::kernels::url::NormalizeUrl;

use super::text_op::{TextOp, Unreadable};
use super::{NamedStep, Step};
use crate::contract::Columns;
use crate::contract::ContractColumn;
use crate::error::{Error, Result};
use crate::operation::{ChangeSource, Layout, LayoutColumn, Op, StepContext};

/// Brings values that can be written in many ways to one notation. A cell that cannot be read
/// becomes null, with provenance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// What the cells hold.
    pub kind: NormalizeKind,
    /// Columns to normalise.
    pub columns: Columns,
    /// Of dates: the notations to try, in order (strftime); those of the contract, or the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Vec<String>>,
    /// Of dates: whether 03/04/2021 is the third of April, where the notations leave it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_first: Option<bool>,
    /// Of phone numbers: the country (ISO 3166 alpha-2) of numbers without a country code. Default US.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Of numbers: whether a comma is the decimal point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_comma: Option<bool>,
    /// Of countries: what to write. Default alpha2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<CountryNotation>,
    /// What becomes of a cell that cannot be read.
    #[serde(default)]
    pub on_invalid: OnInvalid,
}

/// What cells hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormalizeKind {
    /// Mail addresses, lower-cased.
    Email,
    /// Phone numbers, to E.164.
    Phone,
    /// Dates and moments, to ISO 8601.
    Date,
    /// Numbers, to plain notation.
    Number,
    /// To `true` and `false`.
    Boolean,
    /// URLs (WHATWG).
    Url,
    /// Countries, to ISO 3166.
    Country,
    /// Currencies and amounts, to ISO 4217.
    Currency,
}

/// How a country is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountryNotation {
    /// `DE`
    Alpha2,
    /// `DEU`
    Alpha3,
    /// `Germany`
    Name,
}

/// What becomes of a cell that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// It becomes null.
    #[default]
    SetNull,
    /// It stays as it is.
    Keep,
}

impl NormalizeKind {
    /// Whether the notation is a text, rather than a number, a date or a truth value.
    pub fn gives_text(self) -> bool {
        !matches!(self, Self::Date | Self::Number | Self::Boolean)
    }
}

impl Normalize {
    /// The kernel for a column. `field` is the step's path in the spec.
    pub fn kernel(&self, column: &ContractColumn, field: &str) -> Result<Arc<dyn CellKernel>> {
        self.check_options(field)?;
        Ok(match self.kind {
            NormalizeKind::Email => Arc::new(NormalizeEmail::default()),
            NormalizeKind::Phone => {
                let region = self.region.as_deref().unwrap_or("US");
                let kernel = NormalizePhone::new(region)
                    .map_err(|error| Error::field(format!("{field}.region"), error.to_string()))?;
                Arc::new(kernel)
            }
            NormalizeKind::Date => {
                let formats = self.formats.as_ref().unwrap_or(&column.formats);
                let day_first = self.day_first.unwrap_or(column.day_first);
                Arc::new(NormalizeDate::new(date_formats(formats, day_first, field)?))
            }
            NormalizeKind::Number => {
                let comma = self.decimal_comma.unwrap_or(column.decimal_comma);
                Arc::new(NormalizeNumber::new(number_format(comma)))
            }
            NormalizeKind::Boolean => Arc::new(NormalizeBoolean),
            NormalizeKind::Url => Arc::new(NormalizeUrl),
            NormalizeKind::Country => {
                let form = match self.to.unwrap_or(CountryNotation::Alpha2) {
                    CountryNotation::Alpha2 => CountryForm::Alpha2,
                    CountryNotation::Alpha3 => CountryForm::Alpha3,
                    CountryNotation::Name => CountryForm::Name,
                };
                Arc::new(NormalizeCountry::new(form))
            }
            NormalizeKind::Currency => Arc::new(NormalizeCurrency::default()),
        })
    }

    // An option that the kind does not know would be ignored in silence.
    fn check_options(&self, field: &str) -> Result<()> {
        use NormalizeKind::{Country, Date, Number, Phone};
        let given = [
            ("formats", self.formats.is_some(), Date),
            ("day_first", self.day_first.is_some(), Date),
            ("region", self.region.is_some(), Phone),
            ("decimal_comma", self.decimal_comma.is_some(), Number),
            ("to", self.to.is_some(), Country),
        ];
        match given
            .into_iter()
            .find(|(_, given, kind)| *given && *kind != self.kind)
        {
            Some((name, _, kind)) => {
                let kind = serde_json::to_value(kind)?;
                let problem = format!("belongs to kind {kind} only");
                Err(Error::field(format!("{field}.{name}"), problem))
            }
            None => Ok(()),
        }
    }
}

/// The notations of dates: those given, or the usual ones.
pub(super) fn date_formats(
    formats: &[String],
    day_first: bool,
    field: &str,
) -> Result<DateFormats> {
    if formats.is_empty() {
        let order = if day_first {
            DayMonthOrder::DayFirst
        } else {
            DayMonthOrder::MonthFirst
        };
        return Ok(DateFormats::usual(order));
    }
    DateFormats::parse(formats)
        .map_err(|error| Error::field(format!("{field}.formats"), error.to_string()))
}

/// The notation of numbers.
pub(super) fn number_format(decimal_comma: bool) -> NumberFormat {
    if decimal_comma {
        NumberFormat {
            decimal: Some(b','),
            thousands: Some(b'.'),
        }
    } else {
        NumberFormat::default()
    }
}

impl NamedStep for Normalize {
    const NAME: &'static str = "normalize";
    const EXAMPLE: &'static str = "{type: normalize, kind: date, columns: [signup_date], formats: [\"%Y-%m-%d\", \"%m/%d/%Y\", \"%d.%m.%Y\"]}";
}

impl Step for Normalize {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        // A column that already has the type it would be brought to needs nothing.
        let natural = |column: &LayoutColumn| match self.kind {
            NormalizeKind::Date => {
                matches!(
                    column.data_type,
                    arrow::datatypes::DataType::Date32 | arrow::datatypes::DataType::Timestamp(..)
                )
            }
            NormalizeKind::Number => column.is_number(),
            NormalizeKind::Boolean => column.data_type == arrow::datatypes::DataType::Boolean,
            _ => false,
        };
        let fits = |column: &LayoutColumn| column.is_text() || natural(column);
        let numbers = layout.select(&self.columns, &context.field, fits, "text")?;
        let mut columns = Vec::with_capacity(numbers.len());
        for number in numbers {
            let column = &layout.columns[number];
            if !natural(column) {
                columns.push((number, self.kernel(&column.contract, &context.field)?));
            }
        }
        Ok(vec![Box::new(TextOp {
            name: "NormalizeOp",
            transformation: context.transformation,
            columns,
            unreadable: match self.on_invalid {
                OnInvalid::SetNull => Unreadable::SetNull,
                OnInvalid::Keep => Unreadable::Keep,
            },
            source: ChangeSource::Deterministic,
        })])
    }

    fn works_on_notations(&self) -> bool {
        true
    }

    fn text_columns(&self) -> Option<&Columns> {
        self.kind.gives_text().then_some(&self.columns)
    }
}
