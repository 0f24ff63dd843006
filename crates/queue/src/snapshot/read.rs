//! Reads snapshots. Bytes may be damaged; what comes out is sound or an error.

use std::sync::Arc;

use bytes::Bytes;
use warren_machine::RestoreError;
use warren_types::{
    BootId, ConsumerId, ConsumerNumber, DecodeError, DeliverySequence, Location, LogIndex,
    MessageNumber, NodeId, QueueId, Reader, RequestSequence, SessionId, Timestamp,
};

use super::{VERSION, appended, death, kind, reason, standing};
use crate::clock::{Clock, NEVER};
use crate::entry::{AttachRef, settings_of};
use crate::queue::{Consumer, Death, Queue, Standing, Stream};
use crate::run::{Parts, Run};
use crate::session::{Answers, Kept, Node, Seat, Session, Upload};
use crate::shard::Shard;
use crate::wire::read_replies;
use crate::{Claim, ClaimKey, DeadSequence, DeathReason, DedupKey, EndReason, Letter};

/// Why a record is not taken.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its bytes make no sense.
    Bytes(DecodeError),
    /// It does not fit to the others.
    Fit(&'static str),
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Bytes(error)
    }
}

/// A shard in the making.
#[derive(Debug, Default)]
struct Restored {
    shard: Shard,
    /// The queue whose records come.
    queue: Option<usize>,
    /// The consumer of it whose records come.
    consumer: Option<u64>,
    /// The node whose records come.
    node: Option<SessionId>,
    /// The level of the waiting messages that come, and the last one so far.
    last_waiting: Option<(i16, MessageNumber)>,
    records: u64,
    ended: bool,
}

impl Shard {
    /// See [`warren_machine::Machine::restore`].
    pub(crate) fn read_snapshot(pages: &[Bytes]) -> Result<Self, RestoreError> {
        let mut restored = Restored::default();
        for (number, page) in pages.iter().enumerate() {
            restored.page(number, page)?;
        }
        if !restored.ended {
            return Err(inconsistent("the last page is missing"));
        }
        let mut shard = restored.shard;
        shard.derive().map_err(inconsistent)?;
        Ok(shard)
    }

    /// Works out what a snapshot does not say.
    fn derive(&mut self) -> Result<(), &'static str> {
        let rows = &mut self.rows;
        let mut hold = |index: LogIndex, count: u64, weight: u64| {
            if rows.row(index).is_none() {
                return Err("a message stands in a row that is not listed");
            }
            rows.hold(index, count, weight);
            Ok(())
        };
        for run in self.queues.unordered().flat_map(|(_, queue)| queue.runs()) {
            hold(run.index, u64::from(run.count), run.weight())?;
            let mut parts = run.parts.iter().flat_map(|parts| parts.weights());
            parts.try_for_each(|(index, weight)| hold(index, 1, weight))?;
        }
        let sessions = self.sessions.open_sessions();
        for upload in sessions.flat_map(|(_, session)| session.uploads.values()) {
            upload.parts().weights().try_for_each(|(index, weight)| hold(index, 1, weight))?;
        }
        let is_idle = |index: LogIndex| self.rows.row(index).is_none_or(|row| row.references == 0);
        if self.rows.up_to(self.applied).any(|(index, _)| is_idle(index)) {
            return Err("a row is listed that nothing refers to");
        }
        let places: Vec<usize> = self.queues.unordered().map(|(place, _)| place).collect();
        for place in places {
            let Some(queue) = self.queues.at_mut(place) else { continue };
            if !queue.consumers.is_active_sound(queue.settings.single_active_consumer) {
                return Err("the active consumer of a queue is not the one it should be");
            }
            if !queue.is_aside_sound() {
                return Err("messages are dead and go nowhere");
            }
            if !queue.weigh_segments() {
                return Err("a stream and its segments do not fit");
            }
            queue.derive();
            if !queue.is_reserved_sound() {
                return Err("messages are kept for nobody");
            }
            queue.note_share(&mut self.totals);
            queue.noted_due = queue.due();
            self.timers.note(queue.id, NEVER, queue.noted_due);
        }
        Ok(())
    }
}

