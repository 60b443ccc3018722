//! A 128-bit hash of a row over several columns, the same on every machine and in every version.
//!
//! A row is written as bytes, one cell after the other, and hashed with XXH3 (128 bits, a fixed
//! seed). The bytes are unambiguous: each cell begins with a tag of its type and its null, a text
//! carries its length. Equal bytes are equal rows; the tests pin some values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, StringViewArray, StringViewBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::util::display::array_value_to_string;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Part of the format: another seed is another hash of everything.
const SEED: u64 = 0x5341_4E49_5449_5A45;

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const INTEGER: u8 = 2;
const FLOAT: u8 = 3;
const DECIMAL: u8 = 4;
const DATE: u8 = 5;
const TIMESTAMP: u8 = 6;
const TEXT: u8 = 7;
/// A type without a form of its own, hashed as what it displays.
const OTHER: u8 = 8;

/// Texts up to this length are stored within their Arrow view, and occupy as many of the hashed bytes.
const INLINE_BYTES: u32 = 12;

/// Hashes the rows of some columns, one at a time.
///
/// A null differs from an empty text, -0.0 equals 0.0, all NaN are equal, and equal texts are equal in every Arrow
/// layout; numbers of different types differ. Where columns differ in length, missing cells count as null.
#[derive(Debug)]
pub struct RowHasher {
    columns: Vec<Column>,
    rows: usize,
    bytes: Vec<u8>,
}

impl RowHasher {
    /// Makes the columns ready; an array is converted at most once and never row by row.
    pub fn new(columns: &[ArrayRef]) -> Self {
        Self {
            columns: columns.iter().map(Column::new).collect(),
            rows: columns.iter().map(|column| column.len()).max().unwrap_or(0),
            bytes: Vec::with_capacity(columns.len() * 24),
        }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the hash of one row.
    pub fn hash_row(&mut self, row: usize) -> u128 {
        self.bytes.clear();
        for column in &self.columns {
            column.write(row, &mut self.bytes);
        }
        xxh3_128_with_seed(&self.bytes, SEED)
    }
}

/// Returns the hash of every row of `columns`, see [`RowHasher`].
pub fn hash_rows(columns: &[ArrayRef]) -> Vec<u128> {
    let mut hasher = RowHasher::new(columns);
    (0..hasher.rows()).map(|row| hasher.hash_row(row)).collect()
}

/// A column by the form its cells are hashed in.
#[derive(Debug)]
enum Column {
    Boolean(BooleanArray),
    Integer(PrimitiveArray<Int64Type>),
    Float(PrimitiveArray<Float64Type>),
    Decimal(PrimitiveArray<Decimal128Type>, i8),
    Date(PrimitiveArray<Date32Type>),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    Text(StringViewArray, u8),
}

impl Column {
    fn new(array: &ArrayRef) -> Self {
        let as_type = |data_type| cast(array, data_type);
        match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean().clone()),
            DataType::Int64 => Self::Integer(array.as_primitive().clone()),
            DataType::Float64 => Self::Float(array.as_primitive().clone()),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive().clone(), *scale),
            DataType::Date32 => Self::Date(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Timestamp(array.as_primitive().clone())
            }
            DataType::Utf8View => Self::Text(array.as_string_view().clone(), TEXT),
            DataType::Utf8 | DataType::LargeUtf8 => match as_type(&DataType::Utf8View) {
                Ok(texts) => Self::Text(texts.as_string_view().clone(), TEXT),
                Err(_) => displayed(array),
            },
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => match as_type(&DataType::Int64) {
                Ok(integers) => Self::Integer(integers.as_primitive().clone()),
                Err(_) => displayed(array),
            },
            DataType::Float32 => match as_type(&DataType::Float64) {
                Ok(floats) => Self::Float(floats.as_primitive().clone()),
                Err(_) => displayed(array),
            },
            // A dictionary or run-end layout does not make another value.
            DataType::Dictionary(_, values) => match as_type(values) {
                Ok(plain) => Self::new(&plain),
                Err(_) => displayed(array),
            },
            _ => displayed(array),
        }
    }

    #[inline]
    fn write(&self, row: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Boolean(cells) if holds(cells, row) => {
                bytes.extend_from_slice(&[BOOLEAN, u8::from(cells.value(row))]);
            }
            Self::Integer(cells) if holds(cells, row) => {
                bytes.push(INTEGER);
                bytes.extend_from_slice(&cells.value(row).to_le_bytes());
            }
            Self::Float(cells) if holds(cells, row) => {
                bytes.push(FLOAT);
                bytes.extend_from_slice(&float_bits(cells.value(row)).to_le_bytes());
            }
            Self::Decimal(cells, scale) if holds(cells, row) => {
                bytes.extend_from_slice(&[DECIMAL, scale.to_le_bytes()[0]]);
                bytes.extend_from_slice(&cells.value(row).to_le_bytes());
            }
            Self::Date(cells) if holds(cells, row) => {
                bytes.push(DATE);
                bytes.extend_from_slice(&cells.value(row).to_le_bytes());
            }
            Self::Timestamp(cells) if holds(cells, row) => {
                bytes.push(TIMESTAMP);
                bytes.extend_from_slice(&cells.value(row).to_le_bytes());
            }
            Self::Text(cells, tag) if holds(cells, row) => write_text(cells, row, *tag, bytes),
            _ => bytes.push(NULL),
        }
    }
}

