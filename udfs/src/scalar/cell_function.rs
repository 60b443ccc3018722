//! Any [`CellKernel`] as a SQL function: text in, cleaned text out, null where the kernel cannot
//! read the cell.
//!
//! The first argument is the column; what follows are options, which must be constants, for they
//! build the kernel. They are checked when the query is planned, before any row is read.

use std::fmt::{Debug, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, DocumentationBuilder, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::kernels::cell::{CellKernel, clean_cells};

/// Section of the cleaning functions in the function reference.
pub const CLEANING_FUNCTIONS: DocSection = DocSection {
    include: true,
    label: "Cleaning Functions",
    description: Some("Functions that clean, normalise or protect one text value."),
};

/// Starts the documentation of a cleaning function, with an example of one call and its result.
pub fn document(description: &str, syntax: &str, call: &str, result: &str) -> DocumentationBuilder {
    Documentation::builder(CLEANING_FUNCTIONS, description, syntax)
        .with_sql_example(format!("```sql\n> select {call};\n{result}\n```"))
}

/// Makes a kernel of a function's options, in the order of the call; an option left out is absent.
pub type KernelBuilder = fn(&[ScalarValue]) -> Result<Arc<dyn CellKernel>>;

/// How many options may follow the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionCount {
    /// The fewest.
    pub min: usize,
    /// The most; `usize::MAX` for any number.
    pub max: usize,
}

impl OptionCount {
    /// The column only.
    pub const NONE: Self = Self { min: 0, max: 0 };

    /// Accepts up to `max` options, all of them optional.
    pub const fn up_to(max: usize) -> Self {
        Self { min: 0, max }
    }
}

/// The kernel that was built last, with the options it was built of.
type BuiltKernel = (Vec<ScalarValue>, Arc<dyn CellKernel>);

/// A SQL function made of a [`CellKernel`].
pub struct CellFunction {
    name: &'static str,
    signature: Signature,
    options: OptionCount,
    build: KernelBuilder,
    documentation: Documentation,
    /// A query calls with the same options for every batch, so one kernel is kept.
    built: Mutex<Option<BuiltKernel>>,
}

impl CellFunction {
    /// Returns a function of this name: `build` makes its kernel of the options.
    pub fn new(
        name: &'static str,
        options: OptionCount,
        build: KernelBuilder,
        documentation: Documentation,
    ) -> Self {
        Self {
            name,
            signature: Signature::user_defined(Volatility::Immutable),
            options,
            build,
            documentation,
            built: Mutex::new(None),
        }
    }

    /// The kernel of these options, from the last call if they are the same.
    fn kernel(&self, options: &[ScalarValue]) -> Result<Arc<dyn CellKernel>> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, kernel)) = built.as_ref()
            && of.as_slice() == options
        {
            return Ok(Arc::clone(kernel));
        }
        let kernel = (self.build)(options)?;
        *built = Some((options.to_vec(), Arc::clone(&kernel)));
        Ok(kernel)
    }

    fn check_count(&self, arguments: usize) -> Result<()> {
        let most = self.options.max.saturating_add(1);
        let fewest = self.options.min + 1;
        if (fewest..=most).contains(&arguments) {
            return Ok(());
        }
        let expected = if fewest == most {
            fewest.to_string()
        } else if most == usize::MAX {
            format!("{fewest} or more")
        } else {
            format!("{fewest} to {most}")
        };
        plan_err!("{} takes {expected} arguments, got {arguments}", self.name)
    }
}

impl Debug for CellFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        // The options may hold what must not be shown, so the kept kernel is left out.
        f.debug_struct("CellFunction")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// A name stands for one function in the registry, so it is its identity.
impl PartialEq for CellFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for CellFunction {}

