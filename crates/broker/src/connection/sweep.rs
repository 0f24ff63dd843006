//! Messages of a queue, looked at, dropped, or moved elsewhere, as they are asked for by filter.
//!
//! **Always holds:** a message that is moved is held at its queue by nobody else meanwhile, and is gone
//! from there only after all queues of its target have it. Whoever moves it may be lost at any
//! moment: then it waits where it waited, and perhaps at the target as well. The order of what is
//! moved is kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tokio::time::{Instant, sleep};
use warren_amqp::{Body, ReplyCode};
use warren_catalog::{Access, Queue, QueueKind};
use warren_queue::entry::FragmentWriter;
use warren_queue::{Command, CommandReply, FragmentReply, Outcome, SettleRange, Spot};
use warren_types::{
    ChannelNumber, ConsumerNumber, DeliverySequence, DeliveryTag, Location, MessageNumber,
};

use super::consume::refused;
use super::context::{Context, Kind, no_queue, unexpected};
use super::firehose::copy_publish_apart;
use super::flow::is_refused;
use super::message::Wishes;
use super::operator::Loan;
use super::publish::{Publish, no_exchange};
use super::staging::{Origin, Staged, Staging};
use crate::failure::Failure;
use crate::feature::Feature;
use crate::press::Told;
use crate::queue::handle::ShardSlot;
use crate::queue::reader::Reader;
use crate::survey::{self, Bookmark, FoundMessages, MessageQuery, MessageRow, MessageState};

/// Messages that are dropped or moved together.
const BATCH_MESSAGES: u64 = 256;

/// Bytes of bodies that are moved together.
const BATCH_BYTES: u64 = 4 * 1024 * 1024;

/// How long a sweep goes on before it says how far it has come: less than an operation may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(8);

/// How long to wait before the leader of a queue is looked for again.
const LEADERLESS_RETRY: Duration = Duration::from_millis(50);

/// Where messages are moved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTarget {
    /// The exchange.
    pub exchange: String,
    /// With which key, if not their own.
    pub routing_key: Option<String>,
}

/// What has become of messages that were meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many were meant.
    pub matched: u64,
    /// How many were dropped or moved.
    pub done: u64,
    /// How many are left because somebody holds them, or because they are on their way elsewhere.
    pub held: u64,
    /// How many are left because they are not where they were.
    pub gone: u64,
    /// How many are left because no queue of the target wants them.
    pub unroutable: u64,
    /// How many are left because a queue of the target is full.
    pub refused: u64,
    /// How many were looked at.
    pub scanned: u64,
    /// Where to go on, if that was not the end.
    pub next: Option<Bookmark>,
}

/// A message that is about to be moved.
struct Taken {
    at: Location,
    parts: Vec<Location>,
    /// How long it has still to wait for its time.
    delay_ms: Option<u64>,
    source: Source,
}

/// How a message leaves the queue that it is moved from.
#[derive(Clone, Copy)]
enum Source {
    /// It is held, and is settled.
    Picked(DeliverySequence),
    /// It waits for its time, and is dropped.
    Scheduled(Spot),
}

/// What came of moving a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Done,
    Gone,
    Unroutable,
    Refused,
}

impl Context {
    /// Looks at messages of a queue.
    pub(crate) async fn browse(
        &self,
        queue: &str,
        query: MessageQuery,
    ) -> Result<FoundMessages, Failure> {
        let source = self.source(queue).await?;
        self.page(&source, &query, false).await
    }

    /// Drops messages of a queue, or only counts those that are meant.
    pub(crate) async fn drop_messages(
        &self,
        queue: &str,
        query: MessageQuery,
        is_rehearsal: bool,
    ) -> Result<Swept, Failure> {
        let source = self.source_to_sweep(queue).await?;
        if !is_rehearsal {
            self.broker.directory.require(Feature::Handling)?;
            self.record("queue.messages.deleted", &source, &query, None).await;
        }
        self.sweep(&source, query, is_rehearsal, None).await
    }

    /// Moves messages of a queue to where `target` says, or only counts those that are meant.
    pub(crate) async fn move_messages(
        &self,
        queue: &str,
        query: MessageQuery,
        target: &MessageTarget,
        is_rehearsal: bool,
    ) -> Result<Swept, Failure> {
        let source = self.source_to_sweep(queue).await?;
        self.permit_target(&source, target).await?;
        if !is_rehearsal {
            self.broker.directory.require(Feature::Handling)?;
            self.record("queue.messages.moved", &source, &query, Some(target)).await;
        }
        self.sweep(&source, query, is_rehearsal, Some(target)).await
    }

