//! Queues, from the front end's side: the shards that hold them and the tasks that speak to those.

pub(crate) mod batch;
pub(crate) mod doubts;
pub(crate) mod effects;
pub(crate) mod front;
pub(crate) mod guests;
pub(crate) mod handle;
pub(crate) mod leading;
pub(crate) mod link;
pub(crate) mod local;
pub(crate) mod reader;
pub(crate) mod shard;
pub(crate) mod whereabouts;

use std::sync::Arc;

use bytes::Bytes;
use warren_catalog as catalog;
use warren_queue::{
    DeadLetterStrategy, DeadLetterTarget, DelayedRetry, DelayedRetryKind, DeliveryCounting,
    Overflow, QueueKind, QueueSettings, Retry,
};

use crate::directory::Directory;
use crate::feature::Feature;

/// What a queue's shard has to know of its row. Before all nodes know streams, one is kept as what
/// it resembles most.
pub(crate) fn settings_of(directory: &Directory, queue: &catalog::Queue) -> QueueSettings {
    let rules = &queue.settings;
    let is_stream = queue.kind == catalog::QueueKind::Stream;
    let knows_streams = is_stream && directory.knows(Feature::Streams);
    let settings = QueueSettings {
        auto_delete: queue.auto_delete,
        single_active_consumer: rules.single_active_consumer,
        kind: match queue.kind {
            catalog::QueueKind::Quorum => QueueKind::Quorum,
            catalog::QueueKind::Classic => QueueKind::Classic,
            catalog::QueueKind::Stream if knows_streams => QueueKind::Stream,
            catalog::QueueKind::Stream => QueueKind::Quorum,
        },
        message_ttl_ms: rules.message_ttl_ms,
        expires_ms: rules.expires_ms,
        max_length: rules.max_length,
        max_length_bytes: rules.max_length_bytes,
        overflow: match rules.overflow {
            catalog::Overflow::DropHead => Overflow::DropHead,
            catalog::Overflow::RejectPublish => Overflow::RejectPublish,
            catalog::Overflow::RejectPublishDlx => Overflow::RejectPublishDlx,
        },
        dead_letter: dead_letter_target(rules).map(Arc::new),
        delivery_limit: rules.delivery_limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        delivery_counting: match rules.delivery_counting {
            catalog::DeliveryCounting::Failures => DeliveryCounting::Failures,
            catalog::DeliveryCounting::Returns => DeliveryCounting::Returns,
        },
        max_priority: rules.max_priority,
        consumer_timeout_ms: rules.consumer_timeout_ms,
        leases: rules.timeout_action == catalog::TimeoutAction::Return,
        delayed_retry: delayed_retry(rules.delayed_retry),
        dedup_window_ms: rules.dedup.as_ref().map(|dedup| dedup.window_ms),
        dedup_limit: rules.dedup.as_ref().and_then(|dedup| dedup.limit),
        retry: rules.retry.as_ref().map(|retry| Retry {
            delays_ms: retry.delays_ms.clone(),
            jitter_percent: retry.jitter_percent,
        }),
        parking: parking(queue).map(Arc::new),
        max_age_ms: rules.max_age_ms,
        segment_bytes: rules.segment_bytes,
    };
    settings.effective()
}

/// Where the dead go. The shard keeps them until they have arrived, whatever the strategy: being
/// sure costs it nothing more.
fn dead_letter_target(rules: &catalog::Settings) -> Option<DeadLetterTarget> {
    let bytes = |name: &catalog::Name| Bytes::copy_from_slice(name.as_bytes());
    Some(DeadLetterTarget {
        exchange: bytes(rules.dead_letter_exchange.as_ref()?),
        routing_key: rules.dead_letter_routing_key.as_ref().map(bytes),
        strategy: match rules.dead_letter_strategy {
            catalog::DeadLetterStrategy::AtMostOnce => DeadLetterStrategy::AtMostOnce,
            catalog::DeadLetterStrategy::AtLeastOnce => DeadLetterStrategy::AtLeastOnce,
        },
    })
}

/// The queue of a virtual host that takes what would be lost because it exceeds its delivery limit. Its
/// own length limit is the quota. Without such a queue the message is dropped, as in RabbitMQ.
const PARKING: &str = "warren.parking";

/// Where messages of a queue are parked, if they can exceed a limit.
fn parking(queue: &catalog::Queue) -> Option<DeadLetterTarget> {
    let rules = &queue.settings;
    let is_limited = rules.delivery_limit.is_some() || rules.retry.is_some();
    let is_mortal = rules.dead_letter_exchange.is_some();
    (is_limited && !is_mortal && &*queue.name != PARKING).then(|| DeadLetterTarget {
        exchange: Bytes::new(),
        routing_key: Some(Bytes::from_static(PARKING.as_bytes())),
        strategy: DeadLetterStrategy::AtLeastOnce,
    })
}

fn delayed_retry(retry: catalog::DelayedRetry) -> Option<DelayedRetry> {
    let kind = match retry.kind {
        catalog::DelayedRetryKind::Disabled => return None,
        catalog::DelayedRetryKind::All => DelayedRetryKind::All,
        catalog::DelayedRetryKind::Failed => DelayedRetryKind::Failed,
        catalog::DelayedRetryKind::Returned => DelayedRetryKind::Returned,
    };
    Some(DelayedRetry { kind, min_ms: retry.min_ms, max_ms: retry.max_ms })
}
