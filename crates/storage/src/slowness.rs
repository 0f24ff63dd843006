//! A disk that takes its time, to rehearse what a slow one does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How much longer every sync takes than the disk needs.
#[derive(Debug, Default)]
pub(crate) struct Slowness {
    more_us: AtomicU64,
}

impl Slowness {
    /// From here on, so much longer.
    pub(crate) fn set(&self, more: Duration) {
        let more_us = u64::try_from(more.as_micros()).unwrap_or(u64::MAX);
        self.more_us.store(more_us, Ordering::Relaxed);
    }

    /// Takes that time, on the thread that syncs.
    pub(crate) fn wait(&self) {
        let more_us = self.more_us.load(Ordering::Relaxed);
        if more_us > 0 {
            thread::sleep(Duration::from_micros(more_us));
        }
    }
}
