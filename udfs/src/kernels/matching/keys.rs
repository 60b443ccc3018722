//! Blocking keys: records that may match have a key in common.
//!
//! Most are MinHash bands at a low threshold, over the character n-grams of all values of a record, in whatever column:
//! so records share a key although a field has a typo, is missing or is in another column. In addition every value is a
//! key by itself; those that many records share have no effect, because large groups are not compared.
//!
//! The larger a table, the more of its records are similar by chance. A [`KeyPlan`], computed from a sample, keeps the
//! number of candidate pairs proportional to the number of rows.

use foldhash::{HashMap, HashMapExt, HashSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::comparer::Record;
use crate::kernels::minhash::{Banding, MinHasher, split_mix};

/// Part of the format: another seed is another hash of everything.
const SEED: u64 = 0x4B45_5953_0000_0001;

/// Bands of a record.
const BANDS: usize = 32;

/// Characters from which a value is a key by itself.
const SHORTEST_VALUE: usize = 3;

/// The lowest bits of a key are its kind: a band, a whole value, or a whole record.
const KIND: u64 = 3;
const OF_VALUE: u64 = 1;
const OF_RECORD: u64 = 2;

/// Rare runs that a record must have; of one with fewer all runs count.
const FEWEST_RUNS: usize = 8;

/// Records of a sample that a plan rests on.
const PLAN_ROWS: usize = 20_000;

/// Pairs that are compared of any table, and those for each of its rows.
const PAIRS: f64 = 2e6;
const PAIRS_OF_ROW: f64 = 8.0;

/// Maximum number of rows of a key whose pairs are all compared.
pub const FEW_ROWS: usize = 64;

/// Rows of a larger group with which each of its rows is compared.
pub const REPRESENTATIVES: usize = 8;

/// Rows up to which a value brings together as many rows as a band does, and one key is enough.
const SMALL_TABLE: u64 = 20_000;
const FEW_OF_VALUE: usize = 16;

/// Rows of a value that is as good as two keys.
pub const RARE_ROWS: usize = 4;

/// Occurrences in the sample from which a value is known to be frequent.
const FREQUENT: u32 = 4;

/// The blocking keys of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPlan {
    /// Values of a signature behind each band.
    pub band_rows: usize,
    /// N-grams that are too common to be informative, as hashes, ascending.
    pub common: Vec<u64>,
    /// Keys of values that are too frequent to bring anybody together, ascending.
    pub frequent: Vec<u64>,
    /// Rows of a value up to which it brings them together.
    pub value_rows: usize,
    /// Keys that two records must share; a value that [`RARE_ROWS`] or fewer have counts for two.
    pub least_shared: u32,
    /// Of texts in the place of records: what they are cut into, as `kernels::shingle` reads it.
    pub shingle: Option<String>,
}

impl Default for KeyPlan {
    fn default() -> Self {
        Self {
            band_rows: 2,
            common: Vec::new(),
            frequent: Vec::new(),
            value_rows: FEW_ROWS,
            least_shared: 1,
            shingle: None,
        }
    }
}

impl KeyPlan {
    /// Returns the same plan for a table of this many rows: how much records must share.
    #[must_use]
    pub fn for_rows(self, rows: u64) -> Self {
        let small = rows <= SMALL_TABLE;
        Self {
            value_rows: if small { FEW_ROWS } else { FEW_OF_VALUE },
            least_shared: if small { 1 } else { 2 },
            ..self
        }
    }

    /// Plans the keys of a table of this many rows from a sample: the shortest bands, over as many of the n-grams, that
    /// limit the number of pairs. `alone` has for each column whether its values are keys by themselves.
    pub fn learn(sample: &[Record], alone: &[bool], rows: u64) -> Self {
        let step = sample.len().div_ceil(PLAN_ROWS).max(1);
        let sample: Vec<&Record> = sample.iter().step_by(step).collect();
        let scale = rows as f64 / sample.len().max(1) as f64;
        let afforded = PAIRS.max(PAIRS_OF_ROW * rows as f64);
        let mut plan = Self::default().for_rows(rows);
        let runs = RunCounts::of(&sample);
        let mut keys = Vec::new();
        'found: for band_rows in 2..=8 {
            plan.band_rows = band_rows;
            for most in [1.0, 0.1, 0.03] {
                plan.common = runs.in_more_than(most);
                let mut maker = RecordKeys::new(&plan);
                keys.clear();
                for record in &sample {
                    maker.bands_of(record.iter().map(Option::as_deref), &mut keys);
                }
                keys.sort_unstable();
                if pairs_of(&keys, scale) <= afforded {
                    break 'found;
                }
            }
        }
        plan.common.sort_unstable();
        plan.frequent = frequent_values(&sample, alone, scale);
        plan.frequent.sort_unstable();
        plan
    }
}

/// Number of records of a sample that contain each n-gram.
struct RunCounts {
    counts: HashMap<u64, u32>,
    records: usize,
}

