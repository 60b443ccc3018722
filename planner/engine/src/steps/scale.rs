//! `scale`: a step with a statistic of its own, in tests only. This file and its word in the list are all that it takes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NamedStep, Step};
use crate::contract::Columns;
use crate::error::{Error, Result};
use crate::operation::{
    Accumulator, ChangeSource, CleaningBatch, ColumnSet, Confidence, DriverContext, Layout, Op,
    PartialState, PartialStates, ReportContext, SplitContext, Statistic, StatisticFiles,
    StatisticReport, StatisticValue, StepContext, Stored, Traffic, known,
};

/// Divides the floats of columns by the greatest of their column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Float columns.
    #[serde(default)]
    pub columns: Columns,
}

impl NamedStep for Scale {
    const NAME: &'static str = "scale";
    const EXAMPLE: &'static str = "{type: scale, columns: [income]}";
}

impl Step for Scale {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let is_float =
            |column: &crate::operation::LayoutColumn| column.data_type == DataType::Float64;
        let columns = layout.select(&self.columns, &context.field, is_float, "floats")?;
        Ok(vec![Box::new(ScaleOp {
            transformation: context.transformation,
            greatest: Greatest { columns },
        })])
    }
}

#[derive(Debug)]
struct ScaleOp {
    transformation: u16,
    greatest: Greatest,
}

impl Op for ScaleOp {
    fn reads(&self) -> ColumnSet {
        self.greatest.columns.iter().copied().collect()
    }

    fn writes(&self) -> ColumnSet {
        self.reads()
    }

    fn statistic(&self) -> Option<&dyn Statistic> {
        Some(&self.greatest)
    }

    fn apply(&self, batch: &mut CleaningBatch, value: Option<&StatisticValue>) -> Result<()> {
        let greatest: &Vec<f64> = known(value)?;
        for (column, greatest) in self.greatest.columns.iter().zip(greatest) {
            let floats = batch.columns[*column].as_primitive::<Float64Type>();
            let scaled: Float64Array = floats.iter().map(|x| x.map(|x| x / greatest)).collect();
            let rows = (0..batch.rows()).filter(|row| floats.is_valid(*row) && batch.is_live(*row));
            let rows = rows.map(|row| row as u32).collect();
            let (all, source) = (Confidence::All(1.0), ChangeSource::Deterministic);
            batch.change(
                self.transformation,
                *column,
                Arc::new(scaled),
                rows,
                all,
                source,
            );
        }
        Ok(())
    }
}

/// The greatest float of columns. Its value is a `Vec` of floats.
#[derive(Debug, Clone)]
struct Greatest {
    columns: Vec<usize>,
}

struct SplitGreatest {
    columns: Vec<usize>,
    greatest: Vec<f64>,
}

impl Accumulator for SplitGreatest {
    fn update(&mut self, batch: &CleaningBatch) -> Result<usize> {
        for (column, greatest) in self.columns.iter().zip(&mut self.greatest) {
            let floats = batch.columns[*column].as_primitive::<Float64Type>();
            let live = (0..batch.rows()).filter(|row| floats.is_valid(*row) && batch.is_live(*row));
            *greatest = live.fold(*greatest, |most, row| most.max(floats.value(row)));
        }
        Ok(0)
    }

    fn finish(self: Box<Self>) -> Result<Vec<PartialState>> {
        Ok(PartialState::whole(batch_of(self.greatest)?))
    }
}

fn batch_of(greatest: Vec<f64>) -> Result<RecordBatch> {
    let greatest: ArrayRef = Arc::new(Float64Array::from(greatest));
    Ok(RecordBatch::try_from_iter([("greatest", greatest)])?)
}

fn greatest_of(states: &[RecordBatch], columns: usize) -> Vec<f64> {
    let mut greatest = vec![f64::NEG_INFINITY; columns];
    for state in states {
        let state = state.column(0).as_primitive::<Float64Type>();
        for (most, value) in greatest.iter_mut().zip(state.values()) {
            *most = most.max(*value);
        }
    }
    greatest
}

