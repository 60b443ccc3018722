//! The standard clean-up of the customer table: one job spec for the demo, the tests and the benchmarks.

use std::fmt::Write;

use crate::customer::STATUSES;
use crate::damage::MISSING_VALUES;

/// What differs between the uses of the standard job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandardJob {
    /// The files to read, in order.
    pub sources: Vec<String>,
    /// The folder to write to.
    pub output: String,
    /// Where the secret for hashing lies: `env:NAME` or `file:PATH`.
    pub pii_salt: String,
    /// The limit of the memory, such as `2GiB`.
    pub memory_limit: String,
    /// Whether every changed cell is recorded.
    pub provenance: bool,
    /// Whether near duplicates are removed as well, and with which options; none for the step as it is by default.
    pub near_duplicates: Option<String>,
}

impl StandardJob {
    /// The job for one file, with the salt from the environment, 2 GiB of memory and full provenance.
    pub fn new(source: &str, output: &str) -> Self {
        Self {
            sources: vec![source.to_owned()],
            output: output.to_owned(),
            pii_salt: "env:SANITIZER_SALT".to_owned(),
            memory_limit: "2GiB".to_owned(),
            provenance: true,
            near_duplicates: None,
        }
    }

    /// The job spec in YAML.
    pub fn to_yaml(&self) -> String {
        let location = match self.sources.as_slice() {
            [source] => quoted(source),
            sources => list(sources.iter().map(String::as_str)),
        };
        let mut yaml = String::new();
        // Writing to a String cannot fail.
        let _ = write!(
            yaml,
            r#"version: 1
name: customers
source:
  location: {location}
  format: csv
dataset:
  dataset_id: customers
  version: 1
  pii_salt: {salt}
  missing_values: {missing}
  columns:
    - {{name: customer_id, type: integer, nullable: false}}
    - {{name: full_name, type: string}}
    - {{name: email, type: string, pii: true, pii_strategy: hash}}
    - {{name: phone, type: string}}
    - {{name: address, type: string}}
    - {{name: status, type: string, canonical_values: {statuses}}}
    - {{name: signup_date, type: date}}
    - {{name: age, type: integer, business_rules: [{{range: {{min: 0, max: 120}}}}]}}
    - {{name: income, type: float}}
steps:
  - {{type: normalize_text, columns: [full_name, address], unicode: nfc}}
  - {{type: normalize, kind: date, columns: [signup_date], formats: ["%Y-%m-%d", "%m/%d/%Y", "%d.%m.%Y"]}}
  - {{type: normalize, kind: phone, columns: [phone], region: US}}
  - {{type: canonicalize, columns: [status]}}
  - {{type: rules, on_violation: set_null}}
  - {{type: dedupe, columns: "*", keep: first}}{near_duplicates}
  - {{type: impute, strategy: median, columns: [age, income]}}
  - {{type: pii}}
output:
  location: {output}
  format: parquet
  provenance: {provenance}
options: {{seed: 42, memory_limit: {memory_limit}}}
"#,
            salt = quoted(&self.pii_salt),
            missing = list(MISSING_VALUES),
            statuses = list(STATUSES),
            output = quoted(&self.output),
            near_duplicates = match &self.near_duplicates {
                Some(options) => format!("\n  - {{type: near_dedupe{options}}}"),
                None => String::new(),
            },
            provenance = if self.provenance { "full" } else { "none" },
            memory_limit = quoted(&self.memory_limit),
        );
        yaml
    }
}

/// Returns a text as a double-quoted YAML scalar: JSON's quoting is a part of YAML's.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<_> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

/// Arguments of a run that gives `customers.csv` another format, in a folder of that name.
pub fn conversion(format: &str) -> Vec<String> {
    let line =
        format!("run customers.csv --output {format} --set output.format={format} --set steps=[]");
    line.split(' ').map(str::to_owned).collect()
}
