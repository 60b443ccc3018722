//! Rows as aligned columns, for people.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use console::{Style, measure_text_width, truncate_str};

/// Rows that are looked at before the widths of the columns are settled.
const SAMPLE: usize = 1_000;

/// Columns that a terminal cannot show whole become no narrower than this.
const NARROW: usize = 8;

/// Space between two columns.
const BAR: &str = " │ ";

/// How tables are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableStyle {
    /// A line for each cell instead of one for each row.
    pub(crate) expanded: bool,
    /// Rows that are shown; the others are only counted.
    pub(crate) limit: Option<usize>,
    /// Columns of the terminal; nothing is cut when none.
    pub(crate) columns: Option<usize>,
}

/// Draws a table as its rows come; what it holds does not grow with the number of rows.
pub(crate) struct TableWriter {
    style: TableStyle,
    names: Vec<String>,
    numeric: Vec<bool>,
    waiting: Vec<Vec<Option<String>>>,
    widths: Option<Vec<usize>>,
    shown: usize,
    rows: usize,
}

impl TableWriter {
    pub(crate) fn new(schema: &SchemaRef, style: TableStyle) -> Self {
        let fields = schema.fields();
        Self {
            style,
            names: fields.iter().map(|field| title(field.name())).collect(),
            numeric: fields
                .iter()
                .map(|field| field.data_type().is_numeric())
                .collect(),
            waiting: Vec::new(),
            widths: None,
            shown: 0,
            rows: 0,
        }
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows that were shown, or will be.
    pub(crate) fn shown(&self) -> usize {
        self.shown
    }

    /// Columns that do not fit the terminal.
    pub(crate) fn hidden_columns(&self) -> usize {
        let fitting = self.widths.as_ref().map_or(self.names.len(), Vec::len);
        self.names.len() - fitting
    }

    /// The text of a batch; the first rows wait until the widths are settled.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) -> anyhow::Result<String> {
        let room = self
            .style
            .limit
            .map_or(usize::MAX, |limit| limit - self.shown);
        let taken = batch.num_rows().min(room);
        let rows = texts(batch, taken)?;
        self.rows += batch.num_rows();
        self.shown += taken;
        if self.style.expanded {
            let first = self.shown - taken + 1;
            return Ok(self.expanded(&rows, first));
        }
        if self.widths.is_some() {
            let mut text = String::new();
            self.lines(&rows, &mut text);
            return Ok(text);
        }
        self.waiting.extend(rows);
        if self.waiting.len() < SAMPLE {
            return Ok(String::new());
        }
        Ok(self.settle())
    }

    /// The text that is left when the last batch has come.
    pub(crate) fn end(&mut self) -> String {
        if self.style.expanded || self.widths.is_some() || self.names.is_empty() {
            return String::new();
        }
        self.settle()
    }

