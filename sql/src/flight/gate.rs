//! What stands before the SQL protocol: calls that it leaves out, and messages that nobody can read.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Any, Command, TicketStatementQuery};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use futures::{FutureExt, Stream, StreamExt};
use prost::Message;
use tonic::{Code, Request, Response, Status, Streaming};

use super::calls::{check_action, check_command};
use super::client::Client;
use super::connections::Peer;
use super::ingest::no_transactions;
use super::metadata::answer_schema;
use super::poll::{Polled, Work};
use super::run::{Run, parse, until};
use super::service::Service;
use super::status::{status, with_names};
use super::tickets::Content;
use super::wire::Messages;
use crate::error::Error;
use crate::names::PathNames;

/// The Flight service: the SQL protocol behind checks, and the calls that it leaves out.
#[derive(Clone)]
pub(super) struct Gate(pub(super) Arc<Service>);

impl Gate {
    /// The session of whoever calls.
    fn client<T>(
        &self,
        request: &Request<T>,
    ) -> impl Future<Output = Result<Arc<Client>, Status>> + Send + use<T> {
        // What a client sends along need not be shared between threads.
        let (peer, headers) = (Peer::of(request), request.metadata().clone());
        let service = Arc::clone(&self.0);
        async move { service.entrance.client(&headers, &peer).await }
    }

    /// The result of a call as it leaves the service: no panic, and no path of the server.
    async fn answer<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        guarded(call)
            .await
            .map_err(|status| with_names(status, &self.0.names))
    }

    /// How far the statement of a descriptor is; starts it when the descriptor is a command.
    async fn poll(
        &self,
        client: &Arc<Client>,
        request: Request<FlightDescriptor>,
    ) -> Result<PollInfo, Status> {
        let _call = client.call();
        let session = &client.session;
        let polled = match command(&request.get_ref().cmd)? {
            Command::TicketStatementQuery(TicketStatementQuery { statement_handle }) => {
                client.tickets.polled(&statement_handle)?
            }
            Command::CommandStatementQuery(query) => {
                if query.transaction_id.is_some() {
                    return Err(no_transactions());
                }
                let statement = parse(session, &query.query).await?;
                start(
                    client,
                    Polled::start(client, Work::Statement(statement), Vec::new())?,
                )?
            }
            Command::CommandPreparedStatementQuery(query) => {
                let prepared = client.prepared.get(&query.prepared_statement_handle)?;
                let values = prepared.bound()?;
                let work = prepared.work(session).await?;
                start(client, Polled::start(client, work, values)?)?
            }
            // What takes no time is done at once.
            question => {
                let info = ask(client, question)?.with_descriptor(request.into_inner());
                return PollInfo::new()
                    .with_info(info)
                    .try_with_progress(1.0)
                    .map_err(|error| status(error.into()));
            }
        };
        polled.info(client).await
    }

    /// Schema of what a command gives.
    async fn schema(&self, request: Request<FlightDescriptor>) -> Result<SchemaResult, Status> {
        let client = self.client(&request).await?;
        let _call = client.call();
        let schema = match command(&request.get_ref().cmd)? {
            Command::CommandStatementQuery(query) => {
                let statement = parse(&client.session, &query.query).await?;
                Arc::clone(Run::plan(statement, Vec::new()).await?.schema())
            }
            Command::CommandPreparedStatementQuery(query) => {
                let prepared = client.prepared.get(&query.prepared_statement_handle)?;
                prepared
                    .rows()
                    .cloned()
                    .unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty()))
            }
            question => answer_schema(&question)?,
        };
        SchemaAsIpc::new(&schema, &Default::default())
            .try_into()
            .map_err(|error: arrow::error::ArrowError| status(error.into()))
    }

    /// Opens a session.
    async fn log_in(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Messages<HandshakeResponse>>, Status> {
        self.0.handshake(request).await
    }

    /// Where the rows of a statement, or the answer to a question about the catalog, are fetched.
    async fn info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let client = self.client(&request).await?;
        match command(&request.get_ref().cmd)? {
            Command::CommandStatementQuery(_) | Command::CommandPreparedStatementQuery(_) => {
                client.until_closed(self.0.get_flight_info(request)).await
            }
            question => {
                let info = ask(&client, question)?;
                Ok(Response::new(info.with_descriptor(request.into_inner())))
            }
        }
    }

    /// The rows that a ticket stands for.
    async fn get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Messages<FlightData>>, Status> {
        let client = self.client(&request).await?;
        command(&request.get_ref().ticket)?;
        let response = client.until_closed(self.0.do_get(request)).await?;
        let ended = client.closed();
        let names = Arc::clone(&self.0.names);
        Ok(response
            .map(|stream| guarded_stream(until(stream, ended), names) as Messages<FlightData>))
    }

    /// Takes rows, values or a statement that changes something.
    async fn put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Messages<PutResult>>, Status> {
        let client = self.client(&request).await?;
        let put = client.until_closed(self.0.do_put(request)).await;
        put.map_err(undecoded)
    }

    /// Does what an action asks for.
    async fn act(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Messages<arrow_flight::Result>>, Status> {
        self.client(&request).await?;
        check_action(&request.get_ref().r#type)?;
        self.0.do_action(request).await.map_err(undecoded)
    }

    /// The actions that there are.
    async fn actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Messages<ActionType>>, Status> {
        self.client(&request).await?;
        self.0.list_actions(request).await
    }
}

fn start(client: &Client, polled: Arc<Polled>) -> Result<Arc<Polled>, Status> {
    polled.name(client.tickets.issue(Content::Polled(Arc::clone(&polled)))?);
    Ok(polled)
}

/// Tells where the answer to a question about the catalog is fetched.
fn ask(client: &Client, question: Command) -> Result<FlightInfo, Status> {
    let schema = answer_schema(&question)?;
    client.info(&schema, vec![Content::Metadata(question)], None)
}

/// The command in the bytes of a ticket or a descriptor; bytes that hold none are the client's mistake.
fn command(bytes: &[u8]) -> Result<Command, Status> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Status::invalid_argument(format!(
            "neither a command nor a ticket of this server: {error}"
        ))
    };
    let any = Any::decode(bytes).map_err(|error| unreadable(&error))?;
    match Command::try_from(any).map_err(|error| unreadable(&error))? {
        Command::Unknown(any) => Err(unreadable(&format!("{:?}", any.type_url))),
        command => {
            check_command(&command)?;
            Ok(command)
        }
    }
}

