//! Where a pass learns keys: finds what repeats or may match, bucket by bucket, on many workers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    AsArray, BooleanArray, LargeBinaryArray, RecordBatch, UInt16Array, UInt64Array,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{UInt16Type, UInt64Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as EngineResult;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::learn_schema;
use crate::error::{Error, Result};
use crate::failure::tell;
use crate::learn::{KEY_BUCKETS, LogEntry, find_repeats};
use crate::matching::{EarlierIndex, MatchingNeed, Meeting, Sample, Scorer, find_pairs};
use crate::operation::{Keep, Repeats, RepeatsFiles, Splits};
use crate::profile::RowSample;
use crate::storage::{Place, WholeFile};

/// Column of the logs by whose hash they are divided.
const BUCKET: &str = "bucket";

/// What is to be found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SumOrder {
    /// Operations that learn by bucket, and what is found in a bucket of theirs.
    pub sums: Vec<(usize, BucketSum)>,
    /// Where that is stored.
    pub folder: Place,
    /// How the source is cut.
    pub splits: Splits,
    /// Of the rows that repeat, those that the driver is told of.
    pub told: Option<RowSample>,
}

/// What is found in a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BucketSum {
    /// Rows that repeat a key; which of equal ones stays.
    Repeats(Keep),
    /// Pairs of rows that have keys in common.
    Pairs {
        /// Which rows of a key meet.
        meeting: Meeting,
        /// Rows of an earlier output that they may meet too.
        earlier: Option<Arc<EarlierIndex>>,
    },
    /// How far the rows of pairs agree.
    Scores {
        /// What is compared.
        need: Box<MatchingNeed>,
        /// The sample from which the fields are learned, in JSON.
        sample: Place,
        /// Rows of an earlier output that are compared too.
        earlier: Option<Arc<EarlierIndex>>,
    },
}

impl SumOrder {
    /// Whether what the operation learns is summed up so.
    pub fn learns(&self, op: usize) -> bool {
        self.sums.iter().any(|sum| sum.0 == op)
    }
}

/// Takes the logs of a pass, each bucket in one partition. Stores what it finds in a bucket in a file
/// of its own; gives a row for it, whose log holds what the driver is told of it. Logs that are not
/// by bucket pass through.
pub struct SumExec {
    input: Arc<dyn ExecutionPlan>,
    order: Arc<SumOrder>,
    properties: Arc<PlanProperties>,
}

impl SumExec {
    /// Over the logs that `learn` gives, divided into so many partitions.
    pub fn over(learn: Arc<dyn ExecutionPlan>, partitions: usize, order: SumOrder) -> Result<Self> {
        let bucket = Column::new_with_schema(BUCKET, &learn_schema())?;
        let divided = Partitioning::Hash(vec![Arc::new(bucket)], partitions);
        let input = Arc::new(RepartitionExec::try_new(learn, divided)?);
        Ok(Self::new(input, Arc::new(order)))
    }

    /// Over logs that are divided by bucket.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, order: Arc<SumOrder>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(learn_schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Both,
            Boundedness::Bounded,
        );
        Self {
            input,
            order,
            properties: Arc::new(properties),
        }
    }

    /// What is to be found.
    pub(crate) fn order(&self) -> &SumOrder {
        &self.order
    }
}

impl fmt::Debug for SumExec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SumExec").finish_non_exhaustive()
    }
}

impl DisplayAs for SumExec {
    fn fmt_as(&self, _: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SumExec")
    }
}

