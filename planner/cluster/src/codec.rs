//! How our operators travel: to the scheduler with the whole plan, and from it to the executors.
//!
//! The scheduler cuts the scan of each task down to the splits of the task and encodes the plan
//! anew; a scan takes only the part of the index along that its splits need. Nothing is compiled,
//! opened or looked up by decoding: that waits until an executor runs the plan.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::convert::{IpcSchemaEncoder, fb_to_schema};
use arrow::ipc::root_as_schema;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use prost::Message;
use udfs::scalar::pii_hash::PiiHashFunction;
use udfs::scalar::secret::SecretAccess;

use super::message::{
    CleanMessage, GroupMessage, MARK, Node, NodeMessage, PassMessage, PublishMessage,
    RecipeMessage, SampleMessage, ScanMessage, SumMessage,
};
use planner_engine::operation::Stored;
use planner_engine::operators::{
    CleanExec, Known, LearnExec, PassState, PublishExec, SplitScan, SumExec, scan_groups, scan_of,
};
use planner_engine::program::PlanSpec;
use planner_engine::steps::ImpliedSteps;
use planner_engine::{Error, Result};
use planner_profile::RowSample;
use planner_source::SourceColumn;

#[cfg(test)]
mod tests;

/// Name of the function that reads secrets.
const PII_HASH: &str = "pii_hash";

/// Encodes our operators, and Ballista's own.
#[derive(Debug, Default)]
pub struct SanitizerCodec {
    ballista: BallistaPhysicalExtensionCodec,
}

