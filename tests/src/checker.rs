//! Judges a history: what was published, what was confirmed, what was delivered.
//!
//! A publisher numbers its messages from 0 and never sends the same one twice; its messages are
//! named by (publisher, number). The checker is told of every confirm and every delivery, and
//! at the end, when the queue has been drained, finds what the broker did wrong.
//!
//! It holds the broker to this:
//! - **Loss:** what was confirmed was delivered at least once.
//! - **Ghosts:** what was delivered had been published.
//! - **Duplicates:** what was delivered before is delivered again only with the flag `redelivered`,
//!   and what was settled for certain is not delivered again at all.
//! - **Order:** the first deliveries of one publisher's messages ascend.
//!
//! **Not here:** sockets and time. Events come in the order in which their receiver saw them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Which publisher, as the test counts them.
pub type Publisher = u32;

/// The number of a message among those of its publisher.
pub type Number = u64;

/// Something that the broker must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Confirmed, and never delivered.
    Lost {
        /// Who published it.
        publisher: Publisher,
        /// Which one.
        number: Number,
    },
    /// Delivered, and never published.
    Ghost {
        /// Who would have published it.
        publisher: Publisher,
        /// Which one.
        number: Number,
    },
    /// Delivered again without the flag.
    Unflagged {
        /// Who published it.
        publisher: Publisher,
        /// Which one.
        number: Number,
    },
    /// Delivered again although its settlement was certain.
    Risen {
        /// Who published it.
        publisher: Publisher,
        /// Which one.
        number: Number,
    },
    /// First delivered after a later message of the same publisher.
    Overtaken {
        /// Who published it.
        publisher: Publisher,
        /// The earlier message, which came second.
        number: Number,
        /// The later message, which came first.
        by: Number,
    },
    /// A confirm for something that was not published.
    StrangeConfirm {
        /// Who got it.
        publisher: Publisher,
        /// For which one.
        number: Number,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { publisher, number } => {
                write!(out, "{publisher}/{number} was confirmed and never delivered")
            }
            Self::Ghost { publisher, number } => {
                write!(out, "{publisher}/{number} was delivered and never published")
            }
            Self::Unflagged { publisher, number } => {
                write!(out, "{publisher}/{number} was delivered again without the flag")
            }
            Self::Risen { publisher, number } => {
                write!(out, "{publisher}/{number} was delivered again after it was settled")
            }
            Self::Overtaken { publisher, number, by } => {
                write!(out, "{publisher}/{number} was first delivered after {publisher}/{by}")
            }
            Self::StrangeConfirm { publisher, number } => {
                write!(out, "{publisher}/{number} was confirmed and never published")
            }
        }
    }
}

/// What is known of one publisher's messages.
#[derive(Debug, Default)]
struct Story {
    /// Messages sent: all numbers below this.
    sent: Number,
    confirmed: BTreeSet<Number>,
    /// How often each was delivered.
    delivered: BTreeMap<Number, u32>,
    settled: BTreeSet<Number>,
    /// The highest number that was delivered.
    highest: Option<Number>,
}

/// Numbers of a history, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages sent.
    pub sent: u64,
    /// Messages confirmed.
    pub confirmed: u64,
    /// Messages delivered at least once.
    pub delivered: u64,
    /// Deliveries beyond the first of each message.
    pub repeats: u64,
}

/// A history, being recorded.
#[derive(Debug, Default)]
pub struct Checker {
    stories: BTreeMap<Publisher, Story>,
    faults: Vec<Fault>,
}

impl Checker {
    /// A publisher is about to send its next message; the answer is its number.
    pub fn publish(&mut self, publisher: Publisher) -> Number {
        let story = self.stories.entry(publisher).or_default();
        let number = story.sent;
        story.sent += 1;
        number
    }

    /// The broker confirmed a message.
    pub fn confirm(&mut self, publisher: Publisher, number: Number) {
        let story = self.stories.entry(publisher).or_default();
        if number < story.sent {
            story.confirmed.insert(number);
        } else {
            self.faults.push(Fault::StrangeConfirm { publisher, number });
        }
    }

    /// The broker delivered a message.
    pub fn deliver(&mut self, publisher: Publisher, number: Number, redelivered: bool) {
        let story = self.stories.entry(publisher).or_default();
        if number >= story.sent {
            self.faults.push(Fault::Ghost { publisher, number });
            return;
        }
        if story.settled.contains(&number) {
            self.faults.push(Fault::Risen { publisher, number });
        }
        let times = story.delivered.entry(number).or_default();
        *times += 1;
        if *times > 1 {
            if !redelivered {
                self.faults.push(Fault::Unflagged { publisher, number });
            }
            return;
        }
        // A flag on what we see for the first time is allowed: it may have been on its way to a
        // connection that was lost. Then it may also come late.
        if let Some(by) = story.highest.filter(|highest| *highest > number && !redelivered) {
            self.faults.push(Fault::Overtaken { publisher, number, by });
        }
        story.highest = story.highest.max(Some(number));
    }

