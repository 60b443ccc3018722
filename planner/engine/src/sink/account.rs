//! What the steps did to a split, in figures.

use serde::{Deserialize, Serialize};

use super::cells::ModifiedCells;
use crate::operation::{CleaningBatch, RemovalReason};
use crate::program::Program;

/// Examples of each kind that a split tells of.
const EXAMPLES: usize = 5;

/// Cells that a transformation changed in a column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CellCount {
    /// The transformation that changed them last.
    pub transformation: u16,
    /// The column.
    pub column: usize,
    /// Cells.
    pub cells: u64,
    /// Of these, filled from other rows.
    pub imputed: u64,
    /// Of these, with a confidence below 1.
    pub uncertain: u64,
    /// Sum of their confidences.
    pub confidence: f64,
    /// Some of them; none of a column with personal data.
    pub samples: Vec<Sample>,
}

/// A modified cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Row in the source.
    pub row: u64,
    /// Value of the source.
    pub original: Option<String>,
    /// Value of the cleaned data.
    pub cleaned: Option<String>,
    /// Confidence.
    pub confidence: f32,
}

/// Rows that break a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FlagCount {
    /// The transformation with the rule.
    pub transformation: u16,
    /// Column of the rule.
    pub column: usize,
    /// The rule.
    pub rule: String,
    /// Rows.
    pub rows: u64,
    /// Some of them.
    pub samples: Vec<u64>,
}

/// Rows that were lost.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LossCount {
    /// The transformation that took them out; none for unreadable rows.
    pub transformation: Option<u16>,
    /// Column of the rule that they break.
    pub column: Option<usize>,
    /// Why.
    pub reason: String,
    /// Whether they stand in quarantine.
    pub quarantined: bool,
    /// Rows.
    pub rows: u64,
    /// Some of them: row, file, line, and the row that stays.
    pub samples: Vec<(u64, u32, u64, Option<u64>)>,
}

/// What the steps did to a split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Rows read.
    pub rows: u64,
    /// Rows of the cleaned data.
    pub clean_rows: u64,
    /// Rows of the cleaned data with a modified cell.
    pub modified_rows: u64,
    /// Rows with a cell modified, by transformation.
    pub rows_by_transformation: Vec<u64>,
    /// Modified cells, by transformation and column.
    pub cells: Vec<CellCount>,
    /// Cells that could not be read, by transformation and column.
    pub invalid: Vec<(u16, usize, u64)>,
    /// Violations that changed no row's fate.
    pub flags: Vec<FlagCount>,
    /// Lost rows.
    pub losses: Vec<LossCount>,
}

impl Account {
    /// An empty account of a program.
    pub fn new(program: &Program) -> Self {
        Self {
            rows_by_transformation: vec![0; program.transformations.len()],
            ..Self::default()
        }
    }

    /// Adds a frame and its modified cells.
    pub(super) fn add(&mut self, frame: &CleaningBatch, cells: &[ModifiedCells], private: &[bool]) {
        self.rows += frame.rows() as u64;
        self.clean_rows += frame.live_rows() as u64;
        self.add_cells(frame, cells, private);
        for (transformation, column, count) in &frame.invalid {
            let known = self
                .invalid
                .iter_mut()
                .find(|known| (known.0, known.1) == (*transformation, *column));
            match known {
                Some(known) => known.2 += count,
                None => self.invalid.push((*transformation, *column, *count)),
            }
        }
        for flag in &frame.flags {
            let rows = flag
                .rows
                .iter()
                .map(|row| frame.first_row + u64::from(*row));
            self.merge_flag(FlagCount {
                transformation: flag.transformation,
                column: flag.column,
                rule: flag.rule.to_owned(),
                rows: flag.rows.len() as u64,
                samples: rows.take(EXAMPLES).collect(),
            });
        }
        for (row, loss) in &frame.losses {
            self.merge_loss(loss_count(frame, *row, loss));
        }
    }

