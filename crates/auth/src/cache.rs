//! Answers that are remembered for a while, by a digest of what was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What stands for a question. Questions may hold passwords, so it comes from a keyed hash.
pub(crate) type Digest = [u8; 32];

/// Answers that are remembered for a while. Never more than there may be.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    time: Duration,
    most: usize,
    entries: Mutex<Entries<V>>,
}

#[derive(Debug)]
struct Entries<V> {
    answers: HashMap<Digest, (V, Instant)>,
    /// In the order in which they came.
    order: VecDeque<Digest>,
}

impl<V: Clone> Cache<V> {
    /// Remembers up to `most` answers for `time` each.
    pub(crate) fn new(time: Duration, most: usize) -> Self {
        let entries = Entries { answers: HashMap::new(), order: VecDeque::new() };
        Self { time, most, entries: Mutex::new(entries) }
    }

    /// The answer, if it is remembered.
    pub(crate) fn find(&self, question: &Digest, now: Instant) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, since) = entries.answers.get(question)?;
        (now.saturating_duration_since(*since) < self.time).then(|| answer.clone())
    }

    /// Remembers an answer.
    pub(crate) fn keep(&self, question: Digest, answer: V, now: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { answers, order } = &mut *entries;
        if answers.insert(question, (answer, now)).is_none() {
            order.push_back(question);
        }
        while order.len() > self.most
            && let Some(oldest) = order.pop_front()
        {
            answers.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(15);

    #[test]
    fn an_answer_is_remembered_for_its_time() {
        let (cache, now) = (Cache::new(TIME, 10), Instant::now());

        cache.keep([1; 32], "yes", now);

        assert_eq!(cache.find(&[1; 32], now + TIME / 2), Some("yes"));
        assert_eq!(cache.find(&[1; 32], now + TIME), None);
        assert_eq!(cache.find(&[2; 32], now), None);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let (cache, now) = (Cache::new(TIME, 10), Instant::now());

        for nth in 0..11 {
            cache.keep([nth; 32], nth, now);
        }

        let kept: Vec<u8> = (0..11).filter_map(|nth| cache.find(&[nth; 32], now)).collect();
        assert_eq!(kept, (1..11).collect::<Vec<u8>>());
    }

    #[test]
    fn the_same_question_takes_one_place() {
        let (cache, now) = (Cache::new(TIME, 2), Instant::now());

        for _ in 0..5 {
            cache.keep([1; 32], "yes", now);
        }
        cache.keep([2; 32], "no", now);

        assert_eq!(cache.find(&[1; 32], now), Some("yes"));
    }
}
