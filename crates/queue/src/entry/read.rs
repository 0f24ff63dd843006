//! Reads entries: borrowed and twice for the machine, owned for tools and tests.
//!
//! The machine first has [`EntryRef::parse`] look at every byte, and then walks over what was
//! found sound; so nothing of a damaged entry is ever done, and nothing is collected on the way.

use bytes::Bytes;
use warren_types::{
    ConsumerNumber, DecodeError, DeliverySequence, Location, LogIndex, QueueId, RequestSequence,
    SessionId, Timestamp,
};

use super::cursor::{Cursor, u64s};
use super::settings::settings;
use super::{
    DEDUP_BYTES, FORMAT_ENTRY, FORMAT_SPARSE_TIMED, attach_flag, kind, more_flag, outcome,
    publish_flag,
};
use crate::{
    Attach, CLAIM_KEY_BYTES, Claim, ClaimKey, Command, DeadRange, DeadSequence, DedupKey, Letter,
    Outcome, Publish, QueueSettings, SettleRange, Spot,
};

/// What an entry says, in owned values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedEntry {
    /// The version of the machine that its leader wrote for.
    pub machine_version: u16,
    /// The leader's time of day.
    pub time: Timestamp,
    /// Milliseconds since the entry before, by a clock of the leader's that does not jump.
    pub passed_ms: Option<u16>,
    /// The requests.
    pub fragments: Vec<DecodedFragment>,
}

/// One request of a [`DecodedEntry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedFragment {
    /// Who asks.
    pub session: SessionId,
    /// Its number among the session's requests.
    pub sequence: RequestSequence,
    /// Up to which request the session has all answers.
    pub heard: RequestSequence,
    /// What is asked.
    pub commands: Vec<Command>,
}

/// Reads a whole entry, for tools and tests.
///
/// # Errors
/// When the bytes are no entry.
pub fn decode(bytes: &[u8]) -> Result<DecodedEntry, DecodeError> {
    let entry = EntryRef::parse(bytes)?;
    let mut fragments = Vec::new();
    for fragment in entry.fragments() {
        let commands = fragment.commands().map(|command| command.owned(bytes)).collect();
        fragments.push(DecodedFragment {
            session: fragment.session,
            sequence: fragment.sequence,
            heard: fragment.heard,
            commands,
        });
    }
    let EntryRef { machine_version, time, passed_ms, .. } = entry;
    Ok(DecodedEntry { machine_version, time, passed_ms, fragments })
}

/// When the entry that is `row` was proposed, by its leader's clock; none where the row holds only
/// survivors of one that was written for a machine without streams.
#[must_use]
pub fn time(row: &[u8]) -> Option<Timestamp> {
    let mut cursor = Cursor::new(row, 0);
    if !matches!(cursor.u8("entry format").ok()?, FORMAT_ENTRY | FORMAT_SPARSE_TIMED) {
        return None;
    }
    cursor.u16("machine version").ok()?;
    cursor.u64("time").ok().map(|bits| time_of(bits).0)
}

/// The leader's time of day and what passed since the entry before, if that is told.
fn time_of(bits: u64) -> (Timestamp, Option<u16>) {
    let [high, low, ..] = bits.to_be_bytes();
    (Timestamp(bits & super::TIME_OF_DAY), u16::from_be_bytes([high, low]).checked_sub(1))
}

/// An entry of which every byte was found sound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryRef<'a> {
    pub(crate) machine_version: u16,
    pub(crate) time: Timestamp,
    pub(crate) passed_ms: Option<u16>,
    bytes: &'a [u8],
}

impl<'a> EntryRef<'a> {
    /// Looks at all of `bytes`.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes, 0);
        match cursor.u8("entry format")? {
            FORMAT_ENTRY => {}
            value => {
                return Err(DecodeError::Unknown { what: "entry format", value: u64::from(value) });
            }
        }
        let machine_version = cursor.u16("machine version")?;
        let (time, passed_ms) = time_of(cursor.u64("time")?);
        // Offsets within an entry are u32.
        if u32::try_from(bytes.len()).is_err() {
            return Err(DecodeError::Trailing { count: bytes.len() });
        }
        while !cursor.is_at_end() {
            let mut commands = FragmentRef::read(&mut cursor, bytes)?.cursor();
            while !commands.is_at_end() {
                CommandRef::read(&mut commands)?;
            }
        }
        Ok(Self { machine_version, time, passed_ms, bytes })
    }

    /// The fragments in order.
    pub(crate) fn fragments(&self) -> impl Iterator<Item = FragmentRef<'a>> + use<'a> {
        let bytes = self.bytes;
        let mut cursor = Cursor::new(bytes, super::ENTRY_HEADER_BYTES);
        std::iter::from_fn(move || {
            if cursor.is_at_end() {
                return None;
            }
            FragmentRef::read(&mut cursor, bytes).ok()
        })
    }
}

