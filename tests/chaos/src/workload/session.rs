//! A client's connection with one channel, whose every step is recorded.
//!
//! What is about to be sent is noted before, what was heard once it was heard. The connection has
//! heartbeats: a peer that is silent for too long is left, as any client library would. Whoever drops a
//! [`Session`] without closing it has lost it.
//!
//! **Not here:** coming back. [`persist`](crate::workload::persist::persist) opens the next one.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use warren_tests::wire::{
    FRAME_HEARTBEAT, Field as Value, Flags, Frame, Guest, Heard, MethodId, Pack, Unpack, Wire,
    consume, declare_queue, get, id, pairs, publish, settle,
};

use crate::field::{Door, Field};
use crate::history::{Channel, Consumer, Event, How, Message, Recorder};
use crate::workload::parcel::{Parcel, Seen};

/// How long an opening may take before another node is tried.
const OPENING: Duration = Duration::from_secs(15);

/// How long anything that was asked may take while the connection lives. Longer than the broker's own
/// deadlines, after which it closes the channel.
pub const ANSWER: Duration = Duration::from_secs(75);

/// What is agreed with the broker.
const HEARTBEAT_SECONDS: u16 = 6;

/// How often a heartbeat is sent.
const BEAT: Duration = Duration::from_secs(2);

/// How long the broker may say nothing at all.
const SILENCE: Duration = Duration::from_secs(15);

/// How long the socket may take nothing.
const SENDING: Duration = Duration::from_secs(30);

/// How long is listened at once, so that heartbeats are sent in time.
const GLANCE: Duration = Duration::from_millis(500);

/// connection.blocked and connection.unblocked
const BLOCKED: MethodId = (10, 60);
const UNBLOCKED: MethodId = (10, 61);

/// The broker closed the channel or the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reply code.
    pub code: u16,
    /// The reply text.
    pub text: String,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// To whom.
    pub consumer: Consumer,
    /// Its delivery tag.
    pub tag: u64,
    /// Which it is, if a publisher wrote it.
    pub message: Option<Message>,
    /// Its flag.
    pub redelivered: bool,
    /// Bytes of its body.
    pub size: u64,
}

/// How somebody consumes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Deliveries that may be unacknowledged; 0: any number.
    pub prefetch: u16,
    /// Whether deliveries count as acknowledged.
    pub automatic: bool,
    /// Whether nobody else may consume.
    pub exclusive: bool,
    /// x-priority
    pub priority: i64,
}

/// A connection and its channel 1.
#[derive(Debug)]
pub struct Session {
    wire: Wire,
    recorder: Recorder,
    channel: Channel,
    node: String,
    /// Publishes so far; 0 while confirms are off.
    tag: u64,
    confirms: bool,
    /// Publishes that are neither confirmed nor refused.
    open: BTreeMap<u64, Message>,
    consumers: BTreeMap<String, Consumer>,
    /// Who gets from which queue.
    getters: BTreeMap<String, Consumer>,
    inbox: VecDeque<Given>,
    blocked: bool,
    heard: Instant,
    beaten: Instant,
    over: bool,
}

impl Session {
    /// Connects to a node as guest.
    pub fn open(field: &Field, door: &Door, who: &str) -> Result<Self> {
        Self::open_for(field, door, who, &Guest::default())
    }

    /// As [`Session::open`], as somebody else, or to another vhost.
    pub fn open_for(field: &Field, door: &Door, who: &str, guest: &Guest<'_>) -> Result<Self> {
        let guest = Guest { heartbeat_seconds: HEARTBEAT_SECONDS, ..*guest };
        let wire = Wire::open_channel_for(door.amqp, OPENING, &guest)?;
        wire.stream().set_write_timeout(Some(SENDING))?;
        let (channel, node) = (field.recorder.number(), door.name.clone());
        let who = who.to_owned();
        field.recorder.tell(Event::Open { channel, node: node.clone(), who });
        Ok(Self {
            wire,
            recorder: field.recorder.clone(),
            channel,
            node,
            tag: 0,
            confirms: false,
            open: BTreeMap::new(),
            consumers: BTreeMap::new(),
            getters: BTreeMap::new(),
            inbox: VecDeque::new(),
            blocked: false,
            heard: Instant::now(),
            beaten: Instant::now(),
            over: false,
        })
    }

    /// Has every publish confirmed from here on.
    pub fn confirm_select(&mut self) -> Result<()> {
        self.call(Pack::method(id::CONFIRM_SELECT).u8(0), id::CONFIRM_SELECT_OK)?;
        self.confirms = true;
        Ok(())
    }

