//! basic.qos, consume, cancel and get.

use std::sync::Arc;

use bytes::Bytes;
use warren_amqp::{Delivery as Sent, MethodId, Reply, ReplyCode, Request};
use warren_catalog::{Access, Queue, QueueKind};
use warren_queue::entry::{FragmentWriter, message};
use warren_queue::{
    Attach, CancelReason, Command, CommandReply, Got, Outcome, Refusal, SettleRange,
};
use warren_types::{ChannelNumber, ConsumerNumber, DeliverySequence, Table};

use super::context::{Context, Kind, unexpected};
use super::deliver::{counts_deliveries, whole_body, with_counts};
use super::holder::{Flow, Holder, Stage, WINDOW_MESSAGES};
use super::names::fresh;
use super::operation::Finish;
use super::reply_to::REPLY_TO;
use super::state::Connection;
use super::stream::group_of;
use super::traced::Receiver;
use super::unacked::Nth;
use crate::failure::Failure;
use crate::limit::Limit;
use crate::queue::handle::{AnswerTo, read_parts};

/// Holders of what basic.get took, of so many queues, that a channel keeps though they hold nothing: a
/// client that looks into a few queues again and again makes none anew.
pub(crate) const GETTERS_KEPT: usize = 32;

/// What a client wants of a consumer.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) queue: String,
    pub(super) tag: String,
    pub(super) no_ack: bool,
    pub(super) exclusive: bool,
    pub(super) nowait: bool,
    pub(super) priority: i32,
    pub(super) timeout_ms: Option<u64>,
    pub(super) arguments: Table,
    /// Whether it is known that its queue is no stream, whatever the catalog says.
    pub(super) as_queue: bool,
}

impl Connection {
    /// basic.qos
    pub(crate) fn qos(
        &mut self,
        number: ChannelNumber,
        prefetch_size: u32,
        prefetch_count: u16,
        global: bool,
    ) -> Result<(), Failure> {
        if prefetch_size != 0 {
            return Err(Failure::new(
                ReplyCode::NotImplemented,
                format_args!("prefetch_size!=0 ({prefetch_size})"),
            ));
        }
        let channel = self.channel(number);
        if !global {
            channel.prefetch = prefetch_count;
            return self.reply(number, &Reply::QosOk);
        }
        channel.channel_prefetch = prefetch_count;
        self.relieved.push(number);
        let nths: Vec<Nth> = self.channel(number).consumers.values().copied().collect();
        let unbound: Vec<Nth> = nths
            .into_iter()
            .filter(|nth| self.holders.get(nth).is_some_and(|holder| holder.flow != Flow::Channel))
            .collect();
        if prefetch_count == 0 || unbound.is_empty() {
            return self.reply(number, &Reply::QosOk);
        }
        self.bind_to_channel(number, unbound);
        Ok(())
    }

    /// Has consumers that were there before follow the channel's own prefetch. What was granted
    /// to them cannot be taken back, so each goes on under another number.
    fn bind_to_channel(&mut self, number: ChannelNumber, nths: Vec<Nth>) {
        for nth in nths {
            let Some(old) = self.holders.get_mut(&nth) else { continue };
            old.stage = Stage::Cancelled;
            let (slot, placed) = (old.slot, old.placed());
            self.staging.command(slot, &Command::Cancel { consumer: old.number });
            self.give_back_all(nth);
            self.attach_anew(number, placed, Flow::Channel);
        }
        self.relieved.push(number);
        self.out.reply(number, &Reply::QosOk);
    }

    /// Registers a consumer that its client has under another number. The client does not wait.
    pub(crate) fn attach_anew(&mut self, number: ChannelNumber, placed: Placed, flow: Flow) {
        let (nth, consumer) = self.holder_number();
        let (slot, tag) = (placed.slot, placed.tag.clone());
        let attach = self.hold(number, nth, consumer, placed, flow);
        let mut fragment = FragmentWriter::new();
        fragment.command(&Command::Attach(attach));
        // The end of the former one goes first.
        self.send_staged();
        let answer_to = AnswerTo::Holder { mailbox: self.mailbox.clone(), nth };
        self.broker.shard(slot).send(fragment.finish(), answer_to);
        let tag = String::from_utf8_lossy(&tag).into_owned();
        self.channel(number).consumers.insert(tag, nth);
    }

