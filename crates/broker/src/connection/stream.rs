//! Consumers of streams.
//!
//! A consumer of a stream is known to nobody but its connection, which reads ahead of it: a page that
//! is being written, and one behind it. What it acknowledges, or gives back, is room for more and
//! nothing else: the stream has it as before.
//!
//! **Always holds:** a consumer has no more unsettled deliveries than its prefetch, and its pages are
//! bounded however slowly its client reads.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::future::{AbortHandle, Abortable};
use futures::stream::FuturesUnordered;
use warren_amqp::{Delivery as Sent, MethodId, Reply, ReplyCode, header};
use warren_catalog::{Placement, Queue};
use warren_queue::entry::message;
use warren_queue::{Command, CommandReply, Outcome};
use warren_types::{ChannelNumber, DeliverySequence, GroupId};

use super::channel::Channel;
use super::consume::{Terms, Wanted};
use super::context::{Context, no_queue, unexpected};
use super::deliver::whole_body;
use super::holder::{Flow, Holder, Stage};
use super::operation::Finish;
use super::state::Connection;
use super::unacked::Nth;
use crate::failure::Failure;
use crate::queue::batch::wall_clock;
use crate::queue::handle::ShardSlot;
use crate::stream::{Begin, Filter, Page, Source, Start};

/// The header that tells a delivery's offset.
const OFFSET: &str = "x-stream-offset";

/// Pages that a consumer has at once, the one that is being written included.
const PAGES: usize = 2;

/// What a reader of a stream was given; no page when the stream is gone.
pub(crate) type Fetched = (Nth, Option<Page>);

type Fetch = Abortable<Pin<Box<dyn Future<Output = Fetched> + Send>>>;

/// The consumers of streams of one connection.
#[derive(Default)]
pub(crate) struct Streams {
    readers: BTreeMap<Nth, Reader>,
    /// Pages that are on their way.
    fetches: FuturesUnordered<Fetch>,
    /// Who writes first the next time, so that all get their turn.
    turn: Nth,
}

/// A consumer of a stream.
struct Reader {
    holder: Holder,
    source: Arc<Source>,
    filter: Option<Filter>,
    /// What has come and was not written.
    pages: VecDeque<Page>,
    /// What of the first page is done: pieces, and messages of the next one.
    done: (usize, u32),
    /// Where the next page begins.
    next: u64,
    /// Ends the wait for it.
    fetching: Option<AbortHandle>,
}

impl Drop for Reader {
    /// Also when the connection's task comes to a sudden end.
    fn drop(&mut self) {
        let broker = self.source.broker();
        broker.counters.consumers.sub(1);
        broker.books.end(self.holder.queue);
        if let Some(fetching) = &self.fetching {
            fetching.abort();
        }
    }
}

impl Reader {
    /// How many messages it may be given.
    fn room(&self) -> u64 {
        u64::from(self.holder.prefetch).saturating_sub(self.holder.held)
    }

    /// The offset of the message that is next, and where it stands; none when no page has one.
    fn current(&mut self) -> Option<(u64, u32)> {
        loop {
            let page = self.pages.front()?;
            let (pieces, messages) = self.done;
            match page.pieces.get(pieces) {
                None => {
                    self.pages.pop_front();
                    self.done = (0, 0);
                }
                Some(piece) if messages >= piece.run.count => {
                    self.done = (pieces.saturating_add(1), 0);
                }
                Some(piece) => {
                    let behind = piece.run.stride.saturating_mul(messages);
                    let offset = piece.first.saturating_add(u64::from(messages));
                    return Some((offset, piece.run.location.offset.saturating_add(behind)));
                }
            }
        }
    }

    /// The row of the message that is next, and the earlier parts of its body.
    fn row(&self) -> Option<(Bytes, Vec<Bytes>)> {
        let piece = self.pages.front()?.pieces.get(self.done.0)?;
        Some((piece.row.clone(), piece.parts.clone()))
    }

    /// The message that was next is done.
    fn step(&mut self) {
        self.done.1 = self.done.1.saturating_add(1);
    }

