//! Clients: they publish and consume until they are told to stop, and connect again when they lose
//! their connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::chance::Chance;
use super::history::{Consumer, History, Message, Publisher, Session};
use super::kinds;
use super::node::{Home, Homes};
use super::plan::Plant;
use super::wire::{self, Ended, Method, Said, Wire};

/// How long a client may wait for what must come, once everything is well.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What every client works with.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) homes: Arc<Mutex<Homes>>,
    pub(super) history: History,
    pub(super) chance: Chance,
    pub(super) plant: Plant,
    /// Ends publishing and whatever else makes work.
    pub(super) calm: CancellationToken,
    /// Ends everything.
    pub(super) stop: CancellationToken,
}

impl Client {
    /// Connects to some node, as soon as one serves.
    pub(super) async fn connect(&mut self) -> (Wire, Session) {
        loop {
            if let Some((mut wire, session)) = self.dial()
                && wire.open().await.is_ok()
            {
                return (wire, session);
            }
            sleep(self.chance.millis(20..200)).await;
        }
    }

    fn dial(&mut self) -> Option<(Wire, Session)> {
        let homes = self.homes.lock().unwrap();
        let serves = |home: &&Home| home.open && home.serving().is_some();
        let serving: Vec<_> = homes.values().filter(serves).collect();
        if serving.is_empty() {
            return None;
        }
        let home = serving[self.chance.index(serving.len())];
        let session = (home.serving()?.id, home.boot());
        let mut wire = home.connect()?;
        wire.ends_when_told = true;
        Some((wire, session))
    }
}

/// What a message looks like in bytes; some are large.
fn body((publisher, number): Message, padding: usize) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u32(publisher);
    body.put_u32(number);
    body.put_bytes(b'x', padding);
    body.freeze()
}

/// Which message a body belongs to.
pub(super) fn message(mut body: Bytes) -> Message {
    (body.get_u32(), body.get_u32())
}

/// Publishes that are not confirmed, by tag.
#[derive(Default)]
pub(super) struct Unconfirmed {
    last: u64,
    waiting: BTreeMap<u64, Message>,
}

impl Unconfirmed {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn publish(
        &mut self,
        wire: &Wire,
        history: &History,
        publisher: Publisher,
        queue: &str,
        padding: usize,
    ) -> Result<Message, Ended> {
        let message = history.publish(publisher);
        self.last += 1;
        self.waiting.insert(self.last, message);
        wire.publish(queue, &body(message, padding))?;
        Ok(message)
    }

    /// basic.ack or basic.nack
    pub(super) fn heard(&mut self, said: Said, history: &History) {
        let Said { method, mut arguments, .. } = said;
        let (tag, bits) = (arguments.get_u64(), arguments.get_u8());
        if method == wire::NACK {
            history.fault(format!("I6: tag {tag} was refused"));
        }
        let confirmed: Vec<u64> = if bits & 1 == 1 {
            self.waiting.range(..=tag).map(|(tag, _)| *tag).collect()
        } else {
            vec![tag]
        };
        for tag in confirmed {
            match self.waiting.remove(&tag) {
                Some(message) => history.confirm(message),
                None => history.fault(format!("I6: tag {tag} was confirmed, and not awaited")),
            }
        }
    }
}

/// Makes sure that a durable queue is there, with the arguments that its name stands for.
pub(super) async fn declare(wire: &mut Wire, queue: &str) -> Result<(), Ended> {
    let declare = Method::new(50, 10).u16(0).short(queue).u8(2);
    wire.send(declare.long(&kinds::arguments(queue)))?;
    wire.expect(wire::DECLARE_OK).await?;
    Ok(())
}

/// A client that publishes to one queue, several at a time.
pub(super) async fn publisher(mut client: Client, queue: String) {
    while !client.calm.is_cancelled() {
        let (mut wire, _) = client.connect().await;
        // What was not confirmed when a connection ends: nobody knows.
        drop(publish(&mut client, &mut wire, &queue).await);
    }
}

