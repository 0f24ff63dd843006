//! A gate in every connection to other nodes, to rehearse what a cut network does.
//!
//! While it is closed, no byte comes in or gets out, and nobody is called or answered. Nothing is said
//! of it either: what is given up on this side meanwhile is closed only when the gate opens, so that
//! the other nodes hear silence and no goodbye, as from behind a broken cable.

use std::any::Any;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::transport::server::TcpIncoming;

use crate::dialer::{Dialer, Duplex};

/// Opens and closes. Cheap to clone; all clones are one gate.
#[derive(Clone, Debug)]
pub struct Gate {
    closed: Arc<watch::Sender<bool>>,
    /// What was given up while it was closed; bounded, as nobody gets in meanwhile.
    held: Arc<Mutex<Vec<Box<dyn Any + Send>>>>,
}

impl Gate {
    /// An open gate.
    #[must_use]
    pub fn new() -> Self {
        Self { closed: Arc::new(watch::Sender::new(false)), held: Arc::default() }
    }

    /// Lets nothing through from here on.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.closed.send_replace(false);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether nothing gets through.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Connections that `dialer` makes, through this gate.
    #[must_use]
    pub fn dialer(&self, dialer: Dialer) -> Dialer {
        let gate = self.clone();
        Dialer::new(move |address| {
            let (gate, dialer, address) = (gate.clone(), dialer.clone(), address.to_owned());
            async move {
                gate.opened().await;
                let stream: Box<dyn Duplex> = Box::new(gate.pass(dialer.dial(&address).await?));
                Ok(stream)
            }
        })
    }

    /// Connections that arrive at `listener`, through this gate.
    pub fn incoming(
        &self,
        listener: TcpListener,
    ) -> impl Stream<Item = io::Result<Passed<TcpStream>>> {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        Incoming { incoming, gate: self.clone(), turn: Turn::default() }
    }

    fn pass<S: Send + 'static>(&self, stream: S) -> Passed<S> {
        let (reading, writing) = Default::default();
        Passed { stream: Some(stream), gate: self.clone(), reading, writing }
    }

    /// Waits while it is closed.
    fn opened(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closed = self.closed.subscribe();
        // Who waits holds a sender, so it cannot be gone.
        async move { drop(closed.wait_for(|closed| !*closed).await.map(|_| ())) }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Somebody's wait before the gate.
#[derive(Default)]
struct Turn {
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Turn {
    fn poll(&mut self, gate: &Gate, cx: &mut Context<'_>) -> Poll<()> {
        if self.waiting.is_none() && !gate.is_closed() {
            return Poll::Ready(());
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(gate.opened()));
        ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(())
    }
}

/// Connections that arrive behind a gate.
struct Incoming {
    incoming: TcpIncoming,
    gate: Gate,
    turn: Turn,
}

impl Stream for Incoming {
    type Item = io::Result<Passed<TcpStream>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        ready!(this.turn.poll(&this.gate, cx));
        let arrived = ready!(Pin::new(&mut this.incoming).poll_next(cx));
        Poll::Ready(arrived.map(|stream| stream.map(|stream| this.gate.pass(stream))))
    }
}

/// A connection through a gate.
pub struct Passed<S: Send + 'static> {
    /// There until it is dropped.
    stream: Option<S>,
    gate: Gate,
    reading: Turn,
    writing: Turn,
}

impl<S: Send + 'static> Passed<S> {
    fn stream(&mut self) -> &mut S {
        self.stream.as_mut().expect("only dropping takes it")
    }
}

impl<S: Send + 'static> Drop for Passed<S> {
    fn drop(&mut self) {
        let mut held = self.gate.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(stream)) = (self.gate.is_closed(), self.stream.take()) {
            held.push(Box::new(stream));
        }
    }
}

impl<S: AsyncRead + Send + Unpin> AsyncRead for Passed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.reading.poll(&this.gate, cx));
        Pin::new(this.stream()).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Send + Unpin> AsyncWrite for Passed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.writing.poll(&this.gate, cx));
        Pin::new(this.stream()).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.writing.poll(&this.gate, cx));
        Pin::new(this.stream()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.writing.poll(&this.gate, cx));
        Pin::new(this.stream()).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this.writing.poll(&this.gate, cx));
        Pin::new(this.stream()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;
    use tokio_stream::StreamExt as _;

    use super::*;

    /// Longer than anything takes that may happen.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// How long is listened for what must not happen.
    const SILENCE: Duration = Duration::from_millis(50);

    /// A connection out through a gate, and its other end, which has none.
    async fn out(gate: &Gate) -> (Box<dyn Duplex>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let dialled = gate.dialer(Dialer::tcp()).dial(&address).await.expect("it listens");
        (dialled, listener.accept().await.expect("it was called").0)
    }

    #[tokio::test]
    async fn nothing_passes_a_closed_gate_and_nothing_is_lost_at_it() {
        let gate = Gate::new();
        let (mut near, mut far) = out(&gate).await;
        gate.close();
        far.write_all(b"in").await.expect("the system takes it");

        let mut bytes = [0; 2];
        let read = timeout(SILENCE, near.read_exact(&mut bytes)).await;
        let written = timeout(SILENCE, near.write_all(b"out")).await;
        gate.open();

        assert!(read.is_err() && written.is_err(), "{read:?} {written:?}");
        timeout(PATIENCE, near.read_exact(&mut bytes))
            .await
            .expect("in time")
            .expect("it is there");
        assert_eq!(&bytes, b"in");
    }

    #[tokio::test]
    async fn who_waits_before_a_closed_gate_is_let_through_when_it_opens() {
        let gate = Gate::new();
        let (mut near, mut far) = out(&gate).await;
        gate.close();

        let reading = tokio::spawn(async move {
            let mut bytes = [0; 2];
            near.read_exact(&mut bytes).await.map(|_| bytes)
        });
        far.write_all(b"ab").await.expect("the system takes it");
        tokio::task::yield_now().await;
        gate.open();

        let bytes = timeout(PATIENCE, reading).await.expect("in time").expect("it does not panic");
        assert_eq!(&bytes.expect("it is read"), b"ab");
    }

    #[tokio::test]
    async fn what_is_dropped_behind_a_closed_gate_is_closed_when_it_opens() {
        let gate = Gate::new();
        let (near, mut far) = out(&gate).await;
        gate.close();

        drop(near);
        let mut bytes = [0; 1];
        let before = timeout(SILENCE, far.read(&mut bytes)).await;
        gate.open();
        let after = timeout(PATIENCE, far.read(&mut bytes)).await.expect("in time");

        assert!(before.is_err(), "{before:?}");
        assert_eq!(after.expect("an end"), 0);
    }

    #[tokio::test]
    async fn nobody_is_called_or_answered_while_a_gate_is_closed() {
        let gate = Gate::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let mut incoming = Box::pin(gate.incoming(listener));
        let dialer = gate.dialer(Dialer::tcp());
        gate.close();

        let calling = timeout(SILENCE, dialer.dial(&address)).await;
        let _caller = TcpStream::connect(&address).await.expect("the system answers");
        let answering = timeout(SILENCE, incoming.next()).await;
        gate.open();

        assert!(calling.is_err() && answering.is_err());
        let answered = timeout(PATIENCE, incoming.next()).await.expect("in time");
        assert!(answered.is_some_and(|stream| stream.is_ok()));
    }
}
