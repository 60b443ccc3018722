//! Completes the declared contract: declarations hold, the rest is inferred.

use arrow::datatypes::DataType;

use super::check::{check_column, check_names, declared_columns};
use super::error::ContractError;
use super::infer::{Reading, native_reading};
use super::{ColumnEvidence, Contract, ContractColumn, default_missing_values};
use crate::{ColumnSpec, ColumnType, DatasetSpec, PiiStrategy};

/// Precision and scale of a decimal for which neither is declared nor observed.
const USUAL_DECIMAL: (u8, i8) = (38, 10);

/// Completes the contract of a dataset with these columns. Without `evidence` (one for each column), columns of
/// undeclared type are text.
///
/// # Errors
/// When the declarations contradict each other or do not fit the columns.
pub fn complete(
    spec: &DatasetSpec,
    columns: &[(String, DataType)],
    evidence: Option<&[ColumnEvidence]>,
) -> Result<Contract, ContractError> {
    let (declared, field) = declared_columns(spec)?;
    check_names(spec, declared, field, columns)?;
    let mut completed = Vec::with_capacity(columns.len());
    for (number, (name, data_type)) in columns.iter().enumerate() {
        let place = declared.iter().position(|column| column.name == *name);
        let seen = evidence.and_then(|evidence| evidence.get(number));
        let source = SourceColumn {
            name,
            data_type,
            seen,
        };
        completed.push(match place {
            Some(place) => {
                let path = format!("{field}[{place}]");
                check_column(&declared[place], &path)?;
                source.complete(Some(&declared[place]), spec.pii_strategy, &path)?
            }
            None => {
                let copy = protected_copy(declared, name);
                source.complete(copy.as_ref(), spec.pii_strategy, "dataset")?
            }
        });
    }
    Ok(Contract {
        dataset_id: spec.dataset_id.clone(),
        version: spec.version.unwrap_or(1),
        missing_values: spec
            .missing_values
            .clone()
            .unwrap_or_else(default_missing_values),
        pii_salt: spec.pii_salt.clone().unwrap_or_default(),
        pii_hash: spec.pii_hash.unwrap_or_default(),
        pii_token_key: spec.pii_token_key.clone(),
        columns: completed,
    })
}

/// Returns what holds of a column whose name the source has twice, so that it was given a number: a copy of a column with
/// personal data is protected like that.
fn protected_copy(declared: &[ColumnSpec], name: &str) -> Option<ColumnSpec> {
    let (first, number) = name.rsplit_once('_')?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let original = declared.iter().find(|column| column.name == first)?;
    let personal = original.pii.unwrap_or(original.pii_strategy.is_some());
    personal.then(|| ColumnSpec {
        name: name.to_owned(),
        pii: Some(true),
        pii_strategy: original.pii_strategy,
        ..ColumnSpec::default()
    })
}

/// Returns whether the values must be read, because the type of a column is not declared.
pub fn needs_evidence(spec: &DatasetSpec, columns: &[(String, DataType)]) -> bool {
    let Ok((declared, _)) = declared_columns(spec) else {
        return false;
    };
    columns.iter().any(|(name, data_type)| {
        is_text(data_type)
            && !declared
                .iter()
                .any(|column| column.name == *name && column.column_type.is_some())
    })
}

/// Returns whether a column of the source is text, so that its type must be inferred.
fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 | DataType::Null
    )
}

/// A column of the source.
struct SourceColumn<'a> {
    name: &'a str,
    data_type: &'a DataType,
    seen: Option<&'a ColumnEvidence>,
}

