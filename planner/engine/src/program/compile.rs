//! From a job and its contract to a program.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use udfs::kernels::pii::token::TokenVault;

use super::{Action, Pass, plan_passes};
use crate::contract::{Contract, ContractColumn};
use crate::error::{Error, Result};
use crate::operation::{Layout, LayoutColumn, ProgramOp, Statistic, StepContext};
use crate::spec::{DatasetSpec, JobSpec, OptionsSpec, OutputSpec, SourceSpec};
use crate::steps::{ImpliedSteps, PlacedStep, Reading, StepSpec, pipeline};

/// A step in the order in which it is applied, the implied ones included.
#[derive(Debug, Clone)]
pub struct Transformation {
    /// Identifier in provenance and report: `t-1` and so on.
    pub id: String,
    /// The step.
    pub spec: StepSpec,
    /// Whether the spec names it.
    pub implied: bool,
}

/// A column of the cleaned data.
#[derive(Debug, Clone)]
pub struct OutputColumn {
    /// Number in the source.
    pub column: usize,
    /// Name, type and whether it may be null.
    pub field: Field,
}

/// A job, compiled for its data.
#[derive(Debug)]
pub struct Program {
    /// The complete contract; with `pii` for the columns that the steps treat as personal data.
    pub contract: Contract,
    /// The steps, in order.
    pub transformations: Vec<Transformation>,
    /// The operations of the steps, in order.
    pub ops: Vec<ProgramOp>,
    /// The passes over the data; the last one writes.
    pub passes: Vec<Pass>,
    /// The columns at the end.
    pub output: Vec<OutputColumn>,
    /// For each column of the source, the operation behind which it is profiled as it was before
    /// cleaning: the one that gave it its type, or that nulled its missing values. None: as read.
    pub profiled_after: Vec<Option<usize>>,
    /// Whether the first pass profiles the column; else the last one does.
    pub profiled_first: Vec<bool>,
}

impl Program {
    /// Whether cells of rows that stay may come from rows that leave.
    pub(crate) fn merges(&self) -> bool {
        self.ops.iter().any(|op| op.op.takes_from_others())
    }

    /// The statistic of an operation that has one.
    pub(crate) fn statistic(&self, op: usize) -> Result<&dyn Statistic> {
        let statistic = self.ops.get(op).and_then(|op| op.op.statistic());
        statistic.ok_or(Error::Bug("an operation without a statistic"))
    }

    /// The step that an operation is part of: `t-6 dedupe`.
    pub(crate) fn step_of(&self, op: usize) -> String {
        let step = &self.transformations[usize::from(self.ops[op].transformation)];
        format!("{} {}", step.id, step.spec.name())
    }

    /// Compiles a job for data whose columns have these types.
    pub fn compile(job: &JobSpec, contract: &Contract, types: &[DataType]) -> Result<Self> {
        Self::compile_with(job, contract, types, ImpliedSteps::Usual)
    }

