//! What became of each message: I1 loss, I2 ghosts, I3 duplicates, I5 resurrection, I13 what was undone.
//!
//! A message has a place in each queue where it was seen. It is lost if it was confirmed, and nobody
//! acknowledged it in a queue where it belongs, nor among that queue's dead letters, although nothing that
//! was asked for or promised took it away.

use std::collections::HashMap;
use std::rc::Rc;

use super::Spot;
use super::report::Report;
use super::world::{Delivery, Fact, Origin, World};
use crate::history::{Channel, Event, How, Message, Overflow};

/// How many queues dead letters can pass before the last.
const DEATHS: usize = 4;

/// Every message.
#[derive(Debug, Default)]
pub(super) struct Messages {
    stories: HashMap<Message, Story>,
    removals: HashMap<Rc<str>, Vec<Removal>>,
    drained: HashMap<Rc<str>, Spot>,
}

#[derive(Debug)]
struct Story {
    spot: Spot,
    channel: Channel,
    size: u64,
    sum: u32,
    priority: u8,
    ttl_ms: Option<u64>,
    queues: Vec<Rc<str>>,
    confirmed: Option<Spot>,
    refused: Option<Spot>,
    undone: Option<Spot>,
    places: Vec<Place>,
}

/// What happened to a message in one queue.
#[derive(Debug)]
struct Place {
    queue: Rc<str>,
    times: u64,
    latest: Spot,
    holder: Option<Holder>,
    acknowledged: bool,
    discarded: bool,
    certain: Option<Spot>,
    acquired: u64,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Holder {
    channel: Channel,
    spot: Spot,
}

/// A queue.purge or queue.delete.
#[derive(Debug)]
struct Removal {
    asked: u64,
    done: Option<u64>,
    delete: bool,
}

impl Messages {
    /// Sees the next line, and notes in deliveries what is known of their messages.
    pub(super) fn see(
        &mut self,
        spot: Spot,
        event: &Event,
        facts: &mut [Fact],
        world: &World,
        report: &mut Report,
    ) {
        self.note(spot, event, world);
        for fact in facts {
            match fact {
                Fact::Confirmed { message, taken } => self.confirm(spot, *message, *taken),
                Fact::Undone { message } => {
                    if let Some(story) = self.stories.get_mut(message) {
                        story.undone = Some(spot);
                        if let Some(place) = story.places.first() {
                            let line = place.latest.line;
                            let text =
                                format!("message {message} came (line {line}) and was undone");
                            report.blame("I13", text);
                        }
                    }
                }
                Fact::Delivered(delivery) => self.deliver(spot, delivery, world, report),
                Fact::Settled(delivery, how) => self.settle(delivery, *how),
                Fact::Certain(delivery, how) => self.certain(spot, delivery, *how),
                Fact::Released(delivery) => self.release(delivery),
            }
        }
    }

    /// Finds what is lost in queues that were emptied, and tells how much it is.
    pub(super) fn finish(&self, world: &World, report: &mut Report) -> u64 {
        let mut lost: Vec<(Message, &Story, &Rc<str>)> = Vec::new();
        for (message, story) in &self.stories {
            if story.confirmed.is_none() {
                continue;
            }
            let drained = story.queues.iter().filter(|queue| self.drained.contains_key(*queue));
            for queue in drained.filter(|queue| self.is_lost(story, queue, world)) {
                lost.push((*message, story, queue));
            }
        }
        lost.sort_unstable_by_key(|(message, ..)| *message);
        for (message, story, queue) in &lost {
            report.blame("I1", story.obituary(*message, queue));
        }
        u64::try_from(lost.len()).expect("64 bits count anything in memory")
    }

    fn note(&mut self, spot: Spot, event: &Event, world: &World) {
        // The world has seen the line, so it knows every queue with rules; others name themselves.
        let name = |queue: &str| {
            world
                .rules
                .get_key_value(queue)
                .map_or_else(|| Rc::from(queue), |(known, _)| Rc::clone(known))
        };
        match event {
            Event::Publish { channel, message, queues, size, sum, priority, ttl_ms, .. } => {
                let story = Story {
                    spot,
                    channel: *channel,
                    size: *size,
                    sum: *sum,
                    priority: *priority,
                    ttl_ms: *ttl_ms,
                    queues: queues.iter().map(|queue| name(queue)).collect(),
                    confirmed: None,
                    refused: None,
                    undone: None,
                    places: Vec::new(),
                };
                self.stories.insert(*message, story);
            }
            Event::Remove { queue, delete } => {
                let removal = Removal { asked: spot.line, done: None, delete: *delete };
                self.removals.entry(name(queue)).or_default().push(removal);
            }
            Event::Removed { queue, delete } => {
                let removals = self.removals.entry(name(queue)).or_default();
                let open =
                    |removal: &&mut Removal| removal.done.is_none() && removal.delete == *delete;
                if let Some(removal) = removals.iter_mut().rev().find(open) {
                    removal.done = Some(spot.line);
                }
            }
            Event::Drained { queue, ready: 0 } => drop(self.drained.insert(name(queue), spot)),
            _ => {}
        }
    }

