//! A stream, for those who read it. Reads, and changes nothing.
//!
//! Everything here costs what a look into a long list costs, however much the stream holds.
//!
//! **Always holds:** the message at an offset is the same on every replica that has it, and for ever.

use std::ops::Range;

use warren_types::{LogIndex, MessageNumber, QueueId, Timestamp};

use crate::DeliveredRun;
use crate::queue::{Queue, Stream};
use crate::shard::Shard;

/// How far a stream reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStatus {
    /// The first message that is there.
    pub first_offset: u64,
    /// The message that comes next.
    pub next_offset: u64,
    /// The first of those that came last, alike and in one entry; where there is none, the message
    /// that comes next.
    pub last_offset: u64,
    /// Bytes of the bodies, and 64 for each message: what counts towards the limit.
    pub bytes: u64,
    /// Its segments.
    pub segments: usize,
}

/// Some messages of a stream, one after the other without gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPage {
    /// The first one: where it was asked for, or behind that where it is not there any more.
    pub first_offset: u64,
    /// Where the messages stand, in order.
    pub runs: Vec<DeliveredRun>,
    /// How many there are.
    pub messages: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Where to go on.
    pub next_offset: u64,
}

/// Messages of a stream that stand together in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRun {
    /// The first one.
    pub first_offset: u64,
    /// The one behind the last.
    pub next_offset: u64,
    /// The row, which knows the time.
    pub row: LogIndex,
}

impl Shard {
    /// How far a stream reaches. None where there is no such queue, or it is no stream.
    #[must_use]
    pub fn stream(&self, queue: QueueId) -> Option<StreamStatus> {
        let (queue, stream) = self.stream_of(queue)?;
        let Range { start, end } = offsets(queue, stream);
        Some(StreamStatus {
            first_offset: start,
            next_offset: end,
            last_offset: queue.ready.last().map_or(end, |run| offset(run.number)),
            bytes: stream.bytes(),
            segments: stream.segments().len(),
        })
    }

    /// The messages from an offset on, as many as the limits allow, but one at least if it is there.
    /// None where there is no such stream.
    #[must_use]
    pub fn stream_page(
        &self,
        queue: QueueId,
        from_offset: u64,
        limit_messages: usize,
        limit_bytes: u64,
    ) -> Option<StreamPage> {
        let (queue, stream) = self.stream_of(queue)?;
        let Range { start, end } = offsets(queue, stream);
        let first_offset = from_offset.clamp(start, end);
        let mut page = StreamPage { first_offset, next_offset: first_offset, ..Default::default() };
        let limit_messages = u64::try_from(limit_messages).unwrap_or(u64::MAX);
        let at = Some((0, number(first_offset)));
        for mut run in queue.ready.runs_in_turn(at).map(std::borrow::Cow::into_owned) {
            let passed = page.next_offset.saturating_sub(offset(run.number));
            run.take_front(passed);
            let size = u64::from(run.size);
            let fitting = limit_bytes.saturating_sub(page.bytes).checked_div(size);
            let least = u64::from(page.messages == 0);
            let room = fitting.unwrap_or(u64::MAX).max(least);
            let room = room.min(limit_messages.saturating_sub(page.messages));
            if room == 0 || run.count == 0 {
                break;
            }
            let is_cut = room < u64::from(run.count);
            let taken = run.take_front(room);
            let count = u64::from(taken.count);
            page.runs.push(taken.delivered());
            page.messages += count;
            page.bytes = page.bytes.saturating_add(taken.bytes());
            page.next_offset = page.next_offset.saturating_add(count);
            if is_cut {
                break;
            }
        }
        Some(page)
    }

    /// The messages that stand together with the one at an offset. None where it is not there.
    #[must_use]
    pub fn stream_run_at(&self, queue: QueueId, wanted: u64) -> Option<StreamRun> {
        let (queue, stream) = self.stream_of(queue)?;
        if !offsets(queue, stream).contains(&wanted) {
            return None;
        }
        let run = queue.ready.runs_in_turn(Some((0, number(wanted)))).next()?;
        let first_offset = offset(run.number);
        let next_offset = first_offset.saturating_add(u64::from(run.count));
        Some(StreamRun { first_offset, next_offset, row: run.index })
    }

    /// The offsets among which the first message stands that is not older than a time of day, as far
    /// as the segments tell; those of nothing where all are older. None where there is no such stream.
    #[must_use]
    pub fn stream_since(&self, queue: QueueId, time: Timestamp) -> Option<Range<u64>> {
        let (queue, stream) = self.stream_of(queue)?;
        let end = offsets(queue, stream).end;
        let mut behind = stream.segments().skip_while(|segment| segment.newest < time);
        let start = behind.next().map_or(end, |segment| offset(segment.first));
        Some(start..behind.next().map_or(end, |segment| offset(segment.first)))
    }

    fn stream_of(&self, queue: QueueId) -> Option<(&Queue, &Stream)> {
        let queue = self.queues.queue(queue)?;
        Some((queue, queue.stream.as_deref()?))
    }
}

/// The messages that can be read.
fn offsets(queue: &Queue, stream: &Stream) -> Range<u64> {
    let next = queue.next_number;
    offset(stream.first().unwrap_or(next))..offset(next)
}

/// Numbers begin at 1, offsets at 0.
fn offset(number: MessageNumber) -> u64 {
    number.0.saturating_sub(1)
}

fn number(offset: u64) -> MessageNumber {
    MessageNumber(offset.saturating_add(1))
}
