//! A shard as one would explain it: a record for each message, lists, and loops over all of it.
//! Slow, and plain enough to be believed.

use std::collections::{BTreeMap, BTreeSet};

use warren_types::{
    BootId, ConsumerId, ConsumerNumber, NodeId, QueueId, RequestSequence, SessionId,
};

use super::kit::Given;
use crate::{
    Attach, CancelReason, Claim, ClaimKey, Command, CommandReply, DedupKey, DelayedRetryKind,
    DeliveryCounting, Effect, EndReason, FragmentReply, Outcome, Overflow, Publish, QueueKind,
    QueueSettings, QueueStatus, Refusal, SettleRange, Spot,
};

#[derive(Clone, Debug)]
struct Message {
    number: u64,
    body: Vec<u8>,
    /// The rows it stands in.
    rows: Vec<u64>,
    acquired: u32,
    failed: u32,
    level: i16,
    /// Until when it may wait.
    deadline: Option<u64>,
    /// When it was given out.
    since: u64,
}

/// A dead message that was shown to the front end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Letter {
    pub(super) queue: QueueId,
    pub(super) sequence: u64,
    pub(super) body: Vec<u8>,
    pub(super) reason: &'static str,
    pub(super) time: u64,
    pub(super) acquired: u32,
    pub(super) failed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Registered,
    Cancelled,
    Holder,
    Picker,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) id: ConsumerId,
    pub(super) last: u64,
    queue: QueueId,
    standing: Standing,
    prefetch: u64,
    granted: u64,
    priority: i32,
    exclusive: bool,
    timeout: Option<u64>,
    claim: Option<Claim>,
    lapsed: bool,
    held: Vec<(u64, Message)>,
}

#[derive(Debug, Default)]
struct Queue {
    settings: QueueSettings,
    ready: Vec<Message>,
    messages: u64,
    /// By when it came.
    active: Option<u64>,
    /// Whom each priority served last, by when it came.
    turns: BTreeMap<i32, u64>,
    used_at: u64,
    delayed: Vec<(u64, Message)>,
    /// By when their time comes, and as they came.
    scheduled: Vec<(u64, Message)>,
    dead: Vec<(Letter, Message)>,
    /// What is kept for clients.
    kept: Vec<(ClaimKey, Message)>,
    /// Until when, for those that are not here.
    until: BTreeMap<ClaimKey, u64>,
    /// What it has taken by which key, and when.
    taken: Vec<(u64, DedupKey)>,
    /// The last dead sequence, and the last one that was shown.
    died: u64,
    shown: u64,
    /// Of a stream: the first message of each segment, and the time of day of its newest one.
    segments: Vec<(u64, u64)>,
    /// Whether the entry has to do with it, and when one last had.
    touched: bool,
    looked_at: u64,
}

impl Queue {
    fn is_stream(&self) -> bool {
        self.settings.kind == QueueKind::Stream
    }

    /// Puts a message at the end of a stream.
    fn append(&mut self, message: Message, stamp: u64) {
        self.messages += 1;
        let number = self.messages;
        let first = self.segments.last().map_or(0, |(first, _)| *first);
        let is_first = self.ready.last().is_none_or(|last| last.rows[0] != message.rows[0]);
        let limit = self.settings.segment_bytes.unwrap_or(500_000_000);
        if self.segments.is_empty() || (is_first && weight(&self.ready, first..) >= limit) {
            self.segments.push((number, stamp));
        }
        let newest = &mut self.segments.last_mut().unwrap().1;
        *newest = (*newest).max(stamp);
        let (acquired, failed, level, deadline) = (0, 0, 0, None);
        self.ready.push(Message { number, acquired, failed, level, deadline, ..message });
    }

    /// Drops the segments that need not be kept.
    fn retain(&mut self, now: u64, stamp: u64) {
        if !std::mem::take(&mut self.touched) {
            return;
        }
        self.looked_at = now;
        while let [(_, newest), (next, _), ..] = self.segments[..] {
            let is_large = |limit| weight(&self.ready, next..) >= limit;
            let is_old = |age| newest + age < stamp;
            let settings = &self.settings;
            if !settings.max_length_bytes.is_some_and(is_large)
                && !settings.max_age_ms.is_some_and(is_old)
            {
                break;
            }
            self.segments.remove(0);
            self.ready.retain(|message| message.number >= next);
        }
    }
}

fn weight(messages: &[Message], numbers: std::ops::RangeFrom<u64>) -> u64 {
    let some = messages.iter().filter(|message| numbers.contains(&message.number));
    some.map(|message| 64 + u64::try_from(message.body.len()).unwrap()).sum()
}

/// The answers of the commands that have one, or why nothing was done.
type Answered = Result<Vec<(u32, Answer)>, FragmentReply>;

const NO_SESSION: FragmentReply = FragmentReply::UnknownSession;

/// A node's last boot, and all that was ever done for it.
#[derive(Debug, Default)]
struct Node {
    boot: BootId,
    is_open: bool,
    last: u64,
    heard: u64,
    done: BTreeMap<u64, Vec<(u32, Answer)>>,
}

impl Node {
    fn hear(&mut self, heard: u64) {
        self.heard = self.heard.max(heard.min(self.last));
    }

    /// The answer to a request that is not ahead.
    fn earlier(&self, sequence: u64) -> Answered {
        if sequence <= self.heard {
            return Err(FragmentReply::Duplicate);
        }
        self.done.get(&sequence).cloned().ok_or(NO_SESSION)
    }
}

/// Parts of a body, each with its row.
type Upload = Vec<(u64, Vec<u8>)>;

#[derive(Debug, Default)]
pub(super) struct Model {
    nodes: BTreeMap<NodeId, Node>,
    /// By when they came.
    pub(super) consumers: BTreeMap<u64, Consumer>,
    arrivals: u64,
    queues: BTreeMap<QueueId, Queue>,
    tombstones: BTreeMap<QueueId, EndReason>,
    /// The last letter that a queue took of another, by both.
    taken: BTreeMap<(QueueId, QueueId), u64>,
    uploads: BTreeMap<(SessionId, u64), Upload>,
    /// Bodies by row and offset, of messages that are going to be cancelled.
    pub(super) bodies: BTreeMap<(u64, u32), Vec<u8>>,
    /// Effects other than deliveries.
    pub(super) events: Vec<Effect>,
    pub(super) given: Vec<Given>,
    pub(super) letters: Vec<Letter>,
    index: u64,
    pub(super) now: u64,
    stamp: u64,
}

/// The answer to a basic.get, as a history can compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Plain(CommandReply),
    Got { sequence: u64, body: Vec<u8>, acquired: u32, failed: u32, remaining: u64 },
}

impl Model {
    pub(super) fn begin(&mut self, index: u64, stamp: u64) {
        self.index = index;
        self.events.clear();
        self.given.clear();
        self.letters.clear();
        let passed = if self.stamp == 0 { stamp } else { stamp.saturating_sub(self.stamp) };
        self.now += if self.stamp == 0 { passed } else { passed.min(10_000) };
        self.stamp = stamp;
        let ids: Vec<_> = self.queues.keys().copied().collect();
        for id in ids {
            self.pass_time(id);
        }
    }

