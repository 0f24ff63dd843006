//! What is known of a group without asking the disk, and what every change makes of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use warren_types::{GroupId, LogIndex};

use super::ring::Ring;
use super::sweep::Sweep;
use crate::engine::Change;
use crate::format::bottom;
use crate::format::origin::Origin;
use crate::runs::Run;
use crate::{Bounds, Key, LogId};

/// Rows that sweeps have removed: how many, and within which stretch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Garbage {
    pub(crate) rows: u64,
    pub(crate) within: Run,
}

/// One group, as it will be once the writer has caught up.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// What stands before the first row; none while the group never had one.
    pub(crate) origin: Option<Origin>,
    /// The last row above the origin.
    pub(crate) last: Option<LogId>,
    pub(crate) ring: Ring,
    pub(crate) vote: Option<Bytes>,
    pub(crate) committed: Option<Bytes>,
    pub(crate) sweep: Sweep,
    /// The lowest row, as it is stored.
    pub(crate) bottom: Option<LogIndex>,
    /// Rows that another replica shipped: they go before the log's own.
    pub(crate) adopted: BTreeSet<LogIndex>,
    /// Rows that were removed and may still take room.
    pub(crate) garbage: Option<Garbage>,
    /// Counts what removes rows: who read without the lock, across one, reads again.
    pub(crate) removals: u64,
}

impl Garbage {
    /// Whether most of the stretch was removed: going through all of it moves little else.
    pub(crate) fn is_dense(&self) -> bool {
        let span = self.within.last.0.saturating_sub(self.within.first.0);
        self.rows >= span / 2
    }
}

impl State {
    /// How far the log reaches.
    pub(crate) fn bounds(&self) -> Bounds {
        let floor = self.floor();
        Bounds { floor, last: self.last.or(floor) }
    }

    /// The row up to which was purged.
    pub(crate) fn floor(&self) -> Option<LogId> {
        self.origin.as_ref().and_then(Origin::floor)
    }

    /// The index that the next row must have; any will do for a group without origin.
    pub(crate) fn next_index(&self) -> Option<LogIndex> {
        let behind = self.last.map(|last| last.index.next());
        behind.or_else(|| self.origin.as_ref().map(Origin::first))
    }

    /// The rows of `run` were removed.
    pub(crate) fn discard(&mut self, run: Run) {
        let rows = run.last.0.saturating_sub(run.first.0).saturating_add(1);
        self.garbage = Some(match self.garbage {
            None => Garbage { rows, within: run },
            Some(Garbage { rows: before, within }) => Garbage {
                rows: before.saturating_add(rows),
                within: Run { first: within.first.min(run.first), last: within.last.max(run.last) },
            },
        });
    }

    /// What of `from..=to` can be read: above the floor, up to the last row.
    pub(crate) fn visible(&self, from: LogIndex, to: LogIndex) -> Option<(LogIndex, LogIndex)> {
        let first = self.origin.as_ref()?.first().max(from);
        let last = self.last?.index.min(to);
        (first <= last).then_some((first, last))
    }

    /// Whether the log, or what sweeps have left below its floor, may have a row at `index`.
    pub(crate) fn holds(&self, index: LogIndex) -> bool {
        match self.floor() {
            Some(floor) if index <= floor.index => self.sweep.may_exist(index),
            Some(_) | None => self.last.is_some_and(|last| index <= last.index),
        }
    }

    /// Says that rows will be gone.
    pub(crate) fn removing(&mut self) {
        self.removals = self.removals.wrapping_add(1);
    }

    /// Stores the lowest row, if it is another than the stored one.
    pub(crate) fn store_bottom(&mut self, group: GroupId, changes: &mut Vec<Change>) {
        let lowest = self.sweep.bottom();
        if self.bottom != Some(lowest) {
            self.bottom = Some(lowest);
            let value = bottom::encode(group, lowest);
            changes.push(Change::Put { key: Key::Bottom(group), value });
        }
    }
}
