//! Answers other nodes' fronts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use warren_amqp::Body;
use warren_queue::entry::thin;
use warren_rpc::{Caller, Flow, Followed, FrontItem, FrontendHandler, HostItem, Place, Refusal};
use warren_types::{ChannelNumber, LogIndex, SessionId};

use crate::broker::Inner;
use crate::connection::{DirectReply, ToConnection};
use crate::queue::guests::{GuestEvent, GuestId, Outbox, OutboxItems};
use crate::queue::handle::{Event, ShardHandle};
use crate::registry::ConnectionId;

/// Bytes that leave in one message, about.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// Items that leave in one message.
const MESSAGE_ITEMS: usize = 256;

/// Hands what other nodes' fronts ask to this node's shards.
pub struct Host {
    broker: Arc<Inner>,
    last_guest: AtomicU64,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// One stream of another node, as long as it lasts.
struct Visit {
    broker: Arc<Inner>,
    guest: GuestId,
    session: SessionId,
    outbox: Outbox,
}

impl Drop for Visit {
    /// The stream may be dropped at any time.
    fn drop(&mut self) {
        for shard in self.broker.shards.hosted() {
            shard.inform(Event::Guest(GuestEvent::Gone { guest: self.guest }));
        }
    }
}

impl Host {
    pub(crate) fn new(broker: Arc<Inner>) -> Self {
        Self { broker, last_guest: AtomicU64::new(0) }
    }

    fn shard(&self, place: Place) -> Option<&ShardHandle> {
        self.broker.shard_here(place)
    }
}

impl Visit {
    async fn receive(self, mut items: Flow<Vec<FrontItem>>) {
        let stop = self.broker.stopping().clone();
        loop {
            let items = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                items = items.next() => items,
            };
            let Some(items) = items else { return };
            items.into_iter().for_each(|item| self.take(item));
        }
    }

    fn take(&self, item: FrontItem) {
        let guest = self.guest;
        match item {
            FrontItem::Subscribe { place, round, wants_rows } => {
                let (session, outbox) = (self.session, self.outbox.clone());
                let event = GuestEvent::Subscribe { guest, session, outbox, round, wants_rows };
                self.pass_on(place, round, event);
            }
            FrontItem::Fragments { place, round, fragments } => {
                self.pass_on(place, round, GuestEvent::Fragments { guest, round, fragments });
            }
            FrontItem::DirectReply(reply) => {
                let connection = ConnectionId(reply.connection);
                let message = ToConnection::DirectReply(DirectReply {
                    channel: ChannelNumber(reply.channel),
                    nonce: reply.nonce,
                    exchange: reply.exchange,
                    routing_key: reply.routing_key,
                    header: reply.header,
                    body: Body::from(reply.body),
                });
                // Who is not there does not get replies.
                let _reached = self.broker.registry.send_to(connection, message);
            }
        }
    }

    fn pass_on(&self, place: Place, round: u64, event: GuestEvent) {
        match self.broker.shard_here(place) {
            Some(shard) => shard.inform(Event::Guest(event)),
            None => {
                let (leader, term) = (None, Default::default());
                self.outbox.send(HostItem::Refused { place, round, leader, term });
            }
        }
    }
}

impl FrontendHandler for Host {
    fn converse(&self, caller: Caller, items: Flow<Vec<FrontItem>>) -> Flow<Vec<HostItem>> {
        let guest = GuestId(self.last_guest.fetch_add(1, Ordering::Relaxed).saturating_add(1));
        let session = SessionId { node: caller.node, boot: caller.boot };
        let (outbox, outgoing) = Outbox::new();
        let visit = Visit { broker: self.broker.clone(), guest, session, outbox };
        // The stream's two directions end together: without its visit nobody has its outbox.
        self.broker.spawn(visit.receive(items));
        let stop = self.broker.stopping().clone();
        Box::pin(stream::unfold(outgoing, next_message).take_until(stop.cancelled_owned()))
    }

    async fn rows(
        &self,
        _caller: Caller,
        place: Place,
        wanted: Vec<(LogIndex, Vec<u32>)>,
    ) -> Result<Vec<(LogIndex, Bytes)>, Refusal> {
        let unknown = || Refusal::Failed { text: "the shard is not here".to_owned() };
        let shard = self.shard(place).ok_or_else(unknown)?;
        let mut rows = Vec::new();
        for (index, mut offsets) in wanted {
            let Some(row) = here(shard, index).await.ok_or_else(unknown)? else { continue };
            offsets.sort_unstable();
            offsets.dedup();
            rows.push((index, thin(&row, &offsets)));
        }
        Ok(rows)
    }

    async fn follow(
        &self,
        _caller: Caller,
        place: Place,
        question: Bytes,
    ) -> Result<Followed, Refusal> {
        let shard = self.shard(place).ok_or(Refusal::NotHere)?;
        let answer = crate::stream::answer(shard, question);
        // Whoever waits for what comes next does not hold up a node that stops.
        let answered = self.broker.draining().run_until_cancelled(answer).await;
        answered.unwrap_or_else(|| Err(Refusal::Unavailable { text: "the node stops".to_owned() }))
    }

    async fn listens(&self, _caller: Caller, nonce: u64) -> Result<bool, Refusal> {
        Ok(self.broker.registry.listens(nonce))
    }

    async fn survey(&self, _caller: Caller, question: Bytes) -> Result<Bytes, Refusal> {
        crate::survey::reply(&self.broker, question).await
    }
}

/// A row as this node has it; `None` if it cannot say.
async fn here(shard: &ShardHandle, index: LogIndex) -> Option<Option<Bytes>> {
    if shard.whereabouts().is_own_memory() {
        return Some(shard.row_of_memory(index).await);
    }
    shard.whereabouts().row_of_replica(index).await
}

/// What leaves next on a guest's stream: all that waits.
async fn next_message(mut outgoing: OutboxItems) -> Option<(Vec<HostItem>, OutboxItems)> {
    let mut next = Some(outgoing.recv().await?);
    let (mut message, mut bytes) = (Vec::new(), 0_usize);
    while let Some(item) = next {
        bytes = bytes.saturating_add(weight(&item));
        message.push(item);
        let full = bytes >= MESSAGE_BYTES || message.len() >= MESSAGE_ITEMS;
        next = if full { None } else { outgoing.try_recv() };
    }
    Some((message, outgoing))
}

fn weight(item: &HostItem) -> usize {
    let lengths = |bytes: &[Bytes]| bytes.iter().map(Bytes::len).sum::<usize>();
    match item {
        HostItem::Subscribed { consumers, .. } => consumers.len().saturating_mul(8),
        HostItem::Refused { .. } => 0,
        HostItem::Answers { answers, .. } => answers.iter().map(|(_, reply)| reply.len()).sum(),
        HostItem::Notices { notices, rows, .. } => {
            let rows: usize = rows.iter().map(|(_, row)| row.len()).sum();
            lengths(notices).saturating_add(rows)
        }
    }
}
