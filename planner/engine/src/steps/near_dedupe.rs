//! `near_dedupe`: near-duplicate rows by MinHash LSH, compared and put together to clusters.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::KeyPlan;
use udfs::kernels::shingle::Shingling;

use super::{NamedStep, REFERENCE_OPTION, ReferenceMut, Step};
use crate::contract::{ColumnType, Columns};
use crate::error::{Error, Result};
use crate::matching::{
    CandidatePairs, Candidates, Clusters, IndexNeed, Indexed, IndexedRows, KeepMatch, KeySample,
    KeysOfRows, Matches, MatchingNeed, MergedColumn, MergedValues, Method,
};
use crate::operation::{
    CleaningBatch, ClusteredRow, ColumnSet, Layout, LayoutColumn, Op, RemovalReason, Statistic,
    StatisticValue, StepContext, known,
};

/// Similarity of texts from which rows match, where none is given.
const TEXT_THRESHOLD: f64 = 0.85;

/// Removes rows that are nearly the same as another. Candidate pairs come from MinHash-LSH blocking, without rules; each
/// pair is compared, and clusters are kept only where their rows agree on the whole. Missing values
/// carry no weight. `clusters/` of the output lists every cluster, the report says how they were found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NearDedupe {
    /// Columns to compare; `"*"` for all. Columns that number the rows, that hold one value only or
    /// that repeat others are left out of records.
    #[serde(default)]
    pub columns: Columns,
    /// How rows are compared. Left out: `text` where a threshold is given or one column is compared,
    /// else `record`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<MatchMethod>,
    /// Least score of two rows that count as the same, 0 to 1: the Jaccard similarity of their texts
    /// (left out: 0.85), or the probability that records match (left out: the engine's own, 0.5
    /// where its weights fit the data).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What texts are cut into, such as `3 characters` or `5 words`. Left out: 3 characters where texts
    /// have fewer than 8 words on the average, 5 characters up to 200 words, 5 words of documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shingle: Option<String>,
    /// Column whose values tell tables apart that have no repeats of their own: only rows with
    /// different values are compared, and each has one partner at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_by: Option<String>,
    /// How much each column counts, such as `{full_name: 3, address: 1}`, in the place of weights that are
    /// learned: rows match by the mean likeness of the columns that both have, from `threshold` on (left
    /// out: 0.85). Columns that are compared and not named here count 1; without `columns`, those named
    /// here are compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
    /// Which row of a cluster stays.
    #[serde(default)]
    pub keep: KeepNear,
    /// Column of numbers or dates by which the most recent row is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent_by: Option<String>,
    /// Whether the row that stays takes the values that it lacks from the others of its cluster: each
    /// from the row of the best score that has one. The provenance of such a cell names the row in
    /// `from_row_id`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge: bool,
    /// Output of an earlier job that compared the same columns, with `index: true`: rows that are nearly the
    /// same as one that stayed there leave, and join its cluster. The rows of this job are numbered on from
    /// those of that output. In jobs only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// In jobs only: whether `index/` of the output gets what a later job needs to compare its rows with those that stay
    /// (left out: where there is `against`; with the rows of that output). Personal data is kept as sketches
    /// of hashes that depend on `dataset.pii_salt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<bool>,
}

/// How rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchMethod {
    /// Column by column, with weights that are learned from the table.
    Record,
    /// The columns as one text, by the Jaccard similarity of its shingles.
    Text,
}

/// Which row of a cluster stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepNear {
    /// The first in source order.
    #[default]
    First,
    /// The last in source order.
    Last,
    /// The one with the fewest missing values in all columns; the first of them.
    MostComplete,
    /// The one with the greatest value of `recent_by`; the first of them.
    MostRecent,
}

impl NamedStep for NearDedupe {
    const NAME: &'static str = "near_dedupe";
    const EXAMPLE: &'static str =
        "{type: near_dedupe, columns: [full_name, address], threshold: 0.85, keep: first}";
}

