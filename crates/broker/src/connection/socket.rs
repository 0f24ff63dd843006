//! Between the socket and the connection: reading, writing, timers.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use futures::{FutureExt as _, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use warren_amqp::ConnectionError;

use super::ToConnection;
use super::deliver::read_row;
use super::state::{Connection, Phase};
use super::stream::next_page;
use crate::limit::Limit;

/// The first read of a connection; most clients are idle and must not cost more.
const READ_MIN_BYTES: usize = 4 * 1024;

/// The largest read, and so the largest burst: beyond it, batching gains nothing more.
const READ_MAX_BYTES: usize = 128 * 1024;

/// Pieces of output that one system call takes.
const WRITE_SLICES: usize = 64;

/// Messages from others that are taken between two writes.
const TOLD_PER_TURN: usize = 256;

/// How long a client may take to answer our connection.close.
const CLOSE_OK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a refused client without `authentication_failure_close` is kept waiting: it slows
/// down whoever tries passwords.
const REFUSED_HOLD: Duration = Duration::from_secs(3);

/// How often a connection without heartbeats is looked at: there is nothing to see.
const NO_HEARTBEAT_CHECK: Duration = Duration::from_secs(24 * 3600);

/// How long giving up exclusive queues may hold up the end of a connection.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a connection is served no further.
#[derive(Debug)]
enum End {
    /// The client is gone without a word, or the socket failed.
    Gone,
    /// The client has missed its heartbeats.
    Silent,
    /// The client said connection.close.
    Closed,
    /// The client is to be told why.
    Failed(ConnectionError),
    /// The client did nothing wrong: the node stops, or an operator wants it gone.
    Dismissed(ConnectionError),
    /// Both sides have said close already, or the protocol leaves nothing to be said.
    Over,
    /// The client was refused and is kept waiting.
    Held,
}

/// What carries a client's bytes: TCP, or what a simulation brings.
pub(crate) trait Stream: Send + Sync + 'static {
    /// Has small writes leave at once.
    fn set_nodelay(&self, at_once: bool) -> io::Result<()>;
    /// Where it ends on this side, where that is an address.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(ErrorKind::Unsupported.into())
    }
    /// Waits until reading does not block.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
    /// Waits until writing does not block.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;
    /// Reads what is there; 0 bytes are the end.
    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize>;
    /// Writes what there is room for.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Whether something that counts as written has not been sent.
    fn has_unsent(&self) -> bool {
        false
    }
    /// Sends such things, as far as there is room.
    fn try_flush(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for TcpStream {
    fn set_nodelay(&self, at_once: bool) -> io::Result<()> {
        Self::set_nodelay(self, at_once)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }

    async fn readable(&self) -> io::Result<()> {
        Self::readable(self).await
    }

    async fn writable(&self) -> io::Result<()> {
        Self::writable(self).await
    }

    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        Self::try_read_buf(self, buffer)
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::try_write_vectored(self, slices)
    }
}

struct Socket<S> {
    stream: S,
    input: BytesMut,
    read_bytes: usize,
    /// How many events a burst had, about.
    burst_events: usize,
    last_read: Instant,
    last_write: Instant,
}

/// Serves the client on `stream` to its end.
pub(crate) async fn run<S: Stream>(
    mut connection: Box<Connection>,
    stream: S,
    mut messages: mpsc::UnboundedReceiver<Box<ToConnection>>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small writes may be delayed");
    }
    connection.facts.local = stream.local_addr().ok();
    connection.broker.counters.connections_opened.add(1);
    let now = Instant::now();
    let mut socket = Socket {
        stream,
        input: BytesMut::new(),
        read_bytes: READ_MIN_BYTES,
        burst_events: 0,
        last_read: now,
        last_write: now,
    };
    match connection.facts.local {
        Some(local) => tracing::info!("accepting AMQP connection {} -> {local}", connection.peer),
        None => tracing::info!("accepting AMQP connection {}", connection.peer),
    }
    let end = socket.serve(&mut connection, &mut messages).await;
    say_end(&connection, &end);
    // Boxed, so that a connection that is served has no room for its end.
    socket.finish(&mut connection, end).boxed().await;
}

/// One line for the end of a connection, in the words that operators look for.
fn say_end(connection: &Connection, end: &End) {
    let who = connection.client.as_ref();
    let who = who.map(|client| format!(", vhost: '{}', user: '{}'", client.vhost, client.user));
    let name = format!("({}{})", connection.peer, who.unwrap_or_default());
    match end {
        End::Silent => {
            tracing::warn!("closing AMQP connection {name}: missed heartbeats from client");
        }
        End::Gone if connection.phase == Phase::Open => tracing::warn!(
            "closing AMQP connection {name}: client unexpectedly closed TCP connection"
        ),
        End::Failed(error) | End::Dismissed(error) => {
            let code = error.code().number();
            tracing::info!(code, %error, "closing AMQP connection {name}");
        }
        End::Gone | End::Closed | End::Over | End::Held => {
            tracing::info!("closing AMQP connection {name}");
        }
    }
}

