//! A batch on its way through the steps, with what became of its cells and rows so far.

use arrow::array::{Array, ArrayRef, BooleanArray, StringViewArray, UInt32Array, UInt64Array};
use arrow::buffer::BooleanBuffer;

use super::Extensions;

/// Who vouches for a changed cell; a name of the `source` column of the provenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeSource {
    /// A rule without doubt.
    Deterministic,
    /// A value made from the other rows.
    DeterministicImpute,
    /// The nearest canonical value.
    FuzzyCanonicalize,
    /// A row that was found to be of the same thing.
    LshSuggest,
}

impl ChangeSource {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::Deterministic,
        Self::DeterministicImpute,
        Self::FuzzyCanonicalize,
        Self::LshSuggest,
    ];

    /// The name written to the provenance.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::DeterministicImpute => "deterministic_impute",
            Self::FuzzyCanonicalize => "fuzzy_canonicalize",
            Self::LshSuggest => "lsh_suggest",
        }
    }
}

/// Confidence of the cells of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Confidence {
    /// The same for all.
    All(f32),
    /// One for each changed row.
    Each(Vec<f32>),
}

impl Confidence {
    /// Confidence of the `index`-th changed row.
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Self::All(score) => *score,
            Self::Each(scores) => scores.get(index).copied().unwrap_or(1.0),
        }
    }
}

/// Cells of one column that one operation changed.
#[derive(Debug, Clone)]
pub struct Change {
    /// Transformation that made the change.
    pub transformation: u16,
    /// The column.
    pub column: usize,
    /// Rows of the frame that changed, ascending.
    pub rows: Vec<u32>,
    /// The whole column as it was before.
    pub before: ArrayRef,
    /// Confidence of each row's change.
    pub confidence: Confidence,
    /// Who vouches for it.
    pub source: ChangeSource,
    /// The row of the source from which each has its value; empty where none has its from another.
    pub from: Vec<u64>,
}

/// Why a row is not in the cleaned data.
#[derive(Debug, Clone, PartialEq)]
pub enum RemovalReason {
    /// The source could not read the row.
    Unreadable {
        /// What is wrong with it.
        reason: String,
        /// The row as it stands in the source.
        raw: String,
    },
    /// The row breaks a rule that quarantines.
    Violation {
        /// Transformation with the rule.
        transformation: u16,
        /// Column of the rule.
        column: usize,
        /// Name of the rule.
        rule: &'static str,
    },
    /// The row is the copy of an earlier one.
    Duplicate {
        /// Transformation that found it.
        transformation: u16,
        /// Row that stays.
        survivor: u64,
    },
    /// The row is nearly the same as another.
    NearDuplicate {
        /// Transformation that found it.
        transformation: u16,
        /// Row that stays.
        survivor: u64,
        /// How sure it is, 0 to 1.
        score: f64,
    },
}

/// Rows that break a rule and stay.
#[derive(Debug, Clone)]
pub struct Flag {
    /// Transformation with the rule.
    pub transformation: u16,
    /// Column of the rule.
    pub column: usize,
    /// Name of the rule.
    pub rule: &'static str,
    /// Rows of the frame.
    pub rows: Vec<u32>,
    /// Whether the job fails for it.
    pub fatal: bool,
}

/// A row of a cluster of near duplicates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusteredRow {
    /// The row.
    pub row: u64,
    /// The cluster: its smallest row.
    pub cluster: u64,
    /// The row of the cluster that stays.
    pub survivor: u64,
    /// How sure it is that the row belongs there, 0 to 1: by the pair with the row that stays, or by
    /// its best pair in the cluster; 1 of the row that stays.
    pub score: f64,
}

/// Where the rows of a frame come from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// File of each row, by its number in the source.
    pub file: UInt32Array,
    /// Line (text) or row (tables) of each row in its file, from 1.
    pub line: UInt64Array,
}

/// A batch of consecutive rows on its way through the steps.
#[derive(Debug)]
pub struct CleaningBatch {
    /// Row id of the first row; the others follow without a gap.
    pub first_row: u64,
    /// Every column of the source, in source order.
    pub columns: Vec<ArrayRef>,
    /// The same before any step. A type that is read where nothing has to be mended is no change,
    /// but `10` is not what the source wrote where `10.0` stands now.
    pub raw: Vec<ArrayRef>,
    /// Rows that are neither removed nor quarantined; none when all are.
    live: Option<BooleanBuffer>,
    rows: usize,
    /// What was changed, in the order of the operations.
    pub changes: Vec<Change>,
    /// What became of the rows that are not live, by row.
    pub losses: Vec<(u32, RemovalReason)>,
    /// Rows that break a rule and stay.
    pub flags: Vec<Flag>,
    /// Cells that could not be read, by transformation and column.
    pub invalid: Vec<(u16, usize, u64)>,
    /// Rows of clusters of near duplicates, with the transformation that found them.
    pub clustered: Vec<(u16, ClusteredRow)>,
    /// Whether the frame is on its way to an output, so that indexes are made of it.
    pub is_published: bool,
    /// What operations have added for later ones.
    pub extensions: Extensions,
    /// Where the rows come from.
    pub origin: Origin,
}

