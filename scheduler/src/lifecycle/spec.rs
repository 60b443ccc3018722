//! From what a tenant asks for to what is run.
//!
//! A spec that comes over the network may name less than one on the machine itself: sources from a list,
//! secrets from a list, and no place for the output, which is the service's own.

use std::path::PathBuf;

use planner::spec::{ByteSize, JobSpec, OutputFormat, Secret};
use planner::steps::REFERENCE_OPTION;
use planner::storage::{LocationError, LocationPolicy, TenantRoots};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::SecretPolicy;
use super::stored_reference::{StoredReference, earlier_outputs};

/// What a spec of a tenant may name.
#[derive(Debug, Clone)]
pub(crate) struct SpecPolicy {
    /// What each tenant may read from.
    pub(crate) sources: SourceLocations,
    pub(crate) secrets: SecretPolicy,
    /// The key of tokens: the service must be able to turn them back.
    pub(crate) token_key: Secret,
    /// Most memory of one job.
    pub(crate) memory_limit: u64,
    /// Most bytes of a file once its compression is taken off.
    pub(crate) decompressed: u64,
}

/// The locations that jobs may read from, beside uploads.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceLocations {
    /// Where tenants may read.
    pub(crate) roots: TenantRoots,
    /// What no tenant reads, whatever its roots are: what the service keeps.
    pub(crate) closed: Vec<PathBuf>,
}

impl SourceLocations {
    /// The locations of a tenant.
    ///
    /// # Errors
    /// When a root is not a location.
    pub(crate) fn of(&self, tenant: &str) -> Result<LocationPolicy, LocationError> {
        LocationPolicy::below("/", self.roots.of(tenant), &self.closed)
    }
}

/// What is wrong with a spec, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpecProblem {
    pub(crate) field: String,
    pub(crate) problem: String,
}

