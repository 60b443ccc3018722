//! Floats by their bits, so that they travel in JSON unchanged.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes the bits of each.
pub(super) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|value| value.to_bits()))
}

/// Reads the bits of each.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<f64>, D::Error> {
    let bits = Vec::<u64>::deserialize(deserializer)?;
    Ok(bits.into_iter().map(f64::from_bits).collect())
}
