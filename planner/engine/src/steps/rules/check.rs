//! One rule on one column, compiled for the type that the column has.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use hashbrown::HashSet;
use regex::Regex;

use super::condition::Condition;
use crate::contract::{Bound, BusinessRule, RangeRule, rule_regex};
use crate::error::{Error, Result};
use crate::operation::{CleaningBatch, Layout, StepContext, type_name};
use crate::statistics::{Quantity, quantities};

/// One rule on one column.
#[derive(Debug)]
pub(super) struct RuleCheck {
    pub(super) column: usize,
    rule: BusinessRule,
    test: Test,
}

#[derive(Debug)]
enum Test {
    NotNull,
    Between(Option<Quantity>, Option<Quantity>),
    /// Text between texts, by code point.
    Ordered(Option<String>, Option<String>),
    /// Text that is a number between numbers.
    NumberText(Option<f64>, Option<f64>),
    OneOf(HashSet<String>),
    Matches(Regex),
    Length(Option<u64>, Option<u64>),
    Holds(Condition),
}

impl RuleCheck {
    pub(super) fn new(
        column: usize,
        rule: &BusinessRule,
        layout: &Layout,
        context: &StepContext<'_>,
    ) -> Result<Self> {
        let described = &layout.columns[column];
        let name = &described.contract.name;
        let wrong = |problem: String| {
            Error::field(
                context.field.clone(),
                format!("rule {} of column {name:?}: {problem}", rule.name()),
            )
        };
        let test = match rule {
            BusinessRule::Unique => return Err(Error::Bug("unique is not a rule of one row")),
            BusinessRule::NotNull => Test::NotNull,
            BusinessRule::NonNegative => {
                let range = RangeRule {
                    min: Some(Bound::Number(0.0)),
                    max: None,
                };
                between(&range, &described.data_type).map_err(wrong)?
            }
            BusinessRule::Range(range) => between(range, &described.data_type).map_err(wrong)?,
            BusinessRule::OneOf(values) => {
                let values = values
                    .as_ref()
                    .or(described.contract.canonical_values.as_ref());
                let values = values.ok_or_else(|| {
                    wrong("names no values, and the contract has no canonical_values".into())
                })?;
                Test::OneOf(values.iter().cloned().collect())
            }
            BusinessRule::Regex(pattern) => Test::Matches(rule_regex(pattern).map_err(wrong)?),
            BusinessRule::Length(length) => Test::Length(length.min, length.max),
            BusinessRule::Expression(sql) => {
                Test::Holds(Condition::new(sql, layout).map_err(|error| wrong(error.to_string()))?)
            }
        };
        Ok(Self {
            column,
            rule: rule.clone(),
            test,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.rule.name()
    }

    pub(super) fn reads(&self) -> Vec<usize> {
        match &self.test {
            Test::Holds(condition) => condition
                .columns
                .iter()
                .copied()
                .chain([self.column])
                .collect(),
            _ => vec![self.column],
        }
    }

    /// Live rows that break the rule.
    pub(super) fn broken(&self, frame: &CleaningBatch) -> Result<Vec<u32>> {
        let array = &frame.columns[self.column];
        let broken: Vec<u32> = match &self.test {
            Test::NotNull => (0..array.len() as u32)
                .filter(|row| array.is_null(*row as usize))
                .collect(),
            Test::Between(min, max) => {
                let outside = |value: &Quantity| {
                    min.is_some_and(|min| *value < min) || max.is_some_and(|max| *value > max)
                };
                let values = quantities(array, outside)?.into_iter();
                values.map(|(row, _)| row as u32).collect()
            }
            Test::Ordered(min, max) => self.texts(array, |text| {
                min.as_ref().is_some_and(|min| text < min.as_str())
                    || max.as_ref().is_some_and(|max| text > max.as_str())
            })?,
            Test::NumberText(min, max) => self.texts(array, |text| {
                match udfs::kernels::number::parse_float(text) {
                    Some(number) => {
                        min.is_some_and(|min| number.value < min)
                            || max.is_some_and(|max| number.value > max)
                    }
                    None => true,
                }
            })?,
            Test::OneOf(values) => self.texts(array, |text| !values.contains(text))?,
            Test::Matches(regex) => self.texts(array, |text| !regex.is_match(text))?,
            Test::Length(min, max) => self.texts(array, |text| {
                let length = text.chars().count() as u64;
                min.is_some_and(|min| length < min) || max.is_some_and(|max| length > max)
            })?,
            Test::Holds(condition) => condition.broken(frame)?,
        };
        Ok(broken
            .into_iter()
            .filter(|row| frame.is_live(*row as usize))
            .collect())
    }

    fn texts(&self, array: &ArrayRef, breaks: impl Fn(&str) -> bool) -> Result<Vec<u32>> {
        let text = as_text(array)?;
        let rows = (0..text.len()).filter(|row| text.is_valid(*row) && breaks(text.value(*row)));
        Ok(rows.map(|row| row as u32).collect())
    }
}

fn as_text(array: &ArrayRef) -> Result<StringViewArray> {
    let text = cast(array, &DataType::Utf8View)?;
    text.as_string_view_opt()
        .cloned()
        .ok_or(Error::Bug("a cast to text that is not"))
}

fn between(range: &RangeRule, data_type: &DataType) -> Result<Test, String> {
    if data_type == &DataType::Boolean {
        return Err(format!("a {} has no range", type_name(data_type)));
    }
    if data_type != &DataType::Utf8View {
        let min = range
            .min
            .as_ref()
            .map(|bound| quantity(bound, data_type, true))
            .transpose()?;
        let max = range
            .max
            .as_ref()
            .map(|bound| quantity(bound, data_type, false))
            .transpose()?;
        return Ok(Test::Between(min, max));
    }
    let number = |bound: &Option<Bound>| match bound {
        Some(Bound::Number(number)) => Some(*number),
        _ => None,
    };
    let text = |bound: &Option<Bound>| match bound {
        Some(Bound::Text(text)) => Some(text.clone()),
        _ => None,
    };
    match (text(&range.min), text(&range.max)) {
        (None, None) => Ok(Test::NumberText(number(&range.min), number(&range.max))),
        (min, max) if number(&range.min).is_none() && number(&range.max).is_none() => {
            Ok(Test::Ordered(min, max))
        }
        _ => Err("one bound is a number and the other a text".to_owned()),
    }
}

/// A bound as a value of the column. A bound between two whole values moves to the inner one.
fn quantity(bound: &Bound, data_type: &DataType, lower: bool) -> Result<Quantity, String> {
    let text = match (bound, data_type) {
        (Bound::Number(number), DataType::Float64) => return Ok(Quantity::Float(*number)),
        (Bound::Number(number), DataType::Int64) => {
            let whole = if lower { number.ceil() } else { number.floor() };
            return Ok(Quantity::Whole(whole as i128));
        }
        (Bound::Number(number), _) => number.to_string(),
        (Bound::Text(text), _) => text.clone(),
    };
    let array: ArrayRef = Arc::new(StringViewArray::from(vec![text.as_str()]));
    let parsed = cast(&array, data_type)
        .ok()
        .and_then(|array| quantities(&array, |_| true).ok());
    parsed
        .and_then(|values| values.first().map(|(_, value)| *value))
        .ok_or_else(|| format!("{text:?} is no {}", type_name(data_type)))
}
