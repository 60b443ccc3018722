//! Detection of character encodings.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// A declared or detected encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub encoding: &'static Encoding,
    /// Whether it was guessed from the head, so that the rest of the text may contradict it.
    pub guessed: bool,
}

/// Determines the encoding: the declared one, else a byte order mark, else UTF-8 if the head is valid, else by
/// statistics (chardetng, as in Firefox).
///
/// A head with few invalid characters among many valid ones is still UTF-8: the invalid records are quarantined, and
/// the valid ones are not garbled.
pub(super) fn judge(head: &[u8], last: bool, told: Option<&str>) -> Judged {
    let certain = |encoding| Judged {
        encoding,
        guessed: false,
    };
    let told = told.filter(|label| !label.eq_ignore_ascii_case("auto"));
    if let Some(encoding) = told.and_then(|label| Encoding::for_label(label.as_bytes())) {
        return certain(encoding);
    }
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return certain(encoding);
    }
    if let Some(encoding) = utf_16(head) {
        return Judged {
            encoding,
            guessed: true,
        };
    }
    let mut good = 0_u64;
    let mut broken = 0_u64;
    let mut chunks = head.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count() as u64;
        let cut = !last && chunks.peek().is_none();
        broken += u64::from(!chunk.invalid().is_empty() && !cut);
    }
    if broken == 0 || good / 10 > broken {
        return Judged {
            encoding: UTF_8,
            guessed: true,
        };
    }
    Judged {
        encoding: legacy(head, last),
        guessed: true,
    }
}

/// Returns the most likely encoding of a text that is not UTF-8.
pub(super) fn legacy(head: &[u8], last: bool) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(head, last);
    detector.guess(None, Utf8Detection::Deny)
}

/// Detects UTF-16 without a byte order mark by its zero bytes in every other position.
fn utf_16(head: &[u8]) -> Option<&'static Encoding> {
    let zeros = |from: usize| {
        head.iter()
            .skip(from)
            .step_by(2)
            .filter(|b| **b == 0)
            .count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    let half = head.len() / 2;
    if half < 2 {
        None
    } else if odd > half / 2 && even < half / 20 + 1 {
        Some(UTF_16LE)
    } else if even > half / 2 && odd < half / 20 + 1 {
        Some(UTF_16BE)
    } else {
        None
    }
}
