//! What an output keeps of the rows that stay, so that a later job finds copies of them without them.
//!
//! For each step that writes one, an index is a head (JSON) and two Parquet files for each split: the
//! rows with what is compared of them, and the keys by which they meet others, bucket by bucket. Personal
//! data is in it as sketches and keyed hashes only.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use udfs::kernels::matching::{Agreement, KeyPlan, Record};

use super::candidates::KeysOfRows;
use super::clusters::Clusters;
use super::options::{MatchingNeed, Method};
use super::pairs::Bucket;
use super::rows::{RowKeys, RowRecords, Values};
use crate::contract::Contract;
use crate::error::Result;
use crate::operation::{CleaningBatch, Extension, ProgramOp};

/// Version of the format.
const VERSION: u32 = 1;

/// Column of a table of rows, before the values: the rows' numbers.
pub(super) const ROW_ID: usize = 0;
pub(super) const CLUSTER_ID: usize = 1;
pub(super) const ROW_HASH: usize = 2;
pub(super) const LEAD: usize = 3;

/// What all rows of an index have in common.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexHead {
    /// Version of the format.
    version: u32,
    /// `records` or `texts`.
    method: String,
    /// Columns that are compared.
    columns: Vec<String>,
    /// Those of them of which sketches are kept.
    hidden: Vec<String>,
    /// Tells one secret from another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_check: Option<u64>,
    /// Of texts: the similarity from which on their keys meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
    /// How rows meet.
    pub plan: KeyPlan,
    /// What was learned of the fields; of records.
    pub agreement: Vec<FieldAgreement>,
    /// The number of the first row that comes after the rows of this output.
    pub next_row_id: u64,
}

/// How records of one thing agree in a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldAgreement {
    /// The column, by its place among those that are compared.
    pub column: usize,
    /// `whole`, `words` or `numbers`.
    pub part: String,
    /// `text`, `digits`, `quantity`, `date` or `sketch`.
    pub kind: String,
    /// Shares of the levels.
    pub shares: [f64; 6],
    /// Pairs that they count for.
    pub pairs: f64,
}

impl FieldAgreement {
    /// The same for the model.
    pub(super) fn agreement(&self) -> Agreement {
        Agreement {
            shares: self.shares,
            pairs: self.pairs,
        }
    }
}

impl IndexHead {
    /// The head of the index of a step's rows.
    pub fn new(
        need: &MatchingNeed,
        contract: &Contract,
        plan: &KeyPlan,
        agreement: Vec<FieldAgreement>,
        next_row_id: u64,
    ) -> Result<Self> {
        let name = |column: &usize| contract.columns[*column].name.clone();
        let index = need.index.as_ref();
        let hidden = index.map_or(&[][..], |index| &index.hidden);
        let hides = |(column, hidden): (&usize, &bool)| hidden.then(|| name(column));
        let hidden: Vec<String> = need.columns.iter().zip(hidden).filter_map(hides).collect();
        let mut plan = plan.clone();
        if !hidden.is_empty() {
            // Hashes of values that many have: whoever guesses one would know.
            plan.frequent.clear();
        }
        let (method, threshold) = match &need.method {
            Method::Records { .. } => ("records", None),
            Method::Texts { threshold, shingle } => {
                if let Some(shingle) = shingle {
                    plan.shingle = Some(shingle.clone());
                }
                ("texts", Some(*threshold))
            }
        };
        Ok(Self {
            version: VERSION,
            method: method.to_owned(),
            columns: need.columns.iter().map(name).collect(),
            hidden,
            secret_check: need.veil()?.map(|veil| veil.check()),
            threshold,
            plan,
            agreement,
            next_row_id,
        })
    }

    /// Columns that are compared.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Why rows of a step cannot be compared with those of this index; none if they can.
    pub fn differs(&self, need: &MatchingNeed, contract: &Contract) -> Result<Option<String>> {
        let own = Self::new(need, contract, &KeyPlan::default(), Vec::new(), 0)?;
        let list = |names: &[String]| match names {
            [] => "no column".to_owned(),
            names => names.join(", "),
        };
        let told = |what: &str, there: String, here: String| {
            Some(format!("{what}: {there} there, {here} here"))
        };
        Ok(if self.version != VERSION {
            told("the version", self.version.to_string(), VERSION.to_string())
        } else if self.method != own.method {
            told("the method", self.method.clone(), own.method)
        } else if self.columns != own.columns {
            told("what is compared", list(&self.columns), list(&own.columns))
        } else if self.hidden != own.hidden {
            told("personal data", list(&self.hidden), list(&own.hidden))
        } else if self.secret_check != own.secret_check {
            Some(
                "the secret of pii_salt is another, or the index is of an earlier release"
                    .to_owned(),
            )
        } else if self.threshold != own.threshold {
            let text = |threshold: Option<f64>| threshold.unwrap_or_default().to_string();
            told("the threshold", text(self.threshold), text(own.threshold))
        } else if own.plan.shingle.is_some() && self.plan.shingle != own.plan.shingle {
            let text = |shingle: Option<String>| shingle.unwrap_or_default();
            told(
                "the shingle",
                text(self.plan.shingle.clone()),
                text(own.plan.shingle),
            )
        } else {
            None
        })
    }
}

