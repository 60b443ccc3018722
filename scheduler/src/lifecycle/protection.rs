//! The protection of personal data that a stored contract demands, compared with what a job would do.
//!
//! Strategies are ordered by how much of a value is left. For columns that the contract names:
//! `keep` < `tokenize` < `hash` < `redact` < `exclude`. For columns in which personal data is only found
//! (`pii_detect`): `keep` < `redact` < `tokenize` < `hash` < `exclude`, because there `redact` replaces what was found
//! inside a text and leaves the rest of it.

use planner::spec::{ColumnSpec, Columns, DatasetSpec, JobSpec, PiiStrategy};
use planner::steps::Privacy;
use serde_json::{Map, Value, json};

use super::spec::SpecProblem;

/// What a stored contract demands; nothing by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Protection {
    contract: DatasetSpec,
}

/// How much of a declared column's values a strategy hides.
fn rank(strategy: PiiStrategy) -> u8 {
    match strategy {
        PiiStrategy::Keep => 0,
        PiiStrategy::Tokenize => 1,
        PiiStrategy::Hash => 2,
        PiiStrategy::Redact => 3,
        PiiStrategy::Exclude => 4,
    }
}

/// How much a strategy hides of a column in which personal data is found.
fn rank_found(strategy: PiiStrategy) -> u8 {
    match strategy {
        PiiStrategy::Keep => 0,
        PiiStrategy::Redact => 1,
        PiiStrategy::Tokenize => 2,
        PiiStrategy::Hash => 3,
        PiiStrategy::Exclude => 4,
    }
}

fn name(strategy: PiiStrategy) -> &'static str {
    match strategy {
        PiiStrategy::Keep => "keep",
        PiiStrategy::Tokenize => "tokenize",
        PiiStrategy::Hash => "hash",
        PiiStrategy::Redact => "redact",
        PiiStrategy::Exclude => "exclude",
    }
}

/// The columns that a contract declares, in whichever shape.
fn columns_of(dataset: &DatasetSpec) -> &[ColumnSpec] {
    match &dataset.schema {
        Some(schema) => &schema.columns,
        None => &dataset.columns,
    }
}

fn is_personal(column: &ColumnSpec) -> bool {
    column.pii.unwrap_or(column.pii_strategy.is_some())
}

/// The steps that apply strategies.
fn privacy_of(spec: &JobSpec) -> Vec<Privacy<'_>> {
    let steps = spec.steps.iter().flatten();
    steps.filter_map(|step| step.step().privacy()).collect()
}

/// What becomes of a column of this name that a job declares, or of which it only names a step.
fn outcome(spec: &JobSpec, column: &str) -> PiiStrategy {
    let usual = spec.dataset.pii_strategy;
    let declared = columns_of(&spec.dataset)
        .iter()
        .find(|declared| declared.name == column);
    let personal = declared.is_some_and(is_personal);
    let own = declared
        .and_then(|declared| declared.pii_strategy)
        .or(usual);
    let own = own.filter(|_| personal);
    let steps = privacy_of(spec);
    if steps.is_empty() {
        // A job that names no such step ends with one, for the columns that are declared.
        return match personal {
            true => own.unwrap_or(PiiStrategy::Hash),
            false => PiiStrategy::Keep,
        };
    }
    // The first step that takes the column decides; later ones find its strategy in the contract.
    let mut taking = steps.into_iter().filter(|step| match step.columns {
        Columns::All => personal,
        Columns::Named(names) => names.iter().any(|name| name == column),
    });
    taking.next().map_or(PiiStrategy::Keep, |step| {
        own.or(step.strategy).or(usual).unwrap_or(PiiStrategy::Hash)
    })
}

/// What becomes of a column in which personal data is found, and that no step names and the job does not declare.
fn outcome_of_found(spec: &JobSpec) -> PiiStrategy {
    let usual = spec.dataset.pii_strategy;
    let steps = privacy_of(spec);
    if steps.is_empty() {
        return match spec.dataset.pii_detect {
            true => usual.unwrap_or(PiiStrategy::Hash),
            false => PiiStrategy::Keep,
        };
    }
    let mut finding = steps
        .into_iter()
        .filter(|step| step.detect && *step.columns == Columns::All);
    finding.next().map_or(PiiStrategy::Keep, |step| {
        step.strategy.or(usual).unwrap_or(PiiStrategy::Hash)
    })
}

impl Protection {
    /// Reads what a stored contract demands.
    ///
    /// # Errors
    /// It is no contract.
    pub(crate) fn of(contract: &Value) -> serde_json::Result<Self> {
        Ok(Self {
            contract: serde_json::from_value(contract.clone())?,
        })
    }

