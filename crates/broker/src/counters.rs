//! What this node has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::survey::MessageCounts;

/// One number that many tasks count up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes `count` off, of a number that goes both ways.
    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// This node's counters, since its start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections_opened: Counter,
    pub(crate) connections_closed: Counter,
    pub(crate) channels_opened: Counter,
    pub(crate) channels_closed: Counter,
    pub(crate) consumers: Counter,
    pub(crate) published: Counter,
    pub(crate) confirmed: Counter,
    pub(crate) returned: Counter,
    pub(crate) unroutable_dropped: Counter,
    pub(crate) delivered: Counter,
    pub(crate) delivered_no_ack: Counter,
    pub(crate) redelivered: Counter,
    pub(crate) got: Counter,
    pub(crate) got_no_ack: Counter,
    pub(crate) got_empty: Counter,
    pub(crate) acknowledged: Counter,
    pub(crate) orphans: Counter,
}

/// The counters at one moment. Totals are since the node's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that were closed.
    pub connections_closed: u64,
    /// Channels that were opened.
    pub channels_opened: u64,
    /// Channels that were closed.
    pub channels_closed: u64,
    /// Consumers there are.
    pub consumers: u64,
    /// Messages that clients published.
    pub published: u64,
    /// Messages that were confirmed to their publishers.
    pub confirmed: u64,
    /// Mandatory messages that went back because no queue took them.
    pub returned: u64,
    /// Messages that were dropped because no queue took them.
    pub unroutable_dropped: u64,
    /// Messages that were sent to consumers.
    pub delivered: u64,
    /// Of those, the ones whose consumers do not acknowledge.
    pub delivered_no_ack: u64,
    /// Of all of those, the ones that were sent before.
    pub redelivered: u64,
    /// Messages that were fetched with basic.get.
    pub got: u64,
    /// Of those, the ones that need no acknowledgement.
    pub got_no_ack: u64,
    /// Times that basic.get found nothing.
    pub got_empty: u64,
    /// Messages that were acknowledged by clients.
    pub acknowledged: u64,
    /// Consumers that a shard knew and that no connection had, found by comparing: none, unless
    /// something is wrong.
    pub orphaned_consumers: u64,
}

impl Counters {
    /// The numbers as they are.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            connections_opened: self.connections_opened.value(),
            connections_closed: self.connections_closed.value(),
            channels_opened: self.channels_opened.value(),
            channels_closed: self.channels_closed.value(),
            consumers: self.consumers.value(),
            published: self.published.value(),
            confirmed: self.confirmed.value(),
            returned: self.returned.value(),
            unroutable_dropped: self.unroutable_dropped.value(),
            delivered: self.delivered.value(),
            delivered_no_ack: self.delivered_no_ack.value(),
            redelivered: self.redelivered.value(),
            got: self.got.value(),
            got_no_ack: self.got_no_ack.value(),
            got_empty: self.got_empty.value(),
            acknowledged: self.acknowledged.value(),
            orphaned_consumers: self.orphans.value(),
        }
    }
}

impl Totals {
    /// What happened to messages.
    #[must_use]
    pub fn messages(&self) -> MessageCounts {
        MessageCounts {
            publish: self.published,
            confirm: self.confirmed,
            return_unroutable: self.returned,
            drop_unroutable: self.unroutable_dropped,
            deliver: self.delivered.saturating_sub(self.delivered_no_ack),
            deliver_no_ack: self.delivered_no_ack,
            get: self.got.saturating_sub(self.got_no_ack),
            get_no_ack: self.got_no_ack,
            get_empty: self.got_empty,
            ack: self.acknowledged,
            redeliver: self.redelivered,
        }
    }
}
