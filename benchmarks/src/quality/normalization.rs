//! Normalising single cells whose right value somebody else has written down.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use benchmarks_generator::quoted;
use serde_json::Value;

use super::job::QualityJob;
use super::same_value;
use crate::csv_table::CsvTable;

/// Cells of one kind with their right values.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// What they are called in the results.
    pub name: &'static str,
    kind: &'static str,
    cases: Vec<Case>,
}

#[derive(Clone, Debug, PartialEq)]
struct Case {
    cell: String,
    /// Any of these is right.
    expected: Vec<String>,
    /// Of phone numbers: the country they are written in.
    region: Option<String>,
}

/// What came out for the cells of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NormalizationScore {
    /// All cells.
    pub cells: usize,
    /// Those that got their right value.
    pub right: usize,
    /// Those that got another value.
    pub wrong: usize,
    /// Those that could not be read and became null.
    pub unread: usize,
}

impl Normalization {
    /// Normalises the cells in one job: a column and a step for each region, or one for all.
    pub fn score(&self, sanitizer: &Path, folder: &Path) -> Result<NormalizationScore> {
        let mut columns: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        for case in &self.cases {
            columns
                .entry(case.region.as_deref().unwrap_or(""))
                .or_default()
                .push(case);
        }
        let names: Vec<_> = columns
            .keys()
            .map(|region| format!("cell{region}"))
            .collect();
        let rows = columns.values().map(Vec::len).max().unwrap_or(0);
        let table = CsvTable {
            header: names.clone(),
            rows: (0..rows)
                .map(|row| {
                    columns
                        .values()
                        .map(|cases| cases.get(row).map_or("", |case| &case.cell).to_owned())
                        .collect()
                })
                .collect(),
        };
        let source = folder.join("cells.csv");
        table.write(&source)?;
        let step = |(name, region): (&String, &&str)| {
            let region = if region.is_empty() {
                String::new()
            } else {
                format!(", region: {}", quoted(region))
            };
            format!(
                "{{type: normalize, kind: {}, columns: [{}]{region}}}",
                self.kind,
                quoted(name)
            )
        };
        let job = QualityJob {
            text_columns: names.clone(),
            missing_values: None,
            steps: names.iter().zip(columns.keys()).map(step).collect(),
        };
        let cleaned = job.run(sanitizer, &source, rows, folder)?;
        let mut score = NormalizationScore {
            cells: self.cases.len(),
            ..NormalizationScore::default()
        };
        for (column, cases) in columns.values().enumerate() {
            for (case, row) in cases.iter().zip(&cleaned) {
                let cell = row
                    .as_ref()
                    .and_then(|row| row.get(column))
                    .map_or("", String::as_str);
                if cell.is_empty() {
                    score.unread += 1;
                } else if case
                    .expected
                    .iter()
                    .any(|expected| same_value(expected, cell))
                {
                    score.right += 1;
                } else {
                    score.wrong += 1;
                }
            }
        }
        Ok(score)
    }
}

/// The example numbers of libphonenumber: as dialled within their country, and with the country code.
pub fn phones(data: &Path) -> Result<Option<[Normalization; 2]>> {
    let path = data.join("norm_libphonenumber/example_numbers.csv");
    if !path.is_file() {
        return Ok(None);
    }
    let (mut national, mut international) = (Vec::new(), Vec::new());
    for row in CsvTable::read(&path)?.rows {
        let [region, code, _, number, _, e164] = row.as_slice() else {
            continue;
        };
        // 001 stands for numbers of no country.
        if region.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let region = Some(region.clone());
            national.push(Case {
                cell: number.clone(),
                expected: vec![e164.clone()],
                region,
            });
        }
        let cell = format!("+{code} {number}");
        international.push(Case {
            cell,
            expected: vec![e164.clone()],
            region: Some("US".to_owned()),
        });
    }
    Ok(Some([
        Normalization {
            name: "phones as written in their country",
            kind: "phone",
            cases: national,
        },
        Normalization {
            name: "phones with country code",
            kind: "phone",
            cases: international,
        },
    ]))
}

/// One expression that a recogniser found in a sentence, and its value.
struct Recognized {
    text: String,
    result: Value,
}

