//! What a queue has taken lately, for publishers that send again what they do not know the fate of.
//!
//! A message that its publisher named by a [`DedupKey`] is taken once within the window, which begins
//! when it was taken; duplicates do not make it longer. **Always holds:** keys stand in the order of
//! their times, each once, and none of them is kept for more than an eighth beyond the window.
//!
//! Nothing is forgotten early: a queue that knows as many keys as it may refuses what has another
//! one, so that its publisher tries again, until some are over.

use std::collections::VecDeque;

use warren_types::Timestamp;

use super::Queue;
use crate::clock::NEVER;
use crate::lookup::Lookup;
use crate::{DedupKey, QueueSettings};

/// The keys that a queue remembers where its settings do not say how many: 80 MB at most, and
/// enough for 1,600 messages a second in a window of ten minutes.
pub(crate) const DEFAULT_LIMIT_KEYS: u64 = 1_000_000;

/// Keys that are over are looked for after this part of the window, not one after the other: each
/// time is an entry in the log where nothing else happens.
const SLACK_PARTS: u64 = 8;

/// Whether a queue takes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// It does.
    Fresh,
    /// It has it.
    Duplicate,
    /// It cannot remember another key.
    Full,
}

/// Keys of a queue, and when they came.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    keys: VecDeque<(Timestamp, DedupKey)>,
    /// Which there are.
    known: Lookup<DedupKey>,
}

impl Recent {
    /// Notes a key that is not known.
    pub(crate) fn note(&mut self, now: Timestamp, key: DedupKey) {
        self.keys.push_back((now, key));
        self.known.insert(key, 0);
    }

    /// Forgets what is over.
    fn forget(&mut self, window_ms: u64, now: Timestamp) {
        while let Some((_, key)) =
            self.keys.pop_front_if(|(came, _)| came.plus_ms(window_ms) <= now)
        {
            self.known.remove(&key);
        }
    }

    /// Whether a key is known.
    pub(crate) fn has(&self, key: &DedupKey) -> bool {
        self.known.place(key).is_some()
    }

    /// The newest key, and when it came.
    pub(crate) fn last(&self) -> Option<(Timestamp, DedupKey)> {
        self.keys.back().copied()
    }

    /// How many.
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.keys.len()).unwrap_or(u64::MAX)
    }

    /// All of them, the oldest first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &(Timestamp, DedupKey)> {
        self.keys.iter()
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let key = size_of::<DedupKey>();
        self.keys.capacity() * (key + 8) + self.known.capacity() * (key + 9)
    }

    /// When to look for keys that are over.
    fn due(&self, window_ms: u64) -> Timestamp {
        let patience_ms = window_ms.saturating_add(window_ms / SLACK_PARTS);
        let first = self.keys.front();
        first.map_or(NEVER, |(came, _)| came.plus_ms(patience_ms).min(Timestamp(NEVER.0 - 1)))
    }
}

impl Queue {
    /// Whether a message of that key is to be taken.
    pub(crate) fn novelty(&mut self, key: DedupKey, now: Timestamp) -> Novelty {
        let Some(window_ms) = self.settings.dedup_window_ms else { return Novelty::Fresh };
        let limit = dedup_limit(&self.settings);
        let Some(recent) = &mut self.recent else {
            return if limit == 0 { Novelty::Full } else { Novelty::Fresh };
        };
        recent.forget(window_ms, now);
        if recent.has(&key) {
            self.tally().duplicates += 1;
            return Novelty::Duplicate;
        }
        if recent.len() >= limit { Novelty::Full } else { Novelty::Fresh }
    }

    /// Takes note of a message that was taken, and was [`Novelty::Fresh`].
    pub(crate) fn remember(&mut self, key: DedupKey, now: Timestamp) {
        if self.settings.dedup_window_ms.is_some() {
            self.recent.get_or_insert_default().note(now, key);
        }
    }

    /// Forgets the keys that are over, where it is time to look.
    pub(crate) fn forget_recent(&mut self, now: Timestamp) {
        if self.recent_due() <= now
            && let (Some(recent), Some(window_ms)) =
                (&mut self.recent, self.settings.dedup_window_ms)
        {
            recent.forget(window_ms, now);
        }
        let has_ended = self.settings.dedup_window_ms.is_none();
        if self.recent.as_ref().is_some_and(|recent| has_ended || recent.len() == 0) {
            self.recent = None;
        }
    }

    /// Whether what is remembered is in order, and none of it for too long; for checks.
    pub(crate) fn is_recent_sound(&self, now: Timestamp) -> bool {
        let Some(recent) = &self.recent else { return true };
        let are_ascending = recent.keys.iter().is_sorted_by_key(|(came, _)| *came);
        let are_known = recent.keys.iter().all(|(_, key)| recent.has(key));
        let is_counted = recent.known.len() == recent.keys.len();
        are_ascending && are_known && is_counted && self.recent_due() > now
    }

    /// When to look for keys that are over.
    pub(crate) fn recent_due(&self) -> Timestamp {
        match (&self.recent, self.settings.dedup_window_ms) {
            (Some(recent), Some(window_ms)) => recent.due(window_ms),
            _ => NEVER,
        }
    }
}

/// The keys that a queue remembers at most.
fn dedup_limit(settings: &QueueSettings) -> u64 {
    settings.dedup_limit.unwrap_or(DEFAULT_LIMIT_KEYS)
}
