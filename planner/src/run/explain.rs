//! What a job would do, in words: its passes, what each does and learns, and what leaves a worker.

use std::fmt::{self, Display, Formatter};

use super::engine::{KEY_BYTES, ROW_KEYS_BYTES, sum_partitions};
use crate::operation::{Figure, FigureNeed, Keep, KeyNeed, Need};
use crate::program::{Action, Pass, Program};
use crate::report::bytes;
use crate::source::Source;

/// The plan of a program over a source.
pub(super) fn explain(program: &Program, source: &Source) -> String {
    Plan { program, source }.to_string()
}

struct Plan<'a> {
    program: &'a Program,
    source: &'a Source,
}

impl Display for Plan<'_> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "source: {} file(s), {} rows, {} columns, in {} split(s) of {} rows",
            self.source.files.len(),
            self.source.total_rows,
            self.source.columns.len(),
            self.source.split_count(),
            self.source.rows_per_split
        )?;
        let last = self.program.passes.len() - 1;
        for (number, pass) in self.program.passes.iter().enumerate() {
            let purpose = if number == last {
                "clean and write"
            } else {
                "learn"
            };
            writeln!(to, "\npass {}: {purpose}", number + 1)?;
            if number > 0 && number < last {
                let waits = pass.waits_for.iter().map(|op| self.program.step_of(*op));
                writeln!(
                    to,
                    "  a pass of its own, because {} must wait for the pass before",
                    waits.collect::<Vec<_>>().join(", ")
                )?;
            }
            for action in &pass.actions {
                let (verb, op, what) = match action {
                    Action::Apply(op) => ("apply", *op, self.changes(*op)),
                    Action::Learn(op) => ("learn", *op, self.learns(*op)),
                };
                writeln!(to, "  {verb}  {:<22} {what}", self.program.step_of(op))?;
            }
            self.stages(to, pass, number == last)?;
        }
        Ok(())
    }
}

