//! Actions beside those of the SQL protocol: cancelling, renewing, and the session.

use std::sync::Arc;

use arrow_flight::sql::{Any, TicketStatementQuery};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest,
};
use prost::Message;
use prost::bytes::Bytes;
use tonic::Status;

use super::client::Client;
use super::options::{
    self, CloseSessionResult, CloseSessionStatus, SetSessionOptionsRequest, read,
};
use super::sessions::Sessions;

const CANCEL: &str = "CancelFlightInfo";
const RENEW: &str = "RenewFlightEndpoint";
const SET_OPTIONS: &str = "SetSessionOptions";
const GET_OPTIONS: &str = "GetSessionOptions";
const CLOSE: &str = "CloseSession";

/// The actions, for clients that ask.
pub(super) fn list() -> Vec<ActionType> {
    [
        (CANCEL, "Ends a statement, by its FlightInfo."),
        (RENEW, "Lets a ticket last from now on, by its endpoint."),
        (SET_OPTIONS, "Sets options of the session."),
        (GET_OPTIONS, "Gives the options of the session."),
        (CLOSE, "Ends the session and what runs in it."),
    ]
    .into_iter()
    .map(|(name, description)| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    })
    .collect()
}

/// Does an action and gives the body of its result.
pub(super) async fn act(
    client: &Arc<Client>,
    sessions: &Sessions,
    action: &Action,
) -> Result<Vec<u8>, Status> {
    match action.r#type.as_str() {
        CANCEL => {
            let request: CancelFlightInfoRequest = read(&action.body)?;
            let status = cancel(client, &request.info.unwrap_or_default())?;
            Ok(CancelFlightInfoResult::new(status).encode_to_vec())
        }
        RENEW => {
            let request: RenewFlightEndpointRequest = read(&action.body)?;
            let endpoint = request.endpoint.unwrap_or_default();
            let ticket = endpoint.ticket.clone().unwrap_or_default().ticket;
            client.tickets.renew(&handle_of(&ticket)?)?;
            Ok(client.tickets.expiring(endpoint).encode_to_vec())
        }
        SET_OPTIONS => {
            let request: SetSessionOptionsRequest = read(&action.body)?;
            Ok(options::set(&client.session, request).await.encode_to_vec())
        }
        GET_OPTIONS => Ok(options::get(&client.session).encode_to_vec()),
        CLOSE => {
            sessions.close(client, "the session was closed");
            let status = CloseSessionStatus::Closed as i32;
            Ok(CloseSessionResult { status }.encode_to_vec())
        }
        other => Err(Status::invalid_argument(format!(
            "there is no action {other:?}"
        ))),
    }
}

/// Ends the statement behind a result, whether it runs, waits to be fetched or is polled for.
pub(super) fn cancel(client: &Client, info: &FlightInfo) -> Result<CancelStatus, Status> {
    let tickets = info
        .endpoint
        .iter()
        .filter_map(|endpoint| endpoint.ticket.as_ref());
    let named = tickets.map(|ticket| &ticket.ticket);
    // Before there is a ticket, a client that polls has a descriptor.
    let polled = info
        .flight_descriptor
        .iter()
        .map(|descriptor| &descriptor.cmd);
    let handles: Vec<Bytes> = match info.endpoint.is_empty() {
        true => polled
            .map(|bytes| handle_of(bytes))
            .collect::<Result<_, _>>()?,
        false => named
            .map(|bytes| handle_of(bytes))
            .collect::<Result<_, _>>()?,
    };
    if handles.is_empty() {
        return Err(Status::invalid_argument("there is no ticket to cancel by"));
    }
    let mut status = CancelStatus::NotCancellable;
    for handle in handles {
        if client.tickets.cancel(&handle)? {
            status = CancelStatus::Cancelled;
        }
    }
    Ok(status)
}

/// The handle in the bytes of a ticket.
pub(super) fn handle_of(ticket: &[u8]) -> Result<Bytes, Status> {
    Any::decode(ticket)
        .ok()
        .and_then(|any| any.unpack::<TicketStatementQuery>().ok().flatten())
        .map(|query| query.statement_handle)
        .ok_or_else(|| Status::invalid_argument("this is not a ticket of this server"))
}
