//! Compares records field by field, with statistics of the fields from a sample of the table.

use std::cell::OnceCell;

use foldhash::{HashMap, HashMapExt, HashSet};

use super::compare::level;
use super::field::{Field, Kind, Part, Value, identity, is_mixed};
use super::model::Chance;
use super::pattern::{Level, MOST_FIELDS, Pattern};
use super::sketch::Sketch;
use crate::kernels::minhash::split_mix;

/// The comparable values of a row's columns.
pub type Record = Vec<Option<String>>;

/// Rows from which a column without repeats is taken for an identifier.
const IDENTIFIER_ROWS: usize = 20;

/// Rows that share two values from which the values are taken to be dependent: more than an entity has copies.
const TOGETHER: u32 = 10;

/// Random pairs that are compared to learn what chance gives.
const CHANCE_PAIRS: usize = 100_000;

/// Part of the format: another seed is another choice of pairs.
const SEED: u64 = 0x4348_414E_4345_0001;

/// Steps of [`Comparison::rarity`] in one natural logarithm.
pub(super) const RARITY_STEPS: f64 = 256.0;

/// Compares records.
#[derive(Debug)]
pub struct Comparer {
    fields: Vec<Field>,
    /// Fields that are exchanged in some records.
    exchanges: Vec<(usize, usize)>,
    /// How many rows of the sample hold two frequent values together.
    together: HashMap<(usize, u64, usize, u64), u32>,
    /// Columns that are not compared, and why.
    left_out: Vec<(usize, &'static str)>,
}

/// A record, ready to be compared.
#[derive(Debug, Clone)]
pub struct Prepared<'a>(Vec<Slot<'a>>);

/// A record's value of a field's column, and what the field makes of it once that is asked for.
#[derive(Debug, Clone)]
struct Slot<'a> {
    text: Option<&'a str>,
    value: OnceCell<Option<Value<'a>>>,
}

/// What comparing two records gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// The levels of the fields.
    pub pattern: Pattern,
    /// How rare the values are that both hold, together: 256 for each factor of e.
    pub rarity: i32,
}

impl Comparison {
    /// Returns what the rarity adds to the score of a pair.
    pub fn rarity_of(steps: i32) -> f64 {
        f64::from(steps) / RARITY_STEPS
    }
}

impl Comparer {
    /// Learns the fields of a table from a sample of its rows, all of the same columns; `chooses` selects whether
    /// columns that do not identify entities are excluded.
    pub fn learn(sample: &[Record], chooses: bool) -> Self {
        let columns = sample.first().map_or(0, Vec::len);
        let mut left_out = if chooses {
            dependent_columns(sample, columns)
        } else {
            Vec::new()
        };
        let mut fields = Vec::new();
        for column in 0..columns {
            if left_out.iter().any(|(left, _)| *left == column) {
                continue;
            }
            let values = || sample.iter().map(move |record| record[column].as_deref());
            if let Some(reason) = useless(values()).filter(|_| chooses) {
                left_out.push((column, reason));
                continue;
            }
            let parts = if is_mixed(values().flatten()) {
                &[Part::Words, Part::Numbers][..]
            } else {
                &[Part::Whole]
            };
            for part in parts {
                if fields.len() < MOST_FIELDS {
                    fields.push(Field::learn(column, *part, values()));
                }
            }
        }
        left_out.sort_unstable();
        let exchanges = exchanges(&fields, sample);
        let mut comparer = Self {
            fields,
            exchanges,
            together: HashMap::new(),
            left_out,
        };
        comparer.count_together(sample);
        comparer
    }

