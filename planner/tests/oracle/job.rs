//! A job: a table of raw cells and the steps that clean it.

use std::path::Path;

use serde_json::{Value, json};

/// What the contract says of the columns of every table: their names and types.
pub const COLUMNS: [(&str, &str); 10] = [
    ("name", "string"),
    ("kind", "string"),
    ("qty", "integer"),
    ("price", "float"),
    ("day", "date"),
    ("email", "string"),
    ("phone", "string"),
    ("site", "string"),
    ("country", "string"),
    ("money", "string"),
];

/// The secret that personal data is hashed with.
pub const SALT: &str = "a salt that hides nothing";

/// Cells of a row as the source has them.
pub type RawRow = Vec<&'static str>;

/// A table of raw cells and the steps that clean it.
#[derive(Debug, Clone)]
pub struct Job {
    pub rows: Vec<RawRow>,
    pub steps: Vec<Value>,
    /// How personal data is hashed.
    pub hash: &'static str,
    pub partitions: usize,
}

/// Where a column stands.
pub fn place(name: &str) -> usize {
    COLUMNS
        .iter()
        .position(|(column, _)| *column == name)
        .unwrap()
}

impl Job {
    /// The spec of the job over `table.csv`, with the salt in `salt`, both in `folder`.
    pub fn spec(&self, folder: &Path) -> Value {
        let columns = COLUMNS.map(|(name, data_type)| json!({"name": name, "type": data_type}));
        json!({
            "source": {
                "location": "table.csv",
                "format": "csv",
                "options": {"delimiter": ",", "header": true, "encoding": "utf-8"},
            },
            "dataset": {
                "missing_values": ["", "N/A"],
                "columns": columns,
                "pii_salt": format!("file:{}", folder.join("salt").display()),
                "pii_hash": self.hash,
            },
            "steps": self.steps,
            "output": {"location": "out", "rows_per_file": 8192},
            "options": {"partitions": self.partitions, "job_id": "job"},
        })
    }

    /// The raw table.
    pub fn csv(&self) -> String {
        let mut text = COLUMNS.map(|(name, _)| name).join(",") + "\n";
        for row in &self.rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
                .collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }
}
