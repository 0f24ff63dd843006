//! Messages that are alike, as one record.
//!
//! What one client publishes to one queue in one go ends up in one log row at equal distances. A
//! [`Run`] stands for all of it; it is split where messages part ways and joined where they meet
//! again. A run of one is the general case: whatever differs stands alone.

use std::sync::Arc;

use warren_types::{Location, LogIndex, MessageNumber, Timestamp};

use crate::DeliveredRun;
use crate::clock::NEVER;

/// Bytes that a record is taken to have besides its body when the use of a row is weighed.
const RECORD_BYTES: u64 = 64;

/// The earlier parts of a large body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Where they stand, in order.
    pub(crate) locations: Arc<[Location]>,
    /// The bytes of each.
    pub(crate) sizes: Box<[u32]>,
}

impl Parts {
    /// Bytes of all parts.
    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.iter().map(|size| u64::from(*size)).sum()
    }

    /// Each row a part stands in, and what the part weighs there.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (LogIndex, u64)> {
        self.locations.iter().zip(&self.sizes).map(|(at, size)| (at.index, record_weight(*size)))
    }
}

/// Messages of one queue in one log row, equal in all but their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first one's place in the queue.
    pub(crate) number: MessageNumber,
    /// The log row they stand in.
    pub(crate) index: LogIndex,
    /// Where the first one's record stands in the row.
    pub(crate) offset: u32,
    /// Bytes from record to record; 0 for a single one.
    pub(crate) stride: u32,
    /// How many, at least one.
    pub(crate) count: u32,
    /// From number to number; 1 for a single one, and for all that wait.
    pub(crate) step: u32,
    /// Body bytes of each, all parts included.
    pub(crate) size: u32,
    /// How often they were given out and came back.
    pub(crate) acquired: u32,
    /// How often that was a failed delivery.
    pub(crate) failed: u32,
    /// Its priority: 0 for a message that has none, higher ones go first.
    pub(crate) level: i16,
    /// Until when they may wait.
    pub(crate) deadline: Timestamp,
    /// The earlier parts of the body; such a run has one message.
    pub(crate) parts: Option<Arc<Parts>>,
}

impl Run {
    /// A message that was just published, and may wait for ever.
    pub(crate) fn published(
        number: MessageNumber,
        at: Location,
        size: u32,
        parts: Option<Arc<Parts>>,
    ) -> Self {
        Self {
            number,
            index: at.index,
            offset: at.offset,
            stride: 0,
            count: 1,
            step: 1,
            size,
            acquired: 0,
            failed: 0,
            level: 0,
            deadline: NEVER,
            parts,
        }
    }

    /// Adds `next` at the end, if the whole is a run again.
    #[inline]
    pub(crate) fn join(&mut self, next: &Self) -> bool {
        if self.index != next.index
            || self.size != next.size
            || self.acquired != next.acquired
            || self.failed != next.failed
            || self.level != next.level
            || self.deadline != next.deadline
            || self.parts.is_some()
            || next.parts.is_some()
        {
            return false;
        }
        let Some(count) = self.count.checked_add(next.count) else { return false };
        let Some(apart) = next.number.0.checked_sub(self.number.0) else { return false };
        let step = widen(self.step, self.count, next.step, next.count, apart);
        let Some(apart) = next.offset.checked_sub(self.offset) else { return false };
        let stride = widen(self.stride, self.count, next.stride, next.count, u64::from(apart));
        let (Some(step), Some(stride)) = (step, stride) else { return false };
        (self.step, self.stride, self.count) = (step, stride, count);
        true
    }

    /// Adds a plain message that was just published, as [`Run::join`] would, where it comes next.
    #[inline]
    pub(crate) fn extend(&mut self, number: MessageNumber, at: Location, size: u32) -> bool {
        let is_plain = self.deadline == NEVER
            && self.level == 0
            && self.acquired == 0
            && self.failed == 0
            && self.parts.is_none();
        let is_next = self.step == 1
            && self.number.0.saturating_add(u64::from(self.count)) == number.0
            && self.count < u32::MAX;
        if !is_plain || !is_next || self.index != at.index || self.size != size {
            return false;
        }
        let Some(apart) = at.offset.checked_sub(self.offset) else { return false };
        let stride = if self.count == 1 { apart } else { self.stride };
        if u64::from(apart) != u64::from(stride) * u64::from(self.count) {
            return false;
        }
        (self.stride, self.count) = (stride, self.count + 1);
        true
    }

    /// Takes up to `limit` messages off the front. What is left may be nothing: a count of 0.
    #[inline]
    pub(crate) fn take_front(&mut self, limit: u64) -> Self {
        let mut front = self.clone();
        let Some(taken) = u32::try_from(limit).ok().filter(|limit| *limit < self.count) else {
            self.count = 0;
            return front;
        };
        self.number = self.number_of(taken);
        self.offset = self.offset_of(taken);
        self.count -= taken;
        self.settle_shape();
        front.count = taken;
        front.settle_shape();
        front
    }

    /// Of messages that wait: those before `number`, that one, whose record is at `at`, and those
    /// behind it. Before and behind it there may be none: a count of 0.
    pub(crate) fn around(&self, number: MessageNumber, at: Location) -> Option<(Self, Self, Self)> {
        let before = number.0.checked_sub(self.number.0)?;
        if before >= u64::from(self.count) {
            return None;
        }
        let mut behind = self.clone();
        let before = behind.take_front(before);
        let one = behind.take_front(1);
        ((one.index, one.offset) == (at.index, at.offset)).then_some((before, one, behind))
    }

