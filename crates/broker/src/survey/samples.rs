//! Numbers of the past, for charts: what there was at regular moments.
//!
//! A node keeps samples of its own totals, close ones of the last minutes and ever wider ones of
//! the last day. Of a queue there are samples only while somebody asks for them, and only of the
//! last minutes. Samples are taken at the same moments on all nodes, so that they can be added up.
//!
//! **Always holds:** what is kept is bounded: samples per series, and series.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use warren_types::QueueId;

use super::local;
use super::rows::{NodeSample, QueueFigures, QueueSample};
use crate::broker::Inner;
use crate::queue::batch::wall_clock;

/// Between two samples, in milliseconds.
const INTERVAL_MS: u64 = 5000;

/// How a node's samples are kept: every how many-eth, and how many of them. As RabbitMQ: ten minutes
/// of all, an hour by minutes, eight hours by ten minutes, a day by half hours.
const NODE_TIERS: &[(u64, usize)] = &[(1, 121), (12, 61), (120, 49), (360, 49)];

/// How a queue's samples are kept: ten minutes of all.
const QUEUE_TIERS: &[(u64, usize)] = &[(1, 121)];

/// How long a queue's samples are taken after somebody has asked for them.
const FORGET_AFTER: Duration = Duration::from_secs(120);

/// Queues of which samples are taken; those that are asked for beyond it have none.
const QUEUES_MAX: usize = 1000;

/// Samples of one thing, in several widths.
#[derive(Debug)]
struct Series<S> {
    tiers: &'static [(u64, usize)],
    samples: Vec<VecDeque<(u64, S)>>,
}

impl<S: Copy> Series<S> {
    fn new(tiers: &'static [(u64, usize)]) -> Self {
        Self { tiers, samples: tiers.iter().map(|_| VecDeque::new()).collect() }
    }

    fn push(&mut self, at_ms: u64, sample: S) {
        let round = at_ms / INTERVAL_MS;
        for ((every, kept), samples) in self.tiers.iter().zip(&mut self.samples) {
            if !round.is_multiple_of(*every) {
                continue;
            }
            if samples.len() >= *kept {
                samples.pop_front();
            }
            samples.push_back((at_ms, sample));
        }
    }

    /// All samples since then, the oldest first, each once.
    fn since(&self, since_ms: u64) -> Vec<S> {
        let all = self.samples.iter().flatten().filter(|(at_ms, _)| *at_ms >= since_ms);
        let by_time: BTreeMap<u64, S> = all.copied().collect();
        by_time.into_values().collect()
    }
}

#[derive(Debug)]
struct Watched {
    asked: Instant,
    series: Series<QueueSample>,
}

/// What a node keeps of the past.
#[derive(Debug)]
pub(super) struct Samples {
    node: Mutex<Series<NodeSample>>,
    queues: Mutex<BTreeMap<QueueId, Watched>>,
}

impl Default for Samples {
    fn default() -> Self {
        Self { node: Mutex::new(Series::new(NODE_TIERS)), queues: Mutex::default() }
    }
}

impl Samples {
    /// The node's samples since then.
    pub(super) fn of_node(&self, since_ms: u64) -> Vec<NodeSample> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner).since(since_ms)
    }

    /// A queue's samples since then, of which there will be more from here on.
    pub(super) fn of_queue(&self, queue: QueueId, since_ms: u64) -> Vec<QueueSample> {
        let now = Instant::now();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = queues.get_mut(&queue) {
            watched.asked = now;
            return watched.series.since(since_ms);
        }
        if queues.len() < QUEUES_MAX {
            queues.insert(queue, Watched { asked: now, series: Series::new(QUEUE_TIERS) });
        }
        Vec::new()
    }

    fn watched(&self) -> Vec<QueueId> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|_, watched| watched.asked.elapsed() < FORGET_AFTER);
        queues.keys().copied().collect()
    }

    fn note_queues(&self, at_ms: u64, figures: &[QueueFigures]) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for figures in figures {
            let QueueFigures { ready, unacknowledged, counts, .. } = *figures;
            if let Some(watched) = queues.get_mut(&figures.queue) {
                watched.series.push(at_ms, QueueSample { at_ms, ready, unacknowledged, counts });
            }
        }
    }
}

/// Takes samples until the broker stops.
pub(crate) async fn run(broker: Arc<Inner>) {
    let stop = broker.stopping().clone();
    loop {
        let wait = INTERVAL_MS.saturating_sub(wall_clock().0 % INTERVAL_MS);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sample(&broker) => {}
        }
    }
}

async fn sample(broker: &Inner) {
    let samples = &broker.sight.samples;
    // The moment that was meant, not the one that the timer made of it.
    let at_ms = wall_clock().0.saturating_add(INTERVAL_MS / 2) / INTERVAL_MS * INTERVAL_MS;
    let node = local::sample(broker, at_ms).await;
    samples.node.lock().unwrap_or_else(PoisonError::into_inner).push(at_ms, node);
    let watched = samples.watched();
    if !watched.is_empty() {
        samples.note_queues(at_ms, &local::queues(broker, Some(watched)).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_close_for_minutes_and_wide_for_hours_and_never_longer() {
        let mut series = Series::new(NODE_TIERS);
        let day = 24 * 3600 * 1000;
        for at_ms in (0..=day).step_by(5000) {
            series.push(at_ms, at_ms);
        }

        let minutes = series.since(day - 600_000);
        assert_eq!(minutes.len(), 121);
        assert!(minutes.windows(2).all(|pair| pair[1] - pair[0] == 5000));
        let all = series.since(0);
        assert_eq!((all[0], all.last().copied()), (0, Some(day)));
        assert!(all.is_sorted() && all.len() < 121 + 61 + 49 + 49);
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] <= 1_800_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_sampled_from_when_it_is_asked_for_until_nobody_asks() {
        let samples = Samples::default();
        let queue = QueueId(7);

        assert_eq!(samples.of_queue(queue, 0), []);
        assert_eq!(samples.watched(), [queue]);

        tokio::time::advance(FORGET_AFTER).await;
        assert_eq!(samples.watched(), []);
    }
}
