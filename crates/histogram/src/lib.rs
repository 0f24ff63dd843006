//! Histograms of numbers on a logarithmic scale, small while they are empty.
//!
//! openraft counts the sizes of its batches in some fifteen histograms per group, and asks for a
//! package of this name for it. The published one computes tables for every resolution that it
//! knows, which take 25 MB of memory for the rest of a process's life: two fifths of an idle node.
//! This one needs no tables, and no bucket beyond the largest number that it has seen. It has what
//! openraft asks for, with the same meaning, and nothing else.
//!
//! **Scale.** Numbers up to 7 have a bucket each. Above, every power of two is divided into four
//! buckets of equal width, so that a percentile is off by an eighth at most.

mod chart;

pub use chart::AsciiChart;

use std::fmt;
use std::marker::PhantomData;

/// Bits of a number that its bucket knows, the leading one included.
const BITS: u32 = 3;

/// Buckets per power of two.
const PER_POWER: usize = 1 << (BITS - 1);

/// Counts of numbers. `T` is there for the sake of those who name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    /// Up to the largest bucket that was ever counted in.
    counts: Vec<u64>,
    total: u64,
    kind: PhantomData<T>,
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// Nothing has been counted.
    #[must_use]
    pub fn new() -> Self {
        Self { counts: Vec::new(), total: 0, kind: PhantomData }
    }

    /// Counts `value` once.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` so many times.
    pub fn record_n(&mut self, value: u64, count: u64) {
        let bucket = bucket(value);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket.saturating_add(1), 0);
        }
        if let Some(counted) = self.counts.get_mut(bucket) {
            *counted = counted.saturating_add(count);
        }
        self.total = self.total.saturating_add(count);
    }

    /// How many numbers were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The number that a share `p` (0 to 1) of all numbers is not above: the middle of its bucket;
    /// 0 if nothing was counted.
    #[must_use]
    pub fn percentile(&self, p: f64) -> u64 {
        let permille = Permille::of(p);
        self.at(permille)
    }

    /// The percentiles that are looked at.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats {
            samples: self.total,
            p0_1: self.at(Permille(1)),
            p1: self.at(Permille(10)),
            p5: self.at(Permille(50)),
            p10: self.at(Permille(100)),
            p50: self.at(Permille(500)),
            p90: self.at(Permille(900)),
            p99: self.at(Permille(990)),
            p99_9: self.at(Permille(999)),
        }
    }

    fn at(&self, Permille(share): Permille) -> u64 {
        let all = u128::from(self.total);
        let rank = all.saturating_mul(u128::from(share)).div_ceil(1000).max(1);
        let mut below = 0_u128;
        for (bucket, count) in self.counts.iter().enumerate() {
            below = below.saturating_add(u128::from(*count));
            if below >= rank {
                return middle(bucket);
            }
        }
        0
    }

    /// The buckets in which something was counted: their least and their largest number, and how
    /// many.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let counts = self.counts.iter().enumerate();
        let filled = counts.filter(|(_, count)| **count > 0);
        filled.map(|(bucket, count)| (least(bucket), largest(bucket), *count))
    }
}

/// A share in thousandths.
#[derive(Clone, Copy)]
struct Permille(u32);

impl Permille {
    fn of(share: f64) -> Self {
        let steps = (0..=1000_u32).find(|step| f64::from(*step) >= share * 1000.0);
        Self(steps.unwrap_or(1000))
    }
}

/// The bucket of a number.
fn bucket(value: u64) -> usize {
    let bits = u64::BITS.saturating_sub(value.leading_zeros());
    let power = bits.saturating_sub(BITS);
    let within = usize::try_from(value >> power).expect("it has three bits");
    let power = usize::try_from(power).expect("there are 64 powers");
    // Of every power but the first only the upper half is used: the lower is the powers before.
    power.saturating_mul(PER_POWER).saturating_add(within)
}

/// The least number of a bucket.
fn least(bucket: usize) -> u64 {
    let power = (bucket / PER_POWER).saturating_sub(1);
    let within = bucket.saturating_sub(power.saturating_mul(PER_POWER));
    let within = u64::try_from(within).expect("it has three bits");
    within << power
}

/// The largest number of a bucket.
fn largest(bucket: usize) -> u64 {
    let power = (bucket / PER_POWER).saturating_sub(1);
    least(bucket).saturating_add((1_u64 << power).saturating_sub(1))
}

fn middle(bucket: usize) -> u64 {
    let (least, largest) = (least(bucket), largest(bucket));
    least.saturating_add(largest.saturating_sub(least) / 2)
}

/// Percentiles of what was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PercentileStats {
    /// How many numbers were counted.
    pub samples: u64,
    /// One in a thousand is at most so large.
    pub p0_1: u64,
    /// One in a hundred is at most so large.
    pub p1: u64,
    /// One in twenty is at most so large.
    pub p5: u64,
    /// One in ten is at most so large.
    pub p10: u64,
    /// The median.
    pub p50: u64,
    /// Nine in ten are at most so large.
    pub p90: u64,
    /// 99 in a hundred are at most so large.
    pub p99: u64,
    /// 999 in a thousand are at most so large.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p0_1, p1, p5, p10, p50, p90, p99, p99_9 } = self;
        write!(out, "{samples} numbers; 0.1 %: {p0_1}, 1 %: {p1}, 5 %: {p5}, 10 %: {p10}, ")?;
        write!(out, "50 %: {p50}, 90 %: {p90}, 99 %: {p99}, 99.9 %: {p99_9}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another_without_gaps_up_to_the_largest_number() {
        let mut next = 0_u64;
        for at in 0..bucket(u64::MAX) {
            assert_eq!(least(at), next, "bucket {at}");
            assert_eq!((bucket(least(at)), bucket(largest(at))), (at, at));
            next = largest(at) + 1;
        }
        assert_eq!(largest(bucket(u64::MAX)), u64::MAX);
        assert!(bucket(u64::MAX) < 256);
    }

    #[test]
    fn small_numbers_are_exact_and_large_ones_off_by_an_eighth_at_most() {
        for value in (0..8).chain([9, 100, 1_000, 123_456_789, u64::MAX / 3]) {
            let mut histogram = Histogram::<()>::new();
            histogram.record(value);

            let seen = histogram.percentile(0.5);
            assert!(seen.abs_diff(value) <= value / 8, "{value}: {seen}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_numbers_counted() {
        let mut histogram = Histogram::<()>::new();
        histogram.record_n(2, 989);
        histogram.record_n(5, 10);
        histogram.record(7);

        let stats = histogram.percentile_stats();
        assert_eq!(
            (stats.samples, stats.p0_1, stats.p50, stats.p90, stats.p99, stats.p99_9),
            (1000, 2, 2, 2, 5, 5)
        );
        assert_eq!((histogram.percentile(1.0), histogram.percentile(0.0)), (7, 2));
    }

    #[test]
    fn an_empty_histogram_holds_no_memory_and_says_nothing() {
        let histogram = Histogram::<()>::new();

        assert_eq!(histogram.counts.capacity(), 0);
        assert_eq!(histogram.percentile_stats().p99, 0);
    }
}
