//! Rates without anybody who samples: the difference to the last look that was long enough ago.
//!
//! **Always holds:** what is remembered was looked at within the last two minutes, so nothing is
//! kept of what nobody looks at.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use warren_types::QueueId;

use super::rows::{ChurnCounts, ChurnRates, MessageCounts, MessageRates};

/// Looks that follow each other faster than this see the same rate.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

/// What has not been looked at for so long has no rate.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// A look at numbers that grow.
#[derive(Clone, Debug)]
struct Sample<N> {
    at: Instant,
    numbers: N,
}

/// Turns looks at numbers that grow into rates.
#[derive(Clone, Debug)]
pub(crate) struct Pace<N, R> {
    sample: Option<Sample<N>>,
    rates: R,
}

impl<N, R: Default> Default for Pace<N, R> {
    fn default() -> Self {
        Self { sample: None, rates: R::default() }
    }
}

impl<N, R: Clone + Default> Pace<N, R> {
    /// The rates at which `numbers` have grown, by `rates_of` the earlier ones over some seconds.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        numbers: N,
        rates_of: impl FnOnce(&N, &N, f64) -> R,
    ) -> R {
        let since = self.sample.as_ref().map(|sample| now.saturating_duration_since(sample.at));
        match (since, &self.sample) {
            (Some(since), _) if since < SAMPLE_INTERVAL => return self.rates.clone(),
            (Some(since), Some(before)) if since < FORGET_AFTER => {
                self.rates = rates_of(&numbers, &before.numbers, since.as_secs_f64());
            }
            _ => self.rates = R::default(),
        }
        self.sample = Some(Sample { at: now, numbers });
        self.rates.clone()
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let fresh = |sample: &Sample<N>| now.saturating_duration_since(sample.at) < FORGET_AFTER;
        !self.sample.as_ref().is_some_and(fresh)
    }
}

/// The pace at which clients and queues come and go.
pub(crate) type ChurnPace = Pace<ChurnCounts, ChurnRates>;

/// The pace of what happens to messages.
pub(crate) type MessagePace = Pace<MessageCounts, MessageRates>;

impl MessagePace {
    /// The rates of `counts`.
    pub(crate) fn of(&mut self, now: Instant, counts: MessageCounts) -> MessageRates {
        self.look(now, counts, MessageCounts::rates_since)
    }
}

/// The pace of each queue that is looked at.
#[derive(Debug, Default)]
pub(crate) struct QueuePaces {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    queues: BTreeMap<QueueId, MessagePace>,
    swept_at: Option<Instant>,
}

impl QueuePaces {
    /// The rates of queues, in their order.
    pub(crate) fn of(
        &self,
        now: Instant,
        queues: impl Iterator<Item = (QueueId, MessageCounts)>,
    ) -> Vec<MessageRates> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let rates =
            queues.map(|(queue, counts)| known.queues.entry(queue).or_default().of(now, counts));
        let rates = rates.collect();
        let swept = known.swept_at.get_or_insert(now);
        if now.saturating_duration_since(*swept) >= FORGET_AFTER {
            *swept = now;
            known.queues.retain(|_, pace| !pace.is_forgotten(now));
        }
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(publish: u64) -> MessageCounts {
        MessageCounts { publish, ..MessageCounts::default() }
    }

    #[test]
    fn a_rate_is_the_growth_since_the_last_look_that_was_long_enough_ago() {
        let (mut pace, begin) = (MessagePace::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);

        let first = pace.of(begin, published(1000));
        let then = pace.of(after(5), published(1500));
        let soon = pace.of(after(6), published(9000));
        let later = pace.of(after(15), published(1500));
        let recounted = pace.of(after(25), published(7));

        assert_eq!(first.publish, 0.0);
        assert_eq!(then.publish, 100.0);
        assert_eq!(soon.publish, 100.0, "the same as before");
        assert_eq!(later.publish, 0.0);
        assert_eq!(recounted.publish, 0.0, "counted anew elsewhere");
    }

    #[test]
    fn queues_that_nobody_looks_at_are_forgotten() {
        let (paces, begin) = (QueuePaces::default(), Instant::now());
        let look = |seconds, queue| {
            let now = begin + Duration::from_secs(seconds);
            paces.of(now, std::iter::once((QueueId(queue), published(seconds))))
        };
        look(0, 1);
        look(100, 2);

        look(130, 3);

        let known = paces.known.lock().unwrap();
        let queues: Vec<u64> = known.queues.keys().map(|queue| queue.0).collect();
        assert_eq!(queues, [2, 3]);
    }
}
