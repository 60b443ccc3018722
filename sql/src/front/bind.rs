//! Values in the place of parameters.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{self, CastKind, Expr, Value, VisitorMut};

use super::walk::walk_mut;
use crate::error::{Error, Result};

/// Puts expressions in the place of the parameters `$1`, `$2`, … and `?`.
pub(crate) fn bind(statement: &mut Parsed, values: &[Expr]) -> Result<()> {
    let mut binder = Binder { values, next: 0 };
    match visit(statement, &mut binder) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// How many parameters a statement has: the highest number, or the number of `?`.
pub(crate) fn parameter_count(statement: &mut Parsed) -> Result<usize> {
    struct Counter(usize, usize);
    impl VisitorMut for Counter {
        type Break = Error;
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
            match placeholder(expr, &mut self.0) {
                Ok(Some(number)) => self.1 = self.1.max(number),
                Ok(None) => {}
                Err(error) => return ControlFlow::Break(error),
            }
            ControlFlow::Continue(())
        }
    }
    let mut counter = Counter(0, 0);
    match visit(statement, &mut counter) {
        ControlFlow::Continue(()) => Ok(counter.1),
        ControlFlow::Break(error) => Err(error),
    }
}

fn visit<V: VisitorMut>(statement: &mut Parsed, visitor: &mut V) -> ControlFlow<V::Break> {
    match statement {
        // Its parameters get their values when it is executed.
        Parsed::Statement(prepare) if matches!(**prepare, ast::Statement::Prepare { .. }) => {
            ControlFlow::Continue(())
        }
        statement => walk_mut(statement, visitor),
    }
}

struct Binder<'a> {
    values: &'a [Expr],
    /// Question marks so far.
    next: usize,
}

impl VisitorMut for Binder<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let number = match placeholder(expr, &mut self.next) {
            Ok(Some(number)) => number,
            Ok(None) => return ControlFlow::Continue(()),
            Err(error) => return ControlFlow::Break(error),
        };
        let Some(value) = self.values.get(number - 1) else {
            return ControlFlow::Break(Error::Invalid(format!(
                "parameter {number} has no value: {} given",
                self.values.len()
            )));
        };
        *expr = value.clone();
        ControlFlow::Continue(())
    }
}

/// Number of the parameter that an expression is, from 1.
fn placeholder(expr: &Expr, next: &mut usize) -> Result<Option<usize>> {
    let Expr::Value(value) = expr else {
        return Ok(None);
    };
    let Value::Placeholder(name) = &value.value else {
        return Ok(None);
    };
    if name == "?" {
        *next += 1;
        return Ok(Some(*next));
    }
    match name.trim_start_matches('$').parse() {
        Ok(number @ 1..=65_535) => Ok(Some(number)),
        _ => Err(Error::Invalid(format!(
            "the parameter {name} has no number; write $1, $2, … or ?"
        ))),
    }
}

/// A value as an expression of its type.
pub(crate) fn literal(value: &ScalarValue) -> Result<Expr> {
    let text = |text: String| Expr::Value(Value::SingleQuotedString(text).into());
    if value.is_null() {
        return Ok(match value.data_type() {
            DataType::Null => Expr::Value(Value::Null.into()),
            of => cast(Expr::Value(Value::Null.into()), &of)?,
        });
    }
    Ok(match value {
        ScalarValue::Boolean(Some(truth)) => Expr::Value(Value::Boolean(*truth).into()),
        ScalarValue::Int64(Some(number)) if *number >= 0 => {
            Expr::Value(Value::Number(number.to_string(), false).into())
        }
        ScalarValue::Utf8(Some(value))
        | ScalarValue::Utf8View(Some(value))
        | ScalarValue::LargeUtf8(Some(value)) => text(value.clone()),
        ScalarValue::Binary(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes)) => {
            use std::fmt::Write as _;
            let mut digits = String::with_capacity(2 * bytes.len());
            for byte in bytes {
                // Writing to a string cannot fail.
                let _ = write!(digits, "{byte:02X}");
            }
            Expr::Value(Value::HexStringLiteral(digits).into())
        }
        ScalarValue::Dictionary(_, inner) => literal(inner)?,
        other => {
            let array = other.to_array()?;
            let shown = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default())?;
            cast(text(shown.value(0).to_string()), &other.data_type())?
        }
    })
}

/// `CAST(value AS type)`.
fn cast(value: Expr, of: &DataType) -> Result<Expr> {
    let data_type = match of {
        DataType::Boolean => ast::DataType::Boolean,
        DataType::Int8 => ast::DataType::TinyInt(None),
        DataType::Int16 => ast::DataType::SmallInt(None),
        DataType::Int32 => ast::DataType::Int(None),
        DataType::Int64 => ast::DataType::BigInt(None),
        DataType::UInt8 => ast::DataType::TinyIntUnsigned(None),
        DataType::UInt16 => ast::DataType::SmallIntUnsigned(None),
        DataType::UInt32 => ast::DataType::IntUnsigned(None),
        DataType::UInt64 => ast::DataType::BigIntUnsigned(None),
        DataType::Float16 | DataType::Float32 => ast::DataType::Real,
        DataType::Float64 => ast::DataType::Double(ast::ExactNumberInfo::None),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            let of =
                ast::ExactNumberInfo::PrecisionAndScale(u64::from(*precision), i64::from(*scale));
            ast::DataType::Decimal(of)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ast::DataType::Varchar(None),
        DataType::Date32 | DataType::Date64 => ast::DataType::Date,
        DataType::Time32(_) | DataType::Time64(_) => {
            ast::DataType::Time(None, ast::TimezoneInfo::None)
        }
        DataType::Timestamp(unit, zone) => {
            let digits = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            let zone = match zone {
                Some(_) => ast::TimezoneInfo::WithTimeZone,
                None => ast::TimezoneInfo::None,
            };
            ast::DataType::Timestamp(Some(digits), zone)
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => ast::DataType::Bytea,
        other => {
            return Err(Error::Invalid(format!(
                "a value of the type {other} cannot be a parameter"
            )));
        }
    };
    Ok(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type,
        array: false,
        format: None,
    })
}
