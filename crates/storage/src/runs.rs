//! A set of log indexes, kept as runs: which rows at or below a floor may still exist.

use warren_types::LogIndex;

/// Consecutive indexes, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: LogIndex,
    pub(crate) last: LogIndex,
}

/// A set of indexes as ascending runs that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    runs: Vec<Run>,
}

impl Runs {
    /// Adds `first..=last`, all of it above what is in the set.
    pub(crate) fn push(&mut self, first: LogIndex, last: LogIndex) {
        if first > last {
            return;
        }
        match self.runs.last_mut() {
            Some(end) if end.last.0.checked_add(1) == Some(first.0) => end.last = last,
            _ => self.runs.push(Run { first, last }),
        }
    }

    /// Adds one index, wherever it belongs.
    pub(crate) fn insert(&mut self, index: LogIndex) {
        let at = self.runs.partition_point(|run| run.last < index);
        if self.runs.get(at).is_some_and(|run| run.first <= index) {
            return;
        }
        let mut grown = Self { runs: self.runs.drain(..at).collect() };
        grown.push(index, index);
        for run in self.runs.drain(..) {
            grown.push(run.first, run.last);
        }
        *self = grown;
    }

    /// Removes `first` and all above it.
    pub(crate) fn cut(&mut self, first: LogIndex) {
        while self.runs.pop_if(|run| run.first >= first).is_some() {}
        if let (Some(end), Some(before)) = (self.runs.last_mut(), first.0.checked_sub(1)) {
            end.last = end.last.min(LogIndex(before));
        }
    }

    /// Whether `index` is in the set.
    pub(crate) fn contains(&self, index: LogIndex) -> bool {
        let at = self.runs.partition_point(|run| run.last < index);
        self.runs.get(at).is_some_and(|run| run.first <= index)
    }

    /// The lowest index in the set.
    pub(crate) fn first(&self) -> Option<LogIndex> {
        self.runs.first().map(|run| run.first)
    }

    /// Keeps of the set what is in `live` (ascending), and returns the rest as few stretches:
    /// one reaches over what was not in the set anyway, but never over what stays.
    pub(crate) fn keep(&mut self, live: &[LogIndex]) -> Vec<Run> {
        let mut kept = Self::default();
        let mut dead: Vec<Run> = Vec::new();
        // What stayed since the last dead stretch: the next one must not grow over it.
        let mut apart = true;
        let mut live = live.iter().copied().peekable();
        for run in &self.runs {
            let mut next = Some(run.first);
            while let Some(first) = next.filter(|first| *first <= run.last) {
                while live.next_if(|index| *index < first).is_some() {}
                if live.next_if_eq(&first).is_some() {
                    kept.push(first, first);
                    apart = true;
                    next = first.0.checked_add(1).map(LogIndex);
                    continue;
                }
                let last = match live.peek() {
                    Some(index) if *index <= run.last => LogIndex(index.0.saturating_sub(1)),
                    _ => run.last,
                };
                match dead.last_mut() {
                    Some(stretch) if !apart => stretch.last = last,
                    _ => dead.push(Run { first, last }),
                }
                apart = false;
                next = last.0.checked_add(1).map(LogIndex);
            }
        }
        *self = kept;
        dead
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn runs(of: &[(u64, u64)]) -> Runs {
        let mut runs = Runs::default();
        for (first, last) in of {
            runs.push(LogIndex(*first), LogIndex(*last));
        }
        runs
    }

    fn indexes(of: &[u64]) -> Vec<LogIndex> {
        of.iter().copied().map(LogIndex).collect()
    }

    fn stretches(of: &[Run]) -> Vec<(u64, u64)> {
        of.iter().map(|run| (run.first.0, run.last.0)).collect()
    }

    #[test]
    fn a_dead_stretch_reaches_over_what_was_swept_before() {
        let mut set = runs(&[(1, 100)]);

        let first = set.keep(&indexes(&[10, 20, 30]));
        let second = set.keep(&indexes(&[30]));
        let third = set.keep(&indexes(&[30]));

        assert_eq!(stretches(&first), [(1, 9), (11, 19), (21, 29), (31, 100)]);
        assert_eq!(stretches(&second), [(10, 20)]);
        assert_eq!(stretches(&third), []);
    }

    #[test]
    fn touching_runs_become_one() {
        let mut set = runs(&[(1, 3), (4, 6), (8, 9)]);

        set.insert(LogIndex(7));

        assert_eq!(set, runs(&[(1, 9)]));
    }

    #[test]
    fn a_cut_removes_the_upper_part() {
        let mut set = runs(&[(1, 3), (5, 9), (11, 12)]);

        set.cut(LogIndex(7));

        assert_eq!(set, runs(&[(1, 3), (5, 6)]));
    }

    proptest! {
        #[test]
        fn runs_behave_as_a_set(
            have in proptest::collection::btree_set(0_u64..60, 0..40),
            live in proptest::collection::btree_set(0_u64..60, 0..40),
        ) {
            let mut set = Runs::default();
            for index in have.iter().rev() {
                set.insert(LogIndex(*index));
            }
            let inserted: BTreeSet<u64> =
                (0..60).filter(|index| set.contains(LogIndex(*index))).collect();

            let live: Vec<u64> = live.into_iter().collect();
            let dead = set.keep(&indexes(&live));

            prop_assert_eq!(&inserted, &have);
            for index in 0..60 {
                let lives = live.contains(&index);
                let removed = dead.iter().any(|run| (run.first.0..=run.last.0).contains(&index));
                prop_assert_eq!(set.contains(LogIndex(index)), have.contains(&index) && lives);
                prop_assert!(!(removed && have.contains(&index) && lives), "{} lives", index);
                prop_assert!(removed || lives || !have.contains(&index), "{} stays", index);
            }
        }
    }
}
