//! Keyed statistics, evaluated bucket by bucket on many workers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    AsArray, BooleanArray, LargeBinaryArray, RecordBatch, UInt16Array, UInt64Array,
};
use arrow::compute::filter_record_batch;
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
use serde_json::Value;

use super::{PROFILE_OP, learn_schema};
use crate::error::{Error, Result};
use crate::failure::failure_for_driver;
use crate::operation::{BucketEvaluator, PartialState, Splits, StatisticFiles};
use crate::profile::RowSample;
use crate::program::{PlanSpec, Program};
use crate::storage::Place;

/// Column of the logs by whose hash they are divided.
const BUCKET: &str = "bucket";

/// What workers evaluate by bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SumOrder {
    /// The operations whose statistics are keyed, and what workers must know to evaluate them.
    pub sums: Vec<(usize, Value)>,
    /// Where values are stored.
    pub folder: Place,
    /// How the source is cut.
    pub splits: Splits,
    /// Of the rows that leave, those that the driver is told of.
    pub told: Option<RowSample>,
}

impl SumOrder {
    /// Whether workers evaluate the statistic of the operation.
    pub fn has(&self, op: usize) -> bool {
        self.sums.iter().any(|sum| sum.0 == op)
    }
}

/// Takes the partial states of a pass, each bucket in one partition. Stores what it finds in a bucket in a file
/// of its own; gives a row for it, whose state holds what the driver is told of it. States that are not
/// by bucket pass through.
pub struct SumExec {
    input: Arc<dyn ExecutionPlan>,
    recipe: Arc<PlanSpec>,
    order: Arc<SumOrder>,
    properties: Arc<PlanProperties>,
}

impl SumExec {
    /// Over the partial states that `learn` gives, divided into so many partitions.
    pub fn over(
        learn: Arc<dyn ExecutionPlan>,
        partitions: usize,
        recipe: Arc<PlanSpec>,
        order: SumOrder,
    ) -> Result<Self> {
        let bucket = Column::new_with_schema(BUCKET, &learn_schema())?;
        let divided = Partitioning::Hash(vec![Arc::new(bucket)], partitions);
        let input = Arc::new(RepartitionExec::try_new(learn, divided)?);
        Ok(Self::new(input, recipe, Arc::new(order)))
    }

    /// Over partial states that are divided by bucket.
    pub fn new(input: Arc<dyn ExecutionPlan>, recipe: Arc<PlanSpec>, order: Arc<SumOrder>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(learn_schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Both,
            Boundedness::Bounded,
        );
        Self {
            input,
            recipe,
            order,
            properties: Arc::new(properties),
        }
    }

    /// What the program is made from.
    pub fn recipe(&self) -> &PlanSpec {
        &self.recipe
    }

