//! How long consumers may hold what they were given.

use warren_types::Timestamp;

use super::{Consumer, Moment, Queue};
use crate::QueueSettings;
use crate::clock::NEVER;

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
        self.end_consumer(order, false, moment)
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
}

/// When a consumer will hold something for too long.
fn lease_of(consumer: &Consumer, settings: &QueueSettings) -> Timestamp {
    // Sequences are given in order, so the first is the one held for longest.
    match (consumer.timeout_ms(settings), consumer.held.first_note()) {
        (Some(timeout_ms), Some(since)) => since.plus_ms(timeout_ms),
        (None, _) | (_, None) => NEVER,
    }
}
