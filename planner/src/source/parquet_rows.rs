//! Rows of Parquet files.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringViewArray, StringViewBuilder, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::RowGroupMetaData;

use super::batch::RowOrigin;
use super::dataset::SourceColumn;
use super::error::SourceError;
use super::header::column_names;
use super::rows::Rows;
use crate::storage::{ByteFile, CachedFile};

/// What the footer of a Parquet file tells.
pub(super) struct Footer {
    pub metadata: ArrowReaderMetadata,
    pub columns: Vec<SourceColumn>,
    pub rows: u64,
}

/// Reads the footer.
pub(super) fn read_footer(
    file: &ByteFile,
    path: &str,
    notes: &mut Vec<String>,
) -> Result<Footer, SourceError> {
    let broken = |reason: String| {
        SourceError::content(
            path,
            None,
            format!("the Parquet file cannot be read: {reason}"),
        )
    };
    let tail = file
        .open(file.size().saturating_sub(4)..file.size())
        .and_then(|mut reader| {
            let mut tail = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut tail)?;
            Ok(tail)
        })
        .map_err(|e| SourceError::io(path, "read", e))?;
    if tail == b"PARE" {
        return Err(broken("it is encrypted".to_owned()));
    }
    let cached = CachedFile::from(file);
    let metadata = guard(|| {
        ArrowReaderMetadata::load(&cached, ArrowReaderOptions::new())
            // The Arrow schema stored in the file is a hint that may be broken or strange.
            .or_else(|_| {
                let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
                ArrowReaderMetadata::load(&cached, plain)
            })
            .map_err(|e| e.to_string())
    })
    .map_err(broken)?;
    let mut rows = 0_u64;
    for group in metadata.metadata().row_groups() {
        let count = u64::try_from(group.num_rows())
            .map_err(|_| broken("a row group has a negative number of rows".to_owned()))?;
        rows = rows.saturating_add(count);
    }
    let names = metadata.schema().fields().iter().map(|f| f.name().clone());
    let names = column_names(names.collect(), notes);
    let columns = names
        .into_iter()
        .zip(metadata.schema().fields())
        .map(|(name, field)| SourceColumn {
            name,
            data_type: raw_type(field.data_type()),
        })
        .collect();
    Ok(Footer {
        metadata,
        columns,
        rows,
    })
}

/// Runs a decoder of the parquet crate, which panics on some broken files where it should refuse
/// them; a process must not end by a file.
fn guard<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode)) {
        Ok(done) => done,
        Err(panic) => {
            let what = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown");
            Err(format!("the decoder gave up: {what}"))
        }
    }
}

/// The type a column of this type has in batches.
fn raw_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Boolean => DataType::Boolean,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
        DataType::Date32 => DataType::Date32,
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        DataType::Dictionary(_, values) => raw_type(values),
        _ => DataType::Utf8View,
    }
}

/// Reads a run of rows of a Parquet file.
pub(super) struct ParquetReader {
    reader: ParquetRecordBatchReader,
    /// Rows that were decoded and not yet handed out.
    rest: Option<RecordBatch>,
    path: String,
    file: u32,
    /// 1-based number of the next row.
    row: u64,
    places: Arc<[Option<usize>]>,
    types: Arc<[DataType]>,
}

impl ParquetReader {
    pub fn new(
        file: &ByteFile,
        path: &str,
        metadata: &ArrowReaderMetadata,
        rows: Range<u64>,
        target: (Arc<[Option<usize>]>, Arc<[DataType]>),
        index: u32,
        batch_rows: usize,
    ) -> Result<Self, SourceError> {
        let mut groups = Vec::new();
        let mut first = 0_u64;
        let mut before = 0_u64;
        for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
            let count = u64::try_from(group.num_rows()).unwrap_or(0);
            if first < rows.end && first + count > rows.start {
                if groups.is_empty() {
                    before = rows.start - first;
                }
                groups.push(number);
            }
            first += count;
        }
        let limit = usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX);
        for number in &groups {
            check_room(
                metadata.metadata().row_group(*number),
                batch_rows.min(limit),
            )
            .map_err(|reason| SourceError::content(path, Some(rows.start + 1), reason))?;
        }
        let reader = guard(|| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(
                CachedFile::from(file),
                metadata.clone(),
            )
            .with_row_groups(groups)
            .with_offset(usize::try_from(before).unwrap_or(usize::MAX))
            .with_limit(limit)
            .with_batch_size(batch_rows.min(limit).max(1))
            .build()
            .map_err(|e| e.to_string())
        })
        .map_err(|reason| SourceError::content(path, Some(rows.start + 1), reason))?;
        Ok(Self {
            reader,
            rest: None,
            path: path.to_owned(),
            file: index,
            row: rows.start + 1,
            places: target.0,
            types: target.1,
        })
    }

    /// The next `rows` rows, fewer at the end of the run.
    pub fn next(&mut self, rows: usize) -> Result<Rows, SourceError> {
        let line = Some(self.row);
        let broken = |reason: String| SourceError::content(&self.path, line, reason);
        let mut parts = Vec::new();
        let mut left = rows;
        while left > 0 {
            let next = match self.rest.take() {
                Some(batch) => batch,
                None => match guard(|| self.reader.next().transpose().map_err(|e| e.to_string()))
                    .map_err(broken)?
                {
                    Some(batch) => batch,
                    None => break,
                },
            };
            let taken = left.min(next.num_rows());
            if taken < next.num_rows() {
                self.rest = Some(next.slice(taken, next.num_rows() - taken));
            }
            left -= taken;
            parts.push(next.slice(0, taken));
        }
        let count = rows - left;
        let batch = match parts.as_slice() {
            [one] => one.clone(),
            many => {
                let schema = many.first().map_or_else(
                    || Arc::new(arrow::datatypes::Schema::empty()),
                    RecordBatch::schema,
                );
                concat_batches(&schema, many).map_err(|e| broken(e.to_string()))?
            }
        };
        let mut columns = Vec::with_capacity(self.places.len());
        for (place, data_type) in self.places.iter().zip(self.types.iter()) {
            columns.push(match place.and_then(|p| batch.columns().get(p)) {
                None => new_null_array(data_type, count),
                Some(array) => {
                    let field = &batch.schema().fields()[place.unwrap_or(0)].clone();
                    guard(|| raw_array(field, array, data_type).map_err(|e| e.to_string()))
                        .map_err(broken)?
                }
            });
        }
        let origin = RowOrigin {
            rows: count as u32,
            file: self.file,
            first_line: self.row,
            extra_lines: Vec::new(),
        };
        self.row += count as u64;
        Ok(Rows {
            columns,
            rows: count,
            bad: Vec::new(),
            origin,
        })
    }
}

