//! Watches over the other nodes, and says so when one is lost.
//!
//! One task looks at every other node twice a second, and at once when somebody suspects it
//! ([`Neighbours::suspect`]). A node that is gone, or silent for too long, and that nobody else
//! sees either, is given up: its start is over, and so are its sessions and the queues in its
//! memory. Whoever finds itself given up and lives says that it does.

mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use warren_consensus::Peers;
use warren_rpc::{Distress, PeerError, Ping, Pong};
use warren_types::{NodeId, SessionId};

use self::judge::Judge;
use super::chart::Chart;
use super::sight::{Look, Sight, Watched};

/// How long a look may take.
pub(super) const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// A look is due at most this much earlier or later, so that nodes do not look in step.
const JITTER: std::ops::Range<f64> = 0.85..1.15;

/// When this task was not run for so long, it was this process that was away.
const FROZEN: Duration = Duration::from_secs(3);

/// Between two attempts to have the same node given up.
const JUDGE_PAUSE: Duration = Duration::from_millis(500);

/// Questions that may wait. A hint that does not fit is dropped: the looks go on anyway.
const MAILBOX_ASKS: usize = 256;

/// What is seen of every other node.
pub(crate) type Sights = BTreeMap<NodeId, Sight>;

/// The other nodes, for those who want to know how they are. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    sights: watch::Receiver<Arc<Sights>>,
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Ask {
    node: NodeId,
    answer_to: Option<oneshot::Sender<Sight>>,
}

impl Neighbours {
    /// What is seen of every other node, and every change of it.
    pub(crate) fn sights(&self) -> watch::Receiver<Arc<Sights>> {
        self.sights.clone()
    }

    /// Something about `node` is not as it should be: it is looked at now.
    pub(crate) fn suspect(&self, node: NodeId) {
        drop(self.asks.try_send(Ask { node, answer_to: None }));
    }

    /// Looks at `node` anew.
    pub(crate) async fn look(&self, node: NodeId) -> Option<Sight> {
        let (answer_to, answer) = oneshot::channel();
        self.asks.send(Ask { node, answer_to: Some(answer_to) }).await.ok()?;
        answer.await.ok()
    }
}

/// One node that is watched.
#[derive(Debug)]
struct Place {
    watched: Watched,
    /// Whether the catalog believed it to run.
    running: bool,
    /// When to look next, unless a look is under way.
    due: Instant,
    looking: bool,
    /// Somebody wants another look after the one that is under way.
    hurry: bool,
    /// Wait for the look that is under way.
    hearing: Vec<oneshot::Sender<Sight>>,
    /// Wait for the look after that.
    waiting: Vec<oneshot::Sender<Sight>>,
    judging: bool,
    /// When it may be judged again.
    judge_at: Instant,
}

/// Who watches, and by what means.
pub(super) struct Means {
    pub(super) session: SessionId,
    pub(super) timeout: Duration,
    pub(super) peers: Peers,
    pub(super) chart: watch::Receiver<Arc<Chart>>,
    pub(super) directory: crate::directory::Directory,
    pub(super) leadership: watch::Receiver<warren_consensus::Leadership>,
    /// Whether this node is about to end.
    pub(super) draining: Arc<AtomicBool>,
    /// What this node runs out of.
    pub(super) distress: watch::Receiver<Distress>,
}

/// The task that looks.
pub(super) struct Watcher {
    means: Means,
    judge: Judge,
    places: BTreeMap<NodeId, Place>,
    sights: watch::Sender<Arc<Sights>>,
    asks: mpsc::Receiver<Ask>,
    looks: FuturesUnordered<BoxFuture<'static, (NodeId, Look)>>,
    /// Of other nodes, whether they are lost; of this one, that it is not.
    judgements: FuturesUnordered<BoxFuture<'static, NodeId>>,
    /// Whether it is being said that this node lives, and when that may be said again.
    rising: bool,
    rise_at: Instant,
    /// When the task last had its turn.
    turn: Instant,
}

impl Watcher {
    /// Nobody has been looked at yet.
    pub(super) fn new(means: Means) -> (Neighbours, Self) {
        let (sights, seen) = watch::channel(Arc::default());
        let (asking, asks) = mpsc::channel(MAILBOX_ASKS);
        let neighbours = Neighbours { sights: seen.clone(), asks: asking };
        let judge = Judge::new(&means, seen);
        let (looks, judgements) = (FuturesUnordered::new(), FuturesUnordered::new());
        let places = BTreeMap::new();
        let now = Instant::now();
        let watcher = Self {
            means,
            judge,
            places,
            sights,
            asks,
            looks,
            judgements,
            rising: false,
            rise_at: now,
            turn: now,
        };
        (neighbours, watcher)
    }

