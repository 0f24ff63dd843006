//! What all groups of a node together may spend on snapshots that are sent.
//!
//! A replica that was away for long lacks a lot, in all its groups at once. It gets it at a pace that
//! leaves the network, the disks and the memory of both nodes to everybody else.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Snapshots that a node sends side by side: one may wait for its receiver's disk while the other
/// is read.
const OUTGOING: usize = 2;
/// Snapshots that a node takes in side by side, one per group: the pages of each are in memory.
const INCOMING: usize = 4;

/// A node's snapshot traffic.
pub(crate) struct Transfers {
    bytes_per_second: u64,
    /// When the next bytes may go.
    next: Mutex<Option<Instant>>,
    outgoing: Semaphore,
    incoming: Semaphore,
}

impl Transfers {
    /// As fast as it goes if `bytes_per_second` is 0.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            next: Mutex::new(None),
            outgoing: Semaphore::new(OUTGOING),
            incoming: Semaphore::new(INCOMING),
        }
    }

    /// Waits until one more may be sent.
    pub(crate) async fn send(&self) -> SemaphorePermit<'_> {
        self.outgoing.acquire().await.expect("it is never closed")
    }

    /// Waits until one more may come in.
    pub(crate) async fn receive(&self) -> SemaphorePermit<'_> {
        self.incoming.acquire().await.expect("it is never closed")
    }

    /// Waits until `bytes` may be sent.
    pub(crate) async fn spend(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let Some(us) = bytes.saturating_mul(1_000_000).checked_div(self.bytes_per_second) else {
            return;
        };
        let begin = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let begin = next.unwrap_or(now).max(now);
            *next = Some(begin + Duration::from_micros(us));
            begin
        };
        sleep_until(begin).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_together_keeps_to_the_pace() {
        let transfers = Transfers::new(1000);
        let began = Instant::now();

        futures::join!(
            async {
                transfers.spend(500).await;
                transfers.spend(500).await;
            },
            transfers.spend(1000),
        );
        transfers.spend(1).await;

        assert_eq!(began.elapsed().as_millis(), 2000);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_pace_nothing_waits() {
        let transfers = Transfers::new(0);
        let began = Instant::now();

        transfers.spend(usize::MAX).await;
        transfers.spend(usize::MAX).await;

        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
