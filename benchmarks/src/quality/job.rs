//! Running a job on a table and getting the cleaned rows back, each at its place.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use benchmarks_generator::quoted;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::csv_table::CsvTable;
use crate::measure::{Usage, run_measured};
use crate::workspace::{BENCHMARK_SALT, remove_folder};

/// A job on one CSV file.
#[derive(Clone, Debug, Default)]
pub struct QualityJob {
    /// The columns that stay text, whatever they look like.
    pub text_columns: Vec<String>,
    /// The spellings of a missing value; the usual ones when left out.
    pub missing_values: Option<Vec<String>>,
    /// The steps, each in YAML on one line.
    pub steps: Vec<String>,
}

impl QualityJob {
    /// The job spec in YAML.
    pub fn to_yaml(&self, source: &Path, output: &Path) -> String {
        let mut lines = vec![
            "version: 1".to_owned(),
            format!(
                "source: {{location: {}, format: csv}}",
                quoted(&source.to_string_lossy())
            ),
        ];
        if !self.text_columns.is_empty() || self.missing_values.is_some() {
            lines.push("dataset:".to_owned());
        }
        if let Some(missing) = &self.missing_values {
            lines.push(format!("  missing_values: {}", list(missing)));
        }
        if !self.text_columns.is_empty() {
            lines.push("  columns:".to_owned());
        }
        for column in &self.text_columns {
            lines.push(format!("    - {{name: {}, type: string}}", quoted(column)));
        }
        lines.push("steps:".to_owned());
        lines.extend(self.steps.iter().map(|step| format!("  - {step}")));
        lines.push(format!(
            "output: {{location: {}, format: csv}}",
            quoted(&output.to_string_lossy())
        ));
        lines.join("\n") + "\n"
    }

    /// Cleans the table in `source` with `sanitizer` into a fresh folder below `folder`; returns that and what it took.
    pub(crate) fn write_output(
        &self,
        sanitizer: &Path,
        source: &Path,
        folder: &Path,
    ) -> Result<(PathBuf, Usage)> {
        let output = folder.join("out");
        remove_folder(&output)?;
        let spec = folder.join("job.yaml");
        std::fs::write(&spec, self.to_yaml(source, &output))
            .with_context(|| format!("cannot write {}", spec.display()))?;
        let mut command = Command::new(sanitizer);
        command
            .arg("run")
            .arg(&spec)
            .arg("--output")
            .arg(&output)
            .arg("--json");
        command.env("SANITIZER_SALT", BENCHMARK_SALT);
        let (usage, _) = run_measured(&mut command, folder)
            .with_context(|| format!("cleaning {}", source.display()))?;
        Ok((output, usage))
    }

    /// Cleans the table in `source` with `sanitizer` and returns a row for every row of the source: `None` where it
    /// was removed or set aside.
    pub fn run(
        &self,
        sanitizer: &Path,
        source: &Path,
        source_rows: usize,
        folder: &Path,
    ) -> Result<Vec<Option<Vec<String>>>> {
        let (output, _) = self.write_output(sanitizer, source, folder)?;
        let mut gone = row_ids(&output.join("removed"))?;
        gone.extend(row_ids(&output.join("quarantine"))?);
        let mut cleaned = Vec::new();
        for part in parts(&output.join("data"), "csv")? {
            cleaned.extend(CsvTable::read(&part)?.rows);
        }
        ensure!(
            cleaned.len() + gone.len() == source_rows,
            "{}: {source_rows} rows went in, {} are clean and {} removed or set aside",
            source.display(),
            cleaned.len(),
            gone.len()
        );
        let mut cleaned = cleaned.into_iter();
        Ok((0..source_rows as u64)
            .map(|row| {
                if gone.contains(&row) {
                    None
                } else {
                    cleaned.next()
                }
            })
            .collect())
    }
}

/// Texts as a YAML list on one line.
pub(super) fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// The files of a folder with this extension by name; none where there is no folder.
fn parts(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut parts = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry
            .with_context(|| format!("cannot read {}", folder.display()))?
            .path();
        if path.extension().is_some_and(|found| found == extension) {
            parts.push(path);
        }
    }
    parts.sort();
    Ok(parts)
}

/// The rows of these columns of all Parquet files of a folder, as numbers that are not negative; none where there is no
/// folder. Rows without one of the numbers are left out.
pub(crate) fn number_columns<const N: usize>(
    folder: &Path,
    names: [&str; N],
) -> Result<Vec<[u64; N]>> {
    let mut rows = Vec::new();
    for part in parts(folder, "parquet")? {
        let file = File::open(&part).with_context(|| format!("cannot open {}", part.display()))?;
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
        for batch in reader.with_context(|| format!("cannot read {}", part.display()))? {
            let batch = batch.with_context(|| format!("cannot read {}", part.display()))?;
            let mut columns = Vec::with_capacity(N);
            for name in names {
                let Some(column) = batch.column_by_name(name) else {
                    bail!("{} has no column {name}", part.display());
                };
                let column = cast(column, &DataType::UInt64)
                    .with_context(|| format!("{name} is no number"))?;
                columns.push(column.as_primitive::<UInt64Type>().clone());
            }
            let whole = |row: &usize| columns.iter().all(|column| column.is_valid(*row));
            for row in (0..batch.num_rows()).filter(whole) {
                rows.push(std::array::from_fn(|column| columns[column].value(row)));
            }
        }
    }
    Ok(rows)
}

/// The column `row_id` of all Parquet files of a folder.
fn row_ids(folder: &Path) -> Result<HashSet<u64>> {
    let rows = number_columns(folder, ["row_id"])?;
    Ok(rows.into_iter().map(|[row_id]| row_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names with YAML's own characters stay names.
    #[test]
    fn spec_quotes_names() {
        let job = QualityJob {
            text_columns: vec!["a: \"b\"".to_owned()],
            missing_values: Some(vec![String::new(), "-".to_owned()]),
            steps: vec!["{type: normalize_text, columns: \"*\"}".to_owned()],
        };
        let yaml = job.to_yaml(Path::new("in.csv"), Path::new("out"));
        assert!(
            yaml.contains(r#"    - {name: "a: \"b\"", type: string}"#),
            "{yaml}"
        );
        assert!(yaml.contains(r#"  missing_values: ["", "-"]"#), "{yaml}");
    }
}
