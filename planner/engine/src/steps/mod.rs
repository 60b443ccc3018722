//! The cleaning steps: one file or folder each. A step is a spec (what a person writes), and how it
//! compiles to operations on a batch. The list below, `step_list!`, is the only place that names them
//! all; validation, the JSON Schema, the documents and the tests follow from it.

mod canonicalize;
mod coerce;
mod dedupe;
mod impute;
mod missing_values;
mod near_dedupe;
mod normalize;
mod normalize_text;
mod outliers;
mod pii;
mod pipeline;
mod rules;
#[cfg(test)]
mod scale;
mod step;
mod text_op;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use canonicalize::{Canonicalize, Unmatched};
pub use coerce::Coerce;
pub use dedupe::Dedupe;
pub use impute::{Impute, Strategy};
pub use missing_values::NullMissingValues;
pub use near_dedupe::NearDedupe;
pub use normalize::{Normalize, NormalizeKind, OnInvalid};
pub use normalize_text::{NormalizeText, TextCase, UnicodeNormalForm};
pub use outliers::{OutlierAction, OutlierMethod, Outliers};
pub use pii::Pii;
pub use pipeline::{ImpliedSteps, PlacedStep, pipeline};
pub use rules::{OnViolation, RowRule, Rules};
#[cfg(test)]
pub use scale::Scale;
pub use step::{NamedStep, Patterns, Privacy, REFERENCE_OPTION, Reading, ReferenceMut, Step};

macro_rules! step_list {
    ($($(#[$attribute:meta])* $step:ident),+ $(,)?) => {
        /// A step of a job: its `type` and the fields of that step.
        #[derive(Debug, Clone, PartialEq)]
        pub enum StepSpec {
            $($(#[$attribute])* #[doc = concat!("A [`", stringify!($step), "`] step.")] $step($step)),+
        }

        $($(#[$attribute])* impl From<$step> for StepSpec {
            fn from(step: $step) -> Self {
                Self::$step(step)
            }
        })+

        impl StepSpec {
            /// Names of all steps.
            pub const NAMES: &'static [&'static str] = &[$($(#[$attribute])* $step::NAME),+];

            /// An example of each step, in YAML.
            pub const EXAMPLES: &'static [(&'static str, &'static str)] =
                &[$($(#[$attribute])* ($step::NAME, $step::EXAMPLE)),+];

            /// Name of the step.
            pub fn name(&self) -> &'static str {
                match self { $($(#[$attribute])* Self::$step(_) => $step::NAME),+ }
            }

            /// The fields of the step, without its type.
            pub fn params(&self) -> serde_json::Result<Value> {
                match self { $($(#[$attribute])* Self::$step(step) => serde_json::to_value(step)),+ }
            }

            /// What the step does.
            pub fn step(&self) -> &dyn Step {
                match self { $($(#[$attribute])* Self::$step(step) => step),+ }
            }

            /// The same, to be changed.
            pub fn step_mut(&mut self) -> &mut dyn Step {
                match self { $($(#[$attribute])* Self::$step(step) => step),+ }
            }

            fn from_parts(name: &str, fields: Value) -> Result<Self, StepError> {
                match name {
                    $($(#[$attribute])* $step::NAME => serde_path_to_error::deserialize(fields)
                        .map(Self::$step)
                        .map_err(|error| StepError {
                            field: error.path().to_string(),
                            problem: error.inner().to_string(),
                        }),)+
                    _ => Err(StepError {
                        field: "type".to_owned(),
                        problem: format!(
                            "there is no step {name:?}; expected one of {}",
                            Self::NAMES.join(", ")
                        ),
                    }),
                }
            }

            fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
                Vec::from([$($(#[$attribute])* ($step::NAME, $step::json_schema(generator))),+])
            }
        }
    };
}

step_list!(
    NullMissingValues,
    Coerce,
    NormalizeText,
    Normalize,
    Canonicalize,
    Rules,
    Outliers,
    Dedupe,
    NearDedupe,
    Impute,
    Pii,
    #[cfg(test)]
    Scale,
);

struct StepError {
    field: String,
    problem: String,
}

impl Serialize for StepSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serde_json::Map::new();
        document.insert("type".to_owned(), self.name().into());
        if let Value::Object(fields) = self.params().map_err(serde::ser::Error::custom)? {
            document.extend(fields);
        }
        document.serialize(serializer)
    }
}

// By hand, because serde's tagged enums lose the path of a mistake inside a step. The path goes at
// the head of the message, cut off by a unit separator; `JobSpec::from_value` puts it together.
impl<'de> Deserialize<'de> for StepSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = serde_json::Map::deserialize(deserializer)?;
        let parsed = match fields.remove("type") {
            Some(Value::String(name)) => Self::from_parts(&name, Value::Object(fields)),
            _ => Err(StepError {
                field: "type".to_owned(),
                problem: format!("a step needs a type, one of {}", Self::NAMES.join(", ")),
            }),
        };
        parsed.map_err(|error| {
            serde::de::Error::custom(format!("{}\u{1f}{}", error.field, error.problem))
        })
    }
}

impl JsonSchema for StepSpec {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let variants: Vec<Value> = Self::schemas(generator)
            .into_iter()
            .map(|(name, schema)| {
                let mut schema = schema.to_value();
                if let Some(object) = schema.as_object_mut() {
                    let properties = object
                        .entry("properties")
                        .or_insert_with(|| Value::Object(serde_json::Map::new()));
                    if let Some(properties) = properties.as_object_mut() {
                        properties.insert("type".to_owned(), serde_json::json!({"const": name}));
                    }
                    let required = object
                        .entry("required")
                        .or_insert_with(|| Value::Array(vec![]));
                    if let Some(required) = required.as_array_mut() {
                        required.insert(0, "type".into());
                    }
                }
                schema
            })
            .collect();
        schemars::json_schema!({ "oneOf": variants })
    }
}
