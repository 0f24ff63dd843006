//! Reading rows: from memory if they are there, else from the disk.
//!
//! The disk is read without the group's lock. Rows that are not in memory are on the disk, unless
//! something removed them meanwhile: [`State::removals`] tells, and then the read begins again.

use std::ops::{ControlFlow, RangeInclusive};

use warren_types::LogIndex;

use super::GroupStore;
use super::state::State;
use crate::format::RowValue;
use crate::{Key, Row, StorageError};

/// Rows read so far, and how many more may be.
struct Reading {
    rows: Vec<Row>,
    left: usize,
    full: bool,
}

impl Reading {
    fn new(limit_bytes: usize) -> Self {
        Self { rows: Vec::new(), left: limit_bytes, full: false }
    }

    /// Takes a row of `bytes` payload bytes, unless there are some and it is too much.
    fn fits(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None if self.rows.is_empty() => self.left = 0,
            None => self.full = true,
        }
        !self.full
    }

    fn take(&mut self, row: Row) -> ControlFlow<()> {
        if self.fits(row.payload.len()) {
            self.rows.push(row);
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

/// What one look at the state says about the rest of a read.
enum Next {
    /// There is no more.
    Done,
    /// These rows are on the disk.
    Disk { from: LogIndex, to: LogIndex, removals: u64 },
}

impl GroupStore {
    /// The rows of `range` that are in the log, above the floor: in order and without gaps, at
    /// least one if there is one, and more while their payloads stay within `limit_bytes`.
    ///
    /// # Errors
    /// When the disk does not say, or its answer is damaged.
    pub fn read(
        &self,
        range: RangeInclusive<LogIndex>,
        limit_bytes: usize,
    ) -> Result<Vec<Row>, StorageError> {
        self.inner.shared.failure.check()?;
        let (start, end) = range.into_inner();
        let mut reading = Reading::new(limit_bytes);
        loop {
            let next = look(&self.group.state(), start, end, &mut reading);
            let Next::Disk { from, to, removals } = next else { return Ok(reading.rows) };
            let outcome = self.read_disk(from, to, &mut reading);
            if self.group.state().removals != removals {
                reading = Reading::new(limit_bytes);
                continue;
            }
            self.inner.shared.sound(outcome)?;
            if reading.full {
                return Ok(reading.rows);
            }
        }
    }

    /// The row at `index`, also at or below the floor as long as it was not swept; a row that
    /// another replica shipped goes before the log's own.
    ///
    /// # Errors
    /// When the disk does not say, or its answer is damaged.
    pub fn row(&self, index: LogIndex) -> Result<Option<Row>, StorageError> {
        let shared = &self.inner.shared;
        shared.failure.check()?;
        loop {
            let (adopted, removals) = {
                let state = self.group.state();
                let adopted = state.adopted.contains(&index);
                if !adopted {
                    if !state.holds(index) {
                        return Ok(None);
                    }
                    if let Some(row) = state.ring.row(index) {
                        return Ok(Some(row.clone()));
                    }
                }
                (adopted, state.removals)
            };
            let row = self.row_on_disk(index, adopted);
            if self.group.state().removals == removals {
                return shared.sound(row);
            }
        }
    }

    /// The row at `index` of the log, if it is in memory. Never touches the disk.
    #[must_use]
    pub fn recent(&self, index: LogIndex) -> Option<Row> {
        self.inner.shared.failure.check().ok()?;
        let state = self.group.state();
        if state.adopted.contains(&index) || !state.holds(index) {
            return None;
        }
        state.ring.row(index).cloned()
    }

    fn row_on_disk(&self, index: LogIndex, adopted: bool) -> Result<Option<Row>, StorageError> {
        let shared = &self.inner.shared;
        let group = self.id();
        let mut record = None;
        if adopted {
            record = shared.answer(shared.engine.read(&Key::Adopted(group, index)))?;
        }
        if record.is_none() {
            record = shared.answer(shared.engine.read(&Key::Row(group, index)))?;
        }
        record.map(|record| RowValue::decode(group, index, record)).transpose()
    }

    /// Reads `from..=to` from the disk, where all of them must be.
    fn read_disk(
        &self,
        from: LogIndex,
        to: LogIndex,
        reading: &mut Reading,
    ) -> Result<(), StorageError> {
        let shared = &self.inner.shared;
        let group = self.id();
        let mut expected = from;
        let mut fault = None;
        let mut visit = |key, record| {
            let Key::Row(_, index) = key else { return ControlFlow::Continue(()) };
            if index != expected {
                return ControlFlow::Break(());
            }
            expected = index.next();
            match RowValue::decode(group, index, record) {
                Ok(row) => reading.take(row),
                Err(error) => {
                    fault = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let (first, last) = (Key::Row(group, from), Key::Row(group, to));
        shared.answer(shared.engine.scan(&first, &last, &mut visit))?;
        match fault {
            Some(fault) => Err(fault),
            None if reading.full || expected > to => Ok(()),
            None => Err(StorageError::Hole { group, index: expected }),
        }
    }
}

/// Takes what memory has behind what was read so far; says what is to be read from the disk.
fn look(state: &State, start: LogIndex, end: LogIndex, reading: &mut Reading) -> Next {
    let from = reading.rows.last().map_or(start, |row| row.index.next());
    let Some((first, last)) = state.visible(from, end) else { return Next::Done };
    // The floor rose above what was read: a gap must not appear within the answer.
    if !reading.rows.is_empty() && first != from {
        return Next::Done;
    }
    let removals = state.removals;
    match state.ring.first() {
        Some(oldest) if oldest <= first => {
            for row in state.ring.from(first).take_while(|row| row.index <= last) {
                if let ControlFlow::Break(()) = reading.take(row.clone()) {
                    break;
                }
            }
            Next::Done
        }
        Some(oldest) if oldest <= last => {
            Next::Disk { from: first, to: LogIndex(oldest.0.saturating_sub(1)), removals }
        }
        Some(_) | None => Next::Disk { from: first, to: last, removals },
    }
}