async fn publish(client: &mut Client, wire: &mut Wire, queue: &str) -> Result<(), Ended> {
    declare(wire, queue).await?;
    wire.send(Method::new(85, 10).u8(0))?;
    wire.expect(wire::SELECT_OK).await?;
    let publisher = client.history.publisher(queue);
    let mut unconfirmed = Unconfirmed::default();
    let calm = client.calm.clone();
    let lasting = client.chance.number(10..100);
    for _ in 0..lasting {
        if calm.is_cancelled() {
            break;
        }
        for _ in 0..client.chance.number(1..6) {
            let padding = if client.chance.percent(5) { 5000 } else { 20 };
            unconfirmed.publish(wire, &client.history, publisher, queue, padding)?;
        }
        let pause = client.chance.millis(1..450);
        while unconfirmed.waiting.len() > 8 {
            unconfirmed.heard(wire.hear().await?, &client.history);
        }
        while let Ok(said) = timeout(pause, wire.hear()).await {
            unconfirmed.heard(said?, &client.history);
        }
    }
    while !unconfirmed.is_empty() {
        match timeout(PATIENCE, wire.hear()).await {
            Ok(said) => unconfirmed.heard(said?, &client.history),
            Err(_) => {
                client.history.fault(format!("I20: {queue}: confirms do not come"));
                break;
            }
        }
    }
    Ok(())
}

/// A client that consumes one queue.
pub(super) async fn consumer(mut client: Client, queue: String) {
    while !client.stop.is_cancelled() {
        let (mut wire, session) = client.connect().await;
        let mut consuming = Consuming { client: &mut client, queue: &queue, state: None };
        drop(consuming.run(&mut wire, session).await);
        // What arrived before the end and was not read was not delivered.
        if let Some(State { consumer, .. }) = consuming.state {
            client.history.gone(consumer);
        }
    }
}

struct Consuming<'a> {
    client: &'a mut Client,
    queue: &'a str,
    state: Option<State>,
}

struct State {
    consumer: Consumer,
    held: VecDeque<(u64, Message)>,
    acknowledged: Vec<Message>,
}

