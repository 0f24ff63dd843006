//! Gives the disk back what removed rows took.
//!
//! Removing rows hides them; their room is free once the engine has merged the tables they are in,
//! which under load it does by itself. After a load, what it left behind is cleared up here, once, when
//! little is written.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use warren_storage::Store;

use crate::aside;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What must be to be given back to make it worth it.
const WORTH_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes written since the last look that let others go first.
const BUSY_BYTES: u64 = 4 * 1024 * 1024;

/// Looks after a store, on behalf of all its groups.
pub(crate) struct Tidy {
    store: Store,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    looked: Instant,
    /// Bytes written by then.
    written: u64,
    /// Whether it is being tidied.
    busy: bool,
}

impl Tidy {
    pub(crate) fn new(store: Store) -> Self {
        let looked = Instant::now();
        let seen = Arc::new(Mutex::new(Seen { looked, written: 0, busy: false }));
        Self { store, seen }
    }

    /// Tidies if it is time to. Cheap otherwise.
    pub(crate) async fn look(&self) {
        if !self.due() {
            return;
        }
        let (store, seen) = (self.store.clone(), Arc::clone(&self.seen));
        let tidying = aside::run(store.is_inline(), move || {
            // A failure ends the process, through the store.
            if let Err(error) = store.compact() {
                tracing::error!(%error, "giving room back failed");
            }
            seen.lock().unwrap_or_else(PoisonError::into_inner).busy = false;
        });
        if let Err(error) = tidying.await {
            tracing::error!(%error, "giving room back failed");
        }
    }

    fn due(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.busy || seen.looked.elapsed() < LOOK_EVERY {
            return false;
        }
        let written = self.store.statistics().bytes_written;
        let quiet = written.saturating_sub(seen.written) < BUSY_BYTES;
        (seen.looked, seen.written) = (Instant::now(), written);
        seen.busy = quiet && self.store.garbage_bytes() >= WORTH_BYTES;
        seen.busy
    }
}
