//! A table with its true pairs, made of one that somebody has published.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::score::{PairScore, RowPair};
use crate::csv_table::CsvTable;

/// The column that tells the rows of two linked tables apart.
const SOURCE_COLUMN: &str = "source";
const SHUFFLE_SEED: u64 = 42;

/// A table of which it is known which pairs of rows are the same, its rows in random order.
#[derive(Clone, Debug)]
pub struct LabelledTable {
    /// What it is called in the results.
    pub name: String,
    /// The table, without what gives the truth away.
    pub table: CsvTable,
    /// The F1 that is wanted, if one is.
    pub goal: Option<f64>,
    truth: HashSet<RowPair>,
    /// Of two linked tables: where each row comes from.
    sources: Vec<Source>,
}

/// One of two tables to link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    A,
    B,
}

impl Source {
    fn cell(self) -> String {
        match self {
            Self::A => "a".to_owned(),
            Self::B => "b".to_owned(),
        }
    }
}

/// A table as it was published, its cells trimmed, with a key for each row.
#[derive(Clone, Debug)]
pub(super) struct Published {
    header: Vec<String>,
    pub(super) records: Vec<Record>,
}

/// A row and the key that tells what it stands for, or what it is called in a list of true pairs.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) key: String,
    cells: Vec<String>,
}

impl Published {
    /// Reads a file whose column `key` holds the keys of the rows.
    pub(super) fn read(path: &Path, delimiter: u8, key: &str) -> Result<Self> {
        let table = CsvTable::read_padded(path, delimiter)?;
        let header: Vec<_> = table
            .header
            .iter()
            .map(|name| short_name(name).to_owned())
            .collect();
        let Some(key_index) = header.iter().position(|name| name == key) else {
            bail!("{} has no column {key}", path.display());
        };
        let mut records = Vec::with_capacity(table.rows.len());
        for cells in table.rows {
            ensure!(
                cells.len() == header.len(),
                "{}: a row has not the columns of the header",
                path.display()
            );
            let key = cells[key_index].trim_matches('\'').to_owned();
            records.push(Record { key, cells });
        }
        Ok(Self { header, records })
    }

    /// The same rows without some columns.
    pub(super) fn without(&self, columns: &[&str]) -> Self {
        let kept: Vec<_> = (0..self.header.len())
            .filter(|index| !columns.contains(&self.header[*index].as_str()))
            .collect();
        let pick = |cells: &[String]| -> Vec<String> {
            kept.iter().map(|index| cells[*index].clone()).collect()
        };
        let records = self.records.iter().map(|record| Record {
            key: record.key.clone(),
            cells: pick(&record.cells),
        });
        Self {
            header: pick(&self.header),
            records: records.collect(),
        }
    }

    /// The first row of each key.
    pub(super) fn first_of_each_key(&self) -> Self {
        let mut firsts = self.clone();
        let mut seen = HashSet::new();
        firsts
            .records
            .retain(|record| seen.insert(record.key.clone()));
        firsts
    }
}

/// The last part of a name that is a URL; `phone_number` is shortened as well.
fn short_name(name: &str) -> &str {
    match name.rsplit('#').next().unwrap_or(name) {
        "phone_number" => "phone",
        name => name,
    }
}

impl LabelledTable {
    /// A table whose rows of the same key are the same.
    pub(super) fn for_dedupe(name: &str, published: &Published, goal: Option<f64>) -> Self {
        let mut records = published.records.clone();
        shuffle(&mut records);
        let truth = pairs_of_same_key(&records);
        Self {
            name: name.to_owned(),
            table: CsvTable {
                header: published.header.clone(),
                rows: records.into_iter().map(|record| record.cells).collect(),
            },
            goal,
            truth,
            sources: Vec::new(),
        }
    }

    /// The rows of two tables, of which those are the same whose keys are a pair in `matches`. A column says which
    /// table a row comes from.
    pub(super) fn for_link(
        name: &str,
        [left, right]: [&Published; 2],
        matches: &[(String, String)],
        goal: Option<f64>,
    ) -> Result<Self> {
        ensure!(
            left.header == right.header,
            "{name}: the two tables have not the same columns"
        );
        let left_records = left.records.iter().map(|record| (Source::A, record));
        let right_records = right.records.iter().map(|record| (Source::B, record));
        let mut records: Vec<_> = left_records.chain(right_records).collect();
        shuffle(&mut records);
        let places: HashMap<(Source, String), u64> = (0_u64..)
            .zip(&records)
            .map(|(row, (source, record))| ((*source, record.key.clone()), row))
            .collect();
        let place = |source: Source, key: &str| {
            let row = places.get(&(source, key.to_owned())).copied();
            row.with_context(|| format!("{name}: no row of a true pair is called {key}"))
        };
        let mut truth = HashSet::new();
        for (of_left, of_right) in matches {
            truth.insert(RowPair::new(
                place(Source::A, of_left)?,
                place(Source::B, of_right)?,
            ));
        }
        let mut header = left.header.clone();
        header.push(SOURCE_COLUMN.to_owned());
        let rows = records.iter().map(|(source, record)| {
            let mut cells = record.cells.clone();
            cells.push(source.cell());
            cells
        });
        Ok(Self {
            name: name.to_owned(),
            table: CsvTable {
                header,
                rows: rows.collect(),
            },
            goal,
            truth,
            sources: records.iter().map(|(source, _)| *source).collect(),
        })
    }

