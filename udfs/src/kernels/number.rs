//! Numbers as people write them.

/// A value read from text, and whether the text was already an ordinary notation of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The value.
    pub value: T,
    /// The text is an ordinary notation of the value: giving the cell its type changes nothing.
    pub plain: bool,
}

impl<T> Parsed<T> {
    /// A value whose text was an ordinary notation of it.
    pub(crate) fn plain(value: T) -> Self {
        Self { value, plain: true }
    }
}