    /// Declares a durable queue with arguments.
    pub fn declare(&mut self, queue: &str, arguments: &[(&str, Value)]) -> Result<()> {
        self.declare_as(queue, Flags::DURABLE, arguments).map(drop)
    }

    /// Declares a queue, and tells how many messages it has ready.
    pub fn declare_as(
        &mut self,
        queue: &str,
        flags: Flags,
        arguments: &[(&str, Value)],
    ) -> Result<u32> {
        let bytes = declare_queue(1, queue, flags, &pairs(arguments));
        let answer = self.call_bytes(&bytes, id::QUEUE_DECLARE_OK)?;
        let mut fields = Unpack::new(answer.arguments());
        let _name = fields.short();
        Ok(fields.u32())
    }

    /// Publishes a message.
    pub fn publish(&mut self, parcel: &Parcel<'_>) -> Result<Message> {
        let message = self.recorder.number();
        let (body, properties, sum) = parcel.wrap(message);
        if self.confirms {
            self.tag += 1;
            self.open.insert(self.tag, message);
        }
        self.recorder.tell(Event::Publish {
            channel: self.channel,
            tag: self.tag,
            message,
            queues: parcel.queues.iter().map(|queue| (*queue).to_owned()).collect(),
            size: size_of(&body),
            sum,
            mandatory: parcel.mandatory,
            priority: parcel.priority.unwrap_or_default(),
            ttl_ms: parcel.ttl_ms,
        });
        let bits = u8::from(parcel.mandatory);
        let bytes = publish(1, parcel.exchange, parcel.key, bits, &properties, &body);
        self.send(&bytes)?;
        Ok(message)
    }

    /// Consumes from a queue.
    pub fn consume(&mut self, queue: &str, plan: Plan) -> Result<Consumer> {
        let qos = Pack::method(id::QOS).u32(0).u16(plan.prefetch).u8(0);
        self.call(qos, id::QOS_OK)?;
        let consumer = self.tell_consumer(queue, plan);
        let tag = consumer.to_string();
        self.consumers.insert(tag.clone(), consumer);
        let arguments = match plan.priority {
            0 => vec![],
            priority => pairs(&[("x-priority", Value::I64(priority))]),
        };
        let bits = u8::from(plan.automatic) << 1 | u8::from(plan.exclusive) << 2;
        self.call_bytes(&consume(1, queue, &tag, bits, &arguments), id::CONSUME_OK)?;
        self.recorder.tell(Event::Consumed { consumer });
        Ok(consumer)
    }

    /// Consumes no more. Deliveries that were on their way are in the inbox.
    pub fn cancel(&mut self, consumer: Consumer) -> Result<()> {
        self.recorder.tell(Event::Cancel { consumer, by_broker: false });
        let cancel = Pack::method(id::CANCEL).short(&consumer.to_string()).u8(0);
        self.call(cancel, id::CANCEL_OK)?;
        self.recorder.tell(Event::Cancel { consumer, by_broker: false });
        self.consumers.remove(&consumer.to_string());
        Ok(())
    }

    /// Takes one message with basic.get.
    pub fn get(&mut self, queue: &str) -> Result<Option<Given>> {
        if !self.getters.contains_key(queue) {
            let consumer = self.tell_consumer(queue, Plan::default());
            self.getters.insert(queue.to_owned(), consumer);
        }
        let before = self.inbox.len();
        self.send(&get(1, queue, false))?;
        let answer = self.answer(&[id::GET_OK, id::GET_EMPTY])?;
        if answer.method() == Some(id::GET_EMPTY) {
            return Ok(None);
        }
        let consumer = self.getters.get(queue).copied().expect("it was made above");
        self.receive(consumer, &answer)?;
        Ok(self.inbox.remove(before))
    }

    /// Acknowledges, gives back or discards a delivery, or all up to it.
    pub fn settle(&mut self, tag: u64, multiple: bool, how: How) -> Result<()> {
        self.recorder.tell(Event::Settle { channel: self.channel, tag, multiple, how });
        let many = u8::from(multiple);
        let bytes = match how {
            How::Ack => settle(1, id::ACK, tag, many),
            // basic.reject counts towards a delivery limit, basic.nack does not.
            How::Requeue if !multiple => settle(1, id::REJECT, tag, 1),
            How::Requeue => settle(1, id::NACK, tag, many | 2),
            How::Discard => settle(1, id::NACK, tag, many),
        };
        self.send(&bytes)
    }

