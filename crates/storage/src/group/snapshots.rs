//! A group's snapshot: pages under a number of their own, and a head that names the number.
//!
//! Pages are written first, in small steps between everybody else's rows. The head is written in
//! one batch with the removal of the pages before: until then the old snapshot is the snapshot.

use std::ops::ControlFlow;
use std::sync::PoisonError;

use bytes::Bytes;
use warren_types::GroupId;

use super::GroupStore;
use crate::backlog::{BULK_BYTES, Request};
use crate::engine::Change;
use crate::format::head::{self, Head};
use crate::format::opaque;
use crate::row::Completion;
use crate::{Key, Snapshot, StorageError};

/// Which numbers snapshots have.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// The lowest of which pages may exist.
    pub(super) oldest: u64,
    /// The one that the next snapshot gets.
    pub(super) next: u64,
}

/// The pages of an unfinished snapshot go.
pub(super) fn remove_leftovers(group: GroupId, numbers: &Numbers) -> Change {
    Change::RemoveRange {
        from: Key::Page(group, numbers.next, 0),
        to: Key::Page(group, u64::MAX, u32::MAX),
        for_good: false,
    }
}

impl GroupStore {
    /// Keeps `snapshot` in the place of the one before, which stays until this one is whole.
    ///
    /// Waits while pages wait for the writer: call it where waiting is allowed, and not in a
    /// completion.
    pub fn save_snapshot(&self, snapshot: Snapshot, done: Completion) {
        let Some(done) = self.unless_failed(done) else { return };
        let group = self.id();
        let shared = &self.inner.shared;
        // One at a time, or a slow one might replace a later one.
        let mut numbers = self.group.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let number = numbers.next;
        numbers.next = number.saturating_add(1);
        let mut pages = 0_u32;
        for page in snapshot.pages {
            let key = Key::Page(group, number, pages);
            let change = Change::Put { key, value: opaque::encode(&key, &page) };
            #[cfg(feature = "failpoints")]
            fail::fail_point!("storage.snapshot.page");
            shared.wait_for_room(BULK_BYTES);
            shared.pushed(shared.backlog.push(Request::new(vec![change], false, None)));
            pages = pages.checked_add(1).expect("a snapshot has fewer than 2^32 pages");
        }
        #[cfg(feature = "failpoints")]
        fail::fail_point!("storage.snapshot.head");
        let head = Head { number, pages, meta: snapshot.meta };
        let key = Key::Head(group);
        let mut changes = vec![Change::Put { key, value: head::encode(group, &head) }];
        if let Some(newest) = number.checked_sub(1) {
            changes.push(Change::RemoveRange {
                from: Key::Page(group, numbers.oldest, 0),
                to: Key::Page(group, newest, u32::MAX),
                for_good: false,
            });
        }
        numbers.oldest = number;
        let pushed = shared.backlog.push(Request::new(changes, true, Some(done)));
        drop(numbers);
        shared.pushed(pushed);
    }

    /// The last snapshot that is whole.
    ///
    /// # Errors
    /// When the disk does not say, or its answer is damaged.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, StorageError> {
        let shared = &self.inner.shared;
        shared.failure.check()?;
        let mut before = None;
        loop {
            let record = shared.answer(shared.engine.read(&Key::Head(self.id())))?;
            let head = record.map(|record| head::decode(self.id(), record)).transpose();
            let Some(head) = shared.sound(head)? else { return Ok(None) };
            let pages = shared.sound(self.pages(&head))?;
            if u32::try_from(pages.len()) == Ok(head.pages) {
                return Ok(Some(Snapshot { meta: head.meta, pages }));
            }
            // A later snapshot has taken the pages away, unless its head says otherwise.
            if before == Some(head.number) {
                let what = Key::Head(self.id()).to_string();
                let how = format!("it has {} of {} pages", pages.len(), head.pages);
                return Err(shared.fail(StorageError::Damaged { what, how }));
            }
            before = Some(head.number);
        }
    }

    fn pages(&self, head: &Head) -> Result<Vec<Bytes>, StorageError> {
        let shared = &self.inner.shared;
        let mut pages = Vec::new();
        let mut fault = None;
        let mut visit = |key: Key, record| match opaque::decode(&key, record) {
            Ok(page) => {
                pages.push(page);
                ControlFlow::Continue(())
            }
            Err(error) => {
                fault = Some(error);
                ControlFlow::Break(())
            }
        };
        let from = Key::Page(self.id(), head.number, 0);
        let to = Key::Page(self.id(), head.number, u32::MAX);
        shared.answer(shared.engine.scan(&from, &to, &mut visit))?;
        fault.map_or(Ok(pages), Err)
    }
}
