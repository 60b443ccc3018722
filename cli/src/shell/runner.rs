//! Carries out statements and commands, and shows what they give.

use std::io::BufRead;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::StreamExt;
use indicatif::HumanCount;

use super::arguments::Format;
use super::interrupt::{Interrupts, Watch};
use super::meta;
use super::output::{Encoder, Output};
use super::script::{Piece, PieceKind, ScriptReader};
use super::table::{TableStyle, TableWriter};
use super::target::{Reply, Rows, Target};
use crate::ending::{UsageError, told};
use crate::progress::Bar;

/// Time after which work that still goes on is shown.
const PATIENCE: Duration = Duration::from_millis(400);

/// Scripts that may run one another.
const MOST_NESTED: usize = 16;

/// What runs statements, and how what they give is shown.
pub(crate) struct Shell {
    pub(crate) target: Target,
    pub(crate) output: Output,
    pub(crate) view: View,
    interrupts: Interrupts,
    nested: usize,
}

/// How what statements give is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// How rows are written.
    pub(crate) format: Format,
    /// Tables have a line for each cell.
    pub(crate) expanded: bool,
    /// The time is told.
    pub(crate) timing: bool,
    /// Nothing is told but rows and errors.
    pub(crate) quiet: bool,
    /// A person sits at it.
    pub(crate) prompt: bool,
    /// Rows of a table that the prompt shows.
    pub(crate) limit: Option<usize>,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// With the next one.
    GoOn,
    /// No further.
    Leave,
}

/// Where a text comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The prompt or the command line.
    Typed,
    /// A file or standard input, by name.
    Named(&'a str),
}

impl Shell {
    /// A shell that listens for interruptions from now on.
    pub(crate) fn new(target: Target, output: Output, view: View) -> Self {
        Self {
            target,
            output,
            view,
            interrupts: Interrupts::listen(),
            nested: 0,
        }
    }

    /// Carries out a text; the first error ends it.
    pub(crate) async fn text(&mut self, text: &str, origin: Origin<'_>) -> anyhow::Result<Flow> {
        for piece in ScriptReader::pieces(text) {
            if self.piece(&piece, origin).await? == Flow::Leave {
                return Ok(Flow::Leave);
            }
        }
        Ok(Flow::GoOn)
    }

    /// Carries out a script.
    pub(crate) async fn script(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.display().to_string();
        if self.nested == MOST_NESTED {
            return Err(UsageError(format!("{name}: scripts run one another too deeply")).into());
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| UsageError(format!("{name}: {error}")))?;
        self.nested += 1;
        let done = Box::pin(self.text(&text, Origin::Named(&name))).await;
        self.nested -= 1;
        done.map(|_| ())
    }

    /// Carries out what comes on standard input, each statement as soon as it is whole.
    pub(crate) async fn standard_input(&mut self) -> anyhow::Result<()> {
        let origin = Origin::Named("stdin");
        let mut reader = ScriptReader::default();
        let mut input = std::io::stdin().lock();
        let mut line = String::new();
        loop {
            line.clear();
            let read = input.read_line(&mut line);
            if read.context("standard input cannot be read")? == 0 {
                break;
            }
            let mut pieces = Vec::new();
            reader.push(&line, &mut pieces);
            for piece in pieces {
                if self.piece(&piece, origin).await? == Flow::Leave {
                    return Ok(());
                }
            }
        }
        if let Some(last) = reader.finish() {
            self.piece(&last, origin).await?;
        }
        Ok(())
    }

    /// Carries out a piece.
    pub(crate) async fn piece(
        &mut self,
        piece: &Piece,
        origin: Origin<'_>,
    ) -> anyhow::Result<Flow> {
        let done = match piece.kind {
            PieceKind::Statement => self.statement(&piece.text).await.map(|()| Flow::GoOn),
            PieceKind::Command => meta::command(self, &piece.text).await,
        };
        done.map_err(|error| located(error, piece, origin))
    }

    /// Runs a statement and shows what it gives.
    pub(crate) async fn statement(&mut self, text: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let started = self.target.start(text)?;
        let mut watch = self.interrupts.watch(started.progress.clone());
        let bar = started
            .progress
            .filter(|_| !self.view.quiet)
            .map(|progress| Bar::start_after(progress, PATIENCE));
        // A task of its own, for planning may keep its thread.
        let mut work = tokio::spawn(started.reply);
        let reply = tokio::select! {
            reply = &mut work => reply.context("the statement ended unexpectedly")??,
            () = watch.wish() => {
                work.abort();
                return Err(planner::Error::Cancelled.into());
            }
        };
        let said = match reply {
            Reply::Rows(rows) => self.show(rows, &mut watch, bar).await?,
            Reply::Written(rows) => {
                drop(bar);
                format!("{} written", count(rows))
            }
            Reply::Done => {
                drop(bar);
                "done".to_owned()
            }
        };
        let took = begun.elapsed();
        self.say(&match self.view.timing {
            true => format!("({said}, {:.3} s)", took.as_secs_f64()),
            false => format!("({said})"),
        })
    }

