//! How well real tables are repaired, and real cells normalised, against their truth.

mod agreement;
mod job;
mod normalization;
mod outliers;
mod repair;

pub use agreement::{Agreement, same_value};
pub use job::QualityJob;
pub use normalization::{Normalization, NormalizationScore, dates, numbers, phones, truth_values};
pub use outliers::{OUTLIER_METHODS, score_outliers};
pub use repair::{RepairSet, repair_sets, score_repairs};
