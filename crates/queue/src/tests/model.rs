//! A shard as one would explain it: a record for each message, lists, and loops over all of it.
//! Slow, and plain enough to be believed.

use std::collections::{BTreeMap, BTreeSet};

use warren_types::{BootId, ConsumerId, ConsumerNumber, NodeId, QueueId, SessionId};

use super::kit::Given;
use crate::{
    Attach, CancelReason, Command, CommandReply, Effect, EndReason, FragmentReply, Outcome,
    Publish, QueueSettings, QueueStatus, Refusal,
};

#[derive(Clone, Debug)]
struct Message {
    number: u64,
    body: Vec<u8>,
    /// The rows it stands in.
    rows: Vec<u64>,
    acquired: u32,
    failed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Registered,
    Cancelled,
    Holder,
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
}

/// Parts of a body, each with its row.
type Upload = Vec<(u64, Vec<u8>)>;

#[derive(Debug, Default)]
pub(super) struct Model {
    nodes: BTreeMap<NodeId, (BootId, u64, bool)>,
    /// By when they came.
    pub(super) consumers: BTreeMap<u64, Consumer>,
    arrivals: u64,
    queues: BTreeMap<QueueId, Queue>,
    tombstones: BTreeMap<QueueId, EndReason>,
    uploads: BTreeMap<(SessionId, u64), Upload>,
    /// Effects other than deliveries.
    pub(super) events: Vec<Effect>,
    pub(super) given: Vec<Given>,
    index: u64,
}

/// The answer to a basic.get, as a history can compare it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Plain(CommandReply),
    Got { sequence: u64, body: Vec<u8>, acquired: u32, failed: u32, remaining: u64 },
}

impl Model {
    pub(super) fn begin(&mut self, index: u64) {
        self.index = index;
        self.events.clear();
        self.given.clear();
    }

    pub(super) fn is_open(&self, id: SessionId) -> bool {
        self.nodes.get(&id.node).is_some_and(|(boot, _, open)| *boot == id.boot && *open)
    }

    pub(super) fn last_request(&self, id: SessionId) -> u64 {
        let node = self.nodes.get(&id.node).filter(|(boot, ..)| *boot == id.boot);
        node.map_or(0, |(_, last, _)| *last)
    }

    /// The answers of the commands that have one, or why nothing was done.
    pub(super) fn fragment(
        &mut self,
        id: SessionId,
        sequence: u64,
        commands: &[Command],
    ) -> Result<Vec<(u32, Answer)>, FragmentReply> {
        let opens = commands.first() == Some(&Command::OpenSession);
        let (boot, last, open) = self.nodes.get(&id.node).copied().unwrap_or_default();
        let known = self.nodes.contains_key(&id.node);
        if known && boot == id.boot && sequence <= last {
            return Err(FragmentReply::Duplicate);
        }
        if !self.is_open(id) && (!opens || (known && id.boot < boot)) {
            return Err(FragmentReply::UnknownSession);
        }
        if !self.is_open(id) && open {
            self.close(SessionId { node: id.node, boot });
        }
        self.nodes.insert(id.node, (id.boot, sequence, true));
        let mut answers = vec![];
        for (ordinal, command) in (0..).zip(commands) {
            if let Some(answer) = self.command(id, command) {
                answers.push((ordinal, answer));
            }
        }
        Ok(answers)
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each command, most of them short")]
    fn command(&mut self, session: SessionId, command: &Command) -> Option<Answer> {
        let named = |number: &ConsumerNumber| ConsumerId { session, number: *number };
        let reply = match command {
            Command::Publish(message) => self.publish(session, message)?,
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
                let queue = self.queues.get_mut(queue).unwrap();
                queue.settings = settings.clone();
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
                return None;
            }
            Command::PurgeQueue { queue } => match self.queue(*queue) {
                Err(refusal) => CommandReply::Refused(refusal),
                Ok(_) => {
                    let ready = std::mem::take(&mut self.queues.get_mut(queue).unwrap().ready);
                    CommandReply::Purged { messages: u64::try_from(ready.len()).unwrap() }
                }
            },
            Command::Status { queue } => match self.queue(*queue) {
                Err(refusal) => CommandReply::Refused(refusal),
                Ok(_) => CommandReply::Status(self.status(*queue).unwrap()),
            },
            Command::OpenSession | Command::Tick => return None,
            Command::Touch { .. } | Command::DeadSettled { .. } => return None,
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
        let mut missing = vec![];
        for id in &message.queues {
            if let Some(queue) = self.queues.get_mut(id) {
                queue.messages += 1;
                queue.ready.push(Message {
                    number: queue.messages,
                    body: body.clone(),
                    rows: rows.clone(),
                    acquired: 0,
                    failed: 0,
                });
            } else if !self.tombstones.contains_key(id) {
                missing.push(*id);
            }
        }
        if !missing.is_empty() {
            return Some(CommandReply::Missing(missing));
        }
        if let Some(upload) = message.upload {
            self.uploads.remove(&(session, upload));
        }
        None
    }

    fn attach(&mut self, session: SessionId, terms: &Attach) -> CommandReply {
        let id = ConsumerId { session, number: terms.consumer };
        if let Err(refusal) = self.queue(terms.queue) {
            return CommandReply::Refused(refusal);
        }
        if !self.is_open(session) {
            return CommandReply::Refused(Refusal::SessionClosed);
        }
        if self.find(id).is_some() {
            return CommandReply::Refused(Refusal::ConsumerExists);
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
            held: vec![],
        });
        CommandReply::Attached
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
        let (settled, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut consumer.held)
            .into_iter()
            .partition(|(sequence, _)| (from..=to).contains(sequence));
        consumer.held = kept;
        let (queue, is_gone) =
            (consumer.queue, consumer.standing == Standing::Cancelled && consumer.held.is_empty());
        let counts = match outcome {
            Outcome::Ack | Outcome::Reject => None,
            Outcome::Requeue => Some((1, 0)),
            Outcome::RejectRequeue => Some((1, 1)),
            Outcome::Release => Some((0, 0)),
        };
        if let Some((acquired, failed)) = counts {
            for (_, message) in settled {
                self.put_back(queue, message, acquired, failed);
            }
        }
        if is_gone {
            self.consumers.remove(&order);
        }
    }

