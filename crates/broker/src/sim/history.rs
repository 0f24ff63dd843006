//! What happened in a run, and what was wrong with it.
//!
//! A message is named by the publishing channel and its number there. It is sent once: what
//! becomes of one whose channel is lost before its confirm is not known, and either way is right.
//!
//! What is held against the broker (the numbers are those of the catalogue of invariants):
//! - **I1** what was confirmed was acknowledged by somebody when all queues were drained: it was
//!   delivered, and again when whoever had it was lost;
//! - **I2** what was delivered had been published, to that queue;
//! - **I3** what was delivered before comes again only with its flag, and only when whoever had it
//!   gave it back, or lost its connection, or its node's session was declared lost;
//! - **I4** what a consumer is given of one channel without the flag ascends;
//! - **I5** what was settled for certain does not come again;
//! - **I6** a publish is confirmed once and never refused;
//! - **I7** no consumer holds more than its prefetch;
//! - **I14** replicas that have applied as much have come to the same;
//! - **I15** no node goes back to an earlier leader, nor, while it lives, to what it had applied before, and
//!   its log is in order. (A term may have several leaders here, one after the other; the higher node
//!   wins.)
//!
//! Where a node was given up while it lived, its clients hold what is not theirs any more: there
//! I3 and I7 are not held against the broker.
//!
//! Every event also goes into a hash: two runs of one seed must give the same.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;
use std::sync::{Arc, Mutex, MutexGuard};

use rustc_hash::FxHasher;
use warren_consensus::{Leadership, Status};
use warren_machine::Digest;
use warren_types::{BootId, GroupId, LogIndex, NodeId, Term};

use super::clock;
use super::network::{Life, Spot};

/// A publishing channel, in the order in which they were opened.
pub(super) type Publisher = u32;

/// A consumer, in the order in which they were made. One that consumes anew is another.
pub(super) type Consumer = usize;

/// A message.
pub(super) type Message = (Publisher, u32);

/// Which start of which node.
pub(super) type Session = (NodeId, BootId);

/// The history of a run. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct History {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    publishers: Vec<Channel>,
    consumers: Vec<Given>,
    messages: BTreeMap<Message, Story>,
    /// The latest term, and the latest leader, that each node knows.
    leaders: BTreeMap<(Spot, GroupId), (Term, Leader)>,
    /// How far each start of a node has committed and applied.
    progress: BTreeMap<(Spot, Life, GroupId), (LogIndex, LogIndex)>,
    /// What replicas have come to, by what they have applied.
    states: BTreeMap<(GroupId, LogIndex), Digest>,
    /// Sessions that the catalog has said to be over.
    lost: BTreeSet<Session>,
    faults: Vec<String>,
    events: Vec<String>,
    hasher: FxHasher,
    summary: Summary,
}

type Leader = (Term, NodeId);

struct Channel {
    queue: String,
    sent: u32,
}

struct Given {
    queue: String,
    session: Session,
    prefetch: usize,
    held: usize,
    over: bool,
    /// The highest number that each channel's messages have reached here without a flag.
    highest: BTreeMap<Publisher, u32>,
}

#[derive(Default)]
struct Story {
    confirmed: bool,
    /// Purged, or gone with its queue, or may be.
    removed: bool,
    delivered: u32,
    holder: Option<Holder>,
    /// Whoever had it has acknowledged it.
    acknowledged: bool,
    settled: bool,
}

#[derive(Clone, Copy)]
struct Holder {
    consumer: Consumer,
    acknowledged: bool,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) sent: u64,
    pub(super) confirmed: u64,
    pub(super) delivered: u64,
    pub(super) repeated: u64,
    pub(super) crashes: u64,
    pub(super) cuts: u64,
    pub(super) sessions_lost: u64,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) summary: String,
    /// Of all that happened.
    pub(super) hash: u64,
    /// What was wrong.
    pub(super) faults: Vec<String>,
    /// What happened.
    pub(super) events: Vec<String>,
}

impl History {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Something that is not judged.
    pub(super) fn note(&self, text: String) {
        self.inner().event(text);
    }

    /// Something that must not happen.
    pub(super) fn fault(&self, text: String) {
        self.inner().fault(text);
    }

    /// Counts something for the summary.
    pub(super) fn count(&self, count: impl FnOnce(&mut Summary)) {
        count(&mut self.inner().summary);
    }

    /// A channel that publishes to one queue.
    pub(super) fn publisher(&self, queue: &str) -> Publisher {
        let mut inner = self.inner();
        let number = Publisher::try_from(inner.publishers.len()).unwrap();
        inner.publishers.push(Channel { queue: queue.to_owned(), sent: 0 });
        inner.event(format!("publisher {number} to {queue}"));
        number
    }

