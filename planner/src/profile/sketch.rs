//! A column, summed up batch by batch.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;

use super::{ColumnProfile, RowSample};

/// A column, summed up batch by batch: the same for any division of the rows into batches.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ColumnSketch {
    #[serde(with = "super::type_text")]
    data_type: DataType,
    private: bool,
    rows: u64,
}

impl ColumnSketch {
    /// A sketch of no rows. A `private` one keeps and shows counts only, no value.
    pub fn new(data_type: &DataType, private: bool) -> Self {
        Self {
            data_type: data_type.clone(),
            private,
            rows: 0,
        }
    }

    /// Looks at consecutive rows, the first of which has this number in the source, and of them
    /// only at the live ones.
    pub fn observe(
        &mut self,
        array: &ArrayRef,
        first_row: u64,
        live: Option<&BooleanBuffer>,
        sample: &RowSample,
    ) {
        let _ = (first_row, live, sample, &self.data_type, self.private);
        self.rows += array.len() as u64;
    }

    /// Adds the sketch of rows that come later in the source.
    pub fn merge(&mut self, later: Self) {
        self.rows += later.rows;
    }

    /// The profile of a column of this name and type.
    pub fn finish(&self, name: &str, column_type: &str) -> ColumnProfile {
        ColumnProfile {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            rows: self.rows,
            ..ColumnProfile::default()
        }
    }
}
