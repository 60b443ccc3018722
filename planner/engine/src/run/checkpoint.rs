//! What a job has learned, kept until it is published: the next attempt at the job goes on from there.
//!
//! A checkpoint is of one source as it was, one spec and one version of this program; anything else learns anew.
//! It lies in a folder beside the outputs of the job's attempts: a head that is written last, and the files that
//! it names, each attempt's under a name of its own.

use std::io::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::discover::source_stamp;
use super::job::JobRun;
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::operation::Stored;
use crate::profile::ColumnSketch;
use crate::storage::Place;

/// Name of the head.
const HEAD: &str = "head.json";

/// Where a job keeps what it learns.
#[derive(Debug)]
pub(super) struct Checkpoint {
    folder: Place,
    /// Files of this attempt.
    pub(super) files: Place,
    stamp: String,
}

/// What a job has learned.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Remembered {
    stamp: String,
    pub(super) contract: Contract,
    /// By operation; none where nothing was learned.
    pub(super) known: Vec<Option<Stored>>,
    pub(super) before: Vec<Option<ColumnSketch>>,
}

impl Checkpoint {
    /// That of a run. None where it keeps none: nobody asked for it, the source cannot be told from a later one, or
    /// a step is not resumable.
    pub(super) fn of(run: &JobRun, attempt: &str) -> Result<Option<Self>> {
        let Some(folder) = &run.checkpoint else {
            return Ok(None);
        };
        let mut steps = run.spec.steps.iter().flatten();
        if steps.any(|step| !step.step().is_resumable()) {
            return Ok(None);
        }
        let Some(source) = source_stamp(&run.spec.source, &run.locations)? else {
            return Ok(None);
        };
        let mut spec = run.spec.clone();
        // Each attempt has an output of its own.
        spec.output.location = String::new();
        let mut digest = Sha256::new();
        digest.update(env!("CARGO_PKG_VERSION"));
        digest.update(serde_json::to_vec(&spec)?);
        digest.update(source);
        let stamp = digest.finalize();
        let stamp = stamp.iter().map(|byte| format!("{byte:02x}")).collect();
        let files = folder.join(attempt);
        files
            .make_folder()
            .map_err(|error| Error::io(&files, error))?;
        Ok(Some(Self {
            folder: folder.clone(),
            files,
            stamp,
        }))
    }

    /// What an earlier attempt has learned; none where there is nothing that fits.
    pub(super) fn recall(&self) -> Option<Remembered> {
        let head = self.folder.join(HEAD);
        let remembered: Remembered = serde_json::from_reader(head.open().ok()?).ok()?;
        let fits = remembered.stamp == self.stamp;
        match fits {
            true => info!("an earlier attempt has learned already"),
            false => warn!("the source or the job is not what an earlier attempt learned from"),
        }
        fits.then_some(remembered)
    }

    /// Keeps what was learned. A job whose checkpoint cannot be kept goes on without.
    pub(super) fn keep(
        &self,
        contract: &Contract,
        known: Vec<Option<Stored>>,
        before: &[Option<ColumnSketch>],
    ) {
        let kept = || -> Result<()> {
            let head = self.folder.join(HEAD);
            let text = serde_json::to_vec(&Remembered {
                stamp: self.stamp.clone(),
                contract: contract.clone(),
                known,
                before: before.to_vec(),
            })?;
            let io = |error| Error::io(&head, error);
            let mut file = head.begin_whole().map_err(io)?;
            file.write_all(&text).map_err(io)?;
            file.finish().map_err(io)
        };
        if let Err(error) = kept() {
            warn!(%error, "what was learned is not kept for another attempt");
        }
    }
}
