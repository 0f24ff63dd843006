//! Where messages with the same keys go, worked out once.
//!
//! **Invariant:** a plan is used only as long as the catalog has the revision it was made by.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use warren_types::{LogIndex, QueueId};

use super::dedup::Once;
use crate::queue::handle::ShardSlot;
use crate::throughput::Passage;

/// Plans that one connection keeps; beyond it, all are forgotten and made again as needed.
const PLANS_MAX: usize = 1024;

/// The queues that a message goes to, by shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// The numbers of the exchange that it goes through.
    pub(crate) passage: Arc<Passage>,
    pub(crate) shards: Vec<(ShardSlot, Vec<QueueId>)>,
    /// Those of the queues that take a message once.
    pub(crate) once: Vec<Once>,
}

impl Plan {
    /// Adds a queue.
    pub(crate) fn add(&mut self, slot: ShardSlot, queue: QueueId) {
        match self.shards.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, queues)) => queues.push(queue),
            None => self.shards.push((slot, vec![queue])),
        }
    }

    /// A message goes this way.
    pub(crate) fn count(&self) {
        self.passage.count(self.shards.iter().map(|(_, queues)| queues.len()).sum());
    }

    /// How many shards have to answer before the message is confirmed.
    pub(crate) fn answers(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }
}

type ByKey = FxHashMap<Box<[u8]>, Arc<Plan>>;

/// The plans of one connection.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    revision: LogIndex,
    by_exchange: FxHashMap<Box<[u8]>, ByKey>,
    count: usize,
}

impl Plans {
    /// Forgets all plans unless the catalog still has `revision`.
    pub(crate) fn renew(&mut self, revision: LogIndex) {
        if self.revision != revision {
            self.revision = revision;
            self.clear();
        }
    }

    /// Forgets all plans.
    pub(crate) fn clear(&mut self) {
        self.by_exchange.clear();
        self.count = 0;
    }

    /// The plan for a message with these keys.
    pub(crate) fn find(&self, exchange: &[u8], routing_key: &[u8]) -> Option<Arc<Plan>> {
        self.by_exchange.get(exchange)?.get(routing_key).cloned()
    }

    /// Keeps a plan.
    pub(crate) fn keep(&mut self, exchange: &[u8], routing_key: &[u8], plan: Arc<Plan>) {
        if self.count >= PLANS_MAX {
            self.clear();
        }
        let by_key = self.by_exchange.entry(exchange.into()).or_default();
        if by_key.insert(routing_key.into(), plan).is_none() {
            self.count = self.count.saturating_add(1);
        }
    }
}