impl RunCounts {
    fn of(sample: &[&Record]) -> Self {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        let mut runs = Vec::new();
        for record in sample {
            runs.clear();
            for value in record.iter().flatten() {
                runs_of(value, |run| runs.push(run));
            }
            runs.sort_unstable();
            runs.dedup();
            for run in &runs {
                *counts.entry(*run).or_default() += 1;
            }
        }
        Self {
            counts,
            records: sample.len(),
        }
    }

    /// The runs that more than this share of the records have.
    fn in_more_than(&self, share: f64) -> Vec<u64> {
        let most = share * self.records as f64;
        let common = self
            .counts
            .iter()
            .filter(|(_, count)| f64::from(**count) > most);
        common.map(|(run, _)| *run).collect()
    }
}

/// The pairs that the sorted keys of a sample let expect of a table `scale` times as large.
fn pairs_of(keys: &[u64], scale: f64) -> f64 {
    let groups = keys.chunk_by(|left, right| left == right);
    let pairs = groups.map(|group| {
        let rows = group.len() as f64;
        let all = rows * (rows - 1.0) / 2.0 * scale * scale;
        // A mass, of which each row is compared with a few others.
        let thinned = rows * scale * REPRESENTATIVES as f64;
        match group.len() {
            4.. if rows * scale > FEW_ROWS as f64 => thinned.min(all),
            _ => all,
        }
    });
    pairs.sum()
}

/// The keys of values that are too frequent to bring anybody together.
fn frequent_values(sample: &[&Record], alone: &[bool], scale: f64) -> Vec<u64> {
    let mut counts: HashMap<u64, u32> = HashMap::new();
    for record in sample {
        let values = record.iter().zip(alone).filter(|(_, alone)| **alone);
        for value in values.filter_map(|(value, _)| value.as_deref()) {
            *counts.entry(value_key(hash_of(value))).or_default() += 1;
        }
    }
    let most = 2.0 * FEW_ROWS as f64;
    let frequent = counts
        .into_iter()
        .filter(|(_, count)| *count >= FREQUENT && f64::from(*count) * scale > most);
    frequent.map(|(value, _)| value).collect()
}

/// Makes the keys of records, one after the other, in memory that it keeps.
#[derive(Debug)]
pub struct RecordKeys {
    banding: Banding,
    hasher: MinHasher,
    common: HashSet<u64>,
    frequent: HashSet<u64>,
    runs: Vec<u64>,
    signature: Vec<u32>,
    bands: Vec<u64>,
}

impl RecordKeys {
    /// Keys by a plan.
    pub fn new(plan: &KeyPlan) -> Self {
        let banding = Banding::new(BANDS, plan.band_rows).unwrap_or_default();
        Self {
            hasher: MinHasher::new(banding.slots()),
            banding,
            common: plan.common.iter().copied().collect(),
            frequent: plan.frequent.iter().copied().collect(),
            runs: Vec::new(),
            signature: Vec::new(),
            bands: Vec::new(),
        }
    }

    /// Appends the keys of a record of comparable values, that of the whole record first; `alone` has for each column
    /// whether its values are keys by themselves.
    pub fn of<'a>(
        &mut self,
        record: impl Iterator<Item = (Option<&'a str>, bool)> + Clone,
        keys: &mut Vec<u64>,
    ) {
        let at = keys.len();
        // Its place, until all values are seen.
        keys.push(OF_RECORD);
        let mut whole: Option<u64> = None;
        for (column, (value, alone)) in record.clone().enumerate() {
            let Some(value) = value else { continue };
            let hash = hash_of(value);
            let own = spread(hash.wrapping_add(column as u64));
            whole = Some(whole.map_or(own, |whole| spread(whole.rotate_left(1) ^ own)));
            let letters = value.chars().filter(|c| *c != ' ');
            let key = value_key(hash);
            if alone
                && letters.take(SHORTEST_VALUE).count() == SHORTEST_VALUE
                && !self.frequent.contains(&key)
            {
                keys.push(key);
            }
        }
        let Some(whole) = whole else {
            keys.truncate(at);
            return;
        };
        keys[at] = whole & !KIND | OF_RECORD;
        self.bands_of(record.map(|(value, _)| value), keys);
    }

    /// Appends the keys of a record's bands.
    fn bands_of<'a>(
        &mut self,
        record: impl Iterator<Item = Option<&'a str>> + Clone,
        keys: &mut Vec<u64>,
    ) {
        let common = &self.common;
        let runs = &mut self.runs;
        runs.clear();
        for value in record.clone().flatten() {
            runs_of(value, |run| {
                if !common.contains(&run) {
                    runs.push(run);
                }
            });
        }
        if runs.len() < FEWEST_RUNS && !common.is_empty() {
            runs.clear();
            record
                .flatten()
                .for_each(|value| runs_of(value, |run| runs.push(run)));
        }
        if runs.is_empty() {
            return;
        }
        self.hasher.sign(runs, &mut self.signature);
        self.banding.keys(&self.signature, &mut self.bands);
        keys.extend(self.bands.iter().map(|key| Self::band(*key)));
    }

    /// Returns a band's key as one of nothing else.
    pub fn band(key: u64) -> u64 {
        key & !KIND
    }

    /// Returns the key of a whole text.
    pub fn text(text: &str) -> u64 {
        hash_of(text) & !KIND | OF_RECORD
    }

    /// Returns whether a key is a whole value.
    pub fn is_value(key: u64) -> bool {
        key & KIND == OF_VALUE
    }

    /// Returns whether a key is a whole record: rows that share it are the same.
    pub fn is_record(key: u64) -> bool {
        key & KIND == OF_RECORD
    }

    /// Returns the kind bits of a key.
    pub fn kind(key: u64) -> u64 {
        key & KIND
    }
}

