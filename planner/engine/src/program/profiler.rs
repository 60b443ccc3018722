//! The columns of a split, before and after cleaning.

use arrow::datatypes::DataType;

use planner_profile::{ColumnSketch, RowSample};

use super::Program;
use crate::operation::CleaningBatch;

/// Sketches of all columns of a split.
#[derive(Debug)]
pub struct Profiler {
    sample: RowSample,
    sketches: Vec<Option<ColumnSketch>>,
}

impl Profiler {
    /// Empty sketches of the columns of a program, over this sample of rows.
    pub fn new(program: &Program, sample: RowSample) -> Self {
        Self {
            sample,
            sketches: program.contract.columns.iter().map(|_| None).collect(),
        }
    }

    /// Looks at columns as they were before cleaning, when `op` has just been applied (none: before
    /// the first): those that the first pass profiles, or those that are left to the last.
    pub fn dirty(
        &mut self,
        frame: &CleaningBatch,
        program: &Program,
        op: Option<usize>,
        first: bool,
    ) {
        for column in 0..frame.columns.len() {
            if program.profiled_after[column] == op && program.profiled_first[column] == first {
                self.observe(frame, program, column);
            }
        }
    }

    /// Looks at the columns of the cleaned data.
    pub fn clean(&mut self, frame: &CleaningBatch, program: &Program) {
        for output in &program.output {
            self.observe(frame, program, output.column);
        }
    }

    fn observe(&mut self, frame: &CleaningBatch, program: &Program, column: usize) {
        let array = &frame.columns[column];
        let private = program.contract.columns[column].pii;
        let data_type: &DataType = array.data_type();
        let sketch =
            self.sketches[column].get_or_insert_with(|| ColumnSketch::new(data_type, private));
        sketch.observe(array, frame.first_row, frame.live(), &self.sample);
    }

    /// The sketches, one for each column of the source; none where nothing was looked at.
    pub fn finish(self) -> Vec<Option<ColumnSketch>> {
        self.sketches
    }
}
