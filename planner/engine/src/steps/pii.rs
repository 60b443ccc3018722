//! `pii`: personal data is hashed, redacted, replaced by tokens, or left out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfs::kernels::cell::CellKernel;
use udfs::kernels::pii::detect::Detector;
use udfs::kernels::pii::hash::{HashMethod, PiiHash};
use udfs::kernels::pii::redact::{RedactCell, RedactSpans};
use udfs::kernels::pii::token::TokenVault;

use super::text_op::{Unreadable, clean_column};
use super::{NamedStep, Privacy, Step};
use crate::contract::{Columns, PiiHashMethod, PiiStrategy};
use crate::error::{Error, Result};
use crate::operation::{
    ChangeSource, CleaningBatch, ColumnSet, Confidence, Layout, LayoutColumn, Op, StatisticValue,
    StepContext,
};

/// Applies the contract's strategies to the columns with personal data. A job whose contract asks
/// for one and whose steps do not name this one ends with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pii {
    /// Columns to work on; `"*"` takes those with `pii: true`.
    #[serde(default)]
    pub columns: Columns,
    /// Also the columns in which personal data is found that the contract does not name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detect: bool,
    /// What becomes of columns without a strategy of their own; else the contract's, else hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<PiiStrategy>,
}

impl Pii {
    /// The strategy for a column; none where it holds no personal data.
    pub fn strategy_for(
        &self,
        column: &LayoutColumn,
        default: Option<PiiStrategy>,
    ) -> Option<PiiStrategy> {
        let found = column
            .contract
            .inferred
            .as_ref()
            .is_some_and(|seen| seen.pii.is_some());
        let concerned = column.contract.pii || (self.detect && found);
        let own = column.contract.pii_strategy;
        concerned.then(|| {
            own.or(self.strategy)
                .or(default)
                .unwrap_or(PiiStrategy::Hash)
        })
    }
}

impl NamedStep for Pii {
    const NAME: &'static str = "pii";
    const EXAMPLE: &'static str = "{type: pii, detect: true, strategy: redact}";
}

impl Step for Pii {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let default = context.pii_strategy;
        let fits = |column: &LayoutColumn| {
            self.columns != Columns::All || self.strategy_for(column, default).is_some()
        };
        let numbers = layout.select(&self.columns, &context.field, fits, "any column")?;
        let mut columns = Vec::new();
        for number in numbers {
            let column = &mut layout.columns[number];
            let strategy = self
                .strategy_for(column, default)
                .or(self.strategy)
                .or(default)
                .unwrap_or(PiiStrategy::Hash);
            let declared = std::mem::replace(&mut column.contract.pii, true);
            column.contract.pii_strategy = Some(strategy);
            let action = match strategy {
                PiiStrategy::Keep => continue,
                PiiStrategy::Exclude => {
                    column.excluded = true;
                    continue;
                }
                PiiStrategy::Tokenize => Hiding::Token(context.token_vault()?),
                PiiStrategy::Hash => {
                    let method = match context.contract.pii_hash {
                        PiiHashMethod::HmacSha256 => HashMethod::HmacSha256,
                        PiiHashMethod::SaltedSha256 => HashMethod::SaltedSha256,
                    };
                    Hiding::Hash(Arc::new(PiiHash::new(&context.salt()?, method, None)))
                }
                PiiStrategy::Redact => Hiding::Redact(redaction(column, declared)),
            };
            column.data_type = DataType::Utf8View;
            columns.push((number, action));
        }
        Ok(vec![Box::new(PiiOp {
            transformation: context.transformation,
            columns,
        })])
    }

    fn privacy(&self) -> Option<Privacy<'_>> {
        Some(Privacy {
            columns: &self.columns,
            detect: self.detect,
            strategy: self.strategy,
        })
    }

    fn treat_personal_data(&mut self, strategy: PiiStrategy) {
        self.detect = true;
        self.strategy = Some(strategy);
    }
}

/// Least score of a span that is redacted inside text.
const FOUND: f32 = 0.5;

/// The whole cell of a column that is personal data; the spans of one that holds some in its text.
fn redaction(column: &LayoutColumn, declared: bool) -> Arc<dyn CellKernel> {
    let found = column
        .contract
        .inferred
        .as_ref()
        .and_then(|seen| seen.pii.as_ref());
    let entity = column.contract.entity();
    match found {
        Some(found) if found.free_text && !declared => {
            Arc::new(RedactSpans::new(Arc::new(Detector::new()), FOUND))
        }
        _ => Arc::new(RedactCell { entity }),
    }
}

enum Hiding {
    Hash(Arc<PiiHash>),
    Token(Arc<TokenVault>),
    Redact(Arc<dyn CellKernel>),
}

struct PiiOp {
    transformation: u16,
    columns: Vec<(usize, Hiding)>,
}

impl std::fmt::Debug for PiiOp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns: Vec<usize> = self.columns.iter().map(|(column, _)| *column).collect();
        formatter.debug_tuple("PiiOp").field(&columns).finish()
    }
}

impl Op for PiiOp {
    fn reads(&self) -> ColumnSet {
        self.columns.iter().map(|(column, _)| *column).collect()
    }

    fn writes(&self) -> ColumnSet {
        self.reads()
    }

    fn token_columns(&self) -> Vec<(usize, Arc<TokenVault>)> {
        let columns = self.columns.iter();
        let tokens = columns.filter_map(|(column, hiding)| match hiding {
            Hiding::Token(vault) => Some((*column, Arc::clone(vault))),
            _ => None,
        });
        tokens.collect()
    }

    fn apply(&self, frame: &mut CleaningBatch, _: Option<&StatisticValue>) -> Result<()> {
        for (column, hiding) in &self.columns {
            let text = cast(&frame.columns[*column], &DataType::Utf8View)?;
            match hiding {
                Hiding::Hash(hash) => {
                    let texts = text
                        .as_string_view_opt()
                        .ok_or(Error::Bug("a cast to text"))?;
                    let hashed: ArrayRef = Arc::new(hash.hash_column(texts));
                    let present = |row: &usize| text.is_valid(*row) && frame.is_live(*row);
                    let rows = (0..text.len())
                        .filter(present)
                        .map(|row| row as u32)
                        .collect();
                    let sure = Confidence::All(1.0);
                    let source = ChangeSource::Deterministic;
                    frame.change(self.transformation, *column, hashed, rows, sure, source);
                }
                Hiding::Token(vault) => {
                    frame.columns[*column] = text;
                    clean_column(
                        frame,
                        self.transformation,
                        *column,
                        vault.as_ref(),
                        Unreadable::Keep,
                        ChangeSource::Deterministic,
                    )?;
                }
                Hiding::Redact(kernel) => {
                    frame.columns[*column] = text;
                    clean_column(
                        frame,
                        self.transformation,
                        *column,
                        kernel.as_ref(),
                        Unreadable::Keep,
                        ChangeSource::Deterministic,
                    )?;
                }
            }
        }
        Ok(())
    }
}
