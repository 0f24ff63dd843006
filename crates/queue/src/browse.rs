//! The messages of a queue, one after the other, wherever they are. Reads, and changes nothing.
//!
//! They are listed in this order: what waits, as it will be given out; what consumers hold, one
//! after the other; what is kept for clients whose connections broke; what came back and waits for
//! its next attempt; what waits for a time that its publisher chose; and what is dead and on its way
//! elsewhere.
//!
//! **Always holds:** going on where an earlier look has ended passes over nothing that has stayed
//! where it was, and costs nothing for what lies before.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use warren_types::{
    ConsumerId, DeliverySequence, Location, LogIndex, MessageNumber, QueueId, Timestamp,
};

use crate::clock::NEVER;
use crate::queue::{Consumer, Queue};
use crate::run::Run;
use crate::shard::Shard;
use crate::{DeadSequence, Spot};

/// A message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageListing {
    /// Where in the queue it is.
    pub spot: Spot,
    /// Where its record stands.
    pub at: Location,
    /// Bytes of its body, all parts included.
    pub size: u32,
    /// How often it was given out and came back.
    pub acquired_count: u32,
    /// How often that was a failed delivery.
    pub delivery_count: u32,
    /// Until its time comes, where it waits for one.
    pub in_ms: Option<u64>,
    /// Until it has waited for too long, where that is bounded.
    pub expires_in_ms: Option<u64>,
    /// Who holds it.
    pub holder: Option<(ConsumerId, Bytes)>,
    /// Where the earlier parts of a large body stand, in order.
    pub parts: Option<Arc<[Location]>>,
}

/// Some of the messages of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessagePage {
    /// In order.
    pub messages: Vec<MessageListing>,
    /// The message that comes next.
    pub next: Option<(Spot, Location)>,
}

/// The message that a look goes on with.
type From = Option<(Spot, Location)>;

type Stretches<'a> = Box<dyn Iterator<Item = Stretch<'a>> + 'a>;

/// The parts of a queue in order: each as far as it lies behind a message of its own, or the whole.
const SECTIONS: [fn(&Queue, From) -> Stretches<'_>; 6] =
    [waiting, held, reserved, delayed, scheduled, dead];

/// Messages that are alike and stand together.
struct Stretch<'a> {
    /// Where the first one is.
    spot: Spot,
    run: Cow<'a, Run>,
    holder: Option<&'a Consumer>,
}

impl Shard {
    /// Up to `limit` messages of a queue: the first, or those from one on that an earlier look has
    /// named as the next. None where there is no such queue.
    #[must_use]
    pub fn browse(&self, queue: QueueId, from: From, limit: usize) -> Option<MessagePage> {
        let queue = self.queues.queue(queue)?;
        let mut messages = stretches(queue, from).flat_map(|stretch| {
            let passed = from.map_or(0, |(spot, _)| stretch.before(spot));
            stretch.messages(passed, self.clock.now)
        });
        let page = messages.by_ref().take(limit).collect();
        let next = messages.next().map(|next| (next.spot, next.at));
        Some(MessagePage { messages: page, next })
    }

    /// Those of the messages of a queue whose records stand at these places, in order.
    #[must_use]
    pub fn locate(&self, queue: QueueId, wanted: &BTreeSet<Location>) -> Vec<MessageListing> {
        let Some(queue) = self.queues.queue(queue) else { return vec![] };
        let rows: BTreeSet<LogIndex> = wanted.iter().map(|at| at.index).collect();
        let all = stretches(queue, None).filter(|stretch| rows.contains(&stretch.run.index));
        let messages = all.flat_map(|stretch| stretch.messages(0, self.clock.now));
        messages.filter(|message| wanted.contains(&message.at)).collect()
    }
}

impl<'a> Stretch<'a> {
    /// A stretch that nobody holds.
    fn free(spot: Spot, run: &'a Run) -> Self {
        Self { spot, run: Cow::Borrowed(run), holder: None }
    }

    /// How many of its messages stand before a spot.
    fn before(&self, other: Spot) -> u32 {
        let wanted = match (self.spot, other) {
            (
                Spot::Waiting { level, number },
                Spot::Waiting { level: other_level, number: other },
            ) if level == other_level => other.0.saturating_sub(number.0),
            (
                Spot::Held { order, sequence },
                Spot::Held { order: other_order, sequence: other },
            ) if order == other_order => other.0.saturating_sub(sequence.0),
            (Spot::Dead { sequence }, Spot::Dead { sequence: other }) => {
                other.0.saturating_sub(sequence.0)
            }
            // The others stand alone, or in another part of the queue.
            _ => 0,
        };
        u32::try_from(wanted).unwrap_or(u32::MAX)
    }

