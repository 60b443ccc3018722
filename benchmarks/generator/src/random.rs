//! Random numbers that depend on nothing but a seed, a row number and a purpose.

/// What a stream of random numbers is drawn for; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Whether the row is new, a repetition or ragged.
    Kind = 1,
    /// The true values.
    Truth = 2,
    /// What is lost or misspelt for good.
    Damage = 3,
    /// The spelling of what is still there.
    Notation = 4,
    /// How a near duplicate differs.
    Alteration = 5,
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
///
/// A generator of our own, because the same seed must give the same file for as long as the project lives: the
/// sampling of a general library may change with its versions. One state word also makes a fresh stream for every
/// row and purpose cheaper than the row's shortest field.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// The stream of one row for one purpose.
    pub(crate) fn for_row(seed: u64, row: u64, purpose: Purpose) -> Self {
        let row_state = mix(mix(seed.wrapping_add(GOLDEN_GAMMA)) ^ row.wrapping_mul(GOLDEN_GAMMA));
        Self {
            state: mix(row_state.wrapping_add(purpose as u64)),
        }
    }

    /// The next 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// A number in `0..bound`, by multiplication (Lemire 2019) without the rejection step: the bias is below
    /// `bound / 2^64`. A bound of 0 gives 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True for `per_mille` of a thousand draws.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of the choices; the lists are constants that are never empty.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
