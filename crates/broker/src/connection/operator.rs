//! What somebody without a connection asks of queues: to publish, and to fetch a few messages.
//!
//! **Always holds:** what was fetched goes back, or is settled as was wished, also when whoever asked
//! for it gives up meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use warren_amqp::header::Properties;
use warren_amqp::{Body, ReplyCode};
use warren_catalog::{Access, Queue};
use warren_queue::entry::{FragmentWriter, message};
use warren_queue::{Command, CommandReply, FragmentReply, Got, Outcome, SettleRange};
use warren_types::{ChannelNumber, ConsumerNumber};

use super::consume::refused;
use super::context::{Context, Kind, unexpected};
use super::dedup::keys;
use super::deliver::{counts_deliveries, whole_body, with_counts};
use super::firehose::{Given, copy_fetched, copy_publish_apart};
use super::flow::is_refused;
use super::message::{Wishes, wishes};
use super::plan::Plan;
use super::publish::{Bar, Publish, ask, route, route_permitted};
use super::staging::{Origin, Staging};
use crate::broker::Inner;
use crate::failure::Failure;
use crate::queue::handle::{ShardSlot, read_parts};

/// Bytes of bodies that one fetch gathers at most, after which it stops.
const FETCH_BYTES: usize = 64 * 1024 * 1024;

/// The number that the holder of what is fetched has.
const FETCHER: u32 = 1;

/// What became of a message that was published apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is in all queues that it goes to.
    Routed,
    /// No queue wants it.
    Unroutable,
    /// A queue that it goes to is full and refused it.
    Refused,
}

/// A message that was fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The body, or the beginning of it.
    pub payload: Bytes,
    /// Bytes of the whole body.
    pub payload_bytes: u64,
    /// Whether it was given to somebody before.
    pub redelivered: bool,
    /// The exchange it was published to.
    pub exchange: String,
    /// The key it was published with.
    pub routing_key: String,
    /// Messages that were left behind it.
    pub left: u64,
    /// Its properties.
    pub properties: Properties,
}

/// Messages that are held on somebody's behalf: they go back when it goes.
pub(super) struct Loan {
    broker: Arc<Inner>,
    pub(super) slot: ShardSlot,
    pub(super) consumer: ConsumerNumber,
}

impl Loan {
    /// A loan of what is in that shard, with a number that no connection has, nor its consumers.
    pub(super) fn new(broker: &Arc<Inner>, slot: ShardSlot) -> Self {
        let consumer = broker.registry.number().consumer(FETCHER);
        Self { broker: Arc::clone(broker), slot, consumer }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.broker.shard(self.slot).tell(&Command::Detach { consumer: self.consumer });
    }
}

impl Context {
    /// Publishes one message and waits until it is safe.
    pub(crate) async fn publish_apart(&self, publish: Publish) -> Result<Published, Failure> {
        let user = &self.client.user;
        let impersonates = self.trusted
            || self.broker.directory.look(|catalog| self.client.is_impersonator(catalog));
        let wishes = wishes(publish.header.clone(), user, impersonates)?;
        self.broker.counters.published.add(1);
        let plan = self.way(&publish, &wishes).await?;
        plan.count();
        copy_publish_apart(&self.broker, &self.client, &publish, &wishes, &plan);
        if plan.shards.is_empty() {
            self.broker.counters.unroutable_dropped.add(1);
            return Ok(Published::Unroutable);
        }
        let mut staging = Staging::default();
        let origin = Origin { channel: ChannelNumber(0), generation: 0, tag: None };
        for (slot, queues) in &plan.shards {
            let keys = keys(&plan.once, *slot, &wishes);
            let parts = wishes.parts(&publish, queues, &keys);
            staging.publish(*slot, &parts, &publish.body, origin, || self.broker.upload());
        }
        let staged = staging.take();
        let asks =
            staged.into_iter().map(|staged| self.broker.shard(staged.slot).ask(staged.fragment));
        let mut published = Published::Routed;
        for reply in join_all(asks).await {
            let FragmentReply::Done(replies) = reply.map_err(Failure::unavailable)? else {
                return Err(Failure::unavailable("the outcome of the publish is not known"));
            };
            if replies.iter().any(|(_, reply)| is_refused(reply)) {
                published = Published::Refused;
            }
        }
        self.broker.counters.confirmed.add(1);
        Ok(published)
    }

    /// Where a message goes; other nodes are asked before it is nowhere.
    pub(super) async fn way(&self, publish: &Publish, wishes: &Wishes) -> Result<Plan, Failure> {
        let found = self.way_by_now(publish, wishes).await;
        let settled = found.as_ref().is_ok_and(|plan| !plan.shards.is_empty());
        if settled || self.broker.directory.is_alone() {
            return found;
        }
        self.broker.directory.catch_up().await.map_err(Failure::unavailable)?;
        self.way_by_now(publish, wishes).await
    }

