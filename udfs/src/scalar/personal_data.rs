//! SQL functions that find and hide personal data within a text.

use std::sync::{Arc, LazyLock};

use super::cell_function::{CellFunction, OptionCount, document};
use crate::kernels::cell::{CellKernel, Verdict};
use crate::kernels::pii::detect::Detector;
use crate::kernels::pii::redact::RedactSpans;

/// Patterns take milliseconds to build and never change.
static DETECTOR: LazyLock<Arc<Detector>> = LazyLock::new(|| Arc::new(Detector::new()));

/// Every span that the detector reports is hidden.
const MIN_SCORE: f32 = 0.0;

/// Lists the kinds of personal data in a cell, each once, in the order of their occurrence.
struct ListEntities(Arc<Detector>);

impl CellKernel for ListEntities {
    fn clean(&self, cell: &str, out: &mut String) -> Verdict {
        let mut seen = Vec::new();
        for span in self.0.detect(cell) {
            if !seen.contains(&span.entity) {
                if !seen.is_empty() {
                    out.push(',');
                }
                out.push_str(span.entity.name());
                seen.push(span.entity);
            }
        }
        if seen.is_empty() {
            Verdict::Invalid
        } else {
            Verdict::Changed(1.0)
        }
    }
}

/// `pii_detect(x)`: the kinds of personal data in a text.
pub fn pii_detect() -> CellFunction {
    CellFunction::new(
        "pii_detect",
        OptionCount::NONE,
        |_| Ok(Arc::new(ListEntities(Arc::clone(&DETECTOR)))),
        document(
            "Names the kinds of personal data that a text holds, with commas between them. Null \
             where it holds none.",
            "pii_detect(text)",
            "pii_detect('ada@example.org, 415-555-0132')",
            "EMAIL,PHONE",
        )
        .with_argument("text", "The text to search.")
        .build(),
    )
}

/// `pii_redact(x)`: the text with its personal data hidden.
pub fn pii_redact() -> CellFunction {
    CellFunction::new(
        "pii_redact",
        OptionCount::NONE,
        |_| Ok(Arc::new(RedactSpans::new(Arc::clone(&DETECTOR), MIN_SCORE))),
        document(
            "Replaces the personal data within a text by the name of its kind; the rest of the \
             text stays.",
            "pii_redact(text)",
            "pii_redact('write to ada@example.org')",
            "write to <EMAIL>",
        )
        .with_argument("text", "The text to hide personal data in.")
        .build(),
    )
}