    /// Asks how many messages a queue has ready; all settled before is certain afterwards.
    pub fn certain(&mut self, queue: &str) -> Result<u32> {
        self.recorder.tell(Event::Ask { channel: self.channel });
        let ready = self.declare_as(queue, Flags::PASSIVE, &[])?;
        self.recorder.tell(Event::Certain { channel: self.channel });
        Ok(ready)
    }

    /// Listens for so long, or until something came, with all that came with it.
    pub fn listen(&mut self, longest: Duration) -> Result<()> {
        let until = Instant::now() + longest;
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(GLANCE);
            if let Some(frame) = self.hear(left)? {
                self.take(&frame)?;
                while let Some(frame) = self.hear(Duration::from_micros(100))? {
                    self.take(&frame)?;
                }
                return Ok(());
            }
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    /// Listens for so long, whatever comes.
    pub fn idle(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.listen(until.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }

    /// The oldest delivery that nobody has looked at.
    pub fn pop(&mut self) -> Option<Given> {
        self.inbox.pop_front()
    }

    /// Publishes that wait for their confirms.
    pub fn unconfirmed(&self) -> usize {
        self.open.len()
    }

    /// Whether the broker asked to publish nothing.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Its number in the history.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The node that it is connected to.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Waits until every publish is confirmed or refused.
    pub fn await_confirms(&mut self) -> Result<()> {
        let mut until = Instant::now() + ANSWER;
        while let Some((tag, message)) = self.open.first_key_value() {
            if self.blocked {
                until = Instant::now() + ANSWER;
            }
            if Instant::now() >= until {
                let what = format!("publish {tag}, message {message}, is not confirmed");
                self.recorder.tell(Event::Stuck { channel: self.channel, what: what.clone() });
                bail!(what);
            }
            self.listen(GLANCE)?;
        }
        Ok(())
    }

    /// Closes the connection in order.
    pub fn close(mut self) -> Result<()> {
        self.recorder.tell(Event::Ask { channel: self.channel });
        let close = Pack::method(id::CLOSE).u16(200).short("bye").u16(0).u16(0).frame(0);
        self.send(&close)?;
        self.answer_on(0, &[id::CLOSE_OK])?;
        self.recorder.tell(Event::Certain { channel: self.channel });
        self.recorder.tell(Event::Closed { channel: self.channel });
        self.over = true;
        Ok(())
    }

    /// Makes publishes and settles a transaction.
    pub fn tx_select(&mut self) -> Result<()> {
        self.call(Pack::method(id::TX_SELECT), id::TX_SELECT_OK).map(drop)
    }

    /// Has it done.
    pub fn tx_commit(&mut self) -> Result<()> {
        self.recorder.tell(Event::Commit { channel: self.channel });
        self.call(Pack::method(id::TX_COMMIT), id::TX_COMMIT_OK)?;
        self.recorder.tell(Event::Committed { channel: self.channel });
        Ok(())
    }

    /// Has it left undone.
    pub fn tx_rollback(&mut self) -> Result<()> {
        self.call(Pack::method(id::TX_ROLLBACK), id::TX_ROLLBACK_OK)?;
        self.recorder.tell(Event::RolledBack { channel: self.channel });
        Ok(())
    }

    /// Sends a method on the channel and waits for its answer.
    pub fn call(&mut self, method: Pack, answer: MethodId) -> Result<Frame> {
        self.call_bytes(&method.frame(1), answer)
    }

    /// As [`Session::call`], of bytes.
    pub fn call_bytes(&mut self, bytes: &[u8], answer: MethodId) -> Result<Frame> {
        self.send(bytes)?;
        self.answer(&[answer])
    }

    fn answer(&mut self, methods: &[MethodId]) -> Result<Frame> {
        self.answer_on(1, methods)
    }

    fn answer_on(&mut self, channel: u16, methods: &[MethodId]) -> Result<Frame> {
        let until = Instant::now() + ANSWER;
        loop {
            if let Some(frame) = self.hear(GLANCE)? {
                let method = frame.method();
                if frame.channel == channel && method.is_some_and(|m| methods.contains(&m)) {
                    return Ok(frame);
                }
                self.take(&frame)?;
            }
            if Instant::now() >= until {
                let what = format!("no answer {methods:?} within {ANSWER:?}");
                self.recorder.tell(Event::Stuck { channel: self.channel, what: what.clone() });
                bail!(what);
            }
        }
    }

    fn tell_consumer(&self, queue: &str, plan: Plan) -> Consumer {
        let consumer = self.recorder.number();
        self.recorder.tell(Event::Consume {
            consumer,
            channel: self.channel,
            queue: queue.to_owned(),
            prefetch: plan.prefetch,
            automatic: plan.automatic,
            exclusive: plan.exclusive,
            priority: plan.priority,
        });
        consumer
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.wire.send(bytes);
        self.ending(sent)
    }

    /// A frame that is no heartbeat, if one comes within that time.
    fn hear(&mut self, longest: Duration) -> Result<Option<Frame>> {
        if self.beaten.elapsed() >= BEAT {
            self.beaten = Instant::now();
            let beat = Frame { kind: FRAME_HEARTBEAT, channel: 0, payload: Vec::new() };
            self.send(&beat.encode())?;
        }
        let heard = self.wire.hear_within(longest);
        match self.ending(heard)? {
            Some(Heard::Frame(frame)) => {
                self.heard = Instant::now();
                Ok(Some(frame).filter(|frame| frame.kind != FRAME_HEARTBEAT))
            }
            Some(Heard::End) => self.ending(Err(anyhow!("the broker ended the connection"))),
            None if self.heard.elapsed() > SILENCE => {
                self.ending(Err(anyhow!("the broker is silent")))
            }
            None => Ok(None),
        }
    }

    /// What a frame that nobody waits for means.
    fn take(&mut self, frame: &Frame) -> Result<()> {
        match frame.method() {
            Some(id::DELIVER) => {
                let tag = Unpack::new(frame.arguments()).short();
                let consumer = self.consumers.get(&tag).copied();
                let consumer = consumer.with_context(|| format!("nobody is called {tag}"))?;
                self.receive(consumer, frame)
            }
            Some(id::ACK | id::NACK) => {
                self.confirmed(frame);
                Ok(())
            }
            Some(id::RETURN) => {
                let returned = self.wire.message_after(1, frame);
                let returned = self.ending(returned)?;
                let message = Seen::of(&returned).message.unwrap_or_default();
                let code = u16::try_from(returned.number)?;
                self.recorder.tell(Event::Return { channel: self.channel, message, code });
                Ok(())
            }
            Some(BLOCKED) => self.block(true),
            Some(UNBLOCKED) => self.block(false),
            Some(id::CANCEL) => {
                let tag = Unpack::new(frame.arguments()).short();
                if let Some(consumer) = self.consumers.remove(&tag) {
                    self.recorder.tell(Event::Cancel { consumer, by_broker: true });
                }
                self.ending(Err(anyhow!("the broker cancelled consumer {tag}")))
            }
            Some(id::CLOSE | id::CHANNEL_CLOSE) => {
                let mut arguments = Unpack::new(frame.arguments());
                let refusal = Refusal { code: arguments.u16(), text: arguments.short() };
                self.ending(Err(refusal.into()))
            }
            _ => Ok(()),
        }
    }

    fn block(&mut self, blocked: bool) -> Result<()> {
        self.blocked = blocked;
        self.recorder.tell(Event::Blocked { channel: self.channel, blocked });
        Ok(())
    }

    fn receive(&mut self, consumer: Consumer, first: &Frame) -> Result<()> {
        let delivered = self.wire.message_after(1, first);
        let delivered = self.ending(delivered)?;
        self.heard = Instant::now();
        let seen = Seen::of(&delivered);
        let given = Given {
            consumer,
            tag: delivered.tag,
            message: seen.message,
            redelivered: delivered.redelivered,
            size: size_of(&delivered.body),
        };
        self.recorder.tell(Event::Deliver {
            consumer,
            tag: given.tag,
            message: given.message,
            size: given.size,
            sum: seen.sum,
            redelivered: given.redelivered,
            acquired: seen.acquired,
            count: seen.count,
            death: seen.death,
        });
        self.inbox.push_back(given);
        Ok(())
    }

    fn confirmed(&mut self, frame: &Frame) {
        let mut arguments = Unpack::new(frame.arguments());
        let (tag, multiple) = (arguments.u64(), arguments.u8() & 1 == 1);
        let taken = frame.method() == Some(id::ACK);
        self.recorder.tell(Event::Confirm { channel: self.channel, tag, multiple, taken });
        if multiple {
            self.open = self.open.split_off(&tag.saturating_add(1));
        } else {
            self.open.remove(&tag);
        }
    }

    /// Notes the end of the connection, if this is one.
    fn ending<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && !self.over
        {
            self.over = true;
            let why = format!("{error:#}");
            self.recorder.tell(Event::Lost { channel: self.channel, why });
        }
        result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let dropped = Err(anyhow!("its client left it"));
        drop(self.ending::<()>(dropped));
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the broker closed: {} {}", self.code, self.text)
    }
}

impl std::error::Error for Refusal {}

fn size_of(body: &[u8]) -> u64 {
    u64::try_from(body.len()).expect("64 bits count anything in memory")
}
