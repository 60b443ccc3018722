//! Connections: how many there are, and for how long one may stay without a login.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use planner::peer::network_of;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::server::{Connected, TlsConnectInfo};

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    /// Most connections of the server.
    pub(super) most: usize,
    /// Most connections of one address over which nobody has logged in.
    pub(super) most_waiting: usize,
    /// Time that a connection has until somebody has logged in over it.
    pub(super) patience: Duration,
}

/// The connections of a server.
#[derive(Debug)]
struct Counts {
    all: usize,
    /// Connections without a login, by the network of their address.
    waiting: HashMap<IpAddr, usize>,
}

/// A connection, as calls over it see it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Address of the other end.
    pub(super) address: IpAddr,
    place: Option<Arc<Place>>,
}

/// The place of a connection among the others; given back when it is dropped.
#[derive(Debug)]
struct Place {
    address: IpAddr,
    counts: Arc<Mutex<Counts>>,
    admitted: AtomicBool,
}

/// A connection that is closed when nobody logs in over it.
pub(super) struct Connection {
    stream: TcpStream,
    place: Arc<Place>,
    patience: Pin<Box<Sleep>>,
}

impl Peer {
    /// The other end of the connection that a call came over.
    pub(super) fn of<T>(request: &tonic::Request<T>) -> Self {
        let extensions = request.extensions();
        let plain = extensions.get::<Self>();
        let encrypted = || {
            let info = extensions.get::<TlsConnectInfo<Self>>()?;
            Some(info.get_ref())
        };
        plain.or_else(encrypted).cloned().unwrap_or(Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            place: None,
        })
    }

    /// Somebody has logged in over the connection, which may stay from now on.
    pub(super) fn admit(&self) {
        if let Some(place) = &self.place {
            place.admit();
        }
    }
}

impl Place {
    fn admit(&self) {
        if !self.admitted.swap(true, Ordering::AcqRel) {
            leave(&mut locked(&self.counts).waiting, network_of(self.address));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = locked(&self.counts);
        counts.all -= 1;
        if !self.admitted.load(Ordering::Acquire) {
            leave(&mut counts.waiting, network_of(self.address));
        }
    }
}

fn leave(waiting: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = waiting.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            waiting.remove(&address);
        }
    }
}

/// The connections that a listener accepts. One too many is closed at once.
pub(super) fn connections(
    listener: TcpListener,
    limits: ConnectionLimits,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let counts = Arc::new(Mutex::new(Counts {
        all: 0,
        waiting: HashMap::new(),
    }));
    TcpListenerStream::new(listener).filter_map(move |accepted| {
        let counts = Arc::clone(&counts);
        futures::future::ready(match accepted {
            Ok(stream) => placed(stream, &counts, limits).map(Ok),
            Err(error) => Some(Err(error)),
        })
    })
}

fn placed(
    stream: TcpStream,
    counts: &Arc<Mutex<Counts>>,
    limits: ConnectionLimits,
) -> Option<Connection> {
    let address = stream.peer_addr().ok()?.ip();
    let mut now = locked(counts);
    let network = network_of(address);
    let waiting = now.waiting.get(&network).copied().unwrap_or(0);
    if now.all >= limits.most || waiting >= limits.most_waiting {
        tracing::debug!(%address, all = now.all, waiting, "a connection too many was closed");
        return None;
    }
    now.all += 1;
    *now.waiting.entry(network).or_default() += 1;
    drop(now);
    // Without this, small answers wait; a socket that takes no option works all the same.
    let _ = stream.set_nodelay(true);
    Some(Connection {
        stream,
        place: Arc::new(Place {
            address,
            counts: Arc::clone(counts),
            admitted: AtomicBool::new(false),
        }),
        patience: Box::pin(tokio::time::sleep(limits.patience)),
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer {
            address: self.place.address,
            place: Some(Arc::clone(&self.place)),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A handshake of TLS or HTTP/2 that is half sent ends here too.
        if !self.place.admitted.load(Ordering::Acquire)
            && self.patience.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "nobody has logged in",
            )));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