#[inline]
fn holds(array: &dyn Array, row: usize) -> bool {
    row < array.len() && array.is_valid(row)
}

/// A text as its length in 4 bytes and then its bytes, a short one filled up with zeros to 12: the
/// very bytes of its Arrow view, which are copied in one piece.
#[inline]
fn write_text(cells: &StringViewArray, row: usize, tag: u8, bytes: &mut Vec<u8>) {
    let view = cells.views()[row];
    let length = view as u32;
    bytes.push(tag);
    if length <= INLINE_BYTES {
        // Zeros are what the format asks for behind a short text; a hash must not rely on it.
        let mask = u128::MAX >> (8 * (INLINE_BYTES - length));
        bytes.extend_from_slice(&(view & mask).to_le_bytes());
    } else {
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(cells.value(row).as_bytes());
    }
}

fn float_bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits() & !(1 << 63)
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

/// The cells as the text they display.
fn displayed(array: &ArrayRef) -> Column {
    let mut texts = StringViewBuilder::with_capacity(array.len());
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
        } else {
            match array_value_to_string(&Arc::clone(array), row) {
                Ok(text) => texts.append_value(text),
                Err(_) => texts.append_null(),
            }
        }
    }
    Column::Text(texts.finish(), OTHER)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use arrow::array::{
        Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array,
        LargeStringArray, StringArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Int32Type;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn texts(cells: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringViewArray::from(cells.to_vec()))
    }

    /// The format is stable: these values are stored in files.
    #[test]
    fn pinned() {
        let columns: Vec<ArrayRef> = vec![
            texts(&[
                Some("Ada"),
                Some(""),
                None,
                Some("a text that is longer than a view"),
            ]),
            Arc::new(Int64Array::from(vec![
                Some(1),
                Some(-1),
                None,
                Some(i64::MAX),
            ])),
            Arc::new(Float64Array::from(vec![1.5, -0.0, f64::NAN, 1e300])),
            Arc::new(BooleanArray::from(vec![
                Some(true),
                Some(false),
                None,
                Some(true),
            ])),
            Arc::new(Date32Array::from(vec![0, 1, -1, 20_000])),
            Arc::new(TimestampMicrosecondArray::from(vec![0, 1, -1, 1 << 50])),
            Arc::new(
                Decimal128Array::from(vec![1, -1, 0, 123_456])
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
        ];
        let hashes: Vec<String> = hash_rows(&columns)
            .iter()
            .map(|hash| format!("{hash:032x}"))
            .collect();
        assert_eq!(hashes, PINNED);
    }

    const PINNED: [&str; 4] = [
        "ffcf4e1197b8744c5237880c5bfc6e35",
        "8aa58052219e2ddcabe20f13c8ddd92e",
        "5037a3fde68e96a2a70f675b4b5f571e",
        "77c52fc6879145ee1c0712c329d4cb4a",
    ];

    /// What is equal hashes alike, what differs does not.
    #[test]
    fn equalities() {
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![
            0.0,
            -0.0,
            f64::NAN,
            -f64::NAN,
            f64::from_bits(0x7FF8_0000_0000_0001),
        ]));
        let hashes = hash_rows(&[floats]);
        assert_eq!(hashes[0], hashes[1]);
        assert_eq!(hashes[2], hashes[3]);
        assert_eq!(hashes[2], hashes[4]);

        let left = texts(&[Some("ab"), Some(""), None, Some("a"), Some("a\0")]);
        let right = texts(&[Some("c"), None, Some(""), Some("bc"), Some("")]);
        let hashes = hash_rows(&[left, right]);
        let distinct: std::collections::HashSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());

        let cells = vec![Some("short"), None, Some("longer than twelve bytes")];
        let view = hash_rows(&[texts(&cells)]);
        let plain: ArrayRef = Arc::new(StringArray::from(cells.clone()));
        let large: ArrayRef = Arc::new(LargeStringArray::from(cells.clone()));
        let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::from_iter(cells));
        for layout in [plain, large, dictionary] {
            assert_eq!(hash_rows(&[layout]), view);
        }
        let narrow: ArrayRef = Arc::new(Int32Array::from(vec![7]));
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        assert_eq!(hash_rows(&[narrow]), hash_rows(&[wide]));
        assert!(hash_rows(&[]).is_empty());
    }

    proptest! {
        /// Two rows hash alike exactly when they are alike, in slices as in whole arrays.
        #[test]
        fn hashes_tell_rows_apart(rows in prop::collection::vec((prop::option::of("[ab]{0,2}|[ab]{12,14}"), prop::option::of("[ab]{0,2}")), 1..40), cut in 0usize..40) {
            let left: ArrayRef = Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringViewArray>());
            let right: ArrayRef = Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringViewArray>());
            let hashes = hash_rows(&[Arc::clone(&left), Arc::clone(&right)]);
            let mut seen = HashMap::new();
            for (row, hash) in rows.iter().zip(&hashes) {
                prop_assert_eq!(*seen.entry(*hash).or_insert(row), row);
            }
            let distinct: std::collections::HashSet<_> = rows.iter().collect();
            prop_assert_eq!(seen.len(), distinct.len());
            let cut = cut.min(rows.len());
            let rest = rows.len() - cut;
            prop_assert_eq!(&hash_rows(&[left.slice(cut, rest), right.slice(cut, rest)]), &hashes[cut..]);
        }
    }
}
