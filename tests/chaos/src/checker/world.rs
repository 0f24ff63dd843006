//! Who holds what: events become facts about single deliveries.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::Spot;
use super::doubts::Doubts;
use super::report::Report;
use crate::history::{Channel, Consumer, Death, Event, How, Message, Rules};

/// Microseconds until the broker notices a connection that ended without a word.
const NOTICED: u64 = 15_000_000;

/// Microseconds until a shard has taken back what a consumer had that has left in order.
const LEFT: u64 = 2_000_000;

/// What an event means for one message or delivery.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    /// A publish was confirmed (taken) or refused.
    Confirmed { message: Message, taken: bool },
    /// A publish cannot have happened.
    Undone { message: Message },
    /// A message was delivered.
    Delivered(Delivery),
    /// A delivery is about to be settled.
    Settled(Delivery, How),
    /// That is certain.
    Certain(Delivery, How),
    /// A delivery that was not acknowledged is nobody's.
    Released(Delivery),
}

/// A delivery.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) spot: Spot,
    pub(super) channel: Channel,
    pub(super) consumer: Consumer,
    /// Where the consumer began.
    pub(super) consuming: Spot,
    pub(super) automatic: bool,
    pub(super) queue: Rc<str>,
    pub(super) message: Option<Message>,
    pub(super) size: u64,
    pub(super) sum: u32,
    pub(super) redelivered: bool,
    pub(super) acquired: u64,
    pub(super) count: u64,
    pub(super) death: Option<Rc<Death>>,
    /// What is known of the message; none until it has been looked up.
    pub(super) origin: Option<Origin>,
}

/// What is known of a delivered message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// When it was published.
    pub(super) spot: Spot,
    /// The channel that published it.
    pub(super) channel: Channel,
    pub(super) priority: u8,
    pub(super) ttl_ms: Option<u64>,
    /// Whether it is seen in this queue for the first time.
    pub(super) first: bool,
    /// Whether it came here as a dead letter.
    pub(super) dead: bool,
    /// Deliveries in the queue where it died.
    pub(super) deliveries_before: u64,
    /// Whether somebody discarded it there.
    pub(super) discarded: bool,
}

/// A consumer.
#[derive(Clone, Debug)]
pub(super) struct Consuming {
    pub(super) spot: Spot,
    pub(super) channel: Channel,
    pub(super) queue: Rc<str>,
    pub(super) prefetch: u64,
    pub(super) automatic: bool,
    pub(super) exclusive: bool,
    pub(super) is_cancelled: bool,
    pub(super) held: u64,
}

/// All that is known while the history is walked.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) doubts: Doubts,
    pub(super) rules: HashMap<Rc<str>, Rules>,
    channels: HashMap<Channel, Live>,
    consumers: HashMap<Consumer, Consuming>,
    /// The last time that a consumer of a queue was lost.
    losses: HashMap<Rc<str>, Spot>,
    /// The last time that a consumer of a queue was lost, cancelled or closed.
    departures: HashMap<Rc<str>, Spot>,
    names: HashMap<String, Rc<str>>,
    /// Phases so far, with the time of their begin.
    pub(super) phases: Vec<(String, u64)>,
}

#[derive(Debug, Default)]
struct Live {
    node: Rc<str>,
    held: BTreeMap<u64, Delivery>,
    /// Settled, and not certain.
    settled: Vec<(Delivery, How)>,
    /// How many of those were settled before the question.
    asked: usize,
    consumers: Vec<Consumer>,
}

impl World {
    /// Sees the next line, and adds what it means.
    pub(super) fn see(
        &mut self,
        spot: Spot,
        event: &Event,
        facts: &mut Vec<Fact>,
        report: &mut Report,
    ) {
        self.doubts.see(spot.at, event);
        match event {
            Event::Phase { phase } => self.phases.push((phase.clone(), spot.at)),
            Event::Queue { queue, rules } => {
                let queue = self.name(queue);
                self.rules.insert(queue, rules.clone());
            }
            Event::Open { channel, node, .. } => {
                let node = self.name(node);
                self.channels.insert(*channel, Live { node, ..Live::default() });
            }
            Event::Lost { channel, .. } => self.end(spot, *channel, true, facts),
            Event::Closed { channel } => self.end(spot, *channel, false, facts),
            Event::Consume { .. } => self.consume(spot, event),
            Event::Cancel { consumer, .. } => {
                if let Some(consuming) = self.consumers.get_mut(consumer) {
                    consuming.is_cancelled = true;
                    self.departures.insert(Rc::clone(&consuming.queue), spot);
                }
            }
            Event::Deliver { .. } => self.deliver(spot, event, facts, report),
            Event::Settle { channel, tag, multiple, how } => {
                self.settle(*channel, *tag, *multiple, *how, facts);
            }
            Event::Ask { channel } => {
                if let Some(live) = self.channels.get_mut(channel) {
                    live.asked = live.settled.len();
                }
            }
            Event::Certain { channel } => self.certain(spot, *channel, facts),
            _ => {}
        }
    }

    /// The node that a channel is connected to.
    pub(super) fn node(&self, channel: Channel) -> &str {
        self.channels.get(&channel).map_or("", |live| &live.node)
    }

    /// Whether the cluster may have given up the channel's session since a time.
    pub(super) fn is_doubtful(&self, channel: Channel, since: u64, now: u64) -> bool {
        self.doubts.touch(self.node(channel), since, now)
    }

    /// Whether a delivery may have been on its way since before its node was frozen or cut off.
    pub(super) fn is_stale(&self, delivery: &Delivery) -> bool {
        let (came, at) = (delivery.consuming.at, delivery.spot.at);
        self.doubts.delay(self.node(delivery.channel), came, at)
    }