    /// basic.consume
    pub(crate) fn consume(
        &mut self,
        number: ChannelNumber,
        request: Request,
    ) -> Result<(), Failure> {
        let Request::Consume { queue, consumer_tag, no_ack, exclusive, nowait, arguments, .. } =
            request
        else {
            return Ok(());
        };
        let limit = self.limits().consumers_per_channel;
        let channel = self.channel(number);
        let taken = channel.consumers.contains_key(&consumer_tag)
            || channel.reply_consumer.as_ref().is_some_and(|reply| reply.tag == consumer_tag);
        if taken {
            return Err(Failure::new(
                ReplyCode::NotAllowed,
                format_args!("attempt to reuse consumer tag '{consumer_tag}'"),
            ));
        }
        if channel.consumers.len() >= limit {
            self.broker.counters.hits.note(Limit::Consumers);
            return Err(Failure::new(
                ReplyCode::NotAllowed,
                format_args!("reached maximum ({limit}) of consumers per channel"),
            ));
        }
        let tag = if consumer_tag.is_empty() { fresh("amq.ctag-") } else { consumer_tag };
        let queue = self.named_queue(number, queue)?;
        if queue == REPLY_TO {
            return self.consume_replies(number, tag, no_ack, nowait);
        }
        let priority = priority(&arguments, &queue, &self.client().vhost)?;
        let timeout_ms = timeout_ms(&arguments, &queue, &self.client().vhost)?;
        let wanted = Wanted {
            queue,
            tag,
            no_ack,
            exclusive,
            nowait,
            priority,
            timeout_ms,
            arguments,
            as_queue: false,
        };
        self.begin_consume(number, wanted);
        Ok(())
    }

    fn begin_consume(&mut self, number: ChannelNumber, wanted: Wanted) {
        let context = self.context();
        let waits_for = format!("queue '{}'", wanted.queue);
        let work = async move {
            context.permit(Access::Read, Kind::Queue, &wanted.queue).await?;
            let queue = context.queue(&wanted.queue).await?;
            let finish: Finish = Box::new(move |connection| {
                connection.attach(number, &context, &queue, wanted);
                Ok(())
            });
            Ok(finish)
        };
        self.begin(number, MethodId::BASIC_CONSUME, waits_for, work);
    }

    pub(super) fn attach(
        &mut self,
        number: ChannelNumber,
        context: &Context,
        queue: &Arc<Queue>,
        wanted: Wanted,
    ) {
        let Wanted { tag, no_ack, nowait, arguments, .. } = wanted.clone();
        let slot = match context.slot(queue) {
            Ok(slot) => slot,
            Err(failure) => return self.fail(number, failure.at(MethodId::BASIC_CONSUME)),
        };
        if queue.kind == QueueKind::Stream
            && !wanted.as_queue
            && let Some(group) = group_of(queue)
        {
            return self.consume_stream(number, context, queue, (slot, group), wanted);
        }
        let (nth, consumer) = self.holder_number();
        let quorum = queue.kind == QueueKind::Quorum;
        // Quorum queues know no exclusive consumers; RabbitMQ passes the wish over there.
        let terms = Terms {
            priority: wanted.priority,
            exclusive: wanted.exclusive && !quorum,
            timeout_ms: wanted.timeout_ms,
        };
        let placed = Placed {
            slot,
            queue: queue.id,
            tag: Bytes::from(tag.clone()),
            no_ack,
            counts: counts_deliveries(queue),
            terms,
        };
        let flow = self.flow(number, no_ack);
        let attach = self.hold(number, nth, consumer, placed, flow);
        self.channel(number).consumers.insert(tag.clone(), nth);
        let (context, queue) = (context.clone(), queue.clone());
        let waits_for = format!("queue '{}'", queue.name);
        let work = async move {
            match context.ask(&queue, &Command::Attach(attach)).await? {
                Some(CommandReply::Attached) => {}
                Some(CommandReply::Refused(refusal)) => {
                    let queue = context.after(refusal, &queue).await?;
                    let finish: Finish = Box::new(move |connection| {
                        connection.cancelled(consumer, CancelReason::QueueDeleted);
                        connection.attach(number, &context, &queue, wanted);
                        Ok(())
                    });
                    return Ok(finish);
                }
                other => return Err(unexpected(other.as_ref())),
            }
            let finish: Finish = Box::new(move |connection| {
                connection.attached(number, nth, tag, nowait, &arguments)
            });
            Ok(finish)
        };
        self.begin(number, MethodId::BASIC_CONSUME, waits_for, work);
    }