/// The rows of a frame that go into an index, if they stay.
#[derive(Debug, Clone)]
pub struct IndexedRows {
    /// The transformation whose index it is.
    pub transformation: u16,
    /// Rows of the frame, ascending.
    pub rows: Vec<u32>,
    /// The cluster of each: its own number where it stands alone.
    pub clusters: Vec<u64>,
    /// What rows that are the same have in common.
    pub row_hashes: Vec<u32>,
    /// What is compared of each.
    pub records: Vec<Record>,
    /// The keys of all, one row after the other: bucket and half.
    pub keys: Vec<(u16, u32)>,
    /// Where in these the keys of each row end.
    pub ends: Vec<usize>,
}

/// What goes into the indexes of the output.
#[derive(Debug, Default)]
pub struct Indexed(pub Vec<IndexedRows>);

impl Extension for Indexed {
    fn renumber(&mut self, first_row_id: u64) {
        // Rows of an earlier output lie before those of the source: their numbers wrap around.
        for indexed in &mut self.0 {
            for cluster in &mut indexed.clusters {
                *cluster = cluster.wrapping_add(first_row_id);
            }
        }
    }
}

impl IndexedRows {
    /// The live rows of a frame.
    pub fn of(frame: &CleaningBatch, need: &MatchingNeed, transformation: u16) -> Result<Self> {
        let plan = KeysOfRows::plan(frame);
        let values = Values::new(frame, &need.columns)?;
        let mut keys = RowKeys::new(need, plan)?;
        let mut records = RowRecords::new(need, plan)?;
        let clustered = frame.clustered.iter();
        let clusters: HashMap<u64, u64> = clustered
            .filter(|(own, _)| *own == transformation)
            .map(|(_, matched)| (matched.row, matched.cluster))
            .collect();
        let mut indexed = Self {
            transformation,
            rows: Vec::new(),
            clusters: Vec::new(),
            row_hashes: Vec::new(),
            records: Vec::new(),
            keys: Vec::new(),
            ends: Vec::new(),
        };
        for row in (0..frame.rows()).filter(|row| frame.is_live(*row)) {
            let keys = keys.of(&values, row);
            // Nothing is like a row of nothing.
            if keys.is_empty() {
                continue;
            }
            let number = frame.first_row + row as u64;
            indexed.rows.push(row as u32);
            let cluster = clusters.get(&number).copied();
            indexed.clusters.push(cluster.unwrap_or(number));
            indexed.row_hashes.push(Bucket::same(keys));
            let halves = keys
                .iter()
                .map(|key| (Bucket::of(*key) as u16, Bucket::half(*key)));
            indexed.keys.extend(halves);
            indexed.ends.push(indexed.keys.len());
            indexed.records.push(records.of(&values, row));
        }
        Ok(indexed)
    }

    /// The keys of the row at this place.
    pub fn keys_of(&self, place: usize) -> &[(u16, u32)] {
        let start = match place {
            0 => 0,
            place => self.ends[place - 1],
        };
        &self.keys[start..self.ends[place]]
    }
}

/// What an operation that finds near duplicates looks for; none of any other operation.
pub fn clusters_of(op: &ProgramOp) -> Option<&MatchingNeed> {
    let statistic: &dyn Any = op.op.statistic()?;
    statistic
        .downcast_ref()
        .map(|clusters: &Clusters| &clusters.0)
}

/// The operations whose rows go into an index, by number, with what they compare.
pub fn indexes(ops: &[ProgramOp]) -> impl Iterator<Item = (usize, &MatchingNeed)> {
    let clusters = ops.iter().map(clusters_of).enumerate();
    let clusters = clusters.filter_map(|(op, need)| Some((op, need?)));
    clusters.filter(|(_, need)| need.writes_index())
}

/// Columns of the table of rows of an index: number, cluster, hash, and what is compared.
pub fn index_rows_schema(need: &MatchingNeed) -> SchemaRef {
    let width = match &need.method {
        Method::Records { .. } => need.columns.len(),
        Method::Texts { .. } => 1,
    };
    let mut fields = vec![
        Field::new("row_id", DataType::Int64, false),
        Field::new("cluster_id", DataType::Int64, false),
        Field::new("row_hash", DataType::UInt32, false),
    ];
    let values = (0..width).map(|place| Field::new(format!("value_{place}"), DataType::Utf8, true));
    fields.extend(values);
    Arc::new(Schema::new(fields))
}

/// Columns of the table of keys of an index: bucket, key, and the row, counted from the first of the split.
pub fn index_keys_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("bucket", DataType::UInt16, false),
        Field::new("key", DataType::UInt32, false),
        Field::new("row", DataType::UInt32, false),
    ]))
}

/// Names of the files of an index in an output.
pub mod files {
    /// Folder of all indexes of an output.
    pub const FOLDER: &str = "index";

    /// The head.
    pub fn head(transformation: &str) -> String {
        format!("{FOLDER}/{transformation}-head.json")
    }

    /// The rows of the split that begins with this row.
    pub fn rows(transformation: &str, first_row_id: u64) -> String {
        format!("{FOLDER}/{transformation}-rows-{first_row_id:015}.parquet")
    }

    /// The keys of the same.
    pub fn keys(transformation: &str, first_row_id: u64) -> String {
        format!("{FOLDER}/{transformation}-keys-{first_row_id:015}.parquet")
    }

    /// The transformation whose head a file is; none of other files.
    pub fn transformation_of_head(path: &str) -> Option<&str> {
        let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
        name.strip_suffix("-head.json")
    }

    /// The first row of a file of rows of a transformation's index; none of other files.
    pub fn first_row_of(path: &str, transformation: &str) -> Option<u64> {
        let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
        let name = name.strip_prefix(transformation)?.strip_prefix("-rows-")?;
        name.strip_suffix(".parquet")?.parse().ok()
    }
}
