//! The report for readers without access to the data: counts and shares, and no cell values.

use serde_json::Value;

use super::{ColumnReport, QuarantineReport, Report, TransformationReport};
use planner_profile::ColumnProfile;

impl Report {
    /// Returns the report without values of cells: no smallest, largest, frequent or sampled values, no figures that
    /// are values (means, medians, quantiles, edges of histograms), nothing that steps learned, no remarks that quote
    /// values, no sampled cells and no raw rows. Counts, shares, names of columns and rules, and parameters of steps
    /// stay.
    pub fn without_values(self) -> Self {
        let columns = self.columns.into_iter().map(|column| ColumnReport {
            before: shape(column.before),
            after: column.after.map(shape),
            remarks: Vec::new(),
            ..column
        });
        let steps = self.transformations_applied.into_iter();
        let steps = steps.map(|step| TransformationReport {
            learned: Value::Null,
            ..step
        });
        Self {
            columns: columns.collect(),
            transformations_applied: steps.collect(),
            quarantine: QuarantineReport {
                samples: Vec::new(),
                ..self.quarantine
            },
            samples: Vec::new(),
            ..self
        }
    }
}

/// Returns the counts of a column. Fields are listed explicitly, so that a new one is excluded by default.
fn shape(profile: ColumnProfile) -> ColumnProfile {
    ColumnProfile {
        name: profile.name,
        column_type: profile.column_type,
        rows: profile.rows,
        nulls: profile.nulls,
        distinct: profile.distinct,
        distinct_exact: profile.distinct_exact,
        sampled_rows: profile.sampled_rows,
        ..ColumnProfile::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Report, SampleFix, fixtures, render_html};

    /// A report reads back as it was written, and without values it still makes a page that holds none of them.
    #[test]
    fn values_are_left_out() {
        let report = fixtures::customers();
        let text = serde_json::to_string(&report).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(read, report);
        let marked = |column: &mut planner_profile::ColumnProfile| {
            column.min = Some("Zqx-min".to_owned());
            column.max = Some("Zqx-max".to_owned());
            column.median = Some("Zqx-median".to_owned());
            column.top = vec![("Zqx-top".to_owned(), 3)];
            column.samples = vec!["Zqx-sample".to_owned()];
            column.mean = Some(77_123.5);
        };
        let mut told = report;
        for column in &mut told.columns {
            marked(&mut column.before);
            column.after.iter_mut().for_each(marked);
            column.remarks = vec!["\"Zqx-remark\" stands in 2 cells".to_owned()];
        }
        told.samples.push(SampleFix {
            original: Some("Zqx-original".to_owned()),
            cleaned: Some("Zqx-cleaned".to_owned()),
            ..SampleFix::default()
        });
        for step in &mut told.transformations_applied {
            step.learned = serde_json::json!({"x": "Zqx-learned"});
        }
        assert!(serde_json::to_string(&told).unwrap().contains("Zqx"));
        let masked = told.without_values();
        let text = serde_json::to_string(&masked).unwrap();
        assert!(!text.contains("Zqx") && !text.contains("77123.5"), "{text}");
        assert_eq!(masked.columns.len(), read.columns.len());
        assert_eq!(masked.summary, read.summary);
        assert!(!render_html(&masked).unwrap().contains("Zqx"));
    }
}
