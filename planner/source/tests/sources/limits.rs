//! Bounds of what files hold: small files from strangers cost little, and rows beyond a bound are set aside.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use planner_source::{ContentLimits, SourceError, SourceOptions};

use super::{Table, discover, read};

fn strict() -> SourceOptions {
    SourceOptions {
        limits: ContentLimits::STRICT,
        ..SourceOptions::default()
    }
}

/// Reads a file with the bounds for strangers, in a time that a debug build keeps too.
fn strictly(dir: &Path, name: &str) -> Result<Table, SourceError> {
    let begun = Instant::now();
    let table = discover(dir, &[name], &strict()).and_then(|source| read(&source, 8192));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(600), "{name}: {took:?}");
    table
}

fn gzipped(parts: &[(&[u8], usize)]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for (part, times) in parts {
        for _ in 0..*times {
            out.write_all(part).unwrap();
        }
    }
    out.finish().unwrap()
}

/// Shows: a cell that is too long takes its row out, with a reason, in every format; the other rows are read.
#[test]
fn m3_long_cells_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat((1 << 20) + 1);
    let fits = "y".repeat(1 << 20);
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "a.csv",
        &format!("a,b\n1,{long}\n2,{fits}\n3,\"{long}\"\n4,z\n"),
    );
    write(
        "a.jsonl",
        &format!(
            "{{\"a\":1,\"b\":\"{long}\"}}\n{{\"a\":2,\"b\":\"y\"}}\n{{\"a\":3,\"b\":[\"{long}\"]}}\n{{\"a\":4}}\n"
        ),
    );
    let columns: [(&str, ArrayRef); 2] = [
        ("a", Arc::new(StringArray::from(vec!["1", "2", "3", "4"]))),
        (
            "b",
            Arc::new(StringArray::from(vec![&*long, "y", &*long, "z"])),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(dir.path().join("a.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    for name in ["a.csv", "a.jsonl", "a.parquet"] {
        let table = strictly(dir.path(), name).unwrap();
        let bad: Vec<u64> = table.bad.iter().map(|bad| bad.0).collect();
        assert_eq!(bad, [0, 2], "{name}");
        assert!(
            table.bad[0].3.contains("at most 1048576 are allowed"),
            "{:?}",
            table.bad[0].3
        );
        assert_eq!(table.rows[1][0].as_deref(), Some("2"), "{name}");
        // Whoever cleans files of their own has no such bound.
        let source = discover(dir.path(), &[name], &SourceOptions::default()).unwrap();
        assert!(read(&source, 8192).unwrap().bad.is_empty(), "{name}");
    }
}

/// Shows: files that unfold to many times their size, or to one record without end, are refused as they unfold.
#[test]
fn m3_unfolding_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let block = [b'x'; 1 << 20];
    // 100 MB in one cell: within the ratio's free part it is a record that is too long.
    std::fs::write(
        path("cell.csv.gz"),
        gzipped(&[(b"a,b\n1,", 1), (&block[..], 60)]),
    )
    .unwrap();
    let refused = strictly(dir.path(), "cell.csv.gz").unwrap_err().to_string();
    assert!(refused.contains("a record of more than 32MiB"), "{refused}");
    std::fs::write(
        path("rows.csv.gz"),
        gzipped(&[(b"a,b\n", 1), (&[b'\n'; 1 << 20][..], 100)]),
    )
    .unwrap();
    let refused = strictly(dir.path(), "rows.csv.gz").unwrap_err().to_string();
    assert!(refused.contains("200 times their size"), "{refused}");
    let mut xz = liblzma::write::XzEncoder::new(File::create(path("rows.csv.xz")).unwrap(), 6);
    for _ in 0..80 {
        xz.write_all(&block).unwrap();
    }
    xz.finish().unwrap();
    let refused = strictly(dir.path(), "rows.csv.xz").unwrap_err().to_string();
    assert!(refused.contains("200 times their size"), "{refused}");
    let zeros = std::iter::repeat_n(&block[..], 80).flatten().copied();
    let zeros: Vec<u8> = zeros.collect();
    std::fs::write(
        path("rows.csv.zst"),
        zstd::stream::encode_all(&zeros[..], 3).unwrap(),
    )
    .unwrap();
    let refused = strictly(dir.path(), "rows.csv.zst")
        .unwrap_err()
        .to_string();
    assert!(refused.contains("200 times their size"), "{refused}");
}

/// Shows: columns without end are no table.
#[test]
fn m3_columns_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("wide.csv"),
        format!("{}z\n1\n", "a,".repeat(500_000)),
    )
    .unwrap();
    let refused = strictly(dir.path(), "wide.csv").unwrap_err().to_string();
    assert!(refused.contains("at most 4096 are allowed"), "{refused}");
    let names: Vec<String> = (0..50_000)
        .map(|number| format!("\"n{number}\":1"))
        .collect();
    std::fs::write(
        dir.path().join("wide.jsonl"),
        format!("{{{}}}\n", names.join(",")),
    )
    .unwrap();
    let refused = strictly(dir.path(), "wide.jsonl").unwrap_err().to_string();
    assert!(
        refused.contains("more than 4096 distinct names"),
        "{refused}"
    );
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>, times: usize) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_page_size_limit(64 << 20)
        .build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    for _ in 0..times {
        writer.write(&batch).unwrap();
    }
    writer.close().unwrap();
}

