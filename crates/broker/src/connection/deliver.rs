//! From a shard's deliveries to frames.
//!
//! Deliveries wait by reference, in the order in which they came; the bodies are looked up when
//! the socket has room. **Invariant:** a pending delivery is written, given back, or belongs to a
//! holder that has gone, whose shard has taken everything back.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::future::join_all;
use warren_amqp::{Body, Delivery as Sent, Reply, ReplyCode, header};
use warren_catalog::{Queue, QueueKind, TimeoutAction};
use warren_queue::entry::{chunk, message};
use warren_queue::{CancelReason, Command, DeliveredRun, Outcome, SettleRange};
use warren_types::{ConsumerNumber, DeliverySequence, Location, LogIndex, Table, Value};

use super::holder::{Flow, Holder, Stage, WINDOW_MESSAGES, nth};
use super::state::Connection;
use super::unacked::Nth;
use crate::dead_letter::sorted;
use crate::failure::Failure;
use crate::limit::Limit;
use crate::queue::effects::Delivery;
use crate::queue::handle::{Event, ShardSlot};

/// Rows that are read from the disk at once, ahead of the deliveries that need them.
const READ_AHEAD_ROWS: usize = 64;

/// Bytes of rows that deliveries of one connection may keep in memory. Beyond it, they are read
/// again when their turn comes.
const KEPT_ROW_BYTES: usize = 4 * 1024 * 1024;

/// Messages that wait for the socket's turn: the rest of one run.
#[derive(Debug)]
pub(crate) struct Pending {
    nth: Nth,
    /// The sequence of the run's first message.
    first: DeliverySequence,
    run: DeliveredRun,
    /// Messages of the run that are done.
    done: u32,
    row: Option<Bytes>,
    /// Earlier parts of a large body, once they were read.
    parts: Vec<Bytes>,
    /// When the run came, where something may be traced.
    since: Option<SystemTime>,
}

impl Pending {
    fn next(&self) -> DeliverySequence {
        self.first.plus(u64::from(self.done))
    }

    fn last(&self) -> DeliverySequence {
        self.first.plus(u64::from(self.run.count.saturating_sub(1)))
    }

    fn offset(&self) -> u32 {
        self.run.location.offset.saturating_add(self.run.stride.saturating_mul(self.done))
    }

    /// Where the messages stand that are not done.
    fn offsets(&self) -> impl Iterator<Item = u32> {
        let DeliveredRun { location, stride, count, .. } = self.run;
        (self.done..count).map(move |at| location.offset.saturating_add(stride.saturating_mul(at)))
    }

    /// Where all that it needs stands.
    fn needs(&self) -> impl Iterator<Item = (LogIndex, u32)> {
        let parts = self.run.parts.iter().flat_map(|parts| parts.iter());
        let parts = parts.map(|part| (part.index, part.offset));
        self.offsets().map(|offset| (self.run.location.index, offset)).chain(parts)
    }

    fn parts_missing(&self) -> bool {
        self.run.parts.as_ref().is_some_and(|parts| parts.len() != self.parts.len())
    }
}

/// Rows that are being read, by shard and place.
pub(crate) type RowRead = Pin<Box<dyn Future<Output = Rows> + Send>>;

/// Rows that were read.
#[derive(Debug)]
pub(crate) struct Rows {
    asked: Wanted,
    /// Those that are not needed any more are missing.
    found: Found,
}

type Found = BTreeMap<(ShardSlot, LogIndex), Bytes>;

/// Waits for `reading`. To be polled only while there is one.
pub(crate) async fn read_row(reading: &mut Option<RowRead>) -> Rows {
    match reading {
        Some(rows) => rows.await,
        None => std::future::pending().await,
    }
}

impl Connection {
    /// A shard has deliveries for one of the connection's holders.
    pub(crate) fn given(&mut self, delivery: Delivery) {
        let number = nth(delivery.delivered.consumer.number);
        let Some(delivery) = self.unseen(number, delivery) else { return };
        let Some(holder) = self.holders.get_mut(&number) else { return };
        if holder.stage == Stage::Attaching {
            holder.parked.push(delivery);
            return;
        }
        self.queue_up(number, delivery);
    }

