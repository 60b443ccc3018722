//! Rows of Parquet files.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewBuilder, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{CastOptions, cast_with_options, concat_batches, nullif};
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::RowGroupMetaData;

use super::batch::{BadRow, RowOrigin, raw_text};
use super::dataset::SourceColumn;
use super::error::SourceError;
use super::guard::guard;
use super::header::column_names;
use super::options::ContentLimits;
use super::parquet_guard::{GuardedFile, check_footer};
use super::rows::Rows;
use planner_storage::{ByteFile, CachedFile};

/// Content of the footer of a Parquet file.
pub(super) struct Footer {
    pub metadata: ArrowReaderMetadata,
    pub columns: Vec<SourceColumn>,
    pub rows: u64,
}

/// Reads the footer.
pub(super) fn read_footer(
    file: &ByteFile,
    path: &str,
    limits: &ContentLimits,
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
    let checked = check_footer(file, limits).map_err(|e| SourceError::io(path, "read", e))?;
    checked.map_err(broken)?;
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
    let metadata = with_views(metadata);
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

/// The same file with texts as views: a dictionary's value is held once, however many rows have it.
fn with_views(metadata: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let views = view_fields(metadata.schema().fields());
    let schema = Schema::new_with_metadata(views, metadata.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    let viewed = guard(|| {
        ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
            .map_err(|e| e.to_string())
    });
    viewed.unwrap_or(metadata)
}

fn view_fields(fields: &Fields) -> Fields {
    let view = |field: &FieldRef| -> FieldRef {
        let viewed = view_type(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(viewed))
    };
    fields.iter().map(view).collect()
}

fn view_type(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| {
        let viewed = view_type(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(viewed))
    };
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, values) if is_bytes(values) => view_type(values),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::LargeList(field) => DataType::LargeList(inner(field)),
        DataType::Struct(fields) => DataType::Struct(view_fields(fields)),
        DataType::Map(field, sorted) => DataType::Map(inner(field), *sorted),
        other => other.clone(),
    }
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary
    )
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
    /// Decoded rows that were not returned yet.
    rest: Option<RecordBatch>,
    path: String,
    file: u32,
    /// 1-based number of the next row.
    row: u64,
    places: Arc<[Option<usize>]>,
    types: Arc<[DataType]>,
    limits: ContentLimits,
}

impl ParquetReader {
    pub fn new(
        file: &ByteFile,
        path: &str,
        (metadata, limits): (&ArrowReaderMetadata, ContentLimits),
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
        let read = groups
            .iter()
            .map(|group| metadata.metadata().row_group(*group));
        let guarded = GuardedFile::new(file, &limits, read)
            .map_err(|reason| SourceError::content(path, Some(rows.start + 1), reason))?;
        let reader = guard(|| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(guarded, metadata.clone())
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
            limits,
        })
    }

    /// Reads the next `rows` rows, fewer at the end of the run.
    ///
    /// # Errors
    /// When the file cannot be read, has changed, or a page is invalid.
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
                    let held = self.limits.held;
                    guard(|| raw_array(field, array, data_type, held).map_err(|e| e.to_string()))
                        .map_err(broken)?
                }
            });
        }
        let bad = set_aside(&mut columns, count, &self.limits).map_err(broken)?;
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
            bad,
            origin,
        })
    }
}