impl Restored {
    fn page(&mut self, number: usize, page: &Bytes) -> Result<(), RestoreError> {
        let damaged = |source| RestoreError::Damaged { page: number, source };
        let mut reader = Reader::new(page.clone());
        let version = reader.u16("snapshot version").map_err(damaged)?;
        if version != VERSION {
            return Err(RestoreError::Version { version });
        }
        let written = reader.u32("page number").map_err(damaged)?;
        if usize::try_from(written) != Ok(number) {
            return Err(inconsistent("a page is not in its place"));
        }
        while !reader.is_empty() {
            self.record(&mut reader).map_err(|fault| match fault {
                Fault::Bytes(source) => damaged(source),
                Fault::Fit(what) => inconsistent(what),
            })?;
            self.records += 1;
        }
        Ok(())
    }

    fn record(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let kind = reader.u8("snapshot record")?;
        if self.ended {
            return Err(Fault::Fit("records follow the end"));
        }
        if (self.records == 0) != (kind == kind::HEAD) {
            return Err(Fault::Fit("the head is not the first record"));
        }
        match kind {
            kind::HEAD => self.head(reader),
            kind::NODE => self.node(reader),
            kind::KEPT => self.kept(reader),
            kind::UPLOAD => self.upload(reader),
            kind::TOMBSTONE => self.tombstone(reader),
            kind::QUEUE => self.queue(reader),
            kind::TURN => self.turn(reader),
            kind::RETURNED => self.waiting(reader, true),
            kind::FRESH => self.waiting(reader, false),
            kind::STREAM => self.stream(reader),
            kind::SEGMENTS => self.segments(reader),
            kind::APPENDED => self.appended(reader),
            kind::CONSUMER => self.consumer(reader),
            kind::HELD => self.held(reader),
            kind::LAPSED => self.lapsed(),
            kind::CLAIM => self.claim(reader),
            kind::RESERVED => self.reserved(reader),
            kind::DELAYED => self.delayed(reader),
            kind::SCHEDULED => self.scheduled(reader),
            kind::DEAD => self.dead(reader),
            kind::RECENT => self.recent(reader),
            kind::LETTER => self.letter(reader),
            kind::ROW => self.row(reader),
            kind::END => self.end(reader),
            value => {
                let value = u64::from(value);
                Err(DecodeError::Unknown { what: "snapshot record", value }.into())
            }
        }
    }

    fn head(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        self.shard.version = reader.u16("machine version")?;
        if self.shard.version > crate::MACHINE_VERSION {
            return Err(Fault::Fit("it was written by a later machine version"));
        }
        self.shard.applied = LogIndex(reader.u64("applied")?);
        let now = Timestamp(reader.u64("time")?);
        let stamp = Timestamp(reader.u64("stamp")?);
        if now >= NEVER {
            return Err(Fault::Fit("time has ended"));
        }
        self.shard.clock = Clock { now, stamp };
        Ok(())
    }

    fn node(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let id = NodeId(reader.u64("node")?);
        let boot = BootId(reader.u64("boot")?);
        let last = RequestSequence(reader.u64("request sequence")?);
        let heard = RequestSequence(reader.u64("heard sequence")?);
        let skipped = reader.list("skipped requests", |reader| {
            let from = RequestSequence(reader.u64("first skipped request")?);
            Ok((from, RequestSequence(reader.u64("last skipped request")?)))
        })?;
        let is_open = reader.bool("session")?;
        if self.shard.sessions.nodes().any(|(known, _)| known >= id) {
            return Err(Fault::Fit("nodes are not in order"));
        }
        let answers = Answers::restore(last, heard, skipped);
        let answers = answers.ok_or(Fault::Fit("what a node asked is not in order"))?;
        let session = is_open.then(Session::default);
        self.shard.sessions.restore(id, Node { boot, answers, session });
        self.node = Some(SessionId { node: id, boot });
        Ok(())
    }

    fn kept(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let sequence = RequestSequence(reader.u64("request sequence")?);
        let replies = read_replies(reader)?.into();
        let answers = self.node.and_then(|id| self.shard.sessions.answers_mut(id));
        let answers = answers.ok_or(Fault::Fit("an answer has no node"))?;
        if !answers.restore_kept(Kept { sequence, replies }) {
            return Err(Fault::Fit("what a node was answered is not in order"));
        }
        Ok(())
    }

