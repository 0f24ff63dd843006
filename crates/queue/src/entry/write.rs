//! Puts commands into fragments and fragments into entries.

use bytes::{BufMut, Bytes, BytesMut};
use warren_types::{
    ConsumerNumber, DeliverySequence, Location, QueueId, RequestSequence, SessionId, Timestamp,
};

use super::settings::write_settings;
use super::{DEDUP_BYTES, FORMAT_ENTRY, attach_flag, kind, more_flag, outcome, publish_flag};
use crate::{
    Attach, Command, DeadRange, DedupKey, Letter, Outcome, Publish, QueueSettings, SettleRange,
    Spot,
};

/// A publish without its body.
#[derive(Clone, Copy, Debug)]
pub struct PublishParts<'a> {
    /// The queues of one shard, each named once, at most 65,535.
    pub queues: &'a [QueueId],
    /// Whether the client asked for persistence.
    pub persistent: bool,
    /// At most 255 bytes.
    pub exchange: &'a [u8],
    /// At most 255 bytes.
    pub routing_key: &'a [u8],
    /// Property flags and property list.
    pub header: &'a [u8],
    /// Where the earlier parts of the body were uploaded.
    pub upload: Option<u64>,
    /// How long it may wait (the `expiration` property).
    pub expiration_ms: Option<u64>,
    /// The `priority` property.
    pub priority: Option<u8>,
    /// What there is to know of the message's way when it dies.
    pub trail: &'a [u8],
    /// Where it died, if it has.
    pub letter: Option<Letter>,
    /// How long it is put aside before it waits.
    pub delay_ms: Option<u64>,
    /// What tells it from others, for those of `queues` that take a message once.
    pub dedup: &'a [(QueueId, DedupKey)],
}

/// The commands of one request, in the making. Fit for use again after [`FragmentWriter::finish`].
#[derive(Debug, Default)]
pub struct FragmentWriter {
    bytes: BytesMut,
    count: u32,
}

