//! What a probe heard and when, and what that says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What became of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    confirmed: bool,
    refused: bool,
    delivered: u32,
}

/// All that a probe published and heard. Messages are numbered from 1, as confirms are.
#[derive(Debug, Default)]
pub(crate) struct Track {
    published: u64,
    fates: BTreeMap<u64, Fate>,
    confirms: Vec<Instant>,
    deliveries: Vec<Instant>,
    /// Every message before it is confirmed or refused.
    answered: u64,
}

impl Track {
    /// The number of the next message.
    pub(crate) fn publish(&mut self) -> u64 {
        self.published = self.published.saturating_add(1);
        self.fates.insert(self.published, Fate::default());
        self.published
    }

    /// A message is confirmed, or it and all before it.
    pub(crate) fn confirm(&mut self, now: Instant, tag: u64, multiple: bool) {
        self.confirms.push(now);
        self.answer(tag, multiple, |fate| fate.confirmed = true);
    }

    /// A message is refused, or it and all before it.
    pub(crate) fn refuse(&mut self, tag: u64, multiple: bool) {
        self.answer(tag, multiple, |fate| fate.refused = true);
    }

    fn answer(&mut self, tag: u64, multiple: bool, answer: impl Fn(&mut Fate)) {
        let first = if multiple { self.answered.saturating_add(1).min(tag) } else { tag };
        for fate in self.fates.range_mut(first..=tag).map(|(_, fate)| fate) {
            if !fate.confirmed && !fate.refused {
                answer(fate);
            }
        }
        let is_answered = |fate: &Fate| fate.confirmed || fate.refused;
        while self.fates.get(&self.answered.saturating_add(1)).is_some_and(is_answered) {
            self.answered = self.answered.saturating_add(1);
        }
    }

    /// A message came.
    pub(crate) fn deliver(&mut self, now: Instant, number: u64) {
        self.deliveries.push(now);
        if let Some(fate) = self.fates.get_mut(&number) {
            fate.delivered = fate.delivered.saturating_add(1);
        }
    }

    /// Messages that nothing is known of.
    pub(crate) fn unanswered(&self) -> u64 {
        self.published.saturating_sub(self.answered)
    }

    /// Whether something was confirmed and something delivered after `since`.
    pub(crate) fn is_well_since(&self, since: Instant) -> bool {
        let is_later = |times: &[Instant]| times.last().is_some_and(|last| *last > since);
        is_later(&self.confirms) && is_later(&self.deliveries)
    }

    /// Whether every message is answered, and delivered if it was confirmed.
    pub(crate) fn is_complete(&self) -> bool {
        self.unanswered() == 0 && self.fates.values().all(|it| it.refused || it.delivered > 0)
    }

    /// What was felt from `begin` until `end`, and before.
    pub(crate) fn felt(&self, begin: Instant, end: Instant, broken: Option<String>) -> Felt {
        let count = |what: fn(&Fate) -> bool| {
            u64::try_from(self.fates.values().filter(|fate| what(fate)).count()).unwrap_or(u64::MAX)
        };
        Felt {
            published: self.published,
            confirmed: count(|fate| fate.confirmed),
            refused: count(|fate| fate.refused),
            unanswered: self.unanswered(),
            missing: count(|fate| fate.confirmed && fate.delivered == 0),
            twice: count(|fate| fate.delivered > 1),
            calm: longest_gap(&self.confirms, None, begin).max(longest_gap(
                &self.deliveries,
                None,
                begin,
            )),
            confirms: longest_gap(&self.confirms, Some(begin), end),
            deliveries: longest_gap(&self.deliveries, Some(begin), end),
            broken,
        }
    }
}

/// The longest time until `end` in which nothing happened. It begins with the last that happened
/// before `begin`, if there is a beginning: who waits then has waited since.
fn longest_gap(times: &[Instant], begin: Option<Instant>, end: Instant) -> Duration {
    let before = |time: &Instant| begin.is_some_and(|begin| *time < begin);
    let first = times.partition_point(before).saturating_sub(1);
    let within = times.iter().skip(first).take_while(|time| **time < end);
    let mut longest = Duration::ZERO;
    let mut last = None;
    for time in within.copied().chain([end]) {
        if let Some(last) = last {
            longest = longest.max(time.saturating_duration_since(last));
        }
        last = Some(time);
    }
    longest
}

