//! Which queues have something to do at what time.

use std::collections::BTreeSet;

use warren_types::{QueueId, Timestamp};

use crate::clock::NEVER;

/// Queues by when they are due. Each notes by itself what stands here for it.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Timestamp, QueueId)>,
}

impl Timers {
    /// Has `queue` come up at `next` instead of `noted`.
    pub(crate) fn note(&mut self, queue: QueueId, noted: Timestamp, next: Timestamp) {
        if noted != NEVER {
            self.due.remove(&(noted, queue));
        }
        if next != NEVER {
            self.due.insert((next, queue));
        }
    }

    /// Takes out one that is due, the one that has been for longest.
    pub(crate) fn pop(&mut self, now: Timestamp) -> Option<QueueId> {
        let first = *self.due.first()?;
        if first.0 > now {
            return None;
        }
        self.due.remove(&first);
        Some(first.1)
    }

    /// When the next one is due.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Whether a queue stands here for `due`, and how many do; for checks.
    pub(crate) fn contains(&self, queue: QueueId, due: Timestamp) -> bool {
        self.due.contains(&(due, queue))
    }

    /// How many queues are due at some time.
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }
}
