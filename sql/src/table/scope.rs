//! What the tables that one statement reads share.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::Session;
use planner::run::Progress;

/// What the tables that one statement reads share. States of the engine carry it as an extension.
pub(crate) struct Scope {
    /// How far the statement is, and whether it was cancelled.
    pub(crate) progress: Arc<Progress>,
    /// Whether the plan is shown and not run: nothing need be learned.
    pub(crate) only_explains: bool,
    /// What must last until the rows are read: files, indexes, what was learned.
    kept: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

impl Scope {
    /// Makes the scope of a statement, which holds nothing yet.
    pub(crate) fn new(progress: &Arc<Progress>, only_explains: bool) -> Arc<Self> {
        Arc::new(Self {
            progress: Arc::clone(progress),
            only_explains,
            kept: Mutex::default(),
        })
    }

    /// Returns the scope of the statement that a state was made for.
    pub(crate) fn of(state: &dyn Session) -> Option<Arc<Self>> {
        state.config().get_extension::<Self>()
    }

    /// Keeps something until the rows are read.
    pub(crate) fn keep<T: Send + Sync + 'static>(&self, thing: &Arc<T>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Arc::clone(thing) as Arc<dyn Any + Send + Sync>);
    }
}
