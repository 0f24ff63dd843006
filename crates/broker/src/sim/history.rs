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
//! - **I8** of a queue with a single active consumer, nobody is given anything while another one
//!   that lives holds something;
//! - **I11** what is buried for its age is as old as that, whatever clocks on walls do;
//! - **I12** what is buried is not delivered by its queue any more, and is buried once;
//! - **I14** replicas that have applied as much have come to the same;
//! - **I15** no node goes back to an earlier leader, nor, while it lives, to what it had applied before, and
//!   its log is in order. (A term may have several leaders here, one after the other; the higher node
//!   wins);
//! - **I17** no node is given up that others have seen all the time.
//!
//! What is held against streams stands in `streams`.
//!
//! Where a node was given up while it lived, its clients hold what is not theirs any more: there
//! I3 and I7 are not held against the broker.
//!
//! Every event also goes into a hash: two runs of one seed must give the same.

mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustc_hash::FxHasher;
use warren_consensus::{Leadership, Status};
use warren_machine::Digest;
use warren_types::{BootId, GroupId, LogIndex, NodeId, Term};

use super::clock;
use super::network::{Life, Spot};

pub(super) use streams::Reading;
use streams::Stream;

/// A publishing channel, in the order in which they were opened.
pub(super) type Publisher = u32;

/// A consumer, in the order in which they were made. One that consumes anew is another.
pub(super) type Consumer = usize;

/// A message.
pub(super) type Message = (Publisher, u32);

/// Which start of which node.
pub(super) type Session = (NodeId, BootId);

