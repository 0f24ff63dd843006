//! What a queue is told about itself.

use std::sync::Arc;

use bytes::Bytes;

use crate::DeathReason;

/// The level that a quorum queue gives messages without a priority.
const QUORUM_PRIORITY: u8 = 4;

/// The highest level of a quorum queue.
const QUORUM_MAX_PRIORITY: u8 = 31;

/// The rules that a queue follows. The front end works them out from arguments and policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueSettings {
    /// Ends when its last consumer has gone, once it has had one.
    pub auto_delete: bool,
    /// One consumer at a time is served, the others wait for their turn.
    pub single_active_consumer: bool,
    /// Which type it was declared with; decides about priorities and about `Touch`.
    pub kind: QueueKind,
    /// The longest time a message stays. It counts for what enters from then on.
    pub message_ttl_ms: Option<u64>,
    /// How long the queue may stay unused before it ends.
    pub expires_ms: Option<u64>,
    /// The most messages that wait.
    pub max_length: Option<u64>,
    /// The most bytes of bodies that wait.
    pub max_length_bytes: Option<u64>,
    /// What happens beyond these.
    pub overflow: Overflow,
    /// Where dead messages go; without it they are dropped.
    pub dead_letter: Option<Arc<DeadLetterTarget>>,
    /// A message whose failed deliveries exceed it is dead.
    pub delivery_limit: Option<u32>,
    /// Which returns are failed deliveries.
    pub delivery_counting: DeliveryCounting,
    /// The highest priority of a classic queue that has priorities.
    pub max_priority: Option<u8>,
    /// How long a delivery may stay unsettled; 0 is for ever.
    pub consumer_timeout_ms: Option<u64>,
    /// Whether what stays unsettled for longer goes back alone, instead of with its consumer.
    pub leases: bool,
    /// Which returned messages wait before they are given out again, and how long.
    pub delayed_retry: Option<DelayedRetry>,
    /// How long a message that has a [`DedupKey`](crate::DedupKey) is not taken again.
    pub dedup_window_ms: Option<u64>,
    /// The keys that are remembered at most, instead of a million.
    pub dedup_limit: Option<u64>,
    /// After what times messages that come back are given out again, and how often.
    pub retry: Option<Retry>,
    /// Where messages go that exceed their delivery limit while `dead_letter` is none.
    pub parking: Option<Arc<DeadLetterTarget>>,
    /// How old a stream's messages become, by the time of day.
    pub max_age_ms: Option<u64>,
    /// How large a segment of a stream becomes, instead of 500 MB.
    pub segment_bytes: Option<u64>,
}

/// The type of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueKind {
    /// No priorities unless `max_priority` says so; a redeclare renews its lease.
    #[default]
    Classic,
    /// 32 priorities, 4 where a message has none; a redeclare does not renew its lease.
    Quorum,
    /// Messages are read, and stay: of all rules it has only `max_length_bytes`, `max_age_ms` and
    /// `segment_bytes`.
    Stream,
}

/// What happens to messages beyond the length limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Those at the head die.
    #[default]
    DropHead,
    /// Those that come are refused.
    RejectPublish,
    /// Those that come are refused, and dead-lettered.
    RejectPublishDlx,
}

/// Where dead messages go. The shard only passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterTarget {
    /// The exchange, at most 255 bytes; empty is the default exchange.
    pub exchange: Bytes,
    /// The key they get instead of their own, at most 255 bytes.
    pub routing_key: Option<Bytes>,
    /// How sure the front end makes of their arrival.
    pub strategy: DeadLetterStrategy,
}

/// How sure dead-lettering is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeadLetterStrategy {
    /// Settled once the target has confirmed.
    #[default]
    AtLeastOnce,
    /// Settled once it was sent.
    AtMostOnce,
}

/// Which returns count towards the delivery limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryCounting {
    /// basic.reject with requeue, and the loss of the consumer (RabbitMQ 4.3).
    #[default]
    Failures,
    /// Every return but `Release` (RabbitMQ 4.0 to 4.2).
    Returns,
}

/// How long returned messages wait: `min(min_ms * count, max_ms)`. The count is that of failed
/// deliveries, and 1 while there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayedRetry {
    /// Which messages.
    pub kind: DelayedRetryKind,
    /// The wait after the first failure, and before.
    pub min_ms: u64,
    /// The longest wait.
    pub max_ms: u64,
}

/// How messages that come back are tried again. It takes the place of the delivery limit, of what counts
/// towards it, and of [`DelayedRetry`]: each return but `Release` is an attempt that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The wait after the first attempt, after the second, and so on; behind the last it is dead.
    pub delays_ms: Vec<u64>,
    /// By how much of itself a wait may become longer, so that what failed together comes apart.
    pub jitter_percent: u8,
}

/// Which returned messages wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayedRetryKind {
    /// All.
    All,
    /// Those whose delivery failed.
    Failed,
    /// Those that were given back without failure.
    Returned,
}

