//! A listener that a crowd, or a client that says nothing, cannot use up.
//!
//! At most [`CONNECTIONS`] are open at a time, further ones wait in the system's backlog, and a
//! connection from which nothing comes for [`SILENCE`] is closed. A handshake counts as silence, and
//! is made by whoever reads: nobody's holds up the next client's. A connection whose client has shown a
//! certificate ends when that is denied or revoked.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use warren_tls::{Acceptor, Opening};

/// Connections that are open at a time on one address.
const CONNECTIONS: usize = 256;

/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// A listener with a bound on its connections and their silence.
#[derive(Debug)]
pub(crate) struct Bounded {
    listener: TcpListener,
    free: Arc<Semaphore>,
    /// Agrees with clients on TLS, if that is spoken.
    acceptor: Option<Acceptor>,
}

/// What carries a client's bytes.
trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Carrier for S {}

impl Bounded {
    /// Bounds `listener`, where TLS is spoken if there is an `acceptor`.
    pub(crate) fn new(listener: TcpListener, acceptor: Option<Acceptor>) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(CONNECTIONS)), acceptor }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let free = Arc::clone(&self.free);
        let place = free.acquire_owned().await.expect("the semaphore is never closed");
        // Repeats by itself after an error, with a pause where it would only fail again.
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        let stream: Box<dyn Carrier> = match self.acceptor.clone() {
            Some(acceptor) => {
                Box::new(Opening::new(async move { acceptor.admit(stream, SILENCE).await }))
            }
            None => Box::new(stream),
        };
        (Connection { stream, silence: Box::pin(sleep(SILENCE)), _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its client says nothing for too long.
pub(crate) struct Connection {
    stream: Box<dyn Carrier>,
    silence: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if outcome.is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE);
            return outcome;
        }
        match self.silence.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
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