    /// What workers evaluate.
    pub fn order(&self) -> &SumOrder {
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
        let input = children
            .pop()
            .ok_or(Error::Bug("keyed statistics without partial states"))?;
        let recipe = Arc::clone(&self.recipe);
        Ok(Arc::new(Self::new(input, recipe, Arc::clone(&self.order))))
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
            program: self.recipe.program().map_err(failure_for_driver)?,
            order: Arc::clone(&self.order),
            held: BTreeMap::new(),
            evaluators: BTreeMap::new(),
            memory,
        };
        let mut builder = RecordBatchReceiverStreamBuilder::new(learn_schema(), 2);
        let sender = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = logs.next().await {
                let other = finder.take(&batch?).map_err(failure_for_driver)?;
                if other.num_rows() > 0 && sender.send(Ok(other)).await.is_err() {
                    return Ok(());
                }
            }
            while let Some(found) = finder.find().map_err(failure_for_driver)? {
                if sender.send(Ok(found)).await.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

/// Gathers the partial states of keyed statistics, then evaluates them bucket by bucket.
struct Finder {
    program: Arc<Program>,
    order: Arc<SumOrder>,
    /// By operation and bucket.
    held: BTreeMap<(usize, u16), Vec<RecordBatch>>,
    /// By operation.
    evaluators: BTreeMap<usize, Box<dyn BucketEvaluator>>,
    memory: MemoryReservation,
}

impl Finder {
    /// Takes the states of keyed statistics out of a batch; gives the others.
    fn take(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let ops = batch.column(0).as_primitive::<UInt16Type>();
        let keyed = |op: &u16| Some(self.order.has(usize::from(*op)));
        let mask: BooleanArray = ops.values().iter().map(keyed).collect();
        // A copy: a part of a batch would keep all of it.
        let states = filter_record_batch(batch, &mask)?;
        self.memory.try_grow(states.get_array_memory_size())?;
        for_each_state(&states, |op, _, state| {
            let place = (op, state.bucket);
            self.held.entry(place).or_default().push(state.batch);
            Ok(())
        })?;
        Ok(filter_record_batch(batch, &arrow::compute::not(&mask)?)?)
    }

    /// Evaluates the next bucket; none when there are no more.
    fn find(&mut self) -> Result<Option<RecordBatch>> {
        let Some((op, _)) = self.held.keys().next().copied() else {
            return Ok(None);
        };
        if !self.evaluators.contains_key(&op) {
            self.begin(op)?;
        }
        let Some(((op, bucket), partial)) = self.held.pop_first() else {
            return Ok(None);
        };
        let evaluator = self.evaluators.get(&op);
        let evaluator = evaluator.ok_or(Error::Bug("keys that nobody wants"))?;
        let batch = evaluator.evaluate(bucket, partial, &self.memory)?;
        let mut told = Vec::new();
        PartialState { bucket, batch }.encode(&mut told)?;
        Ok(Some(RecordBatch::try_new(
            learn_schema(),
            vec![
                Arc::new(UInt16Array::from(vec![op as u16])),
                Arc::new(UInt64Array::from(vec![0])),
                Arc::new(UInt16Array::from(vec![bucket])),
                Arc::new(LargeBinaryArray::from(vec![told.as_slice()])),
            ],
        )?))
    }

    /// Makes the evaluator of an operation, and completes its buckets.
    fn begin(&mut self, op: usize) -> Result<()> {
        let order = &self.order;
        let sum = order.sums.iter().find(|sum| sum.0 == op);
        let (_, sum) = sum.ok_or(Error::Bug("keys that nobody wants"))?;
        let keyed = self.program.statistic(op)?.keyed();
        let keyed = keyed.ok_or(Error::Bug("a statistic without keys in buckets"))?;
        let files = StatisticFiles {
            folder: order.folder.clone(),
            op,
            splits: order.splits,
        };
        let evaluator = keyed.evaluator(sum, files, order.told)?;
        let mut rest = self.held.split_off(&(op, 0));
        let mut behind = rest.split_off(&(op + 1, 0));
        let own = rest
            .into_iter()
            .map(|((_, bucket), states)| (bucket, states));
        let mut own: BTreeMap<u16, Vec<RecordBatch>> = own.collect();
        evaluator.complete(&mut own, &self.memory)?;
        let own = own
            .into_iter()
            .map(|(bucket, states)| ((op, bucket), states));
        self.held.extend(own);
        self.held.append(&mut behind);
        self.evaluators.insert(op, evaluator);
        Ok(())
    }
}

/// Decodes what [`learn_schema`] describes: calls `take` with operation, split and state of each row that is no profile.
pub fn for_each_state(
    batch: &RecordBatch,
    mut take: impl FnMut(usize, u64, PartialState) -> Result<()>,
) -> Result<()> {
    let ops = batch.column(0).as_primitive::<UInt16Type>();
    let splits = batch.column(1).as_primitive::<UInt64Type>();
    let buckets = batch.column(2).as_primitive::<UInt16Type>();
    let states = batch.column(3).as_binary::<i64>();
    let ends = states.value_offsets();
    for row in 0..batch.num_rows() {
        if ops.value(row) == PROFILE_OP {
            continue;
        }
        let (start, end) = (ends[row] as usize, ends[row + 1] as usize);
        let bytes = states.values().slice_with_length(start, end - start);
        let state = PartialState::decode(buckets.value(row), bytes)?;
        take(usize::from(ops.value(row)), splits.value(row), state)?;
    }
    Ok(())
}
