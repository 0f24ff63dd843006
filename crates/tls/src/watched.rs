//! A connection that does not outlive the trust in its other end.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// Ready when the other end's certificate is denied or revoked.
type Revoked = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection that fails once files come into use by which the certificate that the other end has
/// shown is denied or revoked.
pub struct Watched<S> {
    stream: S,
    trust: Trust,
}

enum Trust {
    /// No certificate was shown, so none can be denied.
    Unasked,
    Kept(Revoked),
    Lost,
}

impl<S> Watched<S> {
    /// A connection whose other end has shown nothing.
    pub(crate) fn unasked(stream: S) -> Self {
        Self { stream, trust: Trust::Unasked }
    }

    /// A connection whose other end has shown a certificate, of which `is_revoked` is asked whenever
    /// something is `renewed`.
    pub(crate) fn new(
        stream: S,
        mut renewed: watch::Receiver<()>,
        is_revoked: impl Fn() -> bool + Send + 'static,
    ) -> Self {
        let revoked = async move {
            // The first look is for what was renewed since the handshake.
            while !is_revoked() {
                if renewed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        Self { stream, trust: Trust::Kept(Box::pin(revoked)) }
    }

    /// The connection, while it may be used.
    fn trusted(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut S>>
    where
        S: Unpin,
    {
        if let Trust::Kept(revoked) = &mut self.trust
            && revoked.as_mut().poll(context).is_ready()
        {
            self.trust = Trust::Lost;
        }
        match self.trust {
            Trust::Unasked | Trust::Kept(_) => Ok(Pin::new(&mut self.stream)),
            Trust::Lost => {
                let text = "the other end's certificate is denied";
                Err(io::Error::new(ErrorKind::PermissionDenied, text))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.trusted(context)?.poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.trusted(context)?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.trusted(context)?.poll_flush(context)
    }

    /// Says goodbye to whoever it is.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.trusted(context)?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S> std::fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}
