//! Which rows are new customers, which repeat an earlier one, and which are broken.

use crate::alteration::Alteration;
use crate::random::{Purpose, Random};

/// Rows in a thousand that repeat an earlier row byte for byte.
const COPIES_PER_MILLE: u64 = 30;
/// Rows in a thousand that repeat an earlier customer in another notation.
const RESPELT_PER_MILLE: u64 = 10;
/// Rows in ten thousand that have too few or too many fields.
const RAGGED_PER_TEN_THOUSAND: u64 = 5;

/// What kind of row a row number holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A customer of its own.
    Original,
    /// The same bytes as an earlier row.
    Copy {
        /// The first row of this customer.
        of: u64,
    },
    /// The same customer as an earlier row with other white space, letter case, Unicode form, date and phone notation:
    /// a duplicate once those are normalised.
    Respelt {
        /// The first row of this customer.
        of: u64,
    },
    /// The same customer as an earlier row, with another number and written down by another hand.
    NearDuplicate {
        /// The first row of this customer.
        of: u64,
        /// What differs.
        by: Alteration,
    },
    /// A line with too few or too many fields, which no reader can put into columns.
    Ragged,
}

impl RowKind {
    /// The kind of row `row`, found without looking at the rows before it except those that it repeats.
    ///
    /// Repetitions refer to any earlier row but the one just before, so a clean-up has to look at the whole table.
    pub(crate) fn of_row(seed: u64, near_per_mille: u64, row: u64) -> Self {
        let (drawn, target) = draw(seed, near_per_mille, row);
        let (respelt, altered) = match drawn {
            Drawn::Original => return Self::Original,
            Drawn::Ragged => return Self::Ragged,
            Drawn::Copy => (false, None),
            Drawn::Respelt => (true, None),
            Drawn::Altered(by) => (false, Some(by)),
        };
        // Follow repetitions of repetitions to the customer's first row. Each step goes to an earlier row, and few
        // rows are repetitions, so this ends after one step nearly always.
        let mut of = target;
        let mut through_respelling = false;
        loop {
            match draw(seed, near_per_mille, of) {
                (Drawn::Original, _) => break,
                // What is broken is not repeated: such a row is a customer of its own.
                (Drawn::Ragged, _) => return Self::Original,
                (Drawn::Copy, earlier) => of = earlier,
                (Drawn::Respelt | Drawn::Altered(_), earlier) => {
                    through_respelling = true;
                    of = earlier;
                }
            }
        }
        if let Some(by) = altered {
            return Self::NearDuplicate { of, by };
        }
        // A copy of a respelt row would need that row's spelling: it gets one of its own instead.
        if respelt || through_respelling {
            Self::Respelt { of }
        } else {
            Self::Copy { of }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Original,
    Copy,
    Respelt,
    Altered(Alteration),
    Ragged,
}

fn draw(seed: u64, near_per_mille: u64, row: u64) -> (Drawn, u64) {
    let mut random = Random::for_row(seed, row, Purpose::Kind);
    let ticket = random.below(10_000);
    let ragged_until = RAGGED_PER_TEN_THOUSAND;
    let copies_until = ragged_until + COPIES_PER_MILLE * 10;
    let respelt_until = copies_until + RESPELT_PER_MILLE * 10;
    let altered_until = respelt_until + near_per_mille * 10;
    if ticket < ragged_until {
        (Drawn::Ragged, 0)
    } else if row < 2 || ticket >= altered_until {
        (Drawn::Original, 0)
    } else {
        let earlier = random.below(row - 1);
        let drawn = if ticket < copies_until {
            Drawn::Copy
        } else if ticket < respelt_until {
            Drawn::Respelt
        } else {
            Drawn::Altered(random.pick(&Alteration::ALL))
        };
        (drawn, earlier)
    }
}