    fn confirm(&mut self, spot: Spot, message: Message, taken: bool) {
        if let Some(story) = self.stories.get_mut(&message) {
            let when = if taken { &mut story.confirmed } else { &mut story.refused };
            *when = Some(spot);
        }
    }

    fn deliver(&mut self, spot: Spot, delivery: &mut Delivery, world: &World, report: &mut Report) {
        let (queue, line) = (Rc::clone(&delivery.queue), spot.line);
        let story = delivery.message.and_then(|message| self.stories.get_mut(&message));
        let (Some(message), Some(story)) = (delivery.message, story) else {
            return report
                .blame("I2", format!("line {line}: nobody published what came from {queue}"));
        };
        let name =
            format!("message {message} (line {}) from {queue} (line {line})", story.spot.line);
        if (story.size, story.sum) != (delivery.size, delivery.sum) {
            // Whatever damaged a file must not be served.
            let invariant = if world.is_damaged() { "I16" } else { "I2" };
            report.blame(invariant, format!("{name} is not what was published"));
        }
        let Some(source) = story.way_to(&queue, world) else {
            let queues = &story.queues;
            return report.blame("I2", format!("{name} belongs into {queues:?}"));
        };
        story.judge_standing(&name, report);
        let before = source.as_deref().and_then(|source| story.place(source));
        let is_stale = world.is_stale(delivery);
        if let Some(certain) = before.and_then(|place| place.certain).filter(|_| !is_stale) {
            report.blame("I5", format!("{name} was settled for certain (line {})", certain.line));
        }
        let (deliveries_before, discarded) =
            before.map_or((0, false), |place| (place.times, place.discarded));
        let place = story.place_mut(&queue, spot);
        let first = place.times == 0;
        match (is_stale, first) {
            (false, true) => {
                judge_removals(self.removals.get(&queue), story, delivery, &name, report);
            }
            (false, false) => judge_repetition(place, delivery, &name, world, report),
            _ => {}
        }
        let place = story.place_mut(&queue, spot);
        place.times += 1;
        place.acquired = place.acquired.max(delivery.acquired);
        place.count = place.count.max(delivery.count);
        place.acknowledged |= delivery.automatic;
        if first || !is_stale {
            place.latest = spot;
            place.holder = Some(Holder { channel: delivery.channel, spot });
        }
        delivery.origin = Some(Origin {
            spot: story.spot,
            channel: story.channel,
            priority: story.priority,
            ttl_ms: story.ttl_ms,
            first,
            dead: source.is_some(),
            deliveries_before,
            discarded,
        });
    }

    fn settle(&mut self, delivery: &Delivery, how: How) {
        let Some(place) = self.place_of(delivery) else { return };
        match how {
            How::Ack => place.acknowledged = true,
            How::Discard => place.discarded = true,
            How::Requeue => place.holder = None,
        }
    }

    fn certain(&mut self, spot: Spot, delivery: &Delivery, how: How) {
        let Some(place) = self.place_of(delivery) else { return };
        // Somebody who gets it after this one is another holder, with his own settlement.
        if how == How::Ack && place.holder.is_some_and(|holder| holder.spot == delivery.spot) {
            place.certain = Some(spot);
        }
    }

    fn release(&mut self, delivery: &Delivery) {
        let Some(place) = self.place_of(delivery) else { return };
        if place.holder.is_some_and(|holder| holder.spot == delivery.spot) {
            place.holder = None;
        }
    }

    fn place_of(&mut self, delivery: &Delivery) -> Option<&mut Place> {
        let story = self.stories.get_mut(&delivery.message?)?;
        story.places.iter_mut().find(|place| place.queue == delivery.queue)
    }

