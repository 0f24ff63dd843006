//! Carries out what a shard says must happen.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use warren_queue::wire::Notice;
use warren_queue::{Delivered, Effect};
use warren_types::{ConsumerNumber, LogIndex, SessionId, Term};

use super::guests::{Census, Guests};
use super::handle::ShardSlot;
use crate::connection::ToConnection;
use crate::janitor::Chore;
use crate::registry::Registry;
use crate::undertaker::Burial;

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
    undertaker: mpsc::UnboundedSender<Burial>,
}

impl Performer {
    /// Effects of the shard at `slot`; consumers of `session` are found in `registry`. Those of
    /// an earlier start of this node bear numbers that mean others by now.
    pub(crate) fn new(
        slot: ShardSlot,
        session: SessionId,
        registry: Registry,
        janitor: mpsc::UnboundedSender<Chore>,
        undertaker: mpsc::UnboundedSender<Burial>,
    ) -> Self {
        Self { slot, session, registry, janitor, undertaker }
    }

    /// Leaves something to the janitor.
    pub(crate) fn chore(&self, chore: Chore) {
        drop(self.janitor.send(chore));
    }

    /// Carries out `effects` of the leadership of `reign`; `row` gives rows that are in memory
    /// anyway.
    pub(crate) fn perform(
        &mut self,
        effects: Vec<Effect>,
        reign: Option<Term>,
        guests: &Guests,
        row: impl Fn(LogIndex) -> Option<Bytes>,
    ) {
        let mut abroad: BTreeMap<SessionId, Vec<Notice>> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Deliver(delivered) if delivered.consumer.session == self.session => {
                    deliver(&self.registry, delivered, &row);
                }
                Effect::Deliver(delivered) => {
                    let notices = abroad.entry(delivered.consumer.session).or_default();
                    notices.push(Notice::Delivered(delivered));
                }
                Effect::Cancelled { consumer, reason, .. } if consumer.session == self.session => {
                    let cancelled = ToConnection::Cancelled { consumer: consumer.number, reason };
                    self.registry.send(consumer.number, cancelled);
                }
                Effect::Cancelled { consumer, queue, reason } => {
                    let notices = abroad.entry(consumer.session).or_default();
                    notices.push(Notice::Cancelled { consumer, queue, reason });
                }
                // One shard's dead go to one undertaker, which keeps their order.
                Effect::DeadLetter(letters) => {
                    drop(self.undertaker.send(Burial { letters, reign }));
                }
                Effect::QueueEnded { queue, reason } => {
                    self.chore(Chore::QueueEnded { slot: self.slot, queue, reason });
                }
            }
        }
        for (session, notices) in abroad {
            guests.notify(session, &notices, &row);
        }
    }

    /// Has every connection compare its consumers with those that the shard knows, and ends those
    /// that the shard knows and no connection has.
    pub(crate) fn take_census(
        &self,
        consumers: Vec<ConsumerNumber>,
        open: bool,
    ) -> Vec<ConsumerNumber> {
        let census = Arc::new(Census { consumers: consumers.into_iter().collect(), open });
        let orphans: Vec<ConsumerNumber> = census
            .consumers
            .iter()
            .copied()
            .filter(|consumer| !self.registry.has(*consumer))
            .collect();
        let slot = self.slot;
        let message = || ToConnection::Census { slot, census: census.clone() };
        self.registry.send_where(|_| true, message);
        orphans
    }
}

impl Performer {
    /// Tells every connection that the session was closed.
    pub(crate) fn session_lost(&self) {
        let slot = self.slot;
        self.registry.send_where(|_| true, || ToConnection::SessionLost { slot });
    }

    /// Tells every connection that the shard has gone with all that it held.
    pub(crate) fn shard_gone(&self) {
        let slot = self.slot;
        self.registry.send_where(|_| true, || ToConnection::ShardGone { slot });
    }
}

/// Hands notices from another node to the connections that they are for.
pub(crate) fn told(
    registry: &Registry,
    session: SessionId,
    notices: Vec<Notice>,
    rows: &BTreeMap<LogIndex, Bytes>,
) {
    for notice in notices {
        match notice {
            Notice::Delivered(delivered) if delivered.consumer.session == session => {
                deliver(registry, delivered, &|index| rows.get(&index).cloned());
            }
            Notice::Cancelled { consumer, reason, .. } if consumer.session == session => {
                let cancelled = ToConnection::Cancelled { consumer: consumer.number, reason };
                registry.send(consumer.number, cancelled);
            }
            // Meant for an earlier start of this node.
            Notice::Delivered(_) | Notice::Cancelled { .. } => {}
        }
    }
}

fn deliver(registry: &Registry, delivered: Delivered, row: &impl Fn(LogIndex) -> Option<Bytes>) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!("broker.deliver.before");
    let number = delivered.consumer.number;
    let rows = delivered.runs.iter().map(|run| row(run.location.index)).collect();
    let delivery = Delivery { delivered, rows };
    registry.send(number, ToConnection::Deliver(delivery));
}