impl<S: Stream> Socket<S> {
    async fn serve(
        &mut self,
        connection: &mut Connection,
        messages: &mut mpsc::UnboundedReceiver<Box<ToConnection>>,
    ) -> End {
        let draining = connection.broker.draining().clone();
        let mut check = Instant::now() + connection.limits().handshake_timeout;
        loop {
            let reads = connection.may_read();
            let writes = !connection.out.is_empty() || self.stream.has_unsent();
            let handshake = connection.phase == Phase::Handshake;
            let end = tokio::select! {
                Some(message) = messages.recv() => told(connection, message, messages),
                ready = self.stream.readable(), if reads => match ready {
                    Ok(()) => self.read(connection),
                    Err(_) => Some(End::Gone),
                },
                _ = self.stream.writable(), if writes => None,
                Some(ended) = connection.operations.next(), if !connection.operations.is_empty() => {
                    connection.ended(ended);
                    if handshake {
                        // What the client sent without waiting for its virtual host.
                        self.take(connection);
                    }
                    None
                }
                row = read_row(&mut connection.reading), if connection.reading.is_some() => {
                    connection.row_read(row);
                    None
                }
                page = next_page(&mut connection.streams), if connection.streams.is_some() => {
                    connection.page_read(page);
                    None
                }
                () = tokio::time::sleep_until(check) => self.check_time(connection, &mut check),
                () = draining.cancelled(), if handshake => Some(End::Gone),
                () = dismissal(&connection.dismissed) => None,
            };
            if let Some(end) = end {
                return end;
            }
            if handshake && connection.phase == Phase::Open {
                check = Instant::now() + heartbeat_check(connection);
            }
            if let Some(end) = self.turn(connection) {
                return end;
            }
        }
    }

    /// What is due after anything has happened: deliveries, confirms, requests, output.
    fn turn(&mut self, connection: &mut Connection) -> Option<End> {
        connection.end_turn();
        if let Err(error) = self.write(connection) {
            tracing::debug!(%error, "write failed");
            return Some(End::Gone);
        }
        if let Some(error) = connection.failed.take() {
            return Some(End::Failed(error));
        }
        if let Some(error) = connection.dismissal_due() {
            return Some(End::Dismissed(error));
        }
        if connection.phase == Phase::Held {
            return Some(End::Held);
        }
        if connection.phase == Phase::Leaving {
            return Some(End::Closed);
        }
        if connection.wire.is_closed() {
            return Some(End::Over);
        }
        None
    }

    fn read(&mut self, connection: &mut Connection) -> Option<End> {
        self.input.reserve(self.read_bytes);
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => return Some(End::Gone),
            Ok(count) => {
                self.adapt(count);
                connection.facts.received.add(count);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(_) => return Some(End::Gone),
        }
        self.last_read = Instant::now();
        self.take(connection);
        None
    }

    /// Reads grow with what comes and shrink again when little does.
    fn adapt(&mut self, count: usize) {
        if count >= self.read_bytes {
            self.read_bytes = self.read_bytes.saturating_mul(2).min(READ_MAX_BYTES);
        } else if count.saturating_mul(8) < self.read_bytes {
            self.read_bytes = (self.read_bytes / 2).max(READ_MIN_BYTES);
        }
    }

    /// Does what the bytes that were read ask for. Frames behind one that needs a decision are
    /// taken once that is made, so it goes on until nothing comes any more.
    fn take(&mut self, connection: &mut Connection) {
        // A list of its own for each read: an idle connection holds none.
        let mut events = Vec::with_capacity(self.burst_events);
        let mut most = 0_usize;
        loop {
            let outcome =
                connection.wire.receive(&mut self.input, &mut events, &mut connection.out);
            let idle = events.is_empty();
            most = most.max(events.len());
            connection.begin_burst();
            for event in events.drain(..) {
                connection.handle(event);
                if connection.failed.is_some() || connection.phase == Phase::Leaving {
                    break;
                }
            }
            if let Err(error) = outcome {
                connection.broker.counters.hits.note_bound(error.bound());
                connection.failed.get_or_insert(error);
            }
            let over = matches!(connection.phase, Phase::Held | Phase::Leaving);
            if idle || over || connection.failed.is_some() {
                break;
            }
        }
        self.burst_events = most.max(self.burst_events / 2);
        if self.input.is_empty() {
            // The slices of the burst keep its memory alive as long as they are needed.
            self.input = BytesMut::new();
        }
    }

