//! What of the log a replica will need that is being sent a snapshot.
//!
//! Under load, more is written while a snapshot travels than is kept behind one. Purged meanwhile, the
//! log would leave a gap behind the snapshot, and the next one another, for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use warren_types::LogIndex;

/// How long the receiver may take to ask for what follows its snapshot.
const GRACE: Duration = Duration::from_secs(10);

/// One group's holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holds(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    holds: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    from: LogIndex,
    ended: Option<Instant>,
}

/// Holds the log while it lives, and for a grace period.
pub(crate) struct Hold {
    holds: Holds,
    number: u64,
}

impl Holds {
    /// Whatever follows `from` will be needed.
    pub(crate) fn behind(&self, from: LogIndex) -> Hold {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.next;
        state.next = number.wrapping_add(1);
        state.holds.insert(number, Held { from, ended: None });
        Hold { holds: self.clone(), number }
    }

    /// The lowest index behind which everything is needed.
    pub(crate) fn lowest(&self) -> Option<LogIndex> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.holds.retain(|_, held| held.ended.is_none_or(|ended| ended.elapsed() < GRACE));
        state.holds.values().map(|held| held.from).min()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.holds.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = state.holds.get_mut(&self.number) {
            held.ended = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_held_stays_held_for_a_while() {
        let holds = Holds::default();
        let first = holds.behind(LogIndex(7));
        let second = holds.behind(LogIndex(9));
        assert_eq!(holds.lowest(), Some(LogIndex(7)));

        drop(first);
        assert_eq!(holds.lowest(), Some(LogIndex(7)));
        tokio::time::advance(GRACE).await;

        assert_eq!(holds.lowest(), Some(LogIndex(9)));
        drop(second);
    }
}