    /// What of a delivery has not come before: after a change of leader, or a stream that broke,
    /// a shard sends again what it cannot know to have arrived.
    fn unseen(&mut self, number: Nth, mut delivery: Delivery) -> Option<Delivery> {
        // What basic.get took came with its answer.
        let holder = self.holders.get_mut(&number).filter(|holder| !holder.is_getter)?;
        let before = delivery.delivered.runs.len();
        delivery.delivered.skip_to(holder.received);
        let runs = &delivery.delivered.runs;
        delivery.rows.drain(..before.saturating_sub(runs.len()));
        let count: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
        let first = delivery.delivered.first;
        if count == 0 {
            return None;
        }
        if first > holder.received.next() && holder.missed != Some(holder.received) {
            tracing::warn!(consumer = %holder.number, %first, "deliveries are missing");
            holder.missed = Some(holder.received);
            self.broker.shard(holder.slot).inform(Event::Again);
            return None;
        }
        holder.received = DeliverySequence(first.0.saturating_add(count).saturating_sub(1));
        Some(delivery)
    }

    /// Puts deliveries behind those that wait for the socket.
    pub(crate) fn queue_up(&mut self, nth: Nth, delivery: Delivery) {
        let mut first = delivery.delivered.first;
        let mut rows = delivery.rows.into_iter();
        for run in delivery.delivered.runs {
            let row = rows.next().flatten().filter(|_| self.kept_row_bytes < KEPT_ROW_BYTES);
            self.kept_row_bytes =
                self.kept_row_bytes.saturating_add(row.as_ref().map_or(0, Bytes::len));
            let next = first.plus(u64::from(run.count));
            let since = self.trace_time();
            let pending = Pending { nth, first, run, done: 0, row, parts: Vec::new(), since };
            self.pending.push_back(pending);
            first = next;
        }
    }

    /// Writes deliveries as far as the socket's buffer, the channels' limits and the rows at
    /// hand allow.
    pub(crate) fn write_deliveries(&mut self) {
        while self.reading.is_none() && self.out.len() < self.limits().connection_output_bytes {
            let Some(mut pending) = self.pending.pop_front() else {
                self.kept_row_bytes = 0;
                return;
            };
            if self.deliver(&mut pending) == Progress::Stuck {
                self.pending.push_front(pending);
                return;
            }
            let kept = pending.row.as_ref().map_or(0, Bytes::len);
            self.kept_row_bytes = self.kept_row_bytes.saturating_sub(kept);
        }
    }

    fn deliver(&mut self, pending: &mut Pending) -> Progress {
        let Some(mut holder) = self.holders.remove(&pending.nth) else { return Progress::Done };
        let progress = self.deliver_to(&mut holder, pending);
        self.holders.insert(pending.nth, holder);
        progress
    }

    fn deliver_to(&mut self, holder: &mut Holder, pending: &mut Pending) -> Progress {
        let Some(channel) = self.channels.get(&holder.channel) else { return Progress::Done };
        let room = channel.room_for(holder.flow, holder.no_ack);
        if holder.stage == Stage::Cancelled || room == Some(0) {
            self.give_back(holder, pending);
            return Progress::Done;
        }
        if pending.row.is_none() {
            pending.row = self.broker.shard(holder.slot).recent_row(pending.run.location.index);
        }
        let Some(row) = pending.row.clone() else {
            self.read_ahead(holder.slot, pending);
            return Progress::Stuck;
        };
        if pending.parts_missing() {
            self.read_ahead(holder.slot, pending);
            return Progress::Stuck;
        }
        self.write_run(holder, pending, &row, room)
    }