    fn add_cells(&mut self, frame: &CleaningBatch, cells: &[ModifiedCells], private: &[bool]) {
        let mut modified = vec![false; frame.rows()];
        let mut by_transformation = vec![Vec::<u64>::new(); self.rows_by_transformation.len()];
        let words = frame.rows().div_ceil(64);
        for part in cells {
            let mut known: Option<(u16, usize)> = None;
            for (place, row) in part.rows.iter().enumerate() {
                modified[*row as usize] = true;
                let transformation = part.transformation[place];
                let bits = &mut by_transformation[usize::from(transformation)];
                // Nearly always the one of the cell before.
                let number = match known {
                    Some((same, number)) if same == transformation => number,
                    _ => {
                        bits.resize(words, 0);
                        self.cell_count(transformation, part.column)
                    }
                };
                known = Some((transformation, number));
                bits[*row as usize / 64] |= 1 << (row % 64);
                let count = &mut self.cells[number];
                let confidence = part.confidence[place];
                count.cells += 1;
                count.confidence += f64::from(confidence);
                count.uncertain += u64::from(confidence < 1.0);
                let imputed =
                    part.source[place] == crate::operation::ChangeSource::DeterministicImpute;
                count.imputed += u64::from(imputed);
                if count.samples.len() < EXAMPLES && !private[part.column] {
                    let sample = part.sample(frame, place);
                    count.samples.push(sample);
                }
            }
        }
        self.modified_rows += modified.iter().filter(|modified| **modified).count() as u64;
        for (total, bits) in self
            .rows_by_transformation
            .iter_mut()
            .zip(by_transformation)
        {
            *total += bits
                .iter()
                .map(|word| u64::from(word.count_ones()))
                .sum::<u64>();
        }
    }

    /// Place of the count of a transformation and a column.
    fn cell_count(&mut self, transformation: u16, column: usize) -> usize {
        let same =
            |count: &CellCount| (count.transformation, count.column) == (transformation, column);
        self.cells.iter().position(same).unwrap_or_else(|| {
            self.cells.push(CellCount {
                transformation,
                column,
                ..CellCount::default()
            });
            self.cells.len() - 1
        })
    }

    fn merge_flag(&mut self, flag: FlagCount) {
        let same = |known: &&mut FlagCount| {
            (known.transformation, known.column, &known.rule)
                == (flag.transformation, flag.column, &flag.rule)
        };
        match self.flags.iter_mut().find(same) {
            Some(known) => {
                known.rows += flag.rows;
                known.samples.extend(flag.samples);
                known.samples.truncate(EXAMPLES);
            }
            None => self.flags.push(flag),
        }
    }

    fn merge_loss(&mut self, loss: LossCount) {
        let same = |known: &&mut LossCount| {
            (known.transformation, known.column, &known.reason)
                == (loss.transformation, loss.column, &loss.reason)
        };
        match self.losses.iter_mut().find(same) {
            Some(known) => {
                known.rows += loss.rows;
                known.samples.extend(loss.samples);
                known.samples.truncate(EXAMPLES);
            }
            None => self.losses.push(loss),
        }
    }

    /// Adds the account of the split behind this one.
    pub fn merge(&mut self, later: Self) {
        self.rows += later.rows;
        self.clean_rows += later.clean_rows;
        self.modified_rows += later.modified_rows;
        for (total, more) in self
            .rows_by_transformation
            .iter_mut()
            .zip(later.rows_by_transformation)
        {
            *total += more;
        }
        for more in later.cells {
            let number = self.cell_count(more.transformation, more.column);
            let count = &mut self.cells[number];
            count.cells += more.cells;
            count.imputed += more.imputed;
            count.uncertain += more.uncertain;
            count.confidence += more.confidence;
            count.samples.extend(more.samples);
            count.samples.truncate(EXAMPLES);
        }
        for (transformation, column, count) in later.invalid {
            let known = self
                .invalid
                .iter_mut()
                .find(|known| (known.0, known.1) == (transformation, column));
            match known {
                Some(known) => known.2 += count,
                None => self.invalid.push((transformation, column, count)),
            }
        }
        later
            .flags
            .into_iter()
            .for_each(|flag| self.merge_flag(flag));
        later
            .losses
            .into_iter()
            .for_each(|loss| self.merge_loss(loss));
    }
}

fn loss_count(frame: &CleaningBatch, row: u32, loss: &RemovalReason) -> LossCount {
    let at = row as usize;
    let (transformation, column, reason, survivor) = match loss {
        RemovalReason::Unreadable { reason, .. } => (None, None, reason.clone(), None),
        RemovalReason::Violation {
            transformation,
            column,
            rule,
        } => (
            Some(*transformation),
            Some(*column),
            (*rule).to_owned(),
            None,
        ),
        RemovalReason::Duplicate {
            transformation,
            survivor,
        } => (
            Some(*transformation),
            None,
            "duplicate".to_owned(),
            Some(*survivor),
        ),
        RemovalReason::NearDuplicate {
            transformation,
            survivor,
            ..
        } => (
            Some(*transformation),
            None,
            "near_duplicate".to_owned(),
            Some(*survivor),
        ),
    };
    LossCount {
        transformation,
        column,
        reason,
        quarantined: !matches!(
            loss,
            RemovalReason::Duplicate { .. } | RemovalReason::NearDuplicate { .. }
        ),
        rows: 1,
        samples: vec![(
            frame.first_row + u64::from(row),
            frame.origin.file.value(at),
            frame.origin.line.value(at),
            survivor,
        )],
    }
}
