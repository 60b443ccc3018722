//! The calls of the SQL protocol, each handed on to what knows about it.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, CancelStatus, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, IpcMessage, PutResult, SchemaAsIpc, Ticket,
};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use prost::bytes::Bytes;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::Endpoints;
use super::actions;
use super::client::Client;
use super::connections::Peer;
use super::entrance::Entrance;
use super::ingest::{Sent, SentLimits, ingest, no_transactions};
use super::metadata::answer;
use super::parameters::values;
use super::prepared::{Prepared, PreparedStatements};
use super::run::{Run, Values, apart, parse, served};
use super::status::status;
use super::tickets::{Content, Handle, Parts};
use super::wire::{Messages, Rows};
use super::work::Work;
use crate::error::Error;
use crate::names::PathNames;
use crate::statement::Statement;

/// Time that a client has to send its half of a handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// The calls of the SQL protocol.
pub(super) struct Service {
    pub(super) entrance: Entrance,
    pub(super) endpoints: Endpoints,
    /// Most bytes of the values that one client binds at a time.
    pub(super) most_bound: usize,
    /// How much a client sends in one call.
    pub(super) sent: SentLimits,
    /// Names of the service's folders in what clients read.
    pub(super) names: Arc<PathNames>,
    /// The runtime on which statements are parsed, planned and run.
    pub(super) _work: Work,
}

impl Service {
    /// The session that a call belongs to, which the gate has found or opened.
    async fn client(&self, headers: &MetadataMap) -> Result<Arc<Client>, Status> {
        self.entrance.known(headers)
    }

    /// Tells where rows are fetched. A statement that changes something runs now: clients that know
    /// no better ask for its rows, of which there are none.
    async fn execute(&self, client: &Client, run: Run) -> Result<FlightInfo, Status> {
        let run = Arc::new(run);
        let schema = Arc::clone(run.schema());
        if !run.is_query() {
            let written = run.write().await?;
            let nothing = Content::Nothing(Arc::clone(&schema));
            return client.info(&schema, vec![nothing], written);
        }
        let several = match self.endpoints {
            Endpoints::Several(number) if !has_order(run.planned().statement()) => number.get(),
            _ => 1,
        };
        let (schema, parts) = match (run.is_settled(), several) {
            (true, 1) => return client.info(&schema, vec![Content::Query(run)], None),
            (true, _) => (schema, Parts::of(run)),
            (false, _) => {
                // Planned anew with the values, it is started here: its rows wait for their reader.
                let rows = Arc::clone(&run).rows().await?;
                (Arc::clone(&rows.schema), Parts::running(run, rows))
            }
        };
        let parts = std::iter::repeat_n(Content::Part(parts), several).collect();
        client.info(&schema, parts, None)
    }

    /// What a ticket is good for.
    async fn fetch(&self, client: &Client, content: Content) -> Result<Rows, Status> {
        match content {
            Content::Metadata(question) => answer(&client.session, question).await.map(Rows::ready),
            Content::Query(run) => run.rows().await,
            Content::Part(parts) => parts.fetch().await,
            Content::Nothing(schema) => Ok(Rows::none(schema)),
            Content::Polled(_) => Err(Status::failed_precondition(
                "the statement is polled for: its rows have tickets of their own",
            )),
        }
    }

    /// A statement as a client wrote it.
    async fn statement(
        &self,
        client: &Client,
        sql: &str,
        transaction: Option<&Bytes>,
    ) -> Result<Statement, Status> {
        match transaction {
            Some(_) => Err(no_transactions()),
            None => parse(&client.session, sql).await,
        }
    }

    /// All values that a client sends, if there are not too many to be kept.
    async fn sent_values(
        &self,
        prepared: &Prepared,
        sent: PeekableFlightDataStream,
    ) -> Result<Option<Vec<Values>>, Status> {
        let mut batches = Sent::new(sent, self.sent);
        let (mut all, mut size) = (Vec::new(), 0);
        while let Some(batch) = batches.try_next().await? {
            size += batch.get_array_memory_size();
            if size > self.most_bound {
                return Err(Status::resource_exhausted(format!(
                    "values of more than {} bytes are bound to a query: send them as a table",
                    self.most_bound
                )));
            }
            all.extend(values(&batch, prepared.parameters())?);
        }
        Ok(batches.schema().is_some().then_some(all))
    }

    /// Runs a statement once for each row of values, as they come in.
    async fn write_each(
        &self,
        client: &Client,
        prepared: &Prepared,
        sent: PeekableFlightDataStream,
    ) -> Result<u64, Status> {
        let mut batches = Sent::new(sent, self.sent);
        let mut written = 0;
        while let Some(batch) = batches.try_next().await? {
            let values = values(&batch, prepared.parameters())?;
            if values.is_empty() {
                continue;
            }
            let run = Arc::new(prepared.run(&client.session, values).await?);
            written += run.write().await?.unwrap_or(0);
        }
        if batches.schema().is_none() {
            // No values were sent along: those that were bound before count.
            let run = Arc::new(prepared.run(&client.session, prepared.bound()?).await?);
            written = run.write().await?.unwrap_or(0);
        }
        Ok(written)
    }
}

/// Whether a statement may care for the order of its rows. Reading too much into it costs no more
/// than the other endpoints.
fn has_order(statement: &Statement) -> bool {
    statement.sql().to_ascii_lowercase().contains("order")
}