/// What a client felt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Felt {
    published: u64,
    confirmed: u64,
    refused: u64,
    /// Neither confirmed nor refused.
    unanswered: u64,
    /// Confirmed, and never delivered.
    missing: u64,
    /// Delivered more than once.
    twice: u64,
    /// The longest wait before anything was done.
    calm: Duration,
    /// The longest wait for a confirm afterwards.
    confirms: Duration,
    /// The longest wait for a delivery afterwards.
    deliveries: Duration,
    /// What ended the connection, if it has ended.
    broken: Option<String>,
}

impl Felt {
    /// The longest wait for anything.
    pub(crate) fn longest(&self) -> Duration {
        self.confirms.max(self.deliveries)
    }

    /// Whether everything was answered, all that was confirmed came, and the connection held.
    pub(crate) fn is_whole(&self) -> bool {
        self.unanswered == 0 && self.missing == 0 && self.broken.is_none()
    }

    /// For people.
    pub(crate) fn line(&self, node: &str) -> String {
        let Self { confirmed, refused, unanswered, missing, twice, .. } = self;
        let ms = |time: Duration| time.as_millis();
        let (confirms, deliveries, calm) = (ms(self.confirms), ms(self.deliveries), ms(self.calm));
        let end = match &self.broken {
            Some(broken) => format!("; its connection ended: {broken}"),
            None => String::new(),
        };
        format!(
            "Node: {node}, longest wait for a confirm: {confirms} ms, for a delivery: {deliveries} ms (calm: {calm} ms), confirmed: {confirmed}, refused: {refused}, unanswered: {unanswered}, missing: {missing}, delivered twice: {twice}{end}"
        )
    }

    /// For programs.
    pub(crate) fn value(&self, node: &str) -> Value {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        json!({
            "node": node,
            "published": self.published,
            "confirmed": self.confirmed,
            "refused": self.refused,
            "unanswered": self.unanswered,
            "missing": self.missing,
            "delivered_twice": self.twice,
            "longest_calm_gap_ms": ms(self.calm),
            "longest_confirm_gap_ms": ms(self.confirms),
            "longest_delivery_gap_ms": ms(self.deliveries),
            "connection_ended": self.broken,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begin: Instant, ms: &[u64]) -> Vec<Instant> {
        ms.iter().map(|ms| begin + Duration::from_millis(*ms)).collect()
    }

    #[test]
    fn a_gap_counts_from_the_last_sign_before_the_fault_and_until_the_end() {
        let zero = Instant::now();
        let times = at(zero, &[0, 10, 20, 320, 330, 400]);
        let ms = |ms| zero + Duration::from_millis(ms);
        let gap = |begin: Option<u64>, end| longest_gap(&times, begin.map(ms), ms(end)).as_millis();

        assert_eq!(gap(None, 25), 10);
        assert_eq!(gap(Some(25), 405), 300);
        assert_eq!(gap(Some(321), 405), 70);
        assert_eq!(gap(Some(325), 1400), 1000);
    }

    #[test]
    fn what_is_confirmed_and_does_not_come_is_missing_and_what_comes_again_is_told() {
        let now = Instant::now();
        let mut track = Track::default();
        for _ in 0..5 {
            track.publish();
        }

        track.confirm(now, 3, true);
        track.refuse(4, false);
        for number in [1, 2, 2] {
            track.deliver(now, number);
        }

        let felt = track.felt(now, now, None);
        let counts = (felt.published, felt.confirmed, felt.refused, felt.missing, felt.twice);
        assert_eq!(counts, (5, 3, 1, 1, 1));
        assert_eq!((track.unanswered(), track.is_complete(), felt.is_whole()), (1, false, false));
    }

    #[test]
    fn all_is_done_when_everything_is_answered_and_what_was_confirmed_has_come() {
        let now = Instant::now();
        let mut track = Track::default();
        for _ in 0..3 {
            track.publish();
        }

        track.deliver(now, 1);
        track.deliver(now, 2);
        track.confirm(now, 2, false);
        track.refuse(3, false);
        let before = track.is_complete();
        track.confirm(now, 1, false);

        assert_eq!((before, track.is_complete(), track.unanswered()), (false, true, 0));
    }
}
