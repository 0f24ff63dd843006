//! The time of a simulation: it begins at the same moment in every run.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;
use warren_types::Timestamp;

/// What time stamps show when a run begins.
const BEGIN_MS: u64 = 1_700_000_000_000;

thread_local! {
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A run begins on this thread.
pub(super) fn begin() {
    BEGAN.set(Some(Instant::now()));
}

/// How long the run of this thread has been going on.
pub(super) fn elapsed() -> Duration {
    BEGAN.get().map_or(Duration::ZERO, |began| began.elapsed())
}

/// The time of the run on this thread, if there is one.
pub(crate) fn now() -> Option<Timestamp> {
    let began = BEGAN.get()?;
    let elapsed = u64::try_from(began.elapsed().as_millis()).expect("runs are short");
    Some(Timestamp(BEGIN_MS + elapsed))
}
