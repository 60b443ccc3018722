//! Compression, encodings, JSON, Parquet, and several files at once.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::DataType;
use parquet::arrow::ArrowWriter;
use planner_source::{LineUnit, Source, SourceErrorKind, SourceOptions};
use planner_storage::{LocationPolicy, Place};

use super::{Row, discover, read};

fn row(cells: &[Option<&str>]) -> Row {
    cells.iter().map(|c| c.map(str::to_owned)).collect()
}

fn compressed(by: &str, text: &[u8]) -> Vec<u8> {
    match by {
        "gz" => {
            // Two members, as parallel compressors write them.
            let mut all = Vec::new();
            for half in text.chunks(text.len().div_ceil(2)) {
                let mut out =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(half).unwrap();
                all.extend(out.finish().unwrap());
            }
            all
        }
        "zst" => zstd::stream::encode_all(text, 1).unwrap(),
        "bz2" => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        _ => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
    }
}

/// Shows: compressed files read as the plain one, from stage files only their owner may read; a
/// truncated one is refused.
#[test]
fn compressed_files_read_as_plain_ones() {
    let dir = tempfile::tempdir().unwrap();
    let text = "a,b\n1,x\n2,\"y\nz\"\n".repeat(1_000);
    fs::write(dir.path().join("t.csv"), &text).unwrap();
    let options = SourceOptions::default();
    let plain = read(&discover(dir.path(), &["t.csv"], &options).unwrap(), 8192).unwrap();
    for by in ["gz", "zst", "bz2", "xz"] {
        let name = format!("t.csv.{by}");
        let bytes = compressed(by, text.as_bytes());
        fs::write(dir.path().join(&name), &bytes).unwrap();
        let staging = dir.path().join("staging");
        let locations = [name.clone()];
        let source = Source::discover(
            &locations,
            &LocationPolicy::everything(dir.path()),
            &options,
            &Place::own(&staging),
        )
        .unwrap();
        assert_eq!(read(&source, 8192).unwrap(), plain, "{by}");
        for staged in fs::read_dir(&staging).unwrap() {
            assert_eq!(
                staged.unwrap().metadata().unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        fs::write(dir.path().join(&name), &bytes[..bytes.len() - 9]).unwrap();
        let error = discover(dir.path(), &[&name], &options).unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Unreadable, "{error}");
    }
}

/// Shows: texts in other encodings are read as what they mean, told or not; few broken characters
/// in UTF-8 spoil only their rows.
#[test]
fn encodings_are_told_or_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let text = "name,city\nJosé,Köln\nZoë,Genève\n";
    let utf_16 =
        |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let late = [
        b"name,city\n".to_vec(),
        b"plain,ascii\n".repeat(200_000),
        latin[10..].to_vec(),
    ]
    .concat();
    let cases: [(&str, Vec<u8>, Option<&str>); 6] = [
        ("utf-8", text.as_bytes().to_vec(), None),
        ("latin-1", latin.clone(), None),
        ("latin-1 told", latin, Some("latin1")),
        ("latin-1 far from the head", late, None),
        ("utf-16le", utf_16(u16::to_le_bytes), None),
        (
            "utf-16be with mark",
            [vec![0xfe, 0xff], utf_16(u16::to_be_bytes)].concat(),
            None,
        ),
    ];
    for (name, bytes, encoding) in cases {
        fs::write(dir.path().join("t.csv"), bytes).unwrap();
        let options = SourceOptions {
            encoding: encoding.map(str::to_owned),
            ..SourceOptions::default()
        };
        let table = read(&discover(dir.path(), &["t.csv"], &options).unwrap(), 8192).unwrap();
        assert_eq!(table.columns, ["name", "city"], "{name}");
        let tail = &table.rows[table.rows.len() - 2..];
        assert_eq!(tail[0], row(&[Some("José"), Some("Köln")]), "{name}");
        assert_eq!(tail[1], row(&[Some("Zoë"), Some("Genève")]), "{name}");
    }
    let mostly = [text.repeat(10).into_bytes(), b"Jos\xe9,x\n".to_vec()].concat();
    fs::write(dir.path().join("t.csv"), mostly).unwrap();
    let source = discover(dir.path(), &["t.csv"], &SourceOptions::default()).unwrap();
    let table = read(&source, 8192).unwrap();
    assert_eq!(table.bad.len(), 1);
    assert_eq!(table.bad[0].3, "not valid UTF-8");
}

