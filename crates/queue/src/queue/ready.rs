//! The messages that wait at one level of priority.
//!
//! **Invariant:** what came back stands before all that was never given out, because messages are
//! given out from the front; and what was picked from further behind goes back among those. So two
//! lists, each in order, are one.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use warren_types::{Location, LogIndex, MessageNumber};

use super::Fresh;
use crate::run::Run;

/// Waiting messages, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// What came back, by place.
    returned: BTreeMap<MessageNumber, Run>,
    /// What was never given out, ascending.
    fresh: Fresh,
    /// Whether one of those may stand in an earlier row than one before it, as what was scheduled
    /// does.
    is_mixed: bool,
    count: u64,
    bytes: u64,
}

impl Ready {
    /// Nothing.
    pub(crate) const fn new() -> Self {
        Self { returned: BTreeMap::new(), fresh: Fresh::new(), is_mixed: false, count: 0, bytes: 0 }
    }

    /// Adds a plain message to the last one, if it is alike.
    #[inline]
    pub(crate) fn extend(&mut self, number: MessageNumber, at: Location, size: u32) -> bool {
        let is_extended = self.fresh.last_mut().is_some_and(|last| last.extend(number, at, size));
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
        if let Some(last) = self.fresh.last_mut()
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

    /// Takes out the message `number`, wherever it stands, if its record is at `at`.
    pub(crate) fn pick(&mut self, number: MessageNumber, at: Location) -> Option<Run> {
        let picked = self.pick_returned(number, at);
        let picked = picked.or_else(|| self.fresh.rework(number, |runs| pick(runs, number, at)))?;
        self.count -= u64::from(picked.count);
        self.bytes -= picked.bytes();
        Some(picked)
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
        self.returned.first_key_value().map(|(_, run)| run).or_else(|| self.fresh.first())
    }

    /// The newest ones that are alike and were never given out.
    pub(crate) fn last(&self) -> Option<&Run> {
        self.fresh.last()
    }

    /// Takes all.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(Run)) {
        for run in std::mem::take(&mut self.returned).into_values() {
            visit(run);
        }
        self.fresh.drain(visit);
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
    pub(crate) fn runs(&self) -> impl Iterator<Item = Cow<'_, Run>> {
        self.returned.values().map(Cow::Borrowed).chain(self.fresh.iter())
    }

    /// Those that came back, in order; for snapshots.
    pub(crate) fn returned(&self) -> impl ExactSizeIterator<Item = &Run> {
        self.returned.values()
    }

    /// Those never given out, in order; for snapshots.
    pub(crate) fn fresh(&self) -> impl Iterator<Item = Cow<'_, Run>> {
        self.fresh.iter()
    }

    /// All that stand in rows from `first` on, and more.
    pub(crate) fn runs_from(&self, first: LogIndex) -> impl Iterator<Item = Cow<'_, Run>> {
        let first = if self.is_mixed { LogIndex(0) } else { first };
        self.returned.values().map(Cow::Borrowed).chain(self.fresh.since_row(first))
    }

    /// All that have the number `first` or a higher one, the first run possibly in part.
    pub(crate) fn runs_behind(&self, first: MessageNumber) -> impl Iterator<Item = Cow<'_, Run>> {
        let before = self.returned.range(..=first).next_back().map(|(number, _)| *number);
        let returned = self.returned.range(before.unwrap_or(first)..).map(|(_, run)| run);
        let returned = returned.skip_while(move |run| run.last_number() < first);
        returned.map(Cow::Borrowed).chain(self.fresh.since_number(first))
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
        self.fresh.memory_bytes() + self.returned.len() * (run + size_of::<MessageNumber>())
    }

    fn add_fresh(&mut self, run: Run) {
        self.is_mixed |= self.fresh.last().is_some_and(|last| run.index < last.index);
        self.fresh.push(run);
    }

    fn put_back_neighbours(&mut self, run: Run) {
        if self.fresh.first().is_some_and(|first| first.number < run.number) {
            self.is_mixed |= self.fresh.rework(run.number, |runs| put_between(runs, run));
            return;
        }
        let before = self.returned.range_mut(..run.number).next_back();
        if let Some((_, before)) = before
            && before.last_number().0.checked_add(1) == Some(run.number.0)
            && before.join(&run)
        {
            return;
        }
        self.returned.insert(run.number, run);
    }

    fn pick_returned(&mut self, number: MessageNumber, at: Location) -> Option<Run> {
        let (first, run) = self.returned.range(..=number).next_back()?;
        let (first, (before, picked, behind)) = (*first, run.around(number, at)?);
        self.returned.remove(&first);
        for rest in [before, behind].into_iter().filter(|rest| rest.count > 0) {
            self.returned.insert(rest.number, rest);
        }
        Some(picked)
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
        let taken = self.fresh.take(limit)?;
        self.is_mixed &= !self.fresh.is_empty();
        Some(taken)
    }
}

/// Adds messages that were picked from behind others which wait. Returns whether rows may be out of
/// order by that.
fn put_between(runs: &mut VecDeque<Run>, run: Run) -> bool {
    let behind = runs.partition_point(|one| one.number < run.number);
    let mut is_mixed = runs.get(behind).is_none_or(|next| next.index < run.index);
    if let Some(before) = behind.checked_sub(1).and_then(|at| runs.get_mut(at)) {
        let is_next = before.last_number().0.checked_add(1) == Some(run.number.0);
        if is_next && before.join(&run) {
            return false;
        }
        is_mixed |= run.index < before.index;
    }
    runs.insert(behind, run);
    is_mixed
}

fn pick(runs: &mut VecDeque<Run>, number: MessageNumber, at: Location) -> Option<Run> {
    let place = runs.partition_point(|run| run.last_number() < number);
    let run = runs.get_mut(place)?;
    let (before, picked, behind) = run.around(number, at)?;
    match (before.count, behind.count) {
        (0, 0) => drop(runs.remove(place)),
        (0, _) => *run = behind,
        (_, 0) => *run = before,
        (..) => {
            *run = before;
            runs.insert(place.saturating_add(1), behind);
        }
    }
    Some(picked)
}