impl FragmentWriter {
    /// A request without commands.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a publish whose body comes in slices. Returns its ordinal in the request.
    ///
    /// # Panics
    /// When a part is longer than its length can say; AMQP's are not, and bodies are split far below.
    pub fn publish<'b>(
        &mut self,
        parts: &PublishParts<'_>,
        body_bytes: usize,
        body: impl IntoIterator<Item = &'b [u8]>,
    ) -> u32 {
        let queues =
            u16::try_from(parts.queues.len()).expect("a publish names at most 65,535 queues");
        self.bytes.reserve(
            72 + 8 * parts.queues.len()
                + DEDUP_BYTES * parts.dedup.len()
                + parts.exchange.len()
                + parts.routing_key.len()
                + parts.header.len()
                + body_bytes
                + parts.trail.len(),
        );
        self.bytes.put_u8(kind::PUBLISH);
        let record = self.begin_length();
        self.bytes.put_u8(flags_of(parts));
        self.bytes.put_u16(queues);
        for queue in parts.queues {
            self.bytes.put_u64(queue.0);
        }
        self.short(parts.exchange);
        self.short(parts.routing_key);
        self.long(parts.header);
        let body_length = self.begin_length();
        for part in body {
            self.bytes.put_slice(part);
        }
        self.end_length(body_length);
        self.wishes(parts);
        self.end_length(record);
        self.counted()
    }

    /// What few messages have besides their content.
    fn wishes(&mut self, parts: &PublishParts<'_>) {
        if let Some(upload) = parts.upload {
            self.bytes.put_u64(upload);
        }
        if let Some(expiration_ms) = parts.expiration_ms {
            self.bytes.put_u64(expiration_ms);
        }
        if let Some(priority) = parts.priority {
            self.bytes.put_u8(priority);
        }
        if !parts.trail.is_empty() {
            self.long(parts.trail);
        }
        if let Some(letter) = parts.letter {
            self.bytes.put_u64(letter.source.0);
            self.bytes.put_u64(letter.sequence.0);
        }
        if let Some(delay_ms) = parts.delay_ms {
            self.bytes.put_u64(delay_ms);
        }
        if !parts.dedup.is_empty() {
            self.bytes.put_u8(more_flag::DEDUP);
            let count = u16::try_from(parts.dedup.len()).expect("at most one key for each queue");
            self.bytes.put_u16(count);
            for (queue, key) in parts.dedup {
                self.bytes.put_u64(queue.0);
                self.bytes.put_slice(&key.0);
            }
        }
    }

    /// Adds a settle. Returns its ordinal in the request.
    pub fn settle(
        &mut self,
        consumer: ConsumerNumber,
        how: Outcome,
        ranges: &[SettleRange],
    ) -> u32 {
        self.bytes.put_u8(kind::SETTLE);
        self.bytes.put_u64(consumer.0);
        self.bytes.put_u8(outcome_byte(how));
        self.bytes.put_u32(length(ranges.len()));
        for range in ranges {
            self.bytes.put_u64(range.from.0);
            self.bytes.put_u64(range.to.0);
        }
        self.counted()
    }

    /// Adds a settle of dead messages. Returns its ordinal in the request.
    pub fn dead_settled(&mut self, queue: QueueId, ranges: &[DeadRange]) -> u32 {
        self.bytes.put_u8(kind::DEAD_SETTLED);
        self.bytes.put_u64(queue.0);
        self.bytes.put_u32(length(ranges.len()));
        for range in ranges {
            self.bytes.put_u64(range.from.0);
            self.bytes.put_u64(range.to.0);
        }
        self.counted()
    }

    /// Adds a grant. Returns its ordinal in the request.
    pub fn grant(&mut self, consumer: ConsumerNumber, up_to: DeliverySequence) -> u32 {
        self.bytes.put_u8(kind::GRANT);
        self.bytes.put_u64(consumer.0);
        self.bytes.put_u64(up_to.0);
        self.counted()
    }

    /// Adds a part of a large body. Returns its ordinal in the request.
    pub fn chunk(&mut self, upload: u64, bytes: &[u8]) -> u32 {
        self.bytes.put_u8(kind::CHUNK);
        self.bytes.put_u64(upload);
        self.long(bytes);
        self.counted()
    }

    /// Adds any command. Returns its ordinal in the request.
    ///
    /// # Panics
    /// Where [`FragmentWriter::publish`] does.
    pub fn command(&mut self, command: &Command) -> u32 {
        match command {
            Command::Publish(publish) => self.owned_publish(publish),
            Command::Settle { consumer, outcome, ranges } => {
                self.settle(*consumer, *outcome, ranges)
            }
            Command::Attach(attach) => self.attach(attach),
            Command::Cancel { consumer } => self.number(kind::CANCEL, consumer.0),
            Command::Detach { consumer } => self.number(kind::DETACH, consumer.0),
            Command::Lose { consumer } => self.number(kind::LOSE, consumer.0),
            Command::Grant { consumer, up_to } => self.grant(*consumer, *up_to),
            Command::Get { consumer, queue, no_ack } => self.get(*consumer, *queue, *no_ack),
            Command::CreateQueue { queue, settings } => {
                self.configuration(kind::CREATE_QUEUE, *queue, settings)
            }
            Command::ConfigureQueue { queue, settings } => {
                self.configuration(kind::CONFIGURE_QUEUE, *queue, settings)
            }
            Command::DeleteQueue { queue, if_unused, if_empty } => {
                self.delete_queue(*queue, *if_unused, *if_empty)
            }
            Command::ForgetQueue { queue } => self.number(kind::FORGET_QUEUE, queue.0),
            Command::PurgeQueue { queue } => self.number(kind::PURGE_QUEUE, queue.0),
            Command::Status { queue } => self.number(kind::STATUS, queue.0),
            Command::OpenSession => self.bare(kind::OPEN_SESSION),
            Command::CloseSession { session } => self.close_session(*session),
            Command::Chunk { upload, bytes } => self.chunk(*upload, bytes),
            Command::AbandonUpload { upload } => self.number(kind::ABANDON_UPLOAD, *upload),
            Command::Tick => self.bare(kind::TICK),
            Command::Touch { queue } => self.number(kind::TOUCH, queue.0),
            Command::DeadSettled { queue, ranges } => self.dead_settled(*queue, ranges),
            Command::CancelScheduled { queue, due, at } => self.cancel_scheduled(*queue, *due, *at),
            Command::DropMessage { queue, spot, at } => self.drop_message(*queue, *spot, *at),
            Command::PickMessage { consumer, queue, spot, at } => {
                self.pick_message(*consumer, *queue, *spot, *at)
            }
        }
    }

    /// The request, for [`EntryWriter::push`]. Leaves an empty one, with what room is left.
    pub fn finish(&mut self) -> Bytes {
        self.count = 0;
        self.bytes.split().freeze()
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Commands so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there is no command.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn owned_publish(&mut self, publish: &Publish) -> u32 {
        let parts = PublishParts {
            queues: &publish.queues,
            persistent: publish.persistent,
            exchange: &publish.exchange,
            routing_key: &publish.routing_key,
            header: &publish.header,
            upload: publish.upload,
            expiration_ms: publish.expiration_ms,
            priority: publish.priority,
            trail: &publish.trail,
            letter: publish.letter,
            delay_ms: publish.delay_ms,
            dedup: &publish.dedup,
        };
        self.publish(&parts, publish.body.len(), [&*publish.body])
    }

    fn attach(&mut self, attach: &Attach) -> u32 {
        let mut flags = if attach.exclusive { attach_flag::EXCLUSIVE } else { 0 };
        if attach.no_ack {
            flags |= attach_flag::NO_ACK;
        }
        if attach.timeout_ms.is_some() {
            flags |= attach_flag::TIMEOUT;
        }
        if attach.claim.is_some() {
            flags |= attach_flag::CLAIM;
        }
        self.bytes.put_u8(kind::ATTACH);
        self.bytes.put_u8(flags);
        self.bytes.put_u64(attach.consumer.0);
        self.bytes.put_u64(attach.queue.0);
        self.bytes.put_u32(attach.prefetch);
        self.bytes.put_u64(attach.granted.0);
        self.bytes.put_i32(attach.priority);
        self.short(&attach.tag);
        if let Some(timeout_ms) = attach.timeout_ms {
            self.bytes.put_u64(timeout_ms);
        }
        if let Some(claim) = attach.claim {
            self.bytes.put_slice(&claim.key.0);
            self.bytes.put_u64(claim.connection);
            self.bytes.put_u64(claim.grace_ms);
        }
        self.counted()
    }

    fn get(&mut self, consumer: ConsumerNumber, queue: QueueId, no_ack: bool) -> u32 {
        self.bytes.put_u8(kind::GET);
        self.bytes.put_u64(consumer.0);
        self.bytes.put_u64(queue.0);
        self.bytes.put_u8(u8::from(no_ack));
        self.counted()
    }

    fn configuration(&mut self, kind: u8, queue: QueueId, settings: &QueueSettings) -> u32 {
        self.bytes.put_u8(kind);
        self.bytes.put_u64(queue.0);
        write_settings(&mut self.bytes, settings);
        self.counted()
    }

    fn delete_queue(&mut self, queue: QueueId, if_unused: bool, if_empty: bool) -> u32 {
        self.bytes.put_u8(kind::DELETE_QUEUE);
        self.bytes.put_u64(queue.0);
        self.bytes.put_u8(u8::from(if_unused));
        self.bytes.put_u8(u8::from(if_empty));
        self.counted()
    }

    fn cancel_scheduled(&mut self, queue: QueueId, due: Timestamp, at: Location) -> u32 {
        self.bytes.put_u8(kind::CANCEL_SCHEDULED);
        self.bytes.put_u64(queue.0);
        self.bytes.put_u64(due.0);
        self.location(at);
        self.counted()
    }

    /// Where a message is expected, and where the record of the one that is.
    fn expected(&mut self, spot: Spot, at: Location) {
        let (kind, one, other) = spot.numbers();
        self.bytes.put_u8(kind);
        self.bytes.put_u64(one);
        self.bytes.put_u64(other);
        self.location(at);
    }

    fn location(&mut self, at: Location) {
        self.bytes.put_u64(at.index.0);
        self.bytes.put_u32(at.offset);
    }

    fn drop_message(&mut self, queue: QueueId, spot: Spot, at: Location) -> u32 {
        self.bytes.put_u8(kind::DROP_MESSAGE);
        self.bytes.put_u64(queue.0);
        self.expected(spot, at);
        self.counted()
    }

    fn pick_message(
        &mut self,
        consumer: ConsumerNumber,
        queue: QueueId,
        spot: Spot,
        at: Location,
    ) -> u32 {
        self.bytes.put_u8(kind::PICK_MESSAGE);
        self.bytes.put_u64(consumer.0);
        self.bytes.put_u64(queue.0);
        self.expected(spot, at);
        self.counted()
    }

    fn close_session(&mut self, session: SessionId) -> u32 {
        self.bytes.put_u8(kind::CLOSE_SESSION);
        self.bytes.put_u64(session.node.0);
        self.bytes.put_u64(session.boot.0);
        self.counted()
    }

    fn number(&mut self, kind: u8, number: u64) -> u32 {
        self.bytes.put_u8(kind);
        self.bytes.put_u64(number);
        self.counted()
    }

    fn bare(&mut self, kind: u8) -> u32 {
        self.bytes.put_u8(kind);
        self.counted()
    }

    fn counted(&mut self) -> u32 {
        let ordinal = self.count;
        self.count += 1;
        ordinal
    }

    fn short(&mut self, bytes: &[u8]) {
        self.bytes.put_u8(u8::try_from(bytes.len()).expect("short strings have at most 255 bytes"));
        self.bytes.put_slice(bytes);
    }

    fn long(&mut self, bytes: &[u8]) {
        self.bytes.put_u32(length(bytes.len()));
        self.bytes.put_slice(bytes);
    }

    /// Leaves room for the length of what follows. Returns where.
    fn begin_length(&mut self) -> usize {
        let at = self.bytes.len();
        self.bytes.put_u32(0);
        at
    }

    /// Fills the room at `at` with the length of what followed.
    fn end_length(&mut self, at: usize) {
        let start = at + 4;
        let behind = length(self.bytes.len() - start);
        let room = self.bytes.get_mut(at..start).expect("room was left for the length");
        room.copy_from_slice(&behind.to_be_bytes());
    }
}