    /// Has messages come to the end whose time has come.
    fn end_schedules(&mut self, id: QueueId) {
        let now = self.now;
        let queue = self.queues.get_mut(&id).unwrap();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut queue.scheduled).into_iter().partition(|(due, _)| *due <= now);
        queue.scheduled = later;
        for (_, message) in due {
            let stamp = self.stamp;
            let queue = self.queues.get_mut(&id).unwrap();
            queue.touched = true;
            if queue.is_stream() {
                queue.append(message, stamp);
                continue;
            }
            queue.messages += 1;
            let number = queue.messages;
            self.wait(id, Message { number, ..message });
        }
    }

    /// What happens to a queue by itself.
    fn pass_time(&mut self, id: QueueId) {
        let is_used = !self.registered(id).is_empty();
        let queue = self.queues.get_mut(&id).unwrap();
        let expires = queue.settings.expires_ms.map(|expires| queue.used_at + expires);
        if !is_used && expires.is_some_and(|expires| expires <= self.now) {
            return self.end(id, EndReason::Expired);
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut queue.delayed).into_iter().partition(|(due, _)| *due <= self.now);
        queue.delayed = later;
        for (_, message) in due {
            self.wait(id, message);
        }
        self.end_schedules(id);
        let now = self.now;
        let queue = self.queues.get_mut(&id).unwrap();
        let ages = queue.settings.max_age_ms.is_some() && queue.segments.len() > 1;
        queue.touched |= ages && queue.looked_at + 5000 <= now;
        self.end_graces(id);
        let queue = self.queues.get_mut(&id).unwrap();
        if let (Some((first, _)), Some(window)) =
            (queue.taken.first(), queue.settings.dedup_window_ms)
            && first + window + window / 8 <= self.now
        {
            queue.taken.retain(|(came, _)| came + window > self.now);
        }
        let settings = self.queues[&id].settings.clone();
        let overdue = self.consumers.iter().filter(|(_, one)| {
            let timeout = one.timeout.or(settings.consumer_timeout_ms).filter(|ms| *ms > 0);
            let since = one.held.iter().map(|(_, message)| message.since).min();
            let lease = timeout.zip(since).map(|(timeout, since)| since + timeout);
            one.queue == id && lease.is_some_and(|lease| lease <= self.now)
        });
        let overdue: Vec<u64> = overdue.map(|(order, _)| *order).collect();
        for order in overdue {
            let is_picker = |one: &Consumer| one.standing == Standing::Picker;
            if settings.leases && !self.consumers.get(&order).is_some_and(is_picker) {
                self.lapse(id, order);
                continue;
            }
            // The queue may have ended with the one before.
            let Some(consumer) = self.consumers.remove(&order) else { return };
            for (_, message) in consumer.held {
                match consumer.standing {
                    Standing::Picker => self.wait(id, message),
                    _ => self.come_back(id, message, false),
                }
            }
            self.part(id, consumer.claim);
            let reason = CancelReason::Timeout;
            self.events.push(Effect::Cancelled { consumer: consumer.id, queue: id, reason });
            self.departed(id, consumer.standing == Standing::Registered);
        }
    }

    /// Takes back what a consumer holds for too long.
    fn lapse(&mut self, id: QueueId, order: u64) {
        let settings = self.queues[&id].settings.clone();
        let now = self.now;
        let consumer = self.consumers.get_mut(&order).unwrap();
        let timeout = consumer.timeout.or(settings.consumer_timeout_ms).unwrap();
        let is_over = |since: u64| settings.single_active_consumer || since + timeout <= now;
        let (over, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut consumer.held)
            .into_iter()
            .partition(|(_, message)| is_over(message.since));
        consumer.held = rest;
        consumer.lapsed = consumer.standing == Standing::Registered;
        let is_gone = consumer.standing == Standing::Cancelled && consumer.held.is_empty();
        for (_, message) in over {
            self.come_back(id, message, false);
        }
        if is_gone {
            let consumer = self.consumers.remove(&order).unwrap().id;
            let reason = CancelReason::LeaseEnded;
            self.events.push(Effect::Cancelled { consumer, queue: id, reason });
        }
    }

    /// Whether a consumer is here that is given what is kept for a client.
    fn is_here(&self, id: QueueId, key: ClaimKey) -> bool {
        let registered = self.registered(id);
        registered.iter().any(|order| self.consumers[order].claim.map(|one| one.key) == Some(key))
    }

    /// Ends a consumer whose connection broke.
    fn lose(&mut self, id: ConsumerId) {
        let Some(order) = self.find(id) else { return };
        let queue = self.consumers[&order].queue;
        let single_active = self.queues[&queue].settings.single_active_consumer;
        let claim = self.consumers[&order].claim;
        let claim = claim.filter(|claim| claim.grace_ms > 0 && !single_active);
        let Some(claim) = claim else { return self.detach(id) };
        let consumer = self.consumers.remove(&order).unwrap();
        let kept = &mut self.queues.get_mut(&queue).unwrap().kept;
        kept.extend(consumer.held.into_iter().map(|(_, message)| (claim.key, message)));
        if !self.is_here(queue, claim.key) {
            let until = self.now + claim.grace_ms;
            self.queues.get_mut(&queue).unwrap().until.insert(claim.key, until);
        }
        self.departed(queue, consumer.standing == Standing::Registered);
    }

    /// Has what is kept go back where nobody is left to whom it is given.
    fn part(&mut self, id: QueueId, claim: Option<Claim>) {
        let Some(key) = claim.map(|claim| claim.key).filter(|key| !self.is_here(id, *key)) else {
            return;
        };
        let queue = self.queues.get_mut(&id).unwrap();
        queue.until.remove(&key);
        let (theirs, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut queue.kept).into_iter().partition(|(of, _)| *of == key);
        queue.kept = others;
        let mut theirs: Vec<_> = theirs.into_iter().map(|(_, message)| message).collect();
        theirs.sort_by_key(|message| (-message.level, message.number));
        for message in theirs {
            self.come_back(id, message, true);
        }
    }

    /// Has what is kept go back when its time is over.
    fn end_graces(&mut self, id: QueueId) {
        loop {
            let (queue, now) = (&self.queues[&id], self.now);
            let over = queue.until.iter().filter(|(key, until)| {
                **until <= now && queue.kept.iter().any(|(of, _)| of == *key)
            });
            let first = over.map(|(key, until)| (*until, *key)).min();
            let Some((_, key)) = first else { return };
            self.part(id, Some(Claim { key, connection: 0, grace_ms: 0 }));
        }
    }

    /// Gives clients that are here what is kept for them.
    fn deliver_kept(&mut self, id: QueueId) {
        for order in self.registered(id) {
            let Some(key) = self.consumers[&order].claim.map(|claim| claim.key) else { continue };
            while has_room(&self.consumers[&order]) {
                let kept = &mut self.queues.get_mut(&id).unwrap().kept;
                let place = |one: &Message| (-one.level, one.number);
                let theirs = kept.iter().enumerate().filter(|(_, (of, _))| *of == key);
                let Some((at, _)) = theirs.min_by_key(|(_, (_, one))| place(one)) else { break };
                let (_, mut message) = kept.remove(at);
                message.acquired += 1;
                let given = self.hand(order, message);
                self.given.push(given);
            }
        }
    }

    /// Has a message wait at its place.
    fn wait(&mut self, id: QueueId, message: Message) {
        let ready = &mut self.queues.get_mut(&id).unwrap().ready;
        ready.push(message);
        ready.sort_by_key(|message| (-message.level, message.number));
    }

    fn die(&mut self, id: QueueId, message: Message, reason: &'static str) {
        let queue = self.queues.get_mut(&id).unwrap();
        let parks = reason == "delivery_limit" && queue.settings.parking.is_some();
        if queue.settings.dead_letter.is_none() && !parks {
            return;
        }
        queue.died += 1;
        let letter = Letter {
            queue: id,
            sequence: queue.died,
            body: message.body.clone(),
            reason,
            time: self.stamp,
            acquired: message.acquired,
            failed: message.failed,
        };
        queue.dead.push((letter, message));
    }

    fn come_back(&mut self, id: QueueId, mut message: Message, has_failed: bool) {
        let settings = self.queues[&id].settings.clone();
        let is_failure = has_failed
            || settings.retry.is_some()
            || settings.delivery_counting == DeliveryCounting::Returns;
        message.acquired += 1;
        message.failed += u32::from(is_failure);
        if let Some(retry) = settings.retry {
            let at = usize::try_from(message.failed).unwrap() - 1;
            return match retry.delays_ms.get(at) {
                None => self.die(id, message, "delivery_limit"),
                Some(0) => self.wait(id, message),
                Some(delay) => {
                    self.queues.get_mut(&id).unwrap().delayed.push((self.now + delay, message));
                }
            };
        }
        if settings.delivery_limit.is_some_and(|limit| message.failed > limit) {
            return self.die(id, message, "delivery_limit");
        }
        let retry = settings.delayed_retry.filter(|retry| match retry.kind {
            DelayedRetryKind::All => true,
            DelayedRetryKind::Failed => is_failure,
            DelayedRetryKind::Returned => !is_failure,
        });
        let count = message.failed.max(1);
        let delay = retry.map_or(0, |retry| (retry.min_ms * u64::from(count)).min(retry.max_ms));
        if delay == 0 {
            return self.wait(id, message);
        }
        self.queues.get_mut(&id).unwrap().delayed.push((self.now + delay, message));
    }

    /// Whether a message of `size` bytes is one too many where those that come are refused.
    fn is_exceeded(&self, id: QueueId, size: usize) -> bool {
        let queue = &self.queues[&id];
        let settings = queue.settings.clone();
        if settings.overflow == Overflow::DropHead {
            return false;
        }
        let scheduled = queue.scheduled.iter().map(|(_, message)| message);
        let coming: Vec<_> = queue.ready.iter().chain(scheduled).collect();
        let length = u64::try_from(coming.len()).unwrap() + 1;
        let bytes: usize = coming.iter().map(|message| message.body.len()).sum();
        let bytes = u64::try_from(bytes + size).unwrap();
        settings.max_length.is_some_and(|limit| length > limit)
            || settings.max_length_bytes.is_some_and(|limit| bytes > limit)
    }

    pub(super) fn is_open(&self, id: SessionId) -> bool {
        self.nodes.get(&id.node).is_some_and(|node| node.boot == id.boot && node.is_open)
    }

    pub(super) fn last_request(&self, id: SessionId) -> u64 {
        self.nodes.get(&id.node).filter(|node| node.boot == id.boot).map_or(0, |node| node.last)
    }

    /// The answers of the commands that have one, or why nothing was done.
    pub(super) fn fragment(
        &mut self,
        id: SessionId,
        (sequence, heard): (u64, u64),
        commands: &[Command],
    ) -> Answered {
        if id == SessionId::LEADER {
            for command in commands {
                if let Command::CloseSession { session } = command {
                    self.close(*session);
                }
            }
            return Ok(vec![]);
        }
        let opens = commands.first() == Some(&Command::OpenSession);
        if let Some(answer) = self.answer_only(id, (sequence, heard), opens) {
            return answer;
        }
        let mut answers = vec![];
        for (ordinal, command) in (0..).zip(commands) {
            if let Some(answer) = self.command(id, command) {
                answers.push((ordinal, answer));
            }
        }
        self.nodes.get_mut(&id.node).unwrap().done.insert(sequence, answers.clone());
        Ok(answers)
    }

    /// The answer to a fragment that is not to be done. Takes note of one that is.
    fn answer_only(
        &mut self,
        id: SessionId,
        (sequence, heard): (u64, u64),
        opens: bool,
    ) -> Option<Answered> {
        let former = self.nodes.get(&id.node).map(|node| SessionId { boot: node.boot, ..id });
        if former == Some(id) {
            let node = self.nodes.get_mut(&id.node).unwrap();
            if sequence <= node.last {
                node.hear(heard);
                let answer = node.earlier(sequence);
                if node.is_open || !opens {
                    return Some(answer);
                }
                node.is_open = sequence >= node.heard && answer != Err(NO_SESSION);
                return Some(if node.is_open { answer } else { Err(NO_SESSION) });
            }
            if !node.is_open && !opens {
                node.hear(heard);
                return Some(Err(NO_SESSION));
            }
            if node.is_open && sequence > node.last + 1 {
                node.hear(heard);
                return Some(Err(FragmentReply::Gap { next: RequestSequence(node.last + 1) }));
            }
        } else {
            if !opens || former.is_some_and(|former| former.boot > id.boot) {
                return Some(Err(NO_SESSION));
            }
            if let Some(former) = former {
                self.close(former);
            }
            self.nodes.insert(id.node, Node { boot: id.boot, ..Node::default() });
        }
        let node = self.nodes.get_mut(&id.node).unwrap();
        (node.is_open, node.last) = (true, node.last.max(sequence));
        node.hear(heard);
        None
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each command, most of them short")]
    fn command(&mut self, session: SessionId, command: &Command) -> Option<Answer> {
        let named = |number: &ConsumerNumber| ConsumerId { session, number: *number };
        let reply = match command {
            Command::Publish(message) => self.publish(session, message)?,
            Command::Settle { consumer, outcome: Outcome::Extend, ranges } => {
                self.extend(named(consumer), ranges)?
            }
            Command::Settle { consumer, outcome, ranges } => {
                for range in ranges {
                    self.settle(named(consumer), *outcome, range.from.0, range.to.0);
                }
                return None;
            }
            Command::Attach(terms) => self.attach(session, terms),
            Command::Cancel { consumer } => {
                self.cancel(named(consumer));
                return None;
            }
            Command::Detach { consumer } => {
                self.detach(named(consumer));
                return None;
            }
            Command::Lose { consumer } => {
                self.lose(named(consumer));
                return None;
            }
            Command::Grant { consumer, up_to } => {
                let order = self.find(named(consumer))?;
                let consumer = self.consumers.get_mut(&order).unwrap();
                consumer.granted = consumer.granted.max(up_to.0);
                return None;
            }
            Command::Get { consumer, queue, .. } => {
                return Some(self.get(named(consumer), *queue));
            }
            Command::CreateQueue { queue, settings } => self.create(*queue, settings),
            Command::ConfigureQueue { queue, settings } => {
                if let Err(refusal) = self.queue(*queue) {
                    return Some(Answer::Plain(CommandReply::Refused(refusal)));
                }
                let id = *queue;
                let settings = &settings.clone().effective();
                if !self.become_kind(id, settings) {
                    return Some(Answer::Plain(CommandReply::Refused(Refusal::OtherKind)));
                }
                let queue = self.queues.get_mut(queue).unwrap();
                queue.touched = true;
                if queue.settings.expires_ms != settings.expires_ms {
                    queue.used_at = self.now;
                }
                queue.settings = settings.clone();
                let now = self.now;
                match settings.dedup_window_ms {
                    None => queue.taken.clear(),
                    Some(window) => queue.taken.retain(|(came, _)| came + window > now),
                }
                if settings.dead_letter.is_none() && settings.parking.is_none() {
                    queue.dead.clear();
                    queue.shown = queue.died;
                }
                if !settings.leases {
                    let theirs = self.consumers.values_mut().filter(|one| one.queue == id);
                    theirs.for_each(|one| one.lapsed = false);
                }
                let queue = self.queues.get_mut(&id).unwrap();
                let delayed = std::mem::take(&mut queue.delayed);
                if settings.delayed_retry.is_some() || settings.retry.is_some() {
                    queue.delayed = delayed;
                } else {
                    for (_, message) in delayed {
                        self.wait(id, message);
                    }
                }
                let queue = self.queues.get_mut(&id).unwrap();
                if !settings.single_active_consumer {
                    queue.active = None;
                }
                return None;
            }
            Command::DeleteQueue { queue, if_unused, if_empty } => {
                self.delete(*queue, *if_unused, *if_empty)
            }
            Command::ForgetQueue { queue } => {
                self.tombstones.remove(queue);
                self.forget_letters(*queue);
                return None;
            }
            Command::PurgeQueue { queue } => match self.queue(*queue) {
                Err(refusal) => CommandReply::Refused(refusal),
                Ok(queue) if queue.is_stream() => CommandReply::Refused(Refusal::IsStream),
                Ok(_) => {
                    let queue = self.queues.get_mut(queue).unwrap();
                    let ready = std::mem::take(&mut queue.ready).len();
                    let delayed = std::mem::take(&mut queue.delayed).len();
                    let scheduled = std::mem::take(&mut queue.scheduled).len();
                    let messages = u64::try_from(ready + delayed + scheduled).unwrap();
                    CommandReply::Purged { messages }
                }
            },
            Command::Status { queue } => match self.queue(*queue) {
                Err(refusal) => CommandReply::Refused(refusal),
                Ok(_) => CommandReply::Status(self.status(*queue).unwrap()),
            },
            Command::OpenSession | Command::Tick => return None,
            Command::Touch { queue } => {
                let queue = self.queues.get_mut(queue)?;
                queue.touched = true;
                if queue.settings.kind == QueueKind::Classic {
                    queue.used_at = self.now;
                }
                return None;
            }
            Command::DeadSettled { queue, ranges } => {
                let queue = self.queues.get_mut(queue)?;
                queue.touched = true;
                let shown = queue.shown;
                queue.dead.retain(|(letter, _)| {
                    let at = letter.sequence;
                    let mut ranges = ranges.iter();
                    at > shown || !ranges.any(|range| (range.from.0..=range.to.0).contains(&at))
                });
                return None;
            }
            Command::CancelScheduled { queue, due, at } => match self.queue(*queue) {
                Err(refusal) => CommandReply::Refused(refusal),
                Ok(_) => {
                    let body = self.bodies.get(&(at.index.0, at.offset));
                    let queue = self.queues.get_mut(queue).unwrap();
                    queue.touched = true;
                    let before = queue.scheduled.len();
                    queue.scheduled.retain(|(time, message)| {
                        *time != due.0 || body.is_none_or(|body| !message.body.ends_with(body))
                    });
                    let messages = u64::try_from(before - queue.scheduled.len()).unwrap();
                    CommandReply::Purged { messages }
                }
            },
            Command::DropMessage { queue, spot, at } => match self.queue(*queue) {
                Err(refusal) => CommandReply::Refused(refusal),
                Ok(queue) if queue.is_stream() && matches!(spot, Spot::Waiting { .. }) => {
                    CommandReply::Refused(Refusal::IsStream)
                }
                Ok(_) => {
                    self.queues.get_mut(queue).unwrap().touched = true;
                    let dropped = self.take_out(*queue, *spot, (at.index.0, at.offset));
                    CommandReply::Purged { messages: u64::from(dropped.is_some()) }
                }
            },
            Command::PickMessage { consumer, queue, spot, at } => {
                return Some(self.pick(named(consumer), *queue, *spot, (at.index.0, at.offset)));
            }
            Command::CloseSession { session } => {
                self.close(*session);
                return None;
            }
            Command::Chunk { upload, bytes } => {
                if self.is_open(session) {
                    let parts = self.uploads.entry((session, *upload)).or_default();
                    parts.push((self.index, bytes.to_vec()));
                }
                return None;
            }
            Command::AbandonUpload { upload } => {
                self.uploads.remove(&(session, *upload));
                return None;
            }
        };
        Some(Answer::Plain(reply))
    }

    fn publish(&mut self, session: SessionId, message: &Publish) -> Option<CommandReply> {
        let mut body = vec![];
        let mut rows = vec![self.index];
        if let Some(upload) = message.upload {
            let Some(parts) = self.uploads.get(&(session, upload)) else {
                return Some(CommandReply::Refused(Refusal::UnknownUpload));
            };
            for (row, part) in parts {
                rows.push(*row);
                body.extend_from_slice(part);
            }
        }
        body.extend_from_slice(&message.body);
        let (mut missing, mut is_refused) = (vec![], false);
        for id in &message.queues {
            if self.queues.contains_key(id) {
                is_refused |= !self.receive_named(*id, message, &body, &rows);
            } else {
                missing.push(*id);
            }
        }
        if let Some(upload) = message.upload {
            self.uploads.remove(&(session, upload));
        }
        if is_refused {
            return Some(CommandReply::Refused(Refusal::QueueFull));
        }
        (!missing.is_empty()).then_some(CommandReply::Missing(missing))
    }

    /// Puts a message into a queue, unless the queue is full, or has taken one of that key lately.
    fn receive_named(&mut self, id: QueueId, publish: &Publish, body: &[u8], rows: &[u64]) -> bool {
        let key = publish.dedup.iter().find(|(queue, _)| *queue == id).map(|(_, key)| *key);
        let window = self.queues[&id].settings.dedup_window_ms;
        let (Some(key), Some(window)) = (key, window) else {
            return self.receive_once(id, publish, body, rows);
        };
        let known = publish.letter.is_some_and(|letter| {
            let taken = self.taken.get(&(id, letter.source)).copied().unwrap_or(0);
            letter.sequence.0 <= taken
        });
        if known {
            return true;
        }
        let now = self.now;
        let queue = self.queues.get_mut(&id).unwrap();
        queue.taken.retain(|(came, _)| came + window > now);
        if queue.taken.iter().any(|(_, taken)| *taken == key) {
            return true;
        }
        let count = u64::try_from(queue.taken.len()).unwrap();
        if queue.settings.dedup_limit.is_some_and(|limit| count >= limit) {
            return false;
        }
        let is_taken = self.receive_once(id, publish, body, rows);
        if is_taken {
            self.queues.get_mut(&id).unwrap().taken.push((now, key));
        }
        is_taken
    }

    /// Puts a message into a queue, unless it is full, or a letter that the queue has taken.
    fn receive_once(&mut self, id: QueueId, publish: &Publish, body: &[u8], rows: &[u64]) -> bool {
        let Some(letter) = publish.letter else { return self.receive(id, publish, body, rows) };
        let known = self.taken.get(&(id, letter.source)).copied().unwrap_or(0);
        if letter.sequence.0 <= known {
            return true;
        }
        let messages = self.queues[&id].messages;
        let is_taken = self.receive(id, publish, body, rows);
        // What is refused may have died in here instead.
        if is_taken || self.queues[&id].messages > messages {
            self.taken.insert((id, letter.source), letter.sequence.0);
        }
        is_taken
    }

    fn forget_letters(&mut self, queue: QueueId) {
        self.taken.retain(|(to, from), _| *to != queue && *from != queue);
    }

    /// Has a queue be of the kind that its settings say, if it can.
    fn become_kind(&mut self, id: QueueId, settings: &QueueSettings) -> bool {
        let is_taken_from = self.consumers.values().any(|one| one.queue == id);
        let stamp = self.stamp;
        let queue = self.queues.get_mut(&id).unwrap();
        let was_stream = queue.is_stream();
        if was_stream == (settings.kind == QueueKind::Stream) {
            return true;
        }
        if was_stream || is_taken_from || !queue.kept.is_empty() {
            return false;
        }
        let mut messages = std::mem::take(&mut queue.ready);
        messages.extend(std::mem::take(&mut queue.delayed).into_iter().map(|(_, one)| one));
        messages.sort_by_key(|message| message.number);
        (queue.messages, queue.settings.segment_bytes) = (0, settings.segment_bytes);
        queue.settings.kind = QueueKind::Stream;
        for message in messages {
            queue.append(message, stamp);
        }
        true
    }

    /// Puts a message into a queue, unless it is full.
    fn receive(&mut self, id: QueueId, publish: &Publish, body: &[u8], rows: &[u64]) -> bool {
        let is_scheduled = publish.delay_ms.is_some_and(|delay_ms| delay_ms > 0);
        if self.is_exceeded(id, body.len()) && !is_scheduled {
            self.deliver_from(id);
        }
        let is_passage_free =
            self.queues[&id].ready.is_empty() && !self.able(id).is_empty() && !is_scheduled;
        let is_full = self.is_exceeded(id, body.len()) && !is_passage_free;
        let stamp = self.stamp;
        let queue = self.queues.get_mut(&id).unwrap();
        queue.touched = true;
        let settings = &queue.settings;
        if is_full
            && (settings.overflow == Overflow::RejectPublish || settings.dead_letter.is_none())
        {
            return false;
        }
        let at = self.now + publish.delay_ms.filter(|_| !is_full).unwrap_or(0);
        let is_appended = queue.settings.kind == QueueKind::Stream && !is_scheduled;
        queue.messages += u64::from((!is_scheduled || is_full) && !is_appended);
        let ttls = [settings.message_ttl_ms, publish.expiration_ms].into_iter().flatten();
        let level = match (settings.kind, publish.priority) {
            (_, None) => 0,
            (QueueKind::Quorum, Some(priority)) => i16::from(priority.min(31)) - 4,
            (QueueKind::Classic, Some(priority)) => {
                i16::from(priority.min(settings.max_priority.unwrap_or(0)))
            }
            (QueueKind::Stream, Some(_)) => 0,
        };
        let message = Message {
            number: queue.messages,
            body: body.to_vec(),
            rows: rows.to_vec(),
            acquired: 0,
            failed: 0,
            level,
            deadline: ttls.min().map(|ttl| at + ttl),
            since: 0,
        };
        if is_full {
            self.die(id, message, "maxlen")
        } else if is_scheduled {
            queue.scheduled.push((at, message));
            queue.scheduled.sort_by_key(|(due, _)| *due);
        } else if is_appended {
            queue.append(message, stamp);
        } else {
            self.wait(id, message)
        }
        !is_full
    }

    fn attach(&mut self, session: SessionId, terms: &Attach) -> CommandReply {
        let id = ConsumerId { session, number: terms.consumer };
        match self.queue(terms.queue) {
            Err(refusal) => return CommandReply::Refused(refusal),
            Ok(queue) if queue.is_stream() => return CommandReply::Refused(Refusal::IsStream),
            Ok(_) => {}
        }
        if !self.is_open(session) {
            return CommandReply::Refused(Refusal::SessionClosed);
        }
        if self.find(id).is_some() {
            return CommandReply::Refused(Refusal::ConsumerExists);
        }
        if let Some(claim) = terms.claim {
            self.take_over(id, claim, terms.queue);
        }
        let others = self.registered(terms.queue);
        if others.iter().any(|order| self.consumers[order].exclusive)
            || (terms.exclusive && !others.is_empty())
        {
            return CommandReply::Refused(Refusal::ExclusiveConsumer);
        }
        self.add(Consumer {
            id,
            last: 0,
            queue: terms.queue,
            standing: Standing::Registered,
            prefetch: u64::from(terms.prefetch),
            granted: terms.granted.0,
            priority: terms.priority,
            exclusive: terms.exclusive,
            timeout: if terms.no_ack { Some(0) } else { terms.timeout_ms },
            claim: terms.claim,
            lapsed: false,
            held: vec![],
        });
        if let Some(claim) = terms.claim {
            self.queues.get_mut(&terms.queue).unwrap().until.remove(&claim.key);
        }
        CommandReply::Attached
    }

    /// Ends the consumers of a client's former connections.
    fn take_over(&mut self, id: ConsumerId, claim: Claim, queue: QueueId) {
        let theirs = self.consumers.values().filter(|one| {
            let is_same =
                |other: Claim| (one.id.session, other.connection) == (id.session, claim.connection);
            one.queue == queue
                && one.claim.is_some_and(|other| other.key == claim.key && !is_same(other))
        });
        let theirs: Vec<_> = theirs.map(|one| one.id).collect();
        let was_automatic = {
            let settings = &mut self.queues.get_mut(&queue).unwrap().settings;
            std::mem::take(&mut settings.auto_delete)
        };
        for consumer in theirs {
            self.lose(consumer);
            let reason = CancelReason::TakenOver;
            self.events.push(Effect::Cancelled { consumer, queue, reason });
        }
        self.queues.get_mut(&queue).unwrap().settings.auto_delete = was_automatic;
    }

    fn add(&mut self, consumer: Consumer) -> u64 {
        let order = self.arrivals;
        self.arrivals += 1;
        self.consumers.insert(order, consumer);
        order
    }

    fn settle(&mut self, id: ConsumerId, outcome: Outcome, from: u64, to: u64) {
        let Some(order) = self.find(id) else { return };
        let consumer = self.consumers.get_mut(&order).unwrap();
        consumer.lapsed &= outcome == Outcome::Release;
        let (settled, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut consumer.held)
            .into_iter()
            .partition(|(sequence, _)| (from..=to).contains(sequence));
        consumer.held = kept;
        let (queue, is_gone) =
            (consumer.queue, consumer.standing == Standing::Cancelled && consumer.held.is_empty());
        for (_, message) in settled {
            match outcome {
                Outcome::Ack => {}
                Outcome::Reject => self.die(queue, message, "rejected"),
                Outcome::Requeue => self.come_back(queue, message, false),
                Outcome::RejectRequeue => self.come_back(queue, message, true),
                Outcome::Release => self.wait(queue, message),
                Outcome::Extend => unreachable!("it is no settling"),
            }
        }
        if is_gone {
            self.consumers.remove(&order);
        }
    }

    /// Has leases begin anew.
    fn extend(&mut self, id: ConsumerId, ranges: &[SettleRange]) -> Option<CommandReply> {
        let mut is_held = false;
        let now = self.now;
        if let Some(order) = self.find(id) {
            let consumer = self.consumers.get_mut(&order).unwrap();
            consumer.lapsed = false;
            for (sequence, message) in &mut consumer.held {
                let names = |range: &SettleRange| (range.from.0..=range.to.0).contains(sequence);
                if ranges.iter().any(names) {
                    message.since = now;
                    is_held = true;
                }
            }
        }
        (!is_held).then_some(CommandReply::Refused(Refusal::NotHeld))
    }

    fn cancel(&mut self, id: ConsumerId) {
        let Some(order) = self.find(id) else { return };
        let consumer = self.consumers.get_mut(&order).unwrap();
        if consumer.standing != Standing::Registered {
            return;
        }
        consumer.standing = Standing::Cancelled;
        let (queue, is_gone) = (consumer.queue, consumer.held.is_empty());
        let claim = consumer.claim;
        if is_gone {
            self.consumers.remove(&order);
        }
        self.part(queue, claim);
        self.departed(queue, true);
    }

    fn detach(&mut self, id: ConsumerId) {
        let Some(order) = self.find(id) else { return };
        let consumer = self.consumers.remove(&order).unwrap();
        for (_, message) in consumer.held {
            match consumer.standing {
                Standing::Picker => self.wait(consumer.queue, message),
                _ => self.come_back(consumer.queue, message, true),
            }
        }
        self.part(consumer.queue, consumer.claim);
        self.departed(consumer.queue, consumer.standing == Standing::Registered);
    }

    fn departed(&mut self, id: QueueId, was_registered: bool) {
        let registered = self.registered(id);
        let of_priorities: BTreeSet<i32> =
            registered.iter().map(|order| self.consumers[order].priority).collect();
        let queue = self.queues.get_mut(&id).unwrap();
        queue.turns.retain(|priority, _| of_priorities.contains(priority));
        if was_registered && registered.is_empty() {
            queue.used_at = self.now;
        }
        if was_registered && registered.is_empty() && queue.settings.auto_delete {
            self.end(id, EndReason::Unused);
        }
    }

    fn get(&mut self, id: ConsumerId, queue: QueueId) -> Answer {
        let refused = |refusal| Answer::Plain(CommandReply::Refused(refusal));
        let settings = match self.queue(queue) {
            Ok(found) => found.settings.clone(),
            Err(refusal) => return refused(refusal),
        };
        if !self.is_open(id.session) {
            return refused(Refusal::SessionClosed);
        }
        if settings.kind == QueueKind::Stream {
            return refused(Refusal::IsStream);
        }
        if settings.single_active_consumer {
            return refused(Refusal::SingleActiveConsumer);
        }
        let holder = self.find(id);
        if let Some(order) = holder {
            let holder = &self.consumers[&order];
            if holder.standing != Standing::Holder || holder.queue != queue {
                return refused(Refusal::ConsumerExists);
            }
        }
        self.queues.get_mut(&queue).unwrap().used_at = self.now;
        self.expire(queue, self.now);
        let found = self.queues.get_mut(&queue).unwrap();
        if found.ready.is_empty() {
            return Answer::Plain(CommandReply::Empty);
        }
        let message = found.ready.remove(0);
        let remaining = u64::try_from(found.ready.len()).unwrap();
        let order = holder.unwrap_or_else(|| self.add(asker(id, queue, Standing::Holder)));
        let Given { sequence, body, acquired, failed, .. } = self.hand(order, message);
        Answer::Got { sequence, body, acquired, failed, remaining }
    }

    fn pick(&mut self, id: ConsumerId, queue: QueueId, spot: Spot, at: (u64, u32)) -> Answer {
        let refused = |refusal| Answer::Plain(CommandReply::Refused(refusal));
        if let Err(refusal) = self.queue(queue) {
            return refused(refusal);
        }
        if !self.is_open(id.session) {
            return refused(Refusal::SessionClosed);
        }
        if self.queues[&queue].is_stream() {
            return refused(Refusal::IsStream);
        }
        let picker = self.find(id);
        if let Some(order) = picker {
            let picker = &self.consumers[&order];
            if picker.standing != Standing::Picker || picker.queue != queue {
                return refused(Refusal::ConsumerExists);
            }
        }
        let has_place = !matches!(spot, Spot::Scheduled { .. });
        let message = has_place.then(|| self.take_out(queue, spot, at)).flatten();
        let Some(message) = message else { return Answer::Plain(CommandReply::Empty) };
        let order = picker.unwrap_or_else(|| self.add(asker(id, queue, Standing::Picker)));
        let remaining = u64::try_from(self.queues[&queue].ready.len()).unwrap();
        let Given { sequence, body, acquired, failed, .. } = self.hand(order, message);
        Answer::Got { sequence, body, acquired, failed, remaining }
    }

    /// The offset and the body of what a stream holds; none if it is none.
    pub(super) fn stream(&self, id: QueueId) -> Option<Vec<(u64, Vec<u8>)>> {
        let queue = self.queues.get(&id).filter(|queue| queue.is_stream())?;
        let messages = queue.ready.iter();
        Some(messages.map(|message| (message.number - 1, message.body.clone())).collect())
    }

    /// How much a stream has been given, and its segments.
    pub(super) fn stream_shape(&self, id: QueueId) -> (u64, Vec<(u64, u64)>) {
        (self.queues[&id].messages, self.queues[&id].segments.clone())
    }

    /// The bodies of what waits, in turn.
    pub(super) fn waiting(&self, id: QueueId) -> Vec<Vec<u8>> {
        self.queues[&id].ready.iter().map(|message| message.body.clone()).collect()
    }

    /// Takes a message out that waits, if it is the right one.
    fn take_out(&mut self, id: QueueId, spot: Spot, at: (u64, u32)) -> Option<Message> {
        let body = self.bodies.get(&at)?;
        let is_it = |message: &Message| message.body.ends_with(body);
        let queue = self.queues.get_mut(&id).unwrap();
        match spot {
            Spot::Waiting { level, number } => {
                let is_there = |one: &Message| (one.level, one.number) == (level, number.0);
                let found = queue.ready.iter().position(|one| is_there(one) && is_it(one))?;
                Some(queue.ready.remove(found))
            }
            Spot::Delayed { due, number } => {
                let mut delayed = queue.delayed.iter();
                let found = delayed
                    .position(|(time, one)| (*time, one.number) == (due.0, number.0) && is_it(one));
                Some(queue.delayed.remove(found?).1)
            }
            Spot::Scheduled { due } => {
                let mut scheduled = queue.scheduled.iter();
                let found = scheduled.position(|(time, one)| *time == due.0 && is_it(one))?;
                Some(queue.scheduled.remove(found).1)
            }
            Spot::Held { .. } | Spot::Reserved { .. } | Spot::Dead { .. } => None,
        }
    }

    /// Has a consumer hold a message.
    fn hand(&mut self, order: u64, message: Message) -> Given {
        let consumer = self.consumers.get_mut(&order).unwrap();
        consumer.last += 1;
        consumer.held.push((consumer.last, Message { since: self.now, ..message }));
        given(consumer, consumer.held.last().unwrap())
    }

    fn create(&mut self, id: QueueId, settings: &QueueSettings) -> CommandReply {
        if self.tombstones.contains_key(&id) {
            return CommandReply::Refused(Refusal::QueueDeleted);
        }
        let fresh = !self.queues.contains_key(&id);
        if fresh {
            let settings = settings.clone().effective();
            let queue = Queue { settings, used_at: self.now, ..Queue::default() };
            self.queues.insert(id, queue);
        }
        CommandReply::Created { fresh }
    }

    fn delete(&mut self, id: QueueId, if_unused: bool, if_empty: bool) -> CommandReply {
        let ready = match self.queue(id) {
            Ok(queue) => queue.ready.len(),
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        let is_empty = ready == 0
            && self.queues[&id].kept.is_empty()
            && self.queues[&id].delayed.is_empty()
            && self.queues[&id].scheduled.is_empty();
        if if_unused && !self.registered(id).is_empty() {
            return CommandReply::Refused(Refusal::InUse);
        }
        if if_empty && !is_empty {
            return CommandReply::Refused(Refusal::NotEmpty);
        }
        self.end(id, EndReason::Deleted);
        CommandReply::Deleted { messages: u64::try_from(ready).unwrap() }
    }

    fn end(&mut self, id: QueueId, reason: EndReason) {
        self.queues.remove(&id);
        self.tombstones.insert(id, reason);
        self.forget_letters(id);
        for consumer in self.consumers.values().filter(|consumer| consumer.queue == id) {
            if consumer.standing == Standing::Registered {
                let reason = CancelReason::QueueDeleted;
                self.events.push(Effect::Cancelled { consumer: consumer.id, queue: id, reason });
            }
        }
        self.consumers.retain(|_, consumer| consumer.queue != id);
        if reason != EndReason::Deleted {
            self.events.push(Effect::QueueEnded { queue: id, reason });
        }
    }

    fn close(&mut self, id: SessionId) {
        if !self.is_open(id) {
            return;
        }
        self.nodes.get_mut(&id.node).unwrap().is_open = false;
        let mut numbers: Vec<_> =
            self.consumers.values().map(|one| one.id).filter(|one| one.session == id).collect();
        numbers.sort();
        for consumer in numbers {
            self.lose(consumer);
        }
        self.uploads.retain(|(session, _), _| *session != id);
    }

    /// Gives away all that can be given, one message after the other.
    pub(super) fn deliver(&mut self) {
        let ids: Vec<_> = self.queues.keys().copied().collect();
        for id in ids {
            self.deliver_from(id);
        }
    }

    /// Gives away what one queue can give, and has its rules act.
    fn deliver_from(&mut self, id: QueueId) {
        let (now, stamp) = (self.now, self.stamp);
        let queue = self.queues.get_mut(&id).unwrap();
        if queue.is_stream() {
            return queue.retain(now, stamp);
        }
        queue.touched = false;
        self.choose_active(id);
        self.deliver_kept(id);
        loop {
            self.expire(id, self.now);
            let Some(order) = self.next_turn(id) else { break };
            let message = self.queues.get_mut(&id).unwrap().ready.remove(0);
            let given = self.hand(order, message);
            self.given.push(given);
        }
        self.expire(id, self.now + 1);
        while self.is_too_long(id) {
            let message = self.queues.get_mut(&id).unwrap().ready.remove(0);
            self.die(id, message, "maxlen");
        }
        self.expire(id, self.now + 1);
        let queue = self.queues.get_mut(&id).unwrap();
        let mut under_way =
            queue.dead.iter().filter(|(letter, _)| letter.sequence <= queue.shown).count();
        for (letter, _) in &queue.dead {
            if letter.sequence > queue.shown && under_way < 32 {
                queue.shown = letter.sequence;
                under_way += 1;
                self.letters.push(letter.clone());
            }
        }
    }

    /// Ends what stands at the head and had to be gone before `time`.
    fn expire(&mut self, id: QueueId, time: u64) {
        while let Some(head) = self.queues[&id].ready.first().cloned() {
            if head.deadline.is_none_or(|deadline| deadline >= time) {
                break;
            }
            self.queues.get_mut(&id).unwrap().ready.remove(0);
            self.die(id, head, "expired");
        }
    }

    fn is_too_long(&self, id: QueueId) -> bool {
        let queue = &self.queues[&id];
        let length = u64::try_from(queue.ready.len()).unwrap();
        let bytes: usize = queue.ready.iter().map(|message| message.body.len()).sum();
        let bytes = u64::try_from(bytes).unwrap();
        queue.settings.overflow == Overflow::DropHead
            && (queue.settings.max_length.is_some_and(|limit| length > limit)
                || queue.settings.max_length_bytes.is_some_and(|limit| bytes > limit))
    }

    fn choose_active(&mut self, id: QueueId) {
        let registered = self.registered(id);
        let queue = &self.queues[&id];
        let active = if queue.settings.single_active_consumer {
            let best = registered
                .iter()
                .filter(|order| !self.consumers[order].lapsed)
                .min_by_key(|order| (-i64::from(self.consumers[order].priority), **order));
            let active = registered.iter().find(|order| Some(**order) == queue.active);
            match (active, best) {
                (Some(active), Some(best)) => {
                    let (now, next) = (&self.consumers[active], &self.consumers[best]);
                    let outranked = next.priority > now.priority && now.held.is_empty();
                    let yields = now.lapsed || outranked;
                    Some(if yields { *best } else { *active })
                }
                (Some(active), None) => Some(*active),
                (None, Some(best)) => Some(*best),
                (None, None) => registered
                    .iter()
                    .min_by_key(|order| (-i64::from(self.consumers[order].priority), **order))
                    .copied(),
            }
        } else {
            None
        };
        self.queues.get_mut(&id).unwrap().active = active;
    }

    /// Who is given the next message, if there is one and somebody can take it.
    fn next_turn(&mut self, id: QueueId) -> Option<u64> {
        if self.queues[&id].ready.is_empty() {
            return None;
        }
        let able = self.able(id);
        let queue = &self.queues[&id];
        let priority = able.iter().map(|order| self.consumers[order].priority).max()?;
        let class: Vec<u64> =
            able.into_iter().filter(|order| self.consumers[order].priority == priority).collect();
        let served = queue.turns.get(&priority);
        let next = class.iter().find(|order| served.is_some_and(|served| *order > served));
        let next = *next.unwrap_or(&class[0]);
        self.queues.get_mut(&id).unwrap().turns.insert(priority, next);
        Some(next)
    }

    /// Those who can take something.
    fn able(&self, id: QueueId) -> Vec<u64> {
        let registered = self.registered(id);
        let queue = &self.queues[&id];
        let at_work = registered.iter().filter(|order| !self.consumers[order].lapsed);
        let top = at_work.map(|order| self.consumers[order].priority).max();
        let is_able = |order: &u64| {
            let one = &self.consumers[order];
            let is_served = !queue.settings.single_active_consumer
                || (queue.active == Some(*order) && Some(one.priority) >= top);
            is_served && has_room(one)
        };
        registered.into_iter().filter(is_able).collect()
    }

    fn registered(&self, id: QueueId) -> Vec<u64> {
        let consumers = self.consumers.iter();
        consumers
            .filter(|(_, one)| one.queue == id && one.standing == Standing::Registered)
            .map(|(order, _)| *order)
            .collect()
    }

    fn find(&self, id: ConsumerId) -> Option<u64> {
        self.consumers.iter().find(|(_, one)| one.id == id).map(|(order, _)| *order)
    }

    fn queue(&self, id: QueueId) -> Result<&Queue, Refusal> {
        let ended = self.tombstones.contains_key(&id);
        let refusal = if ended { Refusal::QueueDeleted } else { Refusal::UnknownQueue };
        self.queues.get(&id).ok_or(refusal)
    }

    pub(super) fn status(&self, id: QueueId) -> Option<QueueStatus> {
        let queue = self.queues.get(&id)?;
        let ready = &queue.ready;
        let held = self.consumers.values().filter(|one| one.queue == id);
        let held: Vec<_> = held.flat_map(|one| &one.held).map(|(_, message)| message).collect();
        let bytes = |size: usize| u64::try_from(size).unwrap();
        let later = || {
            let delayed = queue.delayed.iter().chain(&queue.scheduled).map(|(_, one)| one);
            delayed.chain(queue.kept.iter().map(|(_, one)| one))
        };
        Some(QueueStatus {
            ready: bytes(ready.len()),
            ready_bytes: ready.iter().map(|message| bytes(message.body.len())).sum(),
            unsettled: bytes(held.len()),
            unsettled_bytes: held.iter().map(|message| bytes(message.body.len())).sum(),
            consumers: u32::try_from(self.registered(id).len()).unwrap(),
            delayed: bytes(later().count()),
            delayed_bytes: later().map(|one| bytes(one.body.len())).sum(),
            dead: bytes(queue.dead.len()),
            dead_bytes: queue.dead.iter().map(|(_, one)| bytes(one.body.len())).sum(),
        })
    }

    /// The rows that are needed.
    pub(super) fn rows(&self) -> Vec<u64> {
        let waiting = self.queues.values().flat_map(|queue| &queue.ready);
        let held = self.consumers.values().flat_map(|one| &one.held).map(|(_, message)| message);
        let later =
            self.queues.values().flat_map(|queue| queue.delayed.iter().chain(&queue.scheduled));
        let delayed = later.map(|(_, message)| message);
        let dead = self.queues.values().flat_map(|queue| &queue.dead).map(|(_, message)| message);
        let kept = self.queues.values().flat_map(|queue| &queue.kept).map(|(_, message)| message);
        let messages = waiting
            .chain(kept)
            .chain(held)
            .chain(delayed)
            .chain(dead)
            .flat_map(|message| message.rows.iter().copied());
        let uploads = self.uploads.values().flatten().map(|(row, _)| *row);
        let rows: BTreeSet<u64> = messages.chain(uploads).collect();
        rows.into_iter().collect()
    }

    /// The dead that are under way.
    pub(super) fn owed_letters(&self) -> Vec<Letter> {
        let each = self.queues.values().flat_map(|queue| {
            let dead = queue.dead.iter().map(|(letter, _)| letter);
            dead.filter(|letter| letter.sequence <= queue.shown).cloned()
        });
        each.collect()
    }

    /// Everything that consumers hold, and every queue that has ended.
    pub(super) fn owed(&self) -> (Vec<Given>, Vec<Effect>) {
        let mut held: Vec<Given> = vec![];
        for consumer in self.consumers.values() {
            held.extend(consumer.held.iter().map(|one| given(consumer, one)));
        }
        held.sort();
        let ended = self.tombstones.iter();
        let ended =
            ended.map(|(queue, reason)| Effect::QueueEnded { queue: *queue, reason: *reason });
        (held, ended.collect())
    }
}

fn has_room(one: &Consumer) -> bool {
    let held = u64::try_from(one.held.len()).unwrap();
    !one.lapsed && one.last < one.granted && (one.prefetch == 0 || held < one.prefetch)
}

/// Somebody who holds what it asks for.
fn asker(id: ConsumerId, queue: QueueId, standing: Standing) -> Consumer {
    Consumer {
        id,
        last: 0,
        queue,
        standing,
        prefetch: 0,
        granted: 0,
        priority: 0,
        exclusive: false,
        timeout: None,
        claim: None,
        lapsed: false,
        held: vec![],
    }
}

fn given(consumer: &Consumer, (sequence, message): &(u64, Message)) -> Given {
    Given {
        consumer: consumer.id,
        queue: consumer.queue,
        sequence: *sequence,
        body: message.body.clone(),
        acquired: message.acquired,
        failed: message.failed,
    }
}
