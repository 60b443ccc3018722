//! What a job would do, in words: its passes, what each does and learns, and what leaves a worker.

use std::fmt::{self, Display, Formatter};

use super::engine::{keyed_row_bytes, sum_partitions};
use crate::operation::{KeyedStatistic, Statistic, Traffic};
use crate::program::{Action, Program};
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
            self.stages(to, number, number == last)?;
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
        let Some(statistic) = self.program.ops[op].op.statistic() else {
            return String::new();
        };
        let what = statistic.describe(&|columns| self.program.column_names(columns));
        match statistic.traffic().row_bytes {
            Some(bytes) => format!("{what}: {bytes} bytes a row"),
            None => what,
        }
    }

    /// The stages of a pass on a cluster: what each shuffles, and what it gives the driver. In one
    /// process a pass is one stage, and all statistics are evaluated there.
    fn stages(&self, to: &mut Formatter<'_>, number: usize, writes: bool) -> fmt::Result {
        let pass = &self.program.passes[number];
        let statistics = pass.learns();
        let statistics = statistics.filter_map(|op| self.program.ops[op].op.statistic());
        let (keyed, others): (Vec<_>, Vec<_>) =
            statistics.partition(|statistic| statistic.keyed().is_some());
        let rows = match self.shuffled_rows(&keyed) {
            Some(rows) => format!("{rows} are shuffled, no others"),
            None => "none shuffles rows".to_owned(),
        };
        writeln!(to, "  stages on a cluster; {rows}:")?;
        let scan = format!("DataSourceExec({} splits)", self.source.split_count());
        if writes {
            return writeln!(
                to,
                "    1  {scan} → PublishExec: shuffles nothing; one line a split to the driver"
            );
        }
        let mut told = self.traffic(&others);
        if told.is_empty() {
            told.push("profiles".to_owned());
        }
        let told = told.join(" and ");
        if keyed.is_empty() {
            return writeln!(
                to,
                "    1  {scan} → LearnExec: shuffles nothing; {told} to the driver"
            );
        }
        let repeats = keyed.iter().filter_map(|statistic| statistic.keyed());
        let found = if repeats.into_iter().all(KeyedStatistic::finds_repeats) {
            "repeats to files that the next pass reads by split"
        } else {
            "what it finds to files that the next pass, or the driver, reads"
        };
        writeln!(
            to,
            "    1  {scan} → LearnExec: shuffles {}; {told} to the driver",
            self.traffic(&keyed).join(" and ")
        )?;
        let keys = keyed_row_bytes(self.program, number);
        writeln!(
            to,
            "    2  SumExec({} partitions): shuffles nothing; {found}",
            sum_partitions(self.source.total_rows.saturating_mul(keys))
        )
    }

    /// What is shuffled of rows that is more than keys of them.
    fn shuffled_rows(&self, keyed: &[&dyn Statistic]) -> Option<&'static str> {
        let mut traffic = keyed.iter().map(|statistic| statistic.traffic());
        let rows = traffic.find(|traffic| traffic.row_bytes.is_none());
        rows.map(|traffic| traffic.what)
    }

    /// What the partial states of statistics are, each kind once, and how much those come to whose size is known.
    fn traffic(&self, statistics: &[&dyn Statistic]) -> Vec<String> {
        let mut kinds: Vec<(&str, Option<u64>)> = Vec::new();
        for statistic in statistics {
            let Traffic { what, row_bytes } = statistic.traffic();
            match kinds.iter_mut().find(|(known, _)| *known == what) {
                Some((_, Some(sum))) => *sum += row_bytes.unwrap_or_default(),
                Some(_) => {}
                None => kinds.push((what, row_bytes)),
            }
        }
        // Those of a known size first.
        kinds.sort_by_key(|(_, row_bytes)| row_bytes.is_none());
        let told = kinds.into_iter().map(|(what, row_bytes)| match row_bytes {
            Some(row) => {
                let all = bytes(row * self.source.total_rows);
                format!("{what} of at most about {all}")
            }
            None => what.to_owned(),
        });
        told.collect()
    }
}
