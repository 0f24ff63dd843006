//! All randomness of a simulation, from its seed.
//!
//! What the run itself decides comes from a [`Chance`]. What libraries draw (hash seeds, election
//! timeouts, the order in which `select!` looks at its arms) they ask the operating system
//! for, through `getrandom`: on the thread of a run, [`getrandom`] answers in its place.

use std::cell::Cell;
use std::io::Read as _;
use std::ops::Range;
use std::time::Duration;

thread_local! {
    static SYSTEM: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From here on, what this thread asks the operating system for follows from `seed`.
pub(super) fn bind_system(seed: u64) {
    SYSTEM.set(Some(seed ^ 0x5eed_0f5e_ed0f_5eed));
}

/// Stands before the C library's function of this name.
///
/// # Safety
/// `buffer` points to `length` writable bytes.
#[expect(unsafe_code, reason = "the C library's function of this name has this shape")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    match SYSTEM.try_with(Cell::get).ok().flatten() {
        Some(mut state) => {
            for piece in bytes.chunks_mut(8) {
                piece.copy_from_slice(&next(&mut state).to_le_bytes()[..piece.len()]);
            }
            SYSTEM.set(Some(state));
        }
        None => {
            let mut source = std::fs::File::open("/dev/urandom").expect("every system has it");
            source.read_exact(bytes).expect("it has no end");
        }
    }
    isize::try_from(length).expect("buffers are small")
}

/// splitmix64
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Decisions that follow from a seed.
#[derive(Clone, Debug)]
pub(super) struct Chance {
    state: u64,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x2545_f491_4f6c_dd1d) }
    }

    /// Decisions of somebody else, that do not depend on how many were made here.
    pub(super) fn branch(&mut self) -> Self {
        Self { state: next(&mut self.state) }
    }

    pub(super) fn number(&mut self, range: Range<u64>) -> u64 {
        range.start + next(&mut self.state) % (range.end - range.start)
    }

    pub(super) fn index(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).expect("few");
        usize::try_from(self.number(0..count)).expect("few")
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.number(0..100) < percent
    }

    pub(super) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.index(among.len())]
    }
}
