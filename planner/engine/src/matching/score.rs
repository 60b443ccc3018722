//! Compares the records of pairs.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, RecordBatch,
    UInt64Array,
};
use arrow::datatypes::{Float64Type, Int32Type, UInt64Type};
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use datafusion::execution::memory_pool::MemoryReservation;
use udfs::kernels::matching::{
    Agreement, Chance, Comparer, Comparison, Level, Model, Pattern, Prepared, Sketch,
};
use udfs::kernels::shingle::{Shingler, Shingling, distinct, jaccard};

use super::index::FieldAgreement;
use super::options::{MatchingNeed, Method};
use super::records::{Place, Records};
use super::rows::shingling;
use super::sample::Sample;
use crate::error::{Error, Result};
use planner_base::in_threads;

/// Pairs that a thread compares at a time.
const CHUNK: usize = 8_192;

/// Score, with the weights of the outset, below which a pair is not looked at again: it counts as
/// one of two things.
const HOPELESS: f64 = -24.0;

/// The least mean likeness where weights are given and no threshold.
const WEIGHTED_THRESHOLD: f64 = 0.85;

/// Part of a threshold of likeness below which a pair is not looked at again.
const HOPELESS_SHARE: f64 = 0.7;

/// Steps of a similarity, which stands in the place of a rarity.
pub(super) const SIMILARITY_STEPS: f64 = 1_000_000.0;

/// Compares records.
#[derive(Debug)]
pub struct Scorer {
    pub(super) way: Way,
    linked: bool,
}

#[derive(Debug)]
pub(super) enum Way {
    Records {
        comparer: Box<Comparer>,
        chance: Chance,
        start: Model,
    },
    /// With weights that were given.
    Weighted {
        comparer: Box<Comparer>,
        weighing: Weighing,
    },
    Texts {
        shingling: Shingling,
        threshold: f64,
        /// Whether there are sketches in the place of texts.
        sketched: bool,
    },
}

/// How much each field counts, by weights that were given.
#[derive(Debug)]
pub(super) struct Weighing {
    /// Of each field; the parts of a column share its weight.
    weights: Vec<f64>,
    pub(super) threshold: f64,
}

impl Weighing {
    fn new(comparer: &Comparer, weights: &[f64], threshold: Option<f64>) -> Self {
        let columns: Vec<usize> = comparer.fields().map(|(column, ..)| column).collect();
        let weight = |column: &usize| {
            let parts = columns.iter().filter(|other| *other == column).count();
            weights.get(*column).copied().unwrap_or(1.0) / parts as f64
        };
        Self {
            weights: columns.iter().map(weight).collect(),
            threshold: threshold.unwrap_or(WEIGHTED_THRESHOLD),
        }
    }

    /// What each field adds to the likeness of a pair; none where a value is missing.
    pub(super) fn shares(&self, pattern: Pattern) -> Vec<Option<f64>> {
        let weighed = self.weights.iter().enumerate();
        let weighed = weighed.map(|(field, weight)| Some((pattern.level(field)?, *weight)));
        let weighed: Vec<_> = weighed.collect();
        let all: f64 = weighed.iter().flatten().map(|(_, weight)| weight).sum();
        let share = |(level, weight): (Level, f64)| level.likeness() * weight / all;
        weighed.into_iter().map(|field| field.map(share)).collect()
    }

    /// The mean likeness of the fields that both rows have; 0 where there is none.
    pub(super) fn likeness(&self, pattern: Pattern) -> f64 {
        let (mut sum, mut all) = (0.0, 0.0);
        for (field, weight) in self.weights.iter().enumerate() {
            if let Some(level) = pattern.level(field) {
                sum += level.likeness() * weight;
                all += weight;
            }
        }
        if all > 0.0 { sum / all } else { 0.0 }
    }
}

/// A compared pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScoredPair {
    /// The smaller row.
    pub left: u64,
    /// The greater row.
    pub right: u64,
    /// How far they agree, field by field.
    pub pattern: Pattern,
    /// The rarity of what they share; of texts, their similarity in millionths.
    pub rarity: i32,
    /// Whether nothing tells them apart.
    pub identical: bool,
    /// What decides who stays: the smaller.
    pub ranks: (u64, u64),
}

/// What comparing gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scored {
    /// The pairs that may match, ascending.
    pub pairs: Vec<ScoredPair>,
    /// All compared pairs, by field and level.
    pub found: Vec<[f64; 6]>,
    /// How many were compared.
    pub compared: u64,
}