/// The commands of a fragment, as a [`FragmentWriter`](super::FragmentWriter) wrote them, up to the
/// first that makes no sense.
pub(crate) fn commands(
    fragment: &[u8],
) -> impl Iterator<Item = Result<CommandRef<'_>, DecodeError>> {
    let mut rest = Some(Cursor::new(fragment, 0));
    std::iter::from_fn(move || {
        let mut cursor = rest.take().filter(|cursor| !cursor.is_at_end())?;
        let command = CommandRef::read(&mut cursor);
        rest = command.is_ok().then_some(cursor);
        Some(command)
    })
}

/// Whether the commands of a fragment, as a [`FragmentWriter`](super::FragmentWriter) wrote them, give
/// a queue a new consumer.
#[must_use]
pub fn attaches(fragment: &[u8]) -> bool {
    commands(fragment).any(|command| matches!(command, Ok(CommandRef::Attach(_))))
}

/// One request within an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FragmentRef<'a> {
    pub(crate) session: SessionId,
    pub(crate) sequence: RequestSequence,
    pub(crate) heard: RequestSequence,
    /// The entry up to the end of this fragment.
    bytes: &'a [u8],
    /// Where the commands begin.
    at: usize,
}

impl<'a> FragmentRef<'a> {
    fn read(cursor: &mut Cursor<'a>, entry: &'a [u8]) -> Result<Self, DecodeError> {
        let count = usize::try_from(cursor.u32("fragment")?).unwrap_or(usize::MAX);
        let at = cursor.position();
        cursor.take("fragment", count)?;
        let bytes = entry.get(..cursor.position()).unwrap_or_default();
        let mut within = Cursor::new(bytes, at);
        let session = within.session()?;
        let sequence = RequestSequence(within.u64("request sequence")?);
        let heard = RequestSequence(within.u64("heard sequence")?);
        Ok(Self { session, sequence, heard, bytes, at: within.position() })
    }

    fn cursor(&self) -> Cursor<'a> {
        Cursor::new(self.bytes, self.at)
    }

    /// The commands in order.
    pub(crate) fn commands(&self) -> impl Iterator<Item = CommandRef<'a>> + use<'a> {
        let mut cursor = self.cursor();
        std::iter::from_fn(move || {
            if cursor.is_at_end() {
                return None;
            }
            CommandRef::read(&mut cursor).ok()
        })
    }
}

