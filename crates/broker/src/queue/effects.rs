//! Carries out what a shard says must happen.

use bytes::Bytes;
use tokio::sync::mpsc;
use warren_queue::{Delivered, Effect};
use warren_types::{LogIndex, NodeId};

use super::handle::ShardSlot;
use crate::connection::ToConnection;
use crate::janitor::Chore;
use crate::registry::Registry;

/// Deliveries for one consumer, with the rows that were at hand.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) delivered: Delivered,
    /// For each run, its row, where no disk had to be asked for it.
    pub(crate) rows: Vec<Option<Bytes>>,
}

/// Knows where one shard's effects go.
#[derive(Debug)]
pub(crate) struct Performer {
    slot: ShardSlot,
    node: NodeId,
    registry: Registry,
    janitor: mpsc::UnboundedSender<Chore>,
}

impl Performer {
    /// Effects of the shard at `slot`; consumers of `node` are found in `registry`.
    pub(crate) fn new(
        slot: ShardSlot,
        node: NodeId,
        registry: Registry,
        janitor: mpsc::UnboundedSender<Chore>,
    ) -> Self {
        Self { slot, node, registry, janitor }
    }

    /// Carries out `effects`; `row` gives rows that are in memory anyway.
    pub(crate) fn perform(
        &mut self,
        effects: Vec<Effect>,
        row: impl Fn(LogIndex) -> Option<Bytes>,
    ) {
        for effect in effects {
            match effect {
                Effect::Deliver(delivered) => self.deliver(delivered, &row),
                Effect::Cancelled { consumer, .. } if consumer.session.node == self.node => {
                    let cancelled = ToConnection::Cancelled { consumer: consumer.number };
                    self.registry.send(consumer.number, cancelled);
                }
                // A consumer of another node, or of one that has gone: its own node knows.
                Effect::Cancelled { .. } => {}
                Effect::QueueEnded { queue, reason } => {
                    drop(self.janitor.send(Chore::QueueEnded { slot: self.slot, queue, reason }));
                }
            }
        }
    }

    fn deliver(&self, delivered: Delivered, row: &impl Fn(LogIndex) -> Option<Bytes>) {
        if delivered.consumer.session.node != self.node {
            return;
        }
        let number = delivered.consumer.number;
        let rows = delivered.runs.iter().map(|run| row(run.location.index)).collect();
        let delivery = Delivery { delivered, rows };
        self.registry.send(number, ToConnection::Deliver(delivery));
    }
}
