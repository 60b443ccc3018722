//! Selection of the rows that a profile samples.

/// A sample of rows that depends only on row numbers and a seed, so that it is the same for any division of the rows
/// among batches, threads and machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RowSample {
    /// Seed of the sample.
    pub seed: u64,
    /// Largest hash of a row in the sample.
    pub threshold: u64,
}

impl RowSample {
    /// Returns a sample of about `wanted` of `total_rows` rows; all rows where there are no more than that.
    pub fn of(total_rows: u64, wanted: u64, seed: u64) -> Self {
        let threshold = if wanted >= total_rows {
            u64::MAX
        } else {
            let share = (u128::from(wanted) << 64) / u128::from(total_rows);
            u64::try_from(share).unwrap_or(u64::MAX).saturating_sub(1)
        };
        Self { seed, threshold }
    }

    /// Returns whether the row belongs to the sample.
    #[inline]
    pub fn contains(&self, row_id: u64) -> bool {
        self.rank(row_id) <= self.threshold
    }

    /// Returns the hash of the row: rows of small rank are in every sample of the seed.
    #[inline]
    pub fn rank(&self, row_id: u64) -> u64 {
        // Seeds that differ by one must not give samples shifted by one row.
        mix(row_id ^ mix(self.seed))
    }
}

/// Mixes the bits of a number with the finaliser of SplitMix64 (Steele, Lea, Flood 2014, with Stafford's constants): a
/// bijection whose every output bit depends on every input bit.
#[inline]
pub fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_about_the_size_asked_for() {
        let count =
            |sample: RowSample, rows: u64| (0..rows).filter(|row| sample.contains(*row)).count();
        assert_eq!(count(RowSample::of(1_000, 1_000, 7), 1_000), 1_000);
        assert_eq!(count(RowSample::of(0, 10, 7), 5), 5);
        let some = count(RowSample::of(1_000_000, 50_000, 42), 1_000_000);
        assert!((49_000..51_000).contains(&some), "{some}");
        assert!(count(RowSample::of(1_000_000, 0, 42), 100_000) == 0);
    }

    #[test]
    fn seeds_give_different_samples() {
        let (one, two) = (
            RowSample::of(100_000, 10_000, 1),
            RowSample::of(100_000, 10_000, 2),
        );
        let both = (0..100_000)
            .filter(|row| one.contains(*row) && two.contains(*row))
            .count();
        assert!((800..1_200).contains(&both), "{both}");
    }
}
