//! An output folder, read back.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Fields of the documents that differ between two runs of the same job: moments and durations.
const TIMES: &[&str] = &["created_at", "generated_at", "timings", "at"];

/// The content of each file of an output by its path, without the times.
pub fn content(root: &Path) -> BTreeMap<String, String> {
    let manifest = document(&root.join("metadata.json"));
    let mut content = BTreeMap::new();
    for file in manifest["files"].as_array().unwrap() {
        let name = file["path"].as_str().unwrap();
        let bytes = std::fs::read(root.join(name)).unwrap();
        let digest = format!("{:x?}", Sha256::digest(&bytes).as_slice());
        let listed: String = file["sha256"].as_str().unwrap().to_owned();
        let hex: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(listed, hex, "{name}: the manifest tells the truth");
        assert_eq!(
            file["bytes"].as_u64().unwrap(),
            bytes.len() as u64,
            "{name}"
        );
        let stable = match name {
            "report.json" | "audit.json" => without_times(document(&root.join(name))).to_string(),
            // The page shows the time of the run; its data is that of the report.
            "report.html" => continue,
            _ => digest,
        };
        content.insert(name.to_owned(), stable);
    }
    let mut rest = without_times(manifest);
    rest.as_object_mut().unwrap().remove("files");
    content.insert("metadata.json".to_owned(), rest.to_string());
    content
}

/// A JSON document.
pub fn document(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn without_times(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMES.contains(&name.as_str()));
            for field in fields.values_mut() {
                *field = without_times(field.take());
            }
        }
        Value::Array(list) => {
            for element in list.iter_mut() {
                *element = without_times(element.take());
            }
        }
        _ => {}
    }
    value
}

/// The rows of a table of an output, each cell as text.
pub fn rows(root: &Path, table: &str) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    for path in super::sandbox::files_under(&root.join(table)) {
        let file = std::fs::File::open(path).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap()
        {
            rows.extend(texts(&batch.unwrap()));
        }
    }
    rows
}

fn texts(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| cast(column, &DataType::Utf8).unwrap())
        .collect();
    let cell = |column: &arrow::array::ArrayRef, row: usize| {
        let text = column.as_string::<i32>();
        text.is_valid(row).then(|| text.value(row).to_owned())
    };
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| cell(column, row)).collect())
        .collect()
}