    /// The queue of that name, whose messages may be read.
    async fn source(&self, queue: &str) -> Result<Arc<Queue>, Failure> {
        self.permit(Access::Read, Kind::Queue, queue).await?;
        self.queue(queue).await
    }

    /// The same, out of which messages may be taken.
    async fn source_to_sweep(&self, queue: &str) -> Result<Arc<Queue>, Failure> {
        let source = self.source(queue).await?;
        if source.kind == QueueKind::Stream {
            let text = format_args!(
                "deleting and moving messages not supported by stream queues queue '{}' in vhost \
                 '{}'",
                source.name, source.vhost
            );
            return Err(Failure::new(ReplyCode::NotImplemented, text));
        }
        Ok(source)
    }

    /// Refuses a target that is not there, may not be written to, or is the source itself.
    async fn permit_target(&self, source: &Queue, target: &MessageTarget) -> Result<(), Failure> {
        let (exchange, vhost) = (&*target.exchange, &self.client.vhost);
        self.permit(Access::Write, Kind::Exchange, exchange).await?;
        if exchange.is_empty() {
            let queue = target.routing_key.as_deref().unwrap_or_default();
            self.find_queue(queue).await?.ok_or_else(|| no_queue(queue, vhost))?;
            if queue == &*source.name {
                let text = format_args!("messages of queue '{queue}' are there already");
                return Err(Failure::new(warren_amqp::ReplyCode::PreconditionFailed, text));
            }
            return Ok(());
        }
        let known = self.find(|catalog| catalog.exchange(vhost, exchange).map(|_| ())).await?;
        known.ok_or_else(|| no_exchange(exchange, vhost))
    }

    /// Tells what is going to be done, and by whom.
    async fn record(
        &self,
        key: &'static str,
        source: &Queue,
        query: &MessageQuery,
        target: Option<&MessageTarget>,
    ) {
        let told = Told::new(key)
            .text("name", &source.name)
            .text("vhost", &source.vhost)
            .text("filter", &query.filter.to_string())
            .number("count", query.count);
        let told = match target {
            None => told,
            Some(MessageTarget { exchange, routing_key }) => told
                .text("exchange", exchange)
                .text("routing_key", routing_key.as_deref().unwrap_or_default()),
        };
        let (user, from) = (&self.client.user, self.client.from);
        self.broker.audit_change(user, from, &told).await;
        if self.broker.press.tells_events() {
            self.broker.press.tell(told.by(user));
        }
    }

    /// What the leader of a queue says, whoever that is or will be.
    async fn page(
        &self,
        source: &Queue,
        query: &MessageQuery,
        is_enough: bool,
    ) -> Result<FoundMessages, Failure> {
        loop {
            let found = survey::find_messages(&self.broker, source.id, query, is_enough).await;
            if let Some(page) = found {
                return Ok(page);
            }
            let there =
                |catalog: &warren_catalog::Catalog| catalog.queue_by_id(source.id).is_some();
            if !self.broker.directory.look(there) {
                return Err(no_queue(&source.name, &source.vhost));
            }
            sleep(LEADERLESS_RETRY).await;
        }
    }

    /// Does with messages what is asked, some at a time.
    async fn sweep(
        &self,
        source: &Arc<Queue>,
        query: MessageQuery,
        is_rehearsal: bool,
        target: Option<&MessageTarget>,
    ) -> Result<Swept, Failure> {
        let (begun, mut swept) = (Instant::now(), Swept { next: query.from, ..Swept::default() });
        let mut newest = None;
        // Those that are named are few, and looked for at once.
        let at_once = if query.filter.ids.is_empty() { BATCH_MESSAGES } else { u64::MAX };
        loop {
            let batch = MessageQuery {
                from: swept.next,
                count: query.count.saturating_sub(swept.matched).min(at_once),
                scan: query.scan.saturating_sub(swept.scanned),
                truncate: 0,
                ..query.clone()
            };
            let page = self.page(source, &batch, true).await?;
            // What comes behind these may be what was moved, and have come back.
            let newest = *newest.get_or_insert(MessageNumber(page.newest));
            let meant = page.rows.into_iter().filter(|row| !row.is_behind(newest));
            let meant: Vec<MessageRow> = meant.collect();
            swept.matched = swept.matched.saturating_add(count(meant.len()));
            swept.scanned = swept.scanned.saturating_add(page.scanned);
            swept.next = page.next;
            match target {
                _ if is_rehearsal => {}
                None => self.drop_batch(source, &meant, &mut swept).await?,
                Some(target) => {
                    for batch in batches(&meant) {
                        self.move_batch(source, batch, target, &mut swept).await?;
                    }
                }
            }
            let is_over = swept.matched >= query.count || swept.scanned >= query.scan;
            if swept.next.is_none() || is_over || begun.elapsed() >= SWEEP_LIMIT {
                return Ok(swept);
            }
        }
    }

