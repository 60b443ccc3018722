//! Arrow types as text, so that a sketch can travel.

use arrow::datatypes::DataType;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes the type's name.
pub(super) fn serialize<S: Serializer>(
    data_type: &DataType,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(data_type)
}

/// Reads the type's name.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<DataType, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
