//! Decides whether a column holds personal data, from all its cells and its name.
//!
//! A cell alone proves little: one in ten arbitrary sixteen-digit numbers passes for a card. So
//! the share of the non-null cells that are hits is weighed against the share chance would give
//! (a likelihood ratio of two binomials), and the name of the column is weighed with it. The
//! answer may be that the column holds nothing, or that it holds free text with data inside.

use super::detect::{Detector, spans};
use super::entity::{ENTITY_COUNT, Entity};
use super::name::{self, NameHint};

pub use super::name::is_about_a_person;

/// A match counts as the whole cell when at most this many bytes surround it.
const MARGIN_BYTES: usize = 2;

/// What the cells of a column were; counts of parts of a column add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnEvidence {
    cells: u64,
    /// Cells that as a whole may be this, however weakly.
    may_be: [u64; ENTITY_COUNT],
    /// Cells that as a whole are this by themselves, without a name to say so.
    is: [u64; ENTITY_COUNT],
    /// Cells with other text around a span of this.
    contains: [u64; ENTITY_COUNT],
    /// Cells of letters in one to six words, as names of persons are.
    name_like: u64,
    /// Cells of two or three words, as a first and a last name are.
    full_name_like: u64,
    /// Cells that begin like a date, or are one.
    date_like: u64,
    /// Cells of several words with letters, as addresses and places are.
    place_like: u64,
    /// Cells of digits, signs and separators only.
    numeric: u64,
}