    /// Writes messages of one run until it is done, the channel is full or the output is.
    fn write_run(
        &mut self,
        holder: &mut Holder,
        pending: &mut Pending,
        row: &Bytes,
        room: Option<usize>,
    ) -> Progress {
        let limit = self.limits().connection_output_bytes;
        let from = pending.next();
        let mut room = room.unwrap_or(usize::MAX);
        while pending.done < pending.run.count && room > 0 && self.out.len() < limit {
            if !self.write_message(holder, pending, row) {
                return Progress::Done;
            }
            pending.done = pending.done.saturating_add(1);
            room = room.saturating_sub(1);
        }
        let written =
            u64::from(pending.done).saturating_sub(from.0.saturating_sub(pending.first.0));
        if written > 0 {
            self.note_if_full(holder);
            self.count_delivered(holder, written, pending.run.redelivered);
            holder.seen = pending.first.plus(u64::from(pending.done).saturating_sub(1));
            if holder.no_ack {
                let range = SettleRange { from, to: holder.seen };
                self.staging.settle(holder.slot, holder.number, Outcome::Ack, &[range]);
            } else {
                holder.held = holder.held.saturating_add(written);
            }
            self.extend_window(holder);
        }
        if pending.done == pending.run.count {
            return Progress::Done;
        }
        if room == 0 {
            self.give_back(holder, pending);
            return Progress::Done;
        }
        Progress::Stuck
    }

    fn note_if_full(&self, holder: &Holder) {
        let channel = self.channels.get(&holder.channel);
        if !holder.no_ack && channel.is_some_and(|channel| channel.is_full()) {
            self.broker.counters.hits.note(Limit::Unacked);
        }
    }

    pub(super) fn count_delivered(&mut self, holder: &Holder, count: u64, redelivered: bool) {
        let counters = &self.broker.counters;
        counters.delivered.add(count);
        if holder.no_ack {
            counters.delivered_no_ack.add(count);
        }
        if redelivered {
            counters.redelivered.add(count);
        }
        if let Some(channel) = self.channels.get_mut(&holder.channel) {
            channel.counts.give(count, holder.no_ack, redelivered);
        }
    }

    /// Writes the next message of a run; false when its bytes cannot be read.
    fn write_message(&mut self, holder: &Holder, pending: &Pending, row: &Bytes) -> bool {
        let found = match message(row, pending.offset()) {
            Ok(found) => found,
            Err(error) => {
                // Stored bytes are checked when they are read, so this is a defect of a writer.
                tracing::error!(%error, index = pending.run.location.index.0, "unreadable message");
                return false;
            }
        };
        let body = whole_body(&pending.parts, found.body.clone());
        let counted = counted(holder, &pending.run, &found.header);
        let Some(channel) = self.channels.get_mut(&holder.channel) else { return false };
        let tag = if holder.no_ack {
            channel.unacked.give_settled()
        } else {
            channel.unacked.give(pending.nth, pending.next())
        };
        let sent = Sent {
            tag,
            redelivered: pending.run.redelivered,
            exchange: &found.exchange,
            routing_key: &found.routing_key,
            header: counted.as_ref().unwrap_or(&found.header),
            body: &body,
        };
        self.out.deliver(holder.channel, &holder.tag, &sent, self.frame_max);
        if self.is_overheard() {
            self.copy_delivery(holder.channel, holder.queue, &sent, &found);
        }
        if self.tracer.is_some() {
            self.trace_delivery(holder.receiver(pending.since), &sent);
        }
        true
    }

    /// Lets the shard go on once half of the window is used up.
    fn extend_window(&mut self, holder: &mut Holder) {
        let Some(channel) = self.channels.get(&holder.channel) else { return };
        if holder.flow != Flow::Window {
            return;
        }
        let ahead = holder.granted.0.saturating_sub(holder.seen.0);
        let up_to = holder.seen.plus(channel.window(holder.no_ack));
        if ahead < WINDOW_MESSAGES / 2 && up_to > holder.granted {
            holder.granted = up_to;
            self.staging.grant(holder.slot, holder.number, holder.granted);
        }
    }

    /// Returns what the client has not seen and is not going to see.
    fn give_back(&mut self, holder: &mut Holder, pending: &mut Pending) {
        let range = SettleRange { from: pending.next(), to: pending.last() };
        self.staging.settle(holder.slot, holder.number, Outcome::Release, &[range]);
        holder.seen = range.to;
        pending.done = pending.run.count;
    }