    fn upload(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let upload = reader.u64("upload")?;
        let parts = read_parts(reader)?;
        let session = self.node.and_then(|id| self.shard.sessions.session_mut(id));
        let session = session.ok_or(Fault::Fit("an upload has no session"))?;
        session.uploads.insert(upload, Upload { parts });
        Ok(())
    }

    fn tombstone(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let queue = QueueId(reader.u64("queue")?);
        let why = match reader.u8("end reason")? {
            reason::UNUSED => EndReason::Unused,
            reason::DELETED => EndReason::Deleted,
            reason::EXPIRED => EndReason::Expired,
            value => {
                let value = u64::from(value);
                return Err(DecodeError::Unknown { what: "end reason", value }.into());
            }
        };
        self.shard.tombstones.insert(queue, why);
        Ok(())
    }

    fn letter(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let target = QueueId(reader.u64("queue")?);
        let source = QueueId(reader.u64("source of a letter")?);
        let sequence = DeadSequence(reader.u64("dead sequence")?);
        if self.shard.queues.place(target).is_none() {
            return Err(Fault::Fit("a letter has come to a queue that is not there"));
        }
        self.shard.letters.note(target, Letter { source, sequence });
        Ok(())
    }

    fn queue(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let id = QueueId(reader.u64("queue")?);
        let settings = settings_of(&reader.bytes("queue settings")?)?;
        if settings.clone().effective() != settings {
            return Err(Fault::Fit("a queue has settings of another kind"));
        }
        let mut queue = Queue::new(id, self.shard.shared(settings), self.shard.clock.now);
        queue.next_number = MessageNumber(reader.u64("next message")?);
        queue.next_order = reader.u64("next consumer")?;
        let active = reader.option("active consumer", |reader| reader.u64("active consumer"))?;
        if let Some(active) = active {
            queue.consumers.restore_active(active);
        }
        queue.used_at = Timestamp(reader.u64("used at")?);
        let dead = reader.option("dead", |reader| {
            Ok((reader.u64("last dead")?, reader.u64("dead under way")?))
        })?;
        if let Some((last, shown)) = dead {
            let aside = queue.aside.get_or_insert_default();
            (aside.dead.last, aside.dead.shown) = (last, shown);
        }
        if self.shard.queues.place(id).is_some() || self.shard.tombstones.contains_key(&id) {
            return Err(Fault::Fit("a queue is listed twice"));
        }
        self.queue = Some(self.shard.queues.insert(queue));
        (self.consumer, self.last_waiting) = (None, None);
        Ok(())
    }

    fn turn(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let priority = read_priority(reader)?;
        let order = reader.u64("turn")?;
        self.current_queue()?.consumers.restore_turn(priority, order);
        Ok(())
    }

    fn waiting(&mut self, reader: &mut Reader, is_returned: bool) -> Result<(), Fault> {
        let run = read_run(reader)?;
        let last = self.last_waiting;
        let queue = self.current_queue()?;
        let here = (run.level, run.number);
        if queue.stream.is_some() {
            return Err(Fault::Fit("something waits to be taken out of a stream"));
        }
        if run.step != 1 || last >= Some(here) || run.last_number() >= queue.next_number {
            return Err(Fault::Fit("waiting messages are not in order"));
        }
        if is_returned && queue.ready.has_fresh(run.level) {
            return Err(Fault::Fit("what came back does not stand in front"));
        }
        let last = (run.level, run.last_number());
        queue.ready.restore(run, is_returned);
        self.last_waiting = Some(last);
        Ok(())
    }

    fn stream(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let looked_at = Timestamp(reader.u64("time of a look at a stream")?);
        if looked_at > self.shard.clock.now {
            return Err(Fault::Fit("a stream is going to be looked at"));
        }
        self.current_stream()?.looked_at = looked_at;
        Ok(())
    }