impl Step for NearDedupe {
    fn compile(&self, layout: &mut Layout, context: &StepContext<'_>) -> Result<Vec<Box<dyn Op>>> {
        let field = &context.field;
        let link_by = self.column(&self.link_by, "link_by", layout, field)?;
        let all = self.columns == Columns::All;
        // What numbers the rows tells nothing of what they hold.
        let numbers_rows = |column: &LayoutColumn| {
            let seen = column.contract.inferred.as_ref();
            let unique = seen.is_some_and(|seen| seen.unique);
            unique && column.contract.column_type == ColumnType::Integer
        };
        let fits = |column: &LayoutColumn| !all || !numbers_rows(column);
        let weighed = Columns::Named(self.weights.keys().cloned().collect());
        let wanted = if all && !self.weights.is_empty() {
            &weighed
        } else {
            &self.columns
        };
        let mut columns = layout.select(wanted, field, fits, "any column")?;
        columns.retain(|column| Some(*column) != link_by);
        if columns.is_empty() {
            let problem = "names no column that can be compared";
            return Err(Error::field(format!("{field}.columns"), problem));
        }
        let categories = |column: &usize| {
            let seen = layout.columns[*column].contract.inferred.as_ref();
            seen.is_some_and(|seen| !seen.categories.is_empty())
        };
        let need = MatchingNeed {
            keys: columns.iter().map(|column| !categories(column)).collect(),
            method: self.method(&columns, layout, field)?,
            keep: self.keep(layout, field)?,
            index: self.index_need(&columns, layout, context)?,
            columns,
            link_by,
        };
        let sampled = !matches!(
            need.method,
            Method::Texts {
                shingle: Some(_),
                ..
            }
        );
        let width = layout.columns.len();
        let merged = MergedValues {
            transformation: context.transformation,
            columns: (0..width).collect(),
        };
        let stages = [
            sampled.then(|| Stage::Sample(KeySample(need.clone()))),
            Some(Stage::Candidates(CandidatePairs(need.clone()))),
            Some(Stage::Matches(Clusters(need.clone()))),
            self.merge.then_some(Stage::Merge(merged)),
        ];
        let op = |stage: Stage| -> Box<dyn Op> {
            Box::new(NearDedupeOp {
                transformation: context.transformation,
                need: need.clone(),
                stage,
                width,
            })
        };
        Ok(stages.into_iter().flatten().map(op).collect())
    }

    fn reference(&self) -> Option<&str> {
        self.against.as_deref()
    }

    fn reference_mut(&mut self) -> Option<ReferenceMut<'_>> {
        let open = self.columns == Columns::All && self.weights.is_empty();
        Some(ReferenceMut {
            location: self.against.as_mut()?,
            columns: open.then_some(&mut self.columns),
        })
    }

    fn output_option(&self) -> Option<&'static str> {
        match (&self.against, self.index) {
            (Some(_), _) => Some(REFERENCE_OPTION),
            (None, Some(true)) => Some("index"),
            (None, _) => None,
        }
    }

    // Too much is learned on the way.
    fn is_resumable(&self) -> bool {
        false
    }
}

impl NearDedupe {
    fn column(
        &self,
        name: &Option<String>,
        option: &str,
        layout: &Layout,
        field: &str,
    ) -> Result<Option<usize>> {
        let name = name.as_deref();
        name.map(|name| layout.find(name, &format!("{field}.{option}")))
            .transpose()
    }

    /// The weight of each of the columns; none where they are to be learned.
    fn weights(&self, columns: &[usize], layout: &Layout, field: &str) -> Result<Option<Vec<f64>>> {
        if self.weights.is_empty() {
            return Ok(None);
        }
        let mut weights = vec![1.0; columns.len()];
        for (name, weight) in &self.weights {
            let field = format!("{field}.weights.{name}");
            let column = layout.find(name, &field)?;
            let place = columns.iter().position(|compared| *compared == column);
            let Some(place) = place else {
                return Err(Error::field(field, "is a column that is not compared"));
            };
            if !(weight.is_finite() && *weight > 0.0) {
                return Err(Error::field(field, "must be a number above 0"));
            }
            weights[place] = *weight;
        }
        Ok(Some(weights))
    }

