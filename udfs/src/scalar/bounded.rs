//! Functions of DataFusion whose results an argument can make arbitrarily large: the size is computed before the result is,
//! for memory that cannot be had ends a process.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::Result;
use datafusion::common::exec_err;
use datafusion::logical_expr::expr::Expr;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

/// Bytes of the largest result for one batch.
const MAX_BYTES: u128 = 256 << 20;

/// Bytes of an element of a list, beside the text that it may have.
const ELEMENT_BYTES: u128 = 16;

/// Bytes of the longest character in UTF-8.
const CHARACTER_BYTES: u128 = 4;

/// What makes the result of a function large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// The first argument, as often as the second says.
    Repeated,
    /// As many characters or elements as the second argument says.
    Padded,
    /// What lies between the first and the second argument, in steps of the third.
    Range,
    /// The third argument, for each place in the first.
    Replaced,
    /// Nothing; but the second argument names a type, which nests as deep as it has brackets.
    TypeName,
}

/// Levels of brackets of a type.
const MAX_TYPE_DEPTH: usize = 64;

/// The functions, by their names.
const FUNCTIONS: [(&str, Growth); 12] = [
    ("arrow_cast", Growth::TypeName),
    ("arrow_try_cast", Growth::TypeName),
    ("repeat", Growth::Repeated),
    ("array_repeat", Growth::Repeated),
    ("lpad", Growth::Padded),
    ("rpad", Growth::Padded),
    ("array_resize", Growth::Padded),
    ("range", Growth::Range),
    ("generate_series", Growth::Range),
    ("gen_series", Growth::Range),
    ("replace", Growth::Replaced),
    ("regexp_replace", Growth::Replaced),
];

/// Wraps a function whose result could be arbitrarily large; returns nothing for any other.
pub fn bounded(function: &Arc<ScalarUDF>) -> Option<ScalarUDF> {
    let found = FUNCTIONS.iter().find(|(name, _)| *name == function.name());
    found.map(|(_, growth)| {
        ScalarUDF::from(BoundedFunction {
            function: Arc::clone(function),
            growth: *growth,
        })
    })
}

/// A function that refuses to give a result which is too large.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundedFunction {
    function: Arc<ScalarUDF>,
    growth: Growth,
}

impl BoundedFunction {
    /// About the bytes of the result.
    fn bytes(&self, arguments: &ScalarFunctionArgs) -> u128 {
        let rows = match self.growth {
            Growth::TypeName => 0,
            _ => arguments.number_rows,
        };
        // Of lists, what an element takes beside its text; of texts, what a character does.
        let (element, character) = match self.name().starts_with("array") {
            true => (ELEMENT_BYTES, ELEMENT_BYTES),
            false => (0, CHARACTER_BYTES),
        };
        let argument = |place: usize| Argument::new(arguments.args.get(place));
        let (first, second, third) = (argument(0), argument(1), argument(2));
        let of_row = |row: usize| -> u128 {
            let count = |argument: &Argument| u128::try_from(argument.number(row)).unwrap_or(0);
            match self.growth {
                Growth::Repeated => (first.bytes(row) + element) * count(&second),
                Growth::TypeName => 0,
                Growth::Padded => character * count(&second),
                Growth::Range => {
                    // One argument is the end of a range from 0.
                    let (from, to) = match arguments.args.len() {
                        1 => (0, first.number(row)),
                        _ => (first.number(row), second.number(row)),
                    };
                    let step = u128::from(third.number(row).unsigned_abs().max(1));
                    let span = (i128::from(to) - i128::from(from)).unsigned_abs();
                    ELEMENT_BYTES * (span / step + 1)
                }
                Growth::Replaced => {
                    let pattern = second.bytes(row).max(1);
                    first.bytes(row) + (first.bytes(row) / pattern + 1) * third.bytes(row)
                }
            }
        };
        (0..rows).fold(0_u128, |sum, row| sum.saturating_add(of_row(row)))
    }
}