    /// Its messages without the first ones that an earlier look has passed.
    fn messages(
        self,
        passed: u32,
        now: Timestamp,
    ) -> impl Iterator<Item = MessageListing> + use<'a> {
        let Self { spot, run, holder } = self;
        let holder = holder.map(|one| (one.id, Bytes::copy_from_slice(&one.tag)));
        let due = match spot {
            Spot::Delayed { due, .. } | Spot::Scheduled { due } => Some(due),
            Spot::Waiting { .. }
            | Spot::Held { .. }
            | Spot::Reserved { .. }
            | Spot::Dead { .. } => None,
        };
        (passed..run.count).map(move |nth| {
            let one = run.single(nth);
            let deadline = Some(one.deadline).filter(|deadline| *deadline != NEVER);
            MessageListing {
                spot: nth_spot(spot, u64::from(nth)),
                at: Location { index: one.index, offset: one.offset },
                size: one.size,
                acquired_count: one.acquired,
                delivery_count: one.failed,
                in_ms: due.map(|due| due.0.saturating_sub(now.0)),
                expires_in_ms: deadline.map(|deadline| deadline.0.saturating_sub(now.0)),
                holder: holder.clone(),
                parts: one.parts.map(|parts| Arc::clone(&parts.locations)),
            }
        })
    }
}

/// Where the message stands that comes `nth` after the one at `first`.
fn nth_spot(first: Spot, nth: u64) -> Spot {
    match first {
        Spot::Waiting { level, number } => {
            Spot::Waiting { level, number: MessageNumber(number.0.saturating_add(nth)) }
        }
        Spot::Held { order, sequence } => {
            Spot::Held { order, sequence: DeliverySequence(sequence.0.saturating_add(nth)) }
        }
        Spot::Dead { sequence } => {
            Spot::Dead { sequence: DeadSequence(sequence.0.saturating_add(nth)) }
        }
        alone @ (Spot::Reserved { .. } | Spot::Delayed { .. } | Spot::Scheduled { .. }) => alone,
    }
}

/// All that a queue holds, from the stretch on that has the message `from`, or would have it.
fn stretches(queue: &Queue, from: From) -> impl Iterator<Item = Stretch<'_>> {
    let begun = from.map_or(0, |(spot, _)| section(spot));
    SECTIONS.iter().skip(begun).flat_map(move |section| section(queue, from))
}

/// Which of [`SECTIONS`] has a spot.
fn section(spot: Spot) -> usize {
    match spot {
        Spot::Waiting { .. } => 0,
        Spot::Held { .. } => 1,
        Spot::Reserved { .. } => 2,
        Spot::Delayed { .. } => 3,
        Spot::Scheduled { .. } => 4,
        Spot::Dead { .. } => 5,
    }
}

fn waiting(queue: &Queue, from: From) -> Stretches<'_> {
    let from = match from {
        Some((Spot::Waiting { level, number }, _)) => Some((level, number)),
        _ => None,
    };
    Box::new(queue.ready.runs_in_turn(from).map(|run| {
        let spot = Spot::Waiting { level: run.level, number: run.number };
        Stretch { spot, run, holder: None }
    }))
}

fn held(queue: &Queue, from: From) -> Stretches<'_> {
    let (first_order, first) = match from {
        Some((Spot::Held { order, sequence }, _)) => (order, sequence.0),
        _ => (0, 0),
    };
    let holders = queue.consumers.iter().skip_while(move |one| one.order < first_order);
    Box::new(holders.flat_map(move |one| {
        let first = if one.order == first_order { first } else { 0 };
        one.held.runs_from(first).map(move |(sequence, run)| {
            let spot = Spot::Held { order: one.order, sequence: DeliverySequence(sequence) };
            Stretch { holder: Some(one), ..Stretch::free(spot, run) }
        })
    }))
}

fn reserved(queue: &Queue, from: From) -> Stretches<'_> {
    let place = |run: &Run| (Reverse(run.level), run.number);
    let first = match from {
        Some((Spot::Reserved { level, number }, _)) => Some((Reverse(level), number)),
        _ => None,
    };
    let runs = queue.aside.iter().flat_map(|aside| aside.reserved.runs());
    let mut runs: Vec<&Run> = runs.filter(|run| first <= Some(place(run))).collect();
    runs.sort_by_key(|run| place(run));
    Box::new(runs.into_iter().map(|run| {
        let spot = Spot::Reserved { level: run.level, number: run.number };
        Stretch::free(spot, run)
    }))
}

fn delayed(queue: &Queue, from: From) -> Stretches<'_> {
    let from = match from {
        Some((Spot::Delayed { due, number }, _)) => Some((due, number)),
        _ => None,
    };
    let runs = queue.aside.iter().flat_map(move |aside| aside.delayed.runs_from(from));
    Box::new(runs.map(|(due, run)| Stretch::free(Spot::Delayed { due, number: run.number }, run)))
}

fn scheduled(queue: &Queue, from: From) -> Stretches<'_> {
    let from = match from {
        Some((Spot::Scheduled { due }, at)) => Some((due, at)),
        _ => None,
    };
    let runs = queue.aside.iter().flat_map(move |aside| aside.scheduled.runs_from(from));
    Box::new(runs.map(|(due, run)| Stretch::free(Spot::Scheduled { due }, run)))
}

fn dead(queue: &Queue, from: From) -> Stretches<'_> {
    let first = match from {
        Some((Spot::Dead { sequence }, _)) => sequence.0,
        _ => 0,
    };
    let runs = queue.aside.iter().flat_map(move |aside| aside.dead.runs_from(first));
    Box::new(
        runs.map(|(sequence, run)| {
            Stretch::free(Spot::Dead { sequence: DeadSequence(sequence) }, run)
        }),
    )
}