/// Refuses texts that have no room in a batch, before they are unpacked: a column of a batch holds
/// 2 GiB, and pages of a few kilobytes may unpack to more.
fn check_room(group: &RowGroupMetaData, batch_rows: usize) -> Result<(), String> {
    let rows = group.num_rows().max(1);
    let taken = i64::try_from(batch_rows).map_or(rows, |taken| taken.min(rows));
    for column in group.columns() {
        let bytes = i128::from(column.uncompressed_size()) * i128::from(taken) / i128::from(rows);
        if column.column_type() == PhysicalType::BYTE_ARRAY && bytes > i128::from(i32::MAX) {
            return Err(format!(
                "{taken} rows of column {:?} hold {bytes} bytes; at most {} can be read at a time",
                column.column_path().string(),
                i32::MAX
            ));
        }
    }
    Ok(())
}

/// The array in the type that the batch has for it.
fn raw_array(
    field: &FieldRef,
    array: &ArrayRef,
    target: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    if let DataType::Dictionary(_, values) = array.data_type() {
        let plain = cast_with_options(array, values, &strict)?;
        return raw_array(field, &plain, target);
    }
    if array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    // A column without a type has nothing but nulls, and no bits that say so.
    if array.data_type() == &DataType::Null {
        return Ok(new_null_array(target, array.len()));
    }
    if *target != DataType::Utf8View {
        return cast_with_options(array, target, &strict);
    }
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => cast_with_options(array, target, &strict),
        DataType::Binary => hex_text(array.len(), array, |row| {
            array.as_binary::<i32>().value(row)
        }),
        DataType::LargeBinary => hex_text(array.len(), array, |row| {
            array.as_binary::<i64>().value(row)
        }),
        DataType::BinaryView => {
            hex_text(array.len(), array, |row| array.as_binary_view().value(row))
        }
        DataType::FixedSizeBinary(_) => hex_text(array.len(), array, |row| {
            array.as_fixed_size_binary().value(row)
        }),
        nested if nested.is_nested() => json_text(field, array).or_else(|_| display_text(array)),
        _ => display_text(array),
    }
}

fn hex_text<'a>(
    rows: usize,
    array: &dyn Array,
    value: impl Fn(usize) -> &'a [u8],
) -> Result<ArrayRef, ArrowError> {
    let mut builder = StringViewBuilder::with_capacity(rows);
    let mut text = String::new();
    for row in 0..rows {
        if array.is_null(row) {
            builder.append_null();
            continue;
        }
        text.clear();
        for byte in value(row) {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        builder.append_value(&text);
    }
    Ok(Arc::new(builder.finish()))
}

fn json_text(field: &FieldRef, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, array, &options)?;
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        builder.append_value(String::from_utf8_lossy(&text));
    }
    Ok(Arc::new(builder.finish()))
}

fn display_text(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let text: Result<StringViewArray, ArrowError> = (0..array.len())
        .map(|row| {
            if array.is_null(row) {
                Ok(None)
            } else {
                Ok(Some(formatter.value(row).try_to_string()?))
            }
        })
        .collect();
    Ok(Arc::new(text?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::NullArray;
    use arrow::datatypes::Field;

    use super::*;

    /// Nulls of a column without a type stay nulls.
    #[test]
    fn columns_without_a_type() {
        let field: FieldRef = Arc::new(Field::new("nothing", DataType::Null, true));
        let nothing: ArrayRef = Arc::new(NullArray::new(3));
        for target in [DataType::Utf8View, DataType::Int64] {
            let raw = raw_array(&field, &nothing, &target).unwrap();
            assert_eq!((raw.data_type(), raw.null_count()), (&target, 3));
        }
    }
}