impl Statistic for Greatest {
    fn describe(&self, names: &dyn Fn(&[usize]) -> String) -> String {
        format!("the greatest of {}", names(&self.columns))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            what: "greatest values",
            row_bytes: None,
        }
    }

    fn accumulator(&self, _: &SplitContext) -> Box<dyn Accumulator> {
        Box::new(SplitGreatest {
            columns: self.columns.clone(),
            greatest: vec![f64::NEG_INFINITY; self.columns.len()],
        })
    }

    fn evaluate(
        &self,
        partial: PartialStates,
        _: &mut DriverContext<'_>,
    ) -> Result<StatisticValue> {
        let greatest = greatest_of(&partial.by_split(), self.columns.len());
        Ok(StatisticValue::new(greatest))
    }

    fn store(&self, value: &StatisticValue, files: &StatisticFiles) -> Result<Stored> {
        let greatest: &Vec<f64> = known(Some(value))?;
        files.write_streams(&[batch_of(greatest.clone())?])
    }

    fn load(&self, stored: &Stored, _: u64) -> Result<StatisticValue> {
        let states = stored.read_streams()?;
        if states.len() != 1 {
            return Err(Error::Bug("greatest values of another statistic"));
        }
        Ok(StatisticValue::new(greatest_of(
            &states,
            self.columns.len(),
        )))
    }

    fn report(&self, _: Option<&StatisticValue>, _: &ReportContext<'_>) -> Option<StatisticReport> {
        Some(StatisticReport::exact())
    }
}

mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::datatypes::DataType;
    use serde_json::Value;

    use crate::program::Program;
    use crate::run::{JobRun, explain_job};
    use crate::spec::JobSpec;
    use crate::storage::Place;

    fn job(folder: &std::path::Path) -> JobRun {
        std::fs::write(folder.join("a.csv"), "x,y\n1.5,a\n,b\n3.0,c\n-6.0,d\n").unwrap();
        let text = "
version: 1
source: {location: a.csv}
dataset: {columns: [{name: x, type: float}]}
steps: [{type: scale, columns: [x]}, {type: outliers, columns: [x]}]
output: {location: out, format: csv}
";
        JobRun::new(
            JobSpec::parse(text, "test", &[]).unwrap(),
            folder.to_owned(),
        )
    }

    /// A step and a statistic that nothing else in the engine knows of are planned, explained, run and reported like any
    /// other.
    #[tokio::test]
    async fn a_new_step() {
        let folder = tempfile::tempdir().unwrap();
        let run = job(folder.path());
        let plan = explain_job(&run, &Place::own(folder.path().join("staging"))).unwrap();
        assert!(plan.contains("t-3 scale"), "{plan}");
        assert!(plan.contains("the greatest of x"), "{plan}");
        // What reads its columns waits for it.
        assert!(plan.contains("pass 3"), "{plan}");
        run.run().await.unwrap();
        let out = folder.path().join("out");
        let data = std::fs::read_to_string(out.join("data/part-00000.csv")).unwrap();
        assert_eq!(data, "x,y\n0.5,a\n,b\n1.0,c\n-2.0,d\n");
        let report = std::fs::read(out.join("report.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        let steps = report["transformations_applied"].as_array().unwrap();
        let own = steps.iter().find(|step| step["type"] == "scale").unwrap();
        assert_eq!(own["cells_modified"], 3);
        assert_eq!(own["method"], "exact");
        let schema = serde_json::to_string(&schemars::schema_for!(JobSpec)).unwrap();
        assert!(schema.contains("\"const\":\"scale\""));
    }

    /// Its value comes back from the files that other processes read.
    #[test]
    fn stored_value() {
        let folder = tempfile::tempdir().unwrap();
        let run = job(folder.path());
        let contract = crate::contract::complete(
            &run.spec.dataset,
            &["x", "y"].map(|name| (name.to_owned(), DataType::Utf8View)),
            None,
        );
        let types = [DataType::Utf8View, DataType::Utf8View];
        let program = Program::compile(&run.spec, &contract.unwrap(), &types).unwrap();
        let own = |op: &usize| program.step_of(*op).ends_with("scale");
        let op = (0..program.ops.len()).find(own).unwrap();
        let statistic = program.statistic(op).unwrap();
        let files = crate::operation::StatisticFiles {
            folder: Place::own(folder.path()),
            op,
            splits: crate::operation::Splits { count: 2, rows: 9 },
        };
        let value = crate::operation::StatisticValue::new(vec![3.0]);
        let stored = statistic.store(&value, &files).unwrap();
        let back = statistic.load(&stored, 1).unwrap();
        assert_eq!(back.get::<Vec<f64>>(), Some(&vec![3.0]));
    }
}
