//! Whether the machine itself stood still: how late a thread wakes that naps.
//!
//! Three brokers, their clients and the checkers share a machine with whatever else it does. A
//! pause that this thread felt as well is not the broker's.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::field::Stop;

/// How long the thread naps at a time.
const NAP: Duration = Duration::from_millis(10);

/// From here on a nap counts as starved.
const LATE: Duration = Duration::from_millis(100);

/// What the machine added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Starvation {
    /// The latest that the thread woke.
    pub longest: Duration,
    /// All that it was late, where it was so by more than a tenth of a second.
    pub total: Duration,
}

/// Watches until it is dropped.
#[derive(Debug, Default)]
pub struct Watch {
    found: Arc<Mutex<Starvation>>,
    stop: Stop,
}

impl Watch {
    /// Begins.
    pub fn begin() -> Self {
        let watch = Self::default();
        let (found, stop) = (Arc::clone(&watch.found), watch.stop.clone());
        thread::spawn(move || {
            while !stop.was_said() {
                let begin = Instant::now();
                thread::sleep(NAP);
                let late = begin.elapsed().saturating_sub(NAP);
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.longest = found.longest.max(late);
                if late > LATE {
                    found.total += late;
                }
            }
        });
        watch
    }

    /// What was found so far.
    pub fn found(&self) -> Starvation {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.say();
    }
}
