//! What this node has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use warren_types::Meter;

use crate::limit::Hits;
use crate::survey::{ChurnCounts, MessageCounts};

/// Upper ends, in bytes, of the buckets for the sizes of messages: RabbitMQ's.
const MESSAGE_BYTES: &[u64] =
    &[100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000];

/// Upper ends, in microseconds, of the buckets for the times until entries are committed and
/// applied.
const COMMIT_US: &[u64] = &[
    200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 2_000_000, 10_000_000,
];

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

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// This node's counters, since its start.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Sizes of published messages, bytes.
    pub(crate) message_bytes: Meter,
    /// Times from proposals of entries to their application here, microseconds.
    pub(crate) commit_us: Meter,
    /// How often each limit was reached.
    pub(crate) hits: Hits,
    pub(crate) numbers: Numbers,
}

impl Default for Counters {
    fn default() -> Self {
        let (message_bytes, commit_us) = (Meter::new(MESSAGE_BYTES), Meter::new(COMMIT_US));
        Self { message_bytes, commit_us, hits: Hits::default(), numbers: Numbers::default() }
    }
}

impl std::ops::Deref for Counters {
    type Target = Numbers;

    fn deref(&self) -> &Numbers {
        &self.numbers
    }
}

/// Those of them that are single numbers.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) connections_opened: Counter,
    pub(crate) connections_closed: Counter,
    pub(crate) channels_opened: Counter,
    pub(crate) channels_closed: Counter,
    pub(crate) queues_declared: Counter,
    pub(crate) queues_created: Counter,
    pub(crate) queues_deleted: Counter,
    pub(crate) consumers: Counter,
    pub(crate) publishers: Counter,
    pub(crate) published: Counter,
    pub(crate) published_confirm: Counter,
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
    pub(crate) link_sent_bytes: Counter,
    pub(crate) link_received_bytes: Counter,
    pub(crate) bulletins_dropped: Counter,
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
    /// Declarations of queues, also of those that were there.
    pub queues_declared: u64,
    /// Queues that were made.
    pub queues_created: u64,
    /// Queues that were deleted.
    pub queues_deleted: u64,
    /// Consumers there are.
    pub consumers: u64,
    /// Channels there are that have published something.
    pub publishers: u64,
    /// Messages that clients published.
    pub published: u64,
    /// Of those, the ones that are to be confirmed.
    pub published_confirm: u64,
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
    /// Bytes of publishes and settles that were sent to shards on other nodes.
    pub link_sent_bytes: u64,
    /// Bytes of deliveries that came from shards on other nodes.
    pub link_received_bytes: u64,
    /// Events, copies of messages and lines of the log that came faster than they could be
    /// published.
    pub bulletins_dropped: u64,
}

impl Counters {
    /// The numbers as they are.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            connections_opened: self.connections_opened.value(),
            connections_closed: self.connections_closed.value(),
            channels_opened: self.channels_opened.value(),
            channels_closed: self.channels_closed.value(),
            queues_declared: self.queues_declared.value(),
            queues_created: self.queues_created.value(),
            queues_deleted: self.queues_deleted.value(),
            consumers: self.consumers.value(),
            publishers: self.publishers.value(),
            published: self.published.value(),
            published_confirm: self.published_confirm.value(),
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
            link_sent_bytes: self.link_sent_bytes.value(),
            link_received_bytes: self.link_received_bytes.value(),
            bulletins_dropped: self.bulletins_dropped.value(),
        }
    }
}

impl Totals {
    /// Who and what came and went.
    #[must_use]
    pub fn churn(&self) -> ChurnCounts {
        ChurnCounts {
            connections_created: self.connections_opened,
            connections_closed: self.connections_closed,
            channels_created: self.channels_opened,
            channels_closed: self.channels_closed,
            queues_declared: self.queues_declared,
            queues_created: self.queues_created,
            queues_deleted: self.queues_deleted,
        }
    }

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