/// Shows: a dictionary's value that many rows have is held once, and rows that are too long together are refused; pages
/// that claim more than can be held are refused before they are unpacked.
#[test]
fn m3_parquet_bombs() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    // 512 rows of 900 KB each, in a few kilobytes.
    let text = "x".repeat(900_000);
    let texts = StringArray::from(vec![text.as_str(); 64]);
    parquet(&path("dictionary.parquet"), vec![("a", Arc::new(texts))], 8);
    assert!(path("dictionary.parquet").metadata().unwrap().len() < 200_000);
    let refused = strictly(dir.path(), "dictionary.parquet")
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("512 rows hold 460800000 bytes of text"),
        "{refused}"
    );
    // The same within lists, where it is unfolded to JSON.
    let mut lists = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    for _ in 0..64 {
        lists.values().append_value(&text);
        lists.append(true);
    }
    parquet(
        &path("lists.parquet"),
        vec![("a", Arc::new(lists.finish()))],
        6,
    );
    let refused = strictly(dir.path(), "lists.parquet")
        .unwrap_err()
        .to_string();
    assert!(refused.contains("more bytes than can be held"), "{refused}");
    // One value of 260 MiB.
    let large = "x".repeat(260 << 20);
    let one = StringArray::from(vec![large.as_str()]);
    parquet(&path("page.parquet"), vec![("a", Arc::new(one))], 1);
    drop(large);
    assert!(path("page.parquet").metadata().unwrap().len() < 1 << 20);
    let refused = strictly(dir.path(), "page.parquet")
        .unwrap_err()
        .to_string();
    assert!(refused.contains("a page unpacks to"), "{refused}");
    // A good file with lists, texts twice and nulls is read as before.
    let lists =
        ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let texts = StringArray::from(vec![Some("x"), None]);
    parquet(
        &path("good.parquet"),
        vec![("a", Arc::new(lists)), ("b", Arc::new(texts))],
        3,
    );
    let table = strictly(dir.path(), "good.parquet").unwrap();
    let first = [Some("[1,null]".to_owned()), Some("x".to_owned())];
    assert_eq!((table.rows.len(), &table.rows[0][..]), (6, &first[..]));
}

/// Shows: a footer that claims more than it holds, or a schema without a bottom, is refused and ends no process.
#[test]
fn m3_parquet_footers() {
    let dir = tempfile::tempdir().unwrap();
    let with_footer = |footer: &[u8]| {
        let mut file = b"PAR1".to_vec();
        file.extend_from_slice(footer);
        file.extend((footer.len() as u32).to_le_bytes());
        file.extend(b"PAR1");
        std::fs::write(dir.path().join("a.parquet"), file).unwrap();
        strictly(dir.path(), "a.parquet").unwrap_err().to_string()
    };
    // A list of 2^31 - 1 elements of a schema.
    let refused = with_footer(&[0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07]);
    assert!(
        refused.contains("its footer: it ends too early"),
        "{refused}"
    );
    let mut deep = vec![0x15, 0x02, 0x19, 0xfc, 0xa0, 0x8d, 0x06];
    for _ in 0..100_000 {
        deep.extend([0x48, 1, b'a', 0x15, 0x02, 0]);
    }
    deep.push(0);
    let refused = with_footer(&deep);
    assert!(
        refused.contains("its schema is nested too deeply"),
        "{refused}"
    );
}

/// Shows: a workbook whose parts unfold to many times their size, or whose cells lie far apart, is refused.
#[test]
fn m3_workbooks_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let workbook = |name: &str, sheet: &str, texts: &str| {
        let file = File::create(dir.path().join(name)).unwrap();
        let mut archive = zip::ZipWriter::new(file);
        let namespace = "http://schemas.openxmlformats.org";
        let kind = format!("{namespace}/officeDocument/2006/relationships");
        let relations = format!("<Relationships xmlns=\"{namespace}/package/2006/relationships\">");
        for (part, content) in [
            (
                "_rels/.rels",
                format!(
                    "{relations}<Relationship Id=\"r\" Type=\"{kind}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/workbook.xml",
                format!(
                    "<workbook xmlns=\"{namespace}/spreadsheetml/2006/main\" xmlns:r=\"{kind}\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels",
                format!(
                    "{relations}<Relationship Id=\"r1\" Type=\"{kind}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"r2\" Type=\"{kind}/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/worksheets/sheet1.xml",
                format!(
                    "<worksheet xmlns=\"{namespace}/spreadsheetml/2006/main\"><sheetData>{sheet}</sheetData></worksheet>"
                ),
            ),
            (
                "xl/sharedStrings.xml",
                format!("<sst xmlns=\"{namespace}/spreadsheetml/2006/main\">{texts}</sst>"),
            ),
        ] {
            archive
                .start_file(part, zip::write::SimpleFileOptions::default())
                .unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        strictly(dir.path(), name)
    };
    let good = workbook(
        "good.xlsx",
        "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c></row><row r=\"2\"><c r=\"A2\"><v>4</v></c></row>",
        "<si><t>name</t></si>",
    );
    assert_eq!(good.unwrap().rows, [[Some("4".to_owned())]]);
    let texts = "<si/>".repeat(6 << 20);
    let refused = workbook("texts.xlsx", "", &texts).unwrap_err().to_string();
    assert!(
        refused.contains("of a part of the workbook unfold to"),
        "{refused}"
    );
    // A text of 1 MB that 400 cells share.
    let shared =
        (1..=400).map(|n| format!("<row r=\"{n}\"><c r=\"A{n}\" t=\"s\"><v>0</v></c></row>"));
    let text = format!("<si><t>{}</t></si>", "x".repeat(1 << 20));
    let refused = workbook("shared.xlsx", &shared.collect::<String>(), &text);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("bytes of text"), "{refused}");
    let far = "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row><row r=\"1048576\"><c r=\"J1048576\"><v>1</v></c></row>";
    let refused = workbook("far.xlsx", far, "").unwrap_err().to_string();
    assert!(refused.contains("are too many"), "{refused}");
}
