//! Two runs beside each other. Seconds of two days mean little on a shared machine; what is compared is how we do beside a
//! peer that ran in turn with us, and how well, not how fast.

use super::tables::figure;
use super::{Record, Section};

/// How a figure has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Command, table, row and column.
    pub what: [String; 4],
    /// The figure of the earlier run.
    pub before: f64,
    /// That of the later one.
    pub after: f64,
    /// Whether it is worse by more than may be.
    pub worse: bool,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Ours as a multiple of a peer's: the less, the better.
    Ratio,
    /// A share, 0 to 1 or in percent, of what was right: the more, the better.
    Quality,
}

fn meaning(column: &str) -> Option<Meaning> {
    let column = column.to_lowercase();
    let named = |names: &[&str]| names.iter().any(|name| column.contains(name));
    if named(&["ours/it", "ours / it"]) {
        return Some(Meaning::Ratio);
    }
    named(&["f1", "precision", "recall", "success", "jain"]).then_some(Meaning::Quality)
}

/// What has changed from one run to a later one: ratios by more than `factor`, shares by more than `loss`, in either direction. What
/// only one of them has is left out.
pub fn compare(before: &Record, after: &Record, factor: f64, loss: f64) -> Vec<Change> {
    let mut changes = Vec::new();
    for section in &after.sections {
        let earlier = before.sections.iter();
        let Some(earlier) = earlier.into_iter().find(|other| other.name == section.name) else {
            continue;
        };
        compare_sections(earlier, section, (factor, loss), &mut changes);
    }
    changes
}

fn compare_sections(
    before: &Section,
    after: &Section,
    (factor, loss): (f64, f64),
    changes: &mut Vec<Change>,
) {
    if before.succeeded && !after.succeeded {
        let what = [after.name.as_str(), "", "", "it came to its end"];
        changes.push(Change {
            what: what.map(str::to_owned),
            before: 1.0,
            after: 0.0,
            worse: true,
        });
    }
    for table in &after.tables {
        let earlier = before.tables.iter();
        let same = |other: &&super::FigureTable| {
            other.title == table.title && other.header == table.header
        };
        let Some(earlier) = earlier.into_iter().find(same) else {
            continue;
        };
        for row in &table.rows {
            let Some(old) = earlier.rows.iter().find(|old| old.first() == row.first()) else {
                continue;
            };
            for ((column, old), new) in table.header.iter().zip(old).zip(row).skip(1) {
                let (Some(meaning), Some(before), Some(now)) =
                    (meaning(column), figure(old), figure(new))
                else {
                    continue;
                };
                let (worse, better) = match meaning {
                    Meaning::Ratio => (now > before * factor, before > now * factor),
                    Meaning::Quality => {
                        let share = if before.max(now) > 1.0 { 100.0 } else { 1.0 };
                        (now < before - loss * share, now > before + loss * share)
                    }
                };
                if worse || better {
                    let what = [&after.name, &table.title, &row[0], column];
                    changes.push(Change {
                        what: what.map(String::clone),
                        before,
                        after: now,
                        worse,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Machine, tables_of};
    use super::*;

    fn record(output: &str, succeeded: bool) -> Record {
        let section = Section {
            name: "speed".to_owned(),
            about: String::new(),
            command: String::new(),
            seconds: 1.0,
            succeeded,
            output: String::new(),
            tables: tables_of(output),
        };
        Record {
            begun_at: String::new(),
            machine: Machine::this(),
            versions: Vec::new(),
            sections: vec![section],
        }
    }

    /// Slower beside a peer, or wrong more often, is worse; more seconds alone are not.
    #[test]
    fn what_is_worse() {
        let table = |ratio: &str, quality: &str, seconds: &str| {
            format!(
                "t\n| program | seconds | time, ours/it | F1 |\n|---|---|---|---|\n| a | {seconds} | {ratio} | {quality} |\n"
            )
        };
        let before = record(&table("1.00", "0.950", "1"), true);
        let worse = |after: &Record| {
            let changes = compare(&before, after, 1.25, 0.01);
            changes
                .iter()
                .map(|change| (change.what[3].clone(), change.worse))
                .collect::<Vec<_>>()
        };
        let named = |name: &str, worse: bool| (name.to_owned(), worse);
        assert_eq!(worse(&record(&table("1.20", "0.945", "99"), true)), []);
        assert_eq!(
            worse(&record(&table("1.30", "0.930", "1"), true)),
            [named("time, ours/it", true), named("F1", true)]
        );
        assert_eq!(
            worse(&record(&table("0.70", "0.990", "1"), true)),
            [named("time, ours/it", false), named("F1", false)]
        );
        assert_eq!(
            worse(&record("", false)),
            [named("it came to its end", true)]
        );
        assert_eq!(worse(&record(&table("-", "", "1"), true)), []);
    }
}
