//! `minhash_lsh(x[, bands[, rows[, shingle]]])`: keys that texts which are alike have in common.

use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};

use super::cell_function::constant_of;
use super::shingle_option::{SHINGLE_ARGUMENT, shingle_type, shingling_of};
use super::similarity::COMPARING_FUNCTIONS;
use crate::kernels::minhash::{Banding, band_keys};
use crate::kernels::shingle::Shingling;

/// The band keys of a text's MinHash signature, as a list of 64-bit numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct MinHashLshFunction {
    signature: Signature,
}

impl Default for MinHashLshFunction {
    fn default() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

const NAME: &str = "minhash_lsh";

/// What the options of a call say; those left out are the defaults of the kernel.
fn options_of(options: &[ScalarValue]) -> Result<(Shingling, Banding)> {
    let count = |place: usize, default: usize| match options.get(place) {
        None => Ok(default),
        Some(ScalarValue::Int64(Some(count))) => Ok(usize::try_from(*count).unwrap_or(0)),
        Some(_) => plan_err!("{NAME}: bands and rows must be constant numbers, not null"),
    };
    let default = Banding::default();
    let banding = Banding::new(count(0, default.bands())?, count(1, default.rows())?)
        .map_err(|error| plan_datafusion_err!("{NAME}: {error}"))?;
    Ok((shingling_of(NAME, options.get(2))?, banding))
}

impl ScalarUDFImpl for MinHashLshFunction {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(
            DataType::UInt64,
            true,
        ))))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let options: Option<Vec<ScalarValue>> = args
            .scalar_arguments
            .iter()
            .skip(1)
            .map(|option| option.cloned())
            .collect();
        // An option that is not folded to a constant yet is checked when called.
        if let Some(options) = options {
            options_of(&options)?;
        }
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(NAME, self.return_type(&[])?, nullable)))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [text, options @ ..] = arg_types else {
            return plan_err!("{NAME} takes 1 to 4 arguments, got 0");
        };
        if options.len() > 3 {
            return plan_err!("{NAME} takes 1 to 4 arguments, got {}", arg_types.len());
        }
        if text.is_nested() || !can_cast_types(text, &DataType::Utf8View) {
            return plan_err!("{NAME} cannot read a value of type {text} as text");
        }
        let mut types = vec![DataType::Utf8View];
        for (place, option) in options.iter().enumerate() {
            types.push(match place {
                2 => shingle_type(NAME, option)?,
                _ if option.is_integer() => DataType::Int64,
                _ => return plan_err!("{NAME}: bands and rows must be whole numbers"),
            });
        }
        Ok(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((texts, options)) = args.args.split_first() else {
            return plan_err!("{NAME} takes 1 to 4 arguments, got 0");
        };
        let options: Result<Vec<ScalarValue>> = options
            .iter()
            .map(|option| match option {
                ColumnarValue::Scalar(value) => Ok(value.clone()),
                ColumnarValue::Array(array) => constant_of(array, NAME),
            })
            .collect();
        let (shingling, banding) = options_of(&options?)?;
        let is_scalar = matches!(texts, ColumnarValue::Scalar(_));
        let texts = texts.to_array(if is_scalar { 1 } else { args.number_rows })?;
        let texts = cast(&texts, &DataType::Utf8View)?;
        let keys = band_keys(texts.as_string_view(), shingling, banding);
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::List(Arc::new(keys))));
        }
        Ok(ColumnarValue::Array(Arc::new(keys)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            Documentation::builder(
                COMPARING_FUNCTIONS,
                "The band keys of a text's MinHash signature, a list of 64-bit numbers that are the \
                 same on every machine. Two texts whose shingles have the Jaccard similarity `s` \
                 share a key with the probability `1 - (1 - s^rows)^bands`: spread the keys with \
                 `unnest`, join on them, and `jaccard_similarity` tells which of the pairs that meet \
                 are near duplicates — without comparing each row with each other. With the \
                 defaults pairs of similarity 0.8 practically always meet, of 0.5 in seven cases of \
                 eight, of 0.2 in one of twenty. A text without any sign has no keys.",
                "minhash_lsh(text[, bands[, rows[, shingle]]])",
            )
            .with_sql_example(
                "```sql\n\
                 > with people(id, name) as (\n    \
                     values (1, 'Ada Lovelace, London'), (2, 'ada lovelace london uk'), (3, 'Alan Turing')\n  \
                   ), keys as (\n    \
                     select id, name, unnest(minhash_lsh(name)) as key from people\n  \
                   )\n  \
                   select distinct a.id, b.id as like_id, round(jaccard_similarity(a.name, b.name), 2) as similarity\n  \
                   from keys a join keys b on a.key = b.key and a.id < b.id;\n\
                 1 | 2 | 0.84\n```",
            )
            .with_argument("text", "The text to hash.")
            .with_argument(
                "bands",
                "Number of keys, 32 if left out. More find more pairs.",
            )
            .with_argument(
                "rows",
                "Values of the signature behind each key, 4 if left out. More meet fewer wrong \
                 pairs. Bands times rows is at most 4096.",
            )
            .with_argument("shingle", SHINGLE_ARGUMENT)
            .build()
        });
        Some(&DOCUMENTATION)
    }
}
