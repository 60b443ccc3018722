//! Lines of CSV (RFC 4180).

/// Appends a line that ends in a line feed; a cell is quoted where it has to be.
pub fn push_record<'a>(line: &mut Vec<u8>, cells: impl Iterator<Item = &'a str>) {
    let start = line.len();
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            line.push(b',');
        }
        if cell
            .bytes()
            .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
        {
            push_quoted(line, cell);
        } else {
            line.extend_from_slice(cell.as_bytes());
        }
    }
    if line.len() == start {
        // An empty line would be no row at all.
        line.extend_from_slice(b"\"\"");
    }
    line.push(b'\n');
}

fn push_quoted(line: &mut Vec<u8>, cell: &str) {
    line.push(b'"');
    for byte in cell.bytes() {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}
