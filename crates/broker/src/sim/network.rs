//! The network between the nodes: pipes with delays, which can be held and torn.
//!
//! Bytes arrive in order, or not at all. A direction between two nodes that is *held* lets
//! nothing through, neither bytes nor the news that a pipe has ended; what was held arrives when
//! it is let go, as a network does that was cut for a while. What is *lost* is sent again by the
//! system, so it and all behind it come late; connections of one pair of nodes overtake each other.
//! A node that is *down* has no pipes: its own end at once, in both directions, and whoever calls it
//! is refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, Sleep};
use warren_rpc::{Dialer, Duplex};

use super::chance::Chance;

/// Bytes that are under way in one direction before the writer waits.
const PIPE_BYTES: usize = 256 * 1024;

/// A node's place in the network.
pub(super) type Spot = usize;

/// One life of a node: what belongs to an earlier one reaches nobody.
pub(super) type Life = u64;

/// From a node to another.
pub(super) type Direction = (Spot, Spot);

/// One of those who hold directions, until it lets go.
pub(super) type HoldId = u64;

/// What a byte takes to arrive as a rule, in milliseconds.
pub(super) const USUAL_MS: Range<u64> = 0..3;

/// What the system waits before it sends what was lost again, in milliseconds.
const RESEND_MS: Range<u64> = 200..1500;

/// All of it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Network {
    state: Arc<Mutex<State>>,
    /// Wakes callers that wait for a direction to be let go.
    change: Arc<Notify>,
}

struct State {
    chance: Chance,
    /// What a byte takes to arrive, in milliseconds.
    delay_ms: Range<u64>,
    /// Of so many in a hundred writes, something is lost.
    loss_percent: u64,
    /// What lets nothing through, by whoever holds it.
    holds: BTreeMap<HoldId, BTreeSet<Direction>>,
    next_hold: HoldId,
    nodes: BTreeMap<Spot, (Life, mpsc::UnboundedSender<io::Result<End>>)>,
    pipes: Vec<Weak<Mutex<Pipe>>>,
    /// Until when each direction was held.
    held_until: BTreeMap<Direction, Instant>,
    /// Until when each node was down.
    down_until: BTreeMap<Spot, Instant>,
    /// Until when things were lost or took long.
    rough_until: Option<Instant>,
}