impl Default for ColumnEvidence {
    fn default() -> Self {
        Self {
            cells: 0,
            may_be: [0; ENTITY_COUNT],
            is: [0; ENTITY_COUNT],
            contains: [0; ENTITY_COUNT],
            name_like: 0,
            full_name_like: 0,
            date_like: 0,
            place_like: 0,
            numeric: 0,
        }
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PiiFinding {
    /// The kind of personal data.
    pub entity: Entity,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
    /// Share of the non-null cells that are of the kind, or in free text contain it.
    pub hit_rate: f64,
    /// The data occurs within other text: spans are to be hidden, not whole cells.
    pub free_text: bool,
}

impl ColumnEvidence {
    /// Counts one non-null cell; cells of white space only count for nothing.
    pub fn observe(&mut self, detector: &Detector, cell: &str) {
        let text = cell.trim();
        if text.is_empty() {
            return;
        }
        self.cells += 1;
        self.observe_shape(text);
        let (mut may_be, mut is) = ([false; ENTITY_COUNT], [false; ENTITY_COUNT]);
        let candidates = detector.candidates(text);
        if candidates.is_empty() {
            return;
        }
        for candidate in &candidates {
            if candidate.start + (text.len() - candidate.end) <= MARGIN_BYTES {
                let entity = candidate.entity.index();
                may_be[entity] = true;
                is[entity] |= stands_without_name(candidate.entity, candidate.score);
            }
        }
        for entity in 0..ENTITY_COUNT {
            self.may_be[entity] += u64::from(may_be[entity]);
            self.is[entity] += u64::from(is[entity]);
        }
        if may_be.contains(&true) {
            return;
        }
        let mut contains = [false; ENTITY_COUNT];
        for span in spans(text, &candidates) {
            contains[span.entity.index()] = true;
        }
        for (count, seen) in self.contains.iter_mut().zip(contains) {
            *count += u64::from(seen);
        }
    }

    fn observe_shape(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let words = text.split_whitespace().count();
        let is_name = digits == 0
            && letters >= 2
            && words <= 6
            && text
                .chars()
                .all(|c| c.is_alphabetic() || c.is_whitespace() || "'-.,’".contains(c));
        self.name_like += u64::from(is_name);
        self.full_name_like +=
            u64::from(is_name && matches!(words, 2 | 3) && !name::is_title(text));
        self.date_like += u64::from(name::is_date_like(text));
        self.place_like += u64::from(letters >= 3 && text.len() <= 120);
        self.numeric += u64::from(digits > 0 && letters == 0);
    }

    /// Adds the counts of another part of the same column.
    pub fn merge(&mut self, other: &Self) {
        self.cells += other.cells;
        for (mine, others) in [
            (&mut self.may_be, &other.may_be),
            (&mut self.is, &other.is),
            (&mut self.contains, &other.contains),
        ] {
            for (count, more) in mine.iter_mut().zip(others) {
                *count += more;
            }
        }
        self.name_like += other.name_like;
        self.full_name_like += other.full_name_like;
        self.date_like += other.date_like;
        self.place_like += other.place_like;
        self.numeric += other.numeric;
    }

    /// Returns the number of cells counted.
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// Returns what the column holds, or `None` when it is no personal data.
    pub fn decide(&self, column_name: &str) -> Option<PiiFinding> {
        if self.cells == 0 {
            return None;
        }
        let hint = name::hint(column_name);
        self.whole_cells(hint)
            .or_else(|| self.by_name_and_shape(hint))
            .or_else(|| self.free_text())
    }

    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.cells as f64
    }

    /// The kind that the cells as a whole are most surely.
    fn whole_cells(&self, hint: NameHint) -> Option<PiiFinding> {
        Entity::ALL
            .into_iter()
            .filter_map(|entity| {
                let named = hint.names(entity);
                // Dates, and forms that everything fits, are decided by name below.
                let hits = if named {
                    self.may_be[entity.index()]
                } else {
                    self.is[entity.index()]
                };
                let hit_rate = self.rate(hits);
                if entity == Entity::DateOfBirth || hit_rate < 0.3 {
                    return None;
                }
                let evidence = self.evidence(entity, hits) + prior(entity, hint);
                let confidence = 1.0 / (1.0 + (-evidence).exp());
                (confidence >= 0.5).then_some(PiiFinding {
                    entity,
                    confidence: confidence.min(0.999) * surety(entity, named),
                    hit_rate,
                    free_text: false,
                })
            })
            .max_by(|one, two| {
                one.confidence
                    .total_cmp(&two.confidence)
                    .then_with(|| one.hit_rate.total_cmp(&two.hit_rate))
                    .then_with(|| two.entity.cmp(&one.entity))
            })
    }

    /// Logarithm of how much more likely so many hits are in a column of the kind, where nine in
    /// ten cells are, than by chance.
    fn evidence(&self, entity: Entity, hits: u64) -> f64 {
        const OF_KIND: f64 = 0.9;
        let chance = chance(entity);
        let misses = (self.cells - hits) as f64;
        hits as f64 * (OF_KIND / chance).ln() + misses * ((1.0 - OF_KIND) / (1.0 - chance)).ln()
    }

    /// Names, places and dates of birth have no form of their own: the name of the column says
    /// it, and the cells must not contradict.
    fn by_name_and_shape(&self, hint: NameHint) -> Option<PiiFinding> {
        let NameHint::Entity(entity, trust) = hint else {
            return None;
        };
        let shaped = match entity {
            // "name" alone may be that of anything.
            Entity::Person if trust < 0.7 => self.full_name_like,
            Entity::Person => self.name_like,
            Entity::DateOfBirth => self.date_like,
            Entity::Location => self.place_like,
            _ => return None,
        };
        let hit_rate = self.rate(shaped);
        (hit_rate >= 0.5).then_some(PiiFinding {
            entity,
            confidence: trust * hit_rate.min(1.0),
            hit_rate,
            free_text: false,
        })
    }

    /// Personal data within other text; one such cell is sufficient.
    fn free_text(&self) -> Option<PiiFinding> {
        Entity::ALL
            .into_iter()
            .filter(|entity| *entity != Entity::Url)
            .map(|entity| {
                (
                    self.contains[entity.index()] + self.is[entity.index()],
                    entity,
                )
            })
            .filter(|(count, entity)| {
                // Chance gives some checked numbers in a long column, but no e-mail address.
                *count as f64 > 3.0 * self.cells as f64 * chance(*entity) * 0.01
                    && self.contains[entity.index()] > 0
            })
            .max_by_key(|(count, entity)| (*count, std::cmp::Reverse(*entity)))
            .map(|(count, entity)| {
                let hit_rate = self.rate(count);
                PiiFinding {
                    entity,
                    confidence: (0.6 + hit_rate).min(0.95),
                    hit_rate,
                    free_text: true,
                }
            })
    }
}

/// Whether a whole cell of this kind and score counts without the column's name to support it: a
/// form that plain numbers have does not.
fn stands_without_name(entity: Entity, score: f32) -> bool {
    match entity {
        // Check digits: chance is known, and the share of hits tells.
        Entity::UkNhs
        | Entity::AuTfn
        | Entity::AuAbn
        | Entity::AuAcn
        | Entity::CaSin
        | Entity::PlPesel
        | Entity::InAadhaar
        | Entity::CreditCard => true,
        _ => score >= 0.4,
    }
}

/// Share of the cells of a column with other data of the same shape that would match by chance.
fn chance(entity: Entity) -> f64 {
    match entity {
        Entity::Email
        | Entity::Url
        | Entity::MacAddress
        | Entity::CryptoAddress
        | Entity::ItFiscalCode => 0.001,
        Entity::Iban | Entity::AuAbn => 1.0 / 89.0,
        Entity::UkNhs | Entity::AuTfn => 1.0 / 11.0,
        Entity::CreditCard
        | Entity::AuAcn
        | Entity::CaSin
        | Entity::PlPesel
        | Entity::InAadhaar => 1.0 / 10.0,
        Entity::EsNif => 1.0 / 23.0,
        Entity::SgNric => 1.0 / 11.0,
        Entity::IpAddress | Entity::UkNino | Entity::InPan | Entity::DrivingLicence => 0.02,
        Entity::UsSsn | Entity::Phone => 0.1,
        _ => 0.3,
    }
}

/// Logarithm of the odds before any cell is seen; the name of the column moves them.
fn prior(entity: Entity, hint: NameHint) -> f64 {
    const RARE: f64 = -4.0;
    match hint {
        NameHint::Entity(named, _) if named == entity => 3.0,
        NameHint::Entity(..) => RARE - 2.0,
        // "amount", "price": what looks like a telephone number there is none.
        NameHint::NotPersonal if is_numeric(entity) => f64::NEG_INFINITY,
        NameHint::NotPersonal | NameHint::None => RARE,
    }
}

/// Whether plain numbers can be of this kind.
fn is_numeric(entity: Entity) -> bool {
    matches!(
        entity,
        Entity::Phone
            | Entity::CreditCard
            | Entity::UsSsn
            | Entity::UkNhs
            | Entity::AuTfn
            | Entity::AuAbn
            | Entity::AuAcn
            | Entity::CaSin
            | Entity::PlPesel
            | Entity::InAadhaar
            | Entity::Passport
            | Entity::DrivingLicence
    )
}

/// However clear the counts, a number with one check digit may be another kind of number.
fn surety(entity: Entity, named: bool) -> f64 {
    match entity {
        _ if named => 1.0,
        Entity::UkNhs
        | Entity::AuTfn
        | Entity::AuAcn
        | Entity::CaSin
        | Entity::PlPesel
        | Entity::InAadhaar => 0.7,
        Entity::AuAbn | Entity::SgNric | Entity::EsNif | Entity::Phone | Entity::UsSsn => 0.9,
        _ => 1.0,
    }
}