/// The cases of a file of Recognizers-Text in which one expression was found; nothing where the file is missing.
fn recognized(data: &Path, file: &str) -> Result<Option<Vec<Recognized>>> {
    let path = data.join("norm_recognizers_text").join(file);
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let cases: Vec<Value> = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .with_context(|| format!("{} is no JSON", path.display()))?;
    let single = |case: &Value| match case.get("Results")?.as_array()?.as_slice() {
        [result] => Some(Recognized {
            text: result.get("Text")?.as_str()?.to_owned(),
            result: result.clone(),
        }),
        _ => None,
    };
    Ok(Some(cases.iter().filter_map(single).collect()))
}

fn case(cell: &str, expected: Vec<String>) -> Case {
    Case {
        cell: cell.to_owned(),
        expected,
        region: None,
    }
}

/// English dates that name their day, month and year, and all that mean one day (`today`, `next Friday`): the latter
/// need the day on which they were said, which a cell does not tell.
pub fn dates(data: &Path) -> Result<Option<[Normalization; 2]>> {
    let Some(found) = recognized(data, "DateTime/English/DateParser.json")? else {
        return Ok(None);
    };
    let (mut full, mut any) = (Vec::new(), Vec::new());
    for expression in &found {
        let value = &expression.result["Value"];
        let (Some(day), Some(past)) = (
            value["FutureResolution"]["date"].as_str(),
            value["PastResolution"]["date"].as_str(),
        ) else {
            continue;
        };
        // 0001-01-01 stands for days that do not exist.
        if day != past || day.starts_with("0001") {
            continue;
        }
        let case = case(&expression.text, vec![day.to_owned()]);
        if day
            .get(..4)
            .is_some_and(|year| expression.text.contains(year))
        {
            full.push(case.clone());
        }
        any.push(case);
    }
    Ok(Some([
        Normalization {
            name: "dates with their year",
            kind: "date",
            cases: full,
        },
        Normalization {
            name: "all expressions for one day",
            kind: "date",
            cases: any,
        },
    ]))
}

/// English numbers: those written in digits, those in any way, and percentages, of which both the number before the
/// sign and its hundredth count as right.
pub fn numbers(data: &Path) -> Result<Option<[Normalization; 3]>> {
    let Some(found) = recognized(data, "Number/English/NumberModel.json")? else {
        return Ok(None);
    };
    let (mut digits, mut any, mut percentages) = (Vec::new(), Vec::new(), Vec::new());
    for expression in &found {
        let Some(value) = expression.result["Resolution"]["value"].as_str() else {
            continue;
        };
        let case = case(&expression.text, vec![value.to_owned()]);
        if !expression.text.chars().any(char::is_alphabetic) {
            digits.push(case.clone());
        }
        any.push(case);
    }
    for expression in recognized(data, "Number/English/PercentModel.json")?.unwrap_or_default() {
        let value = expression.result["Resolution"]["value"].as_str();
        let Some(percent) = value.and_then(|value| value.strip_suffix('%')?.parse::<f64>().ok())
        else {
            continue;
        };
        percentages.push(case(
            &expression.text,
            vec![percent.to_string(), (percent / 100.0).to_string()],
        ));
    }
    Ok(Some([
        Normalization {
            name: "numbers in digits",
            kind: "number",
            cases: digits,
        },
        Normalization {
            name: "numbers in digits or words",
            kind: "number",
            cases: any,
        },
        Normalization {
            name: "percentages",
            kind: "number",
            cases: percentages,
        },
    ]))
}

/// English answers that mean yes or no.
pub fn truth_values(data: &Path) -> Result<Option<[Normalization; 1]>> {
    let Some(found) = recognized(data, "Choice/English/BooleanModel.json")? else {
        return Ok(None);
    };
    let cases = found.iter().filter_map(|expression| {
        let value = expression.result["Resolution"]["value"].as_bool()?;
        Some(case(&expression.text, vec![value.to_string()]))
    });
    Ok(Some([Normalization {
        name: "yes or no",
        kind: "boolean",
        cases: cases.collect(),
    }]))
}