    /// Whether the rows come from two tables, and only pairs of a row of each are looked for.
    pub fn is_linking(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.table.rows.len()
    }

    /// The number of true pairs.
    pub fn true_pairs(&self) -> usize {
        self.truth.len()
    }

    /// Compares clusters of row numbers with the truth. Where tables are linked, pairs within one of them do not count.
    pub fn score(&self, clusters: &[Vec<u64>]) -> Result<PairScore> {
        let source = |row: u64| self.sources.get(row as usize);
        let counts = |left, right| !self.is_linking() || source(left) != source(right);
        PairScore::of_clusters(clusters, self.rows() as u64, &self.truth, counts)
            .with_context(|| self.name.clone())
    }
}

fn pairs_of_same_key(records: &[Record]) -> HashSet<RowPair> {
    let mut rows_by_key: HashMap<&str, Vec<u64>> = HashMap::new();
    let mut pairs = HashSet::new();
    for (row, record) in (0_u64..).zip(records) {
        let same = rows_by_key.entry(record.key.as_str()).or_default();
        pairs.extend(same.iter().map(|other| RowPair::new(*other, row)));
        same.push(row);
    }
    pairs
}

/// Published tables have duplicates side by side, which a cleaner is not to profit from.
fn shuffle<T>(rows: &mut [T]) {
    rows.shuffle(&mut ChaCha8Rng::seed_from_u64(SHUFFLE_SEED));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn published(rows: &[(&str, &str)]) -> Published {
        let records = rows.iter().map(|(key, name)| Record {
            key: (*key).to_owned(),
            cells: vec![(*key).to_owned(), (*name).to_owned()],
        });
        Published {
            header: vec!["id".to_owned(), "name".to_owned()],
            records: records.collect(),
        }
    }

    fn row_of(table: &LabelledTable, name: &str) -> u64 {
        let mut rows = table.table.rows.iter();
        rows.position(|row| row[0] == name).unwrap() as u64
    }

    /// The truth follows the rows to where the shuffle puts them, and the key is gone.
    #[test]
    fn truth_follows_the_shuffle() {
        let published = published(&[("1", "ann"), ("1", "anne"), ("2", "bob"), ("1", "anna")]);
        let table = LabelledTable::for_dedupe("t", &published.without(&["id"]), None);
        assert_eq!(table.table.header, ["name"]);
        assert_eq!((table.rows(), table.true_pairs()), (4, 3));
        let cluster = ["ann", "anne", "anna"].map(|name| row_of(&table, name));
        let score = table.score(&[cluster.to_vec()]).unwrap();
        assert_eq!(score.f1(), Some(1.0));
        let firsts = published.first_of_each_key();
        let table = LabelledTable::for_dedupe("t", &firsts, None);
        assert_eq!((table.rows(), table.true_pairs()), (2, 0));
    }

    /// Linked tables keep their rows apart by a column, and pairs within one of them do not count.
    #[test]
    fn links_cross_tables() {
        let left = published(&[("1", "ann"), ("2", "bob")]).without(&["id"]);
        let right = published(&[("1", "anne"), ("2", "cy")]).without(&["id"]);
        let matches = [("1".to_owned(), "1".to_owned())];
        let table = LabelledTable::for_link("t", [&left, &right], &matches, None).unwrap();
        assert_eq!(table.table.header, ["name", "source"]);
        let bob = row_of(&table, "bob");
        assert_eq!(table.table.rows[bob as usize], ["bob", "a"]);
        let cluster = ["ann", "anne", "bob"].map(|name| row_of(&table, name));
        let score = table.score(&[cluster.to_vec()]).unwrap();
        assert_eq!((score.truth, score.found, score.right), (1, 2, 1));
        let unknown = [("3".to_owned(), "1".to_owned())];
        assert!(LabelledTable::for_link("t", [&left, &right], &unknown, None).is_err());
    }

    /// Names that are URLs are shortened to what people call the column.
    #[test]
    fn names_are_short() {
        for (name, short) in [
            ("city", "city"),
            ("http://x.org/y.owl#street", "street"),
            ("http://x.org/y.owl#phone_number", "phone"),
        ] {
            assert_eq!(short_name(name), short);
        }
    }
}
