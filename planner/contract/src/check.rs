//! Checks of a contract by itself, and of its column names against the data.

use std::collections::HashSet;

use arrow::datatypes::DataType;

use super::error::ContractError;
use crate::{
    Bound, BusinessRule, CONDITION_BYTES, ColumnSpec, ColumnType, DatasetSpec, LengthRule,
    PATTERN_BYTES, PiiStrategy, RangeRule, rule_regex,
};

/// Returns the columns that a contract declares, in either of the two shapes, and their path.
pub(super) fn declared_columns(
    spec: &DatasetSpec,
) -> Result<(&[ColumnSpec], &'static str), ContractError> {
    match &spec.schema {
        Some(_) if !spec.columns.is_empty() => Err(ContractError::new(
            "dataset.schema",
            "the columns are declared twice: in dataset.columns and in dataset.schema.columns; keep one",
        )),
        Some(schema) => Ok((&schema.columns, "dataset.schema.columns")),
        None => Ok((&spec.columns, "dataset.columns")),
    }
}

/// Checks that every declared column exists once, and under a strict schema no other.
pub(super) fn check_names(
    spec: &DatasetSpec,
    declared: &[ColumnSpec],
    field: &str,
    columns: &[(String, DataType)],
) -> Result<(), ContractError> {
    let mut seen = HashSet::new();
    for (number, column) in declared.iter().enumerate() {
        let path = || format!("{field}[{number}].name");
        if !seen.insert(column.name.as_str()) {
            return Err(ContractError::new(
                path(),
                format!("the column {:?} is declared twice", column.name),
            ));
        }
        if !columns.iter().any(|(name, _)| *name == column.name) {
            let mut message = format!("no column {:?} in the data", column.name);
            if let Some(nearest) = nearest(&column.name, columns) {
                message.push_str(&format!(" (nearest: {nearest:?})"));
            }
            return Err(ContractError::new(path(), message));
        }
    }
    let undeclared = columns
        .iter()
        .find(|(name, _)| !seen.contains(name.as_str()));
    match undeclared {
        Some((name, _)) if spec.strict_schema => Err(ContractError::new(
            "dataset.strict_schema",
            format!("the data has a column {name:?} that the contract does not name"),
        )),
        _ => Ok(()),
    }
}

/// Returns the column with the smallest edit distance, unless that exceeds half of the name's length.
fn nearest<'a>(name: &str, columns: &'a [(String, DataType)]) -> Option<&'a str> {
    // Longer names are not typos, and the distance takes the square of their length.
    let short = |text: &str| text.len() <= 200;
    columns
        .iter()
        .filter(|(other, _)| short(name) && short(other))
        .map(|(other, _)| (edits(&name.to_lowercase(), &other.to_lowercase()), other))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance * 2 <= name.chars().count())
        .map(|(_, other)| other.as_str())
}

/// Returns the Levenshtein distance between two texts (1966).
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, here) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (at, there) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(here != *there);
            diagonal = row[at + 1];
            row[at + 1] = substituted.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// Checks the declaration of a column by itself.
pub(super) fn check_column(column: &ColumnSpec, path: &str) -> Result<(), ContractError> {
    if let Some(precision) = column.precision
        && !(1..=38).contains(&precision)
    {
        return Err(ContractError::new(
            format!("{path}.precision"),
            format!("{precision} is not between 1 and 38"),
        ));
    }
    if let Some(scale) = column.scale
        && !(0..=38).contains(&scale)
    {
        return Err(ContractError::new(
            format!("{path}.scale"),
            format!("{scale} is not between 0 and 38"),
        ));
    }
    check_formats(column, path)?;
    check_pii(column, path)?;
    for (number, rule) in column.business_rules.iter().enumerate() {
        check_rule(rule, column, &format!("{path}.business_rules[{number}]"))?;
    }
    Ok(())
}

fn check_formats(column: &ColumnSpec, path: &str) -> Result<(), ContractError> {
    let Some(formats) = &column.formats else {
        return Ok(());
    };
    let field = format!("{path}.formats");
    if formats.is_empty() || formats.iter().any(|format| format.trim().is_empty()) {
        return Err(ContractError::new(
            field,
            "a format is empty; omit formats for the default ones",
        ));
    }
    match column.column_type {
        None | Some(ColumnType::Date | ColumnType::Timestamp) => Ok(()),
        Some(other) => Err(ContractError::new(
            field,
            format!(
                "applies to date and timestamp columns only; this one is {}",
                other.word()
            ),
        )),
    }
}