    /// Whether nothing explains that a message is not there.
    fn is_lost(&self, story: &Story, queue: &str, world: &World) -> bool {
        let place = story.place(queue);
        if place.is_some_and(|place| place.acknowledged) {
            return false;
        }
        let removals = self.removals.get(queue).map(Vec::as_slice).unwrap_or_default();
        if removals.iter().any(|removal| removal.done.is_none_or(|done| done > story.spot.line)) {
            return false;
        }
        let Some(rules) = world.rules_of(queue) else { return true };
        let next = rules.dead_letters.as_deref();
        if next.and_then(|next| story.place(next)).is_some_and(|place| place.acknowledged) {
            return false;
        }
        let may_leave = rules.ttl_ms.is_some()
            || story.ttl_ms.is_some()
            || (rules.max_length.is_some() && rules.overflow == Overflow::DropHead)
            || (rules.delivery_limit.is_some() && place.is_some())
            || place.is_some_and(|place| place.discarded);
        match next {
            _ if rules.transient => false,
            _ if !may_leave => true,
            Some(next) if rules.at_least_once => self.is_lost(story, next, world),
            _ => false,
        }
    }
}

impl Story {
    /// The queue that a message comes from on its way to this one: none within, if it belongs here.
    fn way_to(&self, queue: &str, world: &World) -> Option<Option<Rc<str>>> {
        if self.queues.iter().any(|own| **own == *queue) {
            return Some(None);
        }
        let mut reached = self.queues.clone();
        for _ in 0..DEATHS {
            let next = reached.iter().filter_map(|from| {
                let next = world.rules_of(from)?.dead_letters.as_deref()?;
                Some((Rc::clone(from), next))
            });
            let next: Vec<(Rc<str>, &str)> = next.collect();
            if let Some((from, _)) = next.iter().find(|(_, next)| *next == queue) {
                return Some(Some(Rc::clone(from)));
            }
            reached = next.into_iter().map(|(_, next)| Rc::from(next)).collect();
        }
        None
    }

    fn place(&self, queue: &str) -> Option<&Place> {
        self.places.iter().find(|place| *place.queue == *queue)
    }

    fn place_mut(&mut self, queue: &Rc<str>, spot: Spot) -> &mut Place {
        let at = self.places.iter().position(|place| place.queue == *queue);
        let at = at.unwrap_or_else(|| {
            self.places.push(Place {
                queue: Rc::clone(queue),
                times: 0,
                latest: spot,
                holder: None,
                acknowledged: false,
                discarded: false,
                certain: None,
                acquired: 0,
                count: 0,
            });
            self.places.len() - 1
        });
        &mut self.places[at]
    }

    /// What was undone or refused must not come.
    fn judge_standing(&self, name: &str, report: &mut Report) {
        if let Some(undone) = self.undone {
            report.blame("I13", format!("{name} was undone at line {}", undone.line));
        }
        if let Some(refused) = self.refused.filter(|_| self.queues.len() == 1) {
            report.blame("I6", format!("{name} was refused at line {}", refused.line));
        }
    }

    fn obituary(&self, message: Message, queue: &str) -> String {
        let confirmed = self.confirmed.map(|spot| spot.line).unwrap_or_default();
        let seen: Vec<String> = self
            .places
            .iter()
            .map(|place| {
                let (queue, times, line) = (&place.queue, place.times, place.latest.line);
                format!("{times} times in {queue}, lastly at line {line}")
            })
            .collect();
        let seen = if seen.is_empty() { "never".to_owned() } else { seen.join(", ") };
        format!(
            "message {message} (line {}) was confirmed at line {confirmed} and is lost from {queue}; \
             it was seen {seen}",
            self.spot.line
        )
    }
}

/// What was there before a purge or a delete must not come to who consumes after it.
fn judge_removals(
    removals: Option<&Vec<Removal>>,
    story: &Story,
    delivery: &Delivery,
    name: &str,
    report: &mut Report,
) {
    let Some(confirmed) = story.confirmed else { return };
    for removal in removals.into_iter().flatten() {
        let Some(done) = removal.done else { continue };
        let is_older = confirmed.line < removal.asked && done < delivery.consuming.line;
        // What somebody held stays his in a purge, and comes back flagged.
        if is_older && (removal.delete || !delivery.redelivered) {
            let what = if removal.delete { "deleted" } else { "purged" };
            let text = format!(
                "{name} was confirmed (line {}) before its queue was {what} (lines {} to {done})",
                confirmed.line, removal.asked
            );
            report.blame("I5", text);
        }
    }
}

fn judge_repetition(
    place: &Place,
    delivery: &Delivery,
    name: &str,
    world: &World,
    report: &mut Report,
) {
    let before = place.latest.line;
    if !delivery.redelivered {
        report.blame("I3", format!("{name} came before (line {before}), and has no flag"));
    }
    if let Some(certain) = place.certain {
        let line = certain.line;
        report.blame("I5", format!("{name} was settled for certain (line {line})"));
    }
    let counts = world.rules_of(&place.queue).is_some_and(|rules| rules.counts);
    if counts && delivery.acquired <= place.acquired && delivery.redelivered {
        let text = format!(
            "{name} says that it was given out {} times, and {} at line {before}",
            delivery.acquired, place.acquired
        );
        report.blame("I3", text);
    }
    if delivery.count < place.count {
        let (count, high) = (delivery.count, place.count);
        report.blame("I12", format!("{name} counts {count} after {high} at line {before}"));
    }
    if let Some(holder) = place.holder
        && !world.is_doubtful(holder.channel, holder.spot.at, delivery.spot.at)
    {
        let text = format!(
            "{name} was delivered at line {} to channel {}, which did not give it back",
            holder.spot.line, holder.channel
        );
        report.suspect(delivery.spot, holder.channel, "I3", text);
    }
}