    fn segments(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let segments = reader.list("segments", |reader| {
            let first = MessageNumber(reader.u64("first message of a segment")?);
            Ok((first, Timestamp(reader.u64("time of a segment")?)))
        })?;
        let stream = self.current_stream()?;
        for (first, newest) in segments {
            if !stream.restore(first, newest) {
                return Err(Fault::Fit("segments are not in order"));
            }
        }
        Ok(())
    }

    fn appended(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let runs = appended::read_runs(reader)?;
        self.current_stream()?;
        let queue = self.current_queue()?;
        for run in runs {
            let is_next = queue.ready.last().is_none_or(|last| last.last_number() < run.number);
            if !is_next || run.last_number() >= queue.next_number {
                return Err(Fault::Fit("the messages of a stream are not in order"));
            }
            queue.ready.restore(run, false);
        }
        Ok(())
    }

    fn current_stream(&mut self) -> Result<&mut Stream, Fault> {
        let stream = self.current_queue()?.stream.as_deref_mut();
        stream.ok_or(Fault::Fit("a record has no stream"))
    }

    fn delayed(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let due = Timestamp(reader.u64("end of a delay")?);
        let run = read_run(reader)?;
        let queue = self.current_queue()?;
        let delayed = &mut queue.aside.get_or_insert_default().delayed;
        let before = delayed.last().map(|(due, run)| (due, run.number));
        if run.count != 1 || run.number >= queue.next_number || before >= Some((due, run.number)) {
            return Err(Fault::Fit("delayed messages are not in order"));
        }
        delayed.restore(due, run);
        Ok(())
    }

    fn scheduled(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let due = Timestamp(reader.u64("time of a scheduled message")?);
        let run = read_run(reader)?;
        let scheduled = &mut self.current_queue()?.aside.get_or_insert_default().scheduled;
        let place = |run: &Run| (run.index, run.offset);
        let before = scheduled.last().map(|(due, run)| (due, place(run)));
        if run.count != 1 || before >= Some((due, place(&run))) {
            return Err(Fault::Fit("scheduled messages are not in order"));
        }
        scheduled.restore(due, run);
        Ok(())
    }

    fn recent(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let now = self.shard.clock.now;
        let keys = reader.list("keys", |reader| {
            let came = Timestamp(reader.u64("time of a key")?);
            Ok((came, DedupKey(read_fixed(reader, "key")?)))
        })?;
        let queue = self.current_queue()?;
        for (came, key) in keys {
            let last = queue.recent.as_ref().and_then(|recent| recent.last());
            let is_known = queue.recent.as_ref().is_some_and(|recent| recent.has(&key));
            if is_known || came > now || last.is_some_and(|(last, _)| last > came) {
                return Err(Fault::Fit("what is not to come again is not in order"));
            }
            queue.recent.get_or_insert_default().note(came, key);
        }
        if queue.settings.dedup_window_ms.is_none() || queue.recent_due() <= now {
            return Err(Fault::Fit("something is remembered for too long"));
        }
        Ok(())
    }

    fn dead(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let first = reader.u64("dead sequence")?;
        let reason = match reader.u8("death reason")? {
            death::REJECTED => DeathReason::Rejected,
            death::EXPIRED => DeathReason::Expired,
            death::MAX_LENGTH => DeathReason::MaxLength,
            death::DELIVERY_LIMIT => DeathReason::DeliveryLimit,
            value => {
                let value = u64::from(value);
                return Err(DecodeError::Unknown { what: "death reason", value }.into());
            }
        };
        let death = Death { reason, time: Timestamp(reader.u64("death time")?) };
        let run = read_run(reader)?;
        let queue = self.current_queue()?;
        let newest = run.last_number() < queue.next_number;
        let dead = &mut queue.aside.get_or_insert_default().dead;
        let behind = dead.numbered().next_back();
        let behind = behind.map_or(1, |(first, run, _)| first.saturating_add(u64::from(run.count)));
        let last = first.checked_add(u64::from(run.count - 1));
        if !newest || first < behind || last.is_none_or(|last| last > dead.last) {
            return Err(Fault::Fit("dead messages are not in order"));
        }
        dead.restore(first, run, death);
        Ok(())
    }

