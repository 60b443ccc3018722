//! The labelled tables of the data folder.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Result, ensure};

use super::table::{LabelledTable, Published, Record};
use crate::csv_table::CsvTable;

/// The goals for the tables of restaurants.
const RESTAURANT_GOAL: Option<f64> = Some(0.93);

/// All tables that are there, and the names of the files that are not.
#[derive(Clone, Debug, Default)]
pub struct LabelledTables {
    /// Tables with duplicates.
    pub with_duplicates: Vec<LabelledTable>,
    /// Tables in which every row stands for something else.
    pub without_duplicates: Vec<LabelledTable>,
    /// Missing files, relative to the data folder.
    pub missing: Vec<String>,
}

impl LabelledTables {
    /// Reads the sets of the data folder.
    pub fn open(data: &Path) -> Result<Self> {
        let mut tables = Self::default();
        tables.add_febrl(data)?;
        tables.add_fake_1000(data)?;
        tables.add_restaurants(data)?;
        tables.add_linked_restaurants(data)?;
        tables.add_fodors_zagats(data)?;
        tables.add_d1(data)?;
        Ok(tables)
    }

    /// Reads a table, or notes that it is missing.
    fn read(
        &mut self,
        data: &Path,
        file: &str,
        delimiter: u8,
        key: &str,
    ) -> Result<Option<Published>> {
        let path = data.join(file);
        if path.is_file() {
            Published::read(&path, delimiter, key).map(Some)
        } else {
            self.missing.push(file.to_owned());
            Ok(None)
        }
    }

    /// Reads a list of true pairs of keys, or notes that it is missing.
    fn read_matches(
        &mut self,
        data: &Path,
        file: &str,
        delimiter: u8,
    ) -> Result<Option<Vec<(String, String)>>> {
        let path = data.join(file);
        if !path.is_file() {
            self.missing.push(file.to_owned());
            return Ok(None);
        }
        let mut matches = Vec::new();
        for row in CsvTable::read_padded(&path, delimiter)?.rows {
            ensure!(row.len() == 2, "{} is no list of pairs", path.display());
            matches.push((row[0].clone(), row[1].clone()));
        }
        Ok(Some(matches))
    }

    /// Persons, with and without the one column that nearly says who they are.
    fn add_febrl(&mut self, data: &Path) -> Result<()> {
        for (number, goal, harder_goal) in [(1, Some(1.0), None), (3, Some(1.0), Some(0.9998))] {
            let file = format!("er_febrl/dataset{number}.csv");
            let Some(mut all) = self.read(data, &file, b',', "rec_id")? else {
                continue;
            };
            for record in &mut all.records {
                record.key = person(&record.key).to_owned();
            }
            let easy = all.without(&["rec_id"]);
            let hard = all.without(&["rec_id", "soc_sec_id"]);
            let name = format!("febrl{number}");
            let harder_name = format!("{name} without soc_sec_id");
            self.with_duplicates.extend([
                LabelledTable::for_dedupe(&name, &easy, goal),
                LabelledTable::for_dedupe(&harder_name, &hard, harder_goal),
            ]);
            if number == 3 {
                self.add_without_duplicates(&harder_name, &hard);
            }
        }
        Ok(())
    }

    fn add_fake_1000(&mut self, data: &Path) -> Result<()> {
        let file = "er_splink/fake_1000.csv";
        if let Some(all) = self.read(data, file, b',', "cluster")? {
            let persons = all.without(&["unique_id", "cluster"]);
            self.add_to_dedupe("fake_1000", &persons, Some(0.98));
        }
        Ok(())
    }

    fn add_restaurants(&mut self, data: &Path) -> Result<()> {
        let file = "er_dedupe_restaurant/restaurant-nophone-training.csv";
        if let Some(all) = self.read(data, file, b',', "unique_id")? {
            let restaurants = all.without(&["unique_id"]);
            self.add_to_dedupe("restaurant", &restaurants, RESTAURANT_GOAL);
        }
        Ok(())
    }

    fn add_linked_restaurants(&mut self, data: &Path) -> Result<()> {
        let mut read = |file| self.read(data, file, b',', "unique_id");
        let left = read("er_dedupe_restaurant/restaurant-1.csv")?;
        let right = read("er_dedupe_restaurant/restaurant-2.csv")?;
        let (Some(left), Some(right)) = (left, right) else {
            return Ok(());
        };
        let of_right: HashSet<&String> = right.records.iter().map(|record| &record.key).collect();
        let matches: Vec<_> = left
            .records
            .iter()
            .filter(|record| of_right.contains(&record.key))
            .map(|Record { key, .. }| (key.clone(), key.clone()))
            .collect();
        self.add_to_link(
            "restaurant, two tables",
            [
                &left.without(&["unique_id"]),
                &right.without(&["unique_id"]),
            ],
            &matches,
            RESTAURANT_GOAL,
        )
    }

