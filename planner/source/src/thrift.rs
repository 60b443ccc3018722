//! Traverses documents in Thrift's compact protocol without building them, to validate the metadata of a Parquet file
//! before its decoder uses it.
//!
//! A list of more elements than the remaining bytes, or structures nested too deeply, are rejected. A decoder that
//! allocates memory for the claimed length of a list, or recurses for each level, would end the process.

/// Most structures, lists and maps within each other.
const MAX_DEPTH: usize = 32;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const STRUCT: u8 = 12;
const LIST: u8 = 9;

/// Why a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes end before the document does.
    Incomplete,
    /// The content is invalid.
    Broken(&'static str),
}

impl Fault {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Incomplete => "it ends too early",
            Self::Broken(what) => what,
        }
    }
}

type Result<T> = std::result::Result<T, Fault>;

/// A place in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes that were walked over.
    pub fn passed(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = self.bytes.get(self.at).ok_or(Fault::Incomplete)?;
        self.at += 1;
        Ok(*byte)
    }

    fn pass(&mut self, count: u64) -> Result<()> {
        let left = self.bytes.len() - self.at;
        match usize::try_from(count) {
            Ok(count) if count <= left => {
                self.at += count;
                Ok(())
            }
            _ => Err(Fault::Incomplete),
        }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Fault::Broken("a number is too long"))
    }

    /// Reads an integer of any width.
    ///
    /// # Errors
    /// When the document ends or the integer is too long.
    pub fn integer(&mut self) -> Result<i64> {
        let value = self.varint()?;
        // ZigZag: the lowest bit is the sign.
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Visits the fields of a structure; `take` may read a field of this number and kind, and returns whether it did.
    ///
    /// # Errors
    /// When the document ends or is invalid, or `take` fails.
    pub fn fields(
        &mut self,
        take: &mut dyn FnMut(&mut Self, i64, u8) -> Result<bool>,
    ) -> Result<()> {
        self.fields_within(take, 0)
    }

    fn fields_within(
        &mut self,
        take: &mut dyn FnMut(&mut Self, i64, u8) -> Result<bool>,
        depth: usize,
    ) -> Result<()> {
        let mut number = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(());
            }
            let kind = head & 0x0f;
            number = match head >> 4 {
                0 => self.integer()?,
                delta => number.wrapping_add(i64::from(delta)),
            };
            if !take(self, number, kind)? {
                self.skip(kind, depth)?;
            }
        }
    }

    /// Reads the number of elements of a list and their kind. Each takes at least one byte.
    ///
    /// # Errors
    /// When the document ends or cannot hold that many elements.
    pub fn list(&mut self) -> Result<(usize, u8)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        let left = self.bytes.len() - self.at;
        match usize::try_from(count) {
            Ok(count) if count <= left => Ok((count, head & 0x0f)),
            _ => Err(Fault::Incomplete),
        }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<()> {
        if depth >= MAX_DEPTH {
            return Err(Fault::Broken("it is nested too deeply"));
        }
        match kind {
            TRUE | FALSE => Ok(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.varint()?;
                self.pass(length)
            }
            LIST | 10 => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip_element(kind, depth + 1))
            }
            11 => {
                let count = self.varint()?;
                if count == 0 {
                    return Ok(());
                }
                if count > (self.bytes.len() - self.at) as u64 {
                    return Err(Fault::Incomplete);
                }
                let kinds = self.byte()?;
                (0..count).try_for_each(|_| {
                    self.skip_element(kinds >> 4, depth + 1)?;
                    self.skip_element(kinds & 0x0f, depth + 1)
                })
            }
            STRUCT => self.fields_within(&mut |_, _, _| Ok(false), depth + 1),
            13 => self.pass(16),
            _ => Err(Fault::Broken("a field has an unknown type")),
        }
    }

    /// Booleans take a byte in a list, and none as a field.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Result<()> {
        match kind {
            TRUE | FALSE => self.pass(1),
            kind => self.skip(kind, depth),
        }
    }
}

/// Returns whether a field of this kind is a whole number.
pub(super) fn is_integer(kind: u8) -> bool {
    matches!(kind, 4..=6)
}

/// Returns whether a field of this kind is a structure.
pub(super) fn is_struct(kind: u8) -> bool {
    kind == STRUCT
}

/// Returns whether a field of this kind is a list.
pub(super) fn is_list(kind: u8) -> bool {
    kind == LIST
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Field numbers are deltas; fields that nobody reads are skipped.
    #[test]
    fn fields() {
        // 1: i32 -2; 3: list of two binaries; 4: struct {1: true}; 20: i64 300.
        let bytes = [
            0x15, 0x03, 0x29, 0x28, 1, b'a', 0, 0x1c, 0x11, 0, 0x06, 0x28, 0xd8, 0x04, 0,
        ];
        let mut seen = Vec::new();
        let mut walk = Walk::new(&bytes);
        let done = walk.fields(&mut |walk, number, kind| {
            let whole = is_integer(kind);
            seen.push((number, if whole { walk.integer()? } else { 0 }));
            Ok(whole)
        });
        done.unwrap();
        assert_eq!(seen, [(1, -2), (3, 0), (4, 0), (20, 300)]);
        assert_eq!(walk.at, bytes.len());
    }

    /// Claims that the bytes cannot hold, and depth without end, are refused.
    #[test]
    fn m3_hostile_documents() {
        let skip = |bytes: &[u8]| Walk::new(bytes).fields(&mut |_, _, _| Ok(false));
        assert_eq!(
            skip(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0x7f]),
            Err(Fault::Incomplete)
        );
        assert_eq!(
            skip(&[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            Err(Fault::Incomplete)
        );
        assert_eq!(
            skip(&[0x1b, 0xff, 0xff, 0xff, 0x7f, 0xcc]),
            Err(Fault::Incomplete)
        );
        let deep = Err(Fault::Broken("it is nested too deeply"));
        assert_eq!(skip(&[0x1c; 100_000]), deep);
        assert_eq!(skip(&[&[0x19][..], &[0x19; 100_000][..]].concat()), deep);
        assert!(
            skip(&[
                0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0
            ])
            .is_err()
        );
    }
}