    async fn drop_batch(
        &self,
        source: &Queue,
        rows: &[MessageRow],
        swept: &mut Swept,
    ) -> Result<(), Failure> {
        let mut fragment = FragmentWriter::new();
        for row in rows {
            match row.state() {
                MessageState::Waiting | MessageState::Retry | MessageState::Scheduled => {
                    fragment.command(&Command::DropMessage {
                        queue: source.id,
                        spot: row.spot,
                        at: row.id.at(),
                    });
                }
                MessageState::Unacked | MessageState::Reserved | MessageState::Dead => {
                    swept.held = swept.held.saturating_add(1);
                }
            }
        }
        for (_, reply) in self.ask_all(source, fragment).await? {
            match reply {
                CommandReply::Purged { messages: 0 } => swept.gone = swept.gone.saturating_add(1),
                CommandReply::Purged { .. } => swept.done = swept.done.saturating_add(1),
                CommandReply::Refused(refusal) => return Err(refused(refusal, source)),
                other => return Err(unexpected(Some(&other))),
            }
        }
        Ok(())
    }

    async fn move_batch(
        &self,
        source: &Arc<Queue>,
        rows: &[MessageRow],
        target: &MessageTarget,
        swept: &mut Swept,
    ) -> Result<(), Failure> {
        let loan = Loan::new(&self.broker, self.slot(source)?);
        let taken = self.pick(source, loan.consumer, rows, swept).await?;
        let moved = self.publish_all(loan.slot, &taken, target).await?;
        for one in &moved {
            let count = match one {
                Moved::Done => &mut swept.done,
                Moved::Gone => &mut swept.gone,
                Moved::Unroutable => &mut swept.unroutable,
                Moved::Refused => &mut swept.refused,
            };
            *count = count.saturating_add(1);
        }
        let fragment = let_go(source, loan.consumer, taken.iter().zip(moved));
        self.ask_all(source, fragment).await?;
        Ok(())
    }

    /// Has `consumer` hold those of the messages that can be moved and are still there.
    async fn pick(
        &self,
        source: &Queue,
        consumer: ConsumerNumber,
        rows: &[MessageRow],
        swept: &mut Swept,
    ) -> Result<Vec<Taken>, Failure> {
        let (mut fragment, mut taken) = (FragmentWriter::new(), Vec::new());
        // Those that are asked for, each with its place among what is taken.
        for row in rows {
            let parts = || row.parts.iter().map(|part| part.at()).collect();
            let (at, spot) = (row.id.at(), row.spot);
            match row.state() {
                MessageState::Waiting | MessageState::Retry => {
                    let queue = source.id;
                    fragment.command(&Command::PickMessage { consumer, queue, spot, at });
                    taken.push(None);
                }
                MessageState::Scheduled => {
                    let source = Source::Scheduled(spot);
                    taken.push(Some(Taken { at, parts: parts(), delay_ms: row.in_ms, source }));
                }
                MessageState::Unacked | MessageState::Reserved | MessageState::Dead => {
                    swept.held = swept.held.saturating_add(1);
                }
            }
        }
        let mut replies = self.ask_all(source, fragment).await?.into_iter();
        for place in taken.iter_mut().filter(|place| place.is_none()) {
            match replies.next().map(|(_, reply)| reply) {
                Some(CommandReply::Got(got)) => {
                    *place = Some(Taken {
                        at: got.location,
                        parts: got.parts.as_deref().unwrap_or_default().to_vec(),
                        delay_ms: None,
                        source: Source::Picked(got.sequence),
                    });
                }
                Some(CommandReply::Empty) => swept.gone = swept.gone.saturating_add(1),
                Some(CommandReply::Refused(refusal)) => return Err(refused(refusal, source)),
                other => return Err(unexpected(other.as_ref())),
            }
        }
        Ok(taken.into_iter().flatten().collect())
    }

    /// Publishes messages, in order, and waits until all queues have answered. Says what came of
    /// each.
    async fn publish_all(
        &self,
        slot: ShardSlot,
        taken: &[Taken],
        target: &MessageTarget,
    ) -> Result<Vec<Moved>, Failure> {
        let mut reader = Reader::new(self.broker.shard(slot));
        let mut staging = Staging::default();
        let mut moved = Vec::with_capacity(taken.len());
        for (tag, one) in (1..).zip(taken) {
            moved.push(self.stage(&mut reader, &mut staging, DeliveryTag(tag), one, target).await?);
        }
        let staged = staging.take();
        let asks =
            staged.iter().map(|staged| self.broker.shard(staged.slot).ask(staged.fragment.clone()));
        for (staged, reply) in staged.iter().zip(join_all(asks).await) {
            let FragmentReply::Done(replies) = reply.map_err(Failure::unavailable)? else {
                let text = "whether messages have arrived is not known: they stay where they are";
                return Err(Failure::unavailable(text));
            };
            let ordinals = replies.iter().filter(|(_, reply)| is_refused(reply));
            for tag in ordinals.filter_map(|(ordinal, _)| tag_of(staged, *ordinal)) {
                let place = usize::try_from(tag.0.saturating_sub(1)).unwrap_or(usize::MAX);
                if let Some(one) = moved.get_mut(place) {
                    *one = Moved::Refused;
                }
            }
        }
        Ok(moved)
    }

