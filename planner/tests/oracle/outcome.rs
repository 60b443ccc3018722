//! What a job leaves, read back from its output.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use planner::run::JobRun;
use planner::spec::JobSpec;

use super::job::{Job, SALT};

/// Rows of a table, each cell as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// What a job leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The spec is refused before anything is cleaned.
    Refused,
    /// The tables.
    Tables {
        /// Names of the columns of the data.
        columns: Vec<String>,
        data: Rows,
        /// By row and column: original, cleaned, transformation, confidence, source.
        provenance: Rows,
        /// Row, and the row that stays.
        removed: Rows,
        /// Row, column, reason, the row as the source has it.
        quarantine: Rows,
    },
}

impl Outcome {
    /// The same with prices to nine digits: sums in another order may differ in the last bits.
    pub fn softened(mut self) -> Self {
        if let Self::Tables {
            columns,
            data,
            provenance,
            ..
        } = &mut self
        {
            let price = columns.iter().position(|column| column == "price").unwrap();
            for row in data {
                row[price] = row[price].take().map(soft);
            }
            for row in provenance
                .iter_mut()
                .filter(|row| row[1].as_deref() == Some("price"))
            {
                row[3] = row[3].take().map(soft);
                row[2] = row[2].take().map(soft);
            }
        }
        self
    }
}

fn soft(text: String) -> String {
    match text.parse::<f64>() {
        Ok(number) => format!("{number:.8e}"),
        Err(_) => text,
    }
}

/// Runs the job with the engine.
pub fn of_engine(job: &Job) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("table.csv"), job.csv()).unwrap();
    std::fs::write(folder.path().join("salt"), SALT).unwrap();
    let spec = JobSpec::from_value(job.spec(folder.path()), "oracle").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let run = JobRun::new(spec, folder.path().to_owned());
    match runtime.block_on(run.run()) {
        Ok(finished) => read(finished.output.local().unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), planner::ErrorKind::Invalid, "{error}");
            Outcome::Refused
        }
    }
}

fn read(output: &Path) -> Outcome {
    let columns = |rows: Rows, wanted: &[usize]| -> Rows {
        rows.into_iter()
            .map(|row| wanted.iter().map(|column| row[*column].clone()).collect())
            .collect()
    };
    let (names, data) = table(output, "data");
    let rows = |name| table(output, name).1;
    let mut provenance = columns(rows("provenance"), &[1, 2, 3, 4, 5, 6, 7]);
    sort_by_cell(&mut provenance);
    for row in &mut provenance {
        row[5] = row[5].as_ref().map(|score| round(score.parse().unwrap()));
    }
    Outcome::Tables {
        columns: names,
        data,
        provenance,
        removed: columns(rows("removed"), &[1, 4]),
        quarantine: columns(rows("quarantine"), &[3, 4, 5, 6]),
    }
}

/// Orders provenance by row, then column.
pub fn sort_by_cell(rows: &mut Rows) {
    rows.sort_by_key(|row| {
        (
            row[0].as_ref().unwrap().parse::<u64>().unwrap(),
            row[1].clone(),
        )
    });
}

/// A confidence to five digits: sums in another order may differ in the last bits.
pub fn round(confidence: f32) -> String {
    format!("{confidence:.5}")
}

/// The columns and the rows of a table of the output.
fn table(output: &Path, name: &str) -> (Vec<String>, Rows) {
    let (mut names, mut rows) = (Vec::new(), Vec::new());
    let mut paths: Vec<_> = std::fs::read_dir(output.join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let file = std::fs::File::open(path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let fields = reader.schema().fields().iter();
        names = fields.map(|field| field.name().clone()).collect();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| cast(column, &DataType::Utf8).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                let cells = columns.iter().map(|column| {
                    let text = column.as_string::<i32>();
                    text.is_valid(row).then(|| text.value(row).to_owned())
                });
                rows.push(cells.collect());
            }
        }
    }
    (names, rows)
}
