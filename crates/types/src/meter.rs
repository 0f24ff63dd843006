//! Counts how large things are: in buckets with fixed bounds, their number and their sum.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts for many tasks at once.
#[derive(Debug)]
pub struct Meter {
    bounds: &'static [u64],
    /// One for each bound, and one for what is beyond all of them.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a [`Meter`] has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// For each bound, ascending: how many were larger than the bound before it, and not larger
    /// than this one.
    pub buckets: Vec<(u64, u64)>,
    /// How many there were, also beyond the last bound.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
}

/// Counts for one task, which passes it on to a [`Meter`] now and then.
#[derive(Clone, Debug)]
pub struct Tally {
    bounds: &'static [u64],
    buckets: Box<[u64]>,
    sum: u64,
    is_empty: bool,
}

impl Meter {
    /// Nothing is counted yet. `bounds` ascend.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum: AtomicU64::new(0) }
    }

    /// Counts one thing.
    pub fn count(&self, size: u64) {
        if let Some(bucket) = self.buckets.get(place(self.bounds, size)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// A tally with the same bounds.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let buckets = self.buckets.iter().map(|_| 0).collect();
        Tally { bounds: self.bounds, buckets, sum: 0, is_empty: true }
    }

    /// Counts what is in `tally`, which is empty afterwards.
    pub fn take(&self, tally: &mut Tally) {
        if std::mem::replace(&mut tally.is_empty, true) {
            return;
        }
        for (bucket, count) in self.buckets.iter().zip(&mut tally.buckets) {
            if *count > 0 {
                bucket.fetch_add(std::mem::take(count), Ordering::Relaxed);
            }
        }
        self.sum.fetch_add(std::mem::take(&mut tally.sum), Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn measured(&self) -> Measured {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        Measured {
            count: counts.iter().sum(),
            buckets: self.bounds.iter().copied().zip(counts).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl Tally {
    /// Counts one thing.
    pub fn count(&mut self, size: u64) {
        if let Some(bucket) = self.buckets.get_mut(place(self.bounds, size)) {
            *bucket = bucket.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(size);
        self.is_empty = false;
    }
}

fn place(bounds: &[u64], size: u64) -> usize {
    bounds.partition_point(|bound| *bound < size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[u64] = &[10, 100];

    #[test]
    fn things_are_counted_at_the_first_bound_that_they_do_not_exceed() {
        let meter = Meter::new(BOUNDS);

        for size in [0, 10, 11, 100, 101] {
            meter.count(size);
        }

        let buckets = vec![(10, 2), (100, 2)];
        assert_eq!(meter.measured(), Measured { buckets, count: 5, sum: 222 });
    }

    #[test]
    fn what_is_tallied_counts_once() {
        let meter = Meter::new(BOUNDS);
        let mut tally = meter.tally();
        tally.count(7);
        tally.count(1000);

        meter.take(&mut tally);
        meter.take(&mut tally);

        let buckets = vec![(10, 1), (100, 0)];
        assert_eq!(meter.measured(), Measured { buckets, count: 2, sum: 1007 });
    }
}
