//! The steps, one after another, over a table in memory. Nothing here knows of passes, splits,
//! batches, logs or frames; of the engine it uses the kernels on single cells only.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Float64Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde_json::{Value, json};
use udfs::kernels::boolean::NormalizeBoolean;
use udfs::kernels::canonical::{Canonicalizer, LearnOptions, learn_values};
use udfs::kernels::cell::{CellKernel, Verdict};
use udfs::kernels::date::{DateFormats, DayMonthOrder, NormalizeDate};
use udfs::kernels::number::{NormalizeNumber, parse_float, parse_integer};
use udfs::kernels::text::{Case, NormalizeText, UnicodeForm};

use super::job::{COLUMNS, Job};
use super::outcome::{Outcome, round, sort_by_cell};

/// A cell.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
    Day(i32),
}

impl Cell {
    fn text(&self) -> Option<String> {
        let array: ArrayRef = match self {
            Self::Null => return None,
            Self::Text(text) => return Some(text.clone()),
            Self::Int(value) => Arc::new(Int64Array::from(vec![*value])),
            Self::Float(value) => Arc::new(Float64Array::from(vec![*value])),
            Self::Day(value) => Arc::new(Date32Array::from(vec![*value])),
        };
        let text = cast(&array, &DataType::Utf8).unwrap();
        Some(text.as_string::<i32>().value(0).to_owned())
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        *self == Self::Null
    }
}

/// What became of a cell.
#[derive(Debug, Clone)]
struct Story {
    original: Option<String>,
    last: String,
    confidence: f32,
    source: &'static str,
}

#[derive(Debug, Clone)]
struct Row {
    id: u64,
    cells: Vec<Cell>,
    stories: Vec<Option<Story>>,
}

/// The table on its way through the steps.
struct Table {
    rows: Vec<Row>,
    typed: bool,
    hidden: bool,
    excluded: bool,
    removed: Vec<(u64, u64)>,
    quarantine: Vec<(u64, String, String)>,
}

struct Refused;

/// Runs the job.
pub fn run(job: &Job) -> Outcome {
    let rows = job.rows.iter().enumerate().map(|(id, cells)| Row {
        id: id as u64,
        cells: cells.iter().map(|cell| Cell::Text(cell.clone())).collect(),
        stories: vec![None; 5],
    });
    let mut table = Table {
        rows: rows.collect(),
        typed: false,
        hidden: false,
        excluded: false,
        removed: Vec::new(),
        quarantine: Vec::new(),
    };
    for (number, step) in with_implied(&job.steps).iter().enumerate() {
        if table.apply(step, &format!("t-{}", number + 1)).is_err() {
            return Outcome::Refused;
        }
    }
    table.outcome()
}

/// Missing values first, types after the leading steps on text.
fn with_implied(steps: &[Value]) -> Vec<Value> {
    let mut all = steps.to_vec();
    if !steps.iter().any(|step| step["type"] == "coerce") {
        let textual = [
            "missing_values",
            "normalize_text",
            "normalize",
            "canonicalize",
        ];
        let lead = steps
            .iter()
            .take_while(|step| textual.contains(&step["type"].as_str().unwrap()))
            .count();
        all.insert(lead, json!({"type": "coerce"}));
    }
    if all[0]["type"] != "missing_values" {
        all.insert(0, json!({"type": "missing_values"}));
    }
    all
}

fn place(name: &str) -> usize {
    COLUMNS.iter().position(|column| *column == name).unwrap()
}

fn places(columns: &Value) -> Vec<usize> {
    match columns.as_array() {
        Some(names) => names
            .iter()
            .map(|name| place(name.as_str().unwrap()))
            .collect(),
        None => (0..5).collect(),
    }
}

impl Row {
    /// Puts another value into a cell and notes it.
    fn set(
        &mut self,
        column: usize,
        cell: Cell,
        step: &str,
        confidence: f32,
        source: &'static str,
    ) {
        let before = std::mem::replace(&mut self.cells[column], cell);
        let story = &mut self.stories[column];
        *story = Some(match story.take() {
            None => Story {
                original: before.text(),
                last: step.to_owned(),
                confidence,
                source,
            },
            // The least certain change vouches for the cell; of certain ones the last.
            Some(story) if story.confidence < 1.0 && story.confidence <= confidence => Story {
                last: step.to_owned(),
                ..story
            },
            Some(story) => Story {
                last: step.to_owned(),
                confidence,
                source,
                ..story
            },
        });
    }
}