impl PhysicalExtensionCodec for SanitizerCodec {
    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        match buffer.strip_prefix(MARK) {
            Some(message) => Ok(decode(message, inputs)?),
            None => self.ballista.try_decode(buffer, inputs, context, converter),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> EngineResult<()> {
        let Some(node) = encode(&node)? else {
            return self.ballista.try_encode(node, buffer, converter);
        };
        buffer.extend_from_slice(MARK);
        NodeMessage { node: Some(node) }
            .encode(buffer)
            .map_err(|error| DataFusionError::External(Box::new(error)))
    }

    fn try_decode_udf(&self, name: &str, buffer: &[u8]) -> EngineResult<Arc<ScalarUDF>> {
        if name == PII_HASH && !buffer.is_empty() {
            let access = serde_json::from_slice(buffer).map_err(Error::from)?;
            return Ok(Arc::new(PiiHashFunction::new(access).into()));
        }
        self.ballista.try_decode_udf(name, buffer)
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buffer: &mut Vec<u8>) -> EngineResult<()> {
        // Which secrets its calls may name goes along: an executor resolves none that the driver refuses.
        let inner: &dyn Any = node.inner().as_ref();
        if let Some(hash) = inner.downcast_ref::<PiiHashFunction>()
            && *hash.access() != SecretAccess::Any
        {
            return Ok(serde_json::to_writer(buffer, hash.access()).map_err(Error::from)?);
        }
        self.ballista.try_encode_udf(node, buffer)
    }

    fn try_decode_udaf(&self, name: &str, buffer: &[u8]) -> EngineResult<Arc<AggregateUDF>> {
        self.ballista.try_decode_udaf(name, buffer)
    }

    fn try_encode_udaf(&self, node: &AggregateUDF, buffer: &mut Vec<u8>) -> EngineResult<()> {
        self.ballista.try_encode_udaf(node, buffer)
    }

    fn try_decode_udwf(&self, name: &str, buffer: &[u8]) -> EngineResult<Arc<WindowUDF>> {
        self.ballista.try_decode_udwf(name, buffer)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, buffer: &mut Vec<u8>) -> EngineResult<()> {
        self.ballista.try_encode_udwf(node, buffer)
    }
}

/// An operator of ours as a message; none if it is not ours.
fn encode(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Node>> {
    if let Some((groups, scan)) = scan_of(plan) {
        return Ok(Some(Node::Scan(scan_message(&groups, scan)?)));
    }
    if let Some(learn) = plan.downcast_ref::<LearnExec>() {
        return Ok(Some(Node::Learn(pass_message(&learn.work().0)?)));
    }
    if let Some(publish) = plan.downcast_ref::<PublishExec>() {
        let work = publish.work();
        return Ok(Some(Node::Publish(PublishMessage {
            pass: pass_message(&work.state)?,
            order: serde_json::to_vec(&work.order)?,
        })));
    }
    if let Some(clean) = plan.downcast_ref::<CleanExec>() {
        let work = clean.work();
        let fields = work.schema.fields().iter();
        return Ok(Some(Node::Clean(CleanMessage {
            pass: pass_message(&work.state)?,
            schema: schema_bytes(fields.map(|field| field.as_ref().clone()).collect()),
        })));
    }
    if let Some(sum) = plan.downcast_ref::<SumExec>() {
        return Ok(Some(Node::Sum(SumMessage {
            recipe: recipe_message(sum.recipe())?,
            order: serde_json::to_vec(sum.order())?,
        })));
    }
    Ok(None)
}

fn decode(message: &[u8], inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Arc<dyn ExecutionPlan>> {
    let message = NodeMessage::decode(message)
        .map_err(|_| Error::Bug("a message that another version has written"))?;
    let node = message.node.ok_or(Error::Bug("a message of nothing"))?;
    let input = || {
        let first = inputs.first().map(Arc::clone);
        first.ok_or(Error::Bug("a pass without input"))
    };
    Ok(match node {
        Node::Scan(message) => scan(&message)?,
        Node::Learn(message) => Arc::new(LearnExec::new(input()?, Arc::new(state(&message)?))),
        Node::Sum(message) => {
            let order = Arc::new(serde_json::from_slice(&message.order)?);
            let recipe = Arc::new(recipe(&message.recipe)?);
            Arc::new(SumExec::new(input()?, recipe, order))
        }
        Node::Clean(message) => {
            let state = Arc::new(state(&message.pass)?);
            let schema = Arc::new(schema_of(&message.schema)?);
            Arc::new(CleanExec::new(input()?, state, schema))
        }
        Node::Publish(message) => {
            let order = serde_json::from_slice(&message.order)?;
            let state = Arc::new(state(&message.pass)?);
            Arc::new(PublishExec::new(input()?, state, order))
        }
    })
}

fn scan_message(groups: &[Vec<usize>], scan: &SplitScan) -> Result<ScanMessage> {
    let source = scan.source();
    let fields = source.columns.iter();
    let fields = fields.map(|column| Field::new(&column.name, column.data_type.clone(), true));
    let part = source.part(groups.iter().flatten().copied());
    let groups = groups.iter().map(|group| GroupMessage {
        splits: group.iter().map(|split| *split as u64).collect(),
    });
    Ok(ScanMessage {
        schema: schema_bytes(fields.collect()),
        part: serde_json::to_vec(&part)?,
        groups: groups.collect(),
    })
}

fn scan(message: &ScanMessage) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = schema_of(&message.schema)?;
    let columns = schema.fields().iter().map(|field| SourceColumn {
        name: field.name().clone(),
        data_type: field.data_type().clone(),
    });
    let part: planner_source::SourcePart = serde_json::from_slice(&message.part)?;
    let source = Arc::new(part.into_source(columns.collect()));
    let place = |split: &u64| usize::try_from(*split).unwrap_or(usize::MAX);
    let groups = message.groups.iter();
    let groups: Vec<Vec<usize>> = groups
        .map(|group| group.splits.iter().map(place).collect())
        .collect();
    Ok(scan_groups(&source, &groups))
}

fn pass_message(state: &PassState) -> Result<PassMessage> {
    let known = state.known.iter().map(|known| match known {
        Known::Nothing => Ok(None),
        Known::Stored(stored) => Ok(Some(stored)),
        Known::Here(_) => Err(Error::Bug("what one process knows is asked of another")),
    });
    let known = known.collect::<Result<Vec<Option<&Stored>>>>()?;
    Ok(PassMessage {
        recipe: recipe_message(&state.recipe)?,
        pass: state.pass as u64,
        known: serde_json::to_vec(&known)?,
        rows_per_split: state.rows_per_split,
        total_rows: state.total_rows,
        first_row_id: state.first_row_id,
        profile_sample: sample_message(state.profile_sample),
        figure_sample: state.figure_sample.map(sample_message),
    })
}

fn recipe_message(recipe: &PlanSpec) -> Result<RecipeMessage> {
    let types = recipe.types.iter();
    let types = types.map(|data_type| Field::new("", data_type.clone(), true));
    Ok(RecipeMessage {
        job: serde_json::to_vec(&recipe.job)?,
        contract: serde_json::to_vec(&recipe.contract)?,
        types: schema_bytes(types.collect()),
        bare: recipe.implied == ImpliedSteps::None,
    })
}

fn recipe(message: &RecipeMessage) -> Result<PlanSpec> {
    let schema = schema_of(&message.types)?;
    let types = schema.fields().iter();
    let types: Vec<DataType> = types.map(|field| field.data_type().clone()).collect();
    let job = serde_json::from_slice(&message.job)?;
    let contract = serde_json::from_slice(&message.contract)?;
    let implied = if message.bare {
        ImpliedSteps::None
    } else {
        ImpliedSteps::Usual
    };
    Ok(PlanSpec::new(job, contract, types).with_implied(implied))
}

fn state(message: &PassMessage) -> Result<PassState> {
    let known: Vec<Option<Stored>> = serde_json::from_slice(&message.known)?;
    let known = known.into_iter().map(|stored| match stored {
        Some(stored) => Known::Stored(stored),
        None => Known::Nothing,
    });
    Ok(PassState {
        recipe: Arc::new(recipe(&message.recipe)?),
        pass: usize::try_from(message.pass).unwrap_or(usize::MAX),
        known: known.collect(),
        rows_per_split: message.rows_per_split,
        total_rows: message.total_rows,
        first_row_id: message.first_row_id,
        profile_sample: sample(message.profile_sample),
        figure_sample: message.figure_sample.map(sample),
        remote: true,
        exchange: None,
        progress: Arc::default(),
    })
}

fn sample_message(sample: RowSample) -> SampleMessage {
    SampleMessage {
        seed: sample.seed,
        threshold: sample.threshold,
    }
}

fn sample(message: SampleMessage) -> RowSample {
    RowSample {
        seed: message.seed,
        threshold: message.threshold,
    }
}

fn schema_bytes(fields: Vec<Field>) -> Vec<u8> {
    let builder = IpcSchemaEncoder::new().schema_to_fb(&Schema::new(fields));
    builder.finished_data().to_vec()
}

fn schema_of(bytes: &[u8]) -> Result<Schema> {
    let schema = root_as_schema(bytes).map_err(|_| Error::Bug("a schema that is none"))?;
    Ok(fb_to_schema(schema))
}
