//! References in specs to what the service keeps: `upload:ID`, and `dataset:NAME` or `dataset:NAME@VERSION`.

use planner::spec::JobSpec;
use uuid::Uuid;

use crate::metadata::{Dataset, MetadataError, MetadataStore};

/// What references to uploads begin with.
const UPLOAD: &str = "upload:";

/// What references to datasets begin with.
const DATASET: &str = "dataset:";

/// A reference to something that the service keeps for the tenant. Its text is what specs hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredReference<'a> {
    /// A file that the tenant has sent.
    Upload(Uuid),
    /// A version of a dataset.
    Dataset {
        /// Name of the dataset.
        name: &'a str,
        /// Number of the version; the latest one when none.
        version: Option<i64>,
    },
}

/// A text that begins as a reference and is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedReference {
    /// What follows `upload:` is no identifier.
    #[error("expected upload:ID")]
    Upload,
}

impl<'a> StoredReference<'a> {
    /// Parses a location of a spec; none when it names something outside of the service.
    ///
    /// # Errors
    /// [`MalformedReference`] when the location begins as a reference and is not one.
    pub(crate) fn parse(location: &'a str) -> Result<Option<Self>, MalformedReference> {
        if let Some(id) = location.strip_prefix(UPLOAD) {
            let id = id.parse().map_err(|_| MalformedReference::Upload)?;
            return Ok(Some(Self::Upload(id)));
        }
        let Some(rest) = location.strip_prefix(DATASET) else {
            return Ok(None);
        };
        // A name may hold the mark too.
        let numbered = rest.rsplit_once('@').and_then(|(name, version)| {
            let version = version.parse().ok()?;
            Some((name, Some(version)))
        });
        let (name, version) = numbered.unwrap_or((rest, None));
        Ok(Some(Self::Dataset { name, version }))
    }

    /// Returns the upload that a location refers to, if it does.
    pub(crate) fn upload(location: &str) -> Option<Uuid> {
        match StoredReference::parse(location) {
            Ok(Some(StoredReference::Upload(id))) => Some(id),
            _ => None,
        }
    }

    /// Returns the dataset that a location refers to, and the version if it has one; none when it refers to no dataset.
    pub(crate) fn dataset(location: &'a str) -> Option<(&'a str, Option<i64>)> {
        match Self::parse(location) {
            Ok(Some(Self::Dataset { name, version })) => Some((name, version)),
            _ => None,
        }
    }
}

impl std::fmt::Display for StoredReference<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Upload(id) => write!(formatter, "{UPLOAD}{id}"),
            Self::Dataset { name, version } => {
                write!(formatter, "{DATASET}{name}")?;
                match version {
                    Some(version) => write!(formatter, "@{version}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Returns the uploads that a spec reads, in the order of its locations.
pub(crate) fn uploads_of(spec: &JobSpec) -> Vec<Uuid> {
    let locations = spec.source.location.0.iter();
    locations
        .filter_map(|location| StoredReference::upload(location))
        .collect()
}

/// Returns the references of the steps that compare with an earlier output, each with the number of its step from 0.
pub(crate) fn earlier_outputs(spec: &mut JobSpec) -> impl Iterator<Item = (usize, &mut String)> {
    let steps = spec.steps.iter_mut().flatten().enumerate();
    steps.filter_map(|(number, step)| {
        let reference = step.step_mut().reference_mut()?;
        Some((number, reference.location))
    })
}

/// Returns a dataset of a tenant and the number of the version that a reference means, the latest where it names none;
/// none when there is no such dataset or version.
///
/// # Errors
/// When the metadata store does not answer.
pub(crate) async fn find_version(
    metadata: &MetadataStore,
    tenant: Uuid,
    (name, version): (&str, Option<i64>),
) -> Result<Option<(Dataset, i64)>, MetadataError> {
    let Some(dataset) = metadata.dataset(tenant, name).await? else {
        return Ok(None);
    };
    let version = version.unwrap_or(dataset.latest_version);
    let known = (1..=dataset.latest_version).contains(&version);
    Ok(known.then_some((dataset, version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// References are read as they are meant, and written as they were read.
    #[test]
    fn references_are_read_and_written() {
        let dataset = |name, version| Ok(Some(StoredReference::Dataset { name, version }));
        let id = Uuid::now_v7();
        let upload = format!("upload:{id}");
        for (text, expected) in [
            ("dataset:people", dataset("people", None)),
            ("dataset:people@3", dataset("people", Some(3))),
            ("dataset:a@b", dataset("a@b", None)),
            ("dataset:a@b@7", dataset("a@b", Some(7))),
            (upload.as_str(), Ok(Some(StoredReference::Upload(id)))),
            ("upload:../../x", Err(MalformedReference::Upload)),
            ("/tmp/people", Ok(None)),
        ] {
            let parsed = StoredReference::parse(text);
            assert_eq!(parsed, expected, "{text}");
            if let Ok(Some(reference)) = parsed {
                assert_eq!(reference.to_string(), text);
            }
        }
        assert_eq!(StoredReference::upload("dataset:people"), None);
        assert_eq!(StoredReference::dataset(&upload), None);
    }
}
