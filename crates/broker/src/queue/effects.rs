//! Carries out what a shard says must happen.

use bytes::Bytes;
use tokio::sync::mpsc;
use warren_queue::{DeadLettered, Delivered, Effect};
use warren_types::{LogIndex, SessionId};

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
    session: SessionId,
    registry: Registry,
    janitor: mpsc::UnboundedSender<Chore>,
    undertaker: mpsc::UnboundedSender<DeadLettered>,
}

impl Performer {
    /// Effects of the shard at `slot`; consumers of `session` are found in `registry`. Those of
    /// an earlier start of this node bear numbers that mean others by now.
    pub(crate) fn new(
        slot: ShardSlot,
        session: SessionId,
        registry: Registry,
        janitor: mpsc::UnboundedSender<Chore>,
        undertaker: mpsc::UnboundedSender<DeadLettered>,
    ) -> Self {
        Self { slot, session, registry, janitor, undertaker }
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
                Effect::Cancelled { consumer, reason, .. } if consumer.session == self.session => {
                    let cancelled = ToConnection::Cancelled { consumer: consumer.number, reason };
                    self.registry.send(consumer.number, cancelled);
                }
                // A consumer of another node, or of an earlier start of this one.
                Effect::Cancelled { .. } => {}
                // One shard's dead go to one undertaker, which keeps their order.
                Effect::DeadLetter(letters) => drop(self.undertaker.send(letters)),
                Effect::QueueEnded { queue, reason } => {
                    drop(self.janitor.send(Chore::QueueEnded { slot: self.slot, queue, reason }));
                }
            }
        }
    }

    fn deliver(&self, delivered: Delivered, row: &impl Fn(LogIndex) -> Option<Bytes>) {
        if delivered.consumer.session != self.session {
            return;
        }
        let number = delivered.consumer.number;
        let rows = delivered.runs.iter().map(|run| row(run.location.index)).collect();
        let delivery = Delivery { delivered, rows };
        self.registry.send(number, ToConnection::Deliver(delivery));
    }
}
