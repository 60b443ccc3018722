//! From a YAML or JSON document to a [`JobSpec`], with errors that name the file and the field.

use std::path::Path;

use serde_json::Value;

use super::{BusinessRule, DocumentLimits, JobSpec, PATTERNS};
use crate::error::{Error, Result};
use crate::steps::Patterns;

/// Most steps of a job.
const STEPS: usize = 500;

impl JobSpec {
    /// Reads the spec in the file `path`, after setting `overrides` (`path=value`) in it.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| Error::io(path, source))?;
        Self::parse(&text, &file, overrides)
    }

    /// Reads a spec of this machine's user from `text`, which `file` names in errors.
    ///
    /// # Errors
    /// The text is no spec, or breaks [`DocumentLimits::LOCAL`].
    pub fn parse(text: &str, file: &str, overrides: &[String]) -> Result<Self> {
        let mut document = Self::local_document(text, file)?;
        for assignment in overrides {
            set(&mut document, assignment)?;
        }
        Self::from_value(document, file)
    }

    /// Returns the document that `text` holds, in JSON or YAML, for a text that came over the network or in SQL.
    ///
    /// # Errors
    /// The text is neither, or breaks [`DocumentLimits::WIRE`].
    pub fn document(text: &str, file: &str) -> Result<Value> {
        let document = DocumentLimits::WIRE.json_or_yaml(text);
        document.map_err(|problem| spec_error(file, "document", problem))
    }

    /// Returns the document that `text` holds, in JSON or YAML, for a text of this machine's user.
    ///
    /// # Errors
    /// The text is neither, or breaks [`DocumentLimits::LOCAL`].
    pub fn local_document(text: &str, file: &str) -> Result<Value> {
        let document = DocumentLimits::LOCAL.json_or_yaml(text);
        document.map_err(|problem| spec_error(file, "document", problem))
    }

    /// Reads a spec from a document already parsed.
    pub fn from_value(document: Value, file: &str) -> Result<Self> {
        let spec: Self = serde_path_to_error::deserialize(document).map_err(|error| {
            let mut field = error.path().to_string();
            let mut problem = error.inner().to_string();
            // A step reports the path inside itself at the head of its message.
            if let Some((inner, rest)) = problem.split_once('\u{1f}') {
                field = if inner == "." {
                    field
                } else {
                    format!("{field}.{inner}")
                };
                problem = rest.to_owned();
            }
            if field == "." {
                field = "document".to_owned();
            }
            spec_error(file, &field, problem)
        })?;
        spec.check(file)?;
        Ok(spec)
    }

    /// The JSON Schema of a job spec (draft 2020-12).
    pub fn document_schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    fn check(&self, file: &str) -> Result<()> {
        if self.version != 1 {
            let problem = format!("version 1 is the only one there is, not {}", self.version);
            return Err(spec_error(file, "version", problem));
        }
        if self
            .output
            .rows_per_file
            .is_some_and(|rows| rows == 0 || rows % 8192 != 0)
        {
            let problem = "expected a multiple of 8192";
            return Err(spec_error(file, "output.rows_per_file", problem));
        }
        let steps = self.steps.iter().flatten();
        if steps.count() > STEPS {
            let problem = format!("a job may have {STEPS} steps");
            return Err(spec_error(file, "steps", problem));
        }
        if self.patterns() > PATTERNS {
            let problem = format!(
                "more than {PATTERNS} regular expressions, those of the contract counted for each step of rules"
            );
            return Err(spec_error(file, "dataset.columns", problem));
        }
        if self.source.location.0.is_empty() {
            return Err(spec_error(
                file,
                "source.location",
                "expected a path or a list of paths",
            ));
        }
        Ok(())
    }
}

impl JobSpec {
    /// Regular expressions that the job compiles: those of the contract by every step of rules, and the steps' own.
    fn patterns(&self) -> usize {
        let is_pattern = |rule: &&BusinessRule| matches!(rule, BusinessRule::Regex(_));
        let schema = self.dataset.schema.iter();
        let columns = schema.flat_map(|schema| &schema.columns);
        let rules = columns
            .chain(&self.dataset.columns)
            .flat_map(|column| &column.business_rules);
        let of_contract = rules.filter(is_pattern).count();
        let steps = self.steps.iter().flatten();
        let patterns: Vec<Patterns> = steps.map(|step| step.step().patterns()).collect();
        let checks = patterns.iter().filter(|step| step.contract).count();
        let own: usize = patterns.iter().map(|step| step.own).sum();
        of_contract.saturating_mul(checks.max(1)) + own
    }
}

fn spec_error(file: &str, field: &str, problem: impl ToString) -> Error {
    Error::Spec {
        file: file.to_owned(),
        field: field.to_owned(),
        problem: problem.to_string(),
    }
}

/// Sets one field of `document`: `options.partitions=2`, `steps[1].threshold=0.9`. The value is YAML.
fn set(document: &mut Value, assignment: &str) -> Result<()> {
    let problem = |text: &str| spec_error("--set", assignment, text);
    let (path, text) = assignment
        .split_once('=')
        .ok_or_else(|| problem("expected path=value"))?;
    let value: Value = serde_norway::from_str(text).map_err(|error| problem(&error.to_string()))?;
    let mut place = document;
    for part in path.split('.') {
        let (name, indexes) = part
            .split_once('[')
            .map_or((part, None), |(n, i)| (n, Some(i)));
        if place.is_null() {
            *place = Value::Object(serde_json::Map::new());
        }
        place = place
            .as_object_mut()
            .ok_or_else(|| problem(&format!("{name:?} is looked for in what is not an object")))?
            .entry(name)
            .or_insert(Value::Null);
        for index in indexes.into_iter().flat_map(|list| list.split('[')) {
            let number: usize = index
                .strip_suffix(']')
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| problem("expected a number in brackets"))?;
            place = place
                .get_mut(number)
                .ok_or_else(|| problem(&format!("there is no element {number}")))?;
        }
    }
    *place = value;
    Ok(())
}