impl SourceColumn<'_> {
    fn complete(
        &self,
        declared: Option<&ColumnSpec>,
        pii_strategy: Option<PiiStrategy>,
        path: &str,
    ) -> Result<ContractColumn, ContractError> {
        let native = !is_text(self.data_type);
        let reading = match self.seen {
            _ if native => native_reading(self.data_type),
            Some(seen) => seen.reading(),
            None => Reading::default(),
        };
        let wanted = declared.and_then(|column| column.column_type);
        if let Some(wanted) = wanted {
            self.check_native(wanted, native, &reading, path)?;
        }
        let column_type = wanted.or(reading.column_type).unwrap_or(ColumnType::String);
        let pii = declared
            .is_some_and(|column| column.pii.unwrap_or_else(|| column.pii_strategy.is_some()));
        let own_strategy = declared.and_then(|column| column.pii_strategy);
        let formats = declared
            .and_then(|column| column.formats.clone())
            .unwrap_or_default();
        Ok(ContractColumn {
            name: self.name.to_owned(),
            column_type,
            decimal: decimal(column_type, declared, &reading, path)?,
            day_first: reading.day_first && is_moment(column_type) && formats.is_empty(),
            decimal_comma: reading.decimal_comma && is_number(column_type),
            formats,
            nullable: declared.and_then(|column| column.nullable).unwrap_or(true),
            pii,
            pii_strategy: own_strategy.or(pii_strategy).filter(|_| pii),
            canonical_values: declared.and_then(|column| column.canonical_values.clone()),
            business_rules: declared
                .map(|column| column.business_rules.clone())
                .unwrap_or_default(),
            source: declared.and_then(|column| column.source.clone()),
            declared: wanted.is_some() || native,
            inferred: self.seen.map(|seen| seen.infer(self.name)),
        })
    }

    /// Checks the declared type of a column that is typed in the source: it keeps its type, or becomes text.
    fn check_native(
        &self,
        wanted: ColumnType,
        native: bool,
        reading: &Reading,
        path: &str,
    ) -> Result<(), ContractError> {
        let Some(is) = reading.column_type.filter(|_| native) else {
            return Ok(());
        };
        let widened = matches!(
            (is, wanted),
            (ColumnType::Integer, ColumnType::Float | ColumnType::Decimal)
                | (ColumnType::Date, ColumnType::Timestamp)
                | (_, ColumnType::String)
        );
        if is == wanted || widened {
            return Ok(());
        }
        Err(ContractError::new(
            format!("{path}.type"),
            format!(
                "the column has the type {} in the source; {} was declared",
                is.word(),
                wanted.word()
            ),
        ))
    }
}

fn is_number(column_type: ColumnType) -> bool {
    matches!(
        column_type,
        ColumnType::Integer | ColumnType::Float | ColumnType::Decimal
    )
}

fn is_moment(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Date | ColumnType::Timestamp)
}

/// Precision and scale: those declared, then those of the source or of its values.
fn decimal(
    column_type: ColumnType,
    declared: Option<&ColumnSpec>,
    reading: &Reading,
    path: &str,
) -> Result<Option<(u8, i8)>, ContractError> {
    if column_type != ColumnType::Decimal {
        return match declared {
            Some(column) if column.precision.is_some() || column.scale.is_some() => {
                let field = if column.precision.is_some() {
                    "precision"
                } else {
                    "scale"
                };
                let message = format!(
                    "applies to decimal columns only; this one is {}",
                    column_type.word()
                );
                Err(ContractError::new(format!("{path}.{field}"), message))
            }
            _ => Ok(None),
        };
    }
    let (precision, scale) = match declared {
        Some(column) => (column.precision, column.scale),
        None => (None, None),
    };
    let usual = reading.decimal.unwrap_or(USUAL_DECIMAL);
    let (precision, scale) = match (precision, scale) {
        (None, None) => usual,
        // Digits of a whole amount where no scale is given: a decimal of SQL.
        (Some(precision), None) => (precision, reading.decimal.map_or(0, |(_, scale)| scale)),
        (None, Some(scale)) => (38, scale),
        (Some(precision), Some(scale)) => (precision, scale),
    };
    if scale > 0 && scale.unsigned_abs() > precision {
        let message = format!("the scale {scale} exceeds the precision {precision}");
        return Err(ContractError::new(format!("{path}.scale"), message));
    }
    Ok(Some((precision, scale)))
}
