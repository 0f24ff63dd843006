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
//! - **Confirms:** each message is confirmed at most once, and none is refused.
//!
//! Where it is also told who consumes ([`Checker::attach`]), it holds the broker to more:
//! - **Possession:** what a consumer has, or acknowledged, goes to nobody again while its connection
//!   lives, unless it gave it back; and without a lost consumer nothing is flagged at all.
//! - **Prefetch:** no consumer has more than it asked for.
//!
//! **Not here:** sockets and time. Events come in the order in which their receiver saw them.

mod fault;

pub use fault::Fault;

use std::collections::{BTreeMap, BTreeSet};

/// Which publisher, as the test counts them.
pub type Publisher = u32;

/// The number of a message among those of its publisher.
pub type Number = u64;

/// Which consumer, as the checker counts them: whoever consumes anew is another one.
pub type Consumer = u32;

/// What is known of one publisher's messages.
#[derive(Debug, Default)]
struct Story {
    /// Messages sent: all numbers below this.
    sent: Number,
    confirmed: BTreeSet<Number>,
    refused: BTreeSet<Number>,
    /// How often each was delivered.
    delivered: BTreeMap<Number, u32>,
    settled: BTreeSet<Number>,
    /// Who has, or acknowledged, what nobody may get again.
    owners: BTreeMap<Number, Owner>,
    /// The highest number that was delivered.
    highest: Option<Number>,
}

/// Whose a message is.
#[derive(Clone, Copy, Debug)]
struct Owner {
    consumer: Consumer,
    acknowledged: bool,
}

/// What is known of one consumer.
#[derive(Clone, Copy, Debug)]
struct Attached {
    /// Deliveries that it may have unacknowledged; 0: any number.
    limit: usize,
    held: usize,
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
    attached: Vec<Attached>,
    /// Whether anything may have come back to its queue.
    is_flag_allowed: bool,
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
        if number >= story.sent {
            self.faults.push(Fault::StrangeConfirm { publisher, number });
        } else if story.refused.contains(&number) || !story.confirmed.insert(number) {
            self.faults.push(Fault::ConfirmedTwice { publisher, number });
        }
    }

    /// The broker refused a message (basic.nack).
    pub fn refuse(&mut self, publisher: Publisher, number: Number) {
        let story = self.stories.entry(publisher).or_default();
        if story.confirmed.contains(&number) || !story.refused.insert(number) {
            self.faults.push(Fault::ConfirmedTwice { publisher, number });
        }
        self.faults.push(Fault::Refused { publisher, number });
    }

    /// Somebody consumes, and may have so many deliveries unacknowledged; 0: any number.
    pub fn attach(&mut self, limit: u16) -> Consumer {
        let consumer = u32::try_from(self.attached.len()).expect("a history has few consumers");
        self.attached.push(Attached { limit: usize::from(limit), held: 0 });
        consumer
    }

    /// The broker delivered a message to a consumer.
    pub fn deliver_to(
        &mut self,
        consumer: Consumer,
        publisher: Publisher,
        number: Number,
        redelivered: bool,
    ) {
        let attached = self.attached(consumer);
        attached.held += 1;
        let Attached { limit, held } = *attached;
        if limit > 0 && held > limit {
            self.faults.push(Fault::Overfed { consumer, held, limit });
        }
        let story = self.stories.entry(publisher).or_default();
        let owner = Owner { consumer, acknowledged: false };
        if let Some(former) = story.owners.insert(number, owner) {
            let from = former.consumer;
            self.faults.push(Fault::Taken { publisher, number, from, to: consumer });
        }
        if redelivered && !self.is_flag_allowed {
            self.faults.push(Fault::FalselyFlagged { publisher, number });
        }
        self.deliver(publisher, number, redelivered);
    }

    /// A consumer acknowledged what it has.
    pub fn acknowledge(&mut self, consumer: Consumer, publisher: Publisher, number: Number) {
        self.attached(consumer).held -= 1;
        if let Some(owner) = self.stories.entry(publisher).or_default().owners.get_mut(&number) {
            owner.acknowledged = true;
        }
    }

    /// A consumer gives back what it has (basic.nack or basic.reject with requeue).
    pub fn give_back(&mut self, consumer: Consumer, publisher: Publisher, number: Number) {
        self.attached(consumer).held -= 1;
        self.is_flag_allowed = true;
        self.stories.entry(publisher).or_default().owners.remove(&number);
    }

    /// The connection of a consumer was lost, and with it what it had. Its latest
    /// acknowledgements may be lost as well.
    pub fn lose(&mut self, consumer: Consumer) {
        self.attached(consumer).held = 0;
        self.is_flag_allowed = true;
        for story in self.stories.values_mut() {
            story.owners.retain(|_, owner| owner.consumer != consumer);
        }
    }

    /// All acknowledgements of a consumer so far are certain: a later request on its channel was
    /// answered.
    pub fn settle_all(&mut self, consumer: Consumer) {
        for story in self.stories.values_mut() {
            let certain = |owner: &Owner| owner.acknowledged && owner.consumer == consumer;
            let numbers =
                story.owners.iter().filter(|(_, owner)| certain(owner)).map(|(number, _)| *number);
            story.settled.extend(numbers);
        }
    }

    /// What a consumer has and did not acknowledge.
    pub fn held_by(&self, consumer: Consumer) -> Vec<(Publisher, Number)> {
        let held = |owner: &Owner| !owner.acknowledged && owner.consumer == consumer;
        let of = |(&publisher, story): (&Publisher, &Story)| {
            let numbers: Vec<_> =
                story.owners.iter().filter(|(_, owner)| held(owner)).map(|(n, _)| *n).collect();
            numbers.into_iter().map(move |number| (publisher, number))
        };
        self.stories.iter().flat_map(of).collect()
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

    fn attached(&mut self, consumer: Consumer) -> &mut Attached {
        let at = usize::try_from(consumer).expect("this machine has more than 16 bits");
        self.attached.get_mut(at).expect("attach gave this number")
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
mod tests;