/// An entry in the making.
#[derive(Debug)]
pub struct EntryWriter {
    bytes: BytesMut,
}

impl EntryWriter {
    /// An entry without fragments, as the leader stamps it.
    #[must_use]
    pub fn new(machine_version: u16, time: Timestamp) -> Self {
        Self::with_capacity(machine_version, time, 0)
    }

    /// An entry that also says what has passed since the one before, by a clock of the leader's that
    /// does not jump. Versions from [`PACED_SINCE`](crate::PACED_SINCE) on understand it.
    #[must_use]
    pub fn paced(machine_version: u16, time: Timestamp, passed_ms: u16) -> Self {
        let passed = u64::from(passed_ms.saturating_add(1)) << super::TIME_OF_DAY_BITS;
        let mut writer = Self { bytes: BytesMut::with_capacity(super::ENTRY_HEADER_BYTES) };
        writer.begin(machine_version, passed | time.0.min(super::TIME_OF_DAY));
        writer
    }

    /// The same as [`EntryWriter::new`], with room for `bytes` bytes of fragments and their headers.
    #[must_use]
    pub fn with_capacity(machine_version: u16, time: Timestamp, bytes: usize) -> Self {
        let mut writer = Self { bytes: BytesMut::with_capacity(super::ENTRY_HEADER_BYTES + bytes) };
        writer.begin(machine_version, time.0.min(super::TIME_OF_DAY));
        writer
    }