    fn add_fodors_zagats(&mut self, data: &Path) -> Result<()> {
        let mut read = |file| self.read(data, file, b',', "id");
        let left = read("er_magellan_fodors_zagats/fodors.csv")?;
        let right = read("er_magellan_fodors_zagats/zagats.csv")?;
        let file = "er_magellan_fodors_zagats/matches_fodors_zagats.csv";
        let matches = self.read_matches(data, file, b',')?;
        let (Some(left), Some(right), Some(matches)) = (left, right, matches) else {
            return Ok(());
        };
        let tables = [&left.without(&["id"]), &right.without(&["id"])];
        self.add_to_link("fodors, zagats", tables, &matches, RESTAURANT_GOAL)
    }

    fn add_d1(&mut self, data: &Path) -> Result<()> {
        let mut read = |file| self.read(data, file, b'|', "id");
        let left = read("er_jedai/ccer/D1/rest1.csv")?;
        let right = read("er_jedai/ccer/D1/rest2.csv")?;
        let matches = self.read_matches(data, "er_jedai/ccer/D1/gt.csv", b'|')?;
        let (Some(left), Some(right), Some(matches)) = (left, right, matches) else {
            return Ok(());
        };
        let tables = [&left.without(&["id"]), &right.without(&["id"])];
        self.add_to_link("D1", tables, &matches, None)
    }

    /// Adds a table with and without its duplicates.
    fn add_to_dedupe(&mut self, name: &str, published: &Published, goal: Option<f64>) {
        let table = LabelledTable::for_dedupe(name, published, goal);
        self.with_duplicates.push(table);
        self.add_without_duplicates(name, published);
    }

    fn add_without_duplicates(&mut self, name: &str, published: &Published) {
        let name = format!("{name}, first of each");
        let firsts = published.first_of_each_key();
        self.without_duplicates
            .push(LabelledTable::for_dedupe(&name, &firsts, None));
    }

    fn add_to_link(
        &mut self,
        name: &str,
        tables: [&Published; 2],
        matches: &[(String, String)],
        goal: Option<f64>,
    ) -> Result<()> {
        let table = LabelledTable::for_link(name, tables, matches, goal)?;
        self.with_duplicates.push(table);
        Ok(())
    }
}

/// The number of the person in a `rec_id`: `rec-223-org` and `rec-223-dup-0` are 223.
fn person(rec_id: &str) -> &str {
    rec_id.split('-').nth(1).unwrap_or(rec_id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// An original and its duplicates are one person.
    #[test]
    fn rec_id_names_a_person() {
        for rec_id in ["rec-223-org", "rec-223-dup-0", "rec-223-dup-11"] {
            assert_eq!(person(rec_id), "223");
        }
    }

    /// Both tables and the true pairs of a set are found in their notations, and the sets that are not there are named.
    #[test]
    fn sets_are_read() {
        let data = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = data.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "er_dedupe_restaurant/restaurant-nophone-training.csv",
            "name,city,unique_id\n\"art's deli\", \"studio city\", '0'\n\"art's\", \"\", '0'\n\"x\", \"y\", '1'\n",
        );
        write("er_jedai/ccer/D1/rest1.csv", "id|o#name\r\n0|a\r\n7|b\r\n");
        write("er_jedai/ccer/D1/rest2.csv", "id|p#name\r\n7|A\r\n");
        write("er_jedai/ccer/D1/gt.csv", "D1|D2\r\n0|7\r\n");
        let tables = LabelledTables::open(data.path()).unwrap();
        let found: Vec<_> = tables
            .with_duplicates
            .iter()
            .map(|table| (table.name.as_str(), table.rows(), table.true_pairs()))
            .collect();
        assert_eq!(found, [("restaurant", 3, 1), ("D1", 3, 1)]);
        let row = vec!["art's deli".to_owned(), "studio city".to_owned()];
        assert!(tables.with_duplicates[0].table.rows.contains(&row));
        assert_eq!(tables.without_duplicates[0].rows(), 2);
        assert!(
            tables
                .missing
                .contains(&"er_splink/fake_1000.csv".to_owned())
        );
    }
}
