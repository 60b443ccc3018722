//! The report: the account of a run as data, as a page for people and as a few lines of text.

mod model;

pub use model::{
    ColumnReport, PiiReport, QualityMetrics, QuarantineReport, QuarantineSample, ReasonCount,
    RemovedReport, RemovedSample, Report, SampleFix, SourceReport, Summary, TransformationReport,
    ViolationReport,
};
