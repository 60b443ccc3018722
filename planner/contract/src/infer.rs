//! Inference of a column's type, and of other properties, from its values.

use arrow::datatypes::DataType;

use super::evidence::ColumnEvidence;
use super::readings::{
    BOOLEAN, DATE, DAY_FIRST, EITHER_ORDER, EITHER_SEPARATOR, FALSE_WORD, IDENTIFIER, INTEGER,
    INTEGER_COMMA, MOMENT, MONTH_FIRST, NUMBER, NUMBER_COMMA, PLAIN_TRUTH, TRUE_WORD,
};
use super::remarks::disguised_remarks;
use super::tally::{DigitRange, Tally};
use super::{Inferred, PiiFound};
use crate::ColumnType;

/// In columns of at least this many values, one in a thousand may be unreadable.
const MANY_VALUES: u64 = 1_000;

/// Number of digits that a double always preserves.
const EXACT_DIGITS: u8 = 15;

/// Maximum number of digits that the shortest notation of a double has.
const WRITTEN_DIGITS: u8 = 17;

/// Maximum number of digits of a decimal.
const DECIMAL_DIGITS: u8 = 38;

/// Maximum number of categories that are listed.
const CATEGORIES: usize = 100;

/// How to read the values of a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reading {
    /// Type; none where there is no value.
    pub(super) column_type: Option<ColumnType>,
    /// Total digits and digits behind the point, of a decimal.
    pub(super) decimal: Option<(u8, i8)>,
    /// The day precedes the month.
    pub(super) day_first: bool,
    /// A comma is the decimal separator.
    pub(super) decimal_comma: bool,
    /// Number of values that can be read in this way.
    readable: u64,
    remarks: Vec<String>,
}

impl Reading {
    fn new(column_type: ColumnType, readable: u64) -> Self {
        Self {
            column_type: Some(column_type),
            readable,
            ..Self::default()
        }
    }
}

impl ColumnEvidence {
    /// Returns what the values suggest for a column of this name.
    pub fn infer(&self, name: &str) -> Inferred {
        let present = self.present();
        let mut reading = self.reading();
        let pii = self.personal.decide(name).map(|finding| PiiFound {
            entity: finding.entity.name().to_owned(),
            confidence: finding.confidence,
            hit_rate: finding.hit_rate,
            free_text: finding.free_text,
        });
        let distinct = self.distinct();
        let unique = present > 0 && self.is_unique();
        if self.native.is_none() {
            reading
                .remarks
                .extend(disguised_remarks(self, &self.shapes()));
        }
        if !unique && present >= MANY_VALUES && distinct as f64 >= 0.95 * present as f64 {
            reading.remarks.push(format!(
                "nearly all values differ (about {distinct} of {present}); whether any occurs twice was not established"
            ));
        }
        let is_text = matches!(reading.column_type, Some(ColumnType::String));
        Inferred {
            column_type: reading.column_type,
            type_confidence: if present == 0 {
                0.0
            } else {
                reading.readable as f64 / present as f64
            },
            rows: self.rows,
            missing: self.missing,
            missing_values: self.spelt_missing(),
            distinct,
            unique,
            // Personal data is not shown.
            categories: if is_text && pii.is_none() {
                self.categories()
            } else {
                Vec::new()
            },
            pii,
            remarks: reading.remarks,
        }
    }

    /// Returns how to read the values.
    pub(super) fn reading(&self) -> Reading {
        let present = self.present();
        if let Some(native) = &self.native {
            let mut reading = native_reading(native);
            reading.readable = present;
            return reading;
        }
        if present == 0 {
            return Reading::default();
        }
        let shapes = self.shapes();
        let candidates = [numbers(&shapes), moments(&shapes), booleans(&shapes)];
        let best = candidates.into_iter().flatten().reduce(|best, other| {
            // The first wins a tie: a column of 0 and 1 holds numbers.
            if other.readable > best.readable {
                other
            } else {
                best
            }
        });
        let identifiers = shapes.with(IDENTIFIER);
        match best {
            Some(mut reading) if identifiers == 0 && suffices(reading.readable, present) => {
                let lost = present - reading.readable;
                if lost > 0 {
                    reading.remarks.push(format!(
                        "{lost} of {present} values cannot be read as {} and would become missing",
                        name_of(&reading)
                    ));
                }
                reading
            }
            best => text(best, identifiers, present),
        }
    }

    /// The values that recur, most frequent first, where nearly all cells hold one of a few.
    fn categories(&self) -> Vec<String> {
        let Some(values) = &self.values else {
            return Vec::new();
        };
        let mut recurring: Vec<(&str, u64)> = values
            .values()
            .filter(|value| value.count > 1)
            .map(|value| (&*value.text, value.count))
            .collect();
        let covered: u64 = recurring.iter().map(|(_, count)| count).sum();
        let few = recurring.len() <= CATEGORIES && covered >= 5 * recurring.len() as u64;
        if !few || covered * 20 < self.present() * 19 {
            return Vec::new();
        }
        recurring.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(two.0)));
        recurring
            .into_iter()
            .map(|(text, _)| text.to_owned())
            .collect()
    }
}

/// Returns whether all values are readable, or of many values all but one in a thousand.
fn suffices(readable: u64, present: u64) -> bool {
    let lost = present - readable;
    lost == 0 || (present >= MANY_VALUES && lost.saturating_mul(1_000) <= present)
}