/// One direction of a connection.
struct Pipe {
    from: (Spot, Life),
    to: (Spot, Life),
    under_way: VecDeque<(Instant, Bytes)>,
    bytes: usize,
    /// When what was sent last arrives.
    last: Instant,
    /// The writer has ended it: nothing follows what is under way.
    ended: bool,
    /// One of its nodes is down.
    torn: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a connection.
pub(super) struct End {
    network: Network,
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Network {
    pub(super) fn new(chance: Chance) -> Self {
        let state = State {
            chance,
            delay_ms: USUAL_MS,
            loss_percent: 0,
            holds: BTreeMap::new(),
            next_hold: 0,
            nodes: BTreeMap::new(),
            pipes: Vec::new(),
            held_until: BTreeMap::new(),
            down_until: BTreeMap::new(),
            rough_until: None,
        };
        Self { state: Arc::new(Mutex::new(state)), change: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Decisions for something that belongs to one node.
    pub(super) fn branch(&self) -> Chance {
        self.state().chance.branch()
    }

    /// Where a node is called.
    pub(super) fn address(spot: Spot) -> String {
        format!("node{spot}:1")
    }

    fn spot(address: &str) -> Option<Spot> {
        address.strip_prefix("node")?.strip_suffix(":1")?.parse().ok()
    }

    /// A node is up; the answer are the connections that others make to it.
    #[expect(clippy::disallowed_methods, reason = "runs are short")]
    pub(super) fn up(&self, spot: Spot, life: Life) -> mpsc::UnboundedReceiver<io::Result<End>> {
        let (sender, accepted) = mpsc::unbounded_channel();
        let mut state = self.state();
        state.nodes.insert(spot, (life, sender));
        state.down_until.insert(spot, Instant::now());
        drop(state);
        accepted
    }

    /// A node is down.
    pub(super) fn down(&self, spot: Spot) {
        let mut state = self.state();
        state.nodes.remove(&spot);
        state.pipes.retain(|pipe| pipe.strong_count() > 0);
        drop(state);
        for pipe in self.pipes() {
            let mut pipe = pipe.lock().unwrap();
            if pipe.from.0 == spot || pipe.to.0 == spot {
                pipe.torn = true;
                pipe.wake();
            }
        }
        self.change.notify_waiters();
    }

    /// These directions let nothing through until the hold is let go.
    pub(super) fn hold(&self, held: BTreeSet<Direction>) -> HoldId {
        let mut state = self.state();
        let id = state.next_hold;
        state.next_hold += 1;
        state.holds.insert(id, held);
        id
    }

    /// What is held by nobody else lets through again.
    pub(super) fn let_go(&self, hold: HoldId) {
        let mut state = self.state();
        let held = state.holds.remove(&hold).unwrap_or_default();
        state.note_held(held);
        drop(state);
        self.wake_all();
    }

    /// Nothing is held, delayed or lost.
    pub(super) fn mend(&self) {
        let mut state = self.state();
        let held = std::mem::take(&mut state.holds);
        state.note_held(held.into_values().flatten());
        state.become_rough(USUAL_MS, 0);
        drop(state);
        self.wake_all();
    }

    fn wake_all(&self) {
        for pipe in self.pipes() {
            pipe.lock().unwrap().wake();
        }
        self.change.notify_waiters();
    }

    fn pipes(&self) -> Vec<Arc<Mutex<Pipe>>> {
        self.state().pipes.iter().filter_map(Weak::upgrade).collect()
    }

    /// Bytes take this long from here on.
    pub(super) fn set_delay(&self, delay_ms: Range<u64>) {
        let mut state = self.state();
        let loss_percent = state.loss_percent;
        state.become_rough(delay_ms, loss_percent);
    }

    /// Of so many in a hundred writes, something is lost from here on.
    pub(super) fn set_loss(&self, loss_percent: u64) {
        let mut state = self.state();
        let delay_ms = state.delay_ms.clone();
        state.become_rough(delay_ms, loss_percent);
    }

    /// Resets connections, each with this chance.
    pub(super) fn reset(&self, percent: u64, chance: &mut Chance) {
        for pipe in self.pipes().into_iter().filter(|_| chance.percent(percent)) {
            let mut pipe = pipe.lock().unwrap();
            pipe.torn = true;
            pipe.wake();
        }
    }

    fn is_held(&self, from: Spot, to: Spot) -> bool {
        self.state().is_held(from, to)
    }

    /// Whether a node was down within this time, or two of the others, or all of them, may have lost
    /// sight of it.
    pub(super) fn was_out_of_sight(&self, spot: Spot, others: &[Spot], within: Duration) -> bool {
        let (state, now) = (self.state(), Instant::now());
        let lately = |at: Option<&Instant>| at.is_some_and(|at| *at + within >= now);
        let down =
            |spot: &Spot| !state.nodes.contains_key(spot) || lately(state.down_until.get(spot));
        let cut = |from: Spot, to: Spot| {
            state.is_held(from, to) || lately(state.held_until.get(&(from, to)))
        };
        let blind = |other: &&Spot| down(other) || cut(spot, **other) || cut(**other, spot);
        state.is_rough()
            || lately(state.rough_until.as_ref())
            || down(&spot)
            || others.iter().filter(blind).count() >= others.len().min(2)
    }

    /// How one life of a node calls the others.
    pub(super) fn dialer(&self, spot: Spot, life: Life) -> Dialer {
        let network = self.clone();
        Dialer::new(move |address| {
            let (network, to) = (network.clone(), Self::spot(address));
            async move {
                let end = network.dial((spot, life), to.ok_or_else(refused)?).await?;
                let end: Box<dyn Duplex> = Box::new(end);
                Ok(end)
            }
        })
    }

    async fn dial(&self, from: (Spot, Life), to: Spot) -> io::Result<End> {
        let delay = self.delay();
        tokio::time::sleep(delay).await;
        loop {
            let changed = self.change.notified();
            // An attempt needs both directions.
            if !self.is_held(from.0, to) && !self.is_held(to, from.0) {
                return self.connect(from, to);
            }
            changed.await;
        }
    }

    fn connect(&self, from: (Spot, Life), to: Spot) -> io::Result<End> {
        let mut state = self.state();
        let alive = state.nodes.get(&from.0).is_some_and(|(life, _)| *life == from.1);
        let Some((life, accepts)) = state.nodes.get(&to).cloned().filter(|_| alive) else {
            return Err(refused());
        };
        let there = Pipe::new(from, (to, life));
        let back = Pipe::new((to, life), from);
        state.pipes.push(Arc::downgrade(&there));
        state.pipes.push(Arc::downgrade(&back));
        let end = |incoming: &Arc<_>, outgoing: &Arc<_>| End {
            network: self.clone(),
            incoming: Arc::clone(incoming),
            outgoing: Arc::clone(outgoing),
            sleep: None,
        };
        let (near, far) = (end(&back, &there), end(&there, &back));
        drop(state);
        accepts.send(Ok(far)).map_err(|_| refused())?;
        Ok(near)
    }

    fn delay(&self) -> Duration {
        let mut state = self.state();
        let (range, loss_percent) = (state.delay_ms.clone(), state.loss_percent);
        let delay = state.chance.millis(range);
        if state.chance.percent(loss_percent) {
            return delay + state.chance.millis(RESEND_MS);
        }
        delay
    }
}

impl State {
    fn is_held(&self, from: Spot, to: Spot) -> bool {
        self.holds.values().any(|held| held.contains(&(from, to)))
    }

    fn note_held(&mut self, held: impl IntoIterator<Item = Direction>) {
        let now = Instant::now();
        self.held_until.extend(held.into_iter().map(|direction| (direction, now)));
    }

    fn is_rough(&self) -> bool {
        self.loss_percent > 0 || self.delay_ms != USUAL_MS
    }

    fn become_rough(&mut self, delay_ms: Range<u64>, loss_percent: u64) {
        if self.is_rough() {
            self.rough_until = Some(Instant::now());
        }
        (self.delay_ms, self.loss_percent) = (delay_ms, loss_percent);
    }
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

impl Pipe {
    fn new(from: (Spot, Life), to: (Spot, Life)) -> Arc<Mutex<Self>> {
        let pipe = Self {
            from,
            to,
            under_way: VecDeque::new(),
            bytes: 0,
            last: Instant::now(),
            ended: false,
            torn: false,
            reader: None,
            writer: None,
        };
        Arc::new(Mutex::new(pipe))
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut pipe = this.incoming.lock().unwrap();
        loop {
            if pipe.torn {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            pipe.reader = Some(cx.waker().clone());
            if this.network.is_held(pipe.from.0, pipe.to.0) {
                return Poll::Pending;
            }
            let Some((due, bytes)) = pipe.under_way.front_mut() else {
                return if pipe.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            if *due > Instant::now() {
                let due = *due;
                let sleep =
                    this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
                sleep.as_mut().reset(due);
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            let count = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..count]);
            bytes.advance(count);
            if bytes.is_empty() {
                pipe.under_way.pop_front();
            }
            pipe.bytes -= count;
            if let Some(writer) = pipe.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let delay = self.network.delay();
        let mut pipe = self.outgoing.lock().unwrap();
        if pipe.torn || pipe.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = PIPE_BYTES.saturating_sub(pipe.bytes);
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room);
        pipe.last = pipe.last.max(Instant::now() + delay);
        let due = pipe.last;
        pipe.under_way.push_back((due, Bytes::copy_from_slice(&bytes[..count])));
        pipe.bytes += count;
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl End {
    fn end(&self) {
        let mut pipe = self.outgoing.lock().unwrap();
        pipe.ended = true;
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.end();
        // Nobody reads any more: whoever writes hears of it.
        let mut pipe = self.incoming.lock().unwrap();
        pipe.ended = true;
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
    }
}