    /// Settles the widths; the text of the header and of what waited for it.
    fn settle(&mut self) -> String {
        let rows = std::mem::take(&mut self.waiting);
        let mut widths: Vec<usize> = self.names.iter().map(|name| width(name)).collect();
        for row in &rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(cell.as_deref().map_or(4, width));
            }
        }
        if let Some(columns) = self.style.columns {
            fit(&mut widths, columns);
        }
        let header: Vec<String> = self
            .names
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (name, width))| {
                let cell = self.cell(at, Some(name), *width, at + 1 == widths.len());
                self.paint(Style::new().bold(), &cell)
            })
            .collect();
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        let mut text = format!(" {}\n─{}─\n", header.join(BAR), rule.join("─┼─"));
        self.widths = Some(widths);
        self.lines(&rows, &mut text);
        text
    }

    fn lines(&self, rows: &[Vec<Option<String>>], text: &mut String) {
        let widths = self.widths.as_deref().unwrap_or_default();
        for row in rows {
            let cells = || {
                row.iter()
                    .zip(widths)
                    .map(|(cell, width)| (cell.as_deref(), *width))
            };
            let height = cells().map(|(cell, _)| cell.map_or(1, height)).max();
            for line in 0..height.unwrap_or(1) {
                text.push(' ');
                for (at, (cell, width)) in cells().enumerate() {
                    if at > 0 {
                        text.push_str(BAR);
                    }
                    let last = at + 1 == widths.len();
                    // Nothing stands beside the further lines of another cell.
                    let part = match cell {
                        None if line > 0 => Some(""),
                        cell => cell.map(|cell| cell.split('\n').nth(line).unwrap_or_default()),
                    };
                    text.push_str(&self.cell(at, part, width, last));
                }
                text.push('\n');
            }
        }
    }

    /// A cell in so many columns; what ends a line is not filled up.
    fn cell(&self, at: usize, cell: Option<&str>, columns: usize, last: bool) -> String {
        let plain = cell.unwrap_or("NULL");
        let cut = match self.style.columns {
            Some(_) => truncate_str(plain, columns, "…"),
            None => plain.into(),
        };
        let space = " ".repeat(columns.saturating_sub(width(&cut)));
        let painted = match cell {
            Some(_) => cut.into_owned(),
            None => self.paint(Style::new().dim(), &cut),
        };
        match (self.numeric[at], last) {
            (true, _) => space + &painted,
            (false, true) => painted,
            (false, false) => painted + &space,
        }
    }

    fn expanded(&self, rows: &[Vec<Option<String>>], first: usize) -> String {
        let label = self.names.iter().map(|name| width(name)).max().unwrap_or(0);
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            let title = format!("─ row {} ", first + number);
            let rule = "─".repeat((label + 20).saturating_sub(width(&title)));
            text.push_str(&format!("{title}{rule}\n"));
            for (name, cell) in self.names.iter().zip(row) {
                let space = " ".repeat(label - width(name));
                let value = match cell {
                    Some(value) => value.replace('\n', &format!("\n {:label$}{BAR}", "")),
                    None => self.paint(Style::new().dim(), "NULL"),
                };
                let name = self.paint(Style::new().bold(), name);
                text.push_str(&format!(" {name}{space}{BAR}{value}\n"));
            }
        }
        text
    }

    fn paint(&self, style: Style, text: &str) -> String {
        match self.style.columns {
            Some(_) => style.apply_to(text).to_string(),
            None => text.to_owned(),
        }
    }
}

/// The first rows of a batch as text.
fn texts(batch: &RecordBatch, rows: usize) -> anyhow::Result<Vec<Vec<Option<String>>>> {
    let options = FormatOptions::new().with_display_error(true);
    let mut table = vec![Vec::with_capacity(batch.num_columns()); rows];
    for column in batch.columns() {
        let formatter = ArrayFormatter::try_new(column, &options)?;
        // Also of columns that hold nothing else, or refer to a null.
        let nulls = column.logical_nulls();
        for (at, row) in table.iter_mut().enumerate() {
            let null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
            let cell = (!null).then(|| formatter.value(at).to_string());
            row.push(cell.map(|text| printable(&text)));
        }
    }
    Ok(table)
}

