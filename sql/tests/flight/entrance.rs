//! How clients come in, and how their sessions end.

use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{BasicAuth, HandshakeRequest};
use prost::Message;
use sql::Tls;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use super::server::{ADA, BOB, act, code, query, serve, text};

const ONE: &str = "+---+\n| x |\n+---+\n| 1 |\n+---+";

/// A handshake gives a token that opens a session; without one, or with a wrong one, nothing opens.
#[tokio::test(flavor = "multi_thread")]
async fn handshakes_open_sessions() {
    let served = serve(|_| {}).await;
    let mut client = served.client(ADA).await;
    assert_eq!(
        text(&query(&mut client, "SELECT 1 AS x").await.unwrap()),
        ONE
    );

    let mut stranger = served.stranger().await;
    assert_eq!(
        code(query(&mut stranger, "SELECT 1").await),
        Code::Unauthenticated
    );
    for (user, password) in [
        (ADA.0, "guess"),
        ("nobody", ADA.1),
        (ADA.0, BOB.1),
        ("", ""),
    ] {
        let refused = stranger
            .handshake(user, password)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("the user name or the password is wrong"),
            "{refused}"
        );
    }
    let token = client.token().unwrap().clone();
    for token in [&token[..token.len() - 1], "", "dst_", "x", "dsk_1_2"] {
        let mut other = served.stranger().await;
        other.set_header("authorization", format!("Bearer {token}"));
        assert_eq!(
            code(query(&mut other, "SELECT 1").await),
            Code::Unauthenticated,
            "{token}"
        );
    }
    served.stop().await;
}

/// What older clients send in place of a header is read too.
#[tokio::test(flavor = "multi_thread")]
async fn handshakes_with_a_payload() {
    let served = serve(|_| {}).await;
    let mut client = FlightServiceClient::new(served.channel().await);
    for (password, right) in [(ADA.1, true), ("guess", false)] {
        let payload = BasicAuth {
            username: ADA.0.to_owned(),
            password: password.to_owned(),
        };
        let request = HandshakeRequest {
            protocol_version: 0,
            payload: payload.encode_to_vec().into(),
        };
        let reply = client.handshake(futures::stream::iter([request])).await;
        assert_eq!(reply.is_ok(), right);
    }
    let silent = client.handshake(futures::stream::empty()).await;
    assert_eq!(silent.err().unwrap().code(), Code::Unauthenticated);
    served.stop().await;
}

/// A key, or a user and a password, may come with every call.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_may_come_with_each_call() {
    let served = serve(|_| {}).await;
    let key = served.engine.users().add_key(ADA.0, None).await.unwrap();
    let basic = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", ADA.0, ADA.1))
    };
    for header in [format!("Bearer {key}"), format!("Basic {basic}")] {
        let mut client = served.stranger().await;
        client.set_header("authorization", header);
        for _ in 0..3 {
            assert_eq!(
                text(&query(&mut client, "SELECT 1 AS x").await.unwrap()),
                ONE
            );
        }
    }
    for header in ["Basic !!!", "Basic YQ==", "Digest x", "Bearer", ""] {
        let mut client = served.stranger().await;
        client.set_header("authorization", header);
        assert_eq!(
            code(query(&mut client, "SELECT 1").await),
            Code::Unauthenticated,
            "{header}"
        );
    }
    served.stop().await;
}

/// A token ends after its lifetime, a session when nobody uses it, or when its client closes it.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_end() {
    let served = serve(|options| options.token_lifetime = Duration::from_millis(700)).await;
    let mut client = served.client(ADA).await;
    query(&mut client, "SELECT 1").await.unwrap();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(
        code(query(&mut client, "SELECT 1").await),
        Code::Unauthenticated
    );
    served.stop().await;

    let served = serve(|options| options.session_idle = Duration::from_millis(900)).await;
    let mut client = served.client(ADA).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        query(&mut client, "SELECT 1").await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(
        code(query(&mut client, "SELECT 1").await),
        Code::Unauthenticated
    );

    let mut client = served.client(ADA).await;
    act(&mut client, "CloseSession", Vec::new()).await.unwrap();
    assert_eq!(
        code(query(&mut client, "SELECT 1").await),
        Code::Unauthenticated
    );
    served.stop().await;
}

/// There are no more sessions than the option says.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_bounded() {
    let served = serve(|options| options.max_sessions = 2).await;
    let _first = served.client(ADA).await;
    let mut second = served.client(BOB).await;
    let mut third = served.stranger().await;
    let refused = third.handshake(ADA.0, ADA.1).await.unwrap_err().to_string();
    assert!(refused.contains("as many as may be"), "{refused}");
    act(&mut second, "CloseSession", Vec::new()).await.unwrap();
    third.handshake(ADA.0, ADA.1).await.unwrap();
    served.stop().await;
}

/// With a certificate the server speaks TLS, and only TLS.
#[tokio::test(flavor = "multi_thread")]
async fn connections_may_be_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls {
        certificate: folder.path().join("certificate.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    let served = serve(|options| options.tls = Some(tls)).await;

    let port = served.address.port();
    let trusted = ClientTlsConfig::new()
        .domain_name("localhost")
        .ca_certificate(Certificate::from_pem(made.cert.pem()));
    let channel = Channel::from_shared(format!("https://127.0.0.1:{port}"))
        .unwrap()
        .tls_config(trusted)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = super::server::Client::new(channel);
    client.handshake(ADA.0, ADA.1).await.unwrap();
    assert_eq!(
        text(&query(&mut client, "SELECT 1 AS x").await.unwrap()),
        ONE
    );

    let plain = Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    if let Ok(channel) = plain.connect().await {
        let mut client = super::server::Client::new(channel);
        assert!(client.handshake(ADA.0, ADA.1).await.is_err());
    }
    served.stop().await;
}
