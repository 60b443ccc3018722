//! What a login of the service may do: actions, datasets, and until when.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::identifiers::PUBLIC;

/// Something that a login may do, or not. The names are those of the REST API, where it has the same
/// action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// Clean rows: `sanitize(…)` and the steps as relations.
    #[serde(rename = "jobs:submit")]
    SubmitJobs,
    /// Read the rows of tables, views, files and job outputs.
    #[serde(rename = "data:read")]
    ReadData,
    /// Read which cells a job changed, and from what.
    #[serde(rename = "provenance:read")]
    ReadProvenance,
    /// Create and drop stored specs.
    #[serde(rename = "contracts:write")]
    WriteContracts,
    /// Create, fill and drop tables, views and schemas.
    #[serde(rename = "tables:write")]
    WriteTables,
    /// Name files and URLs in statements.
    #[serde(rename = "files:read")]
    ReadFiles,
    /// Write files with COPY.
    #[serde(rename = "files:write")]
    WriteFiles,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 7] = [
        Self::SubmitJobs,
        Self::ReadData,
        Self::ReadProvenance,
        Self::WriteContracts,
        Self::WriteTables,
        Self::ReadFiles,
        Self::WriteFiles,
    ];

    /// Returns the name of the action.
    pub fn name(self) -> &'static str {
        match self {
            Self::SubmitJobs => "jobs:submit",
            Self::ReadData => "data:read",
            Self::ReadProvenance => "provenance:read",
            Self::WriteContracts => "contracts:write",
            Self::WriteTables => "tables:write",
            Self::ReadFiles => "files:read",
            Self::WriteFiles => "files:write",
        }
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|action| action.name() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("unknown action {name:?}; the actions are {names}")
        })
    }
}

/// Most datasets that a login is limited to.
const MAX_DATASETS: usize = 1_000;

/// Most bytes of the name of a dataset.
const NAME_BYTES: usize = 256;

/// What a login may do. The default is everything within its tenant, for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Actions; all when none.
    pub actions: Option<BTreeSet<Action>>,
    /// Datasets: `people` is the job `jobs.people`, the table or view `people` of the schema `public`,
    /// and the stored spec `people`; `lab.people` is a table or view of another schema. All when none.
    pub datasets: Option<BTreeSet<String>>,
    /// End of the login; never when none.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Grants {
    /// Returns what both may do, as long as both last.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            actions: both(self.actions.as_ref(), other.actions.as_ref()),
            datasets: both(self.datasets.as_ref(), other.datasets.as_ref()),
            expires_at: match (self.expires_at, other.expires_at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
        }
    }

    /// Whether everything that `other` may is allowed here too, for as long. An end that `other` leaves
    /// open is the end of these grants.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let within = |expires_at: DateTime<Utc>| other.expires_at.is_none_or(|at| at <= expires_at);
        covered(self.actions.as_ref(), other.actions.as_ref())
            && covered(self.datasets.as_ref(), other.datasets.as_ref())
            && self.expires_at.is_none_or(within)
    }

    /// Whether the login has ended.
    pub(crate) fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= Utc::now())
    }

    /// Whether an action is allowed.
    pub fn may(&self, action: Action) -> bool {
        self.actions
            .as_ref()
            .is_none_or(|actions| actions.contains(&action))
    }

    /// Whether a dataset may be seen and touched.
    pub fn may_touch(&self, dataset: &str) -> bool {
        self.datasets
            .as_ref()
            .is_none_or(|datasets| datasets.contains(dataset))
    }

    /// Whether the login is limited to some datasets.
    pub(crate) fn is_limited(&self) -> bool {
        self.datasets.is_some()
    }

    /// Refuses an action that is not allowed.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where the login lacks the action.
    pub(crate) fn check(&self, action: Action) -> Result<()> {
        if self.may(action) {
            return Ok(());
        }
        Err(Error::Forbidden(format!(
            "this login lacks the action {}",
            action.name()
        )))
    }

    /// Refuses names and lists that no login can have.
    pub(crate) fn validate(&self) -> Result<()> {
        let Some(datasets) = &self.datasets else {
            return Ok(());
        };
        if datasets.len() > MAX_DATASETS {
            return Err(Error::Invalid(format!(
                "a login is limited to {MAX_DATASETS} datasets at most"
            )));
        }
        let wrong = |name: &&String| {
            name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control)
        };
        match datasets.iter().find(wrong) {
            None => Ok(()),
            Some(name) => Err(Error::Invalid(format!(
                "{name:?} is not the name of a dataset: 1 to {NAME_BYTES} bytes, no control characters"
            ))),
        }
    }
}

/// The name under which grants list a table.
pub(crate) fn dataset_of(schema: &str, table: &str) -> String {
    match schema {
        PUBLIC => table.to_owned(),
        schema => format!("{schema}.{table}"),
    }
}

fn both<T: Ord + Clone>(
    one: Option<&BTreeSet<T>>,
    other: Option<&BTreeSet<T>>,
) -> Option<BTreeSet<T>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.intersection(other).cloned().collect()),
        (one, other) => one.or(other).cloned(),
    }
}

fn covered<T: Ord>(all: Option<&BTreeSet<T>>, some: Option<&BTreeSet<T>>) -> bool {
    match (all, some) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(all), Some(some)) => some.is_subset(all),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chrono::TimeDelta;

    use super::*;

    fn grants(actions: &[Action], datasets: &[&str]) -> Grants {
        Grants {
            actions: Some(actions.iter().copied().collect()),
            datasets: Some(datasets.iter().map(|name| (*name).to_owned()).collect()),
            expires_at: None,
        }
    }

    /// A key has what both its user and itself have; nothing covers more than it has, or lasts longer.
    #[test]
    fn grants_are_intersected() {
        let user = grants(&[Action::ReadData, Action::WriteTables], &["a", "b"]);
        let key = grants(&[Action::ReadData, Action::WriteFiles], &["b", "c"]);
        assert_eq!(user.and(&key), grants(&[Action::ReadData], &["b"]));
        assert_eq!(user.and(&Grants::default()), user);
        assert!(!user.covers(&key) && !user.covers(&Grants::default()));
        assert!(Grants::default().covers(&user) && user.covers(&user));
        let ends = |hours| Grants {
            expires_at: Some(Utc::now() + TimeDelta::hours(hours)),
            ..Grants::default()
        };
        assert!(ends(2).covers(&ends(1)) && !ends(1).covers(&ends(2)));
        assert!(
            ends(1).covers(&Grants::default()),
            "the key ends with its user"
        );
        assert!(ends(-1).has_expired() && !ends(1).has_expired());
    }

    /// Names are read as they are written; a name that is none is refused with those that are.
    #[test]
    fn actions_have_names() {
        for action in Action::ALL {
            assert_eq!(action.name().parse::<Action>().unwrap(), action);
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        assert!(
            "data:write"
                .parse::<Action>()
                .unwrap_err()
                .contains("data:read")
        );
    }
}
