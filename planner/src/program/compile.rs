//! From a job and its contract to a program.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use udfs::kernels::pii::token::TokenVault;

use super::{Action, Pass, plan_passes};
use crate::contract::{Contract, ContractColumn};
use crate::error::{Error, Result};
use crate::operation::{Layout, LayoutColumn, ProgramOp, Statistic, StepContext};
use crate::spec::{
    BusinessRule, ColumnType, Columns, DatasetSpec, JobSpec, OptionsSpec, OutputSpec, PiiStrategy,
    SourceSpec,
};
use crate::steps::{
    Canonicalize, Coerce, Dedupe, Impute, NormalizeText, NullMissingValues, Pii, Rules, StepSpec,
    Strategy,
};

/// Steps that a program has although the job does not name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImpliedSteps {
    /// Those of every job: missing values, types, and personal data that the contract hides.
    #[default]
    Usual,
    /// None: the job is a part of a longer one.
    None,
}

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
        let steps = match &job.steps {
            Some(steps) if implied == ImpliedSteps::None => {
                keep_text(steps, &mut contract);
                let steps = steps.iter().enumerate();
                steps
                    .map(|(number, step)| (step.clone(), Some(format!("steps[{number}]"))))
                    .collect()
            }
            Some(steps) => with_implied(steps, &mut contract, job),
            None => default_pipeline(&contract, job.dataset.pii_detect),
        };
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
        for (number, (spec, field)) in steps.into_iter().enumerate() {
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
            let compiled = spec.compile(&mut layout, &context)?;
            ops.extend(compiled.into_iter().map(|op| ProgramOp {
                transformation: context.transformation,
                op,
            }));
            if number == 0 && matches!(spec, StepSpec::NullMissingValues(_)) {
                for column in ops
                    .iter()
                    .flat_map(|op| op.op.writes().iter().collect::<Vec<_>>())
                {
                    profiled_after[column] = Some(0);
                }
            }
            if matches!(spec, StepSpec::Coerce(_)) {
                for (column, before) in before.iter().enumerate() {
                    if *before != layout.columns[column].data_type {
                        profiled_after[column] = Some(ops.len() - 1);
                    }
                }
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

/// A step, and its path in the spec if the spec names it.
type PlacedStep = (StepSpec, Option<String>);

/// The steps of a spec with those that every job has.
fn with_implied(steps: &[StepSpec], contract: &mut Contract, job: &JobSpec) -> Vec<PlacedStep> {
    let named = |wanted: &str| steps.iter().any(|step| step.name() == wanted);
    let mut placed: Vec<PlacedStep> = Vec::with_capacity(steps.len() + 3);
    if steps
        .first()
        .is_none_or(|step| step.name() != "missing_values")
    {
        placed.push((NullMissingValues::default().into(), None));
    }
    // Notations are brought to one before types are read from them.
    let textual = [
        "missing_values",
        "normalize_text",
        "normalize",
        "canonicalize",
    ];
    let lead = steps
        .iter()
        .take_while(|step| textual.contains(&step.name()))
        .count();
    for (number, step) in steps.iter().enumerate() {
        if number == lead && !named("coerce") {
            placed.push((Coerce::default().into(), None));
        }
        placed.push((step.clone(), Some(format!("steps[{number}]"))));
    }
    if lead == steps.len() && !named("coerce") {
        placed.push((Coerce::default().into(), None));
    }
    let hidden = |column: &ContractColumn| {
        let strategy = column.pii_strategy.or(job.dataset.pii_strategy);
        column.pii && strategy != Some(PiiStrategy::Keep)
    };
    let detect = job.dataset.pii_detect;
    if !named("pii") && (detect || contract.columns.iter().any(hidden)) {
        placed.push((hide_personal(detect).into(), None));
    }
    keep_text(steps, contract);
    placed
}

/// The step that applies the contract's strategies.
fn hide_personal(detect: bool) -> Pii {
    Pii {
        detect,
        ..Pii::default()
    }
}

/// A column that a step takes for text is not given an inferred type: a phone number in digits
/// only is no number.
fn keep_text(steps: &[StepSpec], contract: &mut Contract) {
    for step in steps {
        let columns = match step {
            StepSpec::Normalize(step) if step.kind.gives_text() => &step.columns,
            StepSpec::NormalizeText(step) => &step.columns,
            StepSpec::Canonicalize(step) => &step.columns,
            _ => continue,
        };
        let Columns::Named(names) = columns else {
            continue;
        };
        for column in &mut contract.columns {
            if !column.declared && names.contains(&column.name) {
                column.column_type = ColumnType::String;
            }
        }
    }
}

/// The steps of a job that names none.
fn default_pipeline(contract: &Contract, detect: bool) -> Vec<PlacedStep> {
    let mut steps: Vec<StepSpec> = vec![
        NullMissingValues::default().into(),
        Coerce::default().into(),
        NormalizeText::default().into(),
    ];
    let columns = || contract.columns.iter();
    if columns().any(|column| column.canonical_values.is_some()) {
        steps.push(Canonicalize::default().into());
    }
    if columns().any(|column| !column.business_rules.is_empty() || !column.nullable) {
        steps.push(Rules::default().into());
    }
    steps.push(Dedupe::default().into());
    let named = |fits: &dyn Fn(&ContractColumn) -> bool| -> Vec<String> {
        columns()
            .filter(|column| imputable(column) && fits(column))
            .map(|c| c.name.clone())
            .collect()
    };
    let numbers = named(&|column| {
        matches!(
            column.column_type,
            ColumnType::Integer | ColumnType::Float | ColumnType::Decimal
        )
    });
    let categories = named(&|column| {
        let few = column
            .inferred
            .as_ref()
            .is_some_and(|seen| !seen.categories.is_empty());
        column.column_type == ColumnType::String && (few || column.canonical_values.is_some())
    });
    for (strategy, names) in [(Strategy::Median, numbers), (Strategy::Mode, categories)] {
        if !names.is_empty() {
            let impute = Impute {
                strategy,
                columns: Columns::Named(names),
                by: Vec::new(),
                value: None,
            };
            steps.push(impute.into());
        }
    }
    if detect || columns().any(|column| column.pii) {
        steps.push(hide_personal(detect).into());
    }
    steps.into_iter().map(|step| (step, None)).collect()
}

/// Whether the default pipeline may fill the column: nothing unique, nothing personal.
fn imputable(column: &ContractColumn) -> bool {
    let unique = column.business_rules.contains(&BusinessRule::Unique)
        || column.inferred.as_ref().is_some_and(|seen| seen.unique);
    let found = column
        .inferred
        .as_ref()
        .is_some_and(|seen| seen.pii.is_some());
    !unique && !column.pii && !found
}

fn implied_field(field: &Option<String>, spec: &StepSpec) -> String {
    field
        .clone()
        .unwrap_or_else(|| format!("{} (implied)", spec.name()))
}
