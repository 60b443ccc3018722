//! The modified cells of a frame.
//!
//! A cell that several steps changed counts once: the value of the source, the value of the cleaned
//! data, the last step that changed it, and the confidence and source of the least certain one.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, UInt32Array};
use arrow::compute::{cast, interleave, take};
use arrow::datatypes::DataType;

use super::Sample;
use crate::error::{Error, Result};
use crate::operation::{Change, ChangeSource, CleaningBatch};
use crate::program::Program;

/// Modified cells of one column of a frame, by row.
#[derive(Debug)]
pub(super) struct ModifiedCells {
    pub(super) column: usize,
    pub(super) rows: Vec<u32>,
    pub(super) original: StringViewArray,
    pub(super) cleaned: StringViewArray,
    pub(super) transformation: Vec<u16>,
    pub(super) confidence: Vec<f32>,
    pub(super) source: Vec<ChangeSource>,
    /// Cells that have their value from another row: the place of each in the list, and that row.
    pub(super) from: Vec<(u32, u64)>,
}

impl ModifiedCells {
    /// The cell at a place of the list.
    pub(super) fn sample(&self, frame: &CleaningBatch, place: usize) -> Sample {
        let text =
            |array: &StringViewArray| array.is_valid(place).then(|| array.value(place).to_owned());
        Sample {
            row: frame.first_row + u64::from(self.rows[place]),
            original: text(&self.original),
            cleaned: text(&self.cleaned),
            confidence: self.confidence[place],
        }
    }
}

/// The modified cells of the columns of the output, in the order of the columns. Rows that are not
/// in the cleaned data are left out.
pub(super) fn modified_cells(
    frame: &CleaningBatch,
    program: &Program,
) -> Result<Vec<ModifiedCells>> {
    let mut found = Vec::new();
    for output in &program.output {
        let changes: Vec<&Change> = frame
            .changes
            .iter()
            .filter(|change| change.column == output.column)
            .collect();
        let cells = match changes.as_slice() {
            [] => continue,
            [change] => changed_once(frame, change)?,
            changes => changed_often(frame, changes)?,
        };
        if !cells.rows.is_empty() {
            found.push(cells);
        }
    }
    Ok(found)
}

fn changed_once(frame: &CleaningBatch, change: &Change) -> Result<ModifiedCells> {
    let live = |(_, row): &(usize, &u32)| frame.is_live(**row as usize);
    let kept: Vec<(usize, u32)> = change
        .rows
        .iter()
        .enumerate()
        .filter(live)
        .map(|(place, row)| (place, *row))
        .collect();
    let rows: Vec<u32> = kept.iter().map(|(_, row)| *row).collect();
    let index = UInt32Array::from(rows.clone());
    Ok(ModifiedCells {
        column: change.column,
        original: in_source(frame, &[change], texts_at(&change.before, &index)?, &index)?,
        cleaned: texts_at(&frame.columns[change.column], &index)?,
        transformation: vec![change.transformation; rows.len()],
        confidence: kept
            .iter()
            .map(|(place, _)| change.confidence.get(*place))
            .collect(),
        source: vec![change.source; rows.len()],
        from: (0..)
            .zip(&kept)
            .filter_map(|(at, (place, _))| Some((at, *change.from.get(*place)?)))
            .collect(),
        rows,
    })
}

