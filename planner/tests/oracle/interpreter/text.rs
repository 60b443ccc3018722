//! Steps that read texts: missing values, types, notations, canonical values.

use std::collections::BTreeMap;

use serde_json::Value;
use udfs::kernels::boolean::NormalizeBoolean;
use udfs::kernels::canonical::{Canonicalizer, LearnOptions, learn_values};
use udfs::kernels::cell::{CellKernel, Verdict};
use udfs::kernels::country::{CountryForm, NormalizeCountry};
use udfs::kernels::currency::NormalizeCurrency;
use udfs::kernels::date::{DateFormats, DayMonthOrder, NormalizeDate};
use udfs::kernels::email::NormalizeEmail;
use udfs::kernels::number::{NormalizeNumber, NumberFormat, parse_float, parse_integer};
use udfs::kernels::phone::NormalizePhone;
use udfs::kernels::text::{Case, NormalizeText, UnicodeForm};
use udfs::kernels::url::NormalizeUrl;

use super::table::{Cell, Table};
use crate::job::COLUMNS;

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().unwrap().iter();
    texts
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

impl Table {
    pub fn missing_values(&mut self, step: &Value, id: &str) {
        let spellings = match &step["values"] {
            Value::Null => vec![String::new(), "N/A".to_owned()],
            values => texts(values),
        };
        for column in self.places(&step["columns"], Self::is_text) {
            for row in &mut self.rows {
                let Cell::Text(text) = &row.cells[column] else {
                    continue;
                };
                if !spellings.iter().any(|spelling| spelling == text.trim()) {
                    continue;
                }
                if text.is_empty() {
                    row.cells[column] = Cell::Null;
                } else {
                    row.set(column, Cell::Null, id, 1.0, "deterministic");
                }
            }
        }
    }

    pub fn coerce(&mut self, id: &str) {
        let dates = DateFormats::usual(DayMonthOrder::MonthFirst);
        for (column, (_, data_type)) in COLUMNS.iter().enumerate() {
            if *data_type == "string" {
                continue;
            }
            self.columns[column].typed = true;
            for row in &mut self.rows {
                let Cell::Text(text) = row.cells[column].clone() else {
                    continue;
                };
                let read = match *data_type {
                    "integer" => parse_integer(&text).map(|p| (Cell::Int(p.value), p.plain)),
                    "float" => parse_float(&text).map(|p| (Cell::Float(p.value), p.plain)),
                    _ => dates
                        .parse_date(&text)
                        .map(|p| (Cell::Day(p.value), p.plain)),
                };
                match read {
                    Some((cell, true)) => row.cells[column] = cell,
                    Some((cell, false)) => row.set(column, cell, id, 1.0, "deterministic"),
                    None => row.set(column, Cell::Null, id, 1.0, "deterministic"),
                }
            }
        }
    }

    /// Runs a kernel over the texts of a column. Cells that it cannot read stay or become null.
    pub fn clean(
        &mut self,
        column: usize,
        kernel: &dyn CellKernel,
        keep: bool,
        id: &str,
        source: &'static str,
    ) {
        for row in &mut self.rows {
            let Cell::Text(text) = &row.cells[column] else {
                continue;
            };
            let mut out = String::new();
            match kernel.clean(text, &mut out) {
                Verdict::Same => {}
                Verdict::Changed(confidence) => {
                    row.set(column, Cell::Text(out), id, confidence, source);
                }
                Verdict::Invalid if keep => {}
                Verdict::Invalid => row.set(column, Cell::Null, id, 1.0, "deterministic"),
            }
        }
    }

    pub fn normalize_text(&mut self, step: &Value, id: &str) {
        let mut kernel = NormalizeText::default();
        if step["case"] == "lower" {
            kernel.case = Some(Case::Lower);
            kernel.unicode = Some(UnicodeForm::Nfkc);
        }
        for column in self.places(&step["columns"], Self::is_text) {
            self.clean(column, &kernel, true, id, "deterministic");
        }
    }

    pub fn normalize(&mut self, step: &Value, id: &str) {
        let kernel: Box<dyn CellKernel> = match step["kind"].as_str().unwrap() {
            "date" => Box::new(NormalizeDate::new(dates(step))),
            "number" if step["decimal_comma"] == true => {
                Box::new(NormalizeNumber::new(NumberFormat {
                    decimal: Some(b','),
                    thousands: Some(b'.'),
                }))
            }
            "number" => Box::new(NormalizeNumber::default()),
            "boolean" => Box::new(NormalizeBoolean),
            "email" => Box::new(NormalizeEmail::default()),
            "phone" => {
                let region = step["region"].as_str().unwrap_or("US");
                Box::new(NormalizePhone::new(region).unwrap())
            }
            "url" => Box::new(NormalizeUrl),
            "country" => Box::new(NormalizeCountry::new(match step["to"].as_str() {
                Some("alpha3") => CountryForm::Alpha3,
                Some("name") => CountryForm::Name,
                _ => CountryForm::Alpha2,
            })),
            "currency" => Box::new(NormalizeCurrency::default()),
            other => panic!("{other}"),
        };
        // Where a column has its type already there are no texts, and nothing is to be done.
        for column in self.places(&step["columns"], Self::is_text) {
            let keep = step["on_invalid"] == "keep";
            self.clean(column, kernel.as_ref(), keep, id, "deterministic");
        }
    }

    pub fn canonicalize(&mut self, step: &Value, id: &str) {
        let least = step["min_similarity"].as_f64().unwrap_or(0.8);
        for column in self.places(&step["columns"], Self::is_text) {
            let learned = step["learn"] == true;
            let values = if learned {
                self.repeated(column)
            } else {
                texts(&step["values"])
            };
            if learned && values.is_empty() {
                continue;
            }
            let kernel = Canonicalizer::new(values, least);
            let keep = step["unmatched"] != "set_null";
            self.clean(column, &kernel, keep, id, "fuzzy_canonicalize");
        }
    }

    /// What a column itself repeats.
    fn repeated(&self, column: usize) -> Vec<String> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for row in &self.rows {
            if let Cell::Text(text) = &row.cells[column] {
                *counts.entry(text.clone()).or_default() += 1;
            }
        }
        let counts: Vec<(String, u64)> = counts.into_iter().collect();
        learn_values(&counts, &LearnOptions::default())
    }
}

fn dates(step: &Value) -> DateFormats {
    match &step["formats"] {
        Value::Null if step["day_first"] == true => DateFormats::usual(DayMonthOrder::DayFirst),
        Value::Null => DateFormats::usual(DayMonthOrder::MonthFirst),
        formats => DateFormats::parse(&texts(formats)).unwrap(),
    }
}
