//! How soon the allocator gives memory back that nobody uses any more.
//!
//! It keeps such memory for a second as a rule, because taking it anew costs time: a fifth of the rate with
//! bodies of 16 KiB. Where a lot is published that second is worth hundreds of megabytes, which must
//! not be what makes publishers wait. So it is given back at once when the node comes near its mark.
//!
//! **Always holds:** what the environment says (`MIMALLOC_PURGE_DELAY`) counts while memory is not short.

use std::ffi::{c_int, c_long};

use libmimalloc_sys::{mi_option_get, mi_option_set};

/// The number that mimalloc gives to the option: milliseconds until unused memory is given back.
const PURGE_DELAY: c_int = 15;

/// What it is when memory is short.
const SHORT_MS: c_long = 10;

/// The allocator, as the gauge has it.
#[derive(Debug)]
pub(crate) struct Heap {
    /// What the delay was in the beginning.
    usual_ms: c_long,
    is_sparing: bool,
}

impl Heap {
    pub(crate) fn new() -> Self {
        Self { usual_ms: delay(), is_sparing: false }
    }

    /// The node takes `used` bytes, and should not take more than `mark` (0: no limit). Memory is given back
    /// at once from half of that on, until it is less than a quarter.
    pub(crate) fn note(&mut self, used: u64, mark: u64) {
        let is_sparing = mark > 0 && used > if self.is_sparing { mark / 4 } else { mark / 2 };
        if is_sparing != self.is_sparing {
            tracing::debug!(used, mark, is_sparing, "how soon memory is given back changes");
            set_delay(if is_sparing { SHORT_MS } else { self.usual_ms });
            self.is_sparing = is_sparing;
        }
    }
}

#[expect(unsafe_code, reason = "a C function that reads a number of the allocator's")]
fn delay() -> c_long {
    // SAFETY: the option is one that it knows; it takes nothing else, and may be called by any thread.
    unsafe { mi_option_get(PURGE_DELAY) }
}

#[expect(unsafe_code, reason = "a C function that changes a number of the allocator's")]
fn set_delay(delay_ms: c_long) {
    // SAFETY: as above. The allocator reads the number each time that memory is freed.
    unsafe { mi_option_set(PURGE_DELAY, delay_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_at_once_while_it_is_short() {
        let mut heap = Heap::new();
        // What mimalloc has by itself: the number is that of the option that is meant.
        assert_eq!(delay(), 1_000);
        let mut seen = |used, mark| {
            heap.note(used, mark);
            delay()
        };

        assert_eq!([seen(500, 1_000), seen(501, 1_000), seen(251, 1_000)], [1_000, 10, 10]);
        assert_eq!([seen(250, 1_000), seen(u64::MAX, 0), seen(400, 1_000)], [1_000; 3]);
    }
}