/// A command whose bytes stay where they are.
#[derive(Clone, Debug)]
pub(crate) enum CommandRef<'a> {
    Publish(PublishRef<'a>),
    Settle { consumer: ConsumerNumber, outcome: Outcome, ranges: RangesRef<'a> },
    Attach(AttachRef<'a>),
    Cancel { consumer: ConsumerNumber },
    Detach { consumer: ConsumerNumber },
    Lose { consumer: ConsumerNumber },
    Grant { consumer: ConsumerNumber, up_to: DeliverySequence },
    Get { consumer: ConsumerNumber, queue: QueueId, no_ack: bool },
    CreateQueue { queue: QueueId, settings: Box<QueueSettings> },
    ConfigureQueue { queue: QueueId, settings: Box<QueueSettings> },
    DeleteQueue { queue: QueueId, if_unused: bool, if_empty: bool },
    ForgetQueue { queue: QueueId },
    PurgeQueue { queue: QueueId },
    Status { queue: QueueId },
    OpenSession,
    CloseSession { session: SessionId },
    Chunk { upload: u64, offset: u32, bytes: u32 },
    AbandonUpload { upload: u64 },
    Tick,
    Touch { queue: QueueId },
    DeadSettled { queue: QueueId, ranges: RangesRef<'a> },
    CancelScheduled { queue: QueueId, due: Timestamp, at: Location },
    DropMessage { queue: QueueId, spot: Spot, at: Location },
    PickMessage { consumer: ConsumerNumber, queue: QueueId, spot: Spot, at: Location },
}

/// A publish record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishRef<'a> {
    /// Where the record begins in its entry.
    pub(crate) offset: u32,
    /// Body bytes in this record.
    pub(crate) body_bytes: u32,
    /// The upload with the earlier parts of the body.
    pub(crate) upload: Option<u64>,
    pub(crate) expiration_ms: Option<u64>,
    pub(crate) priority: Option<u8>,
    pub(crate) letter: Option<Letter>,
    pub(crate) delay_ms: Option<u64>,
    /// Pairs of a queue and a key.
    dedup: &'a [u8],
    queues: &'a [u8],
}

impl PublishRef<'_> {
    /// The queues it is for.
    #[inline]
    pub(crate) fn queues(&self) -> impl Iterator<Item = QueueId> + Clone {
        u64s(self.queues).map(QueueId)
    }

    /// What tells it from others in a queue that takes a message once.
    #[inline]
    pub(crate) fn key_for(&self, queue: QueueId) -> Option<DedupKey> {
        if self.dedup.is_empty() {
            return None;
        }
        self.keys().find(|(known, _)| *known == queue).map(|(_, key)| key)
    }

    fn keys(&self) -> impl Iterator<Item = (QueueId, DedupKey)> {
        self.dedup.chunks_exact(DEDUP_BYTES).filter_map(|pair| {
            let (queue, key) = pair.split_first_chunk()?;
            Some((QueueId(u64::from_be_bytes(*queue)), DedupKey(key.try_into().ok()?)))
        })
    }
}

/// A consumer's terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttachRef<'a> {
    pub(crate) consumer: ConsumerNumber,
    pub(crate) queue: QueueId,
    pub(crate) prefetch: u32,
    pub(crate) granted: DeliverySequence,
    pub(crate) priority: i32,
    pub(crate) exclusive: bool,
    pub(crate) no_ack: bool,
    pub(crate) tag: &'a [u8],
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) claim: Option<Claim>,
}

/// The ranges of a settle, of deliveries or of dead messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RangesRef<'a>(&'a [u8]);

impl RangesRef<'_> {
    /// In the order of the command.
    pub(crate) fn iter(&self) -> impl Iterator<Item = SettleRange> {
        self.0.chunks_exact(16).map(|pair| {
            let mut ends = u64s(pair).map(DeliverySequence);
            let (from, to) = (ends.next().unwrap_or_default(), ends.next().unwrap_or_default());
            SettleRange { from, to }
        })
    }
}

