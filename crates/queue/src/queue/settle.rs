//! Ends deliveries: by settling, by the end of a consumer, by basic.get's holder giving back.

use warren_types::ConsumerId;

use super::{Consumer, Consumers, Moment, Queue, Standing};
use crate::entry::RangesRef;
use crate::rare::Rare;
use crate::rows::Rows;
use crate::{Got, Outcome};

impl Queue {
    /// Settles what one consumer holds of `ranges`. Returns the consumer when that was its end:
    /// a cancelled one that holds nothing any more is gone.
    pub(crate) fn settle(
        &mut self,
        order: u64,
        outcome: Outcome,
        ranges: RangesRef<'_>,
        moment: &mut Moment<'_>,
    ) -> Option<ConsumerId> {
        let single_active = self.settings.single_active_consumer;
        let (consumers, mut fate) = self.fate(moment);
        let consumer = consumers.member_mut(order)?;
        // What the client has not seen is given back by its front end.
        consumer.lapsed &= outcome == Outcome::Release;
        let held = consumer.held.len();
        for range in ranges.iter() {
            consumer.held.take(range.from.0, range.to.0, |_, run| fate.settle(run, outcome));
        }
        let (settled, no_ack) = (held - consumer.held.len(), consumer.no_ack);
        let is_given = consumer.standing != Standing::Picker;
        let ended = consumers.relieved(order, single_active);
        if settled > 0 {
            self.present.unsettled -= settled;
            // What was picked has been given to nobody.
            if is_given {
                self.tally().settle(outcome, settled, no_ack);
            }
        }
        ended
    }

    /// Takes note of a basic.get, which is a use of the queue. Returns whether a message waits.
    pub(crate) fn prepare_get(&mut self, moment: &mut Moment<'_>) -> bool {
        self.used_at = moment.clock.now;
        while self.ready.first().is_some_and(|run| run.deadline < moment.clock.now) {
            self.expire_head(moment);
        }
        !self.ready.is_empty()
    }

    /// Has `holder` hold the oldest message that waits.
    pub(crate) fn get(&mut self, order: u64, no_ack: bool, moment: &Moment<'_>) -> Option<Got> {
        self.consumers.member(order)?;
        let run = self.ready.take(1)?;
        self.tally.get_or_insert_default().get(&run, no_ack);
        self.hand(order, run, moment)
    }

    /// Gives a consumer nothing more. Returns it when that was its end.
    pub(crate) fn cancel(&mut self, order: u64, moment: &mut Moment<'_>) -> Cancelled {
        let client = self.client_of(order);
        let was_registered = self.consumers.cancel(order);
        let is_empty =
            self.consumers.member(order).is_some_and(|consumer| consumer.held.is_empty());
        let is_gone = was_registered && is_empty;
        if is_gone {
            self.consumers.remove(order);
        }
        let is_unused = was_registered && self.consumers.registered() == 0;
        if is_unused {
            self.used_at = moment.clock.now;
        }
        self.part(client, moment);
        Cancelled { is_gone, is_unused }
    }

    /// Ends a consumer: what it holds waits again, as failed deliveries. Returns whether the queue
    /// has lost its last consumer by that.
    pub(crate) fn detach(&mut self, order: u64, moment: &mut Moment<'_>) -> bool {
        let client = self.client_of(order);
        let is_unused = self.end_consumer(order, true, moment);
        self.part(client, moment);
        is_unused
    }

    /// Drops every message. Returns the consumers there were.
    pub(crate) fn end(mut self, rows: &mut Rows) -> Rare<Consumers> {
        self.purge(rows);
        if let Some(aside) = &mut self.aside {
            aside.dead.drain(|run| rows.release(&run));
            aside.reserved.drain(|run| rows.release(&run));
        }
        self.consumers.drop_messages(rows);
        self.consumers
    }

    /// Ends a consumer and takes back what it holds.
    pub(super) fn end_consumer(
        &mut self,
        order: u64,
        has_failed: bool,
        moment: &mut Moment<'_>,
    ) -> bool {
        let (consumers, mut fate) = self.fate(moment);
        let Some(mut consumer) = consumers.remove(order) else { return false };
        let returned = consumer.held.len();
        let is_given = consumer.standing != Standing::Picker;
        consumer.held.drain(|run| match is_given {
            true => fate.come_back(run, has_failed),
            false => fate.settle(run, Outcome::Release),
        });
        let is_unused = consumer.standing == Standing::Registered && consumers.registered() == 0;
        if returned > 0 {
            self.present.unsettled -= returned;
        }
        if is_unused {
            self.used_at = moment.clock.now;
        }
        is_unused
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