    fn attached(
        &mut self,
        number: ChannelNumber,
        nth: Nth,
        consumer_tag: String,
        nowait: bool,
        arguments: &Table,
    ) -> Result<(), Failure> {
        if !nowait {
            self.out.reply(number, &Reply::ConsumeOk { consumer_tag });
        }
        if let Some(holder) = self.holders.get(&nth) {
            self.tell_consumer(holder, arguments);
        }
        self.enliven(nth);
        Ok(())
    }

    /// A holder is registered: what came before the answer goes out.
    pub(crate) fn enliven(&mut self, nth: Nth) {
        let Some(holder) = self.holders.get_mut(&nth) else { return };
        if holder.stage == Stage::Attaching {
            holder.stage = Stage::Live;
        }
        let parked = std::mem::take(&mut holder.parked);
        if std::mem::take(&mut holder.in_doubt) {
            return self.attach_again(nth);
        }
        for delivery in parked {
            self.queue_up(nth, delivery);
        }
    }

    fn flow(&mut self, number: ChannelNumber, no_ack: bool) -> Flow {
        let channel = self.channel(number);
        let prefetch = u64::from(channel.prefetch);
        if no_ack {
            Flow::Window
        } else if channel.channel_prefetch > 0 {
            Flow::Channel
        } else if prefetch > 0
            && prefetch <= WINDOW_MESSAGES
            && channel.has_room_for(channel.prefetch)
        {
            Flow::Prefetch
        } else {
            Flow::Window
        }
    }

    /// Makes a holder that waits for its shard, and the command that registers it there.
    fn hold(
        &mut self,
        number: ChannelNumber,
        nth: Nth,
        consumer: ConsumerNumber,
        placed: Placed,
        flow: Flow,
    ) -> Attach {
        let channel = self.channel(number);
        let in_force = channel.prefetch;
        let prefetch = if placed.no_ack { 0 } else { in_force };
        let granted = match flow {
            Flow::Prefetch => {
                channel.promised = channel.promised.saturating_add(in_force.into());
                DeliverySequence(u64::MAX)
            }
            Flow::Window => DeliverySequence(channel.window(placed.no_ack)),
            Flow::Channel => {
                let room = channel.room().unwrap_or_default();
                DeliverySequence(u64::try_from(room).unwrap_or(WINDOW_MESSAGES))
            }
        };
        let Placed { slot, queue, tag, no_ack, counts, terms } = placed;
        self.keep_holder(
            nth,
            Holder {
                channel: number,
                slot,
                number: consumer,
                queue,
                tag: tag.clone(),
                no_ack,
                prefetch: in_force,
                is_getter: false,
                counts_deliveries: counts,
                terms,
                flow,
                stage: Stage::Attaching,
                received: DeliverySequence::default(),
                missed: None,
                in_doubt: false,
                seen: DeliverySequence::default(),
                granted,
                held: 0,
                parked: Vec::new(),
            },
        );
        self.broker.counters.consumers.add(1);
        let Terms { priority, exclusive, timeout_ms } = terms;
        Attach {
            consumer,
            queue,
            prefetch: u32::from(prefetch),
            granted,
            priority,
            exclusive,
            no_ack,
            tag,
            timeout_ms,
            // What was not acknowledged need not be: it is nobody's once it is on its way.
            claim: self.claim.filter(|_| !no_ack),
        }
    }