    /// Gives back all that waits for a holder.
    pub(crate) fn give_back_all(&mut self, nth: Nth) {
        let Some(mut holder) = self.holders.remove(&nth) else { return };
        let mut others = std::collections::VecDeque::new();
        for mut pending in std::mem::take(&mut self.pending) {
            if pending.nth == nth {
                self.give_back(&mut holder, &mut pending);
            } else {
                others.push_back(pending);
            }
        }
        self.pending = others;
        self.holders.insert(nth, holder);
    }

    /// Starts to read the rows of `first` and of the deliveries behind it.
    fn read_ahead(&mut self, slot: ShardSlot, first: &Pending) {
        let mut wanted = Wanted::new();
        want(&mut wanted, slot, first);
        for pending in self.pending.iter().filter(|pending| pending.row.is_none()) {
            if wanted.len() >= READ_AHEAD_ROWS {
                break;
            }
            if let Some(holder) = self.holders.get(&pending.nth) {
                want(&mut wanted, holder.slot, pending);
            }
        }
        let broker = self.broker.clone();
        self.reading = Some(Box::pin(async move {
            let reads = wanted.iter().map(|((slot, index), offsets)| {
                let shard = broker.shard(*slot).clone();
                async move { ((*slot, *index), shard.row(*index, offsets).await) }
            });
            let rows = join_all(reads).await;
            let found = rows.into_iter().filter_map(|(place, row)| Some((place, row?))).collect();
            Rows { asked: wanted, found }
        }));
    }

    /// The rows that were waited for are here.
    pub(crate) fn row_read(&mut self, rows: Rows) {
        self.reading = None;
        for pending in &mut self.pending {
            if let Some(holder) = self.holders.get(&pending.nth) {
                fill(pending, holder.slot, &rows.found);
            }
        }
        let is_lost = |pending: &mut Pending| {
            let holder = self.holders.get(&pending.nth);
            holder.is_some_and(|holder| is_lost(pending, holder.slot, &rows.asked))
        };
        // A row that is gone is one that nobody needs: its queue was deleted meanwhile.
        drop(self.pending.pop_front_if(is_lost));
    }

    /// A shard has ended one of the connection's consumers.
    pub(crate) fn cancelled(&mut self, consumer: ConsumerNumber, reason: CancelReason) {
        let number = nth(consumer);
        let Some(holder) = self.drop_holder(number) else { return };
        self.staging.command(holder.slot, &Command::Detach { consumer });
        let tag = String::from_utf8_lossy(&holder.tag).into_owned();
        let told = holder.stage == Stage::Live
            && !holder.is_getter
            && self.capabilities.consumer_cancel_notify
            && !(reason == CancelReason::Timeout && self.closes_on_timeout(&holder));
        if let Some(channel) = self.channels.get_mut(&holder.channel) {
            channel.consumers.remove(&tag);
            channel.getters.retain(|_, getter| *getter != number);
        }
        if !holder.is_getter {
            self.broker.counters.consumers.sub(1);
        }
        if told {
            self.out.reply(holder.channel, &Reply::Cancel { consumer_tag: tag });
        } else if self.is_open(holder.channel) {
            self.ended_unannounced(&holder, reason);
        }
    }

    /// Ends the channel of a client that cannot be told otherwise that it has lost a consumer.
    fn ended_unannounced(&mut self, holder: &Holder, reason: CancelReason) {
        let text = match reason {
            CancelReason::Timeout => format!(
                "delivery acknowledgement on channel {} timed out. Timeout value used: {} ms. This \
                 timeout value can be configured, see consumers doc guide to learn more",
                holder.channel,
                self.timeout_ms(holder)
            ),
            CancelReason::TakenOver if holder.stage == Stage::Live => format!(
                "consumer '{}' was taken over by another connection with the same session_id",
                String::from_utf8_lossy(&holder.tag)
            ),
            CancelReason::QueueDeleted | CancelReason::LeaseEnded | CancelReason::TakenOver => {
                return;
            }
        };
        self.fail(holder.channel, Failure::new(ReplyCode::PreconditionFailed, text));
    }

