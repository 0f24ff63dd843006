//! Messages that were never given out, in order.
//!
//! A backlog is touched at its ends: what comes is added behind, what is given out is taken in front.
//! So the runs in the middle of a long one are packed into few bytes ([`Pack`]), and taken out again
//! as they come to the front.
//!
//! **Always holds:** while something is packed, there are runs before it and behind it; otherwise all
//! are in front. What is packed makes no difference to anybody: replicas pack differently.

use std::borrow::Cow;
use std::collections::VecDeque;

use warren_types::{LogIndex, MessageNumber};

use super::pack::Pack;
use crate::run::Run;

/// Runs in a pack: so many that a pack costs little beside what is in it, and so few that a queue
/// with a short backlog has no room to spare.
const PACK_RUNS: usize = 64;

/// Room for runs that an empty queue keeps; more is given back, so that a burst costs no memory
/// for ever.
const SPARE_RUNS: usize = 4;

/// Waiting runs, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    front: VecDeque<Run>,
    rest: Option<Box<Rest>>,
}

/// What stands behind the front of a long backlog. Neither is empty.
#[derive(Debug)]
struct Rest {
    packs: VecDeque<Pack>,
    back: VecDeque<Run>,
}

impl Fresh {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self { front: VecDeque::new(), rest: None }
    }

    /// Adds a run at the end.
    pub(crate) fn push(&mut self, run: Run) {
        if let Some(rest) = &mut self.rest {
            return rest.push(run);
        }
        if self.front.capacity() == 0 {
            // Most queues hold one message at a time.
            self.front.reserve_exact(1);
        }
        self.front.push_back(run);
        if self.front.len() == 3 * PACK_RUNS {
            self.rest = Rest::of(self.front.split_off(PACK_RUNS)).map(Box::new);
        }
    }

    /// The oldest run.
    #[inline]
    pub(crate) fn first(&self) -> Option<&Run> {
        self.front.front()
    }

    /// The newest run.
    #[inline]
    pub(crate) fn last(&self) -> Option<&Run> {
        self.rest.as_ref().map_or(&self.front, |rest| &rest.back).back()
    }

    /// The newest run.
    #[inline]
    pub(crate) fn last_mut(&mut self) -> Option<&mut Run> {
        self.rest.as_mut().map_or(&mut self.front, |rest| &mut rest.back).back_mut()
    }

    /// Takes up to `limit` of the oldest messages, as many as are alike.
    #[inline]
    pub(crate) fn take(&mut self, limit: u64) -> Option<Run> {
        let run = self.front.front_mut()?;
        let taken = run.take_front(limit);
        if run.count == 0 {
            self.front.pop_front();
            if self.front.is_empty() {
                self.refill();
            }
        }
        Some(taken)
    }

    /// Takes all.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(Run)) {
        let Self { front, rest } = std::mem::take(self);
        front.into_iter().for_each(&mut visit);
        let Some(rest) = rest else { return };
        rest.packs.iter().flat_map(Pack::runs).for_each(&mut visit);
        rest.back.into_iter().for_each(&mut visit);
    }

    /// Changes the runs around a place. `work` is given some that stand together: the one that has
    /// `number`, or else the one before that place, is among them unless all stand behind it.
    pub(crate) fn rework<R>(
        &mut self,
        number: MessageNumber,
        work: impl FnOnce(&mut VecDeque<Run>) -> R,
    ) -> R {
        let rest = self.rest.as_mut().filter(|rest| rest.begins_before(number));
        let result = match rest {
            None => work(&mut self.front),
            Some(rest) => rest.rework(number, work),
        };
        self.refill();
        result
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.front.is_empty()
    }

    /// All of them in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Cow<'_, Run>> {
        self.since(|_| false, |_| false)
    }

    /// Those from the first one on that has `number` or a higher one. What lies before costs nothing.
    pub(crate) fn since_number(&self, number: MessageNumber) -> impl Iterator<Item = Cow<'_, Run>> {
        self.since(move |run| run.last_number() < number, move |pack| pack.last < number)
    }

    /// Those from the first one on that stands in `row` or a later one, where rows are in order.
    pub(crate) fn since_row(&self, row: LogIndex) -> impl Iterator<Item = Cow<'_, Run>> {
        self.since(move |run| run.index < row, move |pack| pack.last_row < row)
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.memory_bytes());
        self.front.capacity() * size_of::<Run>() + rest
    }

    /// Leaves out what is before.
    fn since(
        &self,
        is_before: impl Fn(&Run) -> bool + Copy,
        is_pack_before: impl Fn(&Pack) -> bool,
    ) -> impl Iterator<Item = Cow<'_, Run>> {
        let front = self.front.partition_point(is_before);
        let rest = self.rest.iter().flat_map(move |rest| {
            let packs = rest.packs.partition_point(&is_pack_before);
            let back = rest.back.partition_point(is_before);
            let packed = rest.packs.range(packs..).flat_map(Pack::runs);
            let packed = packed.skip_while(move |run| is_before(run)).map(Cow::Owned);
            packed.chain(rest.back.range(back..).map(Cow::Borrowed))
        });
        self.front.range(front..).map(Cow::Borrowed).chain(rest)
    }

    /// Has runs in front as long as there are some, and at the back as long as something is packed.
    #[cold]
    fn refill(&mut self) {
        if let Some(rest) = &mut self.rest {
            if self.front.is_empty()
                && let Some(pack) = rest.packs.pop_front()
            {
                self.front.extend(pack.runs());
            }
            if rest.back.is_empty()
                && let Some(pack) = rest.packs.pop_back()
            {
                rest.back.extend(pack.runs());
            }
        }
        if let Some(mut rest) = self.rest.take_if(|rest| rest.packs.is_empty()) {
            self.front.append(&mut rest.back);
        }
        if self.front.is_empty() && self.front.capacity() > SPARE_RUNS {
            self.front = VecDeque::new();
        }
    }
}