    /// Serves until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.read_chart(Instant::now());
        loop {
            let due = self.places.values().filter(|place| !place.looking).map(|place| place.due);
            let due = due.min();
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.means.chart.changed() => match changed {
                    Ok(()) => self.read_chart(Instant::now()),
                    Err(_) => return,
                },
                Some(ask) = self.asks.recv() => self.take(ask),
                Some((node, look)) = self.looks.next(), if !self.looks.is_empty() => {
                    self.note(node, look);
                }
                Some(node) = self.judgements.next(), if !self.judgements.is_empty() => {
                    self.judged(node);
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)),
                    if due.is_some() => {}
            }
            self.turn();
        }
    }

    /// Takes over which nodes there are and where.
    fn read_chart(&mut self, now: Instant) {
        let chart = Arc::clone(&self.means.chart.borrow_and_update());
        let here = self.means.session.node;
        let gone: Vec<NodeId> =
            self.places.keys().filter(|node| !chart.nodes.contains_key(node)).copied().collect();
        for node in gone {
            self.places.remove(&node);
            self.means.peers.forget(node);
        }
        for row in chart.nodes.values().filter(|row| row.id != here) {
            self.means.peers.set_address(row.id, &row.address);
            let place = self.places.entry(row.id).or_insert_with(|| Place::new(now));
            if row.running && !place.running {
                place.watched.excuse(now);
                place.due = now;
            }
            place.running = row.running;
        }
    }

    fn take(&mut self, ask: Ask) {
        // A node that is not known is answered by being dropped.
        let Some(place) = self.places.get_mut(&ask.node) else { return };
        place.waiting.extend(ask.answer_to);
        if place.looking {
            place.hurry = true;
        } else {
            place.due = Instant::now();
        }
    }

    fn note(&mut self, node: NodeId, look: Look) {
        // It may have been forgotten meanwhile.
        let Some(place) = self.places.get_mut(&node) else { return };
        let now = Instant::now();
        let (before, pause) = (place.watched.sight(), place.watched.note(look, now));
        let seen = place.watched.sight();
        if before.is_alive() != seen.is_alive() {
            tracing::info!(%node, ?seen, "another node is seen otherwise");
        }
        place.looking = false;
        let pause = pause.mul_f64(rand::random_range(JITTER));
        place.due = if std::mem::take(&mut place.hurry) { now } else { now + pause };
        for waiting in place.hearing.drain(..) {
            let _heard = waiting.send(seen);
        }
    }

    fn judged(&mut self, node: NodeId) {
        let again = Instant::now() + JUDGE_PAUSE;
        if node == self.means.session.node {
            (self.rising, self.rise_at) = (false, again);
        } else if let Some(place) = self.places.get_mut(&node) {
            (place.judging, place.judge_at) = (false, again);
        }
    }

    /// Whatever is due, in the order that keeps a process that was frozen from blaming others.
    fn turn(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.turn) > FROZEN {
            for place in self.places.values_mut() {
                place.watched.excuse(now);
            }
        }
        self.turn = now;
        self.look_around(now);
        self.publish();
        self.judge(now);
        self.rise(now);
    }

    fn look_around(&mut self, now: Instant) {
        let ping = Ping {
            draining: self.means.draining.load(Ordering::Relaxed),
            distress: *self.means.distress.borrow(),
        };
        for (node, place) in &mut self.places {
            if place.looking || place.due > now {
                continue;
            }
            place.looking = true;
            place.hearing = std::mem::take(&mut place.waiting);
            let (node, peers) = (*node, self.means.peers.clone());
            self.looks.push(Box::pin(async move { (node, look(&peers, node, ping).await) }));
        }
    }

    fn publish(&self) {
        let places = &self.places;
        self.sights.send_if_modified(|known| {
            let seen = || places.iter().map(|(node, place)| (*node, place.watched.sight()));
            let changed = !known.iter().map(|(node, sight)| (*node, *sight)).eq(seen());
            if changed {
                *known = Arc::new(seen().collect());
            }
            changed
        });
    }

    fn judge(&mut self, now: Instant) {
        let chart = Arc::clone(&self.means.chart.borrow());
        for (node, place) in &mut self.places {
            let Some(row) = chart.nodes.get(node) else { continue };
            if place.judging || place.judge_at > now {
                continue;
            }
            if let Some(suspicion) = place.watched.over(row, now, self.means.timeout) {
                place.judging = true;
                let (judge, node) = (self.judge.clone(), *node);
                self.judgements.push(Box::pin(async move {
                    judge.lose(node, suspicion).await;
                    node
                }));
            }
        }
    }

    /// This node was given up and lives: it was frozen, or cut off.
    fn rise(&mut self, now: Instant) {
        let SessionId { node, boot } = self.means.session;
        if self.rising || self.rise_at > now || self.means.draining.load(Ordering::Relaxed) {
            return;
        }
        let given_up = |row: &warren_catalog::Node| row.boot == boot && !row.running;
        let chart = Arc::clone(&self.means.chart.borrow());
        if let Some(row) = chart.nodes.get(&node).filter(|row| given_up(row)) {
            self.rising = true;
            let (judge, speaks) = (self.judge.clone(), row.speaks);
            self.judgements.push(Box::pin(async move {
                judge.rise(node, boot, speaks).await;
                node
            }));
        }
    }
}

impl Place {
    fn new(now: Instant) -> Self {
        Self {
            watched: Watched::new(now),
            running: false,
            due: now,
            looking: false,
            hurry: false,
            hearing: Vec::new(),
            waiting: Vec::new(),
            judging: false,
            judge_at: now,
        }
    }
}

async fn look(peers: &Peers, node: NodeId, ping: Ping) -> Look {
    match peers.ping(node, ping, LOOK_LIMIT).await {
        Ok(Pong { boot, draining, distress, .. }) => Look::Answered { boot, draining, distress },
        // Somebody else has the address: the node that had it is not there.
        Err(PeerError::Gone { .. } | PeerError::Stranger { .. }) => Look::Refused,
        Err(
            PeerError::NoAddress { .. }
            | PeerError::Unreachable { .. }
            | PeerError::TimedOut { .. }
            | PeerError::Unavailable { .. }
            | PeerError::NotHere { .. }
            | PeerError::UnknownGroup { .. }
            | PeerError::NotLeader { .. }
            | PeerError::Failed { .. },
        ) => Look::Nothing,
    }
}