    /// Whether the next page is to be read.
    fn wants_page(&self) -> bool {
        self.fetching.is_none() && self.pages.len() < PAGES && self.room() > 0
    }
}

/// Waits for a page of one of the consumers.
pub(crate) async fn next_page(streams: &mut Option<Box<Streams>>) -> Fetched {
    let Some(streams) = streams else { return std::future::pending().await };
    while let Some(fetched) = streams.fetches.next().await {
        // Of a consumer that has ended nothing is wanted any more.
        if let Ok(fetched) = fetched {
            return fetched;
        }
    }
    std::future::pending().await
}

impl Connection {
    /// basic.consume, of a stream
    pub(super) fn consume_stream(
        &mut self,
        number: ChannelNumber,
        context: &Context,
        queue: &Arc<Queue>,
        (slot, group): (ShardSlot, GroupId),
        wanted: Wanted,
    ) {
        let start = Start::of(wanted.arguments.value(OFFSET), wall_clock().0);
        let source = Arc::new(Source::new(self.broker.clone(), slot, group, queue.id));
        let (context, queue) = (context.clone(), queue.clone());
        let waits_for = format!("queue '{}'", queue.name);
        let work = async move {
            match context.ask(&queue, &Command::Status { queue: queue.id }).await? {
                Some(CommandReply::Status(_)) => {}
                Some(CommandReply::Refused(refusal)) => {
                    let queue = context.after(refusal, &queue).await?;
                    let finish: Finish = Box::new(move |connection| {
                        connection.attach(number, &context, &queue, wanted);
                        Ok(())
                    });
                    return Ok(finish);
                }
                other => return Err(unexpected(other.as_ref())),
            }
            let begin = source.begin(start.unwrap_or(Start::First)).await;
            let finish: Finish = Box::new(move |connection| match begin {
                Begin::Gone => Err(no_queue(&queue.name, &queue.vhost)),
                // Made before all nodes knew streams, and a queue to this day.
                Begin::Queue => {
                    let wanted = Wanted { as_queue: true, ..wanted };
                    connection.attach(number, &context, &queue, wanted);
                    Ok(())
                }
                Begin::At(offset) => {
                    let filter = connection.check_reader(number, &queue, &wanted)?;
                    start.ok_or_else(|| no_offset(&wanted, &queue))?;
                    connection.read_stream(number, wanted, source, filter, (slot, offset))
                }
            });
            Ok(finish)
        };
        self.begin(number, MethodId::BASIC_CONSUME, waits_for, work);
    }

    /// Refuses what streams do not do, in the order and the words of RabbitMQ.
    fn check_reader(
        &mut self,
        number: ChannelNumber,
        queue: &Queue,
        wanted: &Wanted,
    ) -> Result<Option<Filter>, Failure> {
        let (name, vhost) = (&queue.name, &queue.vhost);
        let channel = self.channel(number);
        if reader_prefetch(channel) == 0 {
            return Err(Failure::new(
                ReplyCode::PreconditionFailed,
                format_args!(
                    "consumer prefetch count is not set for stream queue '{name}' in vhost \
                     '{vhost}'"
                ),
            ));
        }
        if wanted.no_ack {
            return Err(Failure::new(
                ReplyCode::NotImplemented,
                format_args!(
                    "automatic acknowledgement not supported by stream queue '{name}' in vhost \
                     '{vhost}'"
                ),
            ));
        }
        Ok(Filter::of(&wanted.arguments))
    }

