//! `rules`: what must hold of the values.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use regex::Regex;
use serde_json::Value;
use udfs::kernels::number::parse_float;

use super::table::{Cell, Row, Table};
use crate::job::{COLUMNS, place};

/// A rule: its column, its name, and what it asks for.
struct Rule<'a> {
    column: usize,
    name: &'a str,
    asks: &'a Value,
}

impl<'a> Rule<'a> {
    fn new(rule: &'a Value) -> Self {
        let (name, asks) = match &rule["rule"] {
            Value::String(name) => (name.as_str(), &Value::Null),
            asks => {
                let (name, asks) = asks.as_object().unwrap().iter().next().unwrap();
                (name.as_str(), asks)
            }
        };
        let column = place(rule["column"].as_str().unwrap());
        Self { column, name, asks }
    }
}

impl Table {
    pub fn rules(&mut self, step: &Value, id: &str) {
        let rules = step["rules"].as_array().unwrap().iter().map(Rule::new);
        // Those that look at one row come first. Said twice, these two are checked once.
        let (mut rules, mut unique) = rules.partition::<Vec<_>, _>(|rule| rule.name != "unique");
        rules.append(&mut unique);
        let mut seen = HashSet::new();
        for rule in rules {
            let once = ["not_null", "unique"].contains(&rule.name);
            if !seen.insert((rule.column, rule.name)) && once {
                continue;
            }
            let broken = self.broken(&rule);
            match step["on_violation"].as_str().unwrap() {
                "flag" => {}
                "set_null" => {
                    for row in self.rows.iter_mut().filter(|row| broken.contains(&row.id)) {
                        if !row.cells[rule.column].is_null() {
                            row.set(rule.column, Cell::Null, id, 1.0, "deterministic");
                        }
                    }
                }
                _ => {
                    let (lost, kept) = std::mem::take(&mut self.rows)
                        .into_iter()
                        .partition(|row| broken.contains(&row.id));
                    self.rows = kept;
                    let reason = format!("{id}: {}", rule.name);
                    let lost: Vec<Row> = lost;
                    self.quarantine.extend(
                        lost.into_iter()
                            .map(|row| (row, COLUMNS[rule.column].0, reason.clone())),
                    );
                }
            }
        }
    }

    /// Rows that break a rule.
    fn broken(&self, rule: &Rule<'_>) -> HashSet<u64> {
        let mut first = HashMap::new();
        let mut breaks = |row: &Row| {
            let cell = &row.cells[rule.column];
            // A missing value breaks no rule but one, and an expression speaks of other columns too.
            match rule.name {
                "not_null" => return cell.is_null(),
                "expression" => return breaks_expression(rule.asks.as_str().unwrap(), row),
                _ if cell.is_null() => return false,
                _ => {}
            }
            let text = cell.text().unwrap();
            match rule.name {
                "range" => outside(cell, &rule.asks["min"], &rule.asks["max"]),
                "non_negative" => outside(cell, &0.into(), &Value::Null),
                "one_of" => !rule.asks.as_array().unwrap().contains(&text.into()),
                "regex" => {
                    let found = Regex::new(rule.asks.as_str().unwrap()).unwrap();
                    // The expression must match all of the text, in whichever of its ways.
                    let whole = format!(r"\A(?:{found})\z");
                    !Regex::new(&whole).unwrap().is_match(&text)
                }
                "length" => {
                    let length = text.chars().count() as u64;
                    let (min, max) = (rule.asks["min"].as_u64(), rule.asks["max"].as_u64());
                    min.is_some_and(|min| length < min) || max.is_some_and(|max| length > max)
                }
                "unique" => *first.entry(text).or_insert(row.id) != row.id,
                other => panic!("{other}"),
            }
        };
        let broken = self.rows.iter().filter(|row| breaks(row));
        broken.map(|row| row.id).collect()
    }
}

/// Whether a value lies outside of bounds, either of which may be left out.
fn outside(cell: &Cell, min: &Value, max: &Value) -> bool {
    let text_bounds = min.is_string() || max.is_string();
    if let (Cell::Text(text), true) = (cell, text_bounds) {
        return min.as_str().is_some_and(|min| text.as_str() < min)
            || max.as_str().is_some_and(|max| text.as_str() > max);
    }
    // What is still text may be a number; what is none is in no range.
    let number = match cell {
        Cell::Text(text) => match parse_float(text) {
            Some(parsed) => parsed.value,
            None => return true,
        },
        cell => cell.quantity().unwrap(),
    };
    let bound = |bound: &Value| match bound {
        Value::String(day) => {
            let day: NaiveDate = day.parse().unwrap();
            Some((day - NaiveDate::default()).num_days() as f64)
        }
        bound => bound.as_f64(),
    };
    bound(min).is_some_and(|min| number < min) || bound(max).is_some_and(|max| number > max)
}

fn breaks_expression(sql: &str, row: &Row) -> bool {
    let cell = |name: &str| &row.cells[place(name)];
    match sql {
        "price >= qty" => match (cell("price"), cell("qty")) {
            (Cell::Text(price), Cell::Text(qty)) => price < qty,
            (price, qty) => match (price.quantity(), qty.quantity()) {
                (Some(price), Some(qty)) => price < qty,
                _ => false,
            },
        },
        "email IS NOT NULL OR phone IS NOT NULL" => {
            cell("email").is_null() && cell("phone").is_null()
        }
        other => panic!("{other}"),
    }
}
