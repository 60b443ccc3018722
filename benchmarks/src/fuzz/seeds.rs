//! Well-formed inputs to begin with, small and of many kinds.

use std::io::{Cursor, Write};
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use zip::write::SimpleFileOptions;

use super::{Target, messages};

/// Well-formed inputs of a parser.
///
/// # Errors
/// A seed cannot be made.
pub fn seeds(target: Target) -> Result<Vec<Vec<u8>>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    Ok(match target {
        Target::Spec => texts(&SPECS),
        Target::Sql => texts(&STATEMENTS),
        Target::Ticket => messages::seeds(),
        Target::Csv => texts(&TABLES),
        Target::Json => texts(&DOCUMENTS),
        Target::Parquet => vec![
            table(None)?,
            table(Some(Compression::ZSTD(ZstdLevel::default())))?,
            table(Some(Compression::SNAPPY))?,
        ],
        Target::Excel => vec![workbook(&PARTS)?],
        Target::Packed => TABLES
            .iter()
            .map(|text| gzipped(text.as_bytes()))
            .collect::<Result<_>>()?,
    })
}

const SPECS: [&str; 4] = [
    "version: 1\nname: x\nsource:\n  location: upload:1\n  options: {delimiter: ';', skip_rows: 1}\nsteps:\n  - type: dedupe\n    columns: [a, b]\n",
    "{\"version\":1,\"source\":{\"location\":[\"a.csv\",\"b.csv\"],\"format\":\"csv\"},\"dataset\":{\"columns\":[{\"name\":\"a\",\"type\":\"integer\",\"business_rules\":[{\"range\":{\"min\":0}},\"unique\"]}]}}",
    "version: 1\nsource: {location: a}\ndataset:\n  missing_values: &m ['', '-']\n  columns:\n    - {name: a, canonical_values: *m, business_rules: [{regex: '^[a-z]{1,9}$'}, {expression: 'a > b OR a IS NULL'}]}\n",
    "version: 1\nsource: {location: a}\nsteps:\n  - {type: near_dedupe, columns: [a], threshold: 0.8}\n  - {type: impute, columns: '*', strategy: median}\n",
];

const STATEMENTS: [&str; 5] = [
    "SELECT a, count(*) FROM (VALUES (1, 'x'), (2, 'y')) AS t(a, b) WHERE b LIKE '%x' GROUP BY a ORDER BY 1",
    "WITH t AS (SELECT 1 AS a UNION ALL SELECT 2) SELECT * FROM t AS l JOIN t AS r ON l.a = r.a LIMIT 3",
    "SELECT * FROM sanitize((SELECT ' x ' AS name, '1,5' AS amount), steps => '[{\"type\": \"normalize_text\"}]')",
    "CREATE SPEC s AS 'steps: [{type: dedupe}]'; SHOW SPECS",
    "SELECT CASE WHEN a > 1 THEN CAST(a AS VARCHAR) ELSE NULL END, array_agg(a) OVER (ORDER BY a) FROM (SELECT 1 AS a)",
];

const TABLES: [&str; 5] = [
    "id,name,amount\n1,\"Smith, J.\",1.50\n2,\"say \"\"x\"\"\",\n3,plain,3\n",
    "id;name\r\n1;ä\r\n2;b\r\n# not a comment\r\n",
    "a\tb\tc\n1\t2\t3\n\n4\t5\t6\n",
    "\u{feff}\"a\",\"b\"\n\"line\nbreak\",2\n",
    "one\nvalue\nper\nline\n",
];

const DOCUMENTS: [&str; 4] = [
    "{\"a\": 1, \"b\": \"x\\u00e4\"}\n{\"a\": 2.5e3, \"b\": null, \"c\": [1, {\"d\": true}]}\n",
    "[{\"a\": 1}, {\"a\": 2, \"b\": {\"c\": [[]]}}]",
    "{\"a\": 1}\n\n{\"a\": \"\\ud83d\\ude00\"}\n",
    "{\n \"a\": [1, 2, 3]\n}",
];

/// The parts of a small workbook (ECMA-376).
pub(super) const PARTS: [(&str, &str); 6] = [
    (
        "[Content_Types].xml",
        "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Default Extension=\"xml\" ContentType=\"application/xml\"/></Types>",
    ),
    (
        "_rels/.rels",
        "<?xml version=\"1.0\"?><Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>",
    ),
    (
        "xl/workbook.xml",
        "<?xml version=\"1.0\"?><workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"><sheets><sheet name=\"S\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>",
    ),
    (
        "xl/_rels/workbook.xml.rels",
        "<?xml version=\"1.0\"?><Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"rId2\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>",
    ),
    (
        "xl/sharedStrings.xml",
        "<?xml version=\"1.0\"?><sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" count=\"2\" uniqueCount=\"2\"><si><t>name</t></si><si><t>x</t></si></sst>",
    ),
    (
        "xl/worksheets/sheet1.xml",
        "<?xml version=\"1.0\"?><worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><dimension ref=\"A1:B3\"/><sheetData><row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"inlineStr\"><is><t>n</t></is></c></row><row r=\"2\"><c r=\"A2\" t=\"s\"><v>1</v></c><c r=\"B2\"><v>4.5</v></c></row><row r=\"3\"><c r=\"A3\" t=\"b\"><v>1</v></c></row></sheetData></worksheet>",
    ),
];

/// A workbook of these parts.
pub(super) fn workbook<N: AsRef<str>, T: AsRef<[u8]>>(parts: &[(N, T)]) -> Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        archive.start_file(name.as_ref(), SimpleFileOptions::default())?;
        archive.write_all(content.as_ref())?;
    }
    Ok(archive.finish()?.into_inner())
}

/// A text, compressed.
pub(super) fn gzipped(text: &[u8]) -> Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text)?;
    Ok(out.finish()?)
}

fn table(compression: Option<Compression>) -> Result<Vec<u8>> {
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
        Some(Vec::new()),
        Some(vec![Some(7)]),
    ]);
    let columns: [(&str, ArrayRef); 3] = [
        (
            "a",
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4)])),
        ),
        (
            "b",
            Arc::new(StringArray::from(vec![
                "x",
                "x",
                "y",
                "a longer text than others",
            ])),
        ),
        ("c", Arc::new(lists)),
    ];
    let batch = RecordBatch::try_from_iter(columns)?;
    let properties = WriterProperties::builder()
        .set_compression(compression.unwrap_or(Compression::UNCOMPRESSED))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}
