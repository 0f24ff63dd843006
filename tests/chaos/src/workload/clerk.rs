//! Asks nodes for objects of the directory, and records what they say.
//!
//! A refusal closes the channel, and a [`Clerk`] opens it again. What it cannot make out (a lost
//! connection, a deadline of the broker's) stays without an answer in the history.

use std::time::Duration;

use anyhow::{Result, bail};
use warren_tests::wire::{
    Field as Value, Flags, Frame, Guest, MethodId, Pack, Unpack, Wire, bind_queue,
    declare_exchange, declare_queue, id, pairs, publish,
};

use crate::field::{Door, Field};
use crate::history::{Action, Event, Outcome, Recorder};

/// How long anything may take before the clerk goes elsewhere.
const PATIENCE: Duration = Duration::from_secs(40);

/// Where everything is bound that is bound.
pub(super) const BOUND: &str = "w6-bound";

/// What an object is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Queue,
    Exchange,
    Binding,
}

/// A connection for questions.
#[derive(Debug)]
pub(super) struct Clerk {
    wire: Wire,
    recorder: Recorder,
    node: String,
}

impl Clerk {
    pub(super) fn open(field: &Field, door: &Door) -> Result<Self> {
        let wire = Wire::open_channel_for(door.amqp, PATIENCE, &Guest::default())?;
        let mut clerk = Self { wire, recorder: field.recorder.clone(), node: door.name.clone() };
        clerk.select()?;
        Ok(clerk)
    }

    /// Asks one thing of one object, and notes the answer if there is a clear one.
    pub(super) fn ask(&mut self, kind: Kind, name: &str, action: Action) -> Result<()> {
        let operation = self.recorder.number();
        let (object, node) = (format!("{kind:?} {name}"), self.node.clone());
        self.recorder.tell(Event::Operate { operation, object, action, node });
        let outcome = match (kind, action) {
            (Kind::Binding, Action::Look) => self.pass(name)?,
            _ => {
                let (bytes, answer) = request(kind, name, action);
                self.call(&bytes, answer)?
            }
        };
        let outcome = match (outcome, action) {
            (Some(Outcome::Done), Action::Look) => Some(Outcome::Present),
            (outcome, _) => outcome,
        };
        if let Some(outcome) = outcome {
            self.recorder.tell(Event::Answer { operation, outcome });
        }
        Ok(())
    }

    /// Whether a queue is there, as anybody would ask; none if the node does not say.
    pub(super) fn sees(&mut self, queue: &str) -> Result<Option<bool>> {
        let bytes = declare_queue(1, queue, Flags::PASSIVE, &[]);
        Ok(self.call(&bytes, id::QUEUE_DECLARE_OK)?.map(|outcome| outcome != Outcome::Absent))
    }

    /// The node that it asks.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Whether a message with this key goes anywhere.
    fn pass(&mut self, key: &str) -> Result<Option<Outcome>> {
        self.wire.send(&publish(1, "amq.direct", key, 1, &[0, 0], b"look"))?;
        let mut outcome = Outcome::Present;
        loop {
            let frame = self.wire.frame()?;
            match frame.method() {
                Some(id::RETURN) => {
                    self.wire.message_after(1, &frame)?;
                    outcome = Outcome::Absent;
                }
                Some(id::ACK) => return Ok(Some(outcome)),
                // What a full queue or a node in trouble says is no answer.
                Some(id::NACK) => return Ok(None),
                Some(id::CHANNEL_CLOSE) => return self.closed(&frame).map(|_| None),
                Some(id::CLOSE) => bail!("the broker closed the connection"),
                _ => {}
            }
        }
    }

    fn call(&mut self, bytes: &[u8], answer: MethodId) -> Result<Option<Outcome>> {
        self.wire.send(bytes)?;
        loop {
            let frame = self.wire.frame()?;
            match frame.method() {
                Some(method) if method == answer => return Ok(Some(Outcome::Done)),
                Some(id::CHANNEL_CLOSE) => return self.closed(&frame),
                Some(id::CLOSE) => bail!("the broker closed the connection"),
                _ => {}
            }
        }
    }

    fn closed(&mut self, frame: &Frame) -> Result<Option<Outcome>> {
        let code = Unpack::new(frame.arguments()).u16();
        self.wire.send(&Pack::method(id::CHANNEL_CLOSE_OK).frame(1))?;
        self.wire.channel(1)?;
        self.select()?;
        Ok(match code {
            404 => Some(Outcome::Absent),
            405 | 406 => Some(Outcome::Different),
            _ => None,
        })
    }

    fn select(&mut self) -> Result<()> {
        let select = Pack::method(id::CONFIRM_SELECT).u8(0).frame(1);
        self.wire.call(1, select, id::CONFIRM_SELECT_OK).map(drop)
    }
}

/// The method for an action, and its answer.
fn request(kind: Kind, name: &str, action: Action) -> (Vec<u8>, MethodId) {
    let durable = Flags::DURABLE;
    match (kind, action) {
        (Kind::Queue, Action::Declare(kind)) => {
            let length = i32::try_from(kind).expect("kinds are small") * 100;
            let arguments = pairs(&[
                ("x-queue-type", Value::text("quorum")),
                ("x-max-length", Value::I32(length)),
            ]);
            (declare_queue(1, name, durable, &arguments), id::QUEUE_DECLARE_OK)
        }
        (Kind::Queue, Action::Look) => {
            (declare_queue(1, name, Flags::PASSIVE, &[]), id::QUEUE_DECLARE_OK)
        }
        (Kind::Queue, Action::Delete) => {
            let delete = Pack::method(id::QUEUE_DELETE).u16(0).short(name).u8(0);
            (delete.frame(1), id::QUEUE_DELETE_OK)
        }
        (Kind::Exchange, Action::Declare(kind)) => {
            let kind = if kind == 1 { "direct" } else { "fanout" };
            (declare_exchange(1, name, kind, durable, &[]), id::EXCHANGE_DECLARE_OK)
        }
        (Kind::Exchange, Action::Look) => {
            (declare_exchange(1, name, "direct", Flags::PASSIVE, &[]), id::EXCHANGE_DECLARE_OK)
        }
        (Kind::Exchange, Action::Delete) => {
            let delete = Pack::method(id::EXCHANGE_DELETE).u16(0).short(name).u8(0);
            (delete.frame(1), id::EXCHANGE_DELETE_OK)
        }
        (Kind::Binding, Action::Declare(_) | Action::Look) => {
            (bind_queue(1, BOUND, "amq.direct", name), id::QUEUE_BIND_OK)
        }
        (Kind::Binding, Action::Delete) => {
            let unbind = Pack::method(id::QUEUE_UNBIND).u16(0).short(BOUND).short("amq.direct");
            (unbind.short(name).table(&[]).frame(1), id::QUEUE_UNBIND_OK)
        }
    }
}
