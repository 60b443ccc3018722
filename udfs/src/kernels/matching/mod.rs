//! Record linkage without rules and without labels.
//!
//! Records that may match have a blocking key in common ([`RecordKeys`]); a pair of them is compared field by field
//! ([`Comparer`]) to a [`Pattern`] of agreement; the weight of a pattern is estimated from all pairs together
//! ([`Model`], after Fellegi and Sunter, "A theory for record linkage", 1969); and scored pairs are grouped into
//! clusters ([`link`]).
//!
//! Nothing here depends on the order of the records or on where a pair is compared: hashes have fixed seeds, sums run
//! in the order of sorted keys, ties break by row.

mod compare;
mod comparer;
mod field;
mod keys;
mod linkage;
mod model;
mod pattern;
mod sketch;
mod value;

pub use comparer::{Comparer, Comparison, Prepared, Record};
pub use field::{Kind, Part};
pub use keys::{FEW_ROWS, KeyPlan, RARE_ROWS, REPRESENTATIVES, RecordKeys};
pub use linkage::{Cluster, Edge, Linkage, link, mutual_best};
pub use model::{Agreement, Chance, FieldWeights, Fit, Model, PatternCount};
pub use pattern::{Level, Pattern};
pub use sketch::{Sketch, Veil};
pub use value::{comparable, comparable_into};