impl Table {
    fn apply(&mut self, step: &Value, id: &str) -> Result<(), Refused> {
        match step["type"].as_str().unwrap() {
            "missing_values" => self.missing(step, id),
            "coerce" => self.coerce(id),
            "normalize_text" => self.normalize_text(step, id),
            "normalize" => self.normalize(step, id),
            "canonicalize" => self.canonicalize(step, id),
            "rules" => self.rules(step, id),
            "outliers" => return self.outliers(step, id),
            "dedupe" => self.dedupe(step),
            "impute" => return self.impute(step, id),
            "pii" => self.pii(step, id),
            other => panic!("{other}"),
        }
        Ok(())
    }

    fn missing(&mut self, step: &Value, id: &str) {
        let spellings = match step["values"].as_array() {
            Some(values) => values
                .iter()
                .map(|value| value.as_str().unwrap().to_owned())
                .collect(),
            None => vec![String::new(), "N/A".to_owned()],
        };
        for row in &mut self.rows {
            for column in places(&step["columns"]) {
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

    fn coerce(&mut self, id: &str) {
        let dates = DateFormats::usual(DayMonthOrder::MonthFirst);
        self.typed = true;
        for row in &mut self.rows {
            for column in 2..5 {
                let Cell::Text(text) = row.cells[column].clone() else {
                    continue;
                };
                let (cell, plain) = match column {
                    2 => parse_integer(&text)
                        .map_or((Cell::Null, false), |p| (Cell::Int(p.value), p.plain)),
                    3 => parse_float(&text)
                        .map_or((Cell::Null, false), |p| (Cell::Float(p.value), p.plain)),
                    _ => dates
                        .parse_date(&text)
                        .map_or((Cell::Null, false), |p| (Cell::Day(p.value), p.plain)),
                };
                if plain {
                    row.cells[column] = cell;
                } else {
                    row.set(column, cell, id, 1.0, "deterministic");
                }
            }
        }
    }

    fn clean(
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

    fn normalize_text(&mut self, step: &Value, id: &str) {
        let mut kernel = NormalizeText::default();
        if step["case"] == "lower" {
            kernel.case = Some(Case::Lower);
            kernel.unicode = Some(UnicodeForm::Nfkc);
        }
        for column in places(&step["columns"]) {
            self.clean(column, &kernel, true, id, "deterministic");
        }
    }

    fn normalize(&mut self, step: &Value, id: &str) {
        let kernel: Box<dyn CellKernel> = match step["kind"].as_str().unwrap() {
            "date" => Box::new(NormalizeDate::new(DateFormats::usual(
                DayMonthOrder::MonthFirst,
            ))),
            "number" => Box::new(NormalizeNumber::default()),
            _ => Box::new(NormalizeBoolean),
        };
        for column in places(&step["columns"]) {
            // A column that has its type already is in one notation.
            let keep = step["on_invalid"] == "keep";
            self.clean(column, kernel.as_ref(), keep, id, "deterministic");
        }
    }

    fn canonicalize(&mut self, step: &Value, id: &str) {
        if step["learn"] == true {
            for column in places(&step["columns"]) {
                let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                for row in &self.rows {
                    if let Cell::Text(text) = &row.cells[column] {
                        *counts.entry(text.clone()).or_default() += 1;
                    }
                }
                let counts: Vec<(String, u64)> = counts.into_iter().collect();
                let values = learn_values(&counts, &LearnOptions::default());
                if !values.is_empty() {
                    let kernel = Canonicalizer::new(values, 0.8);
                    self.clean(column, &kernel, true, id, "fuzzy_canonicalize");
                }
            }
            return;
        }
        let values = step["values"].as_array().unwrap();
        let values = values
            .iter()
            .map(|value| value.as_str().unwrap().to_owned())
            .collect();
        let kernel = Canonicalizer::new(values, 0.8);
        let keep = step["unmatched"] != "set_null";
        self.clean(place("kind"), &kernel, keep, id, "fuzzy_canonicalize");
    }

    fn rules(&mut self, step: &Value, id: &str) {
        let rules = step["rules"].as_array().unwrap();
        let mut seen = Vec::new();
        let (unique, others): (Vec<&Value>, Vec<&Value>) =
            rules.iter().partition(|rule| rule["rule"] == "unique");
        for rule in others.into_iter().chain(unique.into_iter().take(1)) {
            let column = place(rule["column"].as_str().unwrap());
            let name = match &rule["rule"] {
                Value::String(name) => name.clone(),
                rule => rule.as_object().unwrap().keys().next().unwrap().clone(),
            };
            // Said twice, not_null is checked once.
            if name == "not_null" && seen.contains(&name) {
                continue;
            }
            seen.push(name.clone());
            let broken = self.broken(&rule["rule"], &name, column);
            match step["on_violation"].as_str().unwrap() {
                "set_null" => {
                    for row in self.rows.iter_mut().filter(|row| broken.contains(&row.id)) {
                        if !row.cells[column].is_null() {
                            row.set(column, Cell::Null, id, 1.0, "deterministic");
                        }
                    }
                }
                "quarantine" => {
                    let reason = format!("{id}: {name}");
                    let lost = broken
                        .iter()
                        .map(|row| (*row, COLUMNS[column].to_owned(), reason.clone()));
                    self.quarantine.extend(lost);
                    self.rows.retain(|row| !broken.contains(&row.id));
                }
                _ => {}
            }
        }
    }

    /// Rows that break a rule.
    fn broken(&self, rule: &Value, name: &str, column: usize) -> std::collections::HashSet<u64> {
        let mut first = HashMap::new();
        let mut breaks = |row: &Row| {
            let cell = &row.cells[column];
            // Before types are read a number is still text, and what is no number breaks a range.
            let number = match cell {
                Cell::Text(text) if ["range", "non_negative"].contains(&name) => {
                    Some(parse_float(text).map_or(f64::NEG_INFINITY, |parsed| parsed.value))
                }
                cell => cell.number(),
            };
            match name {
                "range" => number.is_some_and(|number| !(0.0..=500.0).contains(&number)),
                "not_null" => cell.is_null(),
                "non_negative" => number.is_some_and(|number| number < 0.0),
                "one_of" => {
                    matches!(cell, Cell::Text(text) if text != "active" && text != "inactive")
                }
                "length" => {
                    matches!(cell, Cell::Text(text) if !(2..=4).contains(&text.chars().count()))
                }
                "expression" => match (cell, &row.cells[place("qty")]) {
                    (Cell::Text(price), Cell::Text(qty)) => price < qty,
                    (price, qty) => match (price.number(), qty.number()) {
                        (Some(price), Some(qty)) => price < qty,
                        _ => false,
                    },
                },
                "unique" => match cell {
                    Cell::Null => false,
                    cell => *first.entry(cell.text()).or_insert(row.id) != row.id,
                },
                other => panic!("{other} of {rule}"),
            }
        };
        self.rows
            .iter()
            .filter(|row| breaks(row))
            .map(|row| row.id)
            .collect()
    }

    fn numbers(&self, column: usize) -> Vec<f64> {
        self.rows
            .iter()
            .filter_map(|row| row.cells[column].number())
            .collect()
    }

    fn outliers(&mut self, step: &Value, id: &str) -> Result<(), Refused> {
        if !self.typed {
            return Err(Refused);
        }
        let column = places(&step["columns"])[0];
        let threshold = step["threshold"].as_f64().unwrap();
        let mut values = self.numbers(column);
        if values.is_empty() {
            return Ok(());
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (values.len().max(2) - 1) as f64).sqrt();
        values.sort_by(f64::total_cmp);
        let median = quantile(&values, 0.5);
        let (centre, reach) = match step["method"].as_str().unwrap() {
            "iqr" => {
                let (low, high) = (quantile(&values, 0.25), quantile(&values, 0.75));
                (low + (high - low) / 2.0, (high - low) * (0.5 + threshold))
            }
            "mad" => (
                median,
                threshold * median_distance(&values, median) / 0.6745,
            ),
            _ => (mean, threshold * deviation),
        };
        if reach <= 0.0 {
            return Ok(());
        }
        let action = step["action"].as_str().unwrap();
        for row in &mut self.rows {
            let Some(number) = row.cells[column].number() else {
                continue;
            };
            let (low, high) = (centre - reach, centre + reach);
            if (low..=high).contains(&number) || action == "flag" {
                continue;
            }
            let confidence = (1.0 - 0.5 * reach / (number - centre).abs()) as f32;
            let cell = match (&row.cells[column], action) {
                (_, "set_null") => Cell::Null,
                (Cell::Int(_), _) if number < low => Cell::Int(low.ceil() as i64),
                (Cell::Int(_), _) => Cell::Int(high.floor() as i64),
                _ => Cell::Float(number.clamp(low, high)),
            };
            row.set(column, cell, id, confidence, "deterministic");
        }
        Ok(())
    }

    fn dedupe(&mut self, step: &Value) {
        let mut columns = places(&step["columns"]);
        if self.excluded && step["columns"] == "*" {
            columns.retain(|column| *column != 0);
        }
        let mut groups: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for row in &self.rows {
            let key: Vec<Option<String>> = columns
                .iter()
                .map(|column| row.cells[*column].text())
                .collect();
            groups.entry(format!("{key:?}")).or_default().push(row.id);
        }
        let missing: HashMap<u64, usize> = self
            .rows
            .iter()
            .map(|row| {
                (
                    row.id,
                    row.cells.iter().filter(|cell| cell.is_null()).count(),
                )
            })
            .collect();
        for group in groups.into_values() {
            let survivor = match step["keep"].as_str().unwrap() {
                "first" => group[0],
                "last" => *group.last().unwrap(),
                _ => *group
                    .iter()
                    .min_by_key(|row| (missing[row], **row))
                    .unwrap(),
            };
            self.removed.extend(
                group
                    .iter()
                    .filter(|row| **row != survivor)
                    .map(|row| (*row, survivor)),
            );
        }
        let gone: std::collections::HashSet<u64> =
            self.removed.iter().map(|(row, _)| *row).collect();
        self.rows.retain(|row| !gone.contains(&row.id));
    }

    fn impute(&mut self, step: &Value, id: &str) -> Result<(), Refused> {
        let strategy = step["strategy"].as_str().unwrap();
        if !self.typed && strategy != "mode" {
            // Before types are read there is nothing to count with; a constant is text then.
            if strategy != "constant" {
                return Err(Refused);
            }
        }
        for column in places(&step["columns"]) {
            if strategy == "constant" {
                let cell = if self.typed {
                    Cell::Int(9)
                } else {
                    Cell::Text("9".to_owned())
                };
                for row in self
                    .rows
                    .iter_mut()
                    .filter(|row| row.cells[column].is_null())
                {
                    row.set(column, cell.clone(), id, 1.0, "deterministic_impute");
                }
                continue;
            }
            let by = if step["by"].is_array() {
                places(&step["by"])
            } else {
                Vec::new()
            };
            let key = |row: &Row| by.iter().map(|c| row.cells[*c].text()).collect::<Vec<_>>();
            let mut groups: HashMap<Vec<Option<String>>, Vec<Cell>> = HashMap::new();
            let mut all = Vec::new();
            for row in self.rows.iter().filter(|row| !row.cells[column].is_null()) {
                groups
                    .entry(key(row))
                    .or_default()
                    .push(row.cells[column].clone());
                all.push(row.cells[column].clone());
            }
            let figures: HashMap<_, _> = groups
                .into_iter()
                .filter_map(|(key, cells)| Some((key, figure(strategy, &cells)?)))
                .collect();
            let overall = figure(strategy, &all);
            for row in self
                .rows
                .iter_mut()
                .filter(|row| row.cells[column].is_null())
            {
                let own = figures.get(&key(row)).or(overall.as_ref());
                if let Some((cell, confidence)) = own.cloned() {
                    row.set(column, cell, id, confidence, "deterministic_impute");
                }
            }
        }
        Ok(())
    }

    fn pii(&mut self, step: &Value, id: &str) {
        if step["strategy"] == "exclude" {
            self.excluded = true;
            return;
        }
        self.hidden = true;
        for row in &mut self.rows {
            if let Cell::Text(text) = &row.cells[0]
                && !text.is_empty()
                && text != "<PERSON>"
            {
                row.set(
                    0,
                    Cell::Text("<PERSON>".to_owned()),
                    id,
                    1.0,
                    "deterministic",
                );
            }
        }
    }

    fn outcome(mut self) -> Outcome {
        let first = usize::from(self.excluded);
        let mut provenance = Vec::new();
        for row in &self.rows {
            for (column, name) in COLUMNS.iter().enumerate().skip(first) {
                let cleaned = row.cells[column].text();
                let Some(story) = &row.stories[column] else {
                    continue;
                };
                if story.original == cleaned {
                    continue;
                }
                let hide = self.hidden && column == 0;
                let original = story.original.clone();
                provenance.push(vec![
                    Some(row.id.to_string()),
                    Some((*name).to_owned()),
                    if hide {
                        original.map(|_| "<PERSON>".to_owned())
                    } else {
                        original
                    },
                    cleaned,
                    Some(story.last.clone()),
                    Some(round(story.confidence)),
                    Some(story.source.to_owned()),
                ]);
            }
        }
        sort_by_cell(&mut provenance);
        self.removed.sort_unstable();
        self.quarantine.sort();
        let data = self
            .rows
            .iter()
            .map(|row| row.cells[first..].iter().map(Cell::text).collect());
        Outcome::Tables {
            data: data.collect(),
            provenance,
            removed: self
                .removed
                .iter()
                .map(|(row, survivor)| vec![Some(row.to_string()), Some(survivor.to_string())])
                .collect(),
            quarantine: self
                .quarantine
                .into_iter()
                .map(|(row, column, reason)| {
                    vec![Some(row.to_string()), Some(column), Some(reason)]
                })
                .collect(),
        }
    }
}

/// What stands for the cells, and how sure it is.
fn figure(strategy: &str, cells: &[Cell]) -> Option<(Cell, f32)> {
    if cells.is_empty() {
        return None;
    }
    if strategy == "mode" {
        return Some(mode(cells));
    }
    let mut values: Vec<f64> = cells.iter().filter_map(Cell::number).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (values.len().max(2) - 1) as f64).sqrt();
    values.sort_by(f64::total_cmp);
    let median = quantile(&values, 0.5);
    let whole = matches!(cells[0], Cell::Int(_));
    let round_even = |value: f64| {
        if whole {
            value.round_ties_even()
        } else {
            value
        }
    };
    let (value, spread) = match strategy {
        "median" => {
            let value = round_even(median);
            (value, median_distance(&values, value))
        }
        _ => (round_even(mean), deviation),
    };
    let range = values[values.len() - 1] - values[0];
    let doubt = if range > 0.0 {
        spread / (range / 2.0)
    } else {
        0.0
    };
    let cell = if whole {
        Cell::Int(value as i64)
    } else {
        Cell::Float(value)
    };
    Some((cell, (1.0 - doubt).clamp(0.05, 0.95) as f32))
}

/// The most frequent cell; the smallest of equally frequent ones.
fn mode(cells: &[Cell]) -> (Cell, f32) {
    let count = |cell: &Cell| cells.iter().filter(|other| *other == cell).count();
    let smaller = |left: &Cell, right: &Cell| match (left, right) {
        (Cell::Text(left), Cell::Text(right)) => left < right,
        _ => left.number() < right.number(),
    };
    let mut distinct: Vec<&Cell> = Vec::new();
    for cell in cells {
        if !distinct.contains(&cell) {
            distinct.push(cell);
        }
    }
    let mut best = (distinct[0], count(distinct[0]));
    for cell in &distinct[1..] {
        let times = count(cell);
        if times > best.1 || (times == best.1 && smaller(cell, best.0)) {
            best = (cell, times);
        }
    }
    (
        best.0.clone(),
        (best.1 as f64 / cells.len() as f64).min(0.95) as f32,
    )
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}

fn median_distance(values: &[f64], centre: f64) -> f64 {
    let mut distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    distances.sort_by(f64::total_cmp);
    quantile(&distances, 0.5)
}
