//! The reference of the job spec for people, made from its JSON Schema.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::JobSpec;
use crate::steps::StepSpec;

impl JobSpec {
    /// Every field of a job spec, and every step with an example, as Markdown.
    pub fn reference() -> String {
        let schema = Self::document_schema();
        let empty = Map::new();
        let definitions = schema["$defs"].as_object().unwrap_or(&empty);
        let mut text = String::from(
            "# The job spec\n\n\
             YAML or JSON. This page is made by `sanitizer schema job --markdown`; `sanitizer schema job` prints the \
             JSON Schema that editors can check a spec with.\n",
        );
        section(&mut text, 2, "The job", &schema);
        let _ = writeln!(text, "\n## Steps");
        let steps = definitions
            .get("Step")
            .and_then(|step| step["oneOf"].as_array());
        for ((name, example), step) in StepSpec::EXAMPLES.iter().zip(steps.into_iter().flatten()) {
            section(&mut text, 3, &format!("`{name}`"), step);
            let _ = writeln!(text, "\n```yaml\n- {example}\n```");
        }
        let _ = writeln!(text, "\n## Parts");
        for (name, definition) in definitions.iter().filter(|(name, _)| *name != "Step") {
            section(&mut text, 3, name, definition);
        }
        text
    }
}

impl StepSpec {
    /// What a step does and its fields, as Markdown below a heading of this level.
    pub fn reference(name: &str, level: usize) -> Option<String> {
        let schema = JobSpec::document_schema();
        let steps = schema["$defs"]["Step"]["oneOf"].as_array()?;
        let at = Self::NAMES.iter().position(|known| *known == name)?;
        let mut text = String::new();
        section(&mut text, level, &format!("`{name}`"), steps.get(at)?);
        // Parts have their sections on the page of the job spec.
        Some(text.replace("](#", "](../job.md#"))
    }
}

/// A heading, what the thing is, and its fields or values.
fn section(text: &mut String, level: usize, name: &str, schema: &Value) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{} {name}\n", "#".repeat(level));
    if let Some(description) = schema["description"].as_str() {
        let _ = writeln!(text, "{}\n", flat(description));
    }
    let variants = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| schema[*key].as_array());
    for variant in variants.into_iter().flatten() {
        let description = variant["description"]
            .as_str()
            .map(flat)
            .unwrap_or_default();
        let name = variant["const"].as_str().map(|name| format!("`{name}`"));
        let _ = writeln!(
            text,
            "- {} {description}",
            name.unwrap_or_else(|| kind(variant))
        );
    }
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let _ = writeln!(text, "| field | is | |\n|---|---|---|");
    for (field, property) in properties
        .iter()
        .filter(|(field, _)| *field != "type" || properties["type"]["const"].is_null())
    {
        let description = property["description"]
            .as_str()
            .map(flat)
            .unwrap_or_default();
        let need = if required.contains(&field.as_str()) {
            " **Required.**"
        } else {
            ""
        };
        let default = match &property["default"] {
            Value::Null => String::new(),
            value => format!(" Default `{value}`."),
        };
        let _ = writeln!(
            text,
            "| `{field}` | {} | {description}{default}{need} |",
            kind(property).replace('|', "\\|")
        );
    }
}

/// What a value is: a type, a part with a section of its own, or one of several.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return match name {
            "Step" => "[step](#steps)".to_owned(),
            name => format!("[{name}](#{})", name.to_lowercase()),
        };
    }
    if let Some(variants) = ["anyOf", "oneOf", "allOf"]
        .iter()
        .find_map(|key| schema[*key].as_array())
    {
        let kinds: Vec<String> = variants
            .iter()
            .map(kind)
            .filter(|kind| kind != "null")
            .collect();
        return kinds.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let names: Vec<String> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|name| format!("`{name}`"))
            .collect();
        return names.join(", ");
    }
    if let Some(properties) = schema["properties"].as_object() {
        let names: Vec<String> = properties.keys().map(|name| format!("`{name}`")).collect();
        return format!("object with {}", names.join(", "));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "null")
            .collect(),
        _ => return "any".to_owned(),
    };
    match (types.as_slice(), &schema["items"]) {
        (["array"], items) if items.is_object() => format!("list of {}", kind(items)),
        _ => types.join(" or "),
    }
}

/// A description in one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