    /// A message is settled for certain: a later request on the same channel was answered.
    pub fn settle(&mut self, publisher: Publisher, number: Number) {
        self.stories.entry(publisher).or_default().settled.insert(number);
    }

    /// Confirmed messages that have not been delivered so far.
    pub fn missing(&self) -> usize {
        self.stories.values().map(|story| story.lost().count()).sum()
    }

    /// All faults, once the queue has been drained.
    pub fn finish(mut self) -> (Summary, Vec<Fault>) {
        let mut summary = Summary::default();
        for (&publisher, story) in &self.stories {
            self.faults.extend(story.lost().map(|number| Fault::Lost { publisher, number }));
            summary.sent += story.sent;
            summary.confirmed += count(story.confirmed.len());
            summary.delivered += count(story.delivered.len());
            summary.repeats +=
                story.delivered.values().map(|times| u64::from(*times) - 1).sum::<u64>();
        }
        (summary, self.faults)
    }
}

impl Story {
    fn lost(&self) -> impl Iterator<Item = Number> {
        self.confirmed.iter().copied().filter(|number| !self.delivered.contains_key(number))
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).expect("64 bits count anything in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five messages of publisher 7, all confirmed.
    fn five_confirmed() -> Checker {
        let mut checker = Checker::default();
        for _ in 0..5 {
            let number = checker.publish(7);
            checker.confirm(7, number);
        }
        checker
    }

    fn deliver_all(checker: &mut Checker, numbers: &[Number]) {
        for number in numbers {
            checker.deliver(7, *number, false);
        }
    }

    #[test]
    fn a_history_without_faults_has_none() {
        let mut checker = five_confirmed();
        deliver_all(&mut checker, &[0, 1, 2]);
        checker.deliver(7, 1, true);
        deliver_all(&mut checker, &[3, 4]);

        let (summary, faults) = checker.finish();

        assert_eq!(faults, []);
        assert_eq!(summary, Summary { sent: 5, confirmed: 5, delivered: 5, repeats: 1 });
    }

    #[test]
    fn a_dropped_message_is_found_if_it_was_confirmed() {
        let mut checker = five_confirmed();
        checker.publish(7);
        deliver_all(&mut checker, &[0, 1, 3, 4]);

        assert_eq!(checker.missing(), 1);
        assert_eq!(checker.finish().1, [Fault::Lost { publisher: 7, number: 2 }]);
    }

    #[test]
    fn a_second_delivery_without_the_flag_is_found() {
        let mut checker = five_confirmed();
        deliver_all(&mut checker, &[0, 1, 2, 3, 4, 3]);

        assert_eq!(checker.finish().1, [Fault::Unflagged { publisher: 7, number: 3 }]);
    }

    #[test]
    fn a_message_that_overtakes_another_is_found() {
        let mut checker = five_confirmed();
        deliver_all(&mut checker, &[0, 2, 1, 3, 4]);

        assert_eq!(checker.finish().1, [Fault::Overtaken { publisher: 7, number: 1, by: 2 }]);
    }

    #[test]
    fn what_was_sent_to_a_lost_connection_may_come_late_and_flagged() {
        let mut checker = five_confirmed();
        deliver_all(&mut checker, &[0, 2]);
        checker.deliver(7, 1, true);
        deliver_all(&mut checker, &[3, 4]);

        assert_eq!(checker.finish().1, []);
    }

    #[test]
    fn a_message_that_comes_again_after_it_was_settled_is_found_even_with_the_flag() {
        let mut checker = five_confirmed();
        deliver_all(&mut checker, &[0, 1, 2, 3, 4]);
        checker.settle(7, 0);
        checker.deliver(7, 0, true);

        assert_eq!(checker.finish().1, [Fault::Risen { publisher: 7, number: 0 }]);
    }

    #[test]
    fn a_message_that_nobody_sent_is_found() {
        let mut checker = five_confirmed();
        deliver_all(&mut checker, &[0, 1, 2, 3, 4, 5]);
        checker.confirm(7, 9);

        let expected = [
            Fault::Ghost { publisher: 7, number: 5 },
            Fault::StrangeConfirm { publisher: 7, number: 9 },
        ];
        assert_eq!(checker.finish().1, expected);
    }
}