    fn read_stream(
        &mut self,
        number: ChannelNumber,
        wanted: Wanted,
        source: Arc<Source>,
        filter: Option<Filter>,
        (slot, next): (ShardSlot, u64),
    ) -> Result<(), Failure> {
        let (nth, consumer) = self.holder_number();
        let Wanted { tag, nowait, arguments, priority, .. } = wanted;
        let holder = Holder {
            channel: number,
            slot,
            number: consumer,
            queue: source.queue(),
            tag: Bytes::from(tag.clone()),
            no_ack: false,
            prefetch: reader_prefetch(self.channel(number)),
            is_getter: false,
            counts_deliveries: false,
            // As in RabbitMQ, a stream can always be read by others as well.
            terms: Terms { priority, exclusive: false, timeout_ms: None },
            flow: Flow::Prefetch,
            stage: Stage::Live,
            received: DeliverySequence::default(),
            missed: None,
            in_doubt: false,
            seen: DeliverySequence::default(),
            granted: DeliverySequence::default(),
            held: 0,
            parked: Vec::new(),
        };
        self.broker.counters.consumers.add(1);
        self.broker.books.begin(holder.queue);
        self.tell_consumer(&holder, &arguments);
        self.channel(number).consumers.insert(tag.clone(), nth);
        let (pages, done) = (VecDeque::new(), (0, 0));
        let reader = Reader { holder, source, filter, pages, done, next, fetching: None };
        self.streams.get_or_insert_default().readers.insert(nth, reader);
        if nowait { Ok(()) } else { self.reply(number, &Reply::ConsumeOk { consumer_tag: tag }) }
    }

    /// A page has come, or its stream has gone.
    pub(crate) fn page_read(&mut self, (nth, page): Fetched) {
        let reader = self.streams.as_mut().and_then(|streams| streams.readers.get_mut(&nth));
        let Some(reader) = reader else { return };
        reader.fetching = None;
        match page {
            Some(page) => {
                reader.next = page.next;
                reader.pages.push_back(page);
            }
            None => self.stream_gone(nth),
        }
    }

    /// Writes messages of streams as far as the socket's buffer, the consumers' prefetch and the
    /// pages at hand allow, and has further pages read.
    pub(crate) fn write_streams(&mut self) {
        let Some(mut streams) = self.streams.take() else { return };
        let limit = self.limits().connection_output_bytes;
        let (first, last) = (streams.turn, Nth::MAX);
        for range in [first..=last, 0..=first.saturating_sub(1)] {
            for (nth, reader) in streams.readers.range_mut(range) {
                if self.out.len() >= limit {
                    break;
                }
                streams.turn = nth.saturating_add(1);
                self.write_stream(*nth, reader);
            }
        }
        for (nth, reader) in streams.readers.iter_mut().filter(|(_, reader)| reader.wants_page()) {
            let (nth, source, next) = (*nth, Arc::clone(&reader.source), reader.next);
            let (abort, registration) = AbortHandle::new_pair();
            let fetch: Pin<Box<dyn Future<Output = Fetched> + Send>> =
                Box::pin(async move { (nth, source.page(next).await) });
            reader.fetching = Some(abort);
            streams.fetches.push(Abortable::new(fetch, registration));
        }
        if !streams.readers.is_empty() {
            self.streams = Some(streams);
        }
    }

    /// Writes messages of one stream.
    fn write_stream(&mut self, nth: Nth, reader: &mut Reader) {
        let limit = self.limits().connection_output_bytes;
        let number = reader.holder.channel;
        let mut properties = BytesMut::new();
        let mut written = 0_u64;
        while reader.room() > 0 && self.out.len() < limit {
            let Some(channel) = self.channels.get_mut(&number).filter(|it| !it.is_full()) else {
                break;
            };
            let Some((offset, record)) = reader.current() else { break };
            let Some((row, parts)) = reader.row() else { break };
            reader.step();
            let found = match message(&row, record) {
                Ok(found) => found,
                Err(error) => {
                    // Stored bytes are checked when they are read: a defect of a writer.
                    tracing::error!(%error, offset, "unreadable message in a stream");
                    continue;
                }
            };
            if reader.filter.as_ref().is_some_and(|filter| !filter.wants(&found.header)) {
                continue;
            }
            properties.clear();
            let told = i64::try_from(offset).unwrap_or(i64::MAX);
            header::put_with_number(&mut properties, &found.header, OFFSET, told);
            let holder = &mut reader.holder;
            holder.seen = holder.seen.next();
            holder.held = holder.held.saturating_add(1);
            let body = whole_body(&parts, found.body.clone());
            let sent = Sent {
                tag: channel.unacked.give(nth, holder.seen),
                redelivered: false,
                exchange: &found.exchange,
                routing_key: &found.routing_key,
                header: &properties,
                body: &body,
            };
            self.out.deliver(number, &holder.tag, &sent, self.frame_max);
            if self.is_overheard() {
                self.copy_delivery(number, holder.queue, &sent, &found);
            }
            if self.tracer.is_some() {
                self.trace_delivery(holder.receiver(self.trace_time()), &sent);
            }
            written = written.saturating_add(1);
        }
        if written > 0 {
            self.count_delivered(&reader.holder, written, false);
            self.broker.books.give(reader.holder.queue, written);
        }
    }