    /// A message is about to be sent.
    pub(super) fn publish(&self, publisher: Publisher) -> Message {
        let mut inner = self.inner();
        let channel = &mut inner.publishers[usize::try_from(publisher).unwrap()];
        let message = (publisher, channel.sent);
        channel.sent += 1;
        inner.summary.sent += 1;
        inner.messages.insert(message, Story::default());
        inner.event(format!("publish {message:?}"));
        message
    }

    /// A message was confirmed.
    pub(super) fn confirm(&self, message: Message) {
        let mut inner = self.inner();
        inner.event(format!("confirm {message:?}"));
        inner.summary.confirmed += 1;
        let story = inner.messages.get_mut(&message).expect("who confirms knows it");
        if std::mem::replace(&mut story.confirmed, true) {
            inner.fault(format!("I6: {message:?} was confirmed twice"));
        }
    }

    /// A consumer that is about to be made.
    pub(super) fn consumer(&self, queue: &str, session: Session, prefetch: u16) -> Consumer {
        let mut inner = self.inner();
        let number = inner.consumers.len();
        inner.event(format!("consumer {number} of {queue} at {session:?}, prefetch {prefetch}"));
        inner.consumers.push(Given {
            queue: queue.to_owned(),
            session,
            prefetch: usize::from(prefetch),
            held: 0,
            over: false,
            highest: BTreeMap::new(),
        });
        number
    }

    /// A message was delivered.
    pub(super) fn deliver(&self, consumer: Consumer, message: Message, flagged: bool) {
        let mut inner = self.inner();
        inner.event(format!("deliver {message:?} to {consumer}, flagged {flagged}"));
        inner.summary.delivered += 1;
        let given = &mut inner.consumers[consumer];
        given.held += 1;
        let (held, prefetch, queue) = (given.held, given.prefetch, given.queue.clone());
        let session = given.session;
        if prefetch > 0 && held > prefetch && !inner.lost.contains(&session) {
            inner.fault(format!("I7: consumer {consumer} holds {held} of {prefetch}"));
        }
        let published = usize::try_from(message.0).ok().and_then(|at| inner.publishers.get(at));
        if published.is_none_or(|channel| channel.queue != queue || message.1 >= channel.sent) {
            return inner.fault(format!("I2: {message:?} from {queue} was never published there"));
        }
        // To a node that was given up, deliveries of before may come late, when others have them.
        if !inner.lost.contains(&session) {
            inner.judge_repetition(consumer, message, flagged);
        }
        if !flagged {
            inner.judge_order(consumer, message);
        }
        let story = inner.messages.get_mut(&message).expect("it was published");
        story.delivered += 1;
        story.holder = Some(Holder { consumer, acknowledged: false });
    }

    /// A consumer acknowledges a message.
    pub(super) fn acknowledge(&self, consumer: Consumer, message: Message) {
        let mut inner = self.inner();
        inner.event(format!("acknowledge {message:?} by {consumer}"));
        inner.consumers[consumer].held -= 1;
        if let Some(holder) = inner.holder(consumer, message) {
            holder.acknowledged = true;
        }
        // A session that was declared lost may be open again: what it had may be its own, or others'.
        let lost = inner.lost.contains(&inner.consumers[consumer].session);
        let story = inner.messages.get_mut(&message).expect("it was delivered");
        story.acknowledged |=
            lost || story.holder.is_some_and(|holder| holder.consumer == consumer);
    }

    /// A consumer gives a message back.
    pub(super) fn give_back(&self, consumer: Consumer, message: Message) {
        let mut inner = self.inner();
        inner.event(format!("give back {message:?} by {consumer}"));
        inner.consumers[consumer].held -= 1;
        if inner.holder(consumer, message).is_some() {
            inner.messages.get_mut(&message).expect("it has a holder").holder = None;
        }
    }

    /// All acknowledgements of a consumer up to here are certain, as a later question was answered,
    /// unless its session was lost meanwhile.
    pub(super) fn certain(&self, consumer: Consumer, messages: &[Message]) {
        let mut inner = self.inner();
        inner.event(format!("certain {messages:?} by {consumer}"));
        if inner.lost.contains(&inner.consumers[consumer].session) {
            return;
        }
        for message in messages {
            if inner.holder(consumer, *message).is_some_and(|holder| holder.acknowledged) {
                inner.messages.get_mut(message).expect("it has a holder").settled = true;
            }
        }
    }

    /// A consumer has lost its connection, or ended it.
    pub(super) fn gone(&self, consumer: Consumer) {
        let mut inner = self.inner();
        inner.event(format!("consumer {consumer} gone"));
        inner.consumers[consumer].over = true;
    }

    /// Messages may be gone from their queue.
    pub(super) fn removed(&self, messages: &[Message]) {
        let mut inner = self.inner();
        inner.event(format!("removed {messages:?}"));
        for message in messages {
            inner.messages.get_mut(message).expect("it was published").removed = true;
        }
    }

