//! What one consumer holds, by delivery sequence.

use std::collections::BTreeMap;

use warren_types::DeliverySequence;

use crate::SettleRange;
use crate::run::Run;

/// Unsettled messages of a consumer. Sequences within a run have no gaps.
#[derive(Debug, Default)]
pub(crate) struct Held {
    runs: BTreeMap<u64, Run>,
    count: u64,
    bytes: u64,
}

impl Held {
    /// Adds messages of which the first was given as `first`.
    #[inline]
    pub(crate) fn push(&mut self, first: DeliverySequence, run: Run) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        if let Some(mut last) = self.runs.last_entry()
            && last.key().saturating_add(u64::from(last.get().count)) == first.0
            && last.get_mut().join(&run)
        {
            return;
        }
        self.runs.insert(first.0, run);
    }

    /// Takes out what lies in `range`, oldest delivery first.
    pub(crate) fn take(&mut self, range: SettleRange, mut visit: impl FnMut(Run)) {
        let (from, to) = (range.from.0, range.to.0);
        let mut at = self.first_touching(from);
        while let Some(key) = at.filter(|key| *key <= to && from <= to) {
            let mut run = self.runs.remove(&key).expect("the key was found in the map");
            let mut first = key;
            if first < from {
                let before = run.take_front(from - first);
                self.runs.insert(first, before);
                first = from;
            }
            let taken = run.take_front((to - first).saturating_add(1));
            let behind = first.saturating_add(u64::from(taken.count));
            if run.count > 0 {
                self.runs.insert(behind, run);
            }
            self.count -= u64::from(taken.count);
            self.bytes -= taken.bytes();
            visit(taken);
            at = self.runs.range(behind..).next().map(|(key, _)| *key);
        }
    }

    /// Takes all, oldest delivery first.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(Run)) {
        for run in std::mem::take(&mut self.runs).into_values() {
            visit(run);
        }
        (self.count, self.bytes) = (0, 0);
    }

    /// Messages.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them, with the sequence of each run's first.
    pub(crate) fn deliveries(
        &self,
    ) -> impl DoubleEndedIterator<Item = (DeliverySequence, &Run)> + ExactSizeIterator {
        self.runs.iter().map(|(first, run)| (DeliverySequence(*first), run))
    }

    /// All of them.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// Puts back what a snapshot has, as it was.
    pub(crate) fn restore(&mut self, first: DeliverySequence, run: Run) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        self.runs.insert(first.0, run);
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.runs.len() * (size_of::<Run>() + size_of::<u64>())
    }

    /// The run that holds `sequence`, or else the first behind it.
    #[inline]
    fn first_touching(&self, sequence: u64) -> Option<u64> {
        let before = self.runs.range(..=sequence).next_back();
        if let Some((first, run)) = before
            && sequence - first < u64::from(run.count)
        {
            return Some(*first);
        }
        self.runs.range(sequence..).next().map(|(first, _)| *first)
    }
}

#[cfg(test)]
mod tests {
    use warren_types::{Location, LogIndex, MessageNumber};

    use super::*;

    fn ten() -> Held {
        let mut held = Held::default();
        for number in 1..=10_u32 {
            let at = Location { index: LogIndex(1), offset: 100 * number };
            let run = Run::published(MessageNumber(u64::from(number)), at, 5, None);
            held.push(DeliverySequence(u64::from(number)), run);
        }
        held
    }

    fn take(held: &mut Held, from: u64, to: u64) -> Vec<u64> {
        let mut numbers = vec![];
        let range = SettleRange { from: DeliverySequence(from), to: DeliverySequence(to) };
        held.take(range, |run| numbers.extend(run.singles().map(|single| single.number.0)));
        numbers
    }

    #[test]
    fn a_range_takes_what_is_there_and_passes_over_the_rest() {
        let mut held = ten();

        assert_eq!(take(&mut held, 4, 5), [4, 5]);
        assert_eq!(take(&mut held, 1, 1), [1]);
        assert_eq!(take(&mut held, 1, 7), [2, 3, 6, 7]);
        assert_eq!(take(&mut held, 4, 5), [0_u64; 0]);
        assert_eq!(take(&mut held, 9, u64::MAX), [9, 10]);
        assert_eq!(take(&mut held, 9, 3), [0_u64; 0], "a range the wrong way round is empty");
        assert_eq!(take(&mut held, 0, u64::MAX), [8]);
        assert!(held.is_empty());
        assert_eq!((held.bytes(), held.deliveries().len()), (0, 0));
    }

    #[test]
    fn what_was_settled_at_the_end_leaves_a_gap() {
        let mut held = ten();
        take(&mut held, 10, 10);
        let at = Location { index: LogIndex(1), offset: 1000 };

        held.push(DeliverySequence(11), Run::published(MessageNumber(10), at, 5, None));

        let firsts: Vec<_> = held.deliveries().map(|(first, run)| (first.0, run.count)).collect();
        assert_eq!(firsts, [(1, 9), (11, 1)]);
    }
}
