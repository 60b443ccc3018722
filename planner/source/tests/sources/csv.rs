//! Separated values.

use std::fmt::Write as _;
use std::fs;

use planner_source::SourceOptions;
use proptest::prelude::*;

use super::{Row, Table, discover, read};

fn table(text: impl AsRef<[u8]>, options: &SourceOptions) -> Table {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.csv"), text).unwrap();
    read(&discover(dir.path(), &["t.csv"], options).unwrap(), 8192).unwrap()
}

fn comma() -> SourceOptions {
    SourceOptions {
        delimiter: Some(b','),
        quote: Some(b'"'),
        header: Some(true),
        ..SourceOptions::default()
    }
}

fn texts(row: &[&str]) -> Row {
    row.iter().map(|t| Some((*t).to_owned())).collect()
}

/// What csv-core reads from a whole text: header and rows, of as many fields as they have.
fn csv_core_reads(text: &[u8], terminator: u8) -> Vec<Vec<String>> {
    let mut reader = csv_core::ReaderBuilder::new()
        .terminator(if terminator == b'\n' {
            csv_core::Terminator::CRLF
        } else {
            csv_core::Terminator::Any(terminator)
        })
        .build();
    let mut rows = Vec::new();
    let mut out = vec![0; text.len() + 16];
    let mut ends = vec![0; text.len() + 16];
    let mut pos = 0;
    let (mut filled, mut fields) = (0, 0);
    loop {
        let (result, read, wrote, ended) =
            reader.read_record(&text[pos..], &mut out[filled..], &mut ends[fields..]);
        pos += read;
        filled += wrote;
        fields += ended;
        match result {
            csv_core::ReadRecordResult::InputEmpty => {}
            csv_core::ReadRecordResult::Record => {
                let mut start = 0;
                rows.push(
                    ends[..fields]
                        .iter()
                        .map(|end| {
                            let field = String::from_utf8(out[start..*end].to_vec()).unwrap();
                            start = *end;
                            field
                        })
                        .collect(),
                );
                (filled, fields) = (0, 0);
            }
            csv_core::ReadRecordResult::End => return rows,
            other => panic!("{other:?}"),
        }
    }
}

/// Shows: cells of every odd kind come out as they are meant.
#[test]
fn cells_are_read_as_rfc_4180_has_them() {
    let cases: [(&str, &[&[&str]]); 9] = [
        ("a,b\n1,2\n", &[&["1", "2"]]),
        ("a,b\r\n1,2\r\n\r\n3,4", &[&["1", "2"], &["3", "4"]]),
        (
            "a,b\n\"x, y\",\"he said \"\"no\"\"\"\n",
            &[&["x, y", "he said \"no\""]],
        ),
        (
            "a,b\n\"two\nlines\",\"\"\n,\n",
            &[&["two\nlines", ""], &["", ""]],
        ),
        ("a,b\n5\" pipe,\"x\" tail\n", &[&["5\" pipe", "x tail"]]),
        (
            "\u{feff}a,b\nä,😀 long enough for a buffer\n",
            &[&["ä", "😀 long enough for a buffer"]],
        ),
        ("a,b\r1,2\r3,4", &[&["1", "2"], &["3", "4"]]),
        ("a,b,\n1,2,\n3,4,\n", &[&["1", "2"], &["3", "4"]]),
        ("a,b\n1,2,\n3,4,\n", &[&["1", "2"], &["3", "4"]]),
    ];
    for (text, rows) in cases {
        let read = table(text, &comma());
        assert_eq!(read.columns, ["a", "b"], "{text:?}");
        let expected: Vec<Row> = rows.iter().map(|r| texts(r)).collect();
        assert_eq!(read.rows, expected, "{text:?}");
        assert_eq!(read.bad, [], "{text:?}");
    }
}

/// Shows: a bad record is quarantined with its line and its neighbours are read.
#[test]
fn bad_records_do_not_take_others_with_them() {
    let text = b"a,b\n1,2\n3\n\n\"x\ny\",4\n5,6,7\n\xff,8\n\"never closed,9\n10,11\n";
    let read = table(
        text,
        &SourceOptions {
            encoding: Some("utf-8".into()),
            ..comma()
        },
    );
    let bad: Vec<(u64, u64, &str)> = read.bad.iter().map(|b| (b.0, b.2, b.3.as_str())).collect();
    assert_eq!(
        bad,
        [
            (1, 3, "1 field where 2 are expected"),
            (3, 7, "3 fields where 2 are expected"),
            (4, 8, "not valid UTF-8"),
            (5, 9, "a quote that opens here is never closed"),
        ]
    );
    assert_eq!(read.rows[2], texts(&["x\ny", "4"]));
    assert_eq!(read.rows[6], texts(&["10", "11"]));
    let lines: Vec<u64> = read.places.iter().map(|p| p.1).collect();
    assert_eq!(lines, [2, 3, 5, 7, 8, 9, 10]);
}