impl<'a> CommandRef<'a> {
    #[inline]
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let at = *cursor;
        Ok(match cursor.u8("command")? {
            kind::PUBLISH => {
                let (publish, _) = publish(at, cursor)?;
                Self::Publish(publish)
            }
            kind::SETTLE => settle(cursor)?,
            kind::ATTACH => Self::Attach(attach(cursor)?),
            kind::CANCEL => Self::Cancel { consumer: consumer(cursor)? },
            kind::DETACH => Self::Detach { consumer: consumer(cursor)? },
            kind::LOSE => Self::Lose { consumer: consumer(cursor)? },
            kind::GRANT => Self::Grant {
                consumer: consumer(cursor)?,
                up_to: DeliverySequence(cursor.u64("delivery sequence")?),
            },
            kind::GET => Self::Get {
                consumer: consumer(cursor)?,
                queue: queue(cursor)?,
                no_ack: cursor.bool("no_ack")?,
            },
            kind::CREATE_QUEUE => {
                Self::CreateQueue { queue: queue(cursor)?, settings: settings(cursor)?.into() }
            }
            kind::CONFIGURE_QUEUE => {
                Self::ConfigureQueue { queue: queue(cursor)?, settings: settings(cursor)?.into() }
            }
            kind::DELETE_QUEUE => Self::DeleteQueue {
                queue: queue(cursor)?,
                if_unused: cursor.bool("if_unused")?,
                if_empty: cursor.bool("if_empty")?,
            },
            kind::FORGET_QUEUE => Self::ForgetQueue { queue: queue(cursor)? },
            kind::PURGE_QUEUE => Self::PurgeQueue { queue: queue(cursor)? },
            kind::STATUS => Self::Status { queue: queue(cursor)? },
            kind::OPEN_SESSION => Self::OpenSession,
            kind::CLOSE_SESSION => Self::CloseSession { session: cursor.session()? },
            kind::CHUNK => {
                let (upload, bytes) = chunk_fields(cursor)?;
                Self::Chunk { upload, offset: offset(at)?, bytes: size(bytes.len())? }
            }
            kind::ABANDON_UPLOAD => Self::AbandonUpload { upload: cursor.u64("upload")? },
            kind::TICK => Self::Tick,
            kind::TOUCH => Self::Touch { queue: queue(cursor)? },
            kind::DEAD_SETTLED => {
                Self::DeadSettled { queue: queue(cursor)?, ranges: ranges(cursor)? }
            }
            kind::CANCEL_SCHEDULED => Self::CancelScheduled {
                queue: queue(cursor)?,
                due: Timestamp(cursor.u64("time of a scheduled message")?),
                at: location(cursor)?,
            },
            kind::DROP_MESSAGE => {
                let queue = queue(cursor)?;
                let (spot, at) = expected(cursor)?;
                Self::DropMessage { queue, spot, at }
            }
            kind::PICK_MESSAGE => {
                let (consumer, queue) = (consumer(cursor)?, queue(cursor)?);
                let (spot, at) = expected(cursor)?;
                Self::PickMessage { consumer, queue, spot, at }
            }
            value => {
                return Err(DecodeError::Unknown { what: "command", value: u64::from(value) });
            }
        })
    }

    fn owned(self, entry: &[u8]) -> Command {
        match self {
            Self::Publish(publish) => Command::Publish(publish.owned(entry)),
            Self::Settle { consumer, outcome, ranges } => {
                Command::Settle { consumer, outcome, ranges: ranges.iter().collect() }
            }
            Self::Attach(attach) => Command::Attach(attach.owned()),
            Self::Cancel { consumer } => Command::Cancel { consumer },
            Self::Detach { consumer } => Command::Detach { consumer },
            Self::Lose { consumer } => Command::Lose { consumer },
            Self::Grant { consumer, up_to } => Command::Grant { consumer, up_to },
            Self::Get { consumer, queue, no_ack } => Command::Get { consumer, queue, no_ack },
            Self::CreateQueue { queue, settings } => {
                Command::CreateQueue { queue, settings: *settings }
            }
            Self::ConfigureQueue { queue, settings } => {
                Command::ConfigureQueue { queue, settings: *settings }
            }
            Self::DeleteQueue { queue, if_unused, if_empty } => {
                Command::DeleteQueue { queue, if_unused, if_empty }
            }
            Self::ForgetQueue { queue } => Command::ForgetQueue { queue },
            Self::PurgeQueue { queue } => Command::PurgeQueue { queue },
            Self::Status { queue } => Command::Status { queue },
            Self::OpenSession => Command::OpenSession,
            Self::CloseSession { session } => Command::CloseSession { session },
            Self::Chunk { upload, offset, .. } => {
                let mut cursor = Cursor::new(entry, usize::try_from(offset).unwrap_or(usize::MAX));
                let bytes = cursor.u8("command").and_then(|_| chunk_fields(&mut cursor));
                let bytes = bytes.map(|(_, bytes)| bytes).unwrap_or_default();
                Command::Chunk { upload, bytes: Bytes::copy_from_slice(bytes) }
            }
            Self::AbandonUpload { upload } => Command::AbandonUpload { upload },
            Self::Tick => Command::Tick,
            Self::Touch { queue } => Command::Touch { queue },
            Self::DeadSettled { queue, ranges } => {
                let ranges = ranges.iter().map(|range| DeadRange {
                    from: DeadSequence(range.from.0),
                    to: DeadSequence(range.to.0),
                });
                Command::DeadSettled { queue, ranges: ranges.collect() }
            }
            Self::CancelScheduled { queue, due, at } => Command::CancelScheduled { queue, due, at },
            Self::DropMessage { queue, spot, at } => Command::DropMessage { queue, spot, at },
            Self::PickMessage { consumer, queue, spot, at } => {
                Command::PickMessage { consumer, queue, spot, at }
            }
        }
    }
}