/// Puts the changes of a cell together.
fn changed_often(frame: &CleaningBatch, changes: &[&Change]) -> Result<ModifiedCells> {
    // For each row: the first change, the last transformation, and the least certain change.
    let mut cells: Vec<Option<(usize, u16, f32, ChangeSource)>> = vec![None; frame.rows()];
    for (number, change) in changes.iter().enumerate() {
        for (place, row) in change.rows.iter().enumerate() {
            let confidence = change.confidence.get(place);
            let cell = &mut cells[*row as usize];
            *cell = Some(match *cell {
                None => (number, change.transformation, confidence, change.source),
                Some((first, _, least, source)) if least <= confidence && least < 1.0 => {
                    (first, change.transformation, least, source)
                }
                Some((first, _, _, _)) => (first, change.transformation, confidence, change.source),
            });
        }
    }
    let column = changes.first().map_or(0, |change| change.column);
    // Rows by the change that touched them first, whose column holds what the source has.
    let mut touched: Vec<Vec<u32>> = vec![Vec::new(); changes.len()];
    let mut places: Vec<(usize, usize)> = Vec::new();
    let mut rows: Vec<u32> = Vec::new();
    for (row, cell) in cells.iter().enumerate() {
        if let Some((first, ..)) = cell
            && frame.is_live(row)
        {
            places.push((*first, touched[*first].len()));
            touched[*first].push(row as u32);
            rows.push(row as u32);
        }
    }
    let mut befores: Vec<StringViewArray> = Vec::with_capacity(changes.len());
    for (change, rows) in changes.iter().zip(touched) {
        befores.push(texts_at(&change.before, &UInt32Array::from(rows))?);
    }
    let befores: Vec<&dyn Array> = befores.iter().map(|array| array as &dyn Array).collect();
    let original = interleave(&befores, &places)?;
    let original = original.as_string_view();
    let cleaned = texts_at(&frame.columns[column], &UInt32Array::from(rows.clone()))?;
    // A cell that came back to what it was is not modified.
    let differs = |place: &usize| {
        original.is_valid(*place) != cleaned.is_valid(*place)
            || (original.is_valid(*place) && original.value(*place) != cleaned.value(*place))
    };
    let kept: Vec<usize> = (0..rows.len()).filter(differs).collect();
    let mut modified = ModifiedCells {
        column,
        rows: kept.iter().map(|place| rows[*place]).collect(),
        original: original.clone(),
        cleaned,
        transformation: Vec::with_capacity(kept.len()),
        confidence: Vec::with_capacity(kept.len()),
        source: Vec::with_capacity(kept.len()),
        from: Vec::new(),
    };
    if kept.len() < rows.len() {
        let index: UInt32Array = kept.iter().map(|place| *place as u32).collect();
        modified.original = take(&modified.original, &index, None)?
            .as_string_view()
            .clone();
        modified.cleaned = take(&modified.cleaned, &index, None)?
            .as_string_view()
            .clone();
    }
    let index = UInt32Array::from(modified.rows.clone());
    modified.original = in_source(frame, changes, modified.original, &index)?;
    for row in &modified.rows {
        if let Some((_, transformation, confidence, source)) = cells[*row as usize] {
            modified.transformation.push(transformation);
            modified.confidence.push(confidence);
            modified.source.push(source);
        }
    }
    let merged = changes
        .iter()
        .flat_map(|change| change.rows.iter().zip(&change.from));
    let merged: HashMap<u32, u64> = merged.map(|(row, from)| (*row, *from)).collect();
    if !merged.is_empty() {
        let rows = (0..).zip(&modified.rows);
        modified.from = rows
            .filter_map(|(at, row)| Some((at, *merged.get(row)?)))
            .collect();
    }
    Ok(modified)
}

/// The cells of `rows` of a column before its first changes, as the source writes them: what was
/// read as a number or a date before a step changed it stands in the source in its own notation.
fn in_source(
    frame: &CleaningBatch,
    changes: &[&Change],
    before: StringViewArray,
    rows: &UInt32Array,
) -> Result<StringViewArray> {
    let column = changes.first().map_or(0, |change| change.column);
    let raw = &frame.raw[column];
    if changes
        .iter()
        .all(|change| change.before.data_type() == raw.data_type())
    {
        return Ok(before);
    }
    let written = texts_at(raw, rows)?;
    let cell = |place| before.is_valid(place).then(|| written.value(place));
    Ok((0..before.len()).map(cell).collect())
}

/// The cells of `rows`, as text.
fn texts_at(array: &ArrayRef, rows: &UInt32Array) -> Result<StringViewArray> {
    let cells = cast(&take(array, rows, None)?, &DataType::Utf8View)?;
    cells
        .as_string_view_opt()
        .cloned()
        .ok_or(Error::Bug("a cast to text that is not"))
}