impl Scorer {
    /// Learns from a sample what the fields are like, in so many threads.
    pub fn new(need: &MatchingNeed, sample: &Sample, threads: usize) -> Self {
        let linked = need.link_by.is_some();
        let way = match &need.method {
            Method::Texts { threshold, shingle } => Way::Texts {
                shingling: shingling(shingle.as_deref(), sample.shingle.as_deref()),
                threshold: *threshold,
                sketched: need.index.is_some(),
            },
            Method::Records {
                threshold,
                weights: Some(weights),
            } => {
                let comparer = Comparer::learn(&sample.records, false);
                Way::Weighted {
                    weighing: Weighing::new(&comparer, weights, *threshold),
                    comparer: Box::new(comparer),
                }
            }
            Method::Records { weights: None, .. } => {
                let comparer = Comparer::learn(&sample.records, true);
                let sides = linked.then_some(sample.sides.as_slice());
                let chance = comparer.chance(&sample.records, sides, sample.pairs(linked), threads);
                let columns = comparer.fields().map(|(column, ..)| column).collect();
                let before = agreement_before(&comparer, sample);
                let start = Model::start(columns, before, sample.rows() as f64, &chance);
                Way::Records {
                    comparer: Box::new(comparer),
                    chance,
                    start,
                }
            }
        };
        Self { way, linked }
    }

    /// Whether only rows of different sides are compared.
    pub(super) fn is_linked(&self) -> bool {
        self.linked
    }

    /// Compares the pairs in the logs of one bucket, in so many threads. The memory of the answer is
    /// asked of `memory`, and stays with it.
    pub fn score(
        &self,
        logs: &[RecordBatch],
        threads: usize,
        memory: &MemoryReservation,
    ) -> Result<Scored> {
        let records = Records::new(logs)?;
        let held = memory.new_empty();
        let pairs = records.pairs();
        held.try_grow(pairs.len() * size_of::<(Place, Place)>())?;
        let chunks: Vec<&[(Place, Place)]> = pairs.chunks(CHUNK).collect();
        let parts = in_threads(threads, chunks, |chunk| -> Result<_> {
            let part = self.chunk(&records, chunk);
            memory.try_grow(part.pairs.len() * size_of::<ScoredPair>())?;
            Ok(part)
        })?;
        let mut scored = Scored::default();
        for part in parts {
            scored.add(part);
        }
        Ok(scored)
    }

    /// Compares two records.
    pub(super) fn compare(
        &self,
        rows: (u64, u64),
        left: &[Option<String>],
        right: &[Option<String>],
    ) -> ScoredPair {
        let mut pair = ScoredPair {
            left: rows.0,
            right: rows.1,
            pattern: Pattern::default(),
            rarity: 0,
            identical: left == right,
            ranks: rows,
        };
        match &self.way {
            Way::Records { comparer, .. } | Way::Weighted { comparer, .. } => {
                let left = comparer.prepare(|column| left.get(column)?.as_deref());
                let right = comparer.prepare(|column| right.get(column)?.as_deref());
                let comparison = comparer.compare(&left, &right);
                (pair.pattern, pair.rarity) = (comparison.pattern, comparison.rarity);
            }
            Way::Texts {
                shingling,
                sketched,
                ..
            } => {
                let mut pieces = Pieces::new(*shingling, *sketched);
                let [left, right] = [left, right].map(|record| {
                    let text = record.first().and_then(Option::as_deref);
                    pieces.of(text.unwrap_or_default())
                });
                pair.rarity = in_steps(left.similarity(&right));
            }
        }
        pair
    }

    fn chunk(&self, records: &Records<'_>, pairs: &[(Place, Place)]) -> Scored {
        match &self.way {
            Way::Records {
                comparer, start, ..
            } => {
                let hopes = |pair: &Comparison| start.score(pair.pattern, pair.rarity) >= HOPELESS;
                compare_records(comparer, hopes, records, pairs)
            }
            Way::Weighted { comparer, weighing } => {
                let least = weighing.threshold * HOPELESS_SHARE;
                let hopes = |pair: &Comparison| weighing.likeness(pair.pattern) >= least;
                compare_records(comparer, hopes, records, pairs)
            }
            Way::Texts {
                shingling,
                threshold,
                sketched,
            } => {
                let pieces = Pieces::new(*shingling, *sketched);
                compare_texts(pieces, *threshold, records, pairs)
            }
        }
    }
}

