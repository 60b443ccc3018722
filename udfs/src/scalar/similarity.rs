//! SQL functions of text similarity.

use std::fmt::{Debug, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, DocumentationBuilder, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::cell_function::constant_of;
use super::shingle_option::{SHINGLE_ARGUMENT, shingle_type, shingling_of};
use crate::kernels::shingle::{Shingler, distinct, jaccard};
use crate::kernels::similarity::jaro_winkler;

/// Section of the comparison functions in the function reference.
pub const COMPARING_FUNCTIONS: DocSection = DocSection {
    include: true,
    label: "Comparing Functions",
    description: Some("Functions that find values that are alike, and tell how alike they are."),
};

/// Compares two texts, from 0 to 1.
pub type Measure = Box<dyn FnMut(&str, &str) -> f64>;

/// A SQL function of two texts and perhaps a shingle option: their similarity, null where one of
/// them is null.
pub struct SimilarityFunction {
    name: &'static str,
    signature: Signature,
    takes_shingle: bool,
    measure: fn(Option<&ScalarValue>) -> Result<Measure>,
    documentation: Documentation,
}

fn document(description: &str, syntax: &str, call: &str, result: &str) -> DocumentationBuilder {
    Documentation::builder(COMPARING_FUNCTIONS, description, syntax)
        .with_sql_example(format!("```sql\n> select {call};\n{result}\n```"))
        .with_argument("left", "A text.")
        .with_argument("right", "The text to compare it with.")
}

const JACCARD: &str = "jaccard_similarity";

/// `jaccard_similarity(a, b[, shingle])`: what the shingles of two texts have in common.
pub fn jaccard_similarity() -> SimilarityFunction {
    SimilarityFunction {
        name: JACCARD,
        signature: Signature::user_defined(Volatility::Immutable),
        takes_shingle: true,
        measure: |option| {
            let mut shingler = Shingler::new(shingling_of(JACCARD, option)?);
            let (mut left, mut right) = (Vec::new(), Vec::new());
            Ok(Box::new(move |one, two| {
                shingler.shingle(one, &mut left);
                distinct(&mut left);
                shingler.shingle(two, &mut right);
                distinct(&mut right);
                jaccard(&left, &right)
            }))
        },
        documentation: document(
            "Jaccard similarity of the shingles (overlapping pieces) of two texts: the number of \
             those they share, as a part of the number of all, from 0 to 1. It is exact; \
             `minhash_lsh` finds the pairs worth comparing.",
            "jaccard_similarity(left, right[, shingle])",
            "jaccard_similarity('the quick brown fox', 'The quick fox!', '1 word')",
            "0.75",
        )
        .with_argument("shingle", SHINGLE_ARGUMENT)
        .with_related_udf("minhash_lsh")
        .build(),
    }
}

/// `jaro_winkler_similarity(a, b)`: how many characters two texts share in order.
pub fn jaro_winkler_similarity() -> SimilarityFunction {
    SimilarityFunction {
        name: "jaro_winkler_similarity",
        signature: Signature::user_defined(Volatility::Immutable),
        takes_shingle: false,
        measure: |_| Ok(Box::new(jaro_winkler)),
        documentation: document(
            "Jaro-Winkler similarity of two short texts such as names, from 0 to 1: the share of \
             characters that both have, in nearly the same order, with a bonus for a common \
             beginning. The texts are compared as they stand: clean them with `normalize_text` \
             first.",
            "jaro_winkler_similarity(left, right)",
            "round(jaro_winkler_similarity('MARTHA', 'MARHTA'), 3)",
            "0.961",
        )
        .build(),
    }
}

impl Debug for SimilarityFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimilarityFunction")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// A name stands for one function in the registry, so it is its identity.
impl PartialEq for SimilarityFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SimilarityFunction {}

impl Hash for SimilarityFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for SimilarityFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        // An option that is not folded to a constant yet is checked when called.
        if let Some(Some(option)) = args.scalar_arguments.get(2) {
            drop((self.measure)(Some(option))?);
        }
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name, DataType::Float64, nullable)))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let mut types = Vec::with_capacity(3);
        match arg_types {
            [_, _] => {}
            [_, _, _] if self.takes_shingle => {}
            _ => {
                let expected = if self.takes_shingle { "2 to 3" } else { "2" };
                return plan_err!(
                    "{} takes {expected} arguments, got {}",
                    self.name,
                    arg_types.len()
                );
            }
        }
        for text in &arg_types[..2] {
            if text.is_nested() || !can_cast_types(text, &DataType::Utf8View) {
                return plan_err!("{} cannot read a value of type {text} as text", self.name);
            }
            types.push(DataType::Utf8View);
        }
        if let Some(option) = arg_types.get(2) {
            types.push(shingle_type(self.name, option)?);
        }
        Ok(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right, rest @ ..] = args.args.as_slice() else {
            return plan_err!("{} compares two texts", self.name);
        };
        let mut measure = match rest.first() {
            None => (self.measure)(None)?,
            Some(ColumnarValue::Scalar(option)) => (self.measure)(Some(option))?,
            Some(ColumnarValue::Array(array)) => {
                (self.measure)(Some(&constant_of(array, self.name)?))?
            }
        };
        let is_scalar = matches!(
            (left, right),
            (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_))
        );
        let rows = if is_scalar { 1 } else { args.number_rows };
        let left = cast(&left.to_array(rows)?, &DataType::Utf8View)?;
        let right = cast(&right.to_array(rows)?, &DataType::Utf8View)?;
        let pairs = left.as_string_view().iter().zip(right.as_string_view());
        let similarities: Float64Array = pairs
            .map(|(left, right)| Some(measure(left?, right?)))
            .collect();
        let similarities: ArrayRef = Arc::new(similarities);
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &similarities,
                0,
            )?));
        }
        Ok(ColumnarValue::Array(similarities))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