impl Hash for CellFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for CellFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.check_count(args.arg_fields.len())?;
        let options: Option<Vec<ScalarValue>> = args
            .scalar_arguments
            .iter()
            .skip(1)
            .map(|option| option.cloned())
            .collect();
        // An option that is not folded to a constant yet (`make_array(…)`) is checked when called.
        if let Some(options) = options {
            self.kernel(&options)?;
        }
        Ok(Arc::new(Field::new(self.name, DataType::Utf8View, true)))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.check_count(arg_types.len())?;
        let mut types = arg_types.to_vec();
        if let Some(cell) = types.first_mut() {
            // Numbers and dates are read as their text: a column of phone numbers may be integers.
            if cell.is_nested() || !can_cast_types(cell, &DataType::Utf8View) {
                return plan_err!("{} cannot read a value of type {cell} as text", self.name);
            }
            *cell = DataType::Utf8View;
        }
        Ok(types)
    }

    fn is_strict(&self) -> bool {
        self.options.max == 0
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((cells, rest)) = args.args.split_first() else {
            return exec_err!("{} needs an argument", self.name);
        };
        let mut options = Vec::with_capacity(rest.len());
        for option in rest {
            match option {
                ColumnarValue::Scalar(value) => options.push(value.clone()),
                // Constants too may come spread out to the length of the batch.
                ColumnarValue::Array(array) => options.push(constant_of(array, self.name)?),
            }
        }
        let kernel = self.kernel(&options)?;
        match cells {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(run(kernel.as_ref(), array)?)),
            ColumnarValue::Scalar(value) => {
                let array = run(kernel.as_ref(), &value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                    &array, 0,
                )?))
            }
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// Returns the one value that every row of `array` has.
pub(super) fn constant_of(array: &ArrayRef, function: &str) -> Result<ScalarValue> {
    if array.is_empty() {
        return ScalarValue::try_new_null(array.data_type());
    }
    let first = ScalarValue::try_from_array(array, 0)?;
    for row in 1..array.len() {
        if ScalarValue::try_from_array(array, row)? != first {
            return exec_err!("the options of {function} must be constants");
        }
    }
    Ok(first)
}

/// Returns the texts of a function's options; a list of texts is flattened.
///
/// # Errors
/// When an option is null or not a text.
pub fn text_options(function: &str, options: &[ScalarValue]) -> Result<Vec<String>> {
    let mut texts = Vec::with_capacity(options.len());
    for option in options {
        match option.try_as_str() {
            Some(Some(text)) => texts.push(text.to_owned()),
            _ => texts.extend(texts_of_list(function, option)?),
        }
    }
    Ok(texts)
}

fn texts_of_list(function: &str, option: &ScalarValue) -> Result<Vec<String>> {
    let refused = || exec_datafusion_err!("the options of {function} must be texts");
    let values = match option {
        ScalarValue::List(list) if list.len() == 1 => list.value(0),
        ScalarValue::LargeList(list) if list.len() == 1 => list.value(0),
        ScalarValue::FixedSizeList(list) if list.len() == 1 => list.value(0),
        _ => return Err(refused()),
    };
    let values = cast(&values, &DataType::Utf8View)?;
    let texts = values.as_string_view();
    if texts.null_count() > 0 {
        return Err(refused());
    }
    Ok(texts.iter().flatten().map(str::to_owned).collect())
}

