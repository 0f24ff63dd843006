//! The messages that wait at one level of priority.
//!
//! **Invariant:** what came back stands before all that was never given out, because messages are
//! given out from the front. So two lists, each in order, are one.

use std::collections::{BTreeMap, VecDeque};

use warren_types::{Location, LogIndex, MessageNumber};

use crate::run::Run;

/// Waiting messages, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// What came back, by place.
    returned: BTreeMap<MessageNumber, Run>,
    /// What was never given out, ascending.
    fresh: VecDeque<Run>,
    /// Whether one of those may stand in an earlier row than one before it, as what was scheduled
    /// does.
    is_mixed: bool,
    count: u64,
    bytes: u64,
}

impl Ready {
    /// Adds a plain message to the last one, if it is alike.
    #[inline]
    pub(crate) fn extend(&mut self, number: MessageNumber, at: Location, size: u32) -> bool {
        let is_extended = self.fresh.back_mut().is_some_and(|last| last.extend(number, at, size));
        if is_extended {
            self.count += 1;
            self.bytes += u64::from(size);
        }
        is_extended
    }

    /// Adds at the end.
    pub(crate) fn push(&mut self, run: Run) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        // Where priorities lie between, what waits here has gaps; a waiting run has none.
        if let Some(last) = self.fresh.back_mut()
            && last.number.0.saturating_add(u64::from(last.count)) == run.number.0
            && last.join(&run)
        {
            return;
        }
        self.add_fresh(run);
    }

    /// Adds messages at the place they were taken from.
    pub(crate) fn put_back(&mut self, run: Run) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        if run.step == 1 {
            self.put_back_neighbours(run);
            return;
        }
        for single in run.singles() {
            self.put_back_neighbours(single);
        }
    }

    /// Takes up to `limit` of the oldest messages, as many as are alike.
    #[inline]
    pub(crate) fn take(&mut self, limit: u64) -> Option<Run> {
        let taken = self.take_returned(limit).or_else(|| self.take_fresh(limit))?;
        self.count -= u64::from(taken.count);
        self.bytes -= taken.bytes();
        Some(taken)
    }

    /// The oldest ones that are alike.
    #[inline]
    pub(crate) fn first(&self) -> Option<&Run> {
        self.returned.first_key_value().map(|(_, run)| run).or_else(|| self.fresh.front())
    }

    /// Takes all.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(Run)) {
        for run in std::mem::take(&mut self.returned).into_values() {
            visit(run);
        }
        for run in std::mem::take(&mut self.fresh) {
            visit(run);
        }
        self.is_mixed = false;
        (self.count, self.bytes) = (0, 0);
    }

    /// Messages.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether none waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them in order.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.returned.values().chain(&self.fresh)
    }

    /// Those that came back, in order; for snapshots.
    pub(crate) fn returned(&self) -> impl ExactSizeIterator<Item = &Run> {
        self.returned.values()
    }

    /// Those never given out, in order; for snapshots.
    pub(crate) fn fresh(&self) -> impl ExactSizeIterator<Item = &Run> {
        self.fresh.iter()
    }

    /// All that stand in rows from `first` on, and more.
    pub(crate) fn runs_from(&self, first: LogIndex) -> impl Iterator<Item = &Run> {
        let is_before = |run: &Run| run.index < first;
        let from = if self.is_mixed { 0 } else { self.fresh.partition_point(is_before) };
        self.returned.values().chain(self.fresh.range(from..))
    }

    /// Puts back what a snapshot has, as it was.
    pub(crate) fn restore(&mut self, run: Run, is_returned: bool) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        if is_returned {
            self.returned.insert(run.number, run);
        } else {
            self.add_fresh(run);
        }
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        let run = size_of::<Run>();
        self.fresh.capacity() * run + self.returned.len() * (run + size_of::<MessageNumber>())
    }

    fn add_fresh(&mut self, run: Run) {
        self.is_mixed |= self.fresh.back().is_some_and(|last| run.index < last.index);
        self.fresh.push_back(run);
    }

    fn put_back_neighbours(&mut self, run: Run) {
        let before = self.returned.range_mut(..run.number).next_back();
        if let Some((_, before)) = before
            && before.last_number().0.checked_add(1) == Some(run.number.0)
            && before.join(&run)
        {
            return;
        }
        self.returned.insert(run.number, run);
    }

    fn take_returned(&mut self, limit: u64) -> Option<Run> {
        let (_, mut run) = self.returned.pop_first()?;
        let taken = run.take_front(limit);
        if run.count > 0 {
            self.returned.insert(run.number, run);
        }
        Some(taken)
    }

    #[inline]
    fn take_fresh(&mut self, limit: u64) -> Option<Run> {
        let run = self.fresh.front_mut()?;
        let taken = run.take_front(limit);
        if run.count == 0 {
            self.fresh.pop_front();
        }
        self.is_mixed &= !self.fresh.is_empty();
        if self.fresh.is_empty() && self.fresh.capacity() > SPARE_RUNS {
            self.fresh = VecDeque::new();
        }
        Some(taken)
    }
}

/// Room for runs that an empty queue keeps; more is given back, so that a burst costs no memory
/// for ever.
const SPARE_RUNS: usize = 16;
