//! Connections between the members of a cluster: with mutual TLS where it is configured, in the clear where it is not.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ballista_core::extension::EndpointOverrideFn;
use futures::Stream;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::MemberTls;

/// Time in which a connection must be made and secured.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes at the same time. More wait.
const HANDSHAKES: usize = 1024;

/// Connections that are secured and wait to be served.
const WAITING: usize = 64;

/// Pause after a connection could not be accepted, such as for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes that a peer may send ahead on a connection and on one of its streams.
const CONNECTION_WINDOW: u32 = 64 << 20;
const STREAM_WINDOW: u32 = 16 << 20;

/// Why a member does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Cause.
        source: io::Error,
    },
    /// Others on the network would reach the member without proving who they are.
    #[error(
        "{0} can be reached from other machines, and anybody who reaches it can run plans and read results: set \
         cluster_cert, cluster_key and cluster_ca, or insecure_cluster_network where the network lets nobody else in"
    )]
    Exposed(SocketAddr),
}

/// A port of a member. Where TLS is configured, it accepts only connections of other members.
pub struct MemberListener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<MemberTls>,
}

impl MemberListener {
    /// Listens. `insecure` allows an address other than loopback without TLS.
    ///
    /// # Errors
    ///
    /// Fails when the address is taken or not of this machine, and when it is not loopback although there is no TLS and
    /// `insecure` is not set.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<MemberTls>,
        insecure: bool,
    ) -> Result<Self, ListenError> {
        if tls.is_none() && !address.ip().is_loopback() {
            if !insecure {
                return Err(ListenError::Exposed(address));
            }
            tracing::warn!(
                %address,
                "listening without TLS: anybody who reaches this address can run plans and read results"
            );
        }
        let failed = |source| ListenError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            tls,
        })
    }

    /// Returns the address, with the port that was taken where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the connections as they come. Those whose handshake fails are logged and closed.
    pub fn incoming(self) -> impl Stream<Item = io::Result<MemberStream>> + Send + use<> {
        let (ready, connections) = mpsc::channel(WAITING);
        tokio::spawn(self.accept(ready));
        futures::stream::unfold(connections, |mut connections| async move {
            let stream = connections.recv().await?;
            Some((Ok(stream), connections))
        })
    }

    async fn accept(self, ready: mpsc::Sender<MemberStream>) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else {
                return;
            };
            let (tls, ready) = (self.tls.clone(), ready.clone());
            tokio::spawn(async move {
                match within(HANDSHAKE, secure(stream, tls)).await {
                    Ok(stream) => {
                        drop(permit);
                        // Nobody serves any more.
                        let _ = ready.send(stream).await;
                    }
                    Err(error) => {
                        tracing::warn!(%peer, %error, "refused a connection that is not a member's");
                    }
                }
            });
        }
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Makes the server's side of a connection.
async fn secure(stream: TcpStream, tls: Option<MemberTls>) -> io::Result<MemberStream> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return Ok(MemberStream::Plain(stream));
    };
    let stream = TlsAcceptor::from(tls.server()).accept(stream).await?;
    Ok(MemberStream::Secured(Box::new(stream.into())))
}

/// Connects to a member, with the certificates of this moment.
///
/// # Errors
///
/// Fails when the member does not answer in time, or does not prove to be one.
pub async fn connect_member(
    host: &str,
    port: u16,
    tls: Option<&MemberTls>,
) -> io::Result<MemberStream> {
    within(HANDSHAKE, async {
        // The address of a URL may be an IPv6 one in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else {
            return Ok(MemberStream::Plain(stream));
        };
        let connector = TlsConnector::from(tls.client());
        let stream = connector.connect(tls.name(), stream).await?;
        Ok(MemberStream::Secured(Box::new(stream.into())))
    })
    .await
}

/// Opens a channel to a member. It uses the certificates of the moment whenever it connects, also again after a break.
///
/// # Errors
///
/// Fails when the member cannot be reached, or does not prove to be one.
pub async fn connect_channel(
    endpoint: Endpoint,
    tls: Option<MemberTls>,
) -> Result<Channel, tonic::transport::Error> {
    let connector = service_fn(move |uri: Uri| {
        let tls = tls.clone();
        async move {
            let (host, port) = target(&uri)?;
            let stream = connect_member(&host, port, tls.as_ref()).await?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    endpoint.connect_with_connector(connector).await
}

/// Returns host and port of a member's address.
pub(super) fn target(uri: &Uri) -> io::Result<(String, u16)> {
    match (uri.host(), uri.port_u16()) {
        (Some(host), Some(port)) => Ok((host.to_owned(), port)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{uri} is not the address of a member"),
        )),
    }
}

impl MemberTls {
    /// Returns what Ballista's clients of other executors do before they connect: they get the certificates of the
    /// moment. Such a client is made for one or a few fetches and never lasts.
    pub fn secured_endpoints(&self) -> EndpointOverrideFn {
        let tls = self.clone();
        Arc::new(move |endpoint| {
            let (host, port) = target(endpoint.uri())?;
            let secured = Endpoint::from_shared(format!("https://{host}:{port}"))?
                .tls_config(tls.channel())?
                .connect_timeout(HANDSHAKE)
                .tcp_nodelay(true)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .initial_stream_window_size(STREAM_WINDOW);
            Ok(secured)
        })
    }
}

/// A connection between members.
pub enum MemberStream {
    /// In the clear.
    Plain(TcpStream),
    /// With mutual TLS.
    Secured(Box<TlsStream<TcpStream>>),
}

impl Connected for MemberStream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        match self {
            Self::Plain(stream) => stream.connect_info(),
            Self::Secured(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

impl AsyncRead for MemberStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secured(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for MemberStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Secured(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Secured(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Secured(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secured(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secured(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