impl PublishRef<'_> {
    fn owned(self, entry: &[u8]) -> Publish {
        let at = Cursor::new(entry, usize::try_from(self.offset).unwrap_or(usize::MAX));
        let mut cursor = at;
        let record = cursor.u8("command").and_then(|_| publish(at, &mut cursor));
        let (_, content) = record.expect("the record was read before");
        Publish {
            queues: self.queues().collect(),
            persistent: content.persistent,
            exchange: Bytes::copy_from_slice(content.exchange),
            routing_key: Bytes::copy_from_slice(content.routing_key),
            header: Bytes::copy_from_slice(content.header),
            body: Bytes::copy_from_slice(content.body),
            upload: self.upload,
            expiration_ms: self.expiration_ms,
            priority: self.priority,
            trail: Bytes::copy_from_slice(content.trail),
            letter: self.letter,
            delay_ms: self.delay_ms,
            dedup: self.keys().collect(),
        }
    }
}

impl AttachRef<'_> {
    fn owned(self) -> Attach {
        Attach {
            consumer: self.consumer,
            queue: self.queue,
            prefetch: self.prefetch,
            granted: self.granted,
            priority: self.priority,
            exclusive: self.exclusive,
            no_ack: self.no_ack,
            tag: Bytes::copy_from_slice(self.tag),
            timeout_ms: self.timeout_ms,
            claim: self.claim,
        }
    }
}

/// What a publish record holds for its consumers.
#[derive(Clone, Copy, Debug)]
pub(super) struct ContentRef<'a> {
    pub(super) persistent: bool,
    pub(super) exchange: &'a [u8],
    pub(super) routing_key: &'a [u8],
    pub(super) header: &'a [u8],
    pub(super) body: &'a [u8],
    pub(super) trail: &'a [u8],
}

/// Reads a publish record whose kind stood at `at` and has been read.
#[inline]
pub(super) fn publish<'a>(
    at: Cursor<'a>,
    cursor: &mut Cursor<'a>,
) -> Result<(PublishRef<'a>, ContentRef<'a>), DecodeError> {
    let count = usize::try_from(cursor.u32("publish")?).unwrap_or(usize::MAX);
    let start = cursor.position();
    let flags = cursor.flags("publish flags", publish_flag::ALL)?;
    let queue_count = usize::from(cursor.u16("queue count")?);
    let queues = cursor.eights("queues", queue_count)?;
    let exchange = cursor.short("exchange")?;
    let routing_key = cursor.short("routing key")?;
    let header = cursor.long("header")?;
    let body = cursor.long("body")?;
    let upload = if flags & publish_flag::UPLOAD != 0 { Some(cursor.u64("upload")?) } else { None };
    let (mut expiration_ms, mut priority, mut trail) = (None, None, &[][..]);
    let (mut letter, mut delay_ms, mut dedup) = (None, None, &[][..]);
    if flags & publish_flag::RARE != 0 {
        if flags & publish_flag::EXPIRATION != 0 {
            expiration_ms = Some(cursor.u64("expiration")?);
        }
        if flags & publish_flag::PRIORITY != 0 {
            priority = Some(cursor.u8("priority")?);
        }
        if flags & publish_flag::TRAIL != 0 {
            trail = cursor.long("trail")?;
        }
        if flags & publish_flag::LETTER != 0 {
            let source = queue(cursor)?;
            let sequence = DeadSequence(cursor.u64("dead sequence")?);
            letter = Some(Letter { source, sequence });
        }
        if flags & publish_flag::DELAY != 0 {
            delay_ms = Some(cursor.u64("delay")?);
        }
        if flags & publish_flag::MORE != 0 {
            let more = cursor.flags("more publish flags", more_flag::DEDUP)?;
            if more & more_flag::DEDUP != 0 {
                let count = usize::from(cursor.u16("count of keys")?);
                dedup = cursor.take("keys", count.saturating_mul(DEDUP_BYTES))?;
            }
        }
    }
    let end = cursor.position();
    if end - start != count {
        let value = u64::try_from(count).unwrap_or(u64::MAX);
        return Err(DecodeError::Unknown { what: "length of a publish", value });
    }
    let (offset, body_bytes) = (offset(at)?, size(body.len())?);
    let record = PublishRef {
        offset,
        body_bytes,
        upload,
        expiration_ms,
        priority,
        letter,
        delay_ms,
        dedup,
        queues,
    };
    let persistent = flags & publish_flag::PERSISTENT != 0;
    Ok((record, ContentRef { persistent, exchange, routing_key, header, body, trail }))
}

