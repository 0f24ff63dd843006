//! The newest rows of one group, in memory.

use std::collections::VecDeque;

use warren_types::LogIndex;

use crate::Row;
use crate::backlog::Ticket;

/// What a row costs in memory beside its payload, about.
const ROW_BYTES: usize = 96;

/// A row and the request that writes it.
#[derive(Debug)]
struct Slot {
    row: Row,
    ticket: Ticket,
}

/// Consecutive rows, the last of which is the last of the log.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    slots: VecDeque<Slot>,
}

/// How many bytes `row` counts for.
pub(crate) fn cost(row: &Row) -> usize {
    row.payload.len().saturating_add(ROW_BYTES)
}

impl Ring {
    /// Adds the row behind the last one.
    pub(crate) fn push(&mut self, row: Row, ticket: Ticket) {
        self.slots.push_back(Slot { row, ticket });
    }

    /// Removes the rows above `last_kept`, or all; returns what they cost.
    pub(crate) fn truncate_after(&mut self, last_kept: Option<LogIndex>) -> usize {
        let mut bytes = 0_usize;
        while let Some(slot) = self.slots.pop_back_if(|slot| Some(slot.row.index) > last_kept) {
            bytes = bytes.saturating_add(cost(&slot.row));
        }
        bytes
    }

    /// Removes the oldest rows, up to `last`, as far as they were written by `ticket` or earlier;
    /// returns what they cost.
    pub(crate) fn evict(&mut self, last: LogIndex, ticket: Ticket) -> usize {
        let old = |slot: &mut Slot| slot.row.index <= last && slot.ticket <= ticket;
        let mut bytes = 0_usize;
        while let Some(slot) = self.slots.pop_front_if(old) {
            bytes = bytes.saturating_add(cost(&slot.row));
        }
        if self.slots.len() < self.slots.capacity() / 8 {
            self.slots.shrink_to(self.slots.len().saturating_mul(2));
        }
        bytes
    }

    /// Puts `row` in the place of the one with its index, if that is here; returns what
    /// the two cost, the old one first.
    pub(crate) fn replace(&mut self, row: &Row) -> Option<(usize, usize)> {
        let at = self.place(row.index)?;
        let slot = self.slots.get_mut(at)?;
        let before = cost(&slot.row);
        slot.row = row.clone();
        Some((before, cost(row)))
    }

    /// The oldest row's index.
    pub(crate) fn first(&self) -> Option<LogIndex> {
        self.slots.front().map(|slot| slot.row.index)
    }

    /// Whether there would be a gap between the last row and one at `index`.
    pub(crate) fn ends_before(&self, index: LogIndex) -> bool {
        self.slots.back().is_some_and(|slot| slot.row.index.next() != index)
    }

    /// The row at `index`, if it is here.
    pub(crate) fn row(&self, index: LogIndex) -> Option<&Row> {
        self.slots.get(self.place(index)?).map(|slot| &slot.row)
    }

    /// The rows from `index` on.
    pub(crate) fn from(&self, index: LogIndex) -> impl Iterator<Item = &Row> {
        let at = self.place(index).unwrap_or(self.slots.len());
        self.slots.range(at.min(self.slots.len())..).map(|slot| &slot.row)
    }

    fn place(&self, index: LogIndex) -> Option<usize> {
        let offset = index.0.checked_sub(self.first()?.0)?;
        usize::try_from(offset).ok()
    }
}