impl ExecutionPlan for SumExec {
    fn name(&self) -> &str {
        "SumExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().ok_or(Error::Bug("repeats without logs"))?;
        Ok(Arc::new(Self::new(input, Arc::clone(&self.order))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let memory =
            MemoryConsumer::new(format!("SumExec[{partition}]")).register(context.memory_pool());
        let mut logs = self.input.execute(partition, context)?;
        let mut finder = Finder {
            order: Arc::clone(&self.order),
            held: BTreeMap::new(),
            complete: BTreeSet::new(),
            memory,
        };
        let mut builder = RecordBatchReceiverStreamBuilder::new(learn_schema(), 2);
        let sender = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = logs.next().await {
                let other = finder.take(&batch?).map_err(tell)?;
                if other.num_rows() > 0 && sender.send(Ok(other)).await.is_err() {
                    return Ok(());
                }
            }
            while let Some(found) = finder.find().map_err(tell)? {
                if sender.send(Ok(found)).await.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

/// Gathers the logs of keys, then finds repeats bucket by bucket.
struct Finder {
    order: Arc<SumOrder>,
    /// By operation and bucket.
    held: BTreeMap<(usize, u16), Vec<RecordBatch>>,
    /// Operations whose logs have what earlier outputs add to them.
    complete: BTreeSet<usize>,
    memory: MemoryReservation,
}

impl Finder {
    /// Takes the logs of keys out of a batch; gives the others.
    fn take(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let ops = batch.column(0).as_primitive::<UInt16Type>();
        let keys = |op: &u16| Some(self.order.learns(usize::from(*op)));
        let mask: BooleanArray = ops.values().iter().map(keys).collect();
        // A copy: a part of a batch would keep all of it.
        let logs = filter_record_batch(batch, &mask)?;
        self.memory.try_grow(logs.get_array_memory_size())?;
        let ops = logs.column(0).as_primitive::<UInt16Type>();
        let buckets = logs.column(2).as_primitive::<UInt16Type>();
        let entries = logs.column(3).as_binary::<i64>();
        let ends = entries.value_offsets();
        for row in 0..logs.num_rows() {
            let (start, end) = (ends[row] as usize, ends[row + 1] as usize);
            let bytes = entries.values().slice_with_length(start, end - start);
            let entry = LogEntry::decode(buckets.value(row), bytes)?;
            let place = (usize::from(ops.value(row)), entry.bucket);
            self.held.entry(place).or_default().push(entry.batch);
        }
        Ok(filter_record_batch(batch, &arrow::compute::not(&mask)?)?)
    }

    /// Finds and stores the repeats of the next bucket; none when there are no more.
    fn find(&mut self) -> Result<Option<RecordBatch>> {
        let Some((op, _)) = self.held.keys().next().copied() else {
            return Ok(None);
        };
        let order = Arc::clone(&self.order);
        let sum = order.sums.iter().find(|sum| sum.0 == op);
        let (_, sum) = sum.ok_or(Error::Bug("keys that nobody wants"))?;
        if self.complete.insert(op) {
            self.add_earlier_keys(op, sum)?;
        }
        let Some(((op, bucket), mut logs)) = self.held.pop_first() else {
            return Ok(None);
        };
        let batch = match sum {
            BucketSum::Repeats(keep) => self.repeats(op, bucket, *keep, &logs)?,
            // Counts, which are no keys.
            BucketSum::Pairs { .. } if usize::from(bucket) >= KEY_BUCKETS => {
                let schema = logs.first().ok_or(Error::Bug("no logs"))?.schema();
                concat_batches(&schema, &logs)?
            }
            BucketSum::Pairs { meeting, .. } => self.pairs(op, bucket, *meeting, &logs)?,
            BucketSum::Scores {
                need,
                sample,
                earlier,
            } => {
                let file = sample.open().map_err(|error| Error::io(sample, error))?;
                let learned: Sample = serde_json::from_reader(file)?;
                let scorer = Scorer::new(need, &learned, 1);
                let found = self.memory.new_empty();
                if let Some(earlier) = earlier {
                    logs.extend(earlier.records_for(&logs, &[], &found)?);
                }
                let scored = scorer.score(&logs, 1, &found)?;
                let place = scored_place(&self.order.folder, op, bucket);
                let io = |error| Error::io(&place, error);
                let mut file = WholeFile::create(&place, &self.order.folder).map_err(io)?;
                scored.write(&mut file)?;
                file.finish().map_err(io)?;
                scored.told()?
            }
        };
        let mut log = Vec::new();
        LogEntry { bucket, batch }.encode(&mut log)?;
        Ok(Some(RecordBatch::try_new(
            learn_schema(),
            vec![
                Arc::new(UInt16Array::from(vec![op as u16])),
                Arc::new(UInt64Array::from(vec![0])),
                Arc::new(UInt16Array::from(vec![bucket])),
                Arc::new(LargeBinaryArray::from(vec![log.as_slice()])),
            ],
        )?))
    }
}

impl Finder {
    /// Adds the keys of earlier rows to those of an operation that is to find pairs.
    fn add_earlier_keys(&mut self, op: usize, sum: &BucketSum) -> Result<()> {
        let BucketSum::Pairs {
            earlier: Some(earlier),
            ..
        } = sum
        else {
            return Ok(());
        };
        let mut rest = self.held.split_off(&(op, 0));
        let mut behind = rest.split_off(&(op, KEY_BUCKETS as u16));
        let own = rest.into_iter().map(|((_, bucket), logs)| (bucket, logs));
        let mut own: BTreeMap<u16, Vec<RecordBatch>> = own.collect();
        // Until all buckets are done.
        earlier.add_keys(&mut own, 1, &self.memory)?;
        let own = own.into_iter().map(|(bucket, logs)| ((op, bucket), logs));
        self.held.extend(own);
        self.held.append(&mut behind);
        Ok(())
    }

    /// Finds and stores the repeats of a bucket; gives the rows that the driver is told of.
    fn repeats(
        &self,
        op: usize,
        bucket: u16,
        keep: Keep,
        logs: &[RecordBatch],
    ) -> Result<RecordBatch> {
        let found = self.memory.new_empty();
        let repeats = Repeats(find_repeats(keep, logs, &found)?);
        let order = &self.order;
        RepeatsFiles::write(&order.folder, (op, bucket), &repeats, order.splits)?;
        let told = |row: &u64| order.told.is_some_and(|sample| sample.contains(*row));
        let rows = repeats.0.iter().map(|(row, _)| *row).filter(told);
        let rows = UInt64Array::from_iter_values(rows);
        Ok(RecordBatch::try_from_iter([("row", Arc::new(rows) as _)])?)
    }

    /// Finds and stores the pairs of a bucket, each in both directions; gives what was capped.
    fn pairs(
        &self,
        op: usize,
        bucket: u16,
        meeting: Meeting,
        logs: &[RecordBatch],
    ) -> Result<RecordBatch> {
        let held = self.memory.new_empty();
        let found = find_pairs(logs, meeting, &held)?;
        held.try_grow(2 * found.pairs.len() * size_of::<(u64, u64)>())?;
        let turned = found.pairs.iter().map(|(left, right)| (*right, *left));
        let mut both: Vec<(u64, u64)> = found.pairs.iter().copied().chain(turned).collect();
        both.sort_unstable();
        let order = &self.order;
        RepeatsFiles::write(&order.folder, (op, bucket), &Repeats(both), order.splits)?;
        found.capped.batch()
    }
}

/// The file of the compared pairs of a bucket.
pub fn scored_place(folder: &Place, op: usize, bucket: u16) -> Place {
    folder.join(&format!("op-{op}-scored-{bucket:03}.arrow"))
}

/// The rows that the driver is told of.
pub fn told_rows(entry: &LogEntry) -> Result<&[u64]> {
    let rows = entry.batch.column(0).as_primitive_opt::<UInt64Type>();
    Ok(rows.ok_or(Error::Bug("rows that are none"))?.values())
}