/// Shows: a file of several blocks with every odd thing in it is read as csv-core reads it.
#[test]
fn blocks_and_marks_do_not_show() {
    let mut text = String::from("id,name,note\n");
    for row in 0..60_000_u32 {
        let _ = match row % 7 {
            0 => writeln!(
                text,
                "{row},\"name, {row}\",\"a \"\"quoted\"\" note {row}\""
            ),
            1 => write!(text, "{row},plain,\"two\nlines {row}\"\r\n"),
            2 => write!(text, "{row},,\n\n"),
            3 if row % 700 == 3 => writeln!(text, "{row},x,{}", "long ".repeat(4_000)),
            _ => writeln!(text, "{row},name of number {row},ordinary"),
        };
    }
    let expected = csv_core_reads(text.as_bytes(), b'\n');
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.csv"), &text).unwrap();
    let mut source = discover(dir.path(), &["t.csv"], &comma()).unwrap();
    assert_eq!(source.total_rows, 60_000);
    for rows_per_split in [1_048_576, 8_192, 5_000] {
        source.rows_per_split = rows_per_split;
        let read = read(&source, 8_192).unwrap();
        assert!(read.bad.is_empty());
        for (got, want) in read.rows.iter().zip(&expected[1..]) {
            assert!(got.iter().flatten().eq(want.iter()), "{got:?} {want:?}");
        }
        let lines: Vec<&str> = text.split('\n').collect();
        for (row, (_, line)) in read.places.iter().enumerate() {
            assert!(
                lines[*line as usize - 1].starts_with(&format!("{row},")),
                "line of row {row}"
            );
        }
    }
}

/// Shows: a quote that closes only beyond 16 MiB is a stray one, however the file is cut; the lines
/// after it are read.
#[test]
fn a_stray_quote_swallows_one_line() {
    let mut text = String::from("a,b\n1,\"stray\n");
    let rows = 18 * 1024 * 1024 / 40;
    for row in 0..rows {
        let _ = writeln!(text, "{row:09},some text to fill the line up");
    }
    text.push_str("2,\"closed\"\n");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("t.csv"), &text).unwrap();
    let mut source = discover(dir.path(), &["t.csv"], &comma()).unwrap();
    for rows_per_split in [1_048_576, 100_000] {
        source.rows_per_split = rows_per_split;
        let read = read(&source, 8_192).unwrap();
        assert_eq!(read.rows.len(), rows + 2);
        let bad: Vec<(u64, u64)> = read.bad.iter().map(|b| (b.0, b.2)).collect();
        assert_eq!(bad, [(0, 2)]);
        assert_eq!(read.rows[rows + 1], texts(&["2", "closed"]));
    }
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9äß€😀]{0,20}",
        2 => "\"([a-z,\n\r]|\"\"){0,12}\"",
        1 => "[a-z][a-z\" ]{0,8}",
        1 => "\"[a-z]{0,3}\"([a-z][a-z\"]{0,2})?",
    ]
}

proptest! {
    /// Shows: for any cells, any cut into splits, batches and files, the rows are those csv-core
    /// reads from the whole.
    #[test]
    fn any_cut_reads_what_csv_core_reads(
        rows in prop::collection::vec(prop::collection::vec(cell(), 3), 1..40),
        blank in prop::collection::vec(any::<bool>(), 40),
        crlf in any::<bool>(),
        split in 1_u64..12,
        batch in 1_usize..9,
        cuts in prop::collection::vec(0_usize..40, 0..4),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let record = |row: &Vec<String>, blank: bool| {
            format!("{}{end}{}", row.join(","), if blank { end } else { "" })
        };
        let lines: Vec<String> = rows.iter().zip(&blank).map(|(r, b)| record(r, *b)).collect();
        let whole = format!("a,b,c{end}{}", lines.concat());
        let expected = csv_core_reads(whole.as_bytes(), b'\n');
        // Only texts in which every quote closes: csv-core swallows the rest at another one.
        // A carriage return alone ends a record for csv-core and not here.
        let closed = expected.iter().all(|r| r.len() == 3) && expected.len() == rows.len() + 1;
        prop_assume!(closed);

        let dir = tempfile::tempdir().unwrap();
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (lines.len() + 1)).collect();
        cuts.extend([0, lines.len()]);
        cuts.sort_unstable();
        let mut names = Vec::new();
        for (number, pair) in cuts.windows(2).enumerate() {
            let name = format!("{number}.csv");
            let text = format!("a,b,c{end}{}", lines[pair[0]..pair[1]].concat());
            fs::write(dir.path().join(&name), text).unwrap();
            names.push(name);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut source = discover(dir.path(), &names, &comma()).unwrap();
        source.rows_per_split = split;
        let read = read(&source, batch).unwrap();
        prop_assert_eq!(&read.bad, &[]);
        prop_assert_eq!(read.rows.len(), expected.len() - 1);
        for (got, want) in read.rows.iter().zip(&expected[1..]) {
            prop_assert!(got.iter().flatten().eq(want.iter()), "{:?} {:?}", got, want);
        }
    }

    /// Shows: any bytes at all give as many rows as the index counted, in any cut, or a refusal.
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(prop_oneof![
            Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), Just(b'\\'), Just(b'a'), Just(0xc3), any::<u8>()
        ], 0..300),
        split in 1_u64..5,
        escape in any::<bool>(),
        told in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("t.csv"), &bytes).unwrap();
        let mut options = if told { comma() } else { SourceOptions::default() };
        options.escape = escape.then_some(b'\\');
        options.encoding = told.then(|| "utf-8".to_owned());
        let Ok(mut source) = discover(dir.path(), &["t.csv"], &options) else { return Ok(()) };
        let whole = read(&source, 8192).unwrap();
        source.rows_per_split = split;
        prop_assert_eq!(whole, read(&source, 3).unwrap());
    }
}