    /// basic.cancel
    pub(crate) fn cancel(
        &mut self,
        number: ChannelNumber,
        tag: &str,
        nowait: bool,
    ) -> Result<(), Failure> {
        let reply = Reply::CancelOk { consumer_tag: tag.to_owned() };
        let channel = self.channel(number);
        if channel.reply_consumer.as_ref().is_some_and(|reply| reply.tag == tag) {
            let ended = channel.reply_consumer.take();
            if let Some(consumer) = ended {
                self.broker.registry.hush(consumer.nonce);
            }
        }
        let channel = self.channel(number);
        let Some(nth) = channel.consumers.remove(tag) else {
            return if nowait { Ok(()) } else { self.reply(number, &reply) };
        };
        if self.end_stream(nth) {
            return if nowait { Ok(()) } else { self.reply(number, &reply) };
        }
        let Some(holder) = self.holders.get_mut(&nth) else { return Ok(()) };
        holder.stage = Stage::Cancelled;
        let shard = self.broker.shard(holder.slot).clone();
        let command = Command::Cancel { consumer: holder.number };
        let work = async move {
            let mut fragment = FragmentWriter::new();
            fragment.command(&command);
            shard.ask(fragment.finish()).await.map_err(Failure::unavailable)?;
            let finish: Finish = Box::new(move |connection| {
                connection.cancel_answered(nth);
                if nowait { Ok(()) } else { connection.reply(number, &reply) }
            });
            Ok(finish)
        };
        self.begin(number, MethodId::BASIC_CANCEL, format!("consumer '{tag}'"), work);
        Ok(())
    }

    /// No delivery comes any more: what was not written goes back, and the holder goes once it
    /// holds nothing.
    fn cancel_answered(&mut self, nth: Nth) {
        if let Some(holder) = self.holders.get(&nth) {
            self.tell_consumer_gone(holder);
        }
        self.give_back_all(nth);
        if self.holders.get(&nth).is_some_and(|holder| holder.held == 0) {
            self.detach(nth);
        }
    }

    /// basic.get
    pub(crate) fn get(
        &mut self,
        number: ChannelNumber,
        queue: &Bytes,
        no_ack: bool,
    ) -> Result<(), Failure> {
        if !self.is_open(number) {
            return Ok(());
        }
        let queue = String::from_utf8_lossy(queue).into_owned();
        let queue = self.named_queue(number, queue)?;
        if !no_ack {
            self.check_unacked(number)?;
        }
        let context = self.context();
        let waits_for = format!("queue '{queue}'");
        let work = async move {
            context.permit(Access::Read, Kind::Queue, &queue).await?;
            let queue = context.queue(&queue).await?;
            let finish: Finish = Box::new(move |connection| {
                connection.get_from(number, context, &queue, no_ack);
                Ok(())
            });
            Ok(finish)
        };
        self.begin(number, MethodId::BASIC_GET, waits_for, work);
        Ok(())
    }

    /// Refuses a channel that holds as many messages as it may.
    fn check_unacked(&mut self, number: ChannelNumber) -> Result<(), Failure> {
        let channel = self.channel(number);
        if !channel.is_full() {
            return Ok(());
        }
        let limit = channel.unacked_max;
        self.broker.counters.hits.note(Limit::Unacked);
        Err(Failure::new(
            ReplyCode::PreconditionFailed,
            format_args!(
                "number of unacknowledged messages on channel {number} has reached the maximum \
                 allowed limit of ({limit})"
            ),
        ))
    }

    fn get_from(
        &mut self,
        number: ChannelNumber,
        context: Context,
        queue: &Arc<Queue>,
        no_ack: bool,
    ) {
        let slot = match context.slot(queue) {
            Ok(slot) => slot,
            Err(failure) => return self.fail(number, failure.at(MethodId::BASIC_GET)),
        };
        let nth = self.getter(number, slot, queue);
        let consumer = self.holders.get(&nth).map(|holder| holder.number).unwrap_or_default();
        let waits_for = format!("queue '{}'", queue.name);
        let queue = queue.clone();
        let work = async move {
            let command = Command::Get { consumer, queue: queue.id, no_ack };
            let got = match context.ask(&queue, &command).await? {
                Some(CommandReply::Got(got)) => got,
                Some(CommandReply::Empty) => {
                    let finish: Finish = Box::new(move |connection| connection.got_nothing(number));
                    return Ok(finish);
                }
                Some(CommandReply::Refused(refusal)) => {
                    let queue = context.after(refusal, &queue).await?;
                    let finish: Finish = Box::new(move |connection| {
                        connection.get_from(number, context, &queue, no_ack);
                        Ok(())
                    });
                    return Ok(finish);
                }
                other => return Err(unexpected(other.as_ref())),
            };
            let shard = context.broker.shard(slot);
            let bytes = read_parts(shard, got.location, got.parts.as_deref()).await;
            let finish: Finish = Box::new(move |connection| {
                connection.got(number, nth, &got, bytes, no_ack);
                Ok(())
            });
            Ok(finish)
        };
        self.begin(number, MethodId::BASIC_GET, waits_for, work);
    }

