//! Prepared statements, and the values that are bound to their parameters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;
use tonic::Status;

use super::parameters::advertised;
use super::poll::Work;
use super::run::{Run, Values, parse, plan, served};
use super::status::status;
use super::tickets::{Handle, handle};
use super::wire::wire_schema;
use crate::session::Session;
use crate::statement::Planned;
use crate::usage::Share;

/// Most prepared statements of a session.
const MOST: usize = 1024;

/// The prepared statements of a session.
#[derive(Default)]
pub(super) struct PreparedStatements(Mutex<HashMap<Handle, Arc<Prepared>>>);

/// A prepared statement.
pub(super) struct Prepared {
    sql: String,
    /// The plan that told the types; the first execution uses it.
    first: Mutex<Option<Planned>>,
    /// Schema of its rows; none when it changes something.
    rows: Option<SchemaRef>,
    parameters: SchemaRef,
    bound: Mutex<Vec<Values>>,
    /// Its place among those of the user, and that of its text.
    _place: (Share, Share),
}

impl PreparedStatements {
    /// Keeps a statement and gives its handle.
    pub(super) fn insert(&self, prepared: Prepared) -> Result<(Handle, Arc<Prepared>), Status> {
        let mut all = self.locked();
        if all.len() >= MOST {
            return Err(Status::resource_exhausted(format!(
                "the session has {MOST} prepared statements, as many as it may; close some"
            )));
        }
        let (handle, prepared) = (handle(), Arc::new(prepared));
        all.insert(handle, Arc::clone(&prepared));
        Ok((handle, prepared))
    }

    /// The statement of a handle.
    pub(super) fn get(&self, handle: &[u8]) -> Result<Arc<Prepared>, Status> {
        Handle::try_from(handle)
            .ok()
            .and_then(|handle| self.locked().get(&handle).cloned())
            .ok_or_else(|| Status::not_found("this session has no such prepared statement"))
    }

    /// Forgets a statement.
    pub(super) fn remove(&self, handle: &[u8]) {
        if let Ok(handle) = Handle::try_from(handle) {
            self.locked().remove(&handle);
        }
    }

    /// Forgets all of them.
    pub(super) fn close(&self) {
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Handle, Arc<Prepared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prepared {
    /// Plans a statement, to be run later.
    pub(super) async fn new(session: &Session, sql: &str) -> Result<Self, Status> {
        let place = served(session)?.usage.prepared(sql.len());
        let place = place.map_err(status)?;
        let planned = plan(parse(session, sql).await?).await?;
        Ok(Self {
            sql: sql.to_owned(),
            rows: planned
                .statement()
                .is_query()
                .then(|| wire_schema(planned.schema())),
            parameters: advertised(&planned.parameters().map_err(status)?),
            first: Mutex::new(Some(planned)),
            bound: Mutex::default(),
            _place: place,
        })
    }

    /// Schema of its rows; none when it changes something.
    pub(super) fn rows(&self) -> Option<&SchemaRef> {
        self.rows.as_ref()
    }

    /// Names and types of its parameters.
    pub(super) fn parameters(&self) -> &SchemaRef {
        &self.parameters
    }

    /// Binds lists of values; the next executions use each of them, one after the other.
    pub(super) fn bind(&self, values: Vec<Values>) {
        *self.bound.lock().unwrap_or_else(PoisonError::into_inner) = values;
    }

    /// The values that are bound.
    pub(super) fn bound(&self) -> Result<Vec<Values>, Status> {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = self.parameters.fields().len();
        if bound.is_empty() && missing > 0 {
            return Err(Status::invalid_argument(format!(
                "the statement has parameters ({missing}), and no values are bound to them"
            )));
        }
        Ok(bound.clone())
    }

    /// One more execution. It can be cancelled without ending the others.
    pub(super) async fn run(&self, session: &Session, values: Vec<Values>) -> Result<Run, Status> {
        match self.work(session).await? {
            Work::Planned(planned) => Ok(Run::of(*planned, values)),
            Work::Statement(statement) => Run::plan(statement, values).await,
        }
    }

    /// What one more execution runs.
    pub(super) async fn work(&self, session: &Session) -> Result<Work, Status> {
        let first = {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.take()
        };
        Ok(match first {
            Some(planned) => Work::Planned(Box::new(planned)),
            None => Work::Statement(parse(session, &self.sql).await?),
        })
    }
}