    /// Whether a channel ends with a delivery that was held for too long.
    fn closes_on_timeout(&self, holder: &Holder) -> bool {
        let closes = |queue: &Arc<Queue>| queue.settings.timeout_action == TimeoutAction::Close;
        self.broker.directory.look(|catalog| catalog.queue_by_id(holder.queue).is_some_and(closes))
    }

    /// How long a consumer may hold a delivery, as far as is known; -1 where it is not.
    fn timeout_ms(&self, holder: &Holder) -> i64 {
        let timeout_ms = holder.terms.timeout_ms.or_else(|| {
            self.broker.directory.look(|catalog| {
                let queue = catalog.queue_by_id(holder.queue)?;
                queue.settings.consumer_timeout_ms
            })
        });
        timeout_ms.and_then(|timeout_ms| i64::try_from(timeout_ms).ok()).unwrap_or(-1)
    }

    /// Grants deliveries to the consumers of channels that have settled something, as far as
    /// the channel has room.
    pub(crate) fn relieve(&mut self) {
        for number in std::mem::take(&mut self.relieved) {
            let Some(channel) = self.channels.get(&number) else { continue };
            let room = channel.room().map(|room| u64::try_from(room).unwrap_or(u64::MAX));
            let window = channel.window(false);
            for nth in channel.consumers.values() {
                let Some(holder) = self.holders.get_mut(nth) else { continue };
                if holder.stage != Stage::Live || holder.no_ack {
                    continue;
                }
                if holder.flow == Flow::Channel && channel.channel_prefetch == 0 {
                    holder.flow = Flow::Window;
                }
                let up_to = match holder.flow {
                    Flow::Prefetch => continue,
                    Flow::Window => holder.seen.plus(window),
                    Flow::Channel => holder.seen.plus(room.unwrap_or(window)),
                };
                if up_to > holder.granted {
                    holder.granted = up_to;
                    // Not past what waits: the consumer may have been registered just before.
                    let consumer = holder.number;
                    self.staging.command(holder.slot, &Command::Grant { consumer, up_to });
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing of the run is left to be written.
    Done,
    /// The rest must wait.
    Stuck,
}

/// Rows to be read, and what is needed of each.
type Wanted = BTreeMap<(ShardSlot, LogIndex), Vec<u32>>;

fn want(wanted: &mut Wanted, slot: ShardSlot, pending: &Pending) {
    for (index, offset) in pending.needs() {
        wanted.entry((slot, index)).or_default().push(offset);
    }
}

/// Whether something is missing although all that is needed was asked for. What came to the front
/// while others' rows were read was not, and waits for its turn.
fn is_lost(pending: &Pending, slot: ShardSlot, asked: &Wanted) -> bool {
    let was_asked = |(index, offset)| {
        asked.get(&(slot, index)).is_some_and(|offsets| offsets.contains(&offset))
    };
    (pending.row.is_none() || pending.parts_missing()) && pending.needs().all(was_asked)
}

fn fill(pending: &mut Pending, slot: ShardSlot, rows: &Found) {
    if pending.row.is_none() {
        // A row of another node holds what was asked for when it was, and perhaps nothing else.
        let whole = |row: &&Bytes| pending.offsets().all(|offset| message(row, offset).is_ok());
        pending.row = rows.get(&(slot, pending.run.location.index)).filter(whole).cloned();
    }
    if let Some(parts) = &pending.run.parts
        && pending.parts.is_empty()
    {
        let read = |part: &Location| {
            rows.get(&(slot, part.index)).and_then(|row| chunk(row, part.offset).ok())
        };
        // All or none: rows that were read for others may hold some of them.
        pending.parts = parts.iter().map(read).collect::<Option<_>>().unwrap_or_default();
    }
}

/// A body with its earlier parts in front.
pub(crate) fn whole_body(parts: &[Bytes], last: Bytes) -> Body {
    if parts.is_empty() {
        return Body::from(last);
    }
    let mut pieces = parts.to_vec();
    pieces.push(last);
    Body::from_pieces(pieces)
}

/// Whether deliveries of a queue say how often there were others: those of quorum queues, as in
/// RabbitMQ, and of queues that try again.
pub(crate) fn counts_deliveries(queue: &Queue) -> bool {
    queue.kind == QueueKind::Quorum || queue.settings.retry.is_some()
}

/// The properties with the numbers of earlier deliveries among the headers, where they are told.
fn counted(holder: &Holder, run: &DeliveredRun, properties: &Bytes) -> Option<Bytes> {
    if !holder.counts_deliveries {
        return None;
    }
    with_counts(run.acquired_count, run.delivery_count, properties)
}

/// The properties with `x-acquired-count`, how often a message was given out before, and
/// `x-delivery-count`, how often that failed; each if there is anything to count.
pub(crate) fn with_counts(acquired: u32, failed: u32, properties: &Bytes) -> Option<Bytes> {
    if acquired == 0 && failed == 0 {
        return None;
    }
    let mut headers: Table = header::headers_table(properties).ok().flatten().unwrap_or_default();
    for (name, count) in [("x-acquired-count", acquired), ("x-delivery-count", failed)] {
        if count > 0 {
            headers.insert(name, Value::I64(i64::from(count)));
        }
    }
    Some(header::replace_headers(properties, Some(&sorted(&headers))))
}

#[cfg(test)]
mod tests {
    use warren_queue::entry::{EntryWriter, FragmentWriter};
    use warren_types::{BootId, NodeId, RequestSequence, SessionId, Timestamp};

    use super::*;

    const SLOT: ShardSlot = ShardSlot(3);

    /// A row that is nothing but a part of a body, and where that stands.
    fn row_of_part(index: u64) -> (Location, Bytes) {
        let mut fragment = FragmentWriter::new();
        fragment.chunk(7, b"a part");
        let session = SessionId { node: NodeId(1), boot: BootId(1) };
        let mut entry = EntryWriter::new(1, Timestamp(0));
        entry.push(session, RequestSequence(1), RequestSequence(0), &fragment.finish());
        let row = entry.finish();
        let is_part = |offset: &u32| chunk(&row, *offset).is_ok();
        let offset = (0..100).find(is_part).expect("the part stands somewhere");
        (Location { index: LogIndex(index), offset }, row)
    }

    /// A delivery of a large body with these earlier parts, of which nothing is there.
    fn large(parts: &[Location]) -> Pending {
        let run = DeliveredRun {
            location: Location { index: LogIndex(9), offset: 40 },
            stride: 0,
            count: 1,
            size: 100,
            redelivered: false,
            delivery_count: 0,
            acquired_count: 0,
            parts: Some(parts.into()),
        };
        let first = DeliverySequence(1);
        Pending { nth: 1, first, run, done: 0, row: None, parts: Vec::new(), since: None }
    }

    #[test]
    fn a_body_of_which_some_parts_were_read_for_others_is_read_again_as_a_whole() {
        let (one, row_of_one) = row_of_part(5);
        let (other, row_of_other) = row_of_part(6);
        let mut pending = large(&[one, other]);
        let some = BTreeMap::from([((SLOT, one.index), row_of_one.clone())]);
        let mut all = some.clone();
        all.insert((SLOT, other.index), row_of_other);

        fill(&mut pending, SLOT, &some);
        let was_missing = pending.parts_missing();
        fill(&mut pending, SLOT, &all);

        assert!(was_missing && !pending.parts_missing());
    }

    #[test]
    fn a_delivery_whose_rows_nobody_asked_for_is_not_lost() {
        let (part, _) = row_of_part(5);
        let pending = large(&[part]);
        let mut asked = Wanted::new();
        // Somebody else's message in the same row.
        asked.insert((SLOT, LogIndex(9)), vec![1]);
        asked.insert((SLOT, part.index), vec![part.offset]);

        let before = is_lost(&pending, SLOT, &asked);
        want(&mut asked, SLOT, &pending);

        assert!(!before, "it was not asked for");
        assert!(is_lost(&pending, SLOT, &asked), "it was, and is gone");
    }
}
