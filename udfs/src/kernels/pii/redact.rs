//! Hides personal data behind placeholders.

use std::sync::Arc;

use super::detect::Detector;
use super::entity::Entity;
use crate::kernels::cell::{CellKernel, Verdict};

/// Replaces a whole cell by the placeholder of its kind; an empty cell holds nothing to hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedactCell {
    /// The kind of personal data the column holds.
    pub entity: Entity,
}

impl CellKernel for RedactCell {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        let placeholder = self.entity.placeholder();
        if cell.is_empty() || cell == placeholder {
            return Verdict::Same;
        }
        out.push_str(placeholder);
        Verdict::Changed(1.0)
    }
}

/// Replaces only the personal data found within a free text.
#[derive(Debug, Clone)]
pub struct RedactSpans {
    detector: Arc<Detector>,
    min_score: f32,
}

impl RedactSpans {
    /// Returns a kernel that hides what `detector` finds with a score of at least `min_score` (0 to 1).
    pub fn new(detector: Arc<Detector>, min_score: f32) -> Self {
        Self {
            detector,
            min_score,
        }
    }
}

impl CellKernel for RedactSpans {
    /// The confidence is the lowest score among the spans that were hidden.
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        let mut end = 0;
        let mut confidence = 1.0_f32;
        for span in self.detector.detect(cell) {
            if span.score < self.min_score {
                continue;
            }
            // Spans ascend, do not overlap and lie at character boundaries.
            out.push_str(cell.get(end..span.start).unwrap_or_default());
            out.push_str(span.entity.placeholder());
            end = span.end;
            confidence = confidence.min(span.score);
        }
        if end == 0 {
            return Verdict::Same;
        }
        out.push_str(cell.get(end..).unwrap_or_default());
        Verdict::Changed(confidence)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn redact(cell: &str) -> String {
        let kernel = RedactSpans::new(Arc::new(Detector::new()), 0.5);
        let mut out = String::new();
        match kernel.clean(cell, &mut out) {
            Verdict::Changed(_) => out,
            _ => cell.to_owned(),
        }
    }

    /// Text around the spans stays as it was; a cell of one kind goes whole.
    #[test]
    fn cases() {
        let cases = [
            (
                "Write to ada@example.org or café@home",
                "Write to <EMAIL> or café@home",
            ),
            (
                "é ada@example.org, 192.168.0.1 ü",
                "é <EMAIL>, <IP_ADDRESS> ü",
            ),
            ("nothing here", "nothing here"),
            ("", ""),
        ];
        for (cell, want) in cases {
            assert_eq!(redact(cell), want);
        }
        let kernel = RedactCell {
            entity: Entity::Person,
        };
        let mut out = String::new();
        assert_eq!(kernel.clean("Ada", &mut out), Verdict::Changed(1.0));
        assert_eq!(out, "<PERSON>");
        assert_eq!(kernel.clean("", &mut String::new()), Verdict::Same);
        assert_eq!(kernel.clean("<PERSON>", &mut String::new()), Verdict::Same);
    }

    proptest! {
        /// Spans are removed, and nothing else is.
        #[test]
        fn hidden_is_hidden(pieces in prop::collection::vec("[a-zé ]{0,6}|ada@example\\.org|10\\.0\\.0\\.1", 0..6)) {
            let cell = pieces.join("; ");
            let want = cell.replace("ada@example.org", "<EMAIL>").replace("10.0.0.1", "<IP_ADDRESS>");
            prop_assert_eq!(redact(&cell), want);
        }
    }
}
