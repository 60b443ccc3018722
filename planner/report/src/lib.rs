//! The report: the account of a run as data, as a page for people and as a few lines of text.

mod axis;
mod charts;
mod diff;
mod format;
mod html;
mod mask;
mod model;
mod sentences;
mod text;
mod view;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

pub use format::bytes;
pub use html::{ReportError, render_html};
pub use model::{
    ColumnReport, PiiReport, QualityMetrics, QuarantineReport, QuarantineSample, ReasonCount,
    RemovedReport, RemovedSample, Report, SampleFix, SourceReport, Summary, TransformationReport,
    ViolationReport,
};
pub use text::summary_lines;