    /// Adds a message to what is published.
    async fn stage(
        &self,
        reader: &mut Reader<'_>,
        staging: &mut Staging,
        tag: DeliveryTag,
        one: &Taken,
        target: &MessageTarget,
    ) -> Result<Moved, Failure> {
        // A queue that was deleted meanwhile has no messages.
        let Some(found) = reader.message(one.at).await else { return Ok(Moved::Gone) };
        let body = reader.body(&one.parts, &found.body, usize::MAX).await;
        let Some(body) = body else { return Ok(Moved::Gone) };
        let key = target.routing_key.as_ref().map(|key| Bytes::copy_from_slice(key.as_bytes()));
        let publish = Publish {
            exchange: Bytes::copy_from_slice(target.exchange.as_bytes()),
            routing_key: key.unwrap_or_else(|| found.routing_key.clone()),
            mandatory: true,
            immediate: false,
            header: found.header.clone(),
            body: Body::from_pieces(body),
        };
        let wishes = Wishes::of_moved(&found, one.delay_ms);
        let plan = self.way(&publish, &wishes).await?;
        if plan.shards.is_empty() {
            return Ok(Moved::Unroutable);
        }
        plan.count();
        self.broker.counters.published.add(1);
        copy_publish_apart(&self.broker, &self.client, &publish, &wishes, &plan);
        let origin = Origin { channel: ChannelNumber(0), generation: 0, tag: Some(tag) };
        for (slot, queues) in &plan.shards {
            // What is moved was taken once, and may come back to where it was.
            let parts = wishes.parts(&publish, queues, &[]);
            staging.publish(*slot, &parts, &publish.body, origin, || self.broker.upload());
        }
        Ok(Moved::Done)
    }
}

/// Settles what was taken: what has arrived is gone, and the rest waits again as if nobody had
/// taken it.
fn let_go<'a>(
    source: &Queue,
    consumer: ConsumerNumber,
    taken: impl Iterator<Item = (&'a Taken, Moved)>,
) -> FragmentWriter {
    let (mut fragment, mut done, mut left) = (FragmentWriter::new(), Vec::new(), Vec::new());
    for (one, moved) in taken {
        match (one.source, moved) {
            (Source::Picked(sequence), Moved::Done) => done.push(sequence),
            (Source::Picked(sequence), Moved::Gone | Moved::Unroutable | Moved::Refused) => {
                left.push(sequence);
            }
            (Source::Scheduled(spot), Moved::Done) => {
                let (queue, at) = (source.id, one.at);
                fragment.command(&Command::DropMessage { queue, spot, at });
            }
            (Source::Scheduled(_), Moved::Gone | Moved::Unroutable | Moved::Refused) => {}
        }
    }
    for (outcome, sequences) in [(Outcome::Ack, done), (Outcome::Release, left)] {
        let ranges: Vec<_> =
            sequences.into_iter().map(|at| SettleRange { from: at, to: at }).collect();
        if !ranges.is_empty() {
            fragment.command(&Command::Settle { consumer, outcome, ranges });
        }
    }
    fragment
}

/// The tag of the publish that has an ordinal in a fragment.
fn tag_of(staged: &Staged, ordinal: u32) -> Option<DeliveryTag> {
    let mut spans = staged.spans.iter();
    spans.find_map(|span| {
        let nth = ordinal.checked_sub(span.first_ordinal).filter(|nth| *nth < span.count)?;
        Some(DeliveryTag(span.first_tag.0.saturating_add(u64::from(nth))))
    })
}

/// Messages in parts that are moved together.
fn batches(rows: &[MessageRow]) -> impl Iterator<Item = &[MessageRow]> {
    let mut bytes = 0_u64;
    rows.chunk_by(move |one, next| {
        bytes = bytes.saturating_add(one.payload_bytes);
        let is_full = bytes.saturating_add(next.payload_bytes) > BATCH_BYTES;
        if is_full {
            bytes = 0;
        }
        !is_full
    })
}

fn count(messages: usize) -> u64 {
    u64::try_from(messages).unwrap_or(u64::MAX)
}
