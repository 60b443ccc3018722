//! What a cell can be read as: bits, several of which a cell may have.

/// A whole number whose decimal separator would be a point.
pub(super) const INTEGER: u32 = 1;
/// A number whose decimal separator is, or would be, a point.
pub(super) const NUMBER: u32 = 1 << 1;
/// A whole number whose decimal separator would be a comma.
pub(super) const INTEGER_COMMA: u32 = 1 << 2;
/// A number whose decimal separator is, or would be, a comma.
pub(super) const NUMBER_COMMA: u32 = 1 << 3;
/// A number that means something else with the other decimal separator.
pub(super) const EITHER_SEPARATOR: u32 = 1 << 4;
/// Digits that are no quantity: idle zeros in front, a plus with a telephone number's length, or
/// more digits than an integer holds.
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
/// A day.
pub(super) const DATE: u32 = 1 << 11;
/// A day, or a time of one.
pub(super) const MOMENT: u32 = 1 << 12;
/// The day stands before the month.
pub(super) const DAY_FIRST: u32 = 1 << 13;
/// The month stands before the day.
pub(super) const MONTH_FIRST: u32 = 1 << 14;
/// Another day when read the other way.
pub(super) const EITHER_ORDER: u32 = 1 << 15;
