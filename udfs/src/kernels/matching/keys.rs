//! Keys by which records that may match find one another.
//!
//! Most come from MinHash bands at a low threshold, over the character runs of all of a record's
//! values, whatever column they stand in: so records meet although a field has a slip, is missing or
//! stands in another column. Beside them every value is a key by itself; those that many records
//! share bring nobody together, as whoever reads the keys takes small groups only.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::kernels::minhash::{Banding, MinHasher};

/// Part of what is stored: another seed is another hash of everything.
const SEED: u64 = 0x4B45_5953_0000_0001;

/// Characters of a run.
const RUN: usize = 3;

/// Bands of a record.
const BANDS: usize = 32;

/// Characters from which a value is a key by itself.
const SHORTEST_VALUE: usize = 3;

/// The lowest bit of a key that is a whole value.
const WHOLE_VALUE: u64 = 1;

/// Makes the keys of records, one after the other, in memory that it keeps.
#[derive(Debug)]
pub struct RecordKeys {
    banding: Banding,
    hasher: MinHasher,
    runs: Vec<u64>,
    signature: Vec<u32>,
    bands: Vec<u64>,
    padded: String,
    places: Vec<usize>,
}

impl RecordKeys {
    /// Keys for a table of so many rows: the more there are, the more alike two records must be to
    /// meet by chance of a band, or everything would meet everything.
    pub fn new(rows: u64) -> Self {
        let length = match rows {
            0..=20_000 => 2,
            20_001..=2_000_000 => 3,
            _ => 4,
        };
        let banding = Banding::new(BANDS, length).unwrap_or_default();
        Self {
            hasher: MinHasher::new(banding.slots()),
            banding,
            runs: Vec::new(),
            signature: Vec::new(),
            bands: Vec::new(),
            padded: String::new(),
            places: Vec::new(),
        }
    }

    /// Appends the keys of a record of comparable values; `alone` tells of each column whether its
    /// values are keys by themselves.
    pub fn of<'a>(
        &mut self,
        record: impl Iterator<Item = (Option<&'a str>, bool)>,
        keys: &mut Vec<u64>,
    ) {
        self.runs.clear();
        for (value, alone) in record {
            let Some(value) = value else { continue };
            self.add_runs(value);
            if alone && value.chars().filter(|c| *c != ' ').count() >= SHORTEST_VALUE {
                keys.push(xxh3_64_with_seed(value.as_bytes(), SEED) | WHOLE_VALUE);
            }
        }
        if self.runs.is_empty() {
            return;
        }
        self.hasher.sign(&self.runs, &mut self.signature);
        self.banding.keys(&self.signature, &mut self.bands);
        keys.extend(self.bands.iter().map(|key| Self::band(*key)));
    }

    /// A band's key as one that is no whole value.
    pub fn band(key: u64) -> u64 {
        key & !WHOLE_VALUE
    }

    /// Whether a key is a whole value.
    pub fn is_value(key: u64) -> bool {
        key & WHOLE_VALUE != 0
    }

    /// The runs of characters of a value with a blank before and after it.
    fn add_runs(&mut self, value: &str) {
        self.padded.clear();
        self.padded.push(' ');
        self.padded.push_str(value);
        self.padded.push(' ');
        let bytes = self.padded.as_bytes();
        let hash = |run: &[u8]| xxh3_64_with_seed(run, SEED);
        if self.padded.is_ascii() {
            self.runs.extend(bytes.windows(RUN).map(hash));
            return;
        }
        self.places.clear();
        let starts = self.padded.char_indices().map(|(start, _)| start);
        self.places.extend(starts);
        self.places.push(bytes.len());
        let ends = self.places.get(RUN..).unwrap_or_default();
        let runs = self.places.iter().zip(ends);
        self.runs
            .extend(runs.map(|(start, end)| hash(&bytes[*start..*end])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(rows: u64, record: &[&str]) -> Vec<u64> {
        let mut keys = Vec::new();
        let values = record.iter().map(|value| (Some(*value), true));
        RecordKeys::new(rows).of(values, &mut keys);
        keys
    }

    fn shared(left: &[u64], right: &[u64]) -> usize {
        left.iter().filter(|key| right.contains(key)).count()
    }

    /// Records of one person meet though a field has a slip, is missing or stands elsewhere;
    /// strangers do not, and short values are no keys.
    #[test]
    fn who_meets() {
        let ann = keys(1_000, &["ann", "johnson", "1971 06 24", "springfield"]);
        for other in [
            &["anne", "jonson", "1971 06 24", "springfield"][..],
            &["johnson", "ann", "1971 06 29", "springfeild"],
            &["johnson", "springfield"],
        ] {
            assert!(shared(&ann, &keys(1_000, other)) > 0, "{other:?}");
        }
        let stranger = keys(1_000, &["peter", "quill", "2003 11 02", "bath"]);
        assert_eq!(shared(&ann, &stranger), 0);
        assert!(
            !keys(1_000, &["us"])
                .iter()
                .any(|key| RecordKeys::is_value(*key))
        );
        assert!(keys(1_000, &[]).is_empty());
        assert_eq!(keys(1_000, &["z\u{fc}rich"]).len(), BANDS + 1);
    }
}