    /// The holder of what this channel gets from `queue`.
    fn getter(
        &mut self,
        number: ChannelNumber,
        slot: crate::queue::handle::ShardSlot,
        queue: &Queue,
    ) -> Nth {
        if let Some(nth) = self.channel(number).getters.get(&queue.id) {
            return *nth;
        }
        self.forget_getter(number);
        let (nth, consumer) = self.holder_number();
        let holder = Holder {
            channel: number,
            slot,
            number: consumer,
            queue: queue.id,
            tag: Bytes::new(),
            no_ack: false,
            prefetch: 0,
            is_getter: true,
            counts_deliveries: counts_deliveries(queue),
            terms: Terms::default(),
            flow: Flow::Prefetch,
            stage: Stage::Live,
            received: DeliverySequence::default(),
            missed: None,
            in_doubt: false,
            seen: DeliverySequence::default(),
            granted: DeliverySequence::default(),
            held: 0,
            parked: Vec::new(),
        };
        self.keep_holder(nth, holder);
        self.channel(number).getters.insert(queue.id, nth);
        nth
    }

    /// Ends a getter that holds nothing, where the channel has many: whoever gets from a hundred
    /// thousand queues, one after the other, leaves few behind in their shards.
    fn forget_getter(&mut self, number: ChannelNumber) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.getters.len() < GETTERS_KEPT {
            return;
        }
        let is_idle = |nth: &Nth| self.holders.get(nth).is_none_or(|holder| holder.held == 0);
        let mut some = channel.getters.iter().take(2 * GETTERS_KEPT);
        let idle = some.find(|(_, nth)| is_idle(nth)).map(|(queue, nth)| (*queue, *nth));
        if let Some((queue, nth)) = idle {
            channel.getters.remove(&queue);
            self.detach(nth);
        }
    }

    fn got(
        &mut self,
        number: ChannelNumber,
        nth: Nth,
        got: &Got,
        bytes: Option<(Bytes, Vec<Bytes>)>,
        no_ack: bool,
    ) {
        let range = SettleRange { from: got.sequence, to: got.sequence };
        let found =
            bytes.and_then(|(row, parts)| Some((message(&row, got.location.offset).ok()?, parts)));
        let Some(holder) = self.holders.get_mut(&nth) else { return };
        let (slot, consumer, queue) = (holder.slot, holder.number, holder.queue);
        let Some((found, parts)) = found else {
            // The queue was deleted between the answer and the read.
            drop(self.got_nothing(number));
            return;
        };
        let counts = holder.counts_deliveries;
        if no_ack {
            self.staging.settle(slot, consumer, Outcome::Ack, &[range]);
        } else {
            holder.held = holder.held.saturating_add(1);
        }
        let channel = self.channel(number);
        let tag = if no_ack {
            channel.unacked.give_settled()
        } else {
            channel.unacked.give(nth, got.sequence)
        };
        let (acquired, failed) = (got.acquired_count, got.delivery_count);
        let counted = if counts { with_counts(acquired, failed, &found.header) } else { None };
        let body = whole_body(&parts, found.body.clone());
        let sent = Sent {
            tag,
            redelivered: got.redelivered,
            exchange: &found.exchange,
            routing_key: &found.routing_key,
            header: counted.as_ref().unwrap_or(&found.header),
            body: &body,
        };
        let remaining = u32::try_from(got.remaining).unwrap_or(u32::MAX);
        self.out.get_ok(number, &sent, remaining, self.frame_max);
        if self.is_overheard() {
            self.copy_delivery(number, queue, &sent, &found);
        }
        let getter = self.holders.get(&nth).filter(|_| self.tracer.is_some());
        if let Some(receiver) = getter.map(|getter| getter.receiver(None)) {
            self.trace_delivery(Receiver { no_ack, ..receiver }, &sent);
        }
        self.broker.counters.got.add(1);
        if no_ack {
            self.broker.counters.got_no_ack.add(1);
        }
        self.channel(number).counts.get(no_ack, got.redelivered);
    }

    fn got_nothing(&mut self, number: ChannelNumber) -> Result<(), Failure> {
        self.broker.counters.got_empty.add(1);
        let counts = &mut self.channel(number).counts;
        counts.get_empty = counts.get_empty.saturating_add(1);
        self.reply(number, &Reply::GetEmpty)
    }
}

