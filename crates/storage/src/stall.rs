//! For how long the disk has been at one and the same batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Since when the writer waits for the disk.
#[derive(Debug)]
pub(crate) struct Stall {
    born: Instant,
    /// Microseconds after `born`, and one; 0 while it does not wait.
    since_us: AtomicU64,
}

impl Default for Stall {
    fn default() -> Self {
        Self { born: Instant::now(), since_us: AtomicU64::new(0) }
    }
}

impl Stall {
    /// The writer hands something to the disk.
    pub(crate) fn begin(&self) {
        self.since_us.store(self.now_us().saturating_add(1), Ordering::Relaxed);
    }

    /// The disk is done with it.
    pub(crate) fn end(&self) {
        self.since_us.store(0, Ordering::Relaxed);
    }

    /// How long the disk has been at it; nothing while it has nothing to do.
    pub(crate) fn lasts(&self) -> Duration {
        match self.since_us.load(Ordering::Relaxed).checked_sub(1) {
            Some(since_us) => Duration::from_micros(self.now_us().saturating_sub(since_us)),
            None => Duration::ZERO,
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
