//! How connections to other nodes are made: over TCP, or in another way that a simulation brings.
//!
//! The transport tells in the same words that the other end closed a connection and that it gave
//! one up itself, because the other end was silent. Here the first becomes an error of its own.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::codegen::{Service, http::Uri};
use tonic::transport::{Channel, Endpoint};

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// A connection on its way.
pub(crate) type Dialing = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>>;
type Dial = dyn Fn(&str) -> Dialing + Send + Sync;

/// Makes connections to addresses.
#[derive(Clone)]
pub struct Dialer {
    dial: Arc<Dial>,
}

impl Dialer {
    /// Over TCP.
    #[must_use]
    pub fn tcp() -> Self {
        Self::new(|address| {
            let address = address.to_owned();
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let stream: Box<dyn Duplex> = Box::new(stream);
                Ok(stream)
            }
        })
    }

    /// With `dial`, which is given the address (host:port). An error of kind
    /// [`io::ErrorKind::ConnectionRefused`] says that the process is gone.
    pub fn new<F, D>(dial: F) -> Self
    where
        F: Fn(&str) -> D + Send + Sync + 'static,
        D: Future<Output = io::Result<Box<dyn Duplex>>> + Send + 'static,
    {
        Self { dial: Arc::new(move |address| Box::pin(dial(address))) }
    }

    /// A connection to `address`.
    pub(crate) fn dial(&self, address: &str) -> Dialing {
        (self.dial)(address)
    }

    /// A connection to `address`, where `endpoint` is; made by the first call over it.
    pub(crate) fn channel(&self, endpoint: &Endpoint, address: &str) -> Channel {
        let (dial, address) = (Arc::clone(&self.dial), address.to_owned());
        endpoint.connect_with_connector_lazy(Connector { dial, address })
    }
}

impl Default for Dialer {
    fn default() -> Self {
        Self::tcp()
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// Dials one address again and again.
struct Connector {
    dial: Arc<Dial>,
    address: String,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Dialled>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        let dialing = (self.dial)(&self.address);
        Box::pin(async move { dialing.await.map(|stream| TokioIo::new(Dialled { stream })) })
    }
}

/// A connection that reads an error of kind [`io::ErrorKind::ConnectionReset`] when the other end
/// has closed it, in whatever way.
struct Dialled {
    stream: Box<dyn Duplex>,
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the other end closed the connection")
}

/// All ways to hear that the other end has closed the connection are told alike.
fn alike<T>(outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    outcome.map_err(|error| match error.kind() {
        // Under TLS, an end without goodbye is an error of its own.
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => closed(),
        _ => error,
    })
}

impl AsyncRead for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining() > 0);
        let outcome = ready!(alike(Pin::new(&mut self.stream).poll_read(cx, buf)));
        let ended = outcome.is_ok() && room && buf.filled().len() == before;
        Poll::Ready(if ended { Err(closed()) } else { outcome })
    }
}

impl AsyncWrite for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        alike(Pin::new(&mut self.stream).poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        alike(Pin::new(&mut self.stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        alike(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