    /// Compiles a job as [`Program::compile`] does, with these steps beside those that it names.
    pub fn compile_with(
        job: &JobSpec,
        contract: &Contract,
        types: &[DataType],
        implied: ImpliedSteps,
    ) -> Result<Self> {
        let mut contract = contract.clone();
        let steps = pipeline(job.steps.as_deref(), implied, &job.dataset, &mut contract);
        let columns = contract
            .columns
            .iter()
            .zip(types)
            .map(|(column, data_type)| LayoutColumn {
                contract: column.clone(),
                data_type: data_type.clone(),
                excluded: false,
            });
        let mut layout = Layout {
            columns: columns.collect(),
        };
        let mut ops = Vec::new();
        let mut transformations = Vec::with_capacity(steps.len());
        let mut profiled_after = vec![None; types.len()];
        for (number, PlacedStep { spec, field }) in steps.into_iter().enumerate() {
            let context = StepContext {
                transformation: u16::try_from(number)
                    .map_err(|_| Error::field("steps", "more than 65,535 steps"))?,
                field: implied_field(&field, &spec),
                contract: &contract,
                pii_strategy: job.dataset.pii_strategy,
            };
            let before: Vec<DataType> = layout
                .columns
                .iter()
                .map(|column| column.data_type.clone())
                .collect();
            let compiled = spec.step().compile(&mut layout, &context)?;
            ops.extend(compiled.into_iter().map(|op| ProgramOp {
                transformation: context.transformation,
                op,
            }));
            match spec.step().reading() {
                Reading::MissingValues if number == 0 => {
                    let written = ops
                        .iter()
                        .flat_map(|op| op.op.writes().iter().collect::<Vec<_>>());
                    written.for_each(|column| profiled_after[column] = Some(0));
                }
                Reading::Types => {
                    for (column, before) in before.iter().enumerate() {
                        if *before != layout.columns[column].data_type {
                            profiled_after[column] = Some(ops.len() - 1);
                        }
                    }
                }
                Reading::MissingValues | Reading::Nothing => {}
            }
            transformations.push(Transformation {
                id: format!("t-{}", number + 1),
                implied: field.is_none(),
                spec,
            });
        }
        for (column, laid_out) in contract.columns.iter_mut().zip(&layout.columns) {
            column.pii = laid_out.contract.pii;
            column.pii_strategy = laid_out.contract.pii_strategy;
        }
        let output = layout
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| !column.excluded);
        let output = output.map(|(number, column)| OutputColumn {
            column: number,
            field: Field::new(&column.contract.name, column.data_type.clone(), true),
        });
        let passes = plan_passes(&ops);
        let profiled_first = profiled_after.iter().map(|op: &Option<usize>| {
            let applied = |op: &usize| passes[0].actions.contains(&Action::Apply(*op));
            passes.len() > 1 && op.as_ref().is_none_or(applied)
        });
        Ok(Self {
            output: output.collect(),
            profiled_first: profiled_first.collect(),
            passes,
            contract,
            transformations,
            ops,
            profiled_after,
        })
    }

    /// A program that only gives the columns the types of the contract.
    pub fn typed(contract: &Contract, types: &[DataType]) -> Result<Self> {
        let mut plain = contract.clone();
        plain
            .columns
            .iter_mut()
            .for_each(|column| column.pii = false);
        let job = JobSpec {
            version: 1,
            name: None,
            source: SourceSpec::default(),
            dataset: DatasetSpec::default(),
            steps: Some(Vec::new()),
            output: OutputSpec::default(),
            options: OptionsSpec::default(),
        };
        Self::compile(&job, &plain, types)
    }

    /// Whether a step puts rows together to clusters.
    pub fn finds_clusters(&self) -> bool {
        self.ops.iter().any(|op| op.op.is_prerequisite())
    }

    /// The columns whose values become tokens: transformation, column, and what seals the values.
    pub fn token_columns(&self) -> Vec<(u16, usize, Arc<TokenVault>)> {
        let ops = self.ops.iter();
        let columns = ops.flat_map(|op| {
            let columns = op.op.token_columns().into_iter();
            columns.map(|(column, vault)| (op.transformation, column, vault))
        });
        columns.collect()
    }

    /// Schema of the cleaned data.
    pub fn output_schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .output
            .iter()
            .map(|column| column.field.clone())
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// What stands for the clear values of personal data, by column; none for columns without.
    pub fn placeholders(&self) -> Vec<Option<String>> {
        let placeholder =
            |column: &ContractColumn| column.pii.then(|| column.entity().placeholder().to_owned());
        self.contract.columns.iter().map(placeholder).collect()
    }

    /// Which columns hold personal data, by number in the source.
    pub fn private(&self) -> Vec<bool> {
        self.contract
            .columns
            .iter()
            .map(|column| column.pii)
            .collect()
    }
}

fn implied_field(field: &Option<String>, spec: &StepSpec) -> String {
    field
        .clone()
        .unwrap_or_else(|| format!("{} (implied)", spec.name()))
}