    /// The catalog says that a start of a node is over.
    pub(super) fn session_lost(&self, session: Session) {
        let mut inner = self.inner();
        if inner.lost.insert(session) {
            inner.summary.sessions_lost += 1;
            inner.event(format!("session {session:?} is lost"));
        }
    }

    /// What a start of a node knows of a group.
    pub(super) fn status(&self, spot: Spot, life: Life, group: GroupId, status: &Status) {
        let mut inner = self.inner();
        inner.judge_leader(spot, group, status.leadership);
        let Status { last, committed, applied, snapshot, purged, .. } = *status;
        let order = [purged, snapshot, applied, committed, last];
        if !order.is_sorted() {
            inner.fault(format!("I15: {group} at {spot}: {order:?} is out of order"));
        }
        let before = inner.progress.insert((spot, life, group), (committed, applied));
        if before.is_some_and(|(before, done)| committed < before || applied < done) {
            inner.fault(format!("I15: {group} at {spot}: back from {before:?} to {order:?}"));
        }
    }

    /// What a replica has come to.
    pub(super) fn state(&self, spot: Spot, group: GroupId, applied: LogIndex, digest: Digest) {
        let mut inner = self.inner();
        if *inner.states.entry((group, applied)).or_insert(digest) != digest {
            inner.fault(format!("I14: {group} at {spot}: another state at {applied}"));
        }
    }

    /// Confirmed messages that nobody has acknowledged.
    pub(super) fn missing(&self) -> Vec<Message> {
        let inner = self.inner();
        let missing = inner
            .messages
            .iter()
            .filter(|(_, story)| story.confirmed && !story.removed && !story.acknowledged);
        missing.map(|(message, _)| *message).collect()
    }

    /// The last things that happened.
    pub(super) fn last(&self, count: usize) -> Vec<String> {
        let inner = self.inner();
        let events = &inner.events;
        events[events.len().saturating_sub(count)..].to_vec()
    }

    /// Ends the history.
    pub(super) fn finish(&self) -> Outcome {
        for message in self.missing() {
            self.fault(format!("I1: {message:?} was confirmed and is lost"));
        }
        let mut inner = self.inner();
        Outcome {
            summary: format!("{:?}", inner.summary),
            hash: inner.hasher.finish(),
            faults: std::mem::take(&mut inner.faults),
            events: std::mem::take(&mut inner.events),
        }
    }
}

impl Inner {
    fn event(&mut self, text: String) {
        let line = format!("{:>7} {text}", clock::elapsed().as_millis());
        self.hasher.write(line.as_bytes());
        self.events.push(line);
    }

    fn fault(&mut self, text: String) {
        self.event(format!("FAULT {text}"));
        let at = clock::elapsed().as_millis();
        self.faults.push(format!("{at:>7} {text}"));
    }

    /// Whose a message is, if it is this consumer's.
    fn holder(&mut self, consumer: Consumer, message: Message) -> Option<&mut Holder> {
        let holder = self.messages.get_mut(&message)?.holder.as_mut()?;
        (holder.consumer == consumer).then_some(holder)
    }

    fn judge_leader(&mut self, spot: Spot, group: GroupId, leadership: Leadership) {
        let Leadership { leader, term, .. } = leadership;
        let (before, last) = self.leaders.get(&(spot, group)).copied().unwrap_or_default();
        let leader = leader.map_or(last, |leader| (term, leader));
        if term < before || leader < last {
            self.fault(format!("I15: {group} at {spot}: {leader:?} in {term} after {last:?}"));
        }
        if leader != last {
            self.event(format!("{group} at {spot}: {leader:?} leads"));
        }
        self.leaders.insert((spot, group), (term, leader));
    }

    fn judge_repetition(&mut self, consumer: Consumer, message: Message, flagged: bool) {
        let story = &self.messages[&message];
        if story.delivered == 0 {
            return;
        }
        let (settled, holder) = (story.settled, story.holder);
        self.summary.repeated += 1;
        if !flagged {
            self.fault(format!("I3: {message:?} came to {consumer} again without its flag"));
        }
        if settled {
            self.fault(format!("I5: {message:?} came to {consumer} after it was settled"));
        }
        if let Some(Holder { consumer: had, .. }) = holder {
            let former = &self.consumers[had];
            if !former.over && !self.lost.contains(&former.session) {
                self.fault(format!("I3: {message:?} came to {consumer}, but {had} has it"));
            }
        }
    }

    fn judge_order(&mut self, consumer: Consumer, message: Message) {
        let (publisher, number) = message;
        let highest = self.consumers[consumer].highest.entry(publisher).or_default();
        let before = *highest;
        *highest = before.max(number);
        if number < before {
            self.fault(format!("I4: {message:?} came to {consumer} after {before}"));
        }
    }
}

#[cfg(test)]
mod tests;
