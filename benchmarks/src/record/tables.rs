//! Tables of figures in what a command printed.

use serde::{Deserialize, Serialize};

/// A table of figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FigureTable {
    /// The line that stands before it.
    pub title: String,
    /// Names of the columns; the first one holds names, the others figures.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// The number that a cell begins with: `3.7`, `1,024 MB`, `12 %`.
pub(super) fn figure(cell: &str) -> Option<f64> {
    let number = cell.split_whitespace().next()?;
    number.trim_end_matches('%').replace(',', "").parse().ok()
}

fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(
        inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect(),
    )
}

fn is_rule(cells: &[String]) -> bool {
    cells.iter().all(|cell| {
        !cell.is_empty() && cell.chars().all(|character| matches!(character, '-' | ':'))
    })
}

/// The tables in Markdown that a text holds, each under the last line before it.
pub fn tables_of(text: &str) -> Vec<FigureTable> {
    let mut tables: Vec<FigureTable> = Vec::new();
    let mut title = String::new();
    let mut inside = false;
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let Some(found) = cells(line) else {
            inside = false;
            if !line.trim().is_empty() {
                title = line.trim().trim_end_matches(':').to_owned();
            }
            continue;
        };
        let ruled = lines.get(number + 1).and_then(|next| cells(next));
        if !inside && ruled.is_some_and(|next| is_rule(&next)) {
            tables.push(FigureTable {
                title: title.clone(),
                header: found,
                rows: Vec::new(),
            });
            inside = true;
        } else if inside
            && !is_rule(&found)
            && let Some(table) = tables.last_mut()
        {
            table.rows.push(found);
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "2 processors\n\n1000 rows, 1 MB of CSV\n| program | seconds |\n|---|---:|\n| ours | 1.5 |\n| theirs | 3.0 |\n\
        note: all well\nwhere the time goes:\n| phase | share |\n|-------+------:|\n| a \\| b | 12 % |\n| phase | share |\n|---|---|\n| c | 1,024 MB |\n";

    /// Tables are found with what stands before them; what only looks like one is none.
    #[test]
    fn found() {
        let tables = tables_of(TEXT);
        let titles: Vec<&str> = tables.iter().map(|table| table.title.as_str()).collect();
        assert_eq!(titles, ["1000 rows, 1 MB of CSV", "where the time goes"]);
        assert_eq!(tables[0].header, ["program", "seconds"]);
        assert_eq!(tables[0].rows, [["ours", "1.5"], ["theirs", "3.0"]]);
        assert_eq!(tables[1].rows, [["c", "1,024 MB"]]);
        assert_eq!(tables_of("| a | b |\nno table\n"), []);
    }

    /// Figures are read with their units.
    #[test]
    fn figures() {
        for (cell, number) in [
            ("3.7", 3.7),
            ("1,024 MB", 1024.0),
            ("12 %", 12.0),
            ("12%", 12.0),
        ] {
            assert_eq!(figure(cell), Some(number), "{cell}");
        }
        assert_eq!(
            (figure("-"), figure(""), figure("ours")),
            (None, None, None)
        );
    }
}
