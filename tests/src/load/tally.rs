//! What the clients of a run share: the clock, the phase, and counts for who watches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Shared by all threads of a run. Counts are added once per burst.
#[derive(Debug)]
pub struct Tally {
    start: Instant,
    /// Whether durations are counted: after the warm-up, before the drain.
    pub measuring: AtomicBool,
    /// Whether publishers go on.
    pub publishing: AtomicBool,
    /// Whether consumers go on.
    pub consuming: AtomicBool,
    /// Messages sent.
    pub sent: AtomicU64,
    /// Messages confirmed, or sent if nothing is confirmed.
    pub confirmed: AtomicU64,
    /// Messages refused.
    pub refused: AtomicU64,
    /// Deliveries.
    pub delivered: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            measuring: AtomicBool::new(false),
            publishing: AtomicBool::new(true),
            consuming: AtomicBool::new(true),
            sent: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        }
    }
}

impl Tally {
    /// Nanoseconds since the start of the run.
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Reads a count.
    pub fn read(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    /// Adds to a count.
    pub fn add(count: &AtomicU64, more: u64) {
        count.fetch_add(more, Ordering::Relaxed);
    }

    /// Reads a flag.
    pub fn is(flag: &AtomicBool) -> bool {
        flag.load(Ordering::Relaxed)
    }

    /// Sets a flag.
    pub fn set(flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::Relaxed);
    }
}