    fn consumer(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let node = NodeId(reader.u64("node")?);
        let session = SessionId { node, boot: BootId(reader.u64("boot")?) };
        let number = ConsumerNumber(reader.u64("consumer")?);
        let order = reader.u64("order")?;
        let standing = read_standing(reader)?;
        let prefetch = reader.u32("prefetch")?;
        let granted = DeliverySequence(reader.u64("granted")?);
        let priority = read_priority(reader)?;
        let exclusive = reader.bool("exclusive")?;
        let no_ack = reader.bool("no_ack")?;
        let tag = reader.short_bytes("consumer tag")?;
        let last = DeliverySequence(reader.u64("last delivery")?);
        let timeout_ms =
            reader.option("consumer timeout", |reader| reader.u64("consumer timeout"))?;

        let id = ConsumerId { session, number };
        let place = self.queue.ok_or(Fault::Fit("a consumer has no queue"))?;
        if self.shard.sessions.session(session).is_none() || self.shard.sessions.seat(id).is_some()
        {
            return Err(Fault::Fit("a consumer has no session, or is listed twice"));
        }
        let queue = self.current_queue()?;
        if queue.consumers.member(order).is_some() || order >= queue.next_order {
            return Err(Fault::Fit("consumers are not in order"));
        }
        let terms = AttachRef {
            consumer: number,
            queue: queue.id,
            prefetch,
            granted,
            priority,
            exclusive,
            no_ack,
            tag: &tag,
            timeout_ms,
            claim: None,
        };
        let mut consumer = Consumer::registered(id, order, &terms);
        (consumer.standing, consumer.last) = (standing, last);
        queue.seat(consumer);
        self.shard.sessions.seat_consumer(id, Seat { queue: place, order });
        self.consumer = Some(order);
        Ok(())
    }

    fn current_consumer(&mut self) -> Result<&mut Consumer, Fault> {
        let fault = Fault::Fit("a record has no consumer");
        let Some(order) = self.consumer else { return Err(fault) };
        self.current_queue()?.consumers.member_mut(order).ok_or(fault)
    }

    fn lapsed(&mut self) -> Result<(), Fault> {
        let consumer = self.current_consumer()?;
        // One that was cancelled may have lapsed before.
        if matches!(consumer.standing, Standing::Holder | Standing::Picker) {
            return Err(Fault::Fit("one that was never given anything has lapsed"));
        }
        consumer.lapsed = true;
        Ok(())
    }

    fn claim(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let key = read_client(reader)?;
        let connection = reader.u64("connection")?;
        let claim = Claim { key, connection, grace_ms: reader.u64("grace")? };
        self.current_consumer()?.claim = Some(Box::new(claim));
        Ok(())
    }

    fn reserved(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let client = read_client(reader)?;
        let until = reader.option("end of a grace", |reader| reader.u64("end of a grace"))?;
        let run = read_run(reader)?;
        let queue = self.current_queue()?;
        let is_one = run.count == 1 && run.number < queue.next_number;
        let reserved = &mut queue.aside.get_or_insert_default().reserved;
        if !is_one || !reserved.restore(client, until.map(Timestamp), run) {
            return Err(Fault::Fit("what is kept for clients is not in order"));
        }
        Ok(())
    }

    fn held(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let first = reader.u64("delivery sequence")?;
        let now = self.shard.clock.now;
        let since = Timestamp(reader.u64("held since")?);
        let run = read_run(reader)?;
        let newest = run.last_number() < self.current_queue()?.next_number;
        let consumer = self.current_consumer()?;
        let before = consumer.held.numbered().next_back();
        let behind = before.map_or(1, |(first, run, _)| first.saturating_add(u64::from(run.count)));
        let last = first.checked_add(u64::from(run.count - 1));
        if !newest || first < behind || last.is_none_or(|last| last > consumer.last.0) {
            return Err(Fault::Fit("held messages are not in order"));
        }
        if since > now {
            return Err(Fault::Fit("a message is going to be given out"));
        }
        consumer.held.restore(first, run, since);
        Ok(())
    }

    fn row(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        let index = LogIndex(reader.u64("row")?);
        let bytes = reader.u64("bytes of a row")?;
        if index == LogIndex(0) || index > self.shard.applied {
            return Err(Fault::Fit("a row is not of this log"));
        }
        self.shard.rows.restore(index, bytes);
        Ok(())
    }

