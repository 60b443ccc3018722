//! The steps of a job in their order: those that it names, those that every job has, and the default ones.

use super::{
    Canonicalize, Coerce, Dedupe, Impute, NormalizeText, NullMissingValues, Pii, Reading, Rules,
    StepSpec, Strategy,
};
use crate::contract::{
    BusinessRule, ColumnType, Columns, Contract, ContractColumn, DatasetSpec, PiiStrategy,
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

/// A step of a job, and its path in the spec if the spec names it.
#[derive(Debug, Clone)]
pub struct PlacedStep {
    /// The step.
    pub spec: StepSpec,
    /// `steps[1]`.
    pub field: Option<String>,
}

impl PlacedStep {
    fn named(step: &StepSpec, number: usize) -> Self {
        Self {
            spec: step.clone(),
            field: Some(format!("steps[{number}]")),
        }
    }

    fn implied(step: impl Into<StepSpec>) -> Self {
        Self {
            spec: step.into(),
            field: None,
        }
    }
}

/// The steps of a job: those that it names, with those that are implied, or the default ones where it names none.
/// Columns that a step takes for text are made text in the contract, where that does not declare a type.
pub fn pipeline(
    named: Option<&[StepSpec]>,
    implied: ImpliedSteps,
    dataset: &DatasetSpec,
    contract: &mut Contract,
) -> Vec<PlacedStep> {
    match named {
        Some(steps) if implied == ImpliedSteps::None => {
            keep_text(steps, contract);
            let steps = steps.iter().enumerate();
            steps
                .map(|(number, step)| PlacedStep::named(step, number))
                .collect()
        }
        Some(steps) => with_implied(steps, dataset, contract),
        None => default_pipeline(contract, dataset.pii_detect),
    }
}

/// The steps of a spec with those that every job has.
fn with_implied(
    steps: &[StepSpec],
    dataset: &DatasetSpec,
    contract: &mut Contract,
) -> Vec<PlacedStep> {
    let reads = |step: &StepSpec, wanted| step.step().reading() == wanted;
    let reads_types = steps.iter().any(|step| reads(step, Reading::Types));
    let mut placed: Vec<PlacedStep> = Vec::with_capacity(steps.len() + 3);
    let first = steps.first();
    if first.is_none_or(|step| !reads(step, Reading::MissingValues)) {
        placed.push(PlacedStep::implied(NullMissingValues::default()));
    }
    // Notations are brought to one before types are read from them.
    let notations = steps.iter();
    let lead = notations
        .take_while(|step| step.step().works_on_notations())
        .count();
    for (number, step) in steps.iter().enumerate() {
        if number == lead && !reads_types {
            placed.push(PlacedStep::implied(Coerce::default()));
        }
        placed.push(PlacedStep::named(step, number));
    }
    if lead == steps.len() && !reads_types {
        placed.push(PlacedStep::implied(Coerce::default()));
    }
    let hidden = |column: &ContractColumn| {
        let strategy = column.pii_strategy.or(dataset.pii_strategy);
        column.pii && strategy != Some(PiiStrategy::Keep)
    };
    let detect = dataset.pii_detect;
    let treated = steps.iter().any(|step| step.step().privacy().is_some());
    if !treated && (detect || contract.columns.iter().any(hidden)) {
        placed.push(PlacedStep::implied(hide_personal(detect)));
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
        let Some(Columns::Named(names)) = step.step().text_columns() else {
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
    steps.into_iter().map(PlacedStep::implied).collect()
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