    /// The same by the local copy of the catalog.
    async fn way_by_now(&self, publish: &Publish, wishes: &Wishes) -> Result<Plan, Failure> {
        if self.trusted {
            let found = route_permitted(&self.broker, &self.client, publish, wishes);
            return found.map(|(plan, _)| plan);
        }
        loop {
            match route(&self.broker, &self.client, publish, wishes) {
                Ok((plan, _)) => return Ok(plan),
                Err(Bar::Refused(failure)) => return Err(failure),
                Err(Bar::Unasked(question)) => ask(&self.client, &question).await?,
            }
        }
    }

    /// Fetches up to `count` messages and settles them with `outcome` afterwards, all at once, so
    /// that none is fetched twice. Bodies are cut after `truncate_bytes`.
    pub(crate) async fn fetch(
        &self,
        queue: &str,
        count: usize,
        outcome: Outcome,
        truncate_bytes: usize,
    ) -> Result<Vec<Fetched>, Failure> {
        self.permit(Access::Read, Kind::Queue, queue).await?;
        let queue = self.queue(queue).await?;
        let slot = self.slot(&queue)?;
        let loan = Loan::new(&self.broker, slot);
        let consumer = loan.consumer;
        let (mut fetched, mut ranges, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
        while fetched.len() < count && bytes < FETCH_BYTES {
            let Some(got) = self.take(&queue, consumer).await? else { break };
            ranges.push(SettleRange { from: got.sequence, to: got.sequence });
            // A queue that was deleted between the answer and the read has no messages.
            let Some(message) = self.read(&queue, slot, &got, truncate_bytes).await else { break };
            bytes = bytes.saturating_add(message.payload.len());
            fetched.push(message);
        }
        self.broker.counters.got.add(u64::try_from(fetched.len()).unwrap_or(u64::MAX));
        if !ranges.is_empty() {
            let mut fragment = FragmentWriter::new();
            fragment.command(&Command::Settle { consumer, outcome, ranges });
            let settled = self.broker.shard(slot).ask(fragment.finish()).await;
            settled.map_err(Failure::unavailable)?;
        }
        drop(loan);
        Ok(fetched)
    }

    async fn take(&self, queue: &Queue, consumer: ConsumerNumber) -> Result<Option<Got>, Failure> {
        let command = Command::Get { consumer, queue: queue.id, no_ack: false };
        match self.ask(queue, &command).await? {
            Some(CommandReply::Got(got)) => Ok(Some(got)),
            Some(CommandReply::Empty) => Ok(None),
            Some(CommandReply::Refused(refusal)) => Err(refused(refusal, queue)),
            other => Err(unexpected(other.as_ref())),
        }
    }

    async fn read(
        &self,
        queue: &Queue,
        slot: ShardSlot,
        got: &Got,
        truncate_bytes: usize,
    ) -> Option<Fetched> {
        let shard = self.broker.shard(slot);
        let (row, parts) = read_parts(shard, got.location, got.parts.as_deref()).await?;
        let found = message(&row, got.location.offset).ok()?;
        let counts = counts_deliveries(queue)
            .then(|| with_counts(got.acquired_count, got.delivery_count, &found.header));
        let counted = counts.flatten();
        let body = whole_body(&parts, found.body.clone());
        let given = Given { queue: queue.id, redelivered: got.redelivered, body: &body };
        copy_fetched(&self.broker, &self.client, &given, &found);
        let header = counted.unwrap_or(found.header);
        Some(Fetched {
            payload: beginning(&body, truncate_bytes),
            payload_bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
            redelivered: got.redelivered,
            exchange: String::from_utf8_lossy(&found.exchange).into_owned(),
            routing_key: String::from_utf8_lossy(&found.routing_key).into_owned(),
            left: got.remaining,
            properties: Properties::decode(&header).unwrap_or_default(),
        })
    }
}

/// A body's first bytes, in memory of their own: the row that they stand in may be large.
pub(crate) fn beginning(body: &Body, bytes: usize) -> Bytes {
    let mut beginning = Vec::new();
    for piece in body.pieces() {
        let room = bytes.saturating_sub(beginning.len());
        beginning.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }
    Bytes::from(beginning)
}

/// A message as an operator gives it.
pub(crate) fn publish_of(
    exchange: &str,
    routing_key: &str,
    properties: &Properties,
    body: Bytes,
) -> Result<Publish, Failure> {
    let short = |text: &str| u8::try_from(text.len()).is_ok();
    if !short(exchange) || !short(routing_key) {
        let text = "names and routing keys have at most 255 bytes";
        return Err(Failure::new(ReplyCode::PreconditionFailed, text));
    }
    Ok(Publish {
        exchange: Bytes::copy_from_slice(exchange.as_bytes()),
        routing_key: Bytes::copy_from_slice(routing_key.as_bytes()),
        mandatory: true,
        immediate: false,
        header: properties.encode(),
        body: Body::from(body),
    })
}
