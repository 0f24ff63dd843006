//! What need not be done at once.
//!
//! An entry costs every replica a sync and a dozen wakings, whatever is in it. An acknowledgement that
//! frees nobody can wait for company: for the next publish, or for a few milliseconds.
//!
//! **Always holds:** nobody is given a message later, and no publisher is answered later, because
//! something waited that is said here to be able to.

use warren_types::{ConsumerId, SessionId};

use crate::entry::{CommandRef, commands};
use crate::queue::{Aside, Consumer, Queue, Standing};
use crate::{Outcome, Shard};

impl Shard {
    /// Whether the commands of a fragment of `session`, as a
    /// [`FragmentWriter`](crate::entry::FragmentWriter) wrote them, can wait for others: they
    /// acknowledge deliveries or grant more, in queues where nothing waits, to consumers that could
    /// take much as they are.
    #[must_use]
    pub fn can_wait(&self, session: SessionId, fragment: &[u8]) -> bool {
        commands(fragment).all(|command| match command {
            Ok(
                CommandRef::Settle { consumer, outcome: Outcome::Ack, .. }
                | CommandRef::Grant { consumer, .. },
            ) => self.is_at_ease(ConsumerId { session, number: consumer }),
            Ok(_) | Err(_) => false,
        })
    }

    /// Whether nothing that `consumer` does can have anything given out.
    fn is_at_ease(&self, consumer: ConsumerId) -> bool {
        let seat = self.sessions.seat(consumer);
        let found = seat.and_then(|seat| {
            let queue = self.queues.at(seat.queue)?;
            Some((queue, queue.consumers.member(seat.order)?))
        });
        found.is_some_and(|(queue, consumer)| queue.is_exhausted() && consumer.has_ample_room())
    }
}

impl Queue {
    /// Whether there is nothing that a consumer with more room could be given.
    fn is_exhausted(&self) -> bool {
        let reserves = |aside: &Aside| aside.reserved.len() > 0;
        self.ready.is_empty() && !self.aside.as_deref().is_some_and(reserves)
    }
}

impl Consumer {
    /// Whether it can take at least as much as it may hold half of.
    fn has_ample_room(&self) -> bool {
        let half = u64::from(self.prefetch).div_ceil(2);
        self.standing == Standing::Registered && self.capacity() > half.max(self.held.len())
    }
}