    /// The columns that the contract protects, with the strategy of each.
    fn columns(&self) -> impl Iterator<Item = (&ColumnSpec, PiiStrategy)> {
        let usual = self.contract.pii_strategy.unwrap_or(PiiStrategy::Hash);
        let columns = columns_of(&self.contract).iter();
        let personal = columns.filter(|column| is_personal(column));
        personal
            .map(move |column| (column, column.pii_strategy.unwrap_or(usual)))
            .filter(|(_, strategy)| *strategy != PiiStrategy::Keep)
    }

    /// Whether it demands anything.
    fn is_any(&self) -> bool {
        self.contract.pii_detect || self.columns().next().is_some()
    }

    /// Puts the protected columns that a document does not mention back into its contract: a list of columns in a
    /// request replaces the stored one as a whole, and whoever leaves a column out says nothing about it.
    pub(crate) fn keep_in(&self, document: &mut Value) {
        let missing: Vec<&ColumnSpec> = self.columns().map(|(column, _)| column).collect();
        let Some(document) = document.as_object_mut().filter(|_| !missing.is_empty()) else {
            return;
        };
        let dataset = document.entry("dataset").or_insert(Value::Null);
        if dataset.is_null() {
            *dataset = json!({});
        }
        let Some(dataset) = dataset.as_object_mut() else {
            return;
        };
        let schema = dataset.get_mut("schema").and_then(Value::as_object_mut);
        match schema {
            Some(schema) => put_back(schema, &missing),
            None => put_back(dataset, &missing),
        }
    }

    /// Returns what a job does less than the contract demands, if anything. `salt` is what its document says of
    /// `pii_salt`.
    pub(crate) fn lowered_by(&self, spec: &JobSpec, salt: Option<&Value>) -> Option<SpecProblem> {
        if !self.is_any() {
            return None;
        }
        self.lowered_column(spec)
            .or_else(|| redivided(spec))
            .or_else(|| self.lowered_detection(spec))
            .or_else(|| self.lowered_hash(spec, salt))
    }

    fn lowered_column(&self, spec: &JobSpec) -> Option<SpecProblem> {
        let mut columns = self.columns();
        let (column, wanted, got) = columns.find_map(|(column, wanted)| {
            let got = outcome(spec, &column.name);
            (rank(got) < rank(wanted)).then_some((column, wanted, got))
        })?;
        let problem = format!(
            "the column {:?} would have the strategy {}; the contract says {}",
            column.name,
            name(got),
            name(wanted)
        );
        let place = columns_of(&spec.dataset)
            .iter()
            .position(|declared| declared.name == column.name);
        let field = match (place, &spec.dataset.schema) {
            (Some(place), Some(_)) => format!("dataset.schema.columns[{place}]"),
            (Some(place), None) => format!("dataset.columns[{place}]"),
            (None, _) => "dataset.columns".to_owned(),
        };
        Some(SpecProblem::new(field, problem))
    }

    fn lowered_detection(&self, spec: &JobSpec) -> Option<SpecProblem> {
        if !self.contract.pii_detect {
            return None;
        }
        let wanted = self.contract.pii_strategy.unwrap_or(PiiStrategy::Hash);
        let less = |got: PiiStrategy| rank_found(got) < rank_found(wanted);
        let got = outcome_of_found(spec);
        if less(got) {
            let problem = format!(
                "columns in which personal data is found would have the strategy {}; the contract says {}",
                name(got),
                name(wanted)
            );
            return Some(SpecProblem::new("dataset.pii_detect", problem));
        }
        // A column that the contract leaves open must not be taken out of what is found by naming it.
        let declared = columns_of(&spec.dataset).iter();
        let declared = declared.filter(|column| is_personal(column));
        let named = privacy_of(spec)
            .into_iter()
            .flat_map(|step| match step.columns {
                Columns::All => &[][..],
                Columns::Named(names) => names.as_slice(),
            });
        let mut names = declared.map(|column| &column.name).chain(named);
        let lowered = names.find(|column| {
            let settled = columns_of(&self.contract).iter();
            let mut settled = settled.filter(|settled| is_personal(settled));
            !settled.any(|settled| settled.name == **column) && less(outcome(spec, column))
        })?;
        let problem = format!(
            "the column {lowered:?} would have the strategy {}; the contract says {} for personal data that is found",
            name(outcome(spec, lowered)),
            name(wanted)
        );
        Some(SpecProblem::new("dataset.columns", problem))
    }