/// The most brackets of a text that are open at the same time.
fn depth(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'<' | b'[' => open += 1,
            b')' | b'>' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// An argument, row by row.
enum Argument {
    None,
    One(ArrayRef, Option<ArrayRef>),
    Each(ArrayRef, Option<ArrayRef>),
}

impl Argument {
    fn new(value: Option<&ColumnarValue>) -> Self {
        let numbers = |array: &ArrayRef| match array.data_type() {
            kind if kind.is_integer() || *kind == DataType::Date32 => {
                let days = match kind {
                    DataType::Date32 => cast(array, &DataType::Int32),
                    _ => Ok(Arc::clone(array)),
                };
                days.and_then(|days| cast(&days, &DataType::Int64)).ok()
            }
            _ => None,
        };
        match value {
            Some(ColumnarValue::Array(array)) => Self::Each(Arc::clone(array), numbers(array)),
            Some(ColumnarValue::Scalar(scalar)) => match scalar.to_array() {
                Ok(array) => {
                    let numbers = numbers(&array);
                    Self::One(array, numbers)
                }
                Err(_) => Self::None,
            },
            None => Self::None,
        }
    }

    /// Where a row's value lies.
    fn place(&self, row: usize) -> Option<(&ArrayRef, Option<&ArrayRef>, usize)> {
        let (array, numbers, place) = match self {
            Self::None => return None,
            Self::One(array, numbers) => (array, numbers, 0),
            Self::Each(array, numbers) => (array, numbers, row),
        };
        (place < array.len() && array.is_valid(place)).then_some((array, numbers.as_ref(), place))
    }

    /// The number of a row; 0 of what is none.
    fn number(&self, row: usize) -> i64 {
        let number = self.place(row).and_then(|(_, numbers, place)| {
            let numbers = numbers?.as_primitive_opt::<Int64Type>()?;
            Some(numbers.value(place))
        });
        number.unwrap_or(0)
    }

    /// The bytes of a row's text; 0 of what is none.
    fn bytes(&self, row: usize) -> u128 {
        let bytes = self
            .place(row)
            .map(|(array, _, place)| match array.data_type() {
                DataType::Utf8 => array.as_string::<i32>().value(place).len(),
                DataType::LargeUtf8 => array.as_string::<i64>().value(place).len(),
                DataType::Utf8View => array.as_string_view().value(place).len(),
                DataType::List(_) | DataType::LargeList(_) => {
                    array.slice(place, 1).get_array_memory_size()
                }
                _ => 0,
            });
        bytes.unwrap_or(0) as u128
    }
}

impl ScalarUDFImpl for BoundedFunction {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        if self.growth == Growth::TypeName {
            let name = arguments.scalar_arguments.get(1).copied().flatten();
            let name = name.and_then(|name| name.try_as_str().flatten());
            if name.is_some_and(|name| depth(name) > MAX_TYPE_DEPTH) {
                return exec_err!(
                    "{}: a type is nested {MAX_TYPE_DEPTH} levels deep at most",
                    self.name()
                );
            }
        }
        self.function.return_field_from_args(arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.bytes(&arguments);
        if bytes > MAX_BYTES {
            return exec_err!(
                "{} would give about {} MiB for {} row(s), where {} MiB are the most",
                self.name(),
                bytes >> 20,
                arguments.number_rows,
                MAX_BYTES >> 20
            );
        }
        self.function.invoke_with_args(arguments)
    }

    fn simplify(&self, arguments: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.function.simplify(arguments, info)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.function.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::test_session::ask_in;

    fn session() -> SessionContext {
        let session = SessionContext::new();
        let functions: Vec<Arc<ScalarUDF>> = session
            .state()
            .scalar_functions()
            .values()
            .cloned()
            .collect();
        let bounded = functions.iter().filter_map(bounded);
        bounded.for_each(|function| session.register_udf(function));
        session
    }

    /// What would take more memory than a batch may have is refused before it is made, whatever says how much: a literal,
    /// a column, a sum of rows. What is small is computed as ever.
    #[tokio::test]
    async fn c5_results_are_bounded() {
        let session = session();
        for hostile in [
            "SELECT length(repeat('x', 1000000000))",
            "SELECT length(repeat(x, n)) FROM (VALUES ('ab', 1), ('ab', 900000000)) AS t (x, n)",
            "SELECT length(lpad('x', 900000000))",
            "SELECT length(rpad('x', 900000000, 'ab'))",
            "SELECT array_length(array_repeat('x', 900000000))",
            "SELECT array_length(array_resize([1], 900000000, 0))",
            "SELECT array_length(range(900000000))",
            "SELECT array_length(generate_series(0, 9000000000, 2))",
            "SELECT length(replace(repeat('x', 1000000), 'x', repeat('y', 1000)))",
        ] {
            let refused = ask_in(&session, hostile).await.unwrap_err();
            assert!(refused.contains("are the most"), "{hostile}: {refused}");
        }
        let levels = 20_000;
        let deep = format!("{}Int8{}", "List(".repeat(levels), ")".repeat(levels));
        let hostile = format!("SELECT arrow_cast(NULL, '{deep}')");
        let refused = ask_in(&session, &hostile).await.unwrap_err();
        assert!(refused.contains("levels deep at most"), "{refused}");
        for (honest, answer) in [
            ("SELECT arrow_cast(3, 'Int8')", "3"),
            ("SELECT repeat('ab', 3)", "ababab"),
            ("SELECT length(repeat('ab', 50000000))", "100000000"),
            ("SELECT lpad('x', 3, '-')", "--x"),
            ("SELECT replace('aba', 'a', 'xx')", "xxbxx"),
            ("SELECT array_length(range(5))", "5"),
            (
                "SELECT array_length(range(date '2020-01-01', date '2020-01-03', interval '1' day))",
                "2",
            ),
            ("SELECT array_repeat(7, 2)", "[7, 7]"),
        ] {
            assert_eq!(
                ask_in(&session, honest).await.unwrap(),
                [answer],
                "{honest}"
            );
        }
    }
}