/// Shards count in milliseconds: by less than one of them may a message be buried early.
const TICK: Duration = Duration::from_millis(1);

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
    /// Up to which of the catalog's entries something is known of a session, and whether it runs then.
    sessions: BTreeMap<Session, (LogIndex, bool)>,
    /// Nodes whose clients are sent away: they hear it later than others are given what they had.
    dismissed: BTreeSet<NodeId>,
    /// Queues with a single active consumer.
    single: BTreeSet<String>,
    /// Where queues bury what they do not keep, and how old that must be at least.
    graves: BTreeMap<String, (String, Duration)>,
    streams: BTreeMap<String, Stream>,
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
    /// When it was sent.
    sent_at: Duration,
    /// It came from where its queue buries messages.
    buried: bool,
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
    pub(super) read: u64,
    pub(super) crashes: u64,
    pub(super) cuts: u64,
    pub(super) sessions_lost: u64,
    pub(super) joins: u64,
    pub(super) forgotten: u64,
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

    /// Whether anything was wrong so far.
    pub(super) fn has_faults(&self) -> bool {
        !self.inner().faults.is_empty()
    }

    /// Counts something for the summary.
    pub(super) fn count(&self, count: impl FnOnce(&mut Summary)) {
        count(&mut self.inner().summary);
    }

    /// A queue has one active consumer at a time.
    pub(super) fn single(&self, queue: &str) {
        self.inner().single.insert(queue.to_owned());
    }

    /// A queue buries what it does not keep, no earlier than `age` after it was sent.
    pub(super) fn buries(&self, queue: &str, grave: &str, age: Duration) {
        self.inner().graves.insert(queue.to_owned(), (grave.to_owned(), age));
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
        inner.messages.insert(message, Story { sent_at: clock::elapsed(), ..Story::default() });
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
        inner.judge_single(consumer);
        let Some(buried) = inner.origin(&queue, message) else {
            return inner.fault(format!("I2: {message:?} from {queue} was never published there"));
        };
        if buried {
            inner.judge_burial(message);
        } else if inner.messages[&message].buried && !inner.lost.contains(&session) {
            inner.fault(format!("I12: {message:?} came from {queue} after it was buried"));
        }
        // To a node that was given up, deliveries of before may come late, when others have them.
        if !inner.lost.contains(&session) {
            inner.judge_repetition(consumer, message, flagged);
        }
        if !flagged && !buried {
            inner.judge_order(consumer, message);
        }
        let late = inner.lost.contains(&session);
        let holder = inner.messages[&message].holder;
        let taken = holder.is_some_and(|had| inner.is_there(&inner.consumers[had.consumer]));
        let story = inner.messages.get_mut(&message).expect("it was published");
        story.delivered += 1;
        if !(late && taken) {
            story.holder = Some(Holder { consumer, acknowledged: false });
        }
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

    /// The catalog up to some entry says whether a start of a node runs. Returns whether it is news that
    /// it does not: one that was given up and lives counts as running again, until the next time.
    pub(super) fn session_seen(&self, session: Session, upto: LogIndex, running: bool) -> bool {
        let mut inner = self.inner();
        let known = inner.sessions.get(&session).copied();
        if known.is_some_and(|(seen, _)| upto <= seen) {
            return false;
        }
        inner.sessions.insert(session, (upto, running));
        let is_news = !running && known.is_none_or(|(_, ran)| ran);
        if is_news {
            inner.lost.insert(session);
            inner.summary.sessions_lost += 1;
            inner.event(format!("session {session:?} is lost"));
        }
        is_news
    }

    /// Whether the catalog has said that a start of a node is over.
    pub(super) fn is_lost(&self, session: Session) -> bool {
        self.inner().lost.contains(&session)
    }

    /// The clients of a node are sent away from here on.
    pub(super) fn dismissed(&self, node: NodeId) {
        self.inner().dismissed.insert(node);
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

    /// A start of a node has no replica of a group: if it gets one, it begins anew.
    pub(super) fn absent(&self, spot: Spot, life: Life, group: GroupId) {
        let mut inner = self.inner();
        inner.leaders.remove(&(spot, group));
        inner.progress.remove(&(spot, life, group));
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

    /// Whether somebody has acknowledged a message.
    pub(super) fn is_acknowledged(&self, message: Message) -> bool {
        self.inner().messages.get(&message).is_some_and(|story| story.acknowledged)
    }

    /// The disk of a node is lost: who starts there next is somebody else.
    pub(super) fn wiped(&self, spot: Spot) {
        let mut inner = self.inner();
        inner.event(format!("{spot} loses its disk"));
        inner.leaders.retain(|(known, _), _| *known != spot);
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
        let (settled, holder, buried) = (story.settled, story.holder, story.buried);
        self.summary.repeated += 1;
        let held = holder.filter(|had| self.is_there(&self.consumers[had.consumer]));
        if buried && (!flagged || settled || held.is_some()) {
            return self
                .fault(format!("I12: {message:?} came to {consumer}, and was buried twice"));
        }
        if !flagged {
            self.fault(format!("I3: {message:?} came to {consumer} again without its flag"));
        }
        if settled {
            self.fault(format!("I5: {message:?} came to {consumer} after it was settled"));
        }
        if let Some(Holder { consumer: had, .. }) = held {
            self.fault(format!("I3: {message:?} came to {consumer}, but {had} has it"));
        }
    }

    /// Whether a message that came from a queue was buried there; none if it has no business there.
    fn origin(&self, queue: &str, (publisher, number): Message) -> Option<bool> {
        let channel = self.publishers.get(usize::try_from(publisher).ok()?)?;
        let grave = self.graves.get(&channel.queue).map(|(grave, _)| grave.as_str());
        let buried = grave == Some(queue);
        ((buried || channel.queue == queue) && number < channel.sent).then_some(buried)
    }

    /// A message comes from where it was buried: there it is like a fresh one.
    fn judge_burial(&mut self, message: Message) {
        let queue = &self.publishers[usize::try_from(message.0).unwrap()].queue;
        let age = self.graves[queue].1;
        let story = self.messages.get_mut(&message).expect("it was published");
        if std::mem::replace(&mut story.buried, true) {
            return;
        }
        let (settled, lived) = (story.settled, clock::elapsed().saturating_sub(story.sent_at));
        (story.delivered, story.holder, story.settled) = (0, None, false);
        if settled {
            self.fault(format!("I5: {message:?} was buried after it was settled"));
        }
        if lived + TICK < age {
            self.fault(format!("I11: {message:?} was buried after {lived:?} of {age:?}"));
        }
    }

    /// Whether a consumer has what it was given, and knows of nothing that has taken it away.
    fn is_there(&self, given: &Given) -> bool {
        let Given { over, session, .. } = given;
        !over && !self.lost.contains(session) && !self.dismissed.contains(&session.0)
    }

    fn judge_single(&mut self, consumer: Consumer) {
        let queue = &self.consumers[consumer].queue;
        // To a node that was given up, deliveries of before may come late.
        if !self.single.contains(queue) || !self.is_there(&self.consumers[consumer]) {
            return;
        }
        let holds = |(number, given): &(usize, &Given)| {
            *number != consumer && given.queue == *queue && given.held > 0 && self.is_there(given)
        };
        if let Some((other, _)) = self.consumers.iter().enumerate().find(holds) {
            self.fault(format!("I8: {consumer} is given something while {other} holds something"));
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