    /// One message after the other.
    pub(crate) fn singles(&self) -> impl Iterator<Item = Self> {
        (0..self.count).map(|at| self.single(at))
    }

    /// The message that comes `at` behind the first.
    pub(crate) fn single(&self, at: u32) -> Self {
        Self {
            number: self.number_of(at),
            offset: self.offset_of(at),
            stride: 0,
            count: 1,
            step: 1,
            ..self.clone()
        }
    }

    /// Where the records stand in their row.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = u32> {
        (0..self.count).map(|at| self.offset_of(at))
    }

    /// The last one's place in the queue.
    pub(crate) fn last_number(&self) -> MessageNumber {
        self.number_of(self.count.saturating_sub(1))
    }

    /// Body bytes of all messages.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.size) * u64::from(self.count)
    }

    /// What the messages weigh in their row, without earlier parts.
    pub(crate) fn weight(&self) -> u64 {
        match &self.parts {
            None => (RECORD_BYTES + u64::from(self.size)) * u64::from(self.count),
            Some(parts) => RECORD_BYTES + u64::from(self.size).saturating_sub(parts.bytes()),
        }
    }

    /// How a consumer hears of them.
    pub(crate) fn delivered(&self) -> DeliveredRun {
        DeliveredRun {
            location: Location { index: self.index, offset: self.offset },
            stride: self.stride,
            count: self.count,
            size: self.size,
            redelivered: self.acquired > 0,
            delivery_count: self.failed,
            acquired_count: self.acquired,
            parts: self.parts.as_ref().map(|parts| Arc::clone(&parts.locations)),
        }
    }

    fn number_of(&self, at: u32) -> MessageNumber {
        MessageNumber(self.number.0.saturating_add(u64::from(self.step) * u64::from(at)))
    }

    fn offset_of(&self, at: u32) -> u32 {
        self.offset.saturating_add(self.stride.saturating_mul(at))
    }

    /// Gives a single message the stride and step that all single ones have.
    fn settle_shape(&mut self) {
        if self.count <= 1 {
            (self.stride, self.step) = (0, 1);
        }
    }
}

/// What a record with a body of `size` bytes weighs in its row.
pub(crate) fn record_weight(size: u32) -> u64 {
    RECORD_BYTES + u64::from(size)
}

/// The distance that holds throughout when a series of `count` is followed by another `apart`
/// from its first, if there is one.
#[inline]
pub(crate) fn widen(
    distance: u32,
    count: u32,
    next: u32,
    next_count: u32,
    apart: u64,
) -> Option<u32> {
    let distance = if count == 1 { u32::try_from(apart).ok()? } else { distance };
    let fits =
        apart == u64::from(distance) * u64::from(count) && (next_count == 1 || next == distance);
    fits.then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64, offset: u32) -> Run {
        let location = Location { index: LogIndex(7), offset };
        Run::published(MessageNumber(number), location, 10, None)
    }

    #[test]
    fn neighbours_at_equal_distances_are_one_run() {
        let mut run = at(1, 100);

        assert!(run.join(&at(2, 150)));
        assert!(run.join(&at(3, 200)));
        assert!(!run.join(&at(4, 251)), "another distance");
        assert!(!run.join(&at(5, 250)), "another step");

        assert_eq!((run.count, run.stride, run.step), (3, 50, 1));
    }

    #[test]
    fn what_is_split_joins_again() {
        let mut run = at(1, 100);
        for more in 1..5 {
            assert!(run.join(&at(1 + 2 * u64::from(more), 100 + 30 * more)));
        }
        let whole = run.clone();

        let mut front = run.take_front(2);
        let mut middle = run.take_front(1);

        assert_eq!((front.count, middle.count, run.count), (2, 1, 2));
        assert_eq!((middle.number, middle.offset, middle.stride), (MessageNumber(5), 160, 0));
        assert!(middle.join(&run));
        assert!(front.join(&middle));
        assert_eq!(front, whole);
    }

    #[test]
    fn extending_a_run_is_joining_it() {
        for (number, offset, size) in
            [(4, 250, 10), (4, 249, 10), (5, 250, 10), (4, 250, 11), (4, 90, 10), (3, 250, 10)]
        {
            for count in [1, 3] {
                let mut joined =
                    Run { count, stride: 50 * (count / 3), ..at(4 - u64::from(count), 100) };
                joined.offset = 250 - 50 * count;
                let mut extended = joined.clone();
                let place = Location { index: LogIndex(7), offset };
                let next = Run::published(MessageNumber(number), place, size, None);
                let is_next = number == 4 && joined.join(&next);

                assert_eq!(extended.extend(MessageNumber(number), place, size), is_next);
                assert_eq!(extended, joined, "{number} at {offset}");
            }
        }
    }

    #[test]
    fn messages_with_other_counters_stay_apart() {
        let mut run = at(1, 100);
        let returned = Run { acquired: 1, ..at(2, 150) };

        assert!(!run.join(&returned));
    }

    #[test]
    fn singles_stand_where_the_run_says() {
        let mut run = at(1, 100);
        assert!(run.join(&at(4, 130)));
        assert!(run.join(&at(7, 160)));

        let singles: Vec<_> = run.singles().collect();

        assert_eq!(singles, [at(1, 100), at(4, 130), at(7, 160)]);
    }
}