/// Reads a chunk record whose kind has been read.
pub(super) fn chunk_fields<'a>(cursor: &mut Cursor<'a>) -> Result<(u64, &'a [u8]), DecodeError> {
    Ok((cursor.u64("upload")?, cursor.long("chunk")?))
}

fn settle<'a>(cursor: &mut Cursor<'a>) -> Result<CommandRef<'a>, DecodeError> {
    let consumer = consumer(cursor)?;
    let outcome = match cursor.u8("outcome")? {
        outcome::ACK => Outcome::Ack,
        outcome::REQUEUE => Outcome::Requeue,
        outcome::REJECT_REQUEUE => Outcome::RejectRequeue,
        outcome::REJECT => Outcome::Reject,
        outcome::RELEASE => Outcome::Release,
        outcome::EXTEND => Outcome::Extend,
        value => return Err(DecodeError::Unknown { what: "outcome", value: u64::from(value) }),
    };
    Ok(CommandRef::Settle { consumer, outcome, ranges: ranges(cursor)? })
}

fn ranges<'a>(cursor: &mut Cursor<'a>) -> Result<RangesRef<'a>, DecodeError> {
    let count = usize::try_from(cursor.u32("ranges")?).unwrap_or(usize::MAX);
    cursor.eights("ranges", count.saturating_mul(2)).map(RangesRef)
}

fn attach<'a>(cursor: &mut Cursor<'a>) -> Result<AttachRef<'a>, DecodeError> {
    let rare = attach_flag::TIMEOUT | attach_flag::CLAIM;
    let known = attach_flag::EXCLUSIVE | attach_flag::NO_ACK | rare;
    let flags = cursor.flags("attach flags", known)?;
    Ok(AttachRef {
        consumer: consumer(cursor)?,
        queue: queue(cursor)?,
        prefetch: cursor.u32("prefetch")?,
        granted: DeliverySequence(cursor.u64("granted")?),
        priority: cursor.i32("priority")?,
        exclusive: flags & attach_flag::EXCLUSIVE != 0,
        no_ack: flags & attach_flag::NO_ACK != 0,
        tag: cursor.short("tag")?,
        timeout_ms: if flags & attach_flag::TIMEOUT != 0 {
            Some(cursor.u64("consumer timeout")?)
        } else {
            None
        },
        claim: if flags & attach_flag::CLAIM != 0 { Some(claim(cursor)?) } else { None },
    })
}

fn claim(cursor: &mut Cursor<'_>) -> Result<Claim, DecodeError> {
    let key = cursor.take("key of a client", CLAIM_KEY_BYTES)?;
    let key = ClaimKey(key.try_into().expect("so many bytes were taken"));
    Ok(Claim { key, connection: cursor.u64("connection")?, grace_ms: cursor.u64("grace")? })
}

fn consumer(cursor: &mut Cursor<'_>) -> Result<ConsumerNumber, DecodeError> {
    cursor.u64("consumer").map(ConsumerNumber)
}

fn queue(cursor: &mut Cursor<'_>) -> Result<QueueId, DecodeError> {
    cursor.u64("queue").map(QueueId)
}

/// Where a message is expected, and where the record of the one that is.
fn expected(cursor: &mut Cursor<'_>) -> Result<(Spot, Location), DecodeError> {
    let spot = Spot::of((cursor.u8("spot")?, cursor.u64("spot")?, cursor.u64("spot")?))?;
    Ok((spot, location(cursor)?))
}

fn location(cursor: &mut Cursor<'_>) -> Result<Location, DecodeError> {
    Ok(Location { index: LogIndex(cursor.u64("row")?), offset: cursor.u32("offset")? })
}

fn offset(at: Cursor<'_>) -> Result<u32, DecodeError> {
    size(at.position())
}

fn size(bytes: usize) -> Result<u32, DecodeError> {
    u32::try_from(bytes).map_err(|_| DecodeError::Trailing { count: bytes })
}