impl Rest {
    /// Packs the oldest of these runs; none if there are none.
    fn of(back: VecDeque<Run>) -> Option<Self> {
        let mut rest = Self { packs: VecDeque::new(), back };
        rest.pack();
        (!rest.packs.is_empty()).then_some(rest)
    }

    fn push(&mut self, run: Run) {
        self.back.push_back(run);
        if self.back.len() == 2 * PACK_RUNS {
            self.pack();
        }
    }

    /// Packs the oldest of those at the back.
    #[cold]
    fn pack(&mut self) {
        let rest = self.back.split_off(PACK_RUNS.min(self.back.len()));
        let runs = std::mem::replace(&mut self.back, rest);
        self.packs.extend(Pack::new(&runs));
    }

    /// Whether what has `number` would stand here.
    fn begins_before(&self, number: MessageNumber) -> bool {
        self.packs.front().is_some_and(|pack| pack.first <= number)
    }

    /// See [`Fresh::rework`]. One of the two lists may be empty then.
    fn rework<R>(
        &mut self,
        number: MessageNumber,
        work: impl FnOnce(&mut VecDeque<Run>) -> R,
    ) -> R {
        if self.back.front().is_some_and(|run| run.number <= number) {
            return work(&mut self.back);
        }
        let behind = self.packs.partition_point(|pack| pack.first <= number);
        let place = behind.checked_sub(1).expect("what is reworked here begins before the number");
        let known = self.packs.get_mut(place).expect("the place was just found");
        let mut runs: VecDeque<Run> = known.runs().collect();
        let result = work(&mut runs);
        match Pack::new(&runs) {
            Some(pack) => *known = pack,
            None => drop(self.packs.remove(place)),
        }
        result
    }

