//! What the store counts about itself.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Upper ends, in microseconds, of the buckets in [`Statistics::sync_buckets`]; one more bucket
/// takes what is slower than all of them.
pub const SYNC_BUCKETS_US: [u64; 12] =
    [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 2_000_000];

const BUCKETS: usize = SYNC_BUCKETS_US.len() + 1;

/// What a store did since it was opened, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Rows written to logs.
    pub rows_written: u64,
    /// Bytes given to the engine.
    pub bytes_written: u64,
    /// Batches given to the engine.
    pub batches: u64,
    /// Batches that were synced.
    pub syncs: u64,
    /// How long the last synced batch took.
    pub last_sync_us: u64,
    /// How long all synced batches took together.
    pub sync_us_total: u64,
    /// How many synced batches took how long, see [`SYNC_BUCKETS_US`].
    pub sync_buckets: [u64; BUCKETS],
    /// Bytes waiting for the writer.
    pub backlog_bytes: usize,
    /// Payload bytes of rows in memory.
    pub recent_bytes: usize,
    /// Bytes on the disk, about.
    pub disk_bytes: u64,
}

/// The counters behind [`Statistics`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    rows_written: AtomicU64,
    bytes_written: AtomicU64,
    batches: AtomicU64,
    syncs: AtomicU64,
    last_sync_us: AtomicU64,
    sync_us_total: AtomicU64,
    sync_buckets: [AtomicU64; BUCKETS],
    recent_bytes: AtomicUsize,
}

impl Counters {
    /// A batch was written.
    pub(crate) fn batch(&self, bytes: usize, took: Duration, synced: bool) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        if synced {
            let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.last_sync_us.store(took_us, Ordering::Relaxed);
            self.sync_us_total.fetch_add(took_us, Ordering::Relaxed);
            let bucket = SYNC_BUCKETS_US.partition_point(|end| *end < took_us);
            if let Some(bucket) = self.sync_buckets.get(bucket) {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Rows were appended to a log.
    pub(crate) fn rows(&self, count: usize) {
        self.rows_written.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Rows with this many bytes are in memory, too.
    pub(crate) fn remember(&self, bytes: usize) {
        self.recent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Rows with this many bytes are not in memory any more.
    pub(crate) fn forget(&self, bytes: usize) {
        self.recent_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes of rows in memory.
    pub(crate) fn recent_bytes(&self) -> usize {
        self.recent_bytes.load(Ordering::Relaxed)
    }

    /// All of it, with what others know.
    pub(crate) fn statistics(&self, backlog_bytes: usize, disk_bytes: u64) -> Statistics {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            rows_written: load(&self.rows_written),
            bytes_written: load(&self.bytes_written),
            batches: load(&self.batches),
            syncs: load(&self.syncs),
            last_sync_us: load(&self.last_sync_us),
            sync_us_total: load(&self.sync_us_total),
            sync_buckets: self.sync_buckets.each_ref().map(load),
            backlog_bytes,
            recent_bytes: self.recent_bytes(),
            disk_bytes,
        }
    }
}