    /// A consumer, until its channel ends.
    pub(super) fn consumer(&self, consumer: Consumer) -> Option<&Consuming> {
        self.consumers.get(&consumer)
    }

    /// The oldest delivery that a consumer holds.
    pub(super) fn oldest(&self, consumer: Consumer) -> Option<&Delivery> {
        let live = self.channels.get(&self.consumers.get(&consumer)?.channel)?;
        live.held.values().find(|delivery| delivery.consumer == consumer)
    }

    /// The rules of a queue.
    pub(super) fn rules_of(&self, queue: &str) -> Option<&Rules> {
        self.rules.get(queue)
    }

    /// Whether a queue may have had a consumer that was gone since then: the broker may notice a
    /// loss a while after the client.
    pub(super) fn was_loss_since(&self, queue: &str, then: Spot) -> bool {
        self.losses.get(queue).is_some_and(|loss| loss.at.saturating_add(NOTICED) > then.at)
    }

    /// Whether a consumer of a queue was lost, cancelled or closed since then.
    pub(super) fn was_departure_since(&self, queue: &str, then: Spot) -> bool {
        let departure = self.departures.get(queue);
        let has_left = departure.is_some_and(|left| left.at.saturating_add(LEFT) > then.at);
        has_left || self.was_loss_since(queue, then)
    }

    /// Whether something on a disk was damaged on purpose.
    pub(super) fn is_damaged(&self) -> bool {
        self.doubts.is_damaged()
    }

    /// When a phase began.
    pub(super) fn phase(&self, name: &str) -> Option<u64> {
        self.phases.iter().find(|(phase, _)| phase == name).map(|(_, at)| *at)
    }

    /// One copy of a name.
    pub(super) fn name(&mut self, name: &str) -> Rc<str> {
        if let Some(known) = self.names.get(name) {
            return Rc::clone(known);
        }
        let made: Rc<str> = Rc::from(name);
        self.names.insert(name.to_owned(), Rc::clone(&made));
        made
    }

    fn consume(&mut self, spot: Spot, event: &Event) {
        let Event::Consume { consumer, channel, queue, prefetch, automatic, exclusive, .. } = event
        else {
            return;
        };
        let consuming = Consuming {
            spot,
            channel: *channel,
            queue: self.name(queue),
            prefetch: u64::from(*prefetch),
            automatic: *automatic,
            exclusive: *exclusive,
            is_cancelled: false,
            held: 0,
        };
        self.consumers.insert(*consumer, consuming);
        self.channels.entry(*channel).or_default().consumers.push(*consumer);
    }

    fn deliver(&mut self, spot: Spot, event: &Event, facts: &mut Vec<Fact>, report: &mut Report) {
        let Event::Deliver {
            consumer,
            tag,
            message,
            size,
            sum,
            redelivered,
            acquired,
            count,
            death,
        } = event
        else {
            return;
        };
        let Some(consuming) = self.consumers.get_mut(consumer) else {
            let line = spot.line;
            return report.blame("I2", format!("line {line}: consumer {consumer} does not exist"));
        };
        let delivery = Delivery {
            spot,
            channel: consuming.channel,
            consumer: *consumer,
            consuming: consuming.spot,
            automatic: consuming.automatic,
            queue: Rc::clone(&consuming.queue),
            message: *message,
            size: *size,
            sum: *sum,
            redelivered: *redelivered,
            acquired: *acquired,
            count: *count,
            death: death.clone().map(Rc::new),
            origin: None,
        };
        facts.push(Fact::Delivered(delivery.clone()));
        if !consuming.automatic {
            consuming.held += 1;
            let channel = consuming.channel;
            self.channels.entry(channel).or_default().held.insert(*tag, delivery);
        }
    }

    fn settle(
        &mut self,
        channel: Channel,
        tag: u64,
        multiple: bool,
        how: How,
        facts: &mut Vec<Fact>,
    ) {
        let Some(live) = self.channels.get_mut(&channel) else { return };
        let mut gone = Vec::new();
        if multiple {
            let rest = live.held.split_off(&tag.saturating_add(1));
            gone.extend(std::mem::replace(&mut live.held, rest).into_values());
        } else {
            gone.extend(live.held.remove(&tag));
        }
        for delivery in gone {
            if let Some(consuming) = self.consumers.get_mut(&delivery.consumer) {
                consuming.held -= 1;
            }
            facts.push(Fact::Settled(delivery.clone(), how));
            live.settled.push((delivery, how));
        }
    }

    fn certain(&mut self, spot: Spot, channel: Channel, facts: &mut Vec<Fact>) {
        let Some(live) = self.channels.get_mut(&channel) else { return };
        let asked = std::mem::take(&mut live.asked);
        for (delivery, how) in live.settled.drain(..asked.min(live.settled.len())) {
            // A session that was given up hears nothing of what its clients settle.
            if !self.doubts.touch(&live.node, delivery.spot.at, spot.at) {
                facts.push(Fact::Certain(delivery, how));
            }
        }
    }

    fn end(&mut self, spot: Spot, channel: Channel, lost: bool, facts: &mut Vec<Fact>) {
        let Some(live) = self.channels.remove(&channel) else { return };
        for consumer in live.consumers {
            let Some(consuming) = self.consumers.remove(&consumer) else { continue };
            self.departures.insert(Rc::clone(&consuming.queue), spot);
            if lost {
                self.losses.insert(consuming.queue, spot);
            }
        }
        facts.extend(live.held.into_values().map(Fact::Released));
    }
}