impl Consuming<'_> {
    async fn run(&mut self, wire: &mut Wire, session: Session) -> Result<(), Ended> {
        declare(wire, self.queue).await?;
        let prefetch = if self.client.chance.percent(80) {
            u16::try_from(self.client.chance.number(1..20)).unwrap()
        } else {
            0
        };
        wire.send(Method::new(60, 10).u32(0).u16(prefetch).u8(0))?;
        wire.expect(wire::QOS_OK).await?;
        let consumer = self.client.history.consumer(self.queue, session, prefetch);
        let (held, acknowledged) = (VecDeque::new(), Vec::new());
        self.state = Some(State { consumer, held, acknowledged });
        wire.send(Method::new(60, 20).u16(0).short(self.queue).short("c").u8(0).u32(0))?;
        wire.expect(wire::CONSUME_OK).await?;
        let stop = self.client.stop.clone();
        loop {
            let most = if self.client.calm.is_cancelled() { 30 } else { 250 };
            let pause = self.client.chance.millis(1..most);
            tokio::select! {
                biased;
                said = wire.hear() => {
                    if !self.heard(said?) {
                        return Ok(());
                    }
                }
                () = stop.cancelled() => return self.leave(wire).await,
                () = sleep(pause) => {
                    if !self.act(wire).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn state(&mut self) -> &mut State {
        self.state.as_mut().expect("it consumes")
    }

    /// Takes what the broker says; false when it has ended the consumer.
    fn heard(&mut self, said: Said) -> bool {
        let Said { method, mut arguments, body, .. } = said;
        match method {
            wire::DELIVER => {
                let _tag_of_consumer = wire::short(&mut arguments);
                let (tag, flagged) = (arguments.get_u64(), arguments.get_u8() == 1);
                let (message, consumer) = (message(body), self.state().consumer);
                let times = self.times();
                for _ in 0..times {
                    self.client.history.deliver(consumer, message, flagged);
                }
                if times > 0 {
                    self.state().held.push_back((tag, message));
                }
                true
            }
            wire::CANCEL => {
                let queue = self.queue;
                self.client.history.fault(format!("a consumer of {queue} was cancelled"));
                false
            }
            other => panic!("{other:?}"),
        }
    }

    /// How often a delivery arrives: once, unless something is wrong on purpose.
    fn times(&mut self) -> u32 {
        match self.client.plant {
            Plant::Nothing | Plant::Lie | Plant::Leave | Plant::Blame => 1,
            Plant::Drop => u32::from(!self.client.chance.percent(1)),
            Plant::Repeat => 1 + u32::from(self.client.chance.percent(1)),
        }
    }

    /// Does one thing; false to end the connection.
    async fn act(&mut self, wire: &mut Wire) -> Result<bool, Ended> {
        let calm = self.client.calm.is_cancelled();
        let what = self.client.chance.number(0..100);
        match what {
            0..2 if !calm => Ok(false),
            2..8 if !calm => self.give_back(wire).map(|()| true),
            20..60 if !calm && self.queue == kinds::LIMITED => self.give_back(wire).map(|()| true),
            8..14 => self.make_certain(wire).await.map(|()| true),
            // What was under way to it goes back without a flag: to others that would be out of order.
            14..16 if !calm && kinds::has_one_consumer(self.queue) => {
                self.leave(wire).await.map(|()| false)
            }
            14..20 if !calm => Ok(true),
            _ => self.acknowledge(wire).map(|()| true),
        }
    }

    /// Some of the oldest, together or one by one; sometimes one from the middle.
    fn acknowledge(&mut self, wire: &Wire) -> Result<(), Ended> {
        let held = self.state().held.len();
        if held == 0 {
            return Ok(());
        }
        if self.client.chance.percent(20) {
            let at = self.client.chance.index(held);
            let (tag, message) = self.state().held.remove(at).expect("it is there");
            self.acknowledged(message);
            return wire.send(Method::new(60, 80).u64(tag).u8(0));
        }
        let count = 1 + self.client.chance.index(held);
        let multiple = self.client.chance.percent(50);
        let some: Vec<(u64, Message)> = self.state().held.drain(..count).collect();
        for (tag, message) in &some {
            self.acknowledged(*message);
            if !multiple {
                wire.send(Method::new(60, 80).u64(*tag).u8(0))?;
            }
        }
        match some.last() {
            Some((tag, _)) if multiple => wire.send(Method::new(60, 80).u64(*tag).u8(1)),
            _ => Ok(()),
        }
    }

    fn acknowledged(&mut self, message: Message) {
        let consumer = self.state().consumer;
        self.client.history.acknowledge(consumer, message);
        self.state().acknowledged.push(message);
    }

    fn give_back(&mut self, wire: &Wire) -> Result<(), Ended> {
        let held = self.state().held.len();
        if held == 0 {
            return Ok(());
        }
        let at = self.client.chance.index(held);
        let state = self.state();
        let (tag, message) = state.held.remove(at).expect("it is there");
        let consumer = state.consumer;
        self.client.history.give_back(consumer, message);
        if self.client.chance.percent(50) {
            wire.send(Method::new(60, 120).u64(tag).u8(2))
        } else {
            wire.send(Method::new(60, 90).u64(tag).u8(1))
        }
    }

    /// Asks something behind the acknowledgements: when that is answered, they are certain.
    async fn make_certain(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        let acknowledged = std::mem::take(&mut self.state().acknowledged);
        wire.send(Method::new(50, 10).u16(0).short(self.queue).u8(1).u32(0))?;
        loop {
            let said = wire.hear().await?;
            if said.method == wire::DECLARE_OK {
                break;
            }
            if !self.heard(said) {
                return Err(Ended);
            }
        }
        let consumer = self.state().consumer;
        self.client.history.certain(consumer, &acknowledged);
        Ok(())
    }

    /// Acknowledges everything, cancels, and sees that all of it is done.
    async fn leave(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        wire.send(Method::new(60, 30).short("c").u8(0))?;
        loop {
            let said = wire.hear().await?;
            if said.method == wire::CANCEL_OK {
                break;
            }
            if !self.heard(said) {
                return Err(Ended);
            }
        }
        while !self.state().held.is_empty() {
            self.acknowledge(wire)?;
        }
        self.make_certain(wire).await
    }
}