/// A similarity in the place of a rarity.
fn in_steps(similarity: f64) -> i32 {
    (similarity * SIMILARITY_STEPS).round() as i32
}

fn scored_pair(records: &Records<'_>, (left, right): (Place, Place)) -> ScoredPair {
    ScoredPair {
        left: left.row,
        right: right.row,
        pattern: Pattern::default(),
        rarity: 0,
        identical: records.are_same(left, right),
        ranks: (records.rank(left), records.rank(right)),
    }
}

fn compare_records(
    comparer: &Comparer,
    hopes: impl Fn(&Comparison) -> bool,
    records: &Records<'_>,
    pairs: &[(Place, Place)],
) -> Scored {
    let fields = comparer.fields().count();
    let mut scored = Scored {
        found: vec![[0.0; 6]; fields],
        compared: pairs.len() as u64,
        ..Scored::default()
    };
    let prepare = |place: Place| comparer.prepare(|column| records.value(place, column));
    let mut left: Option<(u64, Prepared<'_>)> = None;
    for pair in pairs {
        let one = match left.take() {
            Some((row, prepared)) if row == pair.0.row => prepared,
            _ => prepare(pair.0),
        };
        let comparison = comparer.compare(&one, &prepare(pair.1));
        left = Some((pair.0.row, one));
        for (field, levels) in scored.found.iter_mut().enumerate() {
            if let Some(level) = comparison.pattern.level(field) {
                levels[level as usize] += 1.0;
            }
        }
        if hopes(&comparison) {
            scored.pairs.push(ScoredPair {
                pattern: comparison.pattern,
                rarity: comparison.rarity,
                ..scored_pair(records, *pair)
            });
        }
    }
    scored
}

/// Makes of texts what is compared of them.
struct Pieces {
    shingler: Shingler,
    sketched: bool,
    hashes: Vec<u64>,
}

/// What is compared of a text.
enum TextPieces {
    /// The hashes of its shingles, ascending.
    All(Vec<u64>),
    /// The smallest of them.
    Sketched(Sketch),
}

impl Pieces {
    fn new(shingling: Shingling, sketched: bool) -> Self {
        Self {
            shingler: Shingler::new(shingling),
            sketched,
            hashes: Vec::new(),
        }
    }

    fn of(&mut self, text: &str) -> TextPieces {
        if self.sketched {
            return TextPieces::Sketched(Sketch::from_text(text).unwrap_or_default());
        }
        self.shingler.shingle(text, &mut self.hashes);
        distinct(&mut self.hashes);
        TextPieces::All(self.hashes.clone())
    }
}

impl TextPieces {
    fn similarity(&self, other: &Self) -> f64 {
        match (self, other) {
            (Self::All(left), Self::All(right)) => jaccard(left, right),
            (Self::Sketched(left), Self::Sketched(right)) => left.jaccard(right),
            _ => 0.0,
        }
    }
}

fn compare_texts(
    mut pieces: Pieces,
    threshold: f64,
    records: &Records<'_>,
    pairs: &[(Place, Place)],
) -> Scored {
    let mut scored = Scored {
        compared: pairs.len() as u64,
        ..Scored::default()
    };
    let mut left: Option<(u64, TextPieces)> = None;
    let mut of = |place: Place| pieces.of(records.value(place, 0).unwrap_or_default());
    for pair in pairs {
        let one = match left.take() {
            Some((row, one)) if row == pair.0.row => one,
            _ => of(pair.0),
        };
        let similarity = one.similarity(&of(pair.1));
        left = Some((pair.0.row, one));
        if similarity >= threshold * HOPELESS_SHARE {
            scored.pairs.push(ScoredPair {
                rarity: in_steps(similarity),
                ..scored_pair(records, *pair)
            });
        }
    }
    scored
}

/// What an earlier output tells of the fields; of those that it does not know, the usual.
pub(super) fn agreement_before(comparer: &Comparer, sample: &Sample) -> Vec<Agreement> {
    let fields = comparer.fields();
    let known = fields.map(|(column, part, kind)| {
        let mut known = sample.agreement.iter();
        let known = known.find(|known| {
            known.column == column && known.part == part.name() && known.kind == kind.name()
        });
        known.map_or_else(Agreement::default, FieldAgreement::agreement)
    });
    known.collect()
}

impl Scored {
    /// Adds what comparing other pairs gave.
    pub fn add(&mut self, other: Self) {
        if self.found.len() < other.found.len() {
            self.found.resize(other.found.len(), [0.0; 6]);
        }
        for (total, found) in self.found.iter_mut().zip(&other.found) {
            for (total, found) in total.iter_mut().zip(found) {
                *total += found;
            }
        }
        self.compared += other.compared;
        self.pairs.extend(other.pairs);
    }

    /// How many pairs were compared, and their levels, as a batch.
    pub fn told(&self) -> Result<RecordBatch> {
        let levels = self.found.iter().flatten().copied();
        let numbers = std::iter::once(self.compared as f64).chain(levels);
        let numbers = Float64Array::from_iter_values(numbers);
        Ok(RecordBatch::try_from_iter([(
            "told",
            Arc::new(numbers) as ArrayRef,
        )])?)
    }

    /// Writes the pairs as an Arrow IPC file.
    pub fn write(&self, to: &mut impl std::io::Write) -> Result<()> {
        let batch = self.batch()?;
        let mut writer = FileWriter::try_new(to, &batch.schema())?;
        writer.write(&batch)?;
        Ok(writer.finish()?)
    }

    /// Reads what [`Scored::told`] and [`Scored::write`] gave.
    pub fn read(told: &RecordBatch, file: impl std::io::Read + std::io::Seek) -> Result<Self> {
        let mut reader = FileReader::try_new(file, None)?;
        let pairs = reader.next().ok_or(Error::Bug("a file without pairs"))??;
        Self::of(told, &pairs)
    }

    fn of(told: &RecordBatch, pairs: &RecordBatch) -> Result<Self> {
        let numbers = told.column(0).as_primitive_opt::<Float64Type>();
        let numbers = numbers.ok_or(Error::Bug("levels that are none"))?.values();
        let found = numbers.get(1..).unwrap_or_default().chunks_exact(6);
        let mut scored = Self {
            compared: numbers.first().copied().unwrap_or_default() as u64,
            found: found
                .map(|levels| std::array::from_fn(|level| levels[level]))
                .collect(),
            pairs: Vec::with_capacity(pairs.num_rows()),
        };
        let number = |place: usize| pairs.column(place).as_primitive_opt::<UInt64Type>();
        let (Some(left), Some(right)) = (number(0), number(1)) else {
            return Err(Error::Bug("pairs without rows"));
        };
        let patterns = pairs.column(2).as_fixed_size_binary_opt();
        let rarity = pairs.column(3).as_primitive_opt::<Int32Type>();
        let identical = pairs.column(4).as_boolean_opt();
        let (Some(patterns), Some(rarity), Some(identical)) = (patterns, rarity, identical) else {
            return Err(Error::Bug("pairs without patterns"));
        };
        let (Some(left_rank), Some(right_rank)) = (number(5), number(6)) else {
            return Err(Error::Bug("pairs without ranks"));
        };
        for row in 0..pairs.num_rows() {
            let pattern: [u8; 16] = patterns
                .value(row)
                .try_into()
                .map_err(|_| Error::Bug("a pattern that has not 16 bytes"))?;
            scored.pairs.push(ScoredPair {
                left: left.value(row),
                right: right.value(row),
                pattern: Pattern(u128::from_le_bytes(pattern)),
                rarity: rarity.value(row),
                identical: identical.value(row),
                ranks: (left_rank.value(row), right_rank.value(row)),
            });
        }
        Ok(scored)
    }

    /// The pairs as a batch.
    fn batch(&self) -> Result<RecordBatch> {
        let pairs = self.pairs.iter();
        let number = |of: fn(&ScoredPair) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(self.pairs.iter().map(of)))
        };
        let patterns: Vec<u8> = pairs
            .clone()
            .flat_map(|pair| pair.pattern.0.to_le_bytes())
            .collect();
        let patterns = FixedSizeBinaryArray::try_new(16, patterns.into(), None)?;
        let rarity = Int32Array::from_iter_values(pairs.clone().map(|pair| pair.rarity));
        let identical: BooleanArray = pairs.map(|pair| Some(pair.identical)).collect();
        Ok(RecordBatch::try_from_iter([
            ("left", number(|pair| pair.left)),
            ("right", number(|pair| pair.right)),
            ("pattern", Arc::new(patterns) as ArrayRef),
            ("rarity", Arc::new(rarity)),
            ("identical", Arc::new(identical)),
            ("left_rank", number(|pair| pair.ranks.0)),
            ("right_rank", number(|pair| pair.ranks.1)),
        ])?)
    }
}