    /// Returns column, part and kind of each field.
    pub fn fields(&self) -> impl Iterator<Item = (usize, Part, Kind)> + '_ {
        let fields = self.fields.iter();
        fields.map(|field| (field.column, field.part, field.kind))
    }

    /// Columns that are not compared, and why.
    pub fn left_out(&self) -> &[(usize, &'static str)] {
        &self.left_out
    }

    /// Pairs of columns whose values are found in each other's place.
    pub fn exchanged_columns(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let pairs = self.exchanges.iter();
        pairs.map(|(one, two)| (self.fields[*one].column, self.fields[*two].column))
    }

    /// Returns a record, ready to be compared.
    pub fn prepare<'a>(&self, value: impl Fn(usize) -> Option<&'a str>) -> Prepared<'a> {
        let fields = self.fields.iter();
        let slot = |field: &Field| Slot {
            text: value(field.column),
            value: OnceCell::new(),
        };
        Prepared(fields.map(slot).collect())
    }

    /// What a field makes of a record's value; none where it has nothing of it.
    fn value<'p, 'a>(&self, record: &'p Prepared<'a>, field: usize) -> Option<&'p Value<'a>> {
        let slot = &record.0[field];
        let prepare = || self.fields[field].prepare(slot.text?);
        slot.value.get_or_init(prepare).as_ref()
    }

    /// The level of a field of two records, and whether both hold the very same value; none where one has
    /// nothing.
    fn level(
        &self,
        field: usize,
        left: &Prepared<'_>,
        right: &Prepared<'_>,
    ) -> Option<(Level, bool)> {
        if left.0[field].text? == right.0[field].text? {
            return self.value(left, field).map(|_| (Level::Same, true));
        }
        let (one, two) = (self.value(left, field)?, self.value(right, field)?);
        let of = &self.fields[field];
        Some((level(of, of.kind, one, two), one.id == two.id))
    }

    /// Compares two records.
    pub fn compare(&self, left: &Prepared<'_>, right: &Prepared<'_>) -> Comparison {
        let mut pattern = Pattern::default();
        for field in 0..self.fields.len() {
            if let Some((level, identical)) = self.level(field, left, right) {
                pattern.set(field, level, identical);
            }
        }
        for (one, two) in &self.exchanges {
            if self.exchange(*one, *two, left, right, &mut pattern) {
                break;
            }
        }
        let rarity = self.rarity(left, pattern);
        Comparison {
            pattern,
            rarity: (rarity * RARITY_STEPS).round() as i32,
        }
    }

    /// Compares two fields crosswise, and keeps that where it is much better.
    fn exchange(
        &self,
        one: usize,
        two: usize,
        left: &Prepared<'_>,
        right: &Prepared<'_>,
        pattern: &mut Pattern,
    ) -> bool {
        let straight = [pattern.level(one), pattern.level(two)];
        if straight.iter().any(|level| *level >= Some(Level::Near)) {
            return false;
        }
        let crossed = |from: usize, to: usize| {
            let (one, two) = (self.value(left, from)?, self.value(right, to)?);
            let kind = self.fields[from].kind;
            Some(level(&self.fields[from], kind, one, two))
        };
        let crossed = [crossed(one, two), crossed(two, one)];
        let worth = |levels: [Option<Level>; 2]| -> i32 {
            let worth = |level: Option<Level>| match level {
                None => 0,
                Some(Level::Different) => -1,
                Some(level) => level as i32,
            };
            levels.into_iter().map(worth).sum()
        };
        let finds = crossed.iter().any(|level| *level >= Some(Level::Close));
        if !finds || worth(crossed) < worth(straight) + 3 {
            return false;
        }
        for (field, level) in [one, two].into_iter().zip(crossed) {
            match level {
                Some(level) => pattern.set(field, level, false),
                None => pattern.clear(field),
            }
        }
        pattern.set_exchanged();
        true
    }

    /// How improbable it is that chance gives the values that both hold: the product of their
    /// frequencies, of values that depend on one another the frequency given the other.
    fn rarity(&self, left: &Prepared<'_>, pattern: Pattern) -> f64 {
        let mut shared: Vec<(u32, usize, u64)> = Vec::new();
        for number in (0..self.fields.len()).filter(|number| pattern.is_identical(*number)) {
            if let Some(value) = self.value(left, number) {
                shared.push((value.count, number, value.id));
            }
        }
        shared.sort_unstable();
        let mut rarity = 0.0;
        for (place, (count, number, id)) in shared.iter().enumerate() {
            let present = self.fields[*number].present.max(1);
            let mut frequency = f64::from(*count) / f64::from(present);
            for (rarer, other, other_id) in &shared[..place] {
                let key = if other < number {
                    (*other, *other_id, *number, *id)
                } else {
                    (*number, *id, *other, *other_id)
                };
                if let Some(together) = self.together.get(&key) {
                    // Without the pair itself, and drawn a little towards independence.
                    let given = (f64::from(*together) - 2.0) / (f64::from(*rarer) + 2.0);
                    frequency = frequency.max(given);
                }
            }
            rarity -= frequency.ln();
        }
        rarity
    }

    /// Counts the rows that hold two frequent values together.
    fn count_together(&mut self, sample: &[Record]) {
        let mut together: HashMap<(usize, u64, usize, u64), u32> = HashMap::new();
        for record in sample {
            let mut frequent: Vec<(usize, u64)> = Vec::new();
            for (number, field) in self.fields.iter().enumerate() {
                let value = record[field.column].as_deref();
                let Some(value) = value.and_then(|value| field.part.of(value)) else {
                    continue;
                };
                let id = identity(&value);
                if field
                    .counts
                    .get(&id)
                    .is_some_and(|count| *count >= TOGETHER)
                {
                    frequent.push((number, id));
                }
            }
            for (place, (one, one_id)) in frequent.iter().enumerate() {
                for (two, two_id) in &frequent[place + 1..] {
                    *together.entry((*one, *one_id, *two, *two_id)).or_default() += 1;
                }
            }
        }
        together.retain(|_, count| *count >= TOGETHER);
        self.together = together;
    }

    /// Returns what chance gives: the levels of random pairs of a sample. With `sides`, of pairs whose rows are of
    /// different sides. `pairs` is the number of pairs in the table. Runs on this many threads.
    pub fn chance(
        &self,
        sample: &[Record],
        sides: Option<&[u64]>,
        pairs: f64,
        threads: usize,
    ) -> Chance {
        let drawn = draw_pairs(sample.len(), sides);
        let share = drawn.len().div_ceil(threads.max(1)).max(1);
        let parts: Vec<Vec<[f64; 6]>> = std::thread::scope(|scope| {
            let parts = drawn.chunks(share);
            let workers = parts.map(|part| scope.spawn(|| self.count_levels(sample, part)));
            let workers: Vec<_> = workers.collect();
            let counted = workers.into_iter().map(|worker| match worker.join() {
                Ok(counts) => counts,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            counted.collect()
        });
        let mut counts = vec![[0.0; 6]; self.fields.len()];
        for part in &parts {
            for (counts, part) in counts.iter_mut().zip(part) {
                for (count, part) in counts.iter_mut().zip(part) {
                    // Whole numbers: the order is of no effect.
                    *count += part;
                }
            }
        }
        let scale = pairs / drawn.len().max(1) as f64;
        for levels in &mut counts {
            levels.iter_mut().for_each(|count| *count *= scale);
        }
        Chance { counts, pairs }
    }

    fn count_levels(&self, sample: &[Record], pairs: &[(usize, usize)]) -> Vec<[f64; 6]> {
        let mut counts = vec![[0.0; 6]; self.fields.len()];
        for (one, two) in pairs {
            let [one, two] =
                [one, two].map(|row| self.prepare(|column| sample[*row][column].as_deref()));
            for (field, counts) in counts.iter_mut().enumerate() {
                if let Some((level, _)) = self.level(field, &one, &two) {
                    counts[level as usize] += 1.0;
                }
            }
        }
        counts
    }
}

/// Returns random pairs of this many rows; with `sides`, of rows of different sides.
fn draw_pairs(rows: usize, sides: Option<&[u64]>) -> Vec<(usize, usize)> {
    let all = rows.saturating_mul(rows.saturating_sub(1)) / 2;
    let wanted = CHANCE_PAIRS.min(all.saturating_mul(3));
    let (mut drawn, mut state) = (Vec::with_capacity(wanted), SEED);
    for _ in 0..wanted * 8 {
        if drawn.len() == wanted {
            break;
        }
        let one = (split_mix(&mut state) % rows.max(1) as u64) as usize;
        let two = (split_mix(&mut state) % rows.max(1) as u64) as usize;
        if one != two && sides.is_none_or(|sides| sides[one] != sides[two]) {
            drawn.push((one, two));
        }
    }
    drawn
}

/// Returns why the values of a column do not identify entities; `None` if they do.
fn useless<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Option<&'static str> {
    let mut distinct: HashSet<&str> = HashSet::default();
    let (mut present, mut coded, mut rows) = (0usize, 0usize, 0usize);
    for value in values {
        rows += 1;
        let Some(value) = value else { continue };
        present += 1;
        let word = !value.contains(' ') || value.len() >= 32;
        coded += usize::from(word && value.bytes().any(|byte| byte.is_ascii_digit()));
        distinct.insert(value);
    }
    if distinct.len() <= 1 {
        return Some("holds one value only");
    }
    let identifies = present == rows && present >= IDENTIFIER_ROWS && distinct.len() == present;
    (identifies && coded == present).then_some("numbers the rows")
}

