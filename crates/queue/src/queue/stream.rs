//! What a queue has besides its messages when it is a stream: its segments, by which the oldest go.
//!
//! Nobody takes anything out of a stream. It has no consumers here, and none of the rules of other
//! queues; who reads it keeps its own place. What comes waits in the order in which it came, with
//! numbers that have no gaps: a message's offset is its number less one.
//!
//! A segment is a stretch of these, which ends with the entry in which it reaches its size. The oldest
//! one goes when what is behind it is as large as the stream may become, or when its newest message is
//! too old; the last one stays. Many rows may be freed by that, so a part of them is with each entry;
//! what is given up is not read in the meantime.
//!
//! Age goes by the time of day, and not by the shard's own time as all else does: that one stands still
//! while a cluster is down or nothing is due, and what is to be kept for seven days is not to stay for
//! ten because of it. A leader whose clock is wrong shortens, or lengthens, what is kept by as much.
//!
//! **Always holds:** segments begin one behind the other, with the first message of an entry, and
//! together are what can be read; as soon as something has come there is one.

use std::collections::VecDeque;

use warren_types::{MessageNumber, Timestamp};

use super::{Moment, Queue};
use crate::QueueSettings;
use crate::clock::{Clock, NEVER};
use crate::run::{Run, record_weight};

/// How large a segment becomes where nothing else is said: as in RabbitMQ.
const SEGMENT_BYTES: u64 = 500_000_000;

/// How often a stream looks for segments that are too old: as often as its leader proposes something
/// anyway while anything is due.
const LOOK_MS: u64 = 5_000;

/// Runs that are dropped in one entry: some milliseconds of work.
const SHED_RUNS: usize = 16_384;

/// A stretch of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its first message.
    pub(crate) first: MessageNumber,
    /// What its messages weigh.
    pub(crate) bytes: u64,
    /// The time of day of the newest one.
    pub(crate) newest: Timestamp,
}

/// What a stream remembers.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    segments: VecDeque<Segment>,
    /// What the messages of all segments weigh.
    bytes: u64,
    /// When it looked for segments that are too old, by the shard's time.
    pub(crate) looked_at: Timestamp,
}

impl Stream {
    /// Takes note of messages that come, perhaps as the first of an entry.
    fn note(&mut self, run: &Run, stamp: Timestamp, is_first: bool, segment_bytes: u64) {
        let last = self.segments.back_mut();
        let bytes = weight(run);
        self.bytes = self.bytes.saturating_add(bytes);
        match last.filter(|last| !is_first || last.bytes < segment_bytes) {
            Some(last) => {
                last.bytes = last.bytes.saturating_add(bytes);
                last.newest = last.newest.max(stamp);
            }
            None => self.segments.push_back(Segment { first: run.number, bytes, newest: stamp }),
        }
    }

    /// Takes note of another message of the last entry.
    #[inline]
    pub(super) fn extend(&mut self, size: u32) {
        let bytes = record_weight(size);
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(last) = self.segments.back_mut() {
            last.bytes = last.bytes.saturating_add(bytes);
        }
    }

    /// Gives up the oldest segments that need not be kept.
    fn retain(&mut self, settings: &QueueSettings, clock: Clock) {
        self.looked_at = clock.now;
        while self.segments.len() > 1
            && let Some(oldest) = self.segments.front()
        {
            let rest = self.bytes.saturating_sub(oldest.bytes);
            let is_dispensable = settings.max_length_bytes.is_some_and(|limit| rest >= limit);
            let ends = settings.max_age_ms.map_or(NEVER, |age_ms| oldest.newest.plus_ms(age_ms));
            if !is_dispensable && ends >= clock.stamp {
                return;
            }
            self.bytes = rest;
            self.segments.pop_front();
        }
        if self.segments.len() < self.segments.capacity() / 4 {
            self.segments.shrink_to_fit();
        }
    }

    /// Adds a segment that a snapshot has. Returns whether it stands behind the others.
    pub(crate) fn restore(&mut self, first: MessageNumber, newest: Timestamp) -> bool {
        let is_behind = self.segments.back().is_none_or(|last| last.first < first);
        self.segments.push_back(Segment { first, bytes: 0, newest });
        is_behind
    }

    /// The first message that can be read, if something has come.
    pub(crate) fn first(&self) -> Option<MessageNumber> {
        self.segments.front().map(|segment| segment.first)
    }

    /// The segments, the oldest first.
    pub(crate) fn segments(&self) -> impl ExactSizeIterator<Item = &Segment> {
        self.segments.iter()
    }

    /// What the messages of all segments weigh.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.segments.capacity() * size_of::<Segment>()
    }
}

impl Queue {
    /// Puts messages at the end.
    pub(super) fn append(&mut self, run: Run, clock: Clock) {
        if let Some(stream) = &mut self.stream {
            let is_first = self.ready.last().is_none_or(|last| last.index != run.index);
            let segment_bytes = self.settings.segment_bytes.unwrap_or(SEGMENT_BYTES);
            stream.note(&run, clock.stamp, is_first, segment_bytes);
        }
        self.ready.push(run);
    }