    /// Tells the person something that is no row.
    pub(crate) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let standard = matches!(self.output, Output::Standard);
        let for_people = standard && self.view.format == Format::Table;
        if self.view.quiet || !(for_people || self.view.prompt) {
            return Ok(());
        }
        Output::Standard.write(format!("{text}\n").as_bytes())
    }

    /// Shows rows as they come; gives words on their number.
    async fn show(
        &mut self,
        mut rows: Rows,
        watch: &mut Watch,
        mut bar: Option<Bar>,
    ) -> anyhow::Result<String> {
        let mut rendering = Rendering::new(&rows, &self.view, &self.output);
        loop {
            let batch = tokio::select! {
                batch = rows.batches.next() => batch,
                () = watch.wish() => return Err(planner::Error::Cancelled.into()),
            };
            let Some(batch) = batch else { break };
            let text = rendering.batch(&batch?)?;
            if !text.is_empty() {
                // Rows and a bar do not share a terminal.
                drop(bar.take());
                self.output.write(&text)?;
            }
        }
        drop(bar);
        let (text, said) = rendering.end(&rows)?;
        self.output.write(&text)?;
        Ok(said)
    }
}

/// Rows on their way to text.
enum Rendering {
    Table(TableWriter),
    Encoded { encoder: Encoder, rows: usize },
}

impl Rendering {
    fn new(rows: &Rows, view: &View, output: &Output) -> Self {
        match Encoder::new(view.format) {
            Some(encoder) => Self::Encoded { encoder, rows: 0 },
            None => Self::Table(TableWriter::new(
                &rows.schema,
                TableStyle {
                    expanded: view.expanded,
                    limit: view.limit.filter(|_| matches!(output, Output::Standard)),
                    columns: output.terminal_columns(),
                },
            )),
        }
    }

    fn batch(&mut self, batch: &arrow::array::RecordBatch) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Table(table) => Ok(table.batch(batch)?.into_bytes()),
            Self::Encoded { encoder, rows } => {
                *rows += batch.num_rows();
                encoder.encode(batch)
            }
        }
    }

    /// The rest of the text, and words on the number of rows.
    fn end(self, rows: &Rows) -> anyhow::Result<(Vec<u8>, String)> {
        let mut table = match self {
            Self::Encoded { encoder, rows: all } => {
                return Ok((encoder.end(&rows.schema)?, count(all as u64)));
            }
            Self::Table(table) => table,
        };
        let text = table.end();
        let mut said = count(table.rows() as u64);
        let more = table.rows() - table.shown();
        if more > 0 {
            said.push_str(&format!(", {} of them not shown", HumanCount(more as u64)));
        }
        if table.hidden_columns() > 0 {
            let hidden = table.hidden_columns();
            said.push_str(&format!(", {hidden} more columns: \\x shows them"));
        }
        Ok((text.into_bytes(), said))
    }
}

fn count(rows: u64) -> String {
    let plural = if rows == 1 { "" } else { "s" };
    format!("{} row{plural}", HumanCount(rows))
}

/// The error with the place that it is about.
fn located(error: anyhow::Error, piece: &Piece, origin: Origin<'_>) -> anyhow::Error {
    let text = told(&error);
    match (position(&text), origin) {
        (Some((message, line, column)), _) => {
            // The parser counts from the beginning of the statement.
            let column = match line {
                1 => piece.column + column - 1,
                _ => column,
            };
            let line = piece.line + line - 1;
            let text = match origin {
                Origin::Named(name) => format!("{name}:{line}:{column}: {message}"),
                Origin::Typed => format!("{message} (line {line}, column {column})"),
            };
            UsageError(text).into()
        }
        (None, Origin::Named(name)) if !error.is::<super::output::NobodyReads>() => {
            error.context(format!("{name}:{}", piece.line))
        }
        (None, Origin::Typed) if text.starts_with(PARSER) => {
            UsageError(text[PARSER.len()..].to_owned()).into()
        }
        (None, _) => error,
    }
}

/// What an error of the parser begins with.
const PARSER: &str = "sql parser error: ";

/// What the parser says, and its line and column.
fn position(text: &str) -> Option<(String, usize, usize)> {
    let (before, after) = text.rsplit_once(" at Line: ")?;
    let (line, after) = after.split_once(", Column: ")?;
    let digits = after.find(|c: char| !c.is_ascii_digit());
    let (column, rest) = after.split_at(digits.unwrap_or(after.len()));
    let before = before.rsplit(PARSER).next()?;
    let (line, column) = (line.parse().ok()?, column.parse().ok()?);
    Some((format!("{before}{rest}"), line, column)).filter(|_| line > 0 && column > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error of the parser is placed in the text that the person wrote.
    #[test]
    fn errors_have_places() {
        let told = "sql parser error: Expected: x, found: y at Line: 1, Column: 8";
        let piece = Piece {
            text: String::new(),
            kind: PieceKind::Statement,
            line: 3,
            column: 5,
        };
        let text = |origin| located(anyhow::Error::msg(told), &piece, origin).to_string();
        assert_eq!(
            text(Origin::Named("a.sql")),
            "a.sql:3:12: Expected: x, found: y"
        );
        assert_eq!(
            text(Origin::Typed),
            "Expected: x, found: y (line 3, column 12)"
        );
        assert_eq!(position("no place"), None);
        assert_eq!(position("x at Line: 0, Column: 0"), None);
    }
}
