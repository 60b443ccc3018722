//! What came out, as tables.

use crate::figure_table::figure_table;

use super::{CachedTable, Contender, Finish, Floors};

/// A contender with its best run.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The contender.
    pub contender: Contender,
    /// Its run of the fewest seconds.
    pub best: Finish,
    /// The seconds of its slowest run: a large gap to the best one means that the machine was not quiet.
    pub slowest_seconds: f64,
}

impl Measured {
    /// A contender after its first run.
    pub fn first(contender: Contender, finish: Finish) -> Self {
        Self {
            contender,
            slowest_seconds: finish.seconds,
            best: finish,
        }
    }

    /// Takes a further run into account.
    pub fn add(&mut self, finish: Finish) {
        self.slowest_seconds = self.slowest_seconds.max(finish.seconds);
        if finish.seconds < self.best.seconds {
            self.best = finish;
        }
    }
}

/// Prints the runs over one table, each beside the first contender: ours, if it took part.
pub fn print_results(table: &CachedTable, results: &[Measured]) {
    println!(
        "\n{} rows, {:.0} MB of CSV, {} rows to keep",
        table.rows,
        table.bytes as f64 / 1e6,
        table.surviving_rows
    );
    let ours = results
        .first()
        .filter(|first| matches!(first.contender, Contender::Sanitizer { .. }));
    let mut output = figure_table(&[
        "program",
        "seconds",
        "slowest",
        "start-up",
        "CPU s",
        "peak MB",
        "krows/s",
        "provenance rows",
        "time, ours/it",
        "memory, ours/it",
    ]);
    for measured in results {
        let best = &measured.best;
        let ratio =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        let time_ratio = ours.map(|ours| ours.best.seconds / best.seconds);
        let memory_ratio = ours.and_then(|ours| {
            Some(ours.best.usage.peak_bytes? as f64 / best.usage.peak_bytes? as f64)
        });
        output.add_row([
            measured.contender.name().to_owned(),
            format!("{:.2}", best.seconds),
            format!("{:.2}", measured.slowest_seconds),
            format!("{:.2}", (best.usage.wall_seconds - best.seconds).max(0.0)),
            best.usage
                .cpu_seconds
                .map_or("-".to_owned(), |seconds| format!("{seconds:.1}")),
            best.usage
                .peak_bytes
                .map_or("-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e6)),
            format!("{:.0}", table.rows as f64 / best.seconds / 1000.0),
            best.provenance_rows
                .map_or("-".to_owned(), |rows| rows.to_string()),
            ratio(time_ratio),
            ratio(memory_ratio),
        ]);
    }
    println!("{output}");
    for measured in results {
        print_surprise(table, measured);
        print_phases(table, measured);
    }
}

/// Says so where the cleaned table has not the rows that the truth asks for.
fn print_surprise(table: &CachedTable, measured: &Measured) {
    let name = measured.contender.name();
    match measured.best.rows_written {
        Some(rows) if rows != table.surviving_rows => {
            println!(
                "note: {name} wrote {rows} rows, {:+} of what is right",
                rows as i64 - table.surviving_rows as i64
            );
        }
        None => println!("note: {name} does not tell how many rows it wrote"),
        Some(_) => {}
    }
}

fn print_phases(table: &CachedTable, measured: &Measured) {
    if measured.best.phases.is_empty() {
        return;
    }
    println!("where the time of {} goes:", measured.contender.name());
    let mut output = figure_table(&["phase", "seconds", "share", "MB of CSV/s"]);
    for (phase, seconds) in &measured.best.phases {
        output.add_row([
            phase.clone(),
            format!("{seconds:.2}"),
            format!("{:.0} %", 100.0 * seconds / measured.best.seconds),
            format!("{:.0}", table.bytes as f64 / 1e6 / seconds.max(1e-9)),
        ]);
    }
    println!("{output}");
}

/// Prints what the unavoidable parts take by themselves, the marks to hold our phases against.
pub fn print_floors(table: &CachedTable, floors: &Floors) {
    println!("what the parts take by themselves on all cores of this machine:");
    let mut output = figure_table(&["part", "seconds", "MB of CSV/s"]);
    for (part, seconds) in [
        ("read the bytes", floors.read),
        ("find the fields (csv-core)", floors.parse),
        ("write them unchanged as Parquet (zstd 1)", floors.write),
    ] {
        output.add_row([
            part.to_owned(),
            format!("{seconds:.2}"),
            format!("{:.0}", table.bytes as f64 / 1e6 / seconds.max(1e-9)),
        ]);
    }
    println!("{output}");
}

/// Prints how time and memory grow from the smallest table to the largest; nothing for one table.
pub fn print_growth(tables: &[(CachedTable, Vec<Measured>)]) {
    let smallest = tables.iter().min_by_key(|(table, _)| table.rows);
    let largest = tables.iter().max_by_key(|(table, _)| table.rows);
    let (Some((small, of_small)), Some((large, of_large))) = (smallest, largest) else {
        return;
    };
    if small.rows == 0 || small.rows == large.rows {
        return;
    }
    println!(
        "\nfrom {} rows to {}: {:.1} times as many",
        small.rows,
        large.rows,
        large.rows as f64 / small.rows as f64
    );
    let mut output = figure_table(&["program", "time grows by", "memory grows by"]);
    for before in of_small {
        let name = before.contender.name();
        let Some(after) = of_large.iter().find(|after| after.contender.name() == name) else {
            continue;
        };
        let memory = after
            .best
            .usage
            .peak_bytes
            .zip(before.best.usage.peak_bytes);
        output.add_row([
            name.to_owned(),
            format!("{:.2}", after.best.seconds / before.best.seconds),
            memory.map_or("-".to_owned(), |(after, before)| {
                format!("{:.2}", after as f64 / before as f64)
            }),
        ]);
    }
    println!("{output}");
}
