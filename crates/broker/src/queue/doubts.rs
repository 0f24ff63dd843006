//! Whether all who hold messages of a shard live, for those who bring a new consumer.
//!
//! When a node dies, what its clients held goes back to its queues, to where it was. A client of its
//! may be back through another node sooner than that, and would be given what comes behind
//! first. So a front that brings a consumer waits until every other node with consumers there has
//! shown that it lives, or its session is closed.
//!
//! **Always holds:** nobody waits much longer than [`PATIENCE`], and for the same silent node once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;
use warren_queue::entry::attaches;
use warren_types::SessionId;

/// How long a node that does not answer is waited for: a silent one is given up sooner.
const PATIENCE: Duration = Duration::from_secs(4);

/// Between two looks at a node that did not answer.
const AGAIN: Duration = Duration::from_millis(50);

/// Since when a fragment waits that brings a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bringing {
    /// Nobody has looked into the fragment.
    #[default]
    Unread,
    /// It brings none.
    Nobody,
    /// It was come to at this time.
    Since(Instant),
}

impl Bringing {
    /// Since when `fragment`, whose state this is, waits with a consumer.
    pub(crate) fn since(&mut self, fragment: &[u8]) -> Option<Instant> {
        if *self == Self::Unread {
            *self = if attaches(fragment) { Self::Since(Instant::now()) } else { Self::Nobody };
        }
        match self {
            Self::Since(since) => Some(*since),
            Self::Unread | Self::Nobody => None,
        }
    }
}

struct Look {
    session: SessionId,
    began: Instant,
    lives: bool,
}

/// What is known of those who hold messages of one shard.
#[derive(Default)]
pub(crate) struct Doubts {
    /// When each was known to live.
    shown: BTreeMap<SessionId, Instant>,
    /// Those who were waited for in vain.
    silent: BTreeSet<SessionId>,
    looks: FuturesUnordered<BoxFuture<'static, Look>>,
    looking: BTreeSet<SessionId>,
}

impl Doubts {
    /// Whether a consumer that has been waiting since `since` may come in, with regard to all
    /// `holders` but the `known`, who need not be asked. Of those who have not shown that they live
    /// since then it is asked whether one `lives`.
    pub(crate) fn are_settled(
        &mut self,
        since: Instant,
        holders: &[SessionId],
        known: [SessionId; 2],
        lives: impl Fn(SessionId) -> BoxFuture<'static, bool>,
    ) -> bool {
        let in_vain = since.elapsed() >= PATIENCE;
        self.shown.retain(|session, _| holders.contains(session));
        self.silent.retain(|session| holders.contains(session));
        let mut settled = true;
        for session in holders.iter().copied().filter(|holder| !known.contains(holder)) {
            if self.shown.get(&session).is_some_and(|shown| *shown >= since) {
                continue;
            }
            if in_vain {
                self.silent.insert(session);
            }
            settled = settled && self.silent.contains(&session);
            if self.looking.insert(session) {
                self.looks.push(Box::pin(look(session, lives(session))));
            }
        }
        settled
    }

    /// Waits for a look to end. To be polled only while [`Doubts::is_looking`].
    pub(crate) async fn looked(&mut self) {
        let Some(look) = self.looks.next().await else { return };
        self.looking.remove(&look.session);
        if look.lives {
            self.shown.insert(look.session, look.began);
            self.silent.remove(&look.session);
        }
    }

    /// Whether a look is under way.
    pub(crate) fn is_looking(&self) -> bool {
        !self.looks.is_empty()
    }
}

async fn look(session: SessionId, lives: BoxFuture<'static, bool>) -> Look {
    let began = Instant::now();
    let lives = lives.await;
    if !lives {
        tokio::time::sleep(AGAIN).await;
    }
    Look { session, began, lives }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use warren_queue::Command;
    use warren_queue::entry::FragmentWriter;
    use warren_types::{BootId, NodeId};

    use super::*;

    const OWN: SessionId = SessionId { node: NodeId(1), boot: BootId(1) };
    const OTHER: SessionId = SessionId { node: NodeId(2), boot: BootId(1) };

    fn settled(doubts: &mut Doubts, since: Instant, holders: &[SessionId]) -> bool {
        doubts.are_settled(since, holders, [OWN, OWN], nobody_answers)
    }

    fn nobody_answers(_: SessionId) -> BoxFuture<'static, bool> {
        std::future::ready(false).boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_consumer_waits_for_a_silent_node_once_and_not_for_ever() {
        let mut doubts = Doubts::default();
        let since = Instant::now();

        assert!(!settled(&mut doubts, since, &[OTHER]));
        assert!(doubts.is_looking());
        tokio::time::advance(PATIENCE).await;
        assert!(settled(&mut doubts, since, &[OTHER]), "it has waited for long enough");
        assert!(settled(&mut doubts, Instant::now(), &[OTHER]), "nobody waits for it again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_before_a_consumer_came_says_nothing() {
        let mut doubts = Doubts::default();
        let before = Instant::now();
        doubts.shown.insert(OTHER, before);

        assert!(settled(&mut doubts, before, &[OTHER]));
        tokio::time::advance(AGAIN).await;
        assert!(!settled(&mut doubts, Instant::now(), &[OTHER]));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_where_nobody_else_holds_anything() {
        assert!(settled(&mut Doubts::default(), Instant::now(), &[OWN]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_counts_from_the_first_look_into_the_fragment() {
        let mut fragment = FragmentWriter::new();
        fragment.command(&Command::Tick);
        assert_eq!(Bringing::Unread.since(&fragment.finish()), None);
        let mut known = Bringing::Since(Instant::now());
        let since = Instant::now();
        tokio::time::advance(AGAIN).await;

        assert_eq!(known.since(&[]), Some(since));
    }
}
