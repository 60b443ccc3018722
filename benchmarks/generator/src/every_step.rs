//! A job with every step on the customer table, for what must hold of all of them.

/// A job with what is learned of all rows and by group, passes that wait for others, two
/// duplicate rules, personal data of every strategy, and text output.
pub fn every_step(source: &str, output: &str, salt: &str) -> String {
    format!(
        r#"version: 1
name: every_step
source: {{location: {source:?}}}
dataset:
  pii_salt: {salt:?}
  missing_values: ["", "N/A", "null", "-", "unknown"]
  columns:
    - {{name: email, type: string, pii: true, pii_strategy: hash}}
    - {{name: full_name, type: string, pii: true, pii_strategy: redact}}
    - {{name: address, type: string, pii: true, pii_strategy: exclude}}
    - {{name: age, type: integer, business_rules: [{{range: {{min: 0, max: 120}}}}]}}
    - {{name: phone, type: string, business_rules: [unique]}}
steps:
  - {{type: normalize_text, columns: [full_name, address], unicode: nfkc, case: lower}}
  - {{type: normalize, kind: date, columns: [signup_date]}}
  - {{type: normalize, kind: phone, columns: [phone], region: US}}
  - {{type: normalize, kind: email, columns: [email]}}
  - {{type: canonicalize, columns: [status], learn: true}}
  - {{type: outliers, columns: [income], method: iqr, action: set_null}}
  - {{type: dedupe, columns: [full_name, email, phone], keep: most_complete}}
  - {{type: rules, on_violation: quarantine}}
  - {{type: dedupe, columns: [customer_id], keep: last}}
  - {{type: impute, strategy: median, columns: [income], by: [status]}}
  - {{type: impute, strategy: mode, columns: [signup_date]}}
  - {{type: outliers, columns: [age], method: mad, action: clip}}
  - {{type: pii}}
output: {{location: {output:?}, format: csv}}
"#
    )
}