impl Retry {
    /// How long a message waits that has failed `failed` times; none when that was too often.
    /// `place` is what its jitter is drawn by, so that it is the same on every replica.
    pub(crate) fn delay_ms(&self, failed: u32, place: u64) -> Option<u64> {
        let at = usize::try_from(failed).ok()?.checked_sub(1)?;
        let delay_ms = *self.delays_ms.get(at)?;
        let most = delay_ms.saturating_mul(u64::from(self.jitter_percent)) / 100;
        let mixed = (place ^ (u64::from(failed) << 56)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let part = mixed >> 48;
        Some(delay_ms.saturating_add(most.saturating_mul(part) >> 16))
    }
}

impl QueueSettings {
    /// A classic queue without any rule.
    pub const PLAIN: Self = Self {
        auto_delete: false,
        single_active_consumer: false,
        kind: QueueKind::Classic,
        message_ttl_ms: None,
        expires_ms: None,
        max_length: None,
        max_length_bytes: None,
        overflow: Overflow::DropHead,
        dead_letter: None,
        delivery_limit: None,
        delivery_counting: DeliveryCounting::Failures,
        max_priority: None,
        consumer_timeout_ms: None,
        leases: false,
        delayed_retry: None,
        dedup_window_ms: None,
        dedup_limit: None,
        retry: None,
        parking: None,
        max_age_ms: None,
        segment_bytes: None,
    };

    /// The same without what means nothing to a queue of this kind, as its shard keeps it.
    #[must_use]
    pub fn effective(self) -> Self {
        match self.kind {
            QueueKind::Classic | QueueKind::Quorum => {
                Self { max_age_ms: None, segment_bytes: None, ..self }
            }
            QueueKind::Stream => Self {
                kind: QueueKind::Stream,
                max_length_bytes: self.max_length_bytes,
                max_age_ms: self.max_age_ms,
                segment_bytes: self.segment_bytes,
                ..Self::PLAIN
            },
        }
    }

    /// The level of a message: 0 for one without priority, higher ones go first.
    pub(crate) fn level(&self, priority: Option<u8>) -> i16 {
        let Some(priority) = priority else { return 0 };
        match self.kind {
            QueueKind::Quorum => {
                i16::from(priority.min(QUORUM_MAX_PRIORITY)) - i16::from(QUORUM_PRIORITY)
            }
            QueueKind::Classic => i16::from(priority.min(self.max_priority.unwrap_or(0))),
            QueueKind::Stream => 0,
        }
    }

    /// Where messages go that die of this, if anywhere.
    pub(crate) fn target(&self, reason: DeathReason) -> Option<&Arc<DeadLetterTarget>> {
        let parking = self.parking.as_ref().filter(|_| reason == DeathReason::DeliveryLimit);
        self.dead_letter.as_ref().or(parking)
    }

    /// Where the dead go that are there.
    pub(crate) fn any_target(&self) -> Option<&Arc<DeadLetterTarget>> {
        self.dead_letter.as_ref().or(self.parking.as_ref())
    }

    /// How long a message waits whose deliveries have failed `failed` times.
    pub(crate) fn retry_delay_ms(&self, has_failed: bool, failed: u32) -> u64 {
        let Some(retry) = self.delayed_retry else { return 0 };
        let waits = match retry.kind {
            DelayedRetryKind::All => true,
            DelayedRetryKind::Failed => has_failed,
            DelayedRetryKind::Returned => !has_failed,
        };
        if !waits {
            return 0;
        }
        retry.min_ms.saturating_mul(u64::from(failed.max(1))).min(retry.max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_of_a_quorum_queue_stand_around_four() {
        let settings = QueueSettings { kind: QueueKind::Quorum, ..QueueSettings::PLAIN };

        let levels = [None, Some(0), Some(4), Some(31), Some(200)].map(|one| settings.level(one));

        assert_eq!(levels, [0, -4, 0, 27, 27]);
    }

    #[test]
    fn a_classic_queue_has_priorities_up_to_its_highest() {
        let settings = QueueSettings { max_priority: Some(10), ..QueueSettings::PLAIN };

        let levels = [None, Some(0), Some(7), Some(255)].map(|one| settings.level(one));

        assert_eq!(levels, [0, 0, 7, 10]);
        assert_eq!(QueueSettings::PLAIN.level(Some(9)), 0);
    }

    #[test]
    fn the_wait_grows_with_the_count_up_to_its_bound() {
        let retry = |kind| {
            let delayed_retry = Some(DelayedRetry { kind, min_ms: 10, max_ms: 25 });
            QueueSettings { delayed_retry, ..QueueSettings::PLAIN }
        };
        let all = retry(DelayedRetryKind::All);

        assert_eq!([1, 2, 3, 9].map(|failed| all.retry_delay_ms(true, failed)), [10, 20, 25, 25]);
        assert_eq!([0, 1, 2].map(|failed| all.retry_delay_ms(false, failed)), [10, 10, 20]);
        assert_eq!(retry(DelayedRetryKind::Failed).retry_delay_ms(false, 0), 0);
        assert_eq!(retry(DelayedRetryKind::Returned).retry_delay_ms(true, 2), 0);
        assert_eq!(QueueSettings::PLAIN.retry_delay_ms(true, 2), 0);
    }
}
