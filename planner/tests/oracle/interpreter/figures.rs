//! Steps that count over a column: outliers and imputation.

use std::collections::HashMap;

use serde_json::Value;

use super::Refused;
use super::table::{Cell, Row, Table};

impl Table {
    pub fn outliers(&mut self, step: &Value, id: &str) -> Result<(), Refused> {
        let columns = self.places(&step["columns"], Self::is_quantity);
        if columns.iter().any(|column| !self.is_quantity(*column)) {
            return Err(Refused);
        }
        let threshold = step["threshold"].as_f64().unwrap();
        let action = step["action"].as_str().unwrap();
        for column in columns {
            let cells = self.rows.iter().map(|row| &row.cells[column]);
            let values: Vec<f64> = cells.filter_map(Cell::quantity).collect();
            let method = step["method"].as_str().unwrap();
            let Some((centre, reach)) = fences(method, threshold, &values) else {
                continue;
            };
            let (low, high) = (centre - reach, centre + reach);
            for row in &mut self.rows {
                let cell = &row.cells[column];
                let Some(number) = cell.quantity() else {
                    continue;
                };
                if (low..=high).contains(&number) || action == "flag" {
                    continue;
                }
                let confidence = (1.0 - 0.5 * reach / (number - centre).abs()) as f32;
                let cleaned = match cell {
                    _ if action == "set_null" => Cell::Null,
                    Cell::Float(_) => Cell::Float(number.clamp(low, high)),
                    // The nearest whole value inside.
                    cell if number < low => cell.like(low.ceil()),
                    cell => cell.like(high.floor()),
                };
                row.set(column, cleaned, id, confidence, "deterministic");
            }
        }
        Ok(())
    }

    pub fn impute(&mut self, step: &Value, id: &str) -> Result<(), Refused> {
        let strategy = step["strategy"].as_str().unwrap();
        let columns = self.places(&step["columns"], |table, column| {
            let fits = match strategy {
                "mode" => table.is_text(column),
                "constant" => true,
                _ => table.is_quantity(column),
            };
            fits && table.columns[column].placeholder.is_none()
        });
        let counted = ["median", "mean"].contains(&strategy);
        if counted && columns.iter().any(|column| !self.is_quantity(*column)) {
            return Err(Refused);
        }
        if strategy == "constant" {
            for column in columns {
                let cell = match &step["value"] {
                    Value::Number(number) if self.is_quantity(column) => {
                        Cell::Int(number.as_i64().unwrap())
                    }
                    Value::String(text) => Cell::Text(text.clone()),
                    number => Cell::Text(number.to_string()),
                };
                self.fill(column, id, |_| Some((cell.clone(), 1.0)));
            }
            return Ok(());
        }
        let by = match &step["by"] {
            Value::Null => Vec::new(),
            by => self.places(by, |_, _| true),
        };
        let key = |row: &Row| -> Vec<Option<String>> {
            by.iter().map(|column| row.cells[*column].text()).collect()
        };
        for column in columns {
            let mut groups: HashMap<_, Vec<Cell>> = HashMap::new();
            let mut all = Vec::new();
            for row in self.rows.iter().filter(|row| !row.cells[column].is_null()) {
                let cell = row.cells[column].clone();
                groups.entry(key(row)).or_default().push(cell.clone());
                all.push(cell);
            }
            let groups: HashMap<_, _> = groups
                .into_iter()
                .map(|(key, cells)| (key, figure(strategy, &cells)))
                .collect();
            let overall = (!all.is_empty()).then(|| figure(strategy, &all));
            // A group without any value takes what stands for all rows.
            self.fill(column, id, |row| {
                groups.get(&key(row)).or(overall.as_ref()).cloned()
            });
        }
        Ok(())
    }

    /// Fills the missing values of a column.
    fn fill(&mut self, column: usize, id: &str, value: impl Fn(&Row) -> Option<(Cell, f32)>) {
        for row in &mut self.rows {
            if row.cells[column].is_null()
                && let Some((cell, confidence)) = value(row)
            {
                row.set(column, cell, id, confidence, "deterministic_impute");
            }
        }
    }
}

/// The middle of the values, and how far from it a value may lie; none where they do not spread.
fn fences(method: &str, threshold: f64, values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    let sorted = sorted(values);
    let (centre, reach) = match method {
        "iqr" => {
            let (low, high) = (quantile(&sorted, 0.25), quantile(&sorted, 0.75));
            (low + (high - low) / 2.0, (high - low) * (0.5 + threshold))
        }
        "mad" => {
            let median = quantile(&sorted, 0.5);
            (
                median,
                threshold * median_distance(&sorted, median) / 0.6745,
            )
        }
        _ => {
            let (mean, deviation) = mean_and_deviation(values);
            (mean, threshold * deviation)
        }
    };
    (reach > 0.0).then_some((centre, reach))
}

/// What stands for the cells, and how sure it is.
fn figure(strategy: &str, cells: &[Cell]) -> (Cell, f32) {
    if strategy == "mode" {
        return mode(cells);
    }
    let values: Vec<f64> = cells.iter().filter_map(Cell::quantity).collect();
    let sorted = sorted(&values);
    let rounded = |value: f64| match cells[0] {
        Cell::Float(_) => value,
        _ => value.round_ties_even(),
    };
    let (value, spread) = match strategy {
        "median" => {
            let value = rounded(quantile(&sorted, 0.5));
            (value, median_distance(&sorted, value))
        }
        _ => {
            let (mean, deviation) = mean_and_deviation(&values);
            (rounded(mean), deviation)
        }
    };
    let range = sorted[sorted.len() - 1] - sorted[0];
    let doubt = if range > 0.0 {
        spread / (range / 2.0)
    } else {
        0.0
    };
    (cells[0].like(value), (1.0 - doubt).clamp(0.05, 0.95) as f32)
}

/// The most frequent cell; the smallest of equally frequent ones.
fn mode(cells: &[Cell]) -> (Cell, f32) {
    let count = |cell: &Cell| cells.iter().filter(|other| *other == cell).count();
    let smaller = |left: &Cell, right: &Cell| match (left, right) {
        (Cell::Text(left), Cell::Text(right)) => left < right,
        _ => left.quantity() < right.quantity(),
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
    let share = best.1 as f64 / cells.len() as f64;
    (best.0.clone(), share.min(0.95) as f32)
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (values.len().max(2) - 1) as f64).sqrt();
    (mean, deviation)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
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
    let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    quantile(&sorted(&distances), 0.5)
}
