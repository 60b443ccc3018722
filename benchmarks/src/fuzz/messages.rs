//! Messages to Flight SQL: tickets and commands, as a client that has logged in sends them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    Any, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, Ticket};
use futures::TryStreamExt;
use prost::Message;
use sql::{Engine, EngineOptions, FlightOptions, FlightServer};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

const LOGIN: (&str, &str) = ("fuzz", "the password of who sends it");

/// Longest time of a statement that a message brings.
const STATEMENT: Duration = Duration::from_secs(2);

/// Memory of the statements, in bytes.
const MEMORY: usize = 128 << 20;

/// Memory of the largest message, in bytes.
const MESSAGE: usize = 4 << 20;

/// A server, and a client that has logged in.
pub(super) struct Messages {
    client: FlightServiceClient<Channel>,
    authorization: String,
}

impl Messages {
    /// Starts a server in a folder, which ends with the runtime.
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let engine = Engine::open(EngineOptions {
            memory_limit: MEMORY,
            threads: 1,
            ..EngineOptions::new(folder.to_owned(), folder.to_owned())
        })
        .await?;
        let (user, password) = LOGIN;
        engine.users().add(user, user, Some(password)).await?;
        let options = FlightOptions {
            address: ([127, 0, 0, 1], 0).into(),
            statement_timeout: STATEMENT,
            max_message_bytes: MESSAGE,
            ..FlightOptions::default()
        };
        let server = FlightServer::bind(engine, options).await?;
        let url = format!("http://{}", server.address());
        tokio::spawn(server.serve(std::future::pending()));
        let channel = Endpoint::from_shared(url)?.connect().await?;
        let mut client = FlightSqlServiceClient::new(channel.clone());
        client.handshake(user, password).await?;
        let token = client.token().context("the handshake gave no token")?;
        Ok(Self {
            client: FlightServiceClient::new(channel),
            authorization: format!("Bearer {token}"),
        })
    }

    /// Sends the same bytes as a ticket, a command and the body of an action; gives whether any of them was taken.
    ///
    /// # Errors
    /// The server no longer answers, or calls the message an error of its own.
    pub(super) async fn send(&self, input: &[u8]) -> Result<bool> {
        let mut client = self.client.clone();
        let bytes = input.to_vec();
        let ticket = Ticket::new(bytes.clone());
        let rows = async {
            let stream = client.do_get(self.request(ticket)?).await?.into_inner();
            stream.try_for_each(|_| async { Ok(()) }).await
        };
        let rows = taken(rows.await)?;
        let command = FlightDescriptor::new_cmd(bytes.clone());
        let told = client.get_flight_info(self.request(command.clone())?).await;
        let told = taken(told)?;
        let schema = taken(client.get_schema(self.request(command)?).await)?;
        let mut acted = false;
        for name in ["CreatePreparedStatement", "SetSessionOptions"] {
            let action = Action::new(name, bytes.clone());
            let done = async {
                let stream = client.do_action(self.request(action)?).await?.into_inner();
                stream.try_for_each(|_| async { Ok(()) }).await
            };
            acted |= taken(done.await)?;
        }
        Ok(rows || told || schema || acted)
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        let value = self.authorization.parse();
        let value = value.map_err(|_| Status::internal("the token is no header"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// Whether a call was understood, also where it asks for what is not there. That it is refused is well; that the server
/// breaks, or has gone, is not.
fn taken<T>(result: Result<T, Status>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(true),
        Err(status) if matches!(status.code(), Code::Internal | Code::Unavailable) => {
            Err(status).context("the server broke by a message")
        }
        Err(_) => Ok(false),
    }
}

/// Well-formed messages.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let statement = |query: &str| CommandStatementQuery {
        query: query.to_owned(),
        transaction_id: None,
    };
    let messages: [Any; 8] = [
        statement("SELECT 1 AS a, 'x' AS b").as_any(),
        statement("SELECT * FROM (VALUES (1), (2)) AS t (a) ORDER BY a").as_any(),
        CommandGetTables {
            table_name_filter_pattern: Some("%a_".to_owned()),
            table_types: vec!["TABLE".to_owned()],
            include_schema: true,
            ..CommandGetTables::default()
        }
        .as_any(),
        CommandGetDbSchemas {
            catalog: None,
            db_schema_filter_pattern: Some("main".to_owned()),
        }
        .as_any(),
        CommandGetSqlInfo { info: vec![0, 500] }.as_any(),
        CommandGetXdbcTypeInfo { data_type: Some(4) }.as_any(),
        CommandPreparedStatementQuery {
            prepared_statement_handle: vec![7; 16].into(),
        }
        .as_any(),
        TicketStatementQuery {
            statement_handle: vec![7; 16].into(),
        }
        .as_any(),
    ];
    messages.iter().map(Message::encode_to_vec).collect()
}