    fn method(&self, columns: &[usize], layout: &Layout, field: &str) -> Result<Method> {
        let weights = self.weights(columns, layout, field)?;
        let text = self.threshold.is_some() || columns.len() == 1;
        let usual = if text && weights.is_none() {
            MatchMethod::Text
        } else {
            MatchMethod::Record
        };
        let method = self.method.unwrap_or(usual);
        let wrong = |option: &str, problem: &str| {
            Err(Error::field(
                format!("{field}.{option}"),
                problem.to_owned(),
            ))
        };
        match (method, self.threshold) {
            (MatchMethod::Text, Some(threshold)) if !(0.1..=1.0).contains(&threshold) => {
                wrong("threshold", "is a similarity from 0.1 to 1")
            }
            (MatchMethod::Record, Some(threshold)) if threshold <= 0.0 || threshold >= 1.0 => {
                wrong("threshold", "is a probability between 0 and 1")
            }
            (MatchMethod::Record, _) if self.shingle.is_some() => {
                wrong("shingle", "belongs to method text only")
            }
            (MatchMethod::Text, _) if weights.is_some() => {
                wrong("weights", "belong to method record only")
            }
            (MatchMethod::Record, threshold) => Ok(Method::Records { threshold, weights }),
            (MatchMethod::Text, threshold) => {
                let shingle = self.shingle.as_deref();
                if let Some(Err(error)) = shingle.map(str::parse::<Shingling>) {
                    return wrong("shingle", &error.to_string());
                }
                Ok(Method::Texts {
                    threshold: threshold.unwrap_or(TEXT_THRESHOLD),
                    shingle: shingle.map(str::to_owned),
                })
            }
        }
    }

    fn index_need(
        &self,
        columns: &[usize],
        layout: &Layout,
        context: &StepContext<'_>,
    ) -> Result<Option<IndexNeed>> {
        let field = &context.field;
        let writes = self.index.unwrap_or(self.against.is_some());
        if !writes && self.against.is_none() {
            return Ok(None);
        }
        if self.link_by.is_some() {
            let option = if self.against.is_some() {
                "against"
            } else {
                "index"
            };
            let field = format!("{field}.{option}");
            return Err(Error::field(field, "does not go together with link_by"));
        }
        let hidden = |column: &usize| layout.columns[*column].contract.pii;
        let hidden: Vec<bool> = match self.method(columns, layout, field)? {
            Method::Records { .. } => columns.iter().map(hidden).collect(),
            // They are one text.
            Method::Texts { .. } => vec![columns.iter().any(hidden); columns.len()],
        };
        if hidden.contains(&true) {
            context.salt()?;
        }
        Ok(Some(IndexNeed {
            against: self.against.clone(),
            writes,
            hidden,
            salt: context.contract.pii_salt.clone(),
        }))
    }

    fn keep(&self, layout: &Layout, field: &str) -> Result<KeepMatch> {
        let recent = self.column(&self.recent_by, "recent_by", layout, field)?;
        let field = format!("{field}.recent_by");
        match (self.keep, recent) {
            (KeepNear::MostRecent, None) => {
                Err(Error::field(field, "is needed with keep: most_recent"))
            }
            (KeepNear::MostRecent, Some(column)) if !layout.columns[column].is_quantity() => {
                Err(Error::field(field, "must be a column of numbers or dates"))
            }
            (KeepNear::MostRecent, Some(column)) => Ok(KeepMatch::MostRecent(column)),
            (_, Some(_)) => Err(Error::field(field, "belongs to keep: most_recent only")),
            (KeepNear::First, None) => Ok(KeepMatch::First),
            (KeepNear::Last, None) => Ok(KeepMatch::Last),
            (KeepNear::MostComplete, None) => Ok(KeepMatch::MostComplete),
        }
    }
}

