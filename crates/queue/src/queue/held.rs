//! Messages under numbers that count up: what one consumer holds, by delivery sequence, and what is
//! dead in a queue.

use std::collections::BTreeMap;

use crate::run::Run;

/// Numbered messages. Numbers within a run have no gaps; what is noted with a run is true of each
/// of its messages.
#[derive(Debug)]
pub(crate) struct Held<T> {
    runs: BTreeMap<u64, (Run, T)>,
    count: u64,
    bytes: u64,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { runs: BTreeMap::new(), count: 0, bytes: 0 }
    }
}

impl<T: Copy + PartialEq> Held<T> {
    /// Adds messages of which the first has the number `first`.
    #[inline]
    pub(crate) fn push(&mut self, first: u64, run: Run, note: T) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        if let Some(mut last) = self.runs.last_entry()
            && last.key().saturating_add(u64::from(last.get().0.count)) == first
            && last.get().1 == note
            && last.get_mut().0.join(&run)
        {
            return;
        }
        self.runs.insert(first, (run, note));
    }

    /// Takes out what is numbered `from` to `to`, both included, in order. Visits each with the
    /// number of its first.
    pub(crate) fn take(&mut self, from: u64, to: u64, mut visit: impl FnMut(u64, Run)) {
        let mut at = self.first_touching(from);
        while let Some(key) = at.filter(|key| *key <= to && from <= to) {
            let (mut run, note) = self.runs.remove(&key).expect("the key was found in the map");
            let mut first = key;
            if first < from {
                let before = run.take_front(from - first);
                self.runs.insert(first, (before, note));
                first = from;
            }
            let taken = run.take_front((to - first).saturating_add(1));
            let behind = first.saturating_add(u64::from(taken.count));
            if run.count > 0 {
                self.runs.insert(behind, (run, note));
            }
            self.count -= u64::from(taken.count);
            self.bytes -= taken.bytes();
            visit(first, taken);
            at = self.runs.range(behind..).next().map(|(key, _)| *key);
        }
    }

    /// Notes something else with what is numbered `from` to `to`, both included. Returns how many
    /// there are.
    pub(crate) fn renote(&mut self, from: u64, to: u64, note: T) -> u64 {
        let mut taken = vec![];
        self.take(from, to, |first, run| taken.push((first, run)));
        let count = taken.iter().map(|(_, run)| u64::from(run.count)).sum();
        taken.into_iter().for_each(|(first, run)| self.restore(first, run, note));
        count
    }

    /// Takes all, in order.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(Run)) {
        for (run, _) in std::mem::take(&mut self.runs).into_values() {
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

    /// All of them, with the number of each run's first.
    pub(crate) fn numbered(
        &self,
    ) -> impl DoubleEndedIterator<Item = (u64, &Run, T)> + ExactSizeIterator {
        self.runs.iter().map(|(first, (run, note))| (*first, run, *note))
    }

    /// Those with numbers from `first` on, the first run possibly in part.
    pub(crate) fn numbered_from(&self, first: u64) -> impl Iterator<Item = (u64, Run, T)> {
        let start = self.first_touching(first).unwrap_or(u64::MAX);
        self.runs.range(start..).map(move |(key, (run, note))| {
            let mut run = run.clone();
            if *key < first {
                run.take_front(first - key);
            }
            (first.max(*key), run, *note)
        })
    }

    /// The runs with numbers from `first` on, the first one possibly in part, each with the number
    /// of its first.
    pub(crate) fn runs_from(&self, first: u64) -> impl Iterator<Item = (u64, &Run)> {
        let start = self.first_touching(first).unwrap_or(u64::MAX);
        self.runs.range(start..).map(|(first, (run, _))| (*first, run))
    }

    /// All of them.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values().map(|(run, _)| run)
    }

    /// Puts back what a snapshot has, as it was.
    pub(crate) fn restore(&mut self, first: u64, run: Run, note: T) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        self.runs.insert(first, (run, note));
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.runs.len() * (size_of::<(Run, T)>() + size_of::<u64>())
    }

    /// The run that holds `number`, or else the first behind it.
    #[inline]
    fn first_touching(&self, number: u64) -> Option<u64> {
        let before = self.runs.range(..=number).next_back();
        if let Some((first, (run, _))) = before
            && number - first < u64::from(run.count)
        {
            return Some(*first);
        }
        self.runs.range(number..).next().map(|(first, _)| *first)
    }
}

#[cfg(test)]
mod tests {
    use warren_types::{Location, LogIndex, MessageNumber};

    use super::*;

    fn ten() -> Held<()> {
        let mut held = Held::default();
        for number in 1..=10_u32 {
            let at = Location { index: LogIndex(1), offset: 100 * number };
            let run = Run::published(MessageNumber(u64::from(number)), at, 5, None);
            held.push(u64::from(number), run, ());
        }
        held
    }

    fn take(held: &mut Held<()>, from: u64, to: u64) -> Vec<u64> {
        let mut numbers = vec![];
        held.take(from, to, |_, run| numbers.extend(run.singles().map(|single| single.number.0)));
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
        assert_eq!((held.bytes(), held.numbered().len()), (0, 0));
    }

    #[test]
    fn what_was_settled_at_the_end_leaves_a_gap() {
        let mut held = ten();
        take(&mut held, 10, 10);
        let at = Location { index: LogIndex(1), offset: 1000 };

        held.push(11, Run::published(MessageNumber(10), at, 5, None), ());

        let firsts: Vec<_> = held.numbered().map(|(first, run, ())| (first, run.count)).collect();
        assert_eq!(firsts, [(1, 9), (11, 1)]);
    }
}