    fn write(&mut self, connection: &mut Connection) -> io::Result<()> {
        match self.stream.try_flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            outcome => outcome?,
        }
        while !connection.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
            let count = connection.out.slices(&mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            match self.stream.try_write_vectored(slices) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    connection.out.advance(count);
                    connection.facts.sent.add(count);
                    self.last_write = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            connection.write_deliveries();
            connection.write_streams();
        }
        Ok(())
    }

    /// Heartbeats, theirs and ours, and the end of a handshake that takes too long.
    fn check_time(&mut self, connection: &mut Connection, check: &mut Instant) -> Option<End> {
        let now = Instant::now();
        if connection.phase == Phase::Handshake {
            connection.broker.counters.hits.note(Limit::Handshake);
            tracing::debug!("handshake took too long");
            return Some(End::Gone);
        }
        if connection.heartbeat_s == 0 {
            *check = now + heartbeat_check(connection);
            return None;
        }
        let heartbeat = Duration::from_secs(u64::from(connection.heartbeat_s));
        // While the socket is not read for reasons of ours, silence is no sign of death.
        if !connection.may_read() {
            self.last_read = now;
        }
        if now.duration_since(self.last_read) >= heartbeat * 2 {
            connection.broker.counters.hits.note(Limit::Heartbeat);
            return Some(End::Silent);
        }
        if now.duration_since(self.last_write) >= heartbeat / 2 && connection.out.is_empty() {
            connection.out.heartbeat();
        }
        *check = now + heartbeat_check(connection);
        None
    }

    async fn finish(&mut self, connection: &mut Connection, end: End) {
        let is_asked_for = matches!(end, End::Closed) || connection.phase == Phase::Leaving;
        connection.is_lost = !is_asked_for;
        if let End::Dismissed(_) = &end {
            // The client goes elsewhere at once: what it held must be there before it.
            connection.release().await;
        }
        if let End::Failed(error) | End::Dismissed(error) = &end {
            connection.wire.close_connection(error, &mut connection.out);
            drop(self.write(connection));
        }
        if tokio::time::timeout(LEAVE_TIMEOUT, connection.leave()).await.is_err() {
            tracing::warn!("exclusive queues of a connection could not be removed in time");
        }
        match end {
            End::Gone | End::Silent => {}
            End::Held => tokio::time::sleep(REFUSED_HOLD).await,
            End::Closed => {
                connection.wire.connection_close_ok(&mut connection.out);
                self.flush(connection, CLOSE_OK_TIMEOUT).await;
            }
            End::Over => self.flush(connection, CLOSE_OK_TIMEOUT).await,
            End::Failed(_) | End::Dismissed(_) => {
                let answered = self.await_close_ok(connection);
                drop(tokio::time::timeout(CLOSE_OK_TIMEOUT, answered).await);
            }
        }
        connection.broker.counters.connections_closed.add(1);
    }

    async fn flush(&mut self, connection: &mut Connection, limit: Duration) {
        let flushing = async {
            while self.write(connection).is_ok()
                && (!connection.out.is_empty() || self.stream.has_unsent())
            {
                if self.stream.writable().await.is_err() {
                    return;
                }
            }
        };
        drop(tokio::time::timeout(limit, flushing).await);
    }

    async fn await_close_ok(&mut self, connection: &mut Connection) {
        self.flush(connection, CLOSE_OK_TIMEOUT).await;
        while !connection.wire.is_closed() {
            if self.stream.readable().await.is_err() {
                return;
            }
            self.input.reserve(READ_MIN_BYTES);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
            let outcome =
                connection.wire.receive(&mut self.input, &mut Vec::new(), &mut connection.out);
            if outcome.is_err() {
                return;
            }
        }
    }
}

/// Waits until a client that is to be sent away cannot be waited for any longer.
async fn dismissal(dismissed: &Option<(ConnectionError, Instant)>) {
    match dismissed {
        Some((_, at)) => tokio::time::sleep_until(*at).await,
        None => std::future::pending().await,
    }
}

/// How long until heartbeats are looked at again.
fn heartbeat_check(connection: &Connection) -> Duration {
    match connection.heartbeat_s {
        0 => NO_HEARTBEAT_CHECK,
        heartbeat_s => Duration::from_secs(u64::from(heartbeat_s)) / 4,
    }
}

fn told(
    connection: &mut Connection,
    first: Box<ToConnection>,
    messages: &mut mpsc::UnboundedReceiver<Box<ToConnection>>,
) -> Option<End> {
    connection.begin_burst();
    let mut next = Some(first);
    let mut count = 0_usize;
    while let Some(message) = next {
        match *message {
            ToConnection::Answered { token, reply } => connection.answered(token, reply),
            ToConnection::Deliver(delivery) => connection.given(delivery),
            ToConnection::Cancelled { consumer, reason } => connection.cancelled(consumer, reason),
            ToConnection::Census { slot, census } => connection.census(slot, &census),
            ToConnection::SessionLost { slot } => connection.session_lost(slot),
            ToConnection::AttachedAnew { nth, reply } => connection.attached_anew(nth, &reply),
            ToConnection::ShardGone { slot } => connection.shard_gone(slot),
            ToConnection::DirectReply(reply) => connection.direct_reply(&reply),
            ToConnection::Describe { answer_to } => drop(answer_to.send(connection.describe())),
            ToConnection::Pressure => connection.look_at_pressure(),
            ToConnection::Close { code, text } => {
                connection.dismiss(ConnectionError::new(code, text));
            }
        }
        count = count.saturating_add(1);
        next = if count < TOLD_PER_TURN { messages.try_recv().ok() } else { None };
    }
    None
}
