//! `dedupe`: of rows with equal keys one stays.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::table::{Row, Table};

impl Table {
    pub fn dedupe(&mut self, step: &Value) {
        let columns = self.places(&step["columns"], |_, _| true);
        let mut groups: BTreeMap<Vec<Option<String>>, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            let key = columns.iter().map(|column| row.cells[*column].text());
            groups.entry(key.collect()).or_default().push(row);
        }
        let missing = |row: &Row| row.cells.iter().filter(|cell| cell.is_null()).count();
        let mut gone = HashSet::new();
        for group in groups.into_values() {
            let survivor = match step["keep"].as_str().unwrap() {
                "first" => group[0].id,
                "last" => group[group.len() - 1].id,
                _ => {
                    let best = group.iter().min_by_key(|row| (missing(row), row.id));
                    best.unwrap().id
                }
            };
            for row in group.iter().filter(|row| row.id != survivor) {
                self.removed.push((row.id, survivor));
                gone.insert(row.id);
            }
        }
        self.rows.retain(|row| !gone.contains(&row.id));
    }
}