    /// Gives a consumer of a stream room for as many messages as it has settled, however. False
    /// where `nth` is none.
    pub(super) fn settled_of_stream(&mut self, nth: Nth, count: u64, outcome: Outcome) -> bool {
        let reader = self.streams.as_mut().and_then(|streams| streams.readers.get_mut(&nth));
        let Some(reader) = reader else { return false };
        reader.holder.held = reader.holder.held.saturating_sub(count);
        if outcome == Outcome::Ack {
            self.broker.books.acknowledge(reader.holder.queue, count);
        }
        true
    }

    /// Ends a consumer of a stream; false where `nth` is none. What its client holds it may settle
    /// as before.
    pub(super) fn end_stream(&mut self, nth: Nth) -> bool {
        let reader = self.streams.as_mut().and_then(|streams| streams.readers.remove(&nth));
        let Some(reader) = reader else { return false };
        self.tell_consumer_gone(&reader.holder);
        true
    }

    /// Ends the consumers of streams that a channel has.
    pub(super) fn end_streams(&mut self, number: ChannelNumber) {
        let nths: Vec<Nth> = self.stream_consumers_with_nth(number).collect();
        for nth in nths {
            self.end_stream(nth);
        }
    }

    fn stream_consumers_with_nth(&self, number: ChannelNumber) -> impl Iterator<Item = Nth> {
        let readers = self.streams.iter().flat_map(|streams| &streams.readers);
        let own = readers.filter(move |(_, reader)| reader.holder.channel == number);
        own.map(|(nth, _)| *nth)
    }

    /// The consumers of streams.
    pub(super) fn stream_consumers(&self) -> impl Iterator<Item = &Holder> {
        let readers = self.streams.iter().flat_map(|streams| streams.readers.values());
        readers.map(|reader| &reader.holder)
    }

    /// A stream was deleted: its consumer's client is told so.
    fn stream_gone(&mut self, nth: Nth) {
        let reader = self.streams.as_ref().and_then(|streams| streams.readers.get(&nth));
        let Some((number, tag)) =
            reader.map(|reader| (reader.holder.channel, reader.holder.tag.clone()))
        else {
            return;
        };
        self.end_stream(nth);
        let consumer_tag = String::from_utf8_lossy(&tag).into_owned();
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.consumers.remove(&consumer_tag);
        }
        if self.capabilities.consumer_cancel_notify {
            self.out.reply(number, &Reply::Cancel { consumer_tag });
        }
    }
}

/// How many deliveries a reader on a channel may have unacknowledged. As in RabbitMQ, a limit for
/// the whole channel stands for one of the reader's own where that is missing.
fn reader_prefetch(channel: &Channel) -> u16 {
    if channel.prefetch > 0 { channel.prefetch } else { channel.channel_prefetch }
}

/// The shard of a queue that may be a stream.
pub(super) fn group_of(queue: &Queue) -> Option<GroupId> {
    match queue.placement {
        Placement::Shard(group) => Some(group),
        Placement::Local { .. } => None,
    }
}

fn no_offset(wanted: &Wanted, queue: &Queue) -> Failure {
    let given = match wanted.arguments.value(OFFSET) {
        None => "void".to_owned(),
        Some(value) => match value.as_text() {
            Some(text) => format!("{{longstr,<<\"{text}\">>}}"),
            None => value.type_name().to_owned(),
        },
    };
    Failure::new(
        ReplyCode::PreconditionFailed,
        format_args!(
            "invalid arg '{OFFSET}' for queue '{}' in vhost '{}': \
             {{invalid_stream_offset_arg,{given}}}",
            queue.name, queue.vhost
        ),
    )
}
