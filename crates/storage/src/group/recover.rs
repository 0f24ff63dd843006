//! Opening a group: reads its small records and checks every row above the floor.

use std::ops::ControlFlow;

use warren_types::{GroupId, LogIndex};

use super::snapshots::Numbers;
use super::state::State;
use super::sweep::Sweep;
use crate::format::origin::Origin;
use crate::format::{RowValue, bottom, head, opaque, origin};
use crate::writer::Shared;
use crate::{Key, LogId, StorageError};

/// `group` as the disk has it.
pub(super) fn state(group: GroupId, shared: &Shared) -> Result<State, StorageError> {
    let read = |key: Key| shared.answer(shared.engine.read(&key));
    let opaque = |key: Key| read(key)?.map(|record| opaque::decode(&key, record)).transpose();

    let origin = read(Key::Origin(group))?;
    let origin = origin.map(|record| origin::decode(group, record)).transpose()?;
    let bottom = read(Key::Bottom(group))?;
    let bottom = bottom.map(|record| bottom::decode(group, record)).transpose()?;
    let last = match &origin {
        Some(origin) => check_log(group, origin, shared)?,
        None => check_empty(group, shared)?,
    };
    let lowest = bottom.unwrap_or_default();
    let mut state = State {
        origin,
        last,
        vote: opaque(Key::Vote(group))?,
        committed: opaque(Key::Committed(group))?,
        sweep: Sweep::starting_at(lowest),
        bottom,
        ..State::default()
    };
    let mut visit = |key, _| {
        if let Key::Adopted(_, index) = key {
            state.adopted.insert(index);
        }
        ControlFlow::Continue(())
    };
    let to = Key::Adopted(group, LogIndex(u64::MAX));
    shared.answer(shared.engine.scan(&Key::Adopted(group, lowest), &to, &mut visit))?;
    Ok(state)
}

/// Reads all rows above `origin`; returns the last one's name.
fn check_log(
    group: GroupId,
    origin: &Origin,
    shared: &Shared,
) -> Result<Option<LogId>, StorageError> {
    let from = Key::Row(group, origin.first());
    let mut expected = origin.first();
    let mut last = None;
    let mut fault = None;
    let mut visit = |key, record| {
        let Key::Row(_, index) = key else { return ControlFlow::Continue(()) };
        if index != expected {
            fault = Some(StorageError::Hole { group, index: expected });
            return ControlFlow::Break(());
        }
        match RowValue::decode(group, index, record) {
            Ok(row) => last = Some(row.id()),
            Err(error) => {
                fault = Some(error);
                return ControlFlow::Break(());
            }
        }
        expected = index.next();
        ControlFlow::Continue(())
    };
    let to = Key::Row(group, LogIndex(u64::MAX));
    shared.answer(shared.engine.scan(&from, &to, &mut visit))?;
    match fault {
        Some(fault) => Err(fault),
        // A log that was never purged has its first row: both were written in one batch.
        None if last.is_none() && origin.floor().is_none() => {
            Err(StorageError::Hole { group, index: origin.first() })
        }
        None => Ok(last),
    }
}

/// A group without origin has no rows.
fn check_empty(group: GroupId, shared: &Shared) -> Result<Option<LogId>, StorageError> {
    let mut found = None;
    let mut visit = |key, _| {
        found = Some(key);
        ControlFlow::Break(())
    };
    let from = Key::Row(group, LogIndex(0));
    let to = Key::Row(group, LogIndex(u64::MAX));
    shared.answer(shared.engine.scan(&from, &to, &mut visit))?;
    match found {
        None => Ok(None),
        Some(key) => Err(StorageError::Damaged {
            what: Key::Origin(group).to_string(),
            how: format!("it is missing, but {key} is there"),
        }),
    }
}

/// The numbers of `group`'s snapshots, and whether pages of an unfinished one are left.
pub(super) fn numbers(group: GroupId, shared: &Shared) -> Result<(Numbers, bool), StorageError> {
    let record = shared.answer(shared.engine.read(&Key::Head(group)))?;
    let head = record.map(|record| head::decode(group, record)).transpose()?;
    let numbers = match head {
        Some(head) => Numbers { oldest: head.number, next: head.number.saturating_add(1) },
        None => Numbers::default(),
    };
    let mut leftovers = false;
    let mut visit = |_, _| {
        leftovers = true;
        ControlFlow::Break(())
    };
    let from = Key::Page(group, numbers.next, 0);
    let to = Key::Page(group, u64::MAX, u32::MAX);
    shared.answer(shared.engine.scan(&from, &to, &mut visit))?;
    Ok((numbers, leftovers))
}
