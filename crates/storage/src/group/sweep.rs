//! Which rows at or below the floor may still be on the disk.
//!
//! Everything is: first all of them, then, after each sweep, those that were alive in it. What was
//! removed once is not removed again. After a restart all rows between the lowest that may
//! exist ([`Sweep::bottom`], which is stored) and the floor are taken to exist.

use warren_types::LogIndex;

use crate::runs::{Run, Runs};

/// The rows that sweeps have left.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// Below `next`.
    kept: Runs,
    /// The first row that no sweep has looked at.
    next: LogIndex,
}

impl Sweep {
    /// Nothing below `bottom`; all above it may be there.
    pub(crate) fn starting_at(bottom: LogIndex) -> Self {
        Self { kept: Runs::default(), next: bottom }
    }

    /// Whether the row at `index` may exist, if the floor is at `floor` or above it.
    pub(crate) fn may_exist(&self, index: LogIndex) -> bool {
        index >= self.next || self.kept.contains(index)
    }

    /// The row at `index` exists, whatever was swept.
    pub(crate) fn exists(&mut self, index: LogIndex) {
        if index < self.next {
            self.kept.insert(index);
        }
    }

    /// All from `first` on may be there.
    pub(crate) fn reach_down(&mut self, first: LogIndex) {
        if first < self.next {
            self.kept.cut(first);
            self.next = first;
        }
    }

    /// The lowest row that may exist.
    pub(crate) fn bottom(&self) -> LogIndex {
        self.kept.first().unwrap_or(self.next)
    }

    /// Sweeps up to `floor`: returns the stretches that may go, so that `live` (ascending) stays.
    pub(crate) fn keep(&mut self, live: &[LogIndex], floor: LogIndex) -> Vec<Run> {
        if self.next <= floor {
            self.kept.push(self.next, floor);
            self.next = floor.next();
        }
        self.kept.keep(live)
    }
}
