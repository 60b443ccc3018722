//! Tickets, handles and messages that are not a client's own, or nobody's: no panic, no hang, no
//! other tenant's data.

use std::time::Duration;

use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any,
    CommandPreparedStatementQuery, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    CancelFlightInfoRequest, FlightData, FlightDescriptor, FlightInfo, RenewFlightEndpointRequest,
    Ticket,
};
use prost::Message;
use prost::bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tonic::{Code, Request};

use super::server::{ADA, BOB, Client, act, code, fetch, query, refused, serve, text};

fn ticket_of(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

/// Tickets of other sessions, of another tenant or of the same user, are unknown.
#[tokio::test(flavor = "multi_thread")]
async fn tickets_of_others_are_unknown() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let info = ada
        .execute("SELECT 'secret' AS x".to_owned(), None)
        .await
        .unwrap();
    let mut others = [served.client(BOB).await, served.client(ADA).await];
    for other in &mut others {
        assert_eq!(code(fetch(other, &info).await), Code::NotFound);
        let cancel = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
        assert_eq!(
            code(act(other, "CancelFlightInfo", cancel).await),
            Code::NotFound
        );
        let renew = RenewFlightEndpointRequest::new(info.endpoint[0].clone()).encode_to_vec();
        assert_eq!(
            code(act(other, "RenewFlightEndpoint", renew).await),
            Code::NotFound
        );
    }
    let mut stranger = served.stranger().await;
    assert_eq!(
        code(fetch(&mut stranger, &info).await),
        Code::Unauthenticated
    );
    assert!(text(&fetch(&mut ada, &info).await.unwrap()).contains("secret"));

    // A handle of a prepared statement is as private.
    let create = ActionCreatePreparedStatementRequest {
        query: "SELECT 'secret' AS x".to_owned(),
        transaction_id: None,
    };
    let create = create.as_any().encode_to_vec();
    let made = act(&mut ada, "CreatePreparedStatement", create)
        .await
        .unwrap();
    let made: ActionCreatePreparedStatementResult =
        Any::decode(&*made).unwrap().unpack().unwrap().unwrap();
    let query = CommandPreparedStatementQuery {
        prepared_statement_handle: made.prepared_statement_handle,
    };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    for other in &mut others {
        let mut request = Request::new(descriptor.clone());
        let token = format!("Bearer {}", other.token().unwrap());
        request
            .metadata_mut()
            .insert("authorization", token.parse().unwrap());
        let refused = other
            .inner_mut()
            .get_flight_info(request)
            .await
            .err()
            .unwrap();
        assert_eq!(refused.code(), Code::NotFound);
    }
    served.stop().await;
}

/// A ticket ends with its time, unless it is renewed.
#[tokio::test(flavor = "multi_thread")]
async fn tickets_expire() {
    let served = serve(|options| options.ticket_lifetime = Duration::from_millis(800)).await;
    let mut ada = served.client(ADA).await;
    let info = ada.execute("SELECT 1 AS x".to_owned(), None).await.unwrap();
    assert!(info.endpoint[0].expiration_time.is_some());
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let renew = RenewFlightEndpointRequest::new(info.endpoint[0].clone()).encode_to_vec();
        act(&mut ada, "RenewFlightEndpoint", renew).await.unwrap();
    }
    fetch(&mut ada, &info).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(code(fetch(&mut ada, &info).await), Code::NotFound);
    served.stop().await;
}

async fn harmless(client: &mut Client, bytes: Vec<u8>) {
    let refusals = [Code::InvalidArgument, Code::NotFound, Code::Unimplemented];
    let got = tokio::time::timeout(Duration::from_secs(10), async {
        let get = match client.do_get(Ticket::new(bytes.clone())).await {
            Ok(_) => panic!("{bytes:?} was a ticket"),
            Err(error) => refused::<()>(Err(error)),
        };
        let descriptor = FlightDescriptor::new_cmd(bytes.clone());
        let mut request = Request::new(descriptor.clone());
        let token = format!("Bearer {}", client.token().unwrap());
        request
            .metadata_mut()
            .insert("authorization", token.parse().unwrap());
        let poll = client.inner_mut().poll_flight_info(request).await.err();
        let put = FlightData::new()
            .with_descriptor(descriptor)
            .with_data_header(bytes.clone())
            .with_data_body(bytes.clone());
        let put = match client.do_put(futures::stream::iter([put])).await {
            Ok(mut results) => results.message().await.err(),
            Err(error) => Some(refused::<()>(Err(error))),
        };
        [Some(get), poll, put]
    })
    .await
    .expect("a call hangs");
    for status in got.into_iter().flatten() {
        assert!(refusals.contains(&status.code()), "{bytes:?}: {status:?}");
    }
}

/// Random bytes, and a ticket that is cut or changed, are refused; the server goes on.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let info = ada
        .execute("SELECT 'secret' AS x".to_owned(), None)
        .await
        .unwrap();
    let ticket = ticket_of(&info).ticket;
    let mut bob = served.client(BOB).await;
    for end in 0..ticket.len() {
        harmless(&mut ada, ticket[..end].to_vec()).await;
    }
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..200 {
        let mut changed = ticket.to_vec();
        let place = random.random_range(0..changed.len());
        changed[place] ^= random.random_range(1..=255_u8);
        harmless(&mut bob, changed).await;
        let length = random.random_range(0..200);
        harmless(&mut bob, (0..length).map(|_| random.random()).collect()).await;
        let handle: Vec<u8> = (0..random.random_range(0..64))
            .map(|_| random.random())
            .collect();
        let handle = Bytes::from(handle);
        let guessed = [
            TicketStatementQuery {
                statement_handle: handle.clone(),
            }
            .as_any(),
            CommandPreparedStatementQuery {
                prepared_statement_handle: handle.clone(),
            }
            .as_any(),
            Any {
                type_url: TicketStatementQuery::type_url().to_owned(),
                value: handle,
            },
        ];
        for any in guessed {
            harmless(&mut bob, any.encode_to_vec()).await;
        }
    }
    for name in [
        "CancelFlightInfo",
        "SetSessionOptions",
        "RenewFlightEndpoint",
        "CancelQuery",
        "",
        "x",
    ] {
        let body: Vec<u8> = (0..50).map(|_| random.random()).collect();
        let status = refused(act(&mut bob, name, body).await);
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status}");
    }
    assert!(text(&query(&mut bob, "SELECT 2 AS x").await.unwrap()).contains('2'));
    assert!(text(&fetch(&mut ada, &info).await.unwrap()).contains("secret"));
    served.stop().await;
}