/// A consumer's standing among others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) priority: i32,
    pub(crate) exclusive: bool,
    /// How long a delivery may stay unsettled, instead of what the queue says.
    pub(crate) timeout_ms: Option<u64>,
}

/// A consumer as its queue will know it.
pub(crate) struct Placed {
    pub(crate) slot: crate::queue::handle::ShardSlot,
    pub(crate) queue: warren_types::QueueId,
    pub(crate) tag: Bytes,
    pub(crate) no_ack: bool,
    pub(crate) counts: bool,
    pub(crate) terms: Terms,
}

fn priority(arguments: &Table, queue: &str, vhost: &str) -> Result<i32, Failure> {
    Ok(integer(arguments, "x-priority", queue, vhost)?.unwrap_or_default())
}

fn timeout_ms(arguments: &Table, queue: &str, vhost: &str) -> Result<Option<u64>, Failure> {
    integer(arguments, "x-consumer-timeout", queue, vhost)
}

/// A consumer's argument that has to be a number of this size.
fn integer<N: TryFrom<i64>>(
    arguments: &Table,
    name: &str,
    queue: &str,
    vhost: &str,
) -> Result<Option<N>, Failure> {
    let Some(value) = arguments.value(name) else { return Ok(None) };
    let number = value.as_integer().and_then(|number| N::try_from(number).ok());
    number.map(Some).ok_or_else(|| {
        Failure::new(
            ReplyCode::PreconditionFailed,
            format_args!(
                "invalid arg '{name}' for queue '{queue}' in vhost '{vhost}': \
                 \"expected integer, got {}\"",
                value.type_name()
            ),
        )
    })
}

impl Context {
    /// The queue to go on with after a refusal: one that took the place of a queue that is gone.
    pub(super) async fn after(
        &self,
        refusal: Refusal,
        queue: &Queue,
    ) -> Result<Arc<Queue>, Failure> {
        if matches!(refusal, Refusal::UnknownQueue | Refusal::QueueDeleted) {
            return self.successor(queue).await;
        }
        Err(refused(refusal, queue))
    }
}

pub(super) fn refused(refusal: Refusal, queue: &Queue) -> Failure {
    let (name, vhost) = (&queue.name, &queue.vhost);
    match refusal {
        Refusal::UnknownQueue | Refusal::QueueDeleted => super::context::no_queue(name, vhost),
        Refusal::ExclusiveConsumer => Failure::new(
            ReplyCode::AccessRefused,
            format_args!("queue '{name}' in vhost '{vhost}' in exclusive use"),
        ),
        Refusal::SingleActiveConsumer => Failure::new(
            ReplyCode::ResourceLocked,
            format_args!(
                "cannot obtain access to locked queue '{name}' in vhost '{vhost}'. \
                 basic.get operations are not supported by queues with single active consumer"
            ),
        ),
        Refusal::IsStream => Failure::new(
            ReplyCode::NotImplemented,
            format_args!(
                "basic.get not supported by stream queues queue '{name}' in vhost '{vhost}'"
            ),
        ),
        Refusal::InUse
        | Refusal::OtherKind
        | Refusal::NotEmpty
        | Refusal::ConsumerExists
        | Refusal::UnknownUpload
        | Refusal::QueueFull
        | Refusal::NotHeld
        | Refusal::SessionClosed => unexpected(Some(&CommandReply::Refused(refusal))),
    }
}