/// Columns that repeat what others of the same row say, such as a full name beside its parts: they
/// would count twice. The one with the most words goes first.
fn dependent_columns(sample: &[Record], columns: usize) -> Vec<(usize, &'static str)> {
    let rows = &sample[..sample.len().min(2_000)];
    let words = |column: usize| -> usize {
        let values = rows.iter().filter_map(|record| record[column].as_deref());
        values.map(|value| pieces(value).count()).sum()
    };
    let mut order: Vec<usize> = (0..columns).collect();
    order.sort_by_key(|column| {
        (
            std::cmp::Reverse(words(*column)),
            std::cmp::Reverse(*column),
        )
    });
    let mut dependent: Vec<(usize, &'static str)> = Vec::new();
    for column in order {
        let (mut covered, mut all) = (0usize, 0usize);
        for record in rows {
            let Some(value) = record[column].as_deref() else {
                continue;
            };
            let others = (0..columns).filter(|other| {
                *other != column && !dependent.iter().any(|(left, _)| left == other)
            });
            let others: HashSet<&str> = others
                .filter_map(|other| record[other].as_deref())
                .flat_map(pieces)
                .collect();
            all += pieces(value).count();
            covered += pieces(value).filter(|word| others.contains(word)).count();
        }
        if all > 0 && covered * 100 >= all * 95 {
            dependent.push((column, "repeats other columns"));
        }
    }
    dependent
}

/// The words of a value; of a sketch, its pieces.
fn pieces(value: &str) -> impl Iterator<Item = &str> {
    let head = usize::from(Sketch::is_sketch(value));
    value.split(' ').skip(head)
}

/// Returns pairs of text fields that have values in common: in some rows they are exchanged.
fn exchanges(fields: &[Field], sample: &[Record]) -> Vec<(usize, usize)> {
    let values: Vec<Option<HashSet<&str>>> = fields
        .iter()
        .map(|field| {
            let fits = matches!(field.kind, Kind::Text | Kind::Sketch) && field.part == Part::Whole;
            let values = sample
                .iter()
                .filter_map(|record| record[field.column].as_deref());
            fits.then(|| values.collect())
        })
        .collect();
    let mut found = Vec::new();
    for (one, left) in values.iter().enumerate() {
        for (two, right) in values.iter().enumerate().skip(one + 1) {
            let (Some(left), Some(right)) = (left, right) else {
                continue;
            };
            if fields[one].kind != fields[two].kind {
                continue;
            }
            let shared = left.intersection(right).count();
            if shared >= 5 && shared * 20 >= left.len().min(right.len()) {
                found.push((one, two));
            }
        }
    }
    found
}
