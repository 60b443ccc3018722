//! Arguments of a relation as the JSON that a spec is made of.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value as Literal,
};
use planner::spec::DocumentLimits;
use serde_json::{Map, Number, Value};

use super::rewrite::{is_text, named, text};
use crate::error::{Error, Result};

/// The arguments behind the table.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// A text without a name: the name of a stored spec, or a spec.
    pub(crate) spec: Option<String>,
    /// Those with names.
    pub(crate) named: Map<String, Value>,
}

/// Reads the arguments of a relation `of` this name, the table itself left out.
pub(crate) fn read_arguments(of: &str, arguments: &[FunctionArg]) -> Result<Arguments> {
    let mut read = Arguments::default();
    for argument in arguments {
        match argument {
            FunctionArg::Named { name, arg, .. } => {
                read.name(of, name.value.to_lowercase(), arg)?;
            }
            FunctionArg::ExprNamed { name, arg, .. } => {
                let Expr::Identifier(ident) = name else {
                    return Err(Error::Invalid(format!(
                        "{of}: {name} is no name of an option"
                    )));
                };
                read.name(of, ident.value.to_lowercase(), arg)?;
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if is_text(expr) => {
                if read.spec.is_some() {
                    return Err(Error::Invalid(format!("{of}: one spec is enough")));
                }
                read.spec = text(expr).map(str::to_owned);
            }
            FunctionArg::Unnamed(other) => {
                return Err(Error::Invalid(format!(
                    "{of}: {other} is no option; write name => value"
                )));
            }
        }
    }
    Ok(read)
}

impl Arguments {
    fn name(&mut self, of: &str, name: String, argument: &FunctionArgExpr) -> Result<()> {
        let FunctionArgExpr::Expr(expr) = argument else {
            return Err(Error::Invalid(format!(
                "{of}: {name} takes no *; write \"*\" as a text"
            )));
        };
        let value = json(expr).map_err(|error| Error::Invalid(format!("{of}: {name}: {error}")))?;
        if self.named.insert(name.clone(), value).is_some() {
            return Err(Error::Invalid(format!("{of}: {name} is given twice")));
        }
        Ok(())
    }
}

/// A constant of SQL as JSON: texts, numbers, truth values, NULL, lists `[…]` and objects `{…}`. A text
/// that is a JSON list or object stands for it.
fn json(expr: &Expr) -> Result<Value> {
    Ok(match expr {
        Expr::Value(value) => literal(&value.value)?,
        Expr::Nested(inner) => json(inner)?,
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match json(expr)? {
            Value::Number(number) => parse_number(&format!("-{number}"))?,
            _ => return Err(not_constant(expr)),
        },
        Expr::Array(array) => Value::Array(array.elem.iter().map(json).collect::<Result<_>>()?),
        Expr::Tuple(items) => Value::Array(items.iter().map(json).collect::<Result<_>>()?),
        Expr::Dictionary(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|field| Ok((field.key.value.clone(), json(&field.value)?)));
            Value::Object(fields.collect::<Result<_>>()?)
        }
        // Column names may be written as names.
        Expr::Identifier(ident) => Value::String(match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        }),
        Expr::Function(function) if named(&function.name, "make_array") => {
            let FunctionArguments::List(list) = &function.args else {
                return Err(not_constant(expr));
            };
            let items = list.args.iter().map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(item)) => json(item),
                _ => Err(not_constant(expr)),
            });
            Value::Array(items.collect::<Result<_>>()?)
        }
        _ => return Err(not_constant(expr)),
    })
}

fn not_constant(expr: &Expr) -> Error {
    Error::Invalid(format!(
        "{expr} is no constant; a text, a number, true, false, [a, list] or {{a: list}} is expected"
    ))
}

fn literal(value: &Literal) -> Result<Value> {
    Ok(match value {
        Literal::Number(digits, _) => parse_number(&digits.to_string())?,
        Literal::Boolean(truth) => Value::Bool(*truth),
        Literal::Null => Value::Null,
        Literal::SingleQuotedString(text)
        | Literal::EscapedStringLiteral(text)
        | Literal::DoubleQuotedString(text) => text_value(text),
        Literal::DollarQuotedString(text) => text_value(&text.value),
        other => {
            return Err(Error::Invalid(format!(
                "{other} is not a value of an option"
            )));
        }
    })
}

fn text_value(text: &str) -> Value {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(document) = DocumentLimits::WIRE.json(text)
    {
        return document;
    }
    Value::String(text.to_owned())
}

fn parse_number(digits: &str) -> Result<Value> {
    digits
        .parse::<Number>()
        .map(Value::Number)
        .map_err(|_| Error::Invalid(format!("{digits} is no number")))
}
