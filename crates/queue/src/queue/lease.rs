//! How long consumers may hold what they were given.
//!
//! A delivery is on lease from when it was given out, or from when its consumer last said that it is
//! still at work. What becomes of one whose lease ends the queue's settings say: its consumer ends,
//! and with it all that it holds; or the message alone goes back. In both cases it was given out once
//! more and has not failed.
//!
//! A consumer that lost a message but lives has *lapsed*: it is given nothing more until its client
//! shows that it is at work by settling or extending anything, also what it has lost. So a client
//! that hangs does not take one message after the other out of circulation for as long as a lease
//! lasts.

use warren_types::{ConsumerId, Timestamp};

use super::{Consumer, Moment, Queue, Standing};
use crate::QueueSettings;
use crate::clock::NEVER;
use crate::entry::RangesRef;

impl Queue {
    /// The consumers that hold something for too long, as they came.
    pub(crate) fn overdue_consumers(&self, now: Timestamp) -> Vec<u64> {
        if self.lease_due > now {
            return vec![];
        }
        let overdue = self.consumers.iter().filter(|one| lease_of(one, &self.settings) <= now);
        overdue.map(|consumer| consumer.order).collect()
    }

    /// Ends a consumer that holds something for too long: what it holds waits again, given out
    /// once more and not failed. Returns whether the queue has lost its last consumer by that.
    pub(crate) fn time_out(&mut self, order: u64, moment: &mut Moment<'_>) -> bool {
        let client = self.client_of(order);
        let is_unused = self.end_consumer(order, false, moment);
        self.part(client, moment);
        is_unused
    }

    /// Takes back what a consumer holds for too long; all that it holds, where nobody else is given
    /// anything before it. Returns the consumer when that was its end: one that was cancelled and
    /// holds nothing any more is gone.
    pub(crate) fn lapse(&mut self, order: u64, moment: &mut Moment<'_>) -> Option<ConsumerId> {
        let (single_active, now) = (self.settings.single_active_consumer, moment.clock.now);
        let consumer = self.consumers.member(order)?;
        let timeout_ms = consumer.timeout_ms(&self.settings)?;
        let mut overdue = vec![];
        for (first, run, since) in consumer.held.numbered() {
            if single_active || since.plus_ms(timeout_ms) <= now {
                overdue.push((first, first.saturating_add(u64::from(run.count) - 1)));
            }
        }
        let (consumers, mut fate) = self.fate(moment);
        let consumer = consumers.member_mut(order)?;
        let held = consumer.held.len();
        for (first, last) in overdue {
            consumer.held.take(first, last, |_, run| fate.come_back(run, false));
        }
        let returned = held - consumer.held.len();
        consumer.lapsed = consumer.standing == Standing::Registered;
        let ended = consumers.relieved(order, single_active);
        if returned > 0 {
            self.present.unsettled -= returned;
        }
        ended
    }

    /// Has the leases of what a consumer holds of `ranges` begin anew. Returns whether it holds any.
    pub(crate) fn extend_leases(
        &mut self,
        order: u64,
        ranges: RangesRef<'_>,
        now: Timestamp,
    ) -> bool {
        let Some(consumer) = self.consumers.member_mut(order) else { return false };
        consumer.lapsed = false;
        let mut count = 0;
        for range in ranges.iter() {
            count += consumer.held.renote(range.from.0, range.to.0, now);
        }
        self.consumers.reconsider(order, self.settings.single_active_consumer);
        count > 0
    }

    /// When the first delivery will have been held for too long.
    pub(crate) fn first_lease(&self) -> Timestamp {
        let leases = self.consumers.iter().map(|consumer| lease_of(consumer, &self.settings));
        leases.min().unwrap_or(NEVER)
    }

    /// Works out again when the first delivery will have been held for too long.
    pub(crate) fn renew_lease(&mut self) {
        self.lease_due = self.first_lease();
    }
}

impl Consumer {
    /// How long it may hold a delivery, if not for ever. Where the client does not acknowledge, what
    /// is held waits for its socket.
    #[inline]
    pub(crate) fn timeout_ms(&self, settings: &QueueSettings) -> Option<u64> {
        if self.no_ack {
            return None;
        }
        self.timeout_ms.or(settings.consumer_timeout_ms).filter(|timeout| *timeout > 0)
    }

    /// When the lease ends of what it is given.
    #[inline]
    pub(super) fn lease_end(&self, settings: &QueueSettings, given: Timestamp) -> Timestamp {
        self.timeout_ms(settings).map_or(NEVER, |timeout_ms| given.plus_ms(timeout_ms))
    }
}

/// When a consumer will hold something for too long.
fn lease_of(consumer: &Consumer, settings: &QueueSettings) -> Timestamp {
    let Some(timeout_ms) = consumer.timeout_ms(settings) else { return NEVER };
    let since = consumer.held.numbered().map(|(_, _, since)| since).min();
    since.map_or(NEVER, |since| since.plus_ms(timeout_ms))
}