/// Takes the rows out that have a cell which is too long, and refuses a batch whose texts are too long together: rows that
/// share a value of a dictionary hold it once here, and nowhere behind.
fn set_aside(
    columns: &mut [ArrayRef],
    rows: usize,
    limits: &ContentLimits,
) -> Result<Vec<BadRow>, String> {
    let mut bad: Vec<BadRow> = Vec::new();
    let mut held = 0_u64;
    for texts in columns
        .iter()
        .filter_map(|column| column.as_string_view_opt())
    {
        for (row, view) in texts.views().iter().enumerate() {
            // The lower half of a view is its length.
            let length = *view as u32;
            held += u64::from(length);
            if u64::from(length) <= limits.cell || texts.is_null(row) {
                continue;
            }
            held -= u64::from(length);
            let row = row as u32;
            if let (Err(place), Some(reason)) = (
                bad.binary_search_by_key(&row, |bad| bad.row),
                limits.too_long(length as usize),
            ) {
                let raw = raw_text(texts.value(row as usize).as_bytes());
                bad.insert(place, BadRow { row, reason, raw });
            }
        }
    }
    if held > limits.held {
        let most = limits.held;
        return Err(format!(
            "{rows} rows hold {held} bytes of text; at most {most} can be held at a time"
        ));
    }
    if !bad.is_empty() {
        let rows: BooleanArray = {
            let mut bad = bad.iter().map(|bad| bad.row as usize).peekable();
            let out = (0..rows).map(|row| bad.next_if_eq(&row).is_some());
            BooleanBuffer::from_iter(out).into()
        };
        for column in columns {
            *column = nullif(column, &rows).map_err(|error| error.to_string())?;
        }
    }
    Ok(bad)
}

/// Rejects texts that do not fit into a batch before they are decompressed: a column of a batch holds 2 GiB, and pages
/// of a few kilobytes may decompress to more.
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
    held: u64,
) -> Result<ArrayRef, ArrowError> {
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    if let DataType::Dictionary(_, values) = array.data_type() {
        let plain = cast_with_options(array, values, &strict)?;
        return raw_array(field, &plain, target, held);
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
        DataType::Binary => hex_text(array, held, |row| array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hex_text(array, held, |row| array.as_binary::<i64>().value(row)),
        DataType::BinaryView => hex_text(array, held, |row| array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => {
            hex_text(array, held, |row| array.as_fixed_size_binary().value(row))
        }
        nested if nested.is_nested() => match json_text(field, array, held)? {
            Some(text) => Ok(text),
            None => display_text(array, held),
        },
        _ => display_text(array, held),
    }
}

fn hex_text<'a>(
    array: &dyn Array,
    held: u64,
    value: impl Fn(usize) -> &'a [u8],
) -> Result<ArrayRef, ArrowError> {
    let mut builder = Texts::new(array.len(), held);
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
            continue;
        }
        text.clear();
        for byte in value(row) {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        builder.append(&text)?;
    }
    Ok(builder.finish())
}

/// Texts that are built from the content of a file, up to a limit in bytes.
struct Texts {
    builder: StringViewBuilder,
    left: u64,
}

impl Texts {
    fn new(rows: usize, held: u64) -> Self {
        Self {
            builder: StringViewBuilder::with_capacity(rows),
            left: held,
        }
    }

    fn append(&mut self, text: &str) -> Result<(), ArrowError> {
        let left = self.left.checked_sub(text.len() as u64);
        self.left = left.ok_or_else(|| {
            let problem = "the texts of a batch have more bytes than can be held at a time";
            ArrowError::ComputeError(problem.to_owned())
        })?;
        self.builder.append_value(text);
        Ok(())
    }

    fn append_null(&mut self) {
        self.builder.append_null();
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}

/// Nested values as JSON; none where some type has none.
fn json_text(
    field: &FieldRef,
    array: &ArrayRef,
    held: u64,
) -> Result<Option<ArrayRef>, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let Ok(mut encoder) = make_encoder(field, array, &options) else {
        return Ok(None);
    };
    let mut builder = Texts::new(array.len(), held);
    let mut text = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        builder.append(&String::from_utf8_lossy(&text))?;
    }
    Ok(Some(builder.finish()))
}

fn display_text(array: &ArrayRef, held: u64) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let mut builder = Texts::new(array.len(), held);
    for row in 0..array.len() {
        match array.is_null(row) {
            true => builder.append_null(),
            false => builder.append(&formatter.value(row).try_to_string()?)?,
        }
    }
    Ok(builder.finish())
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
            let raw = raw_array(&field, &nothing, &target, 1 << 20).unwrap();
            assert_eq!((raw.data_type(), raw.null_count()), (&target, 3));
        }
    }
}
