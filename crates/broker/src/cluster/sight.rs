//! What this node sees of another, and what follows from it. Pure.

use std::time::Duration;

use tokio::time::Instant;
use warren_catalog::Node;
use warren_rpc::Distress;
use warren_types::BootId;

/// Refusals in a row after which a process counts as gone. One may be a listener that is full.
const GONE_LOOKS: u32 = 2;

/// Between two looks at a node that answers.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Until the look that has to confirm that a process is gone.
const CONFIRM_INTERVAL: Duration = Duration::from_millis(25);

/// What is seen of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It answers.
    Alive {
        /// The start of the process that answers.
        boot: BootId,
        /// It is about to end in order.
        draining: bool,
        /// What it runs out of.
        distress: Distress,
    },
    /// The system says that nobody listens there.
    Gone,
    /// Nothing is heard.
    Silent {
        /// Since when.
        since: Instant,
    },
}

impl Sight {
    /// Whether `boot`, or a later start that nobody has heard of, answers and means to stay.
    pub(crate) fn is_well(self, boot: BootId) -> bool {
        match self {
            Self::Alive { boot: seen, draining, .. } => seen >= boot && !draining,
            Self::Gone | Self::Silent { .. } => false,
        }
    }

    /// What the node runs out of, as far as it answers.
    pub(crate) fn distress(self) -> Distress {
        match self {
            Self::Alive { distress, .. } => distress,
            Self::Gone | Self::Silent { .. } => Distress::default(),
        }
    }

    /// Whether anything answers.
    pub(crate) fn is_alive(self) -> bool {
        match self {
            Self::Alive { .. } => true,
            Self::Gone | Self::Silent { .. } => false,
        }
    }
}

/// How one look at a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Answered { boot: BootId, draining: bool, distress: Distress },
    Refused,
    Nothing,
}

/// What is remembered of a node between two looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    sight: Sight,
    refusals: u32,
    heard: Instant,
}

impl Watched {
    /// A node that nobody has looked at.
    pub(super) fn new(now: Instant) -> Self {
        Self { sight: Sight::Silent { since: now }, refusals: 0, heard: now }
    }

    /// Takes note of a look and says after how long the next is due.
    pub(super) fn note(&mut self, look: Look, now: Instant) -> Duration {
        match look {
            Look::Answered { boot, draining, distress } => {
                let sight = Sight::Alive { boot, draining, distress };
                (self.sight, self.refusals, self.heard) = (sight, 0, now);
            }
            Look::Refused => {
                self.refusals = self.refusals.saturating_add(1);
                self.sight = Sight::Gone;
            }
            Look::Nothing => {
                self.refusals = 0;
                self.sight = Sight::Silent { since: self.heard };
            }
        }
        if self.refusals == 1 { CONFIRM_INTERVAL } else { LOOK_INTERVAL }
    }

    /// This node itself was away, or has reason to believe the other again: silence counts from
    /// here on.
    pub(super) fn excuse(&mut self, now: Instant) {
        (self.heard, self.refusals) = (now, 0);
        if let Sight::Silent { since } = &mut self.sight {
            *since = now;
        }
    }

    pub(super) fn sight(&self) -> Sight {
        self.sight
    }

    /// The start of the node that seems to be over, if the catalog believes it to be running.
    pub(super) fn over(&self, row: &Node, now: Instant, timeout: Duration) -> Option<Suspicion> {
        if !row.running {
            return None;
        }
        let over = match self.sight {
            // Whoever was started again has ended before.
            Sight::Alive { boot, .. } if boot > row.boot => Suspicion::Certain(row.boot),
            Sight::Alive { .. } => return None,
            Sight::Gone if self.refusals >= GONE_LOOKS => Suspicion::Likely(row.boot),
            Sight::Gone => return None,
            Sight::Silent { since } if now.saturating_duration_since(since) > timeout => {
                Suspicion::Likely(row.boot)
            }
            Sight::Silent { .. } => return None,
        };
        Some(over)
    }
}

/// That a start of a node is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// A later one answers.
    Certain(BootId),
    /// It is not to be seen from here. Others may see it.
    Likely(BootId),
}

#[cfg(test)]
mod tests {
    use warren_types::NodeId;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn row(boot: u64, running: bool) -> Node {
        Node {
            id: NodeId(2),
            token: 2,
            name: "b".into(),
            address: "b:1".into(),
            zone: "".into(),
            boot: BootId(boot),
            speaks: 1,
            running,
            draining: false,
        }
    }

    fn alive(boot: u64) -> Look {
        Look::Answered { boot: BootId(boot), draining: false, distress: Distress::default() }
    }

    #[test]
    fn two_refusals_in_a_row_make_a_node_suspect_and_one_does_not() {
        let now = Instant::now();
        let mut watched = Watched::new(now);
        watched.note(alive(1), now);

        let soon = watched.note(Look::Refused, now);
        let after_one = watched.over(&row(1, true), now, TIMEOUT);
        watched.note(alive(1), now);
        watched.note(Look::Refused, now);
        let after_one_again = watched.over(&row(1, true), now, TIMEOUT);
        watched.note(Look::Refused, now);
        let after_two = watched.over(&row(1, true), now, TIMEOUT);

        assert_eq!(soon, CONFIRM_INTERVAL);
        assert_eq!((after_one, after_one_again), (None, None));
        assert_eq!(after_two, Some(Suspicion::Likely(BootId(1))));
    }

    #[test]
    fn silence_counts_from_the_last_answer_and_only_beyond_the_timeout() {
        let begin = Instant::now();
        let mut watched = Watched::new(begin);
        watched.note(alive(1), begin);
        let (within, beyond) = (begin + TIMEOUT, begin + TIMEOUT + Duration::from_millis(1));

        watched.note(Look::Nothing, within);

        assert_eq!(watched.sight(), Sight::Silent { since: begin });
        assert_eq!(watched.over(&row(1, true), within, TIMEOUT), None);
        let over = watched.over(&row(1, true), beyond, TIMEOUT);
        assert_eq!(over, Some(Suspicion::Likely(BootId(1))));
    }

    #[test]
    fn a_later_start_that_answers_ends_the_earlier_one_for_certain() {
        let now = Instant::now();
        let mut watched = Watched::new(now);

        watched.note(alive(5), now);

        let over = watched.over(&row(4, true), now, TIMEOUT);
        assert_eq!(over, Some(Suspicion::Certain(BootId(4))));
        assert_eq!(watched.over(&row(5, true), now, TIMEOUT), None);
        assert_eq!(watched.over(&row(6, true), now, TIMEOUT), None, "an answer that came late");
    }

    #[test]
    fn what_the_catalog_has_given_up_is_not_suspected_again() {
        let now = Instant::now();
        let mut watched = Watched::new(now);
        watched.note(Look::Refused, now);
        watched.note(Look::Refused, now);

        assert_eq!(watched.over(&row(1, false), now, TIMEOUT), None);
    }

    #[test]
    fn whoever_was_frozen_itself_blames_nobody_for_the_time() {
        let begin = Instant::now();
        let mut watched = Watched::new(begin);
        watched.note(alive(1), begin);
        let thawed = begin + Duration::from_secs(60);

        watched.note(Look::Nothing, thawed);
        watched.excuse(thawed);
        watched.note(Look::Nothing, thawed);

        assert_eq!(watched.over(&row(1, true), thawed, TIMEOUT), None);
        let later = thawed + TIMEOUT + Duration::from_millis(1);
        assert!(watched.over(&row(1, true), later, TIMEOUT).is_some());
    }
}