fn check_pii(column: &ColumnSpec, path: &str) -> Result<(), ContractError> {
    match (column.pii, column.pii_strategy) {
        // To keep what is no personal data is what happens anyway.
        (Some(false), Some(strategy)) if strategy != PiiStrategy::Keep => Err(ContractError::new(
            format!("{path}.pii_strategy"),
            "the column has pii: false; omit the strategy, or set pii: true",
        )),
        _ => Ok(()),
    }
}

fn check_rule(rule: &BusinessRule, column: &ColumnSpec, path: &str) -> Result<(), ContractError> {
    let fail =
        |name: &str, message: String| Err(ContractError::new(format!("{path}.{name}"), message));
    match rule {
        BusinessRule::OneOf(values) => {
            let values = values.as_ref().or(column.canonical_values.as_ref());
            if values.is_none_or(Vec::is_empty) {
                return fail(
                    "one_of",
                    "has no values, and the column has no canonical_values".to_owned(),
                );
            }
            Ok(())
        }
        BusinessRule::Regex(pattern) => match rule_regex(pattern) {
            Ok(_) => Ok(()),
            Err(problem) if pattern.len() > PATTERN_BYTES => fail("regex", problem),
            // The last line says what is wrong; those before it draw where.
            Err(problem) => fail(
                "regex",
                format!(
                    "{pattern:?} is not a regular expression: {}",
                    last_line(&problem)
                ),
            ),
        },
        BusinessRule::Range(range) => check_range(range, column, path),
        BusinessRule::Length(LengthRule { min, max }) => match (min, max) {
            (None, None) => fail("length", "has neither min nor max".to_owned()),
            (Some(min), Some(max)) if min > max => {
                fail("length", format!("min {min} is larger than max {max}"))
            }
            _ => Ok(()),
        },
        BusinessRule::Expression(sql) if sql.len() > CONDITION_BYTES => fail(
            "expression",
            format!("a condition may have at most {CONDITION_BYTES} bytes"),
        ),
        BusinessRule::Expression(sql) if sql.trim().is_empty() => {
            fail("expression", "the condition is empty".to_owned())
        }
        BusinessRule::NonNegative => match column.column_type {
            Some(
                other @ (ColumnType::String
                | ColumnType::Boolean
                | ColumnType::Date
                | ColumnType::Timestamp),
            ) => fail(
                "non_negative",
                format!(
                    "applies to number columns only; this one is {}",
                    other.word()
                ),
            ),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn last_line(problem: &str) -> &str {
    let line = problem.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

fn check_range(range: &RangeRule, column: &ColumnSpec, path: &str) -> Result<(), ContractError> {
    let path = format!("{path}.range");
    let (Some(min), Some(max)) = (&range.min, &range.max) else {
        return if range.min.is_none() && range.max.is_none() {
            Err(ContractError::new(path, "has neither min nor max"))
        } else {
            Ok(())
        };
    };
    let number = |bound: &Bound| match bound {
        Bound::Number(number) => Some(*number),
        Bound::Text(text) => text.trim().parse().ok(),
    };
    let reversed = match (number(min), number(max), column.column_type) {
        (_, _, Some(ColumnType::String)) | (None, None, _) => match (min, max) {
            // ISO dates are in the order of their texts; other notations are checked with the data.
            (Bound::Text(min), Bound::Text(max)) => same_form(min, max) && min > max,
            _ => false,
        },
        (Some(min), Some(max), _) => min > max,
        _ => false,
    };
    if reversed {
        return Err(ContractError::new(
            path,
            format!("min {} is larger than max {}", shown(min), shown(max)),
        ));
    }
    Ok(())
}

/// Returns whether both texts begin like an ISO date.
fn same_form(one: &str, other: &str) -> bool {
    let iso = |text: &str| {
        let bytes = text.as_bytes();
        bytes.len() >= 10
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && bytes[..4].iter().all(u8::is_ascii_digit)
    };
    iso(one) && iso(other)
}

fn shown(bound: &Bound) -> String {
    match bound {
        Bound::Number(number) => number.to_string(),
        Bound::Text(text) => text.clone(),
    }
}
