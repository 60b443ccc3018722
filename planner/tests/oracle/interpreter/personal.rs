//! `pii`: personal data is hashed, redacted, left out or kept.

use serde_json::Value;
use udfs::kernels::pii::hash::{HashMethod, PiiHash, Secret};

use super::table::{Cell, Table};
use crate::job::{COLUMNS, SALT};

impl Table {
    pub fn personal(&mut self, step: &Value, id: &str) {
        for column in self.places(&step["columns"], |_, _| true) {
            let placeholder = match COLUMNS[column].0 {
                "name" => "<PERSON>",
                "email" => "<EMAIL>",
                "phone" => "<PHONE>",
                _ => "<PII>",
            };
            self.columns[column].placeholder = Some(placeholder);
            match step["strategy"].as_str().unwrap() {
                "exclude" => self.columns[column].excluded = true,
                "keep" => self.columns[column].in_clear = true,
                "hash" => self.hash(column, id),
                _ => self.redact(column, placeholder, id),
            }
        }
    }

    fn hash(&mut self, column: usize, id: &str) {
        let method = match self.hash {
            "hmac_sha256" => HashMethod::HmacSha256,
            _ => HashMethod::SaltedSha256,
        };
        let secret = Secret::new(SALT.into()).unwrap();
        let kernel = PiiHash::new(&secret, method, None);
        self.clean(column, &kernel, true, id, "deterministic");
    }

    fn redact(&mut self, column: usize, placeholder: &str, id: &str) {
        for row in &mut self.rows {
            if let Cell::Text(text) = &row.cells[column]
                && !text.is_empty()
                && text != placeholder
            {
                let hidden = Cell::Text(placeholder.to_owned());
                row.set(column, hidden, id, 1.0, "deterministic");
            }
        }
    }
}