/// The protocol's own code calls a message that it cannot decode an internal error.
fn undecoded(error: Status) -> Status {
    match error.code() == Code::Internal && error.message().starts_with("ParseError(") {
        true => Status::invalid_argument("neither a command nor an action of this server"),
        false => error,
    }
}

/// Turns a panic into an error: what a client sends must not end more than its call.
async fn guarded<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(status(Error::Bug("a call broke off"))),
    }
}

/// The same for a stream of rows.
fn guarded_stream<T: Send + 'static>(
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
    names: Arc<PathNames>,
) -> Messages<T> {
    AssertUnwindSafe(items)
        .catch_unwind()
        .map(|item| item.unwrap_or_else(|_| Err(status(Error::Bug("a statement broke off")))))
        .map(move |item| item.map_err(|status| with_names(status, &names)))
        .boxed()
}

// The calls are thin, and name types instead of projecting them from `Self`: `async-trait` gives each call bounds on its
// lifetimes, and under such bounds the compiler takes seconds to find that what a session holds is `Send`.
#[tonic::async_trait]
impl FlightService for Gate {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoActionStream = Messages<arrow_flight::Result>;
    type ListActionsStream = Messages<ActionType>;
    type DoExchangeStream = Messages<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Messages<HandshakeResponse>>, Status> {
        self.answer(self.log_in(request)).await
    }

    /// Lists nothing: what a session may fetch it was told when it asked.
    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Messages<FlightInfo>>, Status> {
        self.answer(async {
            self.client(&request).await?;
            let none: Messages<FlightInfo> = futures::stream::empty().boxed();
            Ok(Response::new(none))
        })
        .await
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.answer(self.info(request)).await
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        self.answer(async {
            let client = self.client(&request).await?;
            let polled = client.until_closed(self.poll(&client, request)).await;
            polled.map(Response::new)
        })
        .await
    }

    async fn get_schema(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        self.answer(self.schema(request)).await.map(Response::new)
    }

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Messages<FlightData>>, Status> {
        self.answer(self.get(request)).await
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Messages<PutResult>>, Status> {
        self.answer(self.put(request)).await
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Messages<arrow_flight::Result>>, Status> {
        self.answer(self.act(request)).await
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Messages<ActionType>>, Status> {
        self.answer(self.actions(request)).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Messages<FlightData>>, Status> {
        self.answer(async move {
            self.client(&request).await?;
            Err(Status::unimplemented(
                "rows are sent with DoPut and fetched with DoGet",
            ))
        })
        .await
    }
}
