//! Counts of durations, fine enough for percentiles.
//!
//! Each power of two is cut into 64 equal steps, so that a percentile is at most 1.6 % too high;
//! up to 128 ns every value has a step of its own.

use std::time::Duration;

/// Steps per power of two, as a power of two.
const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;

/// Durations, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Histogram {
    /// Counts a duration in nanoseconds so many times.
    pub fn add(&mut self, nanoseconds: u64, times: u64) {
        let step = step_of(nanoseconds);
        if self.counts.len() <= step {
            self.counts.resize(step + 1, 0);
        }
        self.counts[step] += times;
        self.total += times;
        self.longest = self.longest.max(nanoseconds);
    }

    /// Takes over what another one counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration that so many of a thousand do not exceed; zero if nothing was counted.
    pub fn permille(&self, permille: u64) -> Duration {
        let wanted = (self.total * permille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(end_of(step).min(self.longest));
            }
        }
        Duration::ZERO
    }

    /// The longest of all.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }
}

/// Below two whole rows a value is its own step; then each row is a power of two.
fn step_of(value: u64) -> usize {
    let row = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    (row as usize) * STEPS + (value >> row) as usize
}

/// The largest value of a step.
fn end_of(step: usize) -> u64 {
    let row = (step / STEPS).saturating_sub(1);
    let start = (step - row * STEPS) as u64;
    ((start + 1) << row) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_step_and_steps_follow_each_other() {
        for value in (0..10_000).chain([u64::MAX >> 1, 1 << 40, (1 << 40) + 12_345]) {
            let step = step_of(value);

            assert!(value <= end_of(step), "{value} in step {step}");
            assert!(step == 0 || value > end_of(step - 1), "{value} in step {step}");
        }
    }

    #[test]
    fn percentiles_are_close_to_the_truth() {
        let mut histogram = Histogram::default();
        for value in 1..=1000 {
            histogram.add(value * 1000, 1);
        }

        let near = |permille, truth: u64| {
            let found = histogram.permille(permille).as_nanos() as u64;
            assert!(found >= truth && found <= truth + truth / 60, "{found} for {truth}");
        };
        near(500, 500_000);
        near(990, 990_000);
        assert_eq!(histogram.permille(1000), Duration::from_nanos(1_000_000));
        assert_eq!(Histogram::default().permille(500), Duration::ZERO);
    }

    #[test]
    fn two_that_are_merged_are_as_one() {
        let [mut left, mut right, mut both] =
            [const { None }; 3].map(|_: Option<()>| Histogram::default());
        for value in [1, 100, 70_000] {
            left.add(value, 2);
            both.add(value, 2);
        }
        right.add(1 << 33, 1);
        both.add(1 << 33, 1);

        left.merge(&right);

        assert_eq!(left, both);
    }
}
