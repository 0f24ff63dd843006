//! One question for all who ask at the same time.
//!
//! Who asks while a round is under way cannot use its answer, which may be older than the question,
//! but shares the next round with all who came meanwhile.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// Rounds that give a `T`. A round that is dropped is taken over by the next who waits.
pub(crate) struct Rounds<T> {
    /// How many have asked.
    asked: AtomicU64,
    last: Mutex<Option<Round<T>>>,
    #[cfg(test)]
    begun: AtomicU64,
}

struct Round<T> {
    /// The last who asked before it began.
    upto: u64,
    answer: T,
}

impl<T: Clone> Rounds<T> {
    pub(crate) fn new() -> Self {
        Self {
            asked: AtomicU64::new(0),
            last: Mutex::new(None),
            #[cfg(test)]
            begun: AtomicU64::new(0),
        }
    }

    /// The answer of a round that began after the call; by `round`, if nobody else begins it.
    pub(crate) async fn ask<F: Future<Output = T>>(&self, round: impl FnOnce() -> F) -> T {
        let own = self.asked.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let mut last = self.last.lock().await;
        if let Some(round) = last.as_ref().filter(|round| round.upto >= own) {
            return round.answer.clone();
        }
        #[cfg(test)]
        self.begun.fetch_add(1, Ordering::SeqCst);
        let upto = self.asked.load(Ordering::SeqCst);
        let answer = round().await;
        *last = Some(Round { upto, answer: answer.clone() });
        answer
    }

    /// How many rounds there were.
    #[cfg(test)]
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn those_who_ask_during_a_round_share_the_next() {
        let rounds = Rounds::new();
        let next = AtomicU64::new(0);
        let ask = || {
            rounds.ask(|| async {
                tokio::task::yield_now().await;
                next.fetch_add(1, Ordering::SeqCst)
            })
        };
        let mut first = Box::pin(ask());
        assert!(futures::poll!(&mut first).is_pending(), "the first round is under way");

        let (others, first) = futures::join!(join_all((0..100).map(|_| ask())), first);

        assert_eq!(first, 0);
        assert!(others.iter().all(|answer| *answer == 1), "{others:?}");
        assert_eq!(rounds.begun(), 2);
    }

    #[tokio::test]
    async fn a_round_that_is_given_up_leaves_the_next_to_those_who_wait() {
        let rounds = Rounds::new();
        let mut stuck = Box::pin(rounds.ask(std::future::pending::<u64>));
        assert!(futures::poll!(&mut stuck).is_pending());
        let mut waiting = Box::pin(rounds.ask(|| async { 7 }));
        assert!(futures::poll!(&mut waiting).is_pending());

        drop(stuck);

        assert_eq!(waiting.await, 7);
    }
}
