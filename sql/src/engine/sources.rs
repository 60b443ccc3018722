//! Sources that were opened: their index is kept while their files stay as they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use planner::run::{open_source, source_stamp};
use planner::source::Source;
use planner::spec::SourceSpec;
use planner::storage::{LocationPolicy, Place};

use super::{Access, EngineOptions};
use crate::error::Result;

/// Indexes that are kept.
const KEPT: usize = 64;

/// A source, and the folder of what was decoded of it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) source: Arc<Source>,
    // Goes with the source.
    _staging: tempfile::TempDir,
}

impl Opened {
    /// Returns the source with these of its columns.
    pub(crate) fn select(&self, columns: &[usize]) -> Arc<Source> {
        let all = columns.iter().copied().eq(0..self.source.columns.len());
        if all {
            return Arc::clone(&self.source);
        }
        Arc::new(self.source.select(columns))
    }
}

/// The sources that a process has opened.
#[derive(Debug, Default)]
pub(crate) struct OpenedSources(Mutex<HashMap<String, (String, Arc<Opened>)>>);

impl OpenedSources {
    /// Opens the source of a spec, or returns the one opened before if its files are the same. Blocks.
    ///
    /// # Errors
    /// When the source cannot be read, or names what it may not.
    pub(crate) fn open(
        &self,
        spec: &SourceSpec,
        locations: &LocationPolicy,
        options: &EngineOptions,
    ) -> Result<Arc<Opened>> {
        let spec = &bounded(spec, options);
        // Equal names are other files to another tenant.
        let key = serde_json::to_string(&(locations.fingerprint(), spec))?;
        let stamp = source_stamp(spec, locations)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((of, opened)), Some(now)) = (known.get(&key), &stamp)
            && of == now
        {
            return Ok(Arc::clone(opened));
        }
        drop(known);
        let staging = options.staging_folder()?;
        let source = open_source(
            spec,
            options.rows_per_split,
            locations,
            &Place::own(staging.path()),
        )?;
        let opened = Arc::new(Opened {
            source,
            _staging: staging,
        });
        if let Some(stamp) = stamp {
            known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(key, (stamp, Arc::clone(&opened)));
        }
        Ok(opened)
    }
}

/// The spec of a source with the bounds for strangers, unless whoever writes statements is who runs the process.
fn bounded(spec: &SourceSpec, options: &EngineOptions) -> SourceSpec {
    let mut spec = spec.clone();
    spec.options.strict |= !matches!(options.access, Access::All);
    spec
}