    fn put_back(&mut self, queue: QueueId, mut message: Message, acquired: u32, failed: u32) {
        message.acquired += acquired;
        message.failed += failed;
        let ready = &mut self.queues.get_mut(&queue).unwrap().ready;
        ready.push(message);
        ready.sort_by_key(|message| message.number);
    }

    fn cancel(&mut self, id: ConsumerId) {
        let Some(order) = self.find(id) else { return };
        let consumer = self.consumers.get_mut(&order).unwrap();
        if consumer.standing != Standing::Registered {
            return;
        }
        consumer.standing = Standing::Cancelled;
        let (queue, is_gone) = (consumer.queue, consumer.held.is_empty());
        if is_gone {
            self.consumers.remove(&order);
        }
        self.departed(queue, true);
    }

    fn detach(&mut self, id: ConsumerId) {
        let Some(order) = self.find(id) else { return };
        let consumer = self.consumers.remove(&order).unwrap();
        for (_, message) in consumer.held {
            self.put_back(consumer.queue, message, 1, 1);
        }
        self.departed(consumer.queue, consumer.standing == Standing::Registered);
    }

    fn departed(&mut self, id: QueueId, was_registered: bool) {
        let registered = self.registered(id);
        let of_priorities: BTreeSet<i32> =
            registered.iter().map(|order| self.consumers[order].priority).collect();
        let queue = self.queues.get_mut(&id).unwrap();
        queue.turns.retain(|priority, _| of_priorities.contains(priority));
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
        let found = self.queues.get_mut(&queue).unwrap();
        if found.ready.is_empty() {
            return Answer::Plain(CommandReply::Empty);
        }
        let message = found.ready.remove(0);
        let remaining = u64::try_from(found.ready.len()).unwrap();
        let order = holder.unwrap_or_else(|| {
            self.add(Consumer {
                id,
                last: 0,
                queue,
                standing: Standing::Holder,
                prefetch: 0,
                granted: 0,
                priority: 0,
                exclusive: false,
                held: vec![],
            })
        });
        let Given { sequence, body, acquired, failed, .. } = self.hand(order, message);
        Answer::Got { sequence, body, acquired, failed, remaining }
    }

    /// Has a consumer hold a message.
    fn hand(&mut self, order: u64, message: Message) -> Given {
        let consumer = self.consumers.get_mut(&order).unwrap();
        consumer.last += 1;
        consumer.held.push((consumer.last, message));
        given(consumer, consumer.held.last().unwrap())
    }

    fn create(&mut self, id: QueueId, settings: &QueueSettings) -> CommandReply {
        if self.tombstones.contains_key(&id) {
            return CommandReply::Refused(Refusal::QueueDeleted);
        }
        let fresh = !self.queues.contains_key(&id);
        if fresh {
            let queue = Queue { settings: settings.clone(), ..Queue::default() };
            self.queues.insert(id, queue);
        }
        CommandReply::Created { fresh }
    }