fn name_of(reading: &Reading) -> &'static str {
    match reading.column_type {
        Some(ColumnType::Integer) => "an integer",
        Some(ColumnType::Float) => "a number",
        Some(ColumnType::Decimal) => "a decimal",
        Some(ColumnType::Boolean) => "true or false",
        Some(ColumnType::Date) => "a date",
        Some(ColumnType::Timestamp) => "a timestamp",
        _ => "text",
    }
}

/// Text, with a remark where another type nearly fits.
fn text(best: Option<Reading>, identifiers: u64, present: u64) -> Reading {
    let mut reading = Reading::new(ColumnType::String, present);
    let Some(best) = best else {
        return reading;
    };
    let share = (best.readable + identifiers).min(present) as f64 / present as f64;
    if identifiers > 0 && share > 0.99 && best.readable > 0 {
        reading.remarks.push(format!(
            "{identifiers} values have leading zeros, the form of a telephone number, or more digits than an integer holds: kept as text"
        ));
    } else if identifiers == 0 && best.readable as f64 / present as f64 >= 0.8 {
        reading.remarks.push(format!(
            "{} of {present} values can be read as {}; the others cannot, so the column stays text",
            best.readable,
            name_of(&best)
        ));
    }
    reading
}

fn numbers(shapes: &Tally) -> Option<Reading> {
    let (point, comma) = (shapes.with(NUMBER), shapes.with(NUMBER_COMMA));
    let decimal_comma = comma > point;
    let (readable, whole, digits) = if decimal_comma {
        (comma, shapes.with(INTEGER_COMMA), shapes.comma)
    } else {
        (point, shapes.with(INTEGER), shapes.point)
    };
    if readable == 0 {
        return None;
    }
    let mut reading = Reading::new(ColumnType::Float, readable);
    if whole == readable {
        reading.column_type = Some(ColumnType::Integer);
    } else {
        reading.decimal = decimal_of(&digits);
        if reading.decimal.is_some() {
            reading.column_type = Some(ColumnType::Decimal);
        } else if digits.total > WRITTEN_DIGITS && !digits.scaled {
            let total = digits.total;
            reading.remarks.push(format!(
                "some values have {total} digits, more than a float preserves"
            ));
        }
    }
    reading.decimal_comma = decimal_comma;
    let doubtful = shapes.with(EITHER_SEPARATOR);
    if doubtful > 0 && point == comma {
        reading.remarks.push(format!(
            "in {doubtful} values the separator may be that of thousands or of decimals, and no value decides which: a point is read as the decimal separator, a comma as that of thousands"
        ));
    }
    Some(reading)
}

/// Total digits and digits behind the point where a double would lose some: amounts of fixed
/// scale beyond 15 digits, and any numbers beyond the 17 that a double is written with.
fn decimal_of(digits: &DigitRange) -> Option<(u8, i8)> {
    let fixed = digits.least_fraction == digits.fraction && digits.fraction > 0;
    let most = if fixed { EXACT_DIGITS } else { WRITTEN_DIGITS };
    // Digits enough before the point for the largest and behind it for the finest.
    let needed = digits.whole.saturating_add(digits.fraction);
    if digits.scaled || digits.total <= most || needed > DECIMAL_DIGITS {
        return None;
    }
    let precision = if needed <= 18 { 18 } else { DECIMAL_DIGITS };
    i8::try_from(digits.fraction)
        .ok()
        .map(|scale| (precision, scale))
}

fn moments(shapes: &Tally) -> Option<Reading> {
    let readable = shapes.with(MOMENT);
    if readable == 0 {
        return None;
    }
    let kind = if shapes.with(DATE) == readable {
        ColumnType::Date
    } else {
        ColumnType::Timestamp
    };
    let mut reading = Reading::new(kind, readable);
    let (day, month) = (
        shapes.with(MOMENT | DAY_FIRST),
        shapes.with(MOMENT | MONTH_FIRST),
    );
    let doubtful = shapes.with(MOMENT | EITHER_ORDER);
    reading.day_first = day > month;
    let first = if reading.day_first { "day" } else { "month" };
    if day > 0 && month > 0 {
        reading.remarks.push(format!(
            "{day} dates have the day before the month and {month} the month before the day; in {doubtful} others, which are ambiguous, the {first} is taken to come first"
        ));
    } else if doubtful > 0 && day == 0 && month == 0 {
        reading.remarks.push(format!(
            "{doubtful} dates are ambiguous in the order of day and month, and no value decides which: the month is taken to come first; declare formats such as \"%d/%m/%Y\" if it does not"
        ));
    }
    Some(reading)
}

/// Truth values in words, and both of them: a column of nothing but `no` may well mean Norway.
fn booleans(shapes: &Tally) -> Option<Reading> {
    let (truths, falsehoods) = (shapes.with(TRUE_WORD), shapes.with(FALSE_WORD));
    let sure = shapes.with(PLAIN_TRUTH) > 0 || (truths > 0 && falsehoods > 0);
    sure.then(|| Reading::new(ColumnType::Boolean, shapes.with(BOOLEAN)))
}

/// Returns the reading of a column that is typed in the source.
pub(super) fn native_reading(data_type: &DataType) -> Reading {
    let column_type = match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ColumnType::Integer,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => ColumnType::Integer,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Float,
        DataType::Decimal128(..) => ColumnType::Decimal,
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(..) => ColumnType::Timestamp,
        _ => ColumnType::String,
    };
    let decimal = match data_type {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        _ => None,
    };
    Reading {
        column_type: Some(column_type),
        decimal,
        ..Reading::default()
    }
}
