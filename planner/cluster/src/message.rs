//! Our operators as messages.
//!
//! A message names secrets and files; it holds neither secrets nor values of the data. What is a
//! document elsewhere too (spec, contract, index) is JSON, a schema is as in Arrow IPC.

use prost::{Message, Oneof};

/// What every message begins with: no message of Ballista's does, since no field has this tag.
pub(super) const MARK: &[u8] = b"DSv2";

/// One operator.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeMessage {
    #[prost(oneof = "Node", tags = "1, 2, 3, 4, 5")]
    pub(super) node: Option<Node>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Node {
    #[prost(message, tag = "1")]
    Scan(ScanMessage),
    #[prost(message, tag = "2")]
    Learn(PassMessage),
    #[prost(message, tag = "3")]
    Publish(PublishMessage),
    #[prost(message, tag = "4")]
    Sum(SumMessage),
    #[prost(message, tag = "5")]
    Clean(CleanMessage),
}

/// A scan of splits.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ScanMessage {
    /// The source's columns, as an Arrow IPC schema.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) schema: Vec<u8>,
    /// A `SourcePart`, in JSON.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) part: Vec<u8>,
    /// The partitions.
    #[prost(message, repeated, tag = "3")]
    pub(super) groups: Vec<GroupMessage>,
}

/// The splits of a partition.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GroupMessage {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) splits: Vec<u64>,
}

/// What a program is made from.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RecipeMessage {
    /// The `JobSpec`, in JSON.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) job: Vec<u8>,
    /// The `Contract`, in JSON.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) contract: Vec<u8>,
    /// The types of the source's columns, as an Arrow IPC schema.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) types: Vec<u8>,
    /// Whether the job is a part of a longer one, without implied steps.
    #[prost(bool, tag = "4")]
    pub(super) bare: bool,
}

/// What a pass works with.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PassMessage {
    #[prost(message, required, tag = "1")]
    pub(super) recipe: RecipeMessage,
    #[prost(uint64, tag = "2")]
    pub(super) pass: u64,
    /// Where the value of each operation's statistic is `Stored`, or `null`, in JSON.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) known: Vec<u8>,
    #[prost(uint64, tag = "4")]
    pub(super) rows_per_split: u64,
    #[prost(uint64, tag = "5")]
    pub(super) total_rows: u64,
    #[prost(message, required, tag = "6")]
    pub(super) profile_sample: SampleMessage,
    #[prost(message, optional, tag = "7")]
    pub(super) figure_sample: Option<SampleMessage>,
    /// The number of the source's first row outside of the job.
    #[prost(uint64, tag = "8")]
    pub(super) first_row_id: u64,
}

/// The evaluation of keyed statistics.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SumMessage {
    #[prost(message, required, tag = "1")]
    pub(super) recipe: RecipeMessage,
    /// A `SumOrder`, in JSON.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) order: Vec<u8>,
}

/// A sample of rows.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SampleMessage {
    #[prost(fixed64, tag = "1")]
    pub(super) seed: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) threshold: u64,
}

/// The pass that writes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PublishMessage {
    #[prost(message, required, tag = "1")]
    pub(super) pass: PassMessage,
    /// The `SinkOrder`, in JSON.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) order: Vec<u8>,
}

/// The last pass of a relation.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CleanMessage {
    #[prost(message, required, tag = "1")]
    pub(super) pass: PassMessage,
    /// Schema of the cleaned rows, as in Arrow IPC.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) schema: Vec<u8>,
}