/// Shows: JSON values keep every digit, nested ones stay JSON, and what is no object is quarantined,
/// in lines and in an array alike.
#[test]
fn json_keeps_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let objects = [
        r#"{"a": 1.50, "b": "x\n\u00e9\ud83d\ude00"}"#,
        r#"{"b": null, "c": {"d": [1, 2, {"e": " "}]}}"#,
        "5",
        r#"{"a": 123456789012345678901234567890, "a": true}"#,
    ];
    let expected = [
        row(&[Some("1.50"), Some("x\né😀"), None]),
        row(&[None, None, Some(r#"{"d":[1,2,{"e":" "}]}"#)]),
        row(&[None, None, None]),
        row(&[Some("true"), None, None]),
    ];
    let spread = objects.join("\n,\n").replace("\": ", "\" :\n ");
    fs::write(dir.path().join("t.jsonl"), objects.join("\n")).unwrap();
    fs::write(
        dir.path().join("t.json"),
        format!("\u{feff}[\n{spread}\n]\n"),
    )
    .unwrap();
    for (name, unit) in [("t.jsonl", LineUnit::Line), ("t.json", LineUnit::Element)] {
        let mut source = discover(dir.path(), &[name], &SourceOptions::default()).unwrap();
        assert_eq!(source.files[0].line_unit, unit);
        assert!(
            source.notes.iter().any(|n| n.contains("twice")),
            "{:?}",
            source.notes
        );
        for split in [1, 100] {
            source.rows_per_split = split;
            let table = read(&source, 2).unwrap();
            assert_eq!(table.columns, ["a", "b", "c"]);
            assert_eq!(table.rows, expected, "{name}");
            let bad: Vec<(u64, u64)> = table.bad.iter().map(|b| (b.0, b.2)).collect();
            assert_eq!(bad, [(2, 3)], "{name}");
        }
    }
    fs::write(dir.path().join("t.json"), "[{\"a\": 1},\n{\"a\": 2").unwrap();
    let error = discover(dir.path(), &["t.json"], &SourceOptions::default()).unwrap_err();
    assert!(error.to_string().contains("t.json:2"), "{error}");
}

/// Shows: files of several formats make one table by the names of their columns, and a column of
/// two types is read as text.
#[test]
fn files_are_united_by_column_names() {
    let dir = tempfile::tempdir().unwrap();
    let batch = RecordBatch::try_from_iter([
        (
            "id",
            Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef,
        ),
        (
            "big",
            Arc::new(UInt64Array::from(vec![u64::MAX, 0])) as ArrayRef,
        ),
        (
            "name",
            Arc::new(StringArray::from(vec!["x", "a name of many letters"])) as ArrayRef,
        ),
    ])
    .unwrap();
    let file = File::create(dir.path().join("1.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    fs::write(dir.path().join("2.csv"), "name,id,more\nz,7,m\n").unwrap();
    fs::write(dir.path().join("3.csv"), "").unwrap();
    fs::write(dir.path().join("_hidden.csv"), "x\n1\n").unwrap();
    let source = discover(dir.path(), &["."], &SourceOptions::default()).unwrap();
    let types: Vec<&DataType> = source.columns.iter().map(|c| &c.data_type).collect();
    assert_eq!(
        types,
        [
            &DataType::Utf8View,
            &DataType::Decimal128(20, 0),
            &DataType::Utf8View,
            &DataType::Utf8View
        ]
    );
    let table = read(&source, 8192).unwrap();
    assert_eq!(table.columns, ["id", "big", "name", "more"]);
    let max = u64::MAX.to_string();
    assert_eq!(
        table.rows,
        [
            row(&[Some("1"), Some(&max), Some("x"), None]),
            row(&[None, Some("0"), Some("a name of many letters"), None]),
            row(&[Some("7"), None, Some("z"), Some("m")]),
        ]
    );
    assert_eq!(table.places, [(0, 1), (0, 2), (1, 2)]);
}

/// Shows: rows of a Parquet file with several row groups are the same in any cut.
#[test]
fn parquet_is_cut_by_rows() {
    let dir = tempfile::tempdir().unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
    let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(130))
        .build();
    let file = File::create(dir.path().join("t.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut source = discover(dir.path(), &["t.parquet"], &SourceOptions::default()).unwrap();
    for (split, batch) in [(1_000_000, 8_192), (256, 64), (77, 50)] {
        source.rows_per_split = split;
        let table = read(&source, batch).unwrap();
        for (at, row) in table.rows.iter().enumerate() {
            assert_eq!(row[0].as_deref(), Some(at.to_string().as_str()));
            assert_eq!(table.places[at].1, at as u64 + 1);
        }
    }
}
