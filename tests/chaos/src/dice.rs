//! Choices that follow from a seed, alike on every machine and with every version of a library.

use std::ops::Range;
use std::time::Duration;

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice whose throws follow from a number.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice for somebody else, whose throws do not depend on how often these are thrown later.
    pub fn fork(&mut self) -> Self {
        Self(self.throw())
    }

    /// Any number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.throw() % (range.end - range.start)
    }

    /// A place in a list of so many.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    pub fn place(&mut self, len: usize) -> usize {
        (self.throw() % len as u64) as usize
    }

    /// One of a list.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.place(list.len())]
    }

    /// A time of a range of milliseconds.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// Whether it happens, of so many in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.within(0..100) < percent
    }

    /// A list in another order.
    pub fn shuffled<T: Clone>(&mut self, list: &[T]) -> Vec<T> {
        let mut all = list.to_vec();
        for end in (1..all.len()).rev() {
            all.swap(end, self.place(end + 1));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same() {
        let throws = |seed| {
            let mut dice = Dice::of(seed);
            [dice.throw(), dice.within(5..9), dice.fork().throw()]
        };

        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
        assert!((5..9).contains(&throws(7)[1]));
    }

    #[test]
    fn shuffling_keeps_everything() {
        let mut list = Dice::of(3).shuffled(&[1, 2, 3, 4, 5]);

        list.sort_unstable();
        assert_eq!(list, [1, 2, 3, 4, 5]);
    }
}