    fn memory_bytes(&self) -> usize {
        let packed: usize = self.packs.iter().map(Pack::memory_bytes).sum();
        let packs = self.packs.capacity() * size_of::<Pack>() + packed;
        size_of::<Self>() + packs + self.back.capacity() * size_of::<Run>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warren_types::Location;

    use super::*;

    fn run(number: u64) -> Run {
        let at = Location { index: LogIndex(number / 3), offset: 70 };
        Run::published(MessageNumber(number), at, 9, None)
    }

    /// A backlog, and the same as a plain list.
    #[derive(Default)]
    struct Both {
        fresh: Fresh,
        plain: Vec<u64>,
        next: u64,
    }

    impl Both {
        fn push(&mut self, count: u64) {
            for _ in 0..count {
                self.next += 2;
                self.fresh.push(run(self.next));
                self.plain.push(self.next);
            }
        }

        fn take(&mut self, count: usize) {
            for _ in 0..count {
                let expected = (!self.plain.is_empty()).then(|| self.plain.remove(0));
                assert_eq!(self.fresh.take(7).map(|run| run.number.0), expected);
            }
        }

        /// Takes out what stands at a place, or puts something behind it.
        fn rework(&mut self, place: usize, removes: bool) {
            if self.plain.is_empty() {
                return;
            }
            let place = place % self.plain.len();
            let number = self.plain[place];
            if removes {
                self.plain.remove(place);
                self.fresh.rework(MessageNumber(number), |runs| {
                    let at = runs.iter().position(|run| run.number.0 == number);
                    runs.remove(at.expect("it is among them"));
                });
            } else if self.plain.get(place + 1) != Some(&(number + 1)) {
                self.plain.insert(place + 1, number + 1);
                self.fresh.rework(MessageNumber(number + 1), |runs| {
                    let at = runs.iter().position(|run| run.number.0 == number);
                    runs.insert(at.expect("it stands before") + 1, run(number + 1));
                });
                self.next = self.next.max(number + 1);
            }
        }

        fn check(&self) {
            let numbers: Vec<u64> = self.fresh.iter().map(|run| run.number.0).collect();
            assert_eq!(numbers, self.plain);
            assert_eq!(self.fresh.is_empty(), self.plain.is_empty());
            assert_eq!(self.fresh.first().map(|run| run.number.0), self.plain.first().copied());
            assert_eq!(self.fresh.last().map(|run| run.number.0), self.plain.last().copied());
            let is_whole = |rest: &Rest| !rest.packs.is_empty() && !rest.back.is_empty();
            assert!(self.fresh.rest.as_deref().is_none_or(is_whole));
            for from in [0, self.next / 2, self.next] {
                let since = self.fresh.since_number(MessageNumber(from)).next();
                let expected = self.plain.iter().copied().find(|number| *number >= from);
                assert_eq!(since.map(|run| run.number.0), expected);
                let since = self.fresh.since_row(LogIndex(from / 3)).next();
                let expected = self.plain.iter().copied().find(|number| *number / 3 >= from / 3);
                assert_eq!(since.map(|run| run.number.0), expected);
            }
        }
    }

    proptest! {
        #[test]
        fn a_backlog_is_a_list_whatever_is_packed(
            steps in proptest::collection::vec((0..5_u8, 0..400_usize), 1..30),
        ) {
            let mut both = Both::default();
            for (step, much) in steps {
                match step {
                    0 | 1 => both.push(u64::try_from(much).unwrap()),
                    2 => both.take(much),
                    3 => both.rework(much, true),
                    _ => both.rework(much, false),
                }
                both.check();
            }
        }
    }

    #[test]
    fn a_long_backlog_is_packed_and_an_empty_one_has_no_room() {
        let mut both = Both::default();

        both.push(100_000);
        let full = both.fresh.memory_bytes();
        both.fresh.drain(drop);

        assert!(full < 100_000 * 8, "{full} bytes");
        assert_eq!(both.fresh.memory_bytes(), 0);
    }

    #[test]
    fn a_queue_that_holds_one_message_at_a_time_has_room_for_one() {
        let mut fresh = Fresh::new();

        for number in 1..100 {
            fresh.push(run(number));
            fresh.take(1);
        }

        assert_eq!(fresh.memory_bytes(), size_of::<Run>());
    }
}
