//! Jobs that make the next version of a dataset from what people decided on the last one.

use std::collections::BTreeMap;

use planner::run::{Decision, Reviewer, Verdict, revise};
use planner::sink::Manifest;
use planner::storage::Place;
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{Columns, digest};
use crate::metadata::{
    ColumnCount, Job, Lineage, MetadataStore, Publication, ReviewDecision, Version,
};
use crate::output::open_table;

/// The field of a stored spec that names the job whose output was reviewed.
const OF: &str = "review_of";

/// The field with what was decided.
const DECISIONS: &str = "decisions";

/// Type of the transformation.
const REVIEW: &str = "review";

/// The spec of such a job.
pub(crate) fn spec_of_review(job: Uuid, decisions: &[ReviewDecision]) -> Value {
    // What is decided from now on is for the next one.
    json!({OF: job, DECISIONS: decisions})
}

/// The job whose output a stored spec reviews, if it does.
pub(super) fn reviewed_job(spec: &Value) -> Option<Uuid> {
    spec[OF].as_str()?.parse().ok()
}

/// What is known of the output that was reviewed.
pub(super) struct Earlier {
    job: Job,
    lineage: Lineage,
    decisions: Vec<ReviewDecision>,
}

fn lost(message: &str) -> planner::Error {
    planner::Error::Remote {
        kind: planner::ErrorKind::NotFound,
        message: message.to_owned(),
    }
}

impl Earlier {
    /// Looks it up for a job that was claimed.
    pub(super) async fn find(
        metadata: &MetadataStore,
        claimed: &Job,
        of: Uuid,
    ) -> planner::Result<Self> {
        let unavailable = |error: crate::metadata::MetadataError| planner::Error::Remote {
            kind: match error.is_transient() {
                true => planner::ErrorKind::Unavailable,
                false => planner::ErrorKind::Bug,
            },
            message: error.to_string(),
        };
        let tenant = claimed.tenant_id;
        let job = metadata.job(tenant, of).await.map_err(unavailable)?;
        let version: Option<Version> = metadata
            .version_of_job(tenant, of)
            .await
            .map_err(unavailable)?;
        let (Some(job), Some(version)) = (job, version) else {
            return Err(lost("the output that was reviewed is gone"));
        };
        let lineage = metadata
            .lineage(tenant, version.dataset_id, version.version)
            .await
            .map_err(unavailable)?
            .ok_or_else(|| lost("the output that was reviewed is gone"))?;
        let decisions = serde_json::from_value(claimed.spec[DECISIONS].clone())?;
        Ok(Self {
            job,
            lineage,
            decisions,
        })
    }

    /// Where it lies, from the service's store on.
    pub(super) fn location(&self) -> &str {
        &self.lineage.version.location
    }

    /// Writes the next output. Blocks its thread.
    pub(super) fn revise(
        &self,
        from: &Place,
        (to, output): (&Place, &str),
        job_id: Uuid,
        kept: usize,
    ) -> planner::Result<Publication> {
        let decisions: Vec<Decision> = self.decisions.iter().map(decision).collect();
        // A review of what was reviewed has a name of its own.
        let earlier = self
            .lineage
            .transformations
            .as_array()
            .into_iter()
            .flatten();
        let id = match earlier.filter(|step| step["type"] == REVIEW).count() {
            0 => REVIEW.to_owned(),
            reviews => format!("{REVIEW}-{}", reviews + 1),
        };
        let reviewer = Reviewer {
            job_id: &job_id.to_string(),
            transformation_id: &id,
        };
        let manifest = revise(from, to, reviewer, &decisions)?;
        self.publication(to, &manifest, (output, &id), kept)
    }

    fn publication(
        &self,
        place: &Place,
        manifest: &Manifest,
        (output, id): (&str, &str),
        kept: usize,
    ) -> planner::Result<Publication> {
        let mut counts: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
        let (mut cells, mut all) = (Vec::new(), 0_usize);
        let parts = manifest.files.iter();
        for part in parts.filter(|entry| entry.path.starts_with("provenance/")) {
            for batch in open_table(&place.join(&part.path))? {
                let batch = batch?;
                all += batch.num_rows();
                let columns = Columns::of(&batch)?;
                for row in 0..batch.num_rows() {
                    let cell = columns.cell(row);
                    let key = (cell.transformation_id.clone(), cell.column_name.clone());
                    let count = counts.entry(key).or_default();
                    count.0 += 1;
                    count.1 += i64::from(cell.confidence_score < 1.0);
                    if cells.len() < kept {
                        cells.push(cell);
                    }
                }
            }
        }
        let complete = all == cells.len();
        let counts = counts
            .into_iter()
            .map(|((transformation_id, column_name), count)| ColumnCount {
                transformation_id,
                column_name,
                cells: count.0,
                low_confidence: count.1,
                complete,
            });
        let counts: Vec<ColumnCount> = counts.collect();
        let mut transformations = self.lineage.transformations.clone();
        let decided = |wanted: &str| {
            let decisions = self.decisions.iter();
            decisions.filter(|one| one.decision == wanted).count()
        };
        if let Some(list) = transformations.as_array_mut() {
            list.push(json!({
                "id": id,
                "type": REVIEW,
                "params": {
                    "of": self.job.id,
                    "approved": decided("approve"),
                    "rejected": decided("reject"),
                    "edited": decided("edit"),
                },
                "rows_removed": 0,
                "cells_modified": decided("reject") + decided("edit"),
            }));
        }
        let mut metrics = self.job.metrics.clone().unwrap_or_default();
        metrics["low_confidence_fixes"] =
            json!(counts.iter().map(|count| count.low_confidence).sum::<i64>());
        let bytes = manifest.files.iter().map(|entry| entry.bytes).sum::<u64>();
        Ok(Publication {
            output: output.to_owned(),
            manifest_digest: digest(manifest),
            rows_in: 0,
            bytes_in: 0,
            rows: self.lineage.version.rows,
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            transformations,
            contract: self.lineage.contract.clone(),
            sources: self.lineage.sources.clone(),
            metrics,
            imputed: Vec::new(),
            indexes: Vec::new(),
            counts,
            cells,
        })
    }
}

fn decision(one: &ReviewDecision) -> Decision {
    Decision {
        row_id: u64::try_from(one.row_id).unwrap_or(u64::MAX),
        column: one.column_name.clone(),
        verdict: match one.decision.as_str() {
            "approve" => Verdict::Approve,
            "reject" => Verdict::Reject,
            _ => Verdict::Edit(one.value.clone()),
        },
    }
}