    fn end(&mut self, reader: &mut Reader) -> Result<(), Fault> {
        if reader.u64("count of records")? != self.records {
            return Err(Fault::Fit("records are missing"));
        }
        self.ended = true;
        Ok(())
    }

    fn current_queue(&mut self) -> Result<&mut Queue, Fault> {
        let place = self.queue.ok_or(Fault::Fit("a record has no queue"))?;
        self.shard.queues.at_mut(place).ok_or(Fault::Fit("a record has no queue"))
    }
}

fn inconsistent(what: &'static str) -> RestoreError {
    RestoreError::Inconsistent { what: what.to_owned() }
}

fn read_standing(reader: &mut Reader) -> Result<Standing, DecodeError> {
    match reader.u8("standing")? {
        standing::REGISTERED => Ok(Standing::Registered),
        standing::CANCELLED => Ok(Standing::Cancelled),
        standing::HOLDER => Ok(Standing::Holder),
        standing::PICKER => Ok(Standing::Picker),
        value => Err(DecodeError::Unknown { what: "standing", value: u64::from(value) }),
    }
}

fn read_client(reader: &mut Reader) -> Result<ClaimKey, DecodeError> {
    read_fixed(reader, "client").map(ClaimKey)
}

fn read_fixed<const N: usize>(
    reader: &mut Reader,
    what: &'static str,
) -> Result<[u8; N], DecodeError> {
    let bytes = reader.take(what, N)?;
    Ok(bytes.as_ref().try_into().expect("so many bytes were taken"))
}

fn read_priority(reader: &mut Reader) -> Result<i32, DecodeError> {
    let value = reader.i64("priority")?;
    let unknown = DecodeError::Unknown { what: "priority", value: value.unsigned_abs() };
    i32::try_from(value).map_err(|_| unknown)
}

pub(super) fn read_parts(reader: &mut Reader) -> Result<Vec<(Location, u32)>, DecodeError> {
    reader.list("parts", |reader| {
        let index = LogIndex(reader.u64("row of a part")?);
        let offset = reader.u32("offset of a part")?;
        Ok((Location { index, offset }, reader.u32("size of a part")?))
    })
}

fn read_level(reader: &mut Reader) -> Result<i16, DecodeError> {
    let value = reader.i64("level of a run")?;
    let unknown = DecodeError::Unknown { what: "level of a run", value: value.unsigned_abs() };
    i16::try_from(value).map_err(|_| unknown)
}

fn read_run(reader: &mut Reader) -> Result<Run, Fault> {
    let run = Run {
        number: MessageNumber(reader.u64("message")?),
        index: LogIndex(reader.u64("row of a run")?),
        offset: reader.u32("offset of a run")?,
        stride: reader.u32("stride of a run")?,
        count: reader.u32("count of a run")?,
        step: reader.u32("step of a run")?,
        size: reader.u32("size in a run")?,
        acquired: reader.u32("acquired count")?,
        failed: reader.u32("delivery count")?,
        level: read_level(reader)?,
        deadline: Timestamp(reader.u64("deadline")?),
        parts: reader.option("parts", read_parts)?.map(|parts| Upload { parts }.parts()),
    };
    checked(run)
}

/// A run whose messages can be where it says.
pub(super) fn checked(run: Run) -> Result<Run, Fault> {
    let behind = u64::from(run.count).checked_sub(1).ok_or(Fault::Fit("a run is empty"))?;
    let bytes = u64::from(run.stride) * behind + u64::from(run.offset);
    let numbers =
        u64::from(run.step).checked_mul(behind).and_then(|by| by.checked_add(run.number.0));
    let parts: &Option<Arc<Parts>> = &run.parts;
    if u32::try_from(bytes).is_err() || numbers.is_none() || run.step == 0 {
        return Err(Fault::Fit("a run reaches too far"));
    }
    if parts.is_some() && run.count != 1 {
        return Err(Fault::Fit("messages share their parts"));
    }
    if run.count > 1 && run.stride <= run.size {
        return Err(Fault::Fit("messages overlap"));
    }
    Ok(run)
}
