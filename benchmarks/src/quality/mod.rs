//! How well real tables are repaired, and real cells normalised, against their truth.

mod agreement;
mod job;
mod normalization;
mod outliers;
mod repair;
mod truth_table;

pub(crate) use agreement::share;
pub use agreement::{Agreement, same_value};
pub use job::QualityJob;
pub(crate) use job::number_columns;
pub use normalization::{Normalization, NormalizationScore, dates, numbers, phones, truth_values};
pub use outliers::{OUTLIER_METHODS, outlier_tables, score_outliers};
pub use repair::{RepairSet, repair_sets, score_repairs};
pub use truth_table::TruthTable;