    /// Has retention act, and drops some of what is given up.
    pub(super) fn keep_in_bounds(&mut self, moment: &mut Moment<'_>) {
        let Some(stream) = &mut self.stream else { return };
        stream.retain(&self.settings, moment.clock);
        let Some(first) = stream.first() else { return };
        for _ in 0..SHED_RUNS {
            let before = self.ready.first().map_or(0, |run| first.0.saturating_sub(run.number.0));
            if before == 0 {
                return;
            }
            if let Some(run) = self.ready.take(before) {
                moment.rows.release(&run);
            }
        }
    }

    /// When something of a stream goes by itself.
    pub(super) fn retention_due(&self) -> Timestamp {
        let Some(stream) = &self.stream else { return NEVER };
        if self.ready.first().map(|run| run.number) < stream.first() {
            return stream.looked_at;
        }
        let ages = self.settings.max_age_ms.is_some() && stream.segments.len() > 1;
        if ages { stream.looked_at.plus_ms(LOOK_MS) } else { NEVER }
    }

    /// Whether somebody takes messages out, or may come back for some.
    pub(super) fn is_taken_from(&self) -> bool {
        let is_reserved = self.aside.as_ref().is_some_and(|aside| aside.reserved.len() > 0);
        self.consumers.iter().next().is_some() || is_reserved
    }

    /// Has what waits, and is to wait again, be a stream from its beginning. So do queues that were
    /// declared as streams when other ones stood for these.
    pub(super) fn become_stream(&mut self, clock: Clock) {
        let mut runs = vec![];
        self.ready.drain(|run| runs.push(run));
        if let Some(aside) = &mut self.aside {
            aside.delayed.drain(|run| runs.push(run));
        }
        runs.sort_by_key(|run| run.number);
        (self.stream, self.next_number) = (Some(Box::default()), MessageNumber(1));
        for run in runs {
            let number = self.next_number;
            self.next_number = MessageNumber(number.0.saturating_add(u64::from(run.count)));
            let (acquired, failed, level, deadline) = (0, 0, 0, NEVER);
            self.append(Run { number, acquired, failed, level, deadline, ..run }, clock);
        }
    }

    /// Works out what the segments weigh. Returns whether they and what waits are one stream.
    pub(crate) fn weigh_segments(&mut self) -> bool {
        let Some(mut stream) = self.stream.take() else { return true };
        let weighed = self.weighed(&stream);
        if let Some(segments) = weighed {
            stream.bytes = segments.iter().map(|segment| segment.bytes).sum();
            stream.segments = segments;
            self.stream = Some(stream);
            return true;
        }
        false
    }

    /// Whether the segments and what waits are one stream; for checks.
    pub(crate) fn is_stream_sound(&self) -> bool {
        let Some(stream) = &self.stream else { return true };
        let total = stream.segments.iter().map(|segment| segment.bytes).sum::<u64>();
        self.weighed(stream).is_some_and(|segments| segments == stream.segments)
            && total == stream.bytes
    }

    /// The segments with the weights of the messages that wait, if these have no gaps, and begin and
    /// end where they should.
    fn weighed(&self, stream: &Stream) -> Option<VecDeque<Segment>> {
        let mut segments: VecDeque<Segment> =
            stream.segments.iter().map(|segment| Segment { bytes: 0, ..*segment }).collect();
        let mut next = self.ready.first().map_or(self.next_number, |run| run.number);
        let mut at = 0;
        for run in self.ready.runs() {
            if run.number != next || run.level != 0 || run.deadline != NEVER || run.acquired != 0 {
                return None;
            }
            next = MessageNumber(run.number.0.checked_add(u64::from(run.count))?);
            let begins = |segment: &Segment| segment.first <= run.number;
            while segments.get(at + 1).is_some_and(begins) {
                at += 1;
            }
            // What is given up stands before the first one.
            let Some(segment) = segments.get_mut(at).filter(|one| begins(one)) else { continue };
            segment.bytes = segment.bytes.checked_add(weight(&run))?;
        }
        let is_whole = next == self.next_number && self.is_segmented(&segments);
        is_whole.then_some(segments)
    }

    /// Whether each of these segments begins with a run, and none is there without one.
    fn is_segmented(&self, segments: &VecDeque<Segment>) -> bool {
        let mut runs = segments.iter().map(|segment| {
            let at = Some((0, segment.first));
            self.ready.runs_in_turn(at).next().is_some_and(|run| run.number == segment.first)
        });
        runs.all(|begins| begins) && segments.is_empty() == self.ready.is_empty()
    }
}

/// What messages weigh: about what they take on a disk.
fn weight(run: &Run) -> u64 {
    record_weight(run.size).saturating_mul(u64::from(run.count))
}
