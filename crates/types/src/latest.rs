//! Values of which many are alike, kept once.

use std::collections::VecDeque;
use std::sync::Arc;

/// Values that a new one is held against: more than there are kinds of anything as a rule, few
/// enough that looking through them costs nothing.
const KEPT: usize = 16;

/// The values of one sort that were used last, the latest first.
///
/// A new one gives way to an equal one that was used not long ago; more does not follow from it.
#[derive(Debug)]
pub struct Latest<T: ?Sized> {
    values: VecDeque<Arc<T>>,
}

impl<T: ?Sized> Default for Latest<T> {
    fn default() -> Self {
        Self { values: VecDeque::new() }
    }
}

impl<T: ?Sized> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone() }
    }
}

impl<T: ?Sized> Latest<T> {
    /// `value`, or a known one that is the same by `is_same`.
    pub fn share(&mut self, value: Arc<T>, is_same: impl Fn(&T, &T) -> bool) -> Arc<T> {
        let known = self.values.iter().position(|known| is_same(known, &value));
        let value = match known.and_then(|at| self.values.remove(at)) {
            Some(known) => known,
            None => {
                self.values.truncate(KEPT - 1);
                value
            }
        };
        self.values.push_front(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(latest: &mut Latest<str>, text: &str) -> Arc<str> {
        latest.share(Arc::from(text), str::eq)
    }

    #[test]
    fn equal_values_are_one_as_long_as_they_are_used() {
        let mut latest = Latest::default();
        let first = share(&mut latest, "first");

        for nth in 0..100 {
            share(&mut latest, &nth.to_string());
            assert!(Arc::ptr_eq(&share(&mut latest, "first"), &first));
        }
    }

    #[test]
    fn a_value_that_is_not_used_is_let_go() {
        let mut latest = Latest::default();
        let first = share(&mut latest, "first");

        for nth in 0..KEPT {
            share(&mut latest, &nth.to_string());
        }

        assert_eq!(Arc::strong_count(&first), 1);
        assert_eq!(latest.values.len(), KEPT);
    }
}
