//! Business rules: a name (`unique`) or a name with its parameters (`{range: {min: 0}}`).

use std::borrow::Cow;
use std::fmt;

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most bytes of the text of a regular expression.
pub const PATTERN_BYTES: usize = 4096;

/// Most bytes of the SQL of a condition.
pub const CONDITION_BYTES: usize = 4096;

/// Most regular expressions of a contract.
pub const PATTERNS: usize = 512;

/// Most bytes of a regular expression once it is compiled, and of the tables that it makes while it runs.
const COMPILED_BYTES: usize = 1 << 20;

/// Compiles the regular expression of a rule, which matches whole values.
///
/// # Errors
/// When the text is not a regular expression, or exceeds a size limit.
pub fn rule_regex(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES {
        return Err(format!(
            "a regular expression may have at most {PATTERN_BYTES} bytes"
        ));
    }
    // By itself first: a message shows the pattern as it was written, and a parenthesis cannot close the group below.
    let compiled = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(COMPILED_BYTES)
            .build()
    };
    compiled(pattern)
        .and_then(|_| compiled(&format!("^(?:{pattern})$")))
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("it takes more than {COMPILED_BYTES} bytes once it is compiled")
            }
            error => error.to_string(),
        })
}

/// What must hold of each value of a column. A missing value breaks `not_null` and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub enum BusinessRule {
    /// No value occurs twice; the first row in source order keeps it.
    Unique,
    /// Zero or more.
    NonNegative,
    /// A value is there.
    NotNull,
    /// One of the values given, or of the column's canonical values.
    OneOf(Option<Vec<String>>),
    /// Between two bounds.
    Range(RangeRule),
    /// The whole value matches the regular expression.
    Regex(String),
    /// Number of characters.
    Length(LengthRule),
    /// A SQL condition over the columns of the row; null counts as kept.
    Expression(String),
}

/// Bounds of a value, both included: numbers, or text in the notation of the column's type (`2024-01-31`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeRule {
    /// Smallest value allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Bound>,
    /// Largest value allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Bound>,
}

/// A bound of a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bound {
    /// For numeric columns.
    Number(f64),
    /// For dates, timestamps, decimals and text.
    Text(String),
}

/// Bounds of a number of characters, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LengthRule {
    /// Fewest characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// Most characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// Rules that are written as a bare name.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NamedRule {
    Unique,
    #[serde(alias = "non-negative")]
    NonNegative,
    #[serde(alias = "not-null")]
    NotNull,
    #[serde(alias = "one-of")]
    OneOf,
}

/// Rules that are written with their parameters.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ParameterRule {
    #[serde(alias = "one-of")]
    OneOf(Vec<String>),
    Range(RangeRule),
    Regex(String),
    Length(LengthRule),
    Expression(String),
}

/// A rule in either notation.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum WrittenRule {
    Named(NamedRule),
    WithParameters(ParameterRule),
}

impl BusinessRule {
    /// Returns the name of the rule in specs, reports and quarantine reasons.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::NonNegative => "non_negative",
            Self::NotNull => "not_null",
            Self::OneOf(_) => "one_of",
            Self::Range(_) => "range",
            Self::Regex(_) => "regex",
            Self::Length(_) => "length",
            Self::Expression(_) => "expression",
        }
    }
}

impl From<NamedRule> for BusinessRule {
    fn from(rule: NamedRule) -> Self {
        match rule {
            NamedRule::Unique => Self::Unique,
            NamedRule::NonNegative => Self::NonNegative,
            NamedRule::NotNull => Self::NotNull,
            NamedRule::OneOf => Self::OneOf(None),
        }
    }
}

impl From<ParameterRule> for BusinessRule {
    fn from(rule: ParameterRule) -> Self {
        match rule {
            ParameterRule::OneOf(values) => Self::OneOf(Some(values)),
            ParameterRule::Range(range) => Self::Range(range),
            ParameterRule::Regex(pattern) => Self::Regex(pattern),
            ParameterRule::Length(length) => Self::Length(length),
            ParameterRule::Expression(condition) => Self::Expression(condition),
        }
    }
}

impl From<BusinessRule> for WrittenRule {
    fn from(rule: BusinessRule) -> Self {
        match rule {
            BusinessRule::Unique => Self::Named(NamedRule::Unique),
            BusinessRule::NonNegative => Self::Named(NamedRule::NonNegative),
            BusinessRule::NotNull => Self::Named(NamedRule::NotNull),
            BusinessRule::OneOf(None) => Self::Named(NamedRule::OneOf),
            BusinessRule::OneOf(Some(values)) => Self::WithParameters(ParameterRule::OneOf(values)),
            BusinessRule::Range(range) => Self::WithParameters(ParameterRule::Range(range)),
            BusinessRule::Regex(regex) => Self::WithParameters(ParameterRule::Regex(regex)),
            BusinessRule::Length(length) => Self::WithParameters(ParameterRule::Length(length)),
            BusinessRule::Expression(sql) => Self::WithParameters(ParameterRule::Expression(sql)),
        }
    }
}

impl Serialize for BusinessRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WrittenRule::from(self.clone()).serialize(serializer)
    }
}

// By hand, because an untagged enum answers every mistake with "did not match any variant".
impl<'de> Deserialize<'de> for BusinessRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RuleVisitor;
        impl<'de> Visitor<'de> for RuleVisitor {
            type Value = BusinessRule;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("a rule such as unique, non_negative or {range: {min: 0, max: 120}}")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
                NamedRule::deserialize(serde::de::value::StrDeserializer::new(name))
                    .map(BusinessRule::from)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                ParameterRule::deserialize(MapAccessDeserializer::new(map)).map(BusinessRule::from)
            }
        }
        deserializer.deserialize_any(RuleVisitor)
    }
}

impl JsonSchema for BusinessRule {
    fn schema_name() -> Cow<'static, str> {
        "BusinessRule".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        WrittenRule::json_schema(generator)
    }
}