fn hash_of(text: &str) -> u64 {
    xxh3_64_with_seed(text.as_bytes(), SEED)
}

/// The key of a value by its hash.
fn value_key(hash: u64) -> u64 {
    hash & !KIND | OF_VALUE
}

/// The runs of three characters of a value with a blank before and after it, as hashes.
fn runs_of(value: &str, mut take: impl FnMut(u64)) {
    // 21 bits hold a character.
    const RUN: u64 = (1 << 63) - 1;
    let mut run = u64::from(b' ');
    let mut before = 1;
    for character in value.chars().chain([' ']) {
        run = (run << 21 | u64::from(u32::from(character))) & RUN;
        before += 1;
        if before >= 3 {
            take(spread(run));
        }
    }
}

/// Spreads what differs in a few bits (the finaliser of SplitMix64).
fn spread(number: u64) -> u64 {
    let mut state = number ^ SEED;
    split_mix(&mut state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(plan: &KeyPlan, record: &[&str]) -> Vec<u64> {
        let mut keys = Vec::new();
        let values = record.iter().map(|value| (Some(*value), true));
        RecordKeys::new(plan).of(values, &mut keys);
        keys
    }

    fn shared(left: &[u64], right: &[u64]) -> usize {
        left.iter().filter(|key| right.contains(key)).count()
    }

    /// Records of one person share a key though a field has a typo, is missing or is in another column; those of
    /// different persons do not, and short values are not keys.
    #[test]
    fn who_meets() {
        let plan = KeyPlan::default();
        let keys = |record: &[&str]| keys(&plan, record);
        let ann = keys(&["ann", "johnson", "1971 06 24", "springfield"]);
        for other in [
            &["anne", "jonson", "1971 06 24", "springfield"][..],
            &["johnson", "ann", "1971 06 29", "springfeild"],
            &["johnson", "springfield"],
        ] {
            assert!(shared(&ann, &keys(other)) > 0, "{other:?}");
        }
        let stranger = keys(&["peter", "quill", "2003 11 02", "bath"]);
        assert_eq!(shared(&ann, &stranger), 0);
        assert!(!keys(&["us"]).iter().any(|key| RecordKeys::is_value(*key)));
        assert!(keys(&[]).is_empty());
        assert_eq!(keys(&["z\u{fc}rich"]).len(), BANDS + 2);
        assert_eq!(keys(&["z\u{fc}rich"])[0], keys(&["z\u{fc}rich"])[0]);
        assert!(RecordKeys::is_record(ann[0]) && !RecordKeys::is_value(ann[0]));
        // The same values in other columns are another record.
        let mut turned = Vec::new();
        let columns = [None, Some("ann")].map(|value| (value, true));
        RecordKeys::new(&plan).of(columns.into_iter(), &mut turned);
        assert_ne!(turned[0], keys(&["ann"])[0]);
    }

    /// What all records have in common is not a key, but a record of nothing else still shares a key with its copy.
    #[test]
    fn common_runs() {
        let sample: Vec<Record> = (0..1_000u32)
            .map(|row| {
                let name = format!("{:08x}", row.wrapping_mul(0x9E37_79B1));
                vec![Some(name), Some("main street springfield".to_owned())]
            })
            .collect();
        let plan = KeyPlan::learn(&sample, &[true, true], 10_000_000);
        assert!(plan.band_rows > 2 || !plan.common.is_empty(), "{plan:?}");
        assert_eq!(plan.least_shared, 2);
        let one = keys(&plan, &["0badcafe", "main street springfield"]);
        let two = keys(&plan, &["77120943", "main street springfield"]);
        assert_eq!(shared(&one, &two), 0);
        let same = keys(&plan, &["main street springfield"]);
        assert_eq!(shared(&same, &same.clone()), BANDS + 1);
    }

    /// Small tables take every run and the shortest bands, whatever order their rows are in.
    #[test]
    fn plans() {
        let record = |row: u32| vec![Some(format!("person {row}")), None];
        let mut sample: Vec<Record> = (0..500).map(record).collect();
        let plan = KeyPlan::learn(&sample, &[true, true], 500);
        assert_eq!(plan, KeyPlan::default());
        sample.reverse();
        let large = KeyPlan::learn(&sample, &[true, true], 1 << 40);
        assert!(large.band_rows > 2);
        assert_eq!(KeyPlan::learn(&[], &[], 0), KeyPlan::default());
    }
}
