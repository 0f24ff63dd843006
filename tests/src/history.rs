//! What happened and when, on one clock.
//!
//! Every client of a run tells its [`History`] of what it sent and heard. The [`Checker`] in it
//! judges what came; the times tell how long nothing came ([`History::confirm_gap`],
//! [`History::delivery_gap`]), and the notes what became of connections.
//!
//! **Not here:** what happened to nodes. Whoever does something to them remembers [`History::now`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::checker::{Checker, Fault, Summary};

/// Which of the clients something happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A publisher.
    Publisher,
    /// A consumer.
    Consumer,
}

/// An end of a connection that its client did not ask for.
#[derive(Clone, Debug)]
pub struct Loss {
    /// When it was noticed.
    pub at: Duration,
    /// By whom.
    pub who: Who,
    /// How it ended.
    pub why: String,
}

/// The longest silence in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// How long nothing came.
    pub length: Duration,
    /// When that began, from the start of the stretch.
    pub begin: Duration,
}

/// A run, being recorded.
#[derive(Debug)]
pub struct History {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    checker: Checker,
    confirms: Vec<Duration>,
    deliveries: Vec<Duration>,
    losses: Vec<Loss>,
}

impl Default for History {
    fn default() -> Self {
        Self { start: Instant::now(), state: Mutex::default() }
    }
}

impl History {
    /// The time since the start of the history.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Tells the checker something.
    pub fn tell<T>(&self, what: impl FnOnce(&mut Checker) -> T) -> T {
        what(&mut self.state().checker)
    }

    /// Tells the checker of confirms that came at a time.
    pub fn confirmed(&self, at: Duration, what: impl FnOnce(&mut Checker)) {
        let mut state = self.state();
        state.confirms.push(at);
        what(&mut state.checker);
    }

    /// Tells the checker of a delivery that came at a time.
    pub fn delivered(&self, at: Duration, what: impl FnOnce(&mut Checker)) {
        let mut state = self.state();
        state.deliveries.push(at);
        what(&mut state.checker);
    }

    /// A connection ended although its client wanted it.
    pub fn lost(&self, who: Who, why: String) {
        let at = self.now();
        self.state().losses.push(Loss { at, who, why });
    }

    /// How many times confirms and deliveries came.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.confirms.len(), state.deliveries.len())
    }

    /// All connections that ended against their clients' will.
    pub fn losses(&self) -> Vec<Loss> {
        self.state().losses.clone()
    }

    /// The longest time without a confirm in a stretch.
    pub fn confirm_gap(&self, from: Duration, to: Duration) -> Gap {
        gap(&self.state().confirms, from, to)
    }

    /// The longest time without a delivery in a stretch.
    pub fn delivery_gap(&self, from: Duration, to: Duration) -> Gap {
        gap(&self.state().deliveries, from, to)
    }

    /// The verdict; what comes later is not judged.
    pub fn finish(&self) -> (Summary, Vec<Fault>) {
        std::mem::take(&mut self.state().checker).finish()
    }

    /// The verdict, which must be that there is no fault.
    ///
    /// # Panics
    ///
    /// If there is one; the first are shown.
    pub fn expect_no_faults(&self) -> Summary {
        let (summary, faults) = self.finish();
        let shown: Vec<String> = faults.iter().take(20).map(ToString::to_string).collect();
        let losses = self.losses();
        assert!(
            faults.is_empty(),
            "{} faults in {summary:?}, the first:\n{}\nlost connections: {losses:#?}",
            faults.len(),
            shown.join("\n")
        );
        summary
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest time between neighbours, the ends of the stretch among them.
fn gap(times: &[Duration], from: Duration, to: Duration) -> Gap {
    let inside = times.iter().copied().filter(|at| (from..=to).contains(at));
    let mut longest = Gap::default();
    let mut last = from;
    for at in inside.chain([to]) {
        let length = at.saturating_sub(last);
        if length > longest.length {
            longest = Gap { length, begin: last - from };
        }
        last = last.max(at);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(list: &[u64]) -> Vec<Duration> {
        list.iter().map(|at| Duration::from_secs(*at)).collect()
    }

    #[test]
    fn the_longest_gap_is_found_with_its_begin() {
        let times = seconds(&[1, 2, 7, 8, 30]);

        let gap = gap(&times, Duration::from_secs(2), Duration::from_secs(9));

        assert_eq!((gap.length.as_secs(), gap.begin.as_secs()), (5, 0));
    }

    #[test]
    fn silence_at_the_end_of_a_stretch_counts() {
        let times = seconds(&[1, 2, 3]);

        let gap = gap(&times, Duration::from_secs(1), Duration::from_secs(9));

        assert_eq!((gap.length.as_secs(), gap.begin.as_secs()), (6, 2));
    }
}