/// Runs `kernel` over text of any layout; rows it cannot read are null.
fn run(kernel: &dyn CellKernel, cells: &ArrayRef) -> Result<ArrayRef> {
    let cells = match cells.data_type() {
        DataType::Utf8View => Arc::new(cells.as_string_view().clone()),
        _ => Arc::new(cast(cells, &DataType::Utf8View)?.as_string_view().clone()),
    };
    let cleaned = clean_cells(kernel, &cells, None);
    if cleaned.invalid.is_empty() {
        return Ok(cleaned.array);
    }
    let mut readable = BooleanBufferBuilder::new(cells.len());
    readable.append_n(cells.len(), true);
    for row in cleaned.invalid {
        readable.set_bit(row as usize, false);
    }
    let readable = NullBuffer::new(readable.finish());
    let (views, buffers, nulls) = cleaned.array.as_ref().clone().into_parts();
    let nulls = NullBuffer::union(nulls.as_ref(), Some(&readable));
    Ok(Arc::new(StringViewArray::try_new(views, buffers, nulls)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use arrow::array::{DictionaryArray, Int64Array, LargeStringArray, RecordBatch, StringArray};
    use arrow::datatypes::Int32Type;
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::ScalarUDF;
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::kernels::cell::Verdict;

    /// Puts a fixed text in front of a cell; cells with a question mark cannot be read.
    struct Prefix(String);

    impl CellKernel for Prefix {
        fn clean(&self, cell: &str, out: &mut String) -> Verdict {
            if cell.contains('?') {
                return Verdict::Invalid;
            }
            out.push_str(&self.0);
            out.push_str(cell);
            Verdict::Changed(1.0)
        }
    }

    fn prefixed() -> CellFunction {
        CellFunction::new(
            "prefixed",
            OptionCount { min: 1, max: 3 },
            |options| {
                let texts = text_options("prefixed", options)?;
                Ok(Arc::new(Prefix(texts.concat())))
            },
            document(
                "Puts texts in front.",
                "prefixed(x, text)",
                "prefixed('b', 'a')",
                "ab",
            )
            .build(),
        )
    }

    /// The column `x` after the call `sql`.
    fn ask(sql: &str, x: ArrayRef) -> Result<Vec<Option<String>>> {
        let session = SessionContext::new();
        session.register_udf(ScalarUDF::from(prefixed()));
        let batch = RecordBatch::try_from_iter([("x", x)])?;
        let schema = DFSchema::try_from(batch.schema())?;
        let call = session.parse_sql_expr(sql, &schema)?;
        let result = session
            .create_physical_expr(call, &schema)?
            .evaluate(&batch)?
            .into_array(batch.num_rows())?;
        let texts = result.as_string_view();
        Ok(texts.iter().map(|text| text.map(str::to_owned)).collect())
    }

    fn owned(texts: &[Option<&str>]) -> Vec<Option<String>> {
        texts.iter().map(|text| text.map(str::to_owned)).collect()
    }

    /// Text of every layout, and numbers as text; null and unreadable cells are null.
    #[test]
    fn text_of_any_layout_in_and_nulls_where_unreadable() {
        let cells = vec![
            Some("b"),
            None,
            Some("?"),
            Some("a text beyond twelve bytes"),
        ];
        let expected = owned(&[Some("ab"), None, None, Some("aa text beyond twelve bytes")]);
        let layouts: [ArrayRef; 4] = [
            Arc::new(StringArray::from(cells.clone())),
            Arc::new(LargeStringArray::from(cells.clone())),
            Arc::new(StringViewArray::from(cells.clone())),
            Arc::new(cells.into_iter().collect::<DictionaryArray<Int32Type>>()),
        ];
        for cells in layouts {
            assert_eq!(ask("prefixed(x, 'a')", cells).unwrap(), expected);
        }
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 22]));
        assert_eq!(
            ask("prefixed(x, 'a', 'b')", numbers).unwrap(),
            owned(&[Some("ab1"), Some("ab22")])
        );
    }

    /// A constant column, and options as a list.
    #[test]
    fn constants() {
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let twice = owned(&[Some("cd!"), Some("cd!")]);
        assert_eq!(ask("prefixed('!', ['c', 'd'])", rows).unwrap(), twice);
    }

    /// What is wrong with the call is said when it is planned, with the function's name.
    #[test]
    fn wrong_calls_are_refused() {
        let rows: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
        for (call, says) in [
            ("prefixed(x)", "prefixed takes 2 to 4 arguments, got 1"),
            ("prefixed(x, 1)", "the options of prefixed must be texts"),
            ("prefixed(x, null)", "the options of prefixed must be texts"),
            (
                "prefixed(x, x)",
                "the options of prefixed must be constants",
            ),
            ("prefixed([x], 'a')", "prefixed cannot read"),
        ] {
            let error = ask(call, Arc::clone(&rows)).unwrap_err().to_string();
            assert!(error.contains(says), "{call}: {error}");
        }
    }
}