/// The text without what a terminal would obey; lines stay lines.
fn printable(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let text = text.trim_end_matches(['\r', '\n']);
    let mut plain = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// A name on one line.
fn title(name: &str) -> String {
    printable(name).replace('\n', "\\n")
}

/// Columns of the widest line.
fn width(text: &str) -> usize {
    text.split('\n').map(measure_text_width).max().unwrap_or(0)
}

fn height(text: &str) -> usize {
    text.split('\n').count()
}

/// Narrows the widest columns until all fit; drops the last ones when even that does not help.
fn fit(widths: &mut Vec<usize>, columns: usize) {
    let needed = |widths: &[usize]| {
        let bars = widths.len().saturating_sub(1) * width(BAR);
        widths.iter().sum::<usize>() + bars + 2
    };
    loop {
        let excess = needed(widths).saturating_sub(columns);
        if excess == 0 {
            return;
        }
        let widest = widths.iter().copied().max().unwrap_or(0);
        if widest <= NARROW {
            break;
        }
        // Down to the next widest, or by an equal share of what is too much.
        let next = widths.iter().copied().filter(|width| *width < widest).max();
        let among = widths.iter().filter(|width| **width == widest).count();
        let aim = (widest - excess.div_ceil(among).min(widest)).max(next.unwrap_or(0));
        let aim = aim.clamp(NARROW, widest - 1);
        for width in widths.iter_mut().filter(|width| **width == widest) {
            *width = aim;
        }
    }
    while widths.len() > 1 && needed(widths) > columns {
        widths.pop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn batch(rows: &[(Option<i64>, Option<&str>)]) -> RecordBatch {
        let numbers: Int64Array = rows.iter().map(|row| row.0).collect();
        let texts: StringArray = rows.iter().map(|row| row.1).collect();
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("text", DataType::Utf8, true),
        ]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers), Arc::new(texts)]).unwrap()
    }

    fn drawn(batch: &RecordBatch, style: TableStyle) -> String {
        console::set_colors_enabled(false);
        let mut table = TableWriter::new(&batch.schema(), style);
        let mut text = table.batch(batch).unwrap();
        text.push_str(&table.end());
        text
    }

    const PLAIN: TableStyle = TableStyle {
        expanded: false,
        limit: None,
        columns: None,
    };

    /// Numbers stand on the right, nulls are seen, wide characters count as such, and lines of a cell
    /// stand below one another.
    #[test]
    fn columns_are_aligned() {
        let rows = [
            (Some(1), Some("é")),
            (Some(-200_000), Some("日本")),
            (None, None),
            (Some(3), Some("a\nb\u{1b}[31m")),
        ];
        let text = drawn(&batch(&rows), PLAIN);
        let expected = "       n │ text
─────────┼─────────────
       1 │ é
 -200000 │ 日本
    NULL │ NULL
       3 │ a
         │ b\\u{1b}[31m
";
        assert_eq!(text, expected);
    }

    /// On a terminal no line is longer than it is wide; elsewhere nothing is cut.
    #[test]
    fn long_cells_are_cut() {
        let long = "x".repeat(200);
        let rows = [(Some(1), Some(long.as_str()))];
        let narrow = TableStyle {
            columns: Some(40),
            ..PLAIN
        };
        let text = drawn(&batch(&rows), narrow);
        assert!(text.lines().all(|line| width(line) <= 40), "{text}");
        assert!(text.contains('…'), "{text}");
        assert!(drawn(&batch(&rows), PLAIN).contains(&long));
    }

    /// Columns that cannot be shown at all are counted.
    #[test]
    fn many_columns_are_dropped() {
        let mut widths = vec![30; 20];
        fit(&mut widths, 80);
        assert_eq!(widths, vec![NARROW; 7]);
        let mut widths = vec![5, 100, 60];
        fit(&mut widths, 80);
        assert_eq!(widths, [5, 33, 33]);
    }

    /// Only the first rows are shown, all are counted.
    #[test]
    fn the_limit() {
        let rows = [(Some(1), None), (Some(2), None), (Some(3), None)];
        let style = TableStyle {
            limit: Some(2),
            ..PLAIN
        };
        let batch = batch(&rows);
        let mut table = TableWriter::new(&batch.schema(), style);
        let mut text = table.batch(&batch).unwrap();
        text += &table.batch(&batch).unwrap();
        text += &table.end();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert_eq!((table.shown(), table.rows()), (2, 6));
    }

    /// One cell a line.
    #[test]
    fn expanded_rows() {
        let style = TableStyle {
            expanded: true,
            ..PLAIN
        };
        let text = drawn(&batch(&[(Some(1), Some("a")), (Some(2), None)]), style);
        let expected = "─ row 1 ────────────────
 n    │ 1
 text │ a
─ row 2 ────────────────
 n    │ 2
 text │ NULL
";
        assert_eq!(text, expected);
    }
}