impl CleaningBatch {
    /// A frame of raw rows; `bad` and `raw` hold the reason and the text of unreadable ones.
    pub fn new(
        first_row: u64,
        columns: Vec<ArrayRef>,
        origin: Origin,
        bad: &StringViewArray,
        raw: &StringViewArray,
    ) -> Self {
        let rows = origin.file.len();
        let mut frame = Self {
            first_row,
            raw: columns.clone(),
            columns,
            live: None,
            rows,
            changes: Vec::new(),
            losses: Vec::new(),
            flags: Vec::new(),
            invalid: Vec::new(),
            clustered: Vec::new(),
            is_published: false,
            extensions: Extensions::default(),
            origin,
        };
        if bad.null_count() < bad.len() {
            let losses = (0..rows).filter(|row| bad.is_valid(*row)).map(|row| {
                let loss = RemovalReason::Unreadable {
                    reason: bad.value(row).to_owned(),
                    raw: raw.value(row).to_owned(),
                };
                (row as u32, loss)
            });
            frame.remove(losses.collect());
        }
        frame
    }

    /// Numbers the rows of the source from this number on, when all is done.
    pub fn renumber(&mut self, first_row_id: u64) {
        if first_row_id == 0 {
            return;
        }
        // Rows of an earlier output lie before those of the source: their numbers wrap around.
        let outside = |row: &mut u64| *row = row.wrapping_add(first_row_id);
        outside(&mut self.first_row);
        for change in &mut self.changes {
            change.from.iter_mut().for_each(outside);
        }
        for (_, loss) in &mut self.losses {
            if let RemovalReason::Duplicate { survivor, .. }
            | RemovalReason::NearDuplicate { survivor, .. } = loss
            {
                outside(survivor);
            }
        }
        for (_, matched) in &mut self.clustered {
            outside(&mut matched.row);
            outside(&mut matched.cluster);
            outside(&mut matched.survivor);
        }
        self.extensions.renumber(first_row_id);
    }

    /// Number of rows, live or not.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of live rows.
    pub fn live_rows(&self) -> usize {
        self.live
            .as_ref()
            .map_or(self.rows, BooleanBuffer::count_set_bits)
    }

    /// The mask of live rows; none when all are.
    pub fn live(&self) -> Option<&BooleanBuffer> {
        self.live.as_ref()
    }

    /// Whether a row is live.
    pub fn is_live(&self, row: usize) -> bool {
        self.live.as_ref().is_none_or(|mask| mask.value(row))
    }

    /// Takes rows out of the frame's live ones; rows that are not live stay as they were lost first.
    pub fn remove(&mut self, losses: Vec<(u32, RemovalReason)>) {
        let mut mask: Vec<bool> = (0..self.rows).map(|row| self.is_live(row)).collect();
        for (row, loss) in losses {
            if std::mem::replace(&mut mask[row as usize], false) {
                self.losses.push((row, loss));
            }
        }
        self.live = Some(BooleanBuffer::from(mask));
    }

    /// Puts `array` in the place of a column and records which rows changed.
    pub fn change(
        &mut self,
        transformation: u16,
        column: usize,
        array: ArrayRef,
        rows: Vec<u32>,
        confidence: Confidence,
        source: ChangeSource,
    ) {
        let before = std::mem::replace(&mut self.columns[column], array);
        if !rows.is_empty() {
            self.changes.push(Change {
                transformation,
                column,
                rows,
                before,
                confidence,
                source,
                from: Vec::new(),
            });
        }
    }

    /// Sets the cells of `rows` of a column to null and records it.
    pub fn set_null(
        &mut self,
        transformation: u16,
        column: usize,
        rows: Vec<u32>,
        confidence: Confidence,
    ) -> Result<(), arrow::error::ArrowError> {
        if rows.is_empty() {
            return Ok(());
        }
        let array = null_rows(&self.columns[column], &rows)?;
        let source = ChangeSource::Deterministic;
        self.change(transformation, column, array, rows, confidence, source);
        Ok(())
    }
}

/// `array` with nulls at `rows`.
pub fn null_rows(array: &ArrayRef, rows: &[u32]) -> Result<ArrayRef, arrow::error::ArrowError> {
    let mut mask = vec![false; array.len()];
    for row in rows {
        mask[*row as usize] = true;
    }
    arrow::compute::nullif(array, &BooleanArray::from(mask))
}