    fn lowered_hash(&self, spec: &JobSpec, salt: Option<&Value>) -> Option<SpecProblem> {
        let (stored, asked) = (&self.contract, &spec.dataset);
        if stored.pii_hash.unwrap_or_default() != asked.pii_hash.unwrap_or_default() {
            let problem = "the contract says how hashes are made";
            return Some(SpecProblem::new("dataset.pii_hash", problem));
        }
        let named = stored.pii_salt.as_ref().map(|salt| json!(salt));
        if named.as_ref() != salt.filter(|salt| !salt.is_null()) {
            let problem = "the contract says which salt is used";
            return Some(SpecProblem::new("dataset.pii_salt", problem));
        }
        if stored.strict_schema && !asked.strict_schema {
            let problem = "the contract lets no column through that it does not name";
            return Some(SpecProblem::new("dataset.strict_schema", problem));
        }
        None
    }
}

/// Returns the option by which a job divides its source into columns itself, if it names one: it would move values out of the
/// columns that are protected.
fn redivided(spec: &JobSpec) -> Option<SpecProblem> {
    let options = &spec.source.options;
    let named = [
        ("delimiter", options.delimiter.is_some()),
        ("quote", options.quote.is_some()),
        ("escape", options.escape.is_some()),
        ("comment", options.comment.is_some()),
        ("header", options.header.is_some()),
        ("skip_rows", options.skip_rows > 0),
        ("partition_columns", !options.partition_columns.is_empty()),
    ];
    let (name, _) = named.into_iter().find(|(_, named)| *named)?;
    let problem = "the contract protects columns, so who may not write contracts leaves it to detection how files are divided into columns";
    Some(SpecProblem::new(format!("source.options.{name}"), problem))
}

