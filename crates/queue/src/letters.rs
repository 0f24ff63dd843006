//! The dead letters that queues of this shard have taken.
//!
//! A letter is carried again when nobody knows whether it arrived: the shard it comes from has another
//! leader, and the former one's word of its arrival is not committed. A queue's dead come one
//! after another, each carried until all its targets have it, so the last one that a target took
//! tells all before it. **Always holds:** a queue takes a letter of another once.
//!
//! What is known of a queue goes when that queue ends, and when the catalog says that it has.

use std::collections::{BTreeMap, BTreeSet};

use warren_types::QueueId;

use crate::{DeadSequence, Letter};

/// What has arrived, by where to and where from.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    last: BTreeMap<(QueueId, QueueId), DeadSequence>,
    /// Where from and where to.
    sources: BTreeSet<(QueueId, QueueId)>,
}

impl Letters {
    /// Whether `target` has this letter already.
    pub(crate) fn has(&self, target: QueueId, letter: Letter) -> bool {
        let last = self.last.get(&(target, letter.source));
        last.is_some_and(|last| *last >= letter.sequence)
    }

    /// Notes that `target` has this letter.
    pub(crate) fn note(&mut self, target: QueueId, letter: Letter) {
        self.last.insert((target, letter.source), letter.sequence);
        self.sources.insert((letter.source, target));
    }

    /// Forgets what came from a queue and what went to it.
    pub(crate) fn forget(&mut self, queue: QueueId) {
        let all = (queue, QueueId(0))..=(queue, QueueId(u64::MAX));
        let targets: Vec<QueueId> = self.sources.range(all.clone()).map(|(_, to)| *to).collect();
        for target in targets {
            self.sources.remove(&(queue, target));
            self.last.remove(&(target, queue));
        }
        let sources: Vec<QueueId> = self.last.range(all).map(|((_, from), _)| *from).collect();
        for source in sources {
            self.sources.remove(&(source, queue));
            self.last.remove(&(queue, source));
        }
    }

    /// Whether something came from a queue.
    pub(crate) fn come_from(&self, source: QueueId) -> bool {
        let mut from = self.sources.range((source, QueueId(0))..=(source, QueueId(u64::MAX)));
        from.next().is_some()
    }

    /// Where letters came from, ascending.
    pub(crate) fn sources(&self) -> Vec<QueueId> {
        let mut sources: Vec<QueueId> = self.sources.iter().map(|(from, _)| *from).collect();
        sources.dedup();
        sources
    }

    /// Where to, and the last letter from where, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (QueueId, Letter)> {
        self.last
            .iter()
            .map(|((target, source), last)| (*target, Letter { source: *source, sequence: *last }))
    }
}