fn number(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn message(schema: Option<&SchemaRef>) -> Result<Bytes, Status> {
    // A statement without rows has no schema: by this JDBC tells updates from queries.
    let Some(schema) = schema else {
        return Ok(Bytes::new());
    };
    let options = Default::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options)
        .try_into()
        .map_err(|error: arrow::error::ArrowError| status(error.into()))?;
    Ok(bytes)
}

fn described(
    handle: Handle,
    prepared: &Prepared,
) -> Result<ActionCreatePreparedStatementResult, Status> {
    let parameters = prepared.parameters();
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: Bytes::copy_from_slice(&handle),
        dataset_schema: message(prepared.rows())?,
        parameter_schema: message((!parameters.fields().is_empty()).then_some(parameters))?,
    })
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Service;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Messages<HandshakeResponse>>, Status> {
        let peer = Peer::of(&request);
        let (headers, _, mut sent) = request.into_parts();
        let payload = async {
            let first = tokio::time::timeout(HANDSHAKE_PATIENCE, sent.message())
                .await
                .map_err(|_| Status::deadline_exceeded("the handshake was not finished"))??;
            Ok(first.unwrap_or_default().payload.to_vec())
        };
        let token = self.entrance.enter(&headers, &peer, payload).await?;
        let header = format!("Bearer {token}")
            .parse()
            .map_err(|_| status(Error::Bug("a token that is no header")))?;
        let reply = HandshakeResponse {
            protocol_version: 0,
            payload: token.into_bytes().into(),
        };
        let stream: Messages<HandshakeResponse> = futures::stream::iter([Ok(reply)]).boxed();
        let mut response = Response::new(stream);
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        let statement = self
            .statement(&client, &query.query, query.transaction_id.as_ref())
            .await?;
        let run = Run::plan(statement, Vec::new()).await?;
        let info = self.execute(&client, run).await?;
        Ok(Response::new(info.with_descriptor(request.into_inner())))
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        let prepared = client.prepared.get(&query.prepared_statement_handle)?;
        let run = prepared.run(&client.session, prepared.bound()?).await?;
        let info = self.execute(&client, run).await?;
        Ok(Response::new(info.with_descriptor(request.into_inner())))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Result<Response<Messages<FlightData>>, Status> {
        let client = self.client(request.metadata()).await?;
        let call = client.call();
        let content = client.tickets.fetch(&ticket.statement_handle)?;
        let rows = self.fetch(&client, content).await?;
        // The session is in use for as long as the rows are.
        let messages = rows.encode().map(move |message| {
            let _ = &call;
            message
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn do_put_error_callback(
        &self,
        _request: Request<PeekableFlightDataStream>,
        error: DoPutError,
    ) -> Result<Response<Messages<PutResult>>, Status> {
        Err(Status::invalid_argument(error.to_string()))
    }

    async fn do_put_statement_update(
        &self,
        update: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        let statement = self
            .statement(&client, &update.query, update.transaction_id.as_ref())
            .await?;
        let run = Arc::new(Run::plan(statement, Vec::new()).await?);
        Ok(number(run.write().await?.unwrap_or(0)))
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        let place = served(&client.session)?.usage.statement().map_err(status)?;
        let sent = (request.into_inner(), self.sent);
        let rows = ingest(&client.session, command, sent).await?;
        let session = client.session.clone();
        let writing = async move {
            let _place = place;
            session.ingest(rows).await
        };
        let written = apart(&client.session, &Arc::default(), writing).await?;
        Ok(number(written))
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        let prepared = client.prepared.get(&query.prepared_statement_handle)?;
        let sent = self.sent_values(&prepared, request.into_inner()).await?;
        prepared.bind(sent.unwrap_or_default());
        Ok(DoPutPreparedStatementResult {
            prepared_statement_handle: Some(query.prepared_statement_handle),
        })
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        let prepared = client.prepared.get(&query.prepared_statement_handle)?;
        let written = self
            .write_each(&client, &prepared, request.into_inner())
            .await?;
        Ok(number(written))
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        if query.transaction_id.is_some() {
            return Err(no_transactions());
        }
        let prepared = Prepared::new(&client.session, &query.query).await?;
        let statements: &PreparedStatements = &client.prepared;
        let (handle, prepared) = statements.insert(prepared)?;
        described(handle, &prepared)
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        client.prepared.remove(&query.prepared_statement_handle);
        Ok(())
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let client = self.client(request.metadata()).await?;
        let info = FlightInfo::decode(query.info)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let cancelled = actions::cancel(&client, &info)?;
        // The two enumerations number their values alike.
        let result = match cancelled {
            CancelStatus::Cancelled => CancelStatus::Cancelled as i32,
            _ => CancelStatus::NotCancellable as i32,
        };
        Ok(ActionCancelQueryResult { result })
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Messages<arrow_flight::Result>>, Status> {
        let client = self.client(request.metadata()).await?;
        let _call = client.call();
        let sessions = &self.entrance.sessions;
        let body = actions::act(&client, sessions, request.get_ref()).await?;
        let result = arrow_flight::Result { body: body.into() };
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(result)]))))
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        Some(actions::list().into_iter().map(Ok).collect())
    }

    /// What the server can do is known from the start.
    // Written as `async-trait` writes it, without the future that would borrow the service: see the calls of the gate.
    fn register_sql_info<'service, 'info, 'call>(
        &'service self,
        _id: i32,
        _info: &'info SqlInfo,
    ) -> BoxFuture<'call, ()>
    where
        'service: 'call,
        'info: 'call,
        Self: 'call,
    {
        Box::pin(std::future::ready(()))
    }
}
