//! Ends deliveries: by settling, by the end of a consumer, by basic.get's holder giving back.

use warren_types::ConsumerId;

use super::{Consumer, Consumers, Queue, Ready, Standing};
use crate::entry::RangesRef;
use crate::rows::Rows;
use crate::run::Run;
use crate::{Got, Outcome};

impl Queue {
    /// Settles what one consumer holds of `ranges`. Returns the consumer when that was its end:
    /// a cancelled one that holds nothing any more is gone.
    pub(crate) fn settle(
        &mut self,
        order: u64,
        outcome: Outcome,
        ranges: RangesRef<'_>,
        rows: &mut Rows,
    ) -> Option<ConsumerId> {
        let single_active = self.settings.single_active_consumer;
        let consumer = self.consumers.member_mut(order)?;
        let ready = &mut self.ready;
        for range in ranges.iter() {
            consumer.held.take(range, |run| settled(run, outcome, ready, rows));
        }
        if consumer.standing == Standing::Cancelled && consumer.held.is_empty() {
            return self.consumers.remove(order).map(|consumer| consumer.id);
        }
        self.consumers.reconsider(order, single_active);
        None
    }

    /// Has `holder` hold the oldest message that waits.
    pub(crate) fn get(&mut self, order: u64) -> Option<Got> {
        let holder = self.consumers.member_mut(order)?;
        let run = self.ready.take(1)?;
        let given = run.delivered();
        let sequence = holder.hold(run);
        Some(Got {
            sequence,
            location: given.location,
            size: given.size,
            redelivered: given.redelivered,
            delivery_count: given.delivery_count,
            acquired_count: given.acquired_count,
            parts: given.parts,
            remaining: self.ready.len(),
        })
    }

    /// Gives a consumer nothing more. Returns it when that was its end.
    pub(crate) fn cancel(&mut self, order: u64) -> Cancelled {
        let was_registered = self.consumers.cancel(order);
        let is_empty =
            self.consumers.member(order).is_some_and(|consumer| consumer.held.is_empty());
        let is_gone = was_registered && is_empty;
        if is_gone {
            self.consumers.remove(order);
        }
        Cancelled { is_gone, is_unused: was_registered && self.consumers.registered() == 0 }
    }

    /// Ends a consumer: what it holds waits again, as failed deliveries. Returns whether the queue
    /// has lost its last consumer by that.
    pub(crate) fn detach(&mut self, order: u64) -> bool {
        let Some(mut consumer) = self.consumers.remove(order) else { return false };
        let ready = &mut self.ready;
        consumer.held.drain(|run| ready.put_back(returned(run, true)));
        consumer.standing == Standing::Registered && self.consumers.registered() == 0
    }

    /// Drops every message. Returns the consumers there were.
    pub(crate) fn end(mut self, rows: &mut Rows) -> Consumers {
        self.purge(rows);
        self.consumers.drop_messages(rows);
        self.consumers
    }
}

/// What a cancel has led to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancelled {
    /// The consumer held nothing and is gone.
    pub(crate) is_gone: bool,
    /// The queue has lost its last consumer.
    pub(crate) is_unused: bool,
}

impl Consumers {
    fn drop_messages(&mut self, rows: &mut Rows) {
        let orders: Vec<u64> = self.iter().map(|consumer: &Consumer| consumer.order).collect();
        for order in orders {
            if let Some(consumer) = self.member_mut(order) {
                consumer.held.drain(|run| rows.release(&run));
            }
        }
    }
}

/// Does with messages what the outcome says.
#[inline]
fn settled(run: Run, outcome: Outcome, ready: &mut Ready, rows: &mut Rows) {
    match outcome {
        Outcome::Ack | Outcome::Reject => rows.release(&run),
        Outcome::Requeue => ready.put_back(returned(run, false)),
        Outcome::RejectRequeue => ready.put_back(returned(run, true)),
        Outcome::Release => ready.put_back(run),
    }
}

/// Counts that messages were given out, at the moment they come back: what is held says with how
/// many returns it was given out, so that it is shown alike after a change of leader.
fn returned(mut run: Run, has_failed: bool) -> Run {
    run.acquired = run.acquired.saturating_add(1);
    if has_failed {
        run.failed = run.failed.saturating_add(1);
    }
    run
}
