//! `outliers`: values far from the others.

use arrow::array::Array;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NamedStep, Step};
use crate::contract::Columns;
use crate::error::{Error, Result};
use crate::operation::{
    ChangeSource, CleaningBatch, ColumnSet, Confidence, Flag, Layout, Op, Statistic,
    StatisticValue, StepContext, known,
};
use crate::statistics::{
    ColumnFigures, Figure, Figures, GroupFigures, Quantity, quantities, quantity_array,
};

/// Finds values far from the others of their column. The confidence of a fix is a half at the
/// fence and rises with the distance from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outliers {
    /// Number, date or timestamp columns.
    #[serde(default)]
    pub columns: Columns,
    /// How far is measured.
    #[serde(default)]
    pub method: OutlierMethod,
    /// How far is too far: in interquartile ranges beyond the quartiles (default 1.5), in scaled
    /// median deviations (3.5) or in standard deviations (3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What becomes of an outlier.
    #[serde(default)]
    pub action: OutlierAction,
}

/// How the distance of a value from the others is measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutlierMethod {
    /// Tukey's fences: interquartile ranges beyond the quartiles.
    #[default]
    Iqr,
    /// The modified z-score of Iglewicz and Hoaglin: 0.6745 times the distance from the median in
    /// median absolute deviations.
    Mad,
    /// Standard deviations from the mean.
    Zscore,
}

/// What becomes of an outlier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutlierAction {
    /// It is counted in the report and stays.
    #[default]
    Flag,
    /// It becomes null.
    SetNull,
    /// It becomes the nearest value inside the fences.
    Clip,
}

impl OutlierMethod {
    /// The figures that it measures by.
    fn spread(self, columns: &[usize]) -> Figures {
        let figure = match self {
            Self::Iqr => Figure::Quartiles,
            Self::Mad => Figure::MedianDeviation,
            Self::Zscore => Figure::MeanDeviation,
        };
        Figures {
            figures: columns.iter().map(|column| (*column, figure)).collect(),
            by: Vec::new(),
        }
    }
}

impl NamedStep for Outliers {
    const NAME: &'static str = "outliers";
    const EXAMPLE: &'static str = "{type: outliers, columns: [age], method: iqr, action: set_null}";
}

impl Step for Outliers {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let field = &context.field;
        let wanted = "numbers, dates and timestamps";
        let columns = layout.select(&self.columns, field, |column| column.is_quantity(), wanted)?;
        let threshold = self.threshold.unwrap_or(match self.method {
            OutlierMethod::Iqr => 1.5,
            OutlierMethod::Mad => 3.5,
            OutlierMethod::Zscore => 3.0,
        });
        if !(threshold > 0.0 && threshold.is_finite()) {
            return Err(Error::field(
                format!("{field}.threshold"),
                "expected more than 0",
            ));
        }
        Ok(vec![Box::new(OutlierOp {
            transformation: context.transformation,
            spread: self.method.spread(&columns),
            columns,
            method: self.method,
            threshold,
            action: self.action,
        })])
    }

    fn on_violation(&self) -> Option<&'static str> {
        Some(match self.action {
            OutlierAction::Flag => "flag",
            OutlierAction::SetNull => "set_null",
            OutlierAction::Clip => "clip",
        })
    }
}

#[derive(Debug)]
struct OutlierOp {
    transformation: u16,
    columns: Vec<usize>,
    method: OutlierMethod,
    threshold: f64,
    action: OutlierAction,
    spread: Figures,
}

impl OutlierOp {
    /// Centre of the column, and the fences; none where the values do not spread.
    fn fences(&self, figures: &GroupFigures) -> Option<(f64, f64, f64)> {
        let (first, second) = figures.pair?;
        let (centre, reach) = match self.method {
            OutlierMethod::Iqr => {
                let range = second - first;
                let centre = first + range / 2.0;
                (
                    centre,
                    if range > 0.0 {
                        range / 2.0 + self.threshold * range
                    } else {
                        0.0
                    },
                )
            }
            OutlierMethod::Mad => (first, self.threshold * second / 0.6745),
            OutlierMethod::Zscore => (first, self.threshold * second),
        };
        (reach > 0.0 && reach.is_finite()).then_some((centre, centre - reach, centre + reach))
    }
}

impl Op for OutlierOp {
    fn reads(&self) -> ColumnSet {
        self.columns.iter().copied().collect()
    }

    fn writes(&self) -> ColumnSet {
        match self.action {
            OutlierAction::Flag => ColumnSet::new(),
            OutlierAction::SetNull | OutlierAction::Clip => self.reads(),
        }
    }

    fn statistic(&self) -> Option<&dyn Statistic> {
        Some(&self.spread)
    }

    fn apply(&self, frame: &mut CleaningBatch, value: Option<&StatisticValue>) -> Result<()> {
        let figures: &Vec<ColumnFigures> = known(value)?;
        for (column, figures) in self.columns.iter().zip(figures) {
            let fences = figures.group(None).and_then(|figures| self.fences(figures));
            let Some((centre, low, high)) = fences else {
                continue;
            };
            let (mut rows, mut values, mut scores) = (Vec::new(), Vec::new(), Vec::new());
            for (row, value) in quantities(&frame.columns[*column], |_| true)? {
                let number = value.number();
                if frame.is_live(row) && !(low..=high).contains(&number) {
                    let distance = (number - centre).abs() / (high - centre);
                    rows.push(row as u32);
                    values.push(if number < low {
                        (low, true)
                    } else {
                        (high, false)
                    });
                    scores.push((1.0 - 0.5 / distance) as f32);
                }
            }
            if rows.is_empty() {
                continue;
            }
            match self.action {
                OutlierAction::Flag => frame.flags.push(Flag {
                    transformation: self.transformation,
                    column: *column,
                    rule: "outlier",
                    rows,
                    fatal: false,
                }),
                OutlierAction::SetNull => {
                    let scores = Confidence::Each(scores);
                    frame.set_null(self.transformation, *column, rows, scores)?;
                }
                OutlierAction::Clip => self.clip(frame, *column, rows, &values, scores)?,
            }
        }
        Ok(())
    }
}

impl OutlierOp {
    fn clip(
        &self,
        frame: &mut CleaningBatch,
        column: usize,
        rows: Vec<u32>,
        fences: &[(f64, bool)],
        scores: Vec<f32>,
    ) -> Result<()> {
        let array = &frame.columns[column];
        let data_type = array.data_type().clone();
        let mut parts = vec![array.clone()];
        let mut places: Vec<(usize, usize)> = (0..array.len()).map(|row| (0, row)).collect();
        for (row, (fence, lower)) in rows.iter().zip(fences) {
            places[*row as usize] = (parts.len(), 0);
            parts.push(quantity_array(
                inside(*fence, *lower, &data_type),
                &data_type,
            )?);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let clipped = arrow::compute::interleave(&parts, &places)?;
        let scores = Confidence::Each(scores);
        let source = ChangeSource::Deterministic;
        frame.change(self.transformation, column, clipped, rows, scores, source);
        Ok(())
    }
}

/// The value of the column nearest to a fence, on its inner side.
fn inside(fence: f64, lower: bool, data_type: &DataType) -> Quantity {
    match data_type {
        DataType::Float64 => Quantity::Float(fence),
        _ if lower => Quantity::Whole(fence.ceil() as i128),
        _ => Quantity::Whole(fence.floor() as i128),
    }
}
