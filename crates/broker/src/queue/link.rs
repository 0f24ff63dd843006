//! The streams from this node's fronts to the nodes that lead their shards.
//!
//! There is one stream per other node, made when something is to be sent. What waits together
//! leaves together. When a stream breaks, every shard that spoke over it is told, and what
//! waited is dropped: it is sent again once its shard knows where to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warren_queue::wire::Notice;
use warren_rpc::{FrontItem, HostItem, Peers};
use warren_types::{LogIndex, NodeId, SessionId};

use super::effects;
use super::handle::Event;
use crate::broker::Inner;

/// How long a stream may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The shortest time between two attempts to make a stream to the same node.
const CONNECT_PAUSE: Duration = Duration::from_millis(25);

/// Bytes that leave in one message, about.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// Messages that wait for the stream; behind them items gather.
const MESSAGES_WAITING: usize = 2;

/// Items that are taken at once.
const TAKE: usize = 256;

/// The streams to the other nodes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Links {
    shared: Arc<Shared>,
}

struct Shared {
    peers: Peers,
    broker: OnceLock<Weak<Inner>>,
    nodes: Mutex<HashMap<NodeId, mpsc::UnboundedSender<FrontItem>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Links {
    /// No stream yet.
    pub(crate) fn new(peers: Peers, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let (broker, nodes) = (OnceLock::new(), Mutex::default());
        Self { shared: Arc::new(Shared { peers, broker, nodes, tasks, stop }) }
    }

    /// From here on, what comes in goes to `broker`.
    pub(crate) fn serve(&self, broker: &Arc<Inner>) {
        // There is one broker in the life of its links.
        let _first = self.shared.broker.set(Arc::downgrade(broker));
    }

    /// Whether the node of `session` answers, as the same start.
    pub(crate) async fn lives(&self, session: SessionId) -> bool {
        match self.shared.broker.get().and_then(Weak::upgrade) {
            Some(broker) => broker.lives(session).await,
            None => false,
        }
    }

    /// Sends `item` to `node`. Whether it arrives shows in what comes back, or in
    /// [`Event::LinkDown`].
    pub(crate) fn send(&self, node: NodeId, item: FrontItem) {
        let mut nodes = self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = nodes.entry(node).or_insert_with(|| {
            #[expect(clippy::disallowed_methods, reason = "each shard bounds what is on its way")]
            let (sender, items) = mpsc::unbounded_channel();
            let link = Link { node, items, shared: self.shared.clone() };
            self.shared.tasks.spawn(link.run());
            sender
        });
        drop(sender.send(item));
    }
}

struct Link {
    node: NodeId,
    items: mpsc::UnboundedReceiver<FrontItem>,
    shared: Arc<Shared>,
}

impl Link {
    async fn run(mut self) {
        let stop = self.shared.stop.clone();
        loop {
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                first = self.items.recv() => first,
            };
            let Some(first) = first else { return };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.converse(first) => {}
            }
            // What waits was sent before its shard heard that the stream broke.
            while self.items.try_recv().is_ok() {}
            self.down();
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
    }

    /// Makes a stream and serves it until it breaks.
    async fn converse(&mut self, first: FrontItem) {
        let (outgoing, messages) = mpsc::channel(MESSAGES_WAITING);
        let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
        let made = self.shared.peers.front(self.node, stream, CONNECT_LIMIT).await;
        let mut incoming = match made {
            Ok((_boot, incoming)) => incoming,
            Err(error) => {
                tracing::debug!(node = %self.node, %error, "no front-end stream");
                return;
            }
        };
        let mut waiting = VecDeque::from([first]);
        let mut taken = Vec::new();
        loop {
            tokio::select! {
                biased;
                items = incoming.next() => match items {
                    Some(Ok(items)) => self.take(items),
                    Some(Err(error)) => {
                        tracing::debug!(node = %self.node, %error, "the front-end stream broke");
                        return;
                    }
                    None => return,
                },
                room = outgoing.reserve(), if !waiting.is_empty() => match room {
                    Ok(room) => room.send(self.next_message(&mut waiting)),
                    Err(_) => return,
                },
                count = self.items.recv_many(&mut taken, TAKE), if waiting.len() < TAKE => {
                    if count == 0 {
                        return;
                    }
                    waiting.extend(taken.drain(..));
                }
            }
        }
    }

    /// Takes out what leaves in one message.
    fn next_message(&self, waiting: &mut VecDeque<FrontItem>) -> Vec<FrontItem> {
        let (mut message, mut bytes) = (Vec::new(), 0_usize);
        while bytes < MESSAGE_BYTES {
            let Some(item) = waiting.pop_front() else { break };
            bytes = bytes.saturating_add(weight(&item));
            message.push(item);
        }
        if let Some(broker) = self.shared.broker.get().and_then(Weak::upgrade) {
            broker.counters.link_sent_bytes.add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
        message
    }

    fn take(&self, items: Vec<HostItem>) {
        let Some(broker) = self.shared.broker.get().and_then(Weak::upgrade) else { return };
        for item in items {
            match item {
                HostItem::Notices { notices, rows, .. } => {
                    let rows_bytes = rows.iter().map(|(_, row)| row.len());
                    let bytes: usize = notices.iter().map(Bytes::len).chain(rows_bytes).sum();
                    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                    broker.counters.link_received_bytes.add(bytes);
                    let rows: BTreeMap<LogIndex, _> = rows.into_iter().collect();
                    let notices = notices.into_iter().filter_map(readable).collect();
                    effects::told(&broker.registry, broker.session, notices, &rows);
                }
                item @ (HostItem::Subscribed { place, .. }
                | HostItem::Refused { place, .. }
                | HostItem::Answers { place, .. }) => {
                    if let Some(shard) = broker.shards.there(self.node, place) {
                        shard.inform(Event::FromHost { node: self.node, item });
                    }
                }
            }
        }
    }

    fn down(&self) {
        let Some(broker) = self.shared.broker.get().and_then(Weak::upgrade) else { return };
        broker.suspect(self.node);
        for shard in broker.shards.visited() {
            shard.inform(Event::LinkDown { node: self.node });
        }
    }
}

fn readable(bytes: Bytes) -> Option<Notice> {
    match Notice::decode(bytes) {
        Ok(notice) => Some(notice),
        Err(error) => {
            tracing::error!(%error, "unreadable notice");
            None
        }
    }
}

fn weight(item: &FrontItem) -> usize {
    match item {
        FrontItem::Subscribe { .. } => 0,
        FrontItem::Fragments { fragments, .. } => {
            fragments.iter().map(|fragment| fragment.fragment.len()).sum()
        }
        FrontItem::DirectReply(reply) => reply.header.len().saturating_add(reply.body.len()),
    }
}
