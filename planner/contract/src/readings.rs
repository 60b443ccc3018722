//! Possible readings of a cell, as bits; a cell may have several.

/// A whole number whose decimal separator would be a point.
pub(super) const INTEGER: u32 = 1;
/// A number whose decimal separator is, or would be, a point.
pub(super) const NUMBER: u32 = 1 << 1;
/// A whole number whose decimal separator would be a comma.
pub(super) const INTEGER_COMMA: u32 = 1 << 2;
/// A number whose decimal separator is, or would be, a comma.
pub(super) const NUMBER_COMMA: u32 = 1 << 3;
/// A number of another value when read with the other decimal separator.
pub(super) const EITHER_SEPARATOR: u32 = 1 << 4;
/// Digits that are not a quantity: leading zeros, a plus and the length of a telephone number, or more digits than an
/// integer holds.
pub(super) const IDENTIFIER: u32 = 1 << 5;
/// Below zero.
pub(super) const NEGATIVE: u32 = 1 << 6;
/// A truth value, `0` and `1` included.
pub(super) const BOOLEAN: u32 = 1 << 7;
/// A word or letter for true.
pub(super) const TRUE_WORD: u32 = 1 << 8;
/// A word or letter for false.
pub(super) const FALSE_WORD: u32 = 1 << 9;
/// The word `true` or `false` itself.
pub(super) const PLAIN_TRUTH: u32 = 1 << 10;
/// A date.
pub(super) const DATE: u32 = 1 << 11;
/// A date, or a timestamp.
pub(super) const MOMENT: u32 = 1 << 12;
/// The day precedes the month.
pub(super) const DAY_FIRST: u32 = 1 << 13;
/// The month precedes the day.
pub(super) const MONTH_FIRST: u32 = 1 << 14;
/// Another date when read in the other order.
pub(super) const EITHER_ORDER: u32 = 1 << 15;