/// What an operation of the step finds.
#[derive(Debug)]
enum Stage {
    /// By which keys rows meet.
    Sample(KeySample),
    /// Pairs that may match.
    Candidates(CandidatePairs),
    /// Those among them that do.
    Matches(Clusters),
    /// What those that stay lack and others have.
    Merge(MergedValues),
}

/// One stage of the search for near duplicates.
#[derive(Debug)]
struct NearDedupeOp {
    transformation: u16,
    need: MatchingNeed,
    stage: Stage,
    width: usize,
}

impl Op for NearDedupeOp {
    fn reads(&self) -> ColumnSet {
        if let Stage::Merge(_) = self.stage {
            return (0..self.width).collect();
        }
        let mut reads: ColumnSet = self.need.columns.iter().copied().collect();
        reads.extend(&self.need.link_by.into_iter().collect());
        match self.need.keep {
            // How complete a row is depends on all of its columns.
            KeepMatch::MostComplete => (0..self.width).collect(),
            KeepMatch::MostRecent(column) => {
                reads.insert(column);
                reads
            }
            KeepMatch::First | KeepMatch::Last => reads,
        }
    }

    fn writes(&self) -> ColumnSet {
        match self.stage {
            Stage::Merge(_) => (0..self.width).collect(),
            _ => ColumnSet::new(),
        }
    }

    fn drops_rows(&self) -> bool {
        matches!(self.stage, Stage::Matches(_))
    }

    fn is_prerequisite(&self) -> bool {
        matches!(self.stage, Stage::Sample(_) | Stage::Candidates(_))
    }

    fn statistic(&self) -> Option<&dyn Statistic> {
        Some(match &self.stage {
            Stage::Sample(sample) => sample,
            Stage::Candidates(pairs) => pairs,
            Stage::Matches(clusters) => clusters,
            Stage::Merge(merged) => merged,
        })
    }

    fn takes_from_others(&self) -> bool {
        matches!(self.stage, Stage::Merge(_))
    }

    fn apply(&self, batch: &mut CleaningBatch, value: Option<&StatisticValue>) -> Result<()> {
        match &self.stage {
            // What it leads to is known.
            Stage::Sample(_) | Stage::Candidates(_) if value.is_none() => Ok(()),
            Stage::Sample(_) => {
                let plan: &Arc<KeyPlan> = known(value)?;
                batch.extensions.insert(KeysOfRows(Arc::clone(plan)));
                Ok(())
            }
            Stage::Candidates(_) => {
                let candidates: &Candidates = known(value)?;
                let own = candidates.among(batch.first_row, batch.rows());
                batch.extensions.insert(own);
                Ok(())
            }
            Stage::Matches(clusters) => {
                let matches: &Matches = known(value)?;
                batch.extensions.remove::<Candidates>();
                self.remove(batch, matches.among(batch.first_row, batch.rows()));
                if batch.is_published && clusters.0.writes_index() {
                    let indexed = IndexedRows::of(batch, &clusters.0, self.transformation)?;
                    let mut all: Indexed = batch.extensions.remove().unwrap_or_default();
                    all.0.push(indexed);
                    batch.extensions.insert(all);
                }
                Ok(())
            }
            Stage::Merge(_) => {
                let columns: &Vec<MergedColumn> = known(value)?;
                for (column, merged) in columns.iter().enumerate() {
                    merged.fill(batch, self.transformation, column)?;
                }
                Ok(())
            }
        }
    }
}

impl NearDedupeOp {
    /// Takes rows out that are of the same thing as one that stays.
    fn remove(&self, frame: &mut CleaningBatch, found: &[ClusteredRow]) {
        if found.is_empty() {
            return;
        }
        let clustered = found.iter().map(|matched| (self.transformation, *matched));
        frame.clustered.extend(clustered);
        let removed = found
            .iter()
            .filter(|matched| matched.row != matched.survivor);
        let losses = removed.map(|matched| {
            let loss = RemovalReason::NearDuplicate {
                transformation: self.transformation,
                survivor: matched.survivor,
                score: matched.score,
            };
            ((matched.row - frame.first_row) as u32, loss)
        });
        frame.remove(losses.collect());
    }
}
