//! A run as pages: Markdown for the repository, HTML with charts for people.

use std::fmt::Write as _;

use anyhow::Result;
use minijinja::{Environment, context};
use serde::Serialize;

use super::tables::figure;
use super::{FigureTable, Record};

const TEMPLATE: &str = include_str!("page.html.j2");

/// A bar of a chart.
#[derive(Serialize)]
struct Bar {
    name: String,
    figure: String,
    /// Length, 0 to 100.
    length: f64,
}

/// The first column of a table whose cells are all figures, as bars; none for tables of one row.
fn chart(table: &FigureTable) -> Option<(String, Vec<Bar>)> {
    if table.rows.len() < 2 {
        return None;
    }
    let columns = table.header.iter().enumerate().skip(1);
    for (column, name) in columns {
        let cells = table
            .rows
            .iter()
            .map(|row| row.get(column).map(String::as_str).unwrap_or_default());
        let figures: Option<Vec<f64>> = cells.clone().map(figure).collect();
        let Some(figures) = figures else { continue };
        let most = figures.iter().copied().fold(0.0, f64::max);
        if most <= 0.0 {
            continue;
        }
        let rows = table.rows.iter().zip(cells).zip(&figures);
        let bars = rows.map(|((row, cell), figure)| Bar {
            name: row.first().cloned().unwrap_or_default(),
            figure: cell.to_owned(),
            length: (figure / most * 100.0).clamp(0.0, 100.0),
        });
        return Some((name.clone(), bars.collect()));
    }
    None
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.0} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

/// The page in Markdown: machine, versions, and what each command printed.
pub fn markdown_page(record: &Record) -> String {
    let machine = &record.machine;
    let mut page = format!(
        "# All benchmarks\n\n{}; {} processors ({}), {}, {}\n\n| what | version |\n|---|---|\n",
        record.begun_at,
        machine.processors,
        machine.processor,
        gigabytes(machine.memory_bytes),
        machine.system
    );
    for (name, version) in &record.versions {
        let _ = writeln!(page, "| {name} | {version} |");
    }
    for section in &record.sections {
        let ended = if section.succeeded {
            ""
        } else {
            ", and failed"
        };
        let _ = write!(
            page,
            "\n## {}\n\n{}. It took {:.0} s{ended}.\n\n```sh\n{}\n```\n\n{}\n",
            section.name,
            section.about,
            section.seconds,
            section.command,
            section.output.trim()
        );
    }
    page
}

/// The page in HTML, in one file without any network: charts, tables, and the raw text.
pub fn html_page(record: &Record) -> Result<String> {
    let sections = record.sections.iter().map(|section| {
        let tables = section.tables.iter().map(|table| {
            let (column, bars) = chart(table).unzip();
            context! { title => table.title, header => table.header, rows => table.rows, column, bars }
        });
        context! {
            name => section.name, about => section.about, command => section.command, succeeded => section.succeeded,
            seconds => format!("{:.0}", section.seconds), output => section.output, tables => tables.collect::<Vec<_>>(),
        }
    });
    let mut environment = Environment::new();
    environment.add_template("page.html", TEMPLATE)?;
    let page = environment.get_template("page.html")?;
    Ok(page.render(context! {
        begun_at => record.begun_at,
        machine => record.machine,
        memory => gigabytes(record.machine.memory_bytes),
        versions => record.versions,
        sections => sections.collect::<Vec<_>>(),
    })?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Machine, Section, tables_of};
    use super::*;

    /// Both pages show what was found, and what a command printed is no markup.
    #[test]
    fn pages() {
        let output = "1 < 2 rows:\n| program | seconds |\n|---|---:|\n| ours <b> | 1.0 |\n| theirs | 4.0 |\n";
        let record = Record {
            begun_at: "2026-01-01T00:00:00Z".to_owned(),
            machine: Machine::this(),
            versions: vec![("sanitizer".to_owned(), "0.1.0".to_owned())],
            sections: vec![Section {
                name: "speed".to_owned(),
                about: "Seconds".to_owned(),
                command: "benchmarks speed".to_owned(),
                seconds: 2.0,
                succeeded: false,
                output: output.to_owned(),
                tables: tables_of(output),
            }],
        };
        let markdown = markdown_page(&record);
        assert!(
            markdown.contains("| theirs | 4.0 |") && markdown.contains("and failed"),
            "{markdown}"
        );
        let html = html_page(&record).unwrap();
        assert!(
            html.contains("ours &lt;b&gt;") && !html.contains("ours <b>"),
            "{html}"
        );
        assert!(
            html.contains("width=\"25\"") && html.contains("width=\"100\""),
            "{html}"
        );
    }
}