    fn begin(&mut self, machine_version: u16, time: u64) {
        self.bytes.put_u8(FORMAT_ENTRY);
        self.bytes.put_u16(machine_version);
        self.bytes.put_u64(time);
    }

    /// Adds the commands of one request, as a [`FragmentWriter`] made them. `heard`: the session has
    /// the answers to all requests up to and including this one.
    ///
    /// # Panics
    /// From 4 GiB on; entries are bounded far below that.
    pub fn push(
        &mut self,
        session: SessionId,
        sequence: RequestSequence,
        heard: RequestSequence,
        fragment: &[u8],
    ) {
        self.bytes.reserve(super::FRAGMENT_HEADER_BYTES + fragment.len());
        self.bytes.put_u32(length(super::FRAGMENT_HEADER_BYTES - 4 + fragment.len()));
        self.bytes.put_u64(session.node.0);
        self.bytes.put_u64(session.boot.0);
        self.bytes.put_u64(sequence.0);
        self.bytes.put_u64(heard.0);
        self.bytes.put_slice(fragment);
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no fragment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() <= super::ENTRY_HEADER_BYTES
    }

    /// The entry.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.freeze()
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("entries are shorter than 4 GiB")
}

/// What there is of what few messages have.
fn flags_of(parts: &PublishParts<'_>) -> u8 {
    let all = [
        (parts.persistent, publish_flag::PERSISTENT),
        (parts.upload.is_some(), publish_flag::UPLOAD),
        (parts.expiration_ms.is_some(), publish_flag::EXPIRATION),
        (parts.priority.is_some(), publish_flag::PRIORITY),
        (!parts.trail.is_empty(), publish_flag::TRAIL),
        (parts.letter.is_some(), publish_flag::LETTER),
        (parts.delay_ms.is_some(), publish_flag::DELAY),
        (!parts.dedup.is_empty(), publish_flag::MORE),
    ];
    all.into_iter().fold(0, |flags, (is_there, flag)| if is_there { flags | flag } else { flags })
}

fn outcome_byte(value: Outcome) -> u8 {
    match value {
        Outcome::Ack => outcome::ACK,
        Outcome::Requeue => outcome::REQUEUE,
        Outcome::RejectRequeue => outcome::REJECT_REQUEUE,
        Outcome::Reject => outcome::REJECT,
        Outcome::Release => outcome::RELEASE,
        Outcome::Extend => outcome::EXTEND,
    }
}
