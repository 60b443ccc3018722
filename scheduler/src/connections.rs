//! Connections of the API: so many in all, and so many from one address.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use planner::peer::network_of;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    most_of_address: usize,
    open: Mutex<Open>,
}

impl Connections {
    /// Returns a count that lets in so many connections in all, and so many from an address.
    pub(crate) fn new(most: usize, most_of_address: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            most_of_address: most_of_address.max(1),
            open: Mutex::default(),
        })
    }

    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut open = self.open.lock().ok()?;
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if open.all >= self.most || of_address >= self.most_of_address {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, of_address + 1);
        Some(Place {
            connections: Arc::clone(self),
            address,
        })
    }
}

/// The place of a connection; it is free when this is dropped.
#[derive(Debug)]
struct Place {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(mut open) = self.connections.open.lock() else {
            return;
        };
        open.all = open.all.saturating_sub(1);
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// Lets connections in as long as there is a place for them, the handshake of TLS included.
#[derive(Debug, Clone)]
pub(crate) struct Counted<A> {
    pub(crate) inner: A,
    pub(crate) connections: Arc<Connections>,
}

impl<A, S> Accept<TcpStream, S> for Counted<A>
where
    A: Accept<TcpStream, S>,
    A::Future: Send + 'static,
{
    type Stream = Held<A::Stream>;
    type Service = A::Service;
    type Future =
        Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send + 'static>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = stream.peer_addr().and_then(|address| {
            let place = self.connections.enter(address.ip());
            place.ok_or_else(|| io::Error::other("too many connections are open"))
        });
        // Without a place, the connection is closed as it comes.
        let accepted = match &place {
            Ok(_) => Some(self.inner.accept(stream, service)),
            Err(_) => None,
        };
        Box::pin(async move {
            let place = place?;
            let accepted = accepted.ok_or_else(|| io::Error::other("nothing was accepted"))?;
            let (stream, service) = accepted.await?;
            let held = Held {
                stream,
                _place: place,
            };
            Ok((held, service))
        })
    }
}

/// A connection with its place.
#[derive(Debug)]
pub(crate) struct Held<S> {
    stream: S,
    _place: Place,
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Places are counted by address and in all, and given back.
    #[test]
    fn places() {
        let connections = Connections::new(3, 2);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let one = connections.enter(address("192.0.2.1")).unwrap();
        let _two = connections.enter(address("::ffff:192.0.2.1")).unwrap();
        assert!(connections.enter(address("192.0.2.1")).is_none());
        let _three = connections.enter(address("2001:db8::1")).unwrap();
        assert!(connections.enter(address("192.0.2.9")).is_none());
        drop(one);
        let _four = connections.enter(address("2001:db8::ffff")).unwrap();
        assert!(connections.enter(address("2001:db8::7")).is_none());
        assert_eq!(connections.open.lock().unwrap().by_address.len(), 2);
    }
}