    fn delete(&mut self, id: QueueId, if_unused: bool, if_empty: bool) -> CommandReply {
        let ready = match self.queue(id) {
            Ok(queue) => queue.ready.len(),
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        if if_unused && !self.registered(id).is_empty() {
            return CommandReply::Refused(Refusal::InUse);
        }
        if if_empty && ready > 0 {
            return CommandReply::Refused(Refusal::NotEmpty);
        }
        self.end(id, EndReason::Deleted);
        CommandReply::Deleted { messages: u64::try_from(ready).unwrap() }
    }

    fn end(&mut self, id: QueueId, reason: EndReason) {
        self.queues.remove(&id);
        self.tombstones.insert(id, reason);
        for consumer in self.consumers.values().filter(|consumer| consumer.queue == id) {
            if consumer.standing == Standing::Registered {
                let reason = CancelReason::QueueDeleted;
                self.events.push(Effect::Cancelled { consumer: consumer.id, queue: id, reason });
            }
        }
        self.consumers.retain(|_, consumer| consumer.queue != id);
        if reason == EndReason::Unused {
            self.events.push(Effect::QueueEnded { queue: id, reason });
        }
    }

    fn close(&mut self, id: SessionId) {
        if !self.is_open(id) {
            return;
        }
        self.nodes.get_mut(&id.node).unwrap().2 = false;
        let mut numbers: Vec<_> =
            self.consumers.values().map(|one| one.id).filter(|one| one.session == id).collect();
        numbers.sort();
        for consumer in numbers {
            self.detach(consumer);
        }
        self.uploads.retain(|(session, _), _| *session != id);
    }

    /// Gives away all that can be given, one message after the other.
    pub(super) fn deliver(&mut self) {
        let ids: Vec<_> = self.queues.keys().copied().collect();
        for id in ids {
            self.choose_active(id);
            while let Some(order) = self.next_turn(id) {
                let message = self.queues.get_mut(&id).unwrap().ready.remove(0);
                let given = self.hand(order, message);
                self.given.push(given);
            }
        }
    }

    fn choose_active(&mut self, id: QueueId) {
        let registered = self.registered(id);
        let queue = &self.queues[&id];
        let active = if queue.settings.single_active_consumer {
            let best = registered
                .iter()
                .min_by_key(|order| (-i64::from(self.consumers[order].priority), **order));
            let active = registered.iter().find(|order| Some(**order) == queue.active);
            match (active, best) {
                (Some(active), Some(best)) => {
                    let (now, next) = (&self.consumers[active], &self.consumers[best]);
                    let yields = next.priority > now.priority && now.held.is_empty();
                    Some(if yields { *best } else { *active })
                }
                (_, best) => best.copied(),
            }
        } else {
            None
        };
        self.queues.get_mut(&id).unwrap().active = active;
    }

    /// Who is given the next message, if there is one and somebody can take it.
    fn next_turn(&mut self, id: QueueId) -> Option<u64> {
        let registered = self.registered(id);
        let queue = &self.queues[&id];
        if queue.ready.is_empty() {
            return None;
        }
        let top = registered.iter().map(|order| self.consumers[order].priority).max();
        let is_able = |order: &u64| {
            let one = &self.consumers[order];
            let held = u64::try_from(one.held.len()).unwrap();
            let is_served = !queue.settings.single_active_consumer
                || (queue.active == Some(*order) && Some(one.priority) == top);
            is_served && one.last < one.granted && (one.prefetch == 0 || held < one.prefetch)
        };
        let able: Vec<u64> = registered.into_iter().filter(is_able).collect();
        let priority = able.iter().map(|order| self.consumers[order].priority).max()?;
        let class: Vec<u64> =
            able.into_iter().filter(|order| self.consumers[order].priority == priority).collect();
        let served = queue.turns.get(&priority);
        let next = class.iter().find(|order| served.is_some_and(|served| *order > served));
        let next = *next.unwrap_or(&class[0]);
        self.queues.get_mut(&id).unwrap().turns.insert(priority, next);
        Some(next)
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
        let ready = &self.queues.get(&id)?.ready;
        let held = self.consumers.values().filter(|one| one.queue == id);
        let held: Vec<_> = held.flat_map(|one| &one.held).map(|(_, message)| message).collect();
        let bytes = |size: usize| u64::try_from(size).unwrap();
        Some(QueueStatus {
            ready: bytes(ready.len()),
            ready_bytes: ready.iter().map(|message| bytes(message.body.len())).sum(),
            unsettled: bytes(held.len()),
            unsettled_bytes: held.iter().map(|message| bytes(message.body.len())).sum(),
            consumers: u32::try_from(self.registered(id).len()).unwrap(),
            ..QueueStatus::default()
        })
    }

    /// The rows that are needed.
    pub(super) fn rows(&self) -> Vec<u64> {
        let waiting = self.queues.values().flat_map(|queue| &queue.ready);
        let held = self.consumers.values().flat_map(|one| &one.held).map(|(_, message)| message);
        let messages = waiting.chain(held).flat_map(|message| message.rows.iter().copied());
        let uploads = self.uploads.values().flatten().map(|(row, _)| *row);
        let rows: BTreeSet<u64> = messages.chain(uploads).collect();
        rows.into_iter().collect()
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
