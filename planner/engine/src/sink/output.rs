//! The place of an output, whatever kind it is of.

use super::folder::OutputFolder;
use super::prefix::OutputPrefix;
use super::{Manifest, PartFolder};
use crate::error::{Error, Result};
use crate::storage::Place;

/// Folder of attempts inside an output; it marks the place as ours.
pub(super) const WORK: &str = "_sanitizer";

/// Everything that an output may hold beside the manifest.
pub(super) const CONTENT: &[&str] = &[
    "data",
    "provenance",
    "removed",
    "quarantine",
    "clusters",
    "index",
    "tokens",
    "report.json",
    "report.html",
    "audit.json",
];

/// Where one attempt writes.
#[derive(Debug)]
pub struct Attempt {
    /// Files of the output to be.
    pub parts: PartFolder,
    /// What was learned, for workers in other processes.
    pub learned: Place,
    /// Temporary files.
    pub staging: Place,
}

/// The place of an output, to which this process alone writes.
///
/// Whenever the process dies, the place has either a manifest whose files are all there, or none;
/// until an attempt is published, that is the earlier output, if there was one.
#[derive(Debug)]
pub enum Output {
    /// A folder of a file system.
    Folder(OutputFolder),
    /// The objects of a store whose names begin alike.
    Prefix(Box<OutputPrefix>),
}

impl Output {
    /// Takes a place: a new or empty one, an earlier output, or what a crashed attempt left.
    pub fn open(root: &Place) -> Result<Self> {
        Ok(match root {
            Place::Local(path) if path.root().is_some() => {
                return Err(Error::Output {
                    path: path.name().to_owned(),
                    problem: "a job writes to no location that only some may name".to_owned(),
                });
            }
            Place::Local(path) => Self::Folder(OutputFolder::open(path.as_path())?),
            Place::Object(object) => Self::Prefix(Box::new(OutputPrefix::open(object)?)),
        })
    }

    /// Begins an attempt, after sweeping what earlier ones left behind.
    pub fn begin(&self, attempt: &str) -> Result<Attempt> {
        match self {
            Self::Folder(folder) => folder.begin(attempt),
            Self::Prefix(prefix) => prefix.begin(attempt),
        }
    }

    /// Publishes an attempt. The manifest is the commit.
    pub fn publish(self, attempt: &Attempt, manifest: &Manifest) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.publish(attempt, manifest),
            Self::Prefix(prefix) => prefix.publish(attempt, manifest),
        }
    }

    /// Ends without an output: what the attempt wrote is removed.
    pub fn abandon(self) -> Result<()> {
        match self {
            Self::Folder(folder) => folder.abandon(),
            Self::Prefix(prefix) => prefix.abandon(),
        }
    }
}

/// The attempt that writes below this place.
pub(super) fn attempt_in(folder: &Place) -> Attempt {
    Attempt {
        parts: PartFolder {
            files: folder.join("files"),
            unfinished: folder.join("unfinished"),
        },
        learned: folder.join("learned"),
        staging: folder.join("staging"),
    }
}