/// Adds columns to the list of an object, where it has none of their names.
fn put_back(object: &mut Map<String, Value>, columns: &[&ColumnSpec]) {
    let list = object.entry("columns").or_insert(Value::Null);
    if list.is_null() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else {
        return;
    };
    for column in columns {
        let known = list
            .iter()
            .any(|known| known["name"] == column.name.as_str());
        if !known && let Ok(column) = serde_json::to_value(column) {
            list.push(column);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::overlay;

    /// What a request does to a contract: the field that it lowers, or none.
    fn lowered(contract: &Value, request: Value) -> Option<String> {
        let protection = Protection::of(contract).unwrap();
        let mut document =
            json!({"version": 1, "source": {"location": "x.csv"}, "dataset": contract});
        overlay(&mut document, &request);
        protection.keep_in(&mut document);
        let salt = document.pointer("/dataset/pii_salt").cloned();
        let spec = JobSpec::from_value(document, "spec").unwrap();
        let problem = protection.lowered_by(&spec, salt.as_ref());
        problem.map(|problem| problem.field)
    }

    fn columns(list: Value) -> Value {
        json!({"dataset": {"columns": list}})
    }

    /// What divides a file into columns would move values out of those that are protected.
    #[test]
    fn m1_columns_are_not_divided_anew() {
        let contract = json!({"columns": [{"name": "email", "pii": true}]});
        let open = json!({"columns": [{"name": "email"}]});
        for (name, value) in [
            ("delimiter", json!("@")),
            ("quote", json!("3")),
            ("escape", json!("a")),
            ("comment", json!("i")),
            ("header", json!(false)),
            ("skip_rows", json!(1)),
            ("partition_columns", json!(["email"])),
        ] {
            let request = json!({"source": {"location": "x.csv", "options": {name: value}}});
            let field = format!("source.options.{name}");
            assert_eq!(lowered(&contract, request.clone()), Some(field));
            assert_eq!(lowered(&open, request), None);
        }
        let request = json!({"source": {"location": "x.csv", "options": {"encoding": "utf-8"}}});
        assert_eq!(lowered(&contract, request), None);
    }

    /// Whatever a request says, what the contract protects by name stays protected at least as well.
    #[test]
    fn m1_declared_protection_is_not_lowered() {
        let contract = json!({"columns": [{"name": "email", "pii": true, "pii_strategy": "hash"}, {"name": "age"}]});
        let first = Some("dataset.columns[0]".to_owned());
        for (request, field) in [
            (json!({}), None),
            (
                columns(json!([{"name": "email", "pii": false}])),
                first.clone(),
            ),
            (columns(json!([{"name": "email"}])), first.clone()),
            (
                columns(json!([{"name": "email", "pii": true, "pii_strategy": "keep"}])),
                first.clone(),
            ),
            (
                columns(json!([{"name": "email", "pii_strategy": "tokenize"}])),
                first.clone(),
            ),
            (
                columns(json!([{"name": "email", "pii_strategy": "redact"}])),
                None,
            ),
            (
                columns(json!([{"name": "email", "pii_strategy": "exclude"}])),
                None,
            ),
            (columns(json!([{"name": "email", "pii": true}])), None),
            // Left out, renamed, in the other shape, or with nothing at all: it is put back.
            (columns(json!([{"name": "age", "type": "integer"}])), None),
            (columns(json!([{"name": "mail", "pii": false}])), None),
            (columns(json!([])), None),
            (json!({"dataset": null}), None),
            // Steps.
            (json!({"steps": []}), None),
            (json!({"steps": [{"type": "dedupe"}]}), None),
            (json!({"steps": [{"type": "pii"}]}), None),
            (
                json!({"steps": [{"type": "pii", "columns": ["age"]}]}),
                first.clone(),
            ),
            (
                json!({"steps": [{"type": "pii", "columns": ["age"]}, {"type": "pii"}]}),
                None,
            ),
            (
                json!({"steps": [{"type": "pii", "strategy": "keep"}]}),
                None,
            ),
            (json!({"dataset": {"pii_strategy": "keep"}}), None),
            (
                json!({"dataset": {"pii_hash": "salted_sha256"}}),
                Some("dataset.pii_hash".to_owned()),
            ),
            (
                json!({"dataset": {"pii_salt": "env:OTHER"}}),
                Some("dataset.pii_salt".to_owned()),
            ),
            (json!({"dataset": {"strict_schema": true}}), None),
        ] {
            assert_eq!(lowered(&contract, request.clone()), field, "{request}");
        }
        // Where the contract leaves the strategy to its default, the default counts.
        let usual = json!({"pii_strategy": "redact", "strict_schema": true, "columns": [{"name": "email", "pii": true}]});
        for (request, field) in [
            (json!({}), None),
            (json!({"dataset": {"pii_strategy": "hash"}}), first.clone()),
            (json!({"dataset": {"pii_strategy": null}}), first.clone()),
            (
                json!({"dataset": {"pii_strategy": null}, "steps": [{"type": "pii", "strategy": "redact"}]}),
                None,
            ),
            (json!({"dataset": {"pii_strategy": "exclude"}}), None),
            (
                json!({"dataset": {"strict_schema": false}}),
                Some("dataset.strict_schema".to_owned()),
            ),
        ] {
            assert_eq!(lowered(&usual, request.clone()), field, "{request}");
        }
        // The same in the shape of a schema.
        let schema = json!({"schema": {"columns": [{"name": "email", "pii": true}]}});
        let first = Some("dataset.schema.columns[0]".to_owned());
        for (request, field) in [
            (
                json!({"schema": {"columns": [{"name": "email", "pii": false}]}}),
                first,
            ),
            (json!({"schema": {"columns": [{"name": "age"}]}}), None),
            (json!({"schema": null}), None),
        ] {
            let request = json!({"dataset": request});
            assert_eq!(lowered(&schema, request.clone()), field, "{request}");
        }
        // What the contract keeps on purpose binds nobody.
        let kept = json!({"columns": [{"name": "email", "pii": true, "pii_strategy": "keep"}]});
        assert_eq!(
            lowered(&kept, columns(json!([{"name": "email", "pii": false}]))),
            None
        );
    }

    /// What is found in the data is not taken out of the protection either.
    #[test]
    fn m1_detection_is_not_lowered() {
        let contract = json!({"pii_detect": true, "pii_strategy": "hash", "columns": [{"name": "free", "pii_strategy": "keep"}]});
        let detect = Some("dataset.pii_detect".to_owned());
        let columns_lowered = Some("dataset.columns".to_owned());
        for (request, field) in [
            (json!({}), None),
            (json!({"dataset": {"pii_detect": false}}), detect.clone()),
            (
                json!({"dataset": {"pii_strategy": "tokenize"}}),
                detect.clone(),
            ),
            // Of what is found in a text, the rest would stay.
            (
                json!({"dataset": {"pii_strategy": "redact"}}),
                detect.clone(),
            ),
            (json!({"dataset": {"pii_strategy": "exclude"}}), None),
            (json!({"steps": [{"type": "dedupe"}]}), None),
            (json!({"steps": [{"type": "pii"}]}), detect.clone()),
            (json!({"steps": [{"type": "pii", "detect": true}]}), None),
            (
                json!({"steps": [{"type": "pii", "detect": true, "strategy": "keep"}]}),
                detect.clone(),
            ),
            (
                json!({"steps": [{"type": "pii", "detect": true, "columns": ["a"]}]}),
                detect.clone(),
            ),
            (
                columns(json!([{"name": "a", "pii_strategy": "keep"}])),
                columns_lowered.clone(),
            ),
            (columns(json!([{"name": "a", "pii": false}])), None),
            (
                columns(json!([{"name": "free", "pii_strategy": "keep"}])),
                None,
            ),
            (
                json!({"steps": [{"type": "pii", "columns": ["a"], "strategy": "keep"}, {"type": "pii", "detect": true}]}),
                columns_lowered.clone(),
            ),
        ] {
            assert_eq!(lowered(&contract, request.clone()), field, "{request}");
        }
    }
}
