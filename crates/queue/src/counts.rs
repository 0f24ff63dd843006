//! What has happened in a queue, and how much there is in all queues together, in numbers.
//!
//! **Always holds:** [`Totals`] are the sums over all queues, as of the last entry; nobody has to
//! walk over the queues for them.
//!
//! What has happened is known since this replica began to apply entries one by one: a snapshot does
//! not carry it, and nothing is decided by it.

use crate::Outcome;
use crate::rare::Empty;
use crate::run::Run;

/// What has happened in a queue, as far as this replica has seen it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Messages that came, since the queue was made.
    pub published: u64,
    /// Messages that were given to consumers that acknowledge.
    pub delivered: u64,
    /// Messages that were given to consumers that do not.
    pub delivered_no_ack: u64,
    /// Messages that were got and have to be acknowledged.
    pub got: u64,
    /// Messages that were got without.
    pub got_no_ack: u64,
    /// basic.get of an empty queue.
    pub got_empty: u64,
    /// Messages that consumers acknowledged.
    pub acknowledged: u64,
    /// Messages given out that had been given out before.
    pub redelivered: u64,
    /// Messages that were not taken again.
    pub duplicates: u64,
}

/// How much there is in all queues of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Queues.
    pub queues: u64,
    /// Messages that wait.
    pub ready: u64,
    /// Bytes of their bodies.
    pub ready_bytes: u64,
    /// Messages that consumers hold.
    pub unsettled: u64,
}

/// A queue's part in the shard's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) ready: u64,
    pub(crate) ready_bytes: u64,
    pub(crate) unsettled: u64,
}

/// What a queue keeps of what has happened in it, but for what came, which the messages' numbers tell.
/// One in which nothing has happened keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    delivered: u64,
    delivered_no_ack: u64,
    got: u64,
    got_no_ack: u64,
    pub(crate) got_empty: u64,
    acknowledged: u64,
    redelivered: u64,
    pub(crate) duplicates: u64,
}

/// What a queue keeps of what is in it. One that is empty and has no consumers keeps none.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// Messages that consumers hold.
    pub(crate) unsettled: u64,
    /// What the shard's totals have of the queue.
    pub(crate) noted: Share,
}

impl Empty for Present {
    const EMPTY: &'static Self =
        &Self { unsettled: 0, noted: Share { ready: 0, ready_bytes: 0, unsettled: 0 } };
}

impl Present {
    /// Whether nothing is in the queue, and the totals know.
    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.unsettled == 0 && self.noted == Share::default()
    }
}

impl Tally {
    /// What has happened, in a queue to which so many messages came.
    pub(crate) fn told(self, published: u64) -> QueueCounts {
        QueueCounts {
            published,
            delivered: self.delivered,
            delivered_no_ack: self.delivered_no_ack,
            got: self.got,
            got_no_ack: self.got_no_ack,
            got_empty: self.got_empty,
            // What was got without is settled by its front end, and is no acknowledgement.
            acknowledged: self.acknowledged.saturating_sub(self.got_no_ack),
            redelivered: self.redelivered,
            duplicates: self.duplicates,
        }
    }

    /// `run` is given to a consumer.
    #[inline]
    pub(crate) fn give(&mut self, run: &Run, no_ack: bool) {
        let count = u64::from(run.count);
        if no_ack {
            self.delivered_no_ack += count;
        } else {
            self.delivered += count;
        }
        if run.acquired > 0 {
            self.redelivered += count;
        }
    }

    /// A consumer has settled `count` messages.
    #[inline]
    pub(crate) fn settle(&mut self, outcome: Outcome, count: u64, no_ack: bool) {
        match outcome {
            Outcome::Ack if no_ack => {}
            Outcome::Ack => self.acknowledged += count,
            // As if it had not been given.
            Outcome::Release if no_ack => {
                self.delivered_no_ack = self.delivered_no_ack.saturating_sub(count);
            }
            Outcome::Release => self.delivered = self.delivered.saturating_sub(count),
            Outcome::Reject | Outcome::Requeue | Outcome::RejectRequeue | Outcome::Extend => {}
        }
    }

    /// One message is taken by basic.get.
    pub(crate) fn get(&mut self, run: &Run, no_ack: bool) {
        if no_ack {
            self.got_no_ack += 1;
        } else {
            self.got += 1;
        }
        if run.acquired > 0 {
            self.redelivered += 1;
        }
    }
}

impl Totals {
    /// A queue has another part than before.
    #[inline]
    pub(crate) fn exchange(&mut self, before: Share, after: Share) {
        self.ready = self.ready - before.ready + after.ready;
        self.ready_bytes = self.ready_bytes - before.ready_bytes + after.ready_bytes;
        self.unsettled = self.unsettled - before.unsettled + after.unsettled;
    }
}