impl Plan<'_> {
    /// The columns that an operation may change, or that it drops rows by.
    fn changes(&self, op: usize) -> String {
        let op = &self.program.ops[op].op;
        let writes: Vec<usize> = op.writes().iter().collect();
        if op.drops_rows() {
            let reads: Vec<usize> = op.reads().iter().collect();
            format!("takes rows out by {}", self.program.column_names(&reads))
        } else if writes.is_empty() {
            let reads: Vec<usize> = op.reads().iter().collect();
            format!("looks at {}", self.program.column_names(&reads))
        } else {
            self.program.column_names(&writes)
        }
    }

    /// What is taken down for an operation, and how much that comes to.
    fn learns(&self, op: usize) -> String {
        let Some(need) = self.program.ops[op].op.need() else {
            return String::new();
        };
        let what = match &need {
            Need::Repeats(need) => format!(
                "a 128-bit hash of {}",
                self.program.column_names(&need.columns)
            ),
            Need::Figures(need) => {
                let columns = need.figures.iter().map(|(column, figure)| {
                    let name = &self.program.contract.columns[*column].name;
                    format!("{} of {name}", figure_name(*figure))
                });
                let by = match need.by.as_slice() {
                    [] => String::new(),
                    by => format!(" by {}", self.program.column_names(by)),
                };
                format!("{}{by}", columns.collect::<Vec<_>>().join(", "))
            }
            Need::Values(columns) => format!(
                "how often {} repeat a value",
                self.program.column_names(columns)
            ),
            Need::Sample(need) => {
                format!("a sample of {}", self.program.column_names(&need.columns))
            }
            Need::Candidates(need) => {
                format!(
                    "keys of {} by which rows meet",
                    self.program.column_names(&need.columns)
                )
            }
            Need::Merge(need) => format!(
                "{} of rows that leave, for those that stay",
                self.program.column_names(&need.columns)
            ),
            Need::Matches(need) => {
                format!(
                    "{} of the rows that meet others",
                    self.program.column_names(&need.columns)
                )
            }
        };
        match row_bytes(&need) {
            Some(bytes) => format!("{what}: {bytes} bytes a row"),
            None => what,
        }
    }

    /// The stages of a pass on a cluster: what each shuffles, and what it gives the driver. In one
    /// process a pass is one stage, and all sums are done there.
    fn stages(&self, to: &mut Formatter<'_>, pass: &Pass, writes: bool) -> fmt::Result {
        let scan = format!("DataSourceExec({} splits)", self.source.split_count());
        let compares = pass
            .learns()
            .filter_map(|op| self.program.ops[op].op.need())
            .any(|need| matches!(need, Need::Matches(_)));
        let rows = if compares {
            "records of rows that may match are shuffled, no others"
        } else {
            "none shuffles rows"
        };
        writeln!(to, "  stages on a cluster; {rows}:")?;
        if writes {
            return writeln!(
                to,
                "    1  {scan} → PublishExec: shuffles nothing; one line a split to the driver"
            );
        }
        let needs = pass
            .learns()
            .filter_map(|op| self.program.ops[op].op.need());
        let (keys, others): (Vec<Need>, Vec<Need>) = needs.partition(|need| {
            matches!(
                need,
                Need::Repeats(_) | Need::Candidates(_) | Need::Matches(_)
            )
        });
        let size = |needs: &[Need]| {
            let a_row: u64 = needs.iter().filter_map(row_bytes).sum();
            bytes(a_row * self.source.total_rows)
        };
        let mut told = Vec::new();
        if others.iter().any(|need| row_bytes(need).is_some()) {
            told.push(format!("values of at most about {}", size(&others)));
        }
        if others.iter().any(|need| matches!(need, Need::Values(_))) {
            told.push("counts of values".to_owned());
        }
        if others.iter().any(|need| matches!(need, Need::Merge(_))) {
            told.push("values of rows that leave".to_owned());
        }
        if others.iter().any(|need| matches!(need, Need::Sample(_))) {
            told.push("a sample of rows".to_owned());
        }
        if told.is_empty() {
            told.push("profiles".to_owned());
        }
        let told = told.join(" and ");
        if keys.is_empty() {
            return writeln!(
                to,
                "    1  {scan} → LearnExec: shuffles nothing; {told} to the driver"
            );
        }
        let mut shuffled = Vec::new();
        if keys.iter().any(|need| row_bytes(need).is_some()) {
            shuffled.push(format!("hashes of at most about {}", size(&keys)));
        }
        if keys.iter().any(|need| row_bytes(need).is_none()) {
            shuffled.push("records of rows that may match".to_owned());
        }
        let repeats = keys.iter().all(|need| matches!(need, Need::Repeats(_)));
        let found = if repeats {
            "repeats to files that the next pass reads by split"
        } else {
            "what it finds to files that the next pass, or the driver, reads"
        };
        let row = keys.iter().map(|need| match need {
            Need::Repeats(_) => KEY_BYTES,
            _ => ROW_KEYS_BYTES,
        });
        let row = row.max().unwrap_or(KEY_BYTES);
        writeln!(
            to,
            "    1  {scan} → LearnExec: shuffles {}; {told} to the driver",
            shuffled.join(" and ")
        )?;
        writeln!(
            to,
            "    2  SumExec({} partitions): shuffles nothing; {found}",
            sum_partitions(self.source.total_rows.saturating_mul(row))
        )
    }
}

/// Bytes that are taken down of a row, where they do not depend on how often values repeat.
fn row_bytes(need: &Need) -> Option<u64> {
    match need {
        Need::Repeats(KeyNeed { keep, .. }) => Some(match keep {
            Keep::MostComplete => 28,
            Keep::First | Keep::Last => 24,
        }),
        Need::Figures(FigureNeed { figures, by }) => {
            let group = if by.is_empty() { 0 } else { 16 };
            Some(8 + group + 8 * figures.len() as u64)
        }
        Need::Candidates(_) => Some(ROW_KEYS_BYTES),
        Need::Values(_) | Need::Sample(_) | Need::Matches(_) | Need::Merge(_) => None,
    }
}

fn figure_name(figure: Figure) -> &'static str {
    match figure {
        Figure::Median => "median",
        Figure::Mean => "mean",
        Figure::Mode => "most frequent value",
        Figure::Quartiles => "quartiles",
        Figure::MedianDeviation => "median and median deviation",
        Figure::MeanDeviation => "mean and standard deviation",
    }
}