impl SpecProblem {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// Lays one document over another: objects are put together field by field, anything else is replaced.
pub(crate) fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                overlay(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

impl SpecPolicy {
    /// Returns the policy for a tenant that may keep so many bytes.
    pub(crate) fn within(&self, storage_bytes: Option<i64>) -> Self {
        let kept = storage_bytes.map_or(u64::MAX, |bytes| u64::try_from(bytes).unwrap_or(0));
        Self {
            decompressed: self.decompressed.min(kept),
            ..self.clone()
        }
    }

    /// Reads a spec and refuses what a tenant, of this name, may not ask for.
    pub(crate) fn check(&self, document: Value, tenant: &str) -> Result<JobSpec, SpecProblem> {
        let memory = document.pointer("/options/memory_limit");
        let asks_for_memory = memory.is_some_and(|memory| !memory.is_null());
        let mut spec = JobSpec::from_value(document, "spec").map_err(|error| match error {
            planner::Error::Spec { field, problem, .. } => SpecProblem::new(field, problem),
            other => SpecProblem::new("document", other.to_string()),
        })?;
        let own = "the service decides it; leave it out";
        if !spec.output.location.is_empty() {
            return Err(SpecProblem::new("output.location", own));
        }
        if spec.output.credentials.is_some() {
            return Err(SpecProblem::new("output.credentials", own));
        }
        if spec.output.format != OutputFormat::Parquet {
            let problem = "outputs are kept as Parquet; a download gives other formats";
            return Err(SpecProblem::new("output.format", problem));
        }
        for (field, set) in [
            ("options.job_id", spec.options.job_id.is_some()),
            ("options.temp_dir", spec.options.temp_dir.is_some()),
        ] {
            if set {
                return Err(SpecProblem::new(field, own));
            }
        }
        let locations = self.sources.of(tenant);
        let locations =
            locations.map_err(|error| SpecProblem::new("source.location", error.to_string()))?;
        for (number, location) in spec.source.location.0.iter().enumerate() {
            let field = match spec.source.location.0.len() {
                1 => "source.location".to_owned(),
                _ => format!("source.location[{number}]"),
            };
            self.check_source(location, &locations)
                .map_err(|problem| SpecProblem::new(field, problem))?;
        }
        if let Some(secret) = &spec.source.credentials
            && !self.secrets.allows(secret)
        {
            let problem = "specs may not name this secret here";
            return Err(SpecProblem::new("source.credentials", problem));
        }
        // The contract of an output names the secret of the tenant, which is derived anew for every job.
        spec.dataset.pii_salt = spec.dataset.pii_salt.map(|salt| salt.root().clone());
        match &spec.dataset.pii_salt {
            Some(salt) if !self.secrets.allows(salt) => {
                let problem = "specs may not name this secret here";
                return Err(SpecProblem::new("dataset.pii_salt", problem));
            }
            Some(_) => {}
            // The usual one, or the first that the service has.
            None => spec.dataset.pii_salt = self.secrets.usual(),
        }
        if spec.dataset.pii_token_key.is_some() {
            return Err(SpecProblem::new("dataset.pii_token_key", own));
        }
        spec.dataset.pii_token_key = Some(self.token_key.clone());
        for (number, against) in earlier_outputs(&mut spec) {
            if StoredReference::dataset(against).is_none() {
                let problem = "expected dataset:NAME, or dataset:NAME@VERSION";
                return Err(SpecProblem::new(
                    format!("steps[{number}].{REFERENCE_OPTION}"),
                    problem,
                ));
            }
        }
        let read = &mut spec.source.options;
        let asked = read
            .max_decompressed_bytes
            .map_or(self.decompressed, |size| size.0);
        read.max_decompressed_bytes = Some(ByteSize(asked.min(self.decompressed)));
        // What strangers send is read with the bounds for it, which a request may make narrower.
        read.strict = true;
        let most = ByteSize(self.memory_limit);
        if spec.options.memory_limit.0 > most.0 {
            if asks_for_memory {
                let problem = format!("{most} is the most that a job may have here");
                return Err(SpecProblem::new("options.memory_limit", problem));
            }
            spec.options.memory_limit = most;
        }
        Ok(spec)
    }

    fn check_source(&self, location: &str, locations: &LocationPolicy) -> Result<(), String> {
        match StoredReference::parse(location) {
            Ok(Some(StoredReference::Upload(_))) => Ok(()),
            Ok(Some(StoredReference::Dataset { .. }) | None) => {
                let checked = locations.check(location, None);
                checked.map(drop).map_err(|error| error.to_string())
            }
            Err(malformed) => Err(malformed.to_string()),
        }
    }
}

/// The spec of an upload: `source` and whatever the fields of the form say.
pub(crate) fn spec_of_upload(name: &str, upload: Uuid, parts: &Map<String, Value>) -> Value {
    let mut spec = json!({"version": 1, "name": name});
    for (field, value) in parts {
        overlay(&mut spec, &json!({field.as_str(): value}));
    }
    spec["source"]["location"] = json!(StoredReference::Upload(upload).to_string());
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> SpecPolicy {
        SpecPolicy {
            sources: SourceLocations {
                roots: TenantRoots::parse([
                    "acme=s3://lake/in",
                    "https://data.example.org/pub/",
                    "other=s3://theirs",
                ]),
                closed: Vec::new(),
            },
            memory_limit: 8 << 30,
            decompressed: 1 << 30,
            secrets: SecretPolicy::default(),
            token_key: Secret::token_key(),
        }
    }

    /// A tenant names what it may, and hears which field is wrong otherwise.
    #[test]
    fn what_may_be_named() {
        let spec = |location: &str, more: Value| {
            let mut spec = json!({"version": 1, "source": {"location": location}});
            overlay(&mut spec, &more);
            policy()
                .check(spec, "acme")
                .map_err(|problem| problem.field)
        };
        let upload = format!("upload:{}", Uuid::now_v7());
        for location in [
            &upload,
            "s3://lake/in/a.csv",
            "https://data.example.org/pub/a.csv",
        ] {
            assert!(spec(location, json!({})).is_ok(), "{location}");
        }
        for location in [
            "/etc/passwd",
            "customers.csv",
            "file:///etc/passwd",
            "s3://lake/internal/a.csv",
            "s3://lake/in/../other/a.csv",
            "s3://theirs/a.csv",
            "https://data.example.org.evil.net/pub/a.csv",
            "https://data.example.org/pub/..%2fpriv/a.csv",
            "https://data.example.org/pub/%2e%2e/priv/a.csv",
            "http://169.254.169.254/latest",
            "upload:../../x",
        ] {
            let field = spec(location, json!({})).unwrap_err();
            assert_eq!(field, "source.location", "{location}");
        }
        for (field, more) in [
            ("output.location", json!({"output": {"location": "/tmp/x"}})),
            ("output.format", json!({"output": {"format": "csv"}})),
            ("options.temp_dir", json!({"options": {"temp_dir": "/tmp"}})),
            ("options.job_id", json!({"options": {"job_id": "x"}})),
            (
                "options.memory_limit",
                json!({"options": {"memory_limit": "1TiB"}}),
            ),
            (
                "dataset.pii_salt",
                json!({"dataset": {"pii_salt": "file:/etc/shadow"}}),
            ),
            (
                "source.credentials",
                json!({"source": {"credentials": "env:ROOT"}}),
            ),
            (
                "steps[0].against",
                json!({"steps": [{"type": "near_dedupe", "against": "/tmp/out"}]}),
            ),
            (
                "steps[0].columnz",
                json!({"steps": [{"type": "dedupe", "columnz": "*"}]}),
            ),
        ] {
            assert_eq!(spec(&upload, more).unwrap_err(), field);
        }
    }

    /// A job that asks for no memory has as much as it may have, however little that is.
    #[test]
    fn memory_that_nobody_asked_for() {
        let small = SpecPolicy {
            memory_limit: 1 << 30,
            ..policy()
        };
        let location = format!("upload:{}", Uuid::now_v7());
        let limit = |options: Value| {
            let spec = json!({"version": 1, "source": {"location": location}, "options": options});
            let checked = small.check(spec, "acme").map_err(|problem| problem.field)?;
            Ok::<_, String>(checked.options.memory_limit)
        };
        assert_eq!(limit(json!({})), Ok(ByteSize(1 << 30)));
        let half = json!({"memory_limit": "512MiB"});
        assert_eq!(limit(half), Ok(ByteSize(512 << 20)));
        let much = json!({"memory_limit": "4GiB"});
        assert_eq!(limit(much), Err("options.memory_limit".to_owned()));
    }
}
