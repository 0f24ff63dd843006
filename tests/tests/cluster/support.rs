//! What most tests of the cluster begin with.

use std::net::SocketAddr;
use std::time::Duration;

use warren_tests::cluster::Cluster;
use warren_tests::wire::{
    Close, Delivered, Field, Flags, Frame, Heard, Pack, Unpack, Wire, bind_queue, capabilities,
    consume, declare_exchange, delete_queue, id, pairs, plain_start_ok, publish, settle,
};

pub use warren_tests::failover::await_that;

/// How long a client waits for an answer while nodes come and go.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Flags for delivery-mode alone, and the mode: persistent.
pub const PERSISTENT: [u8; 3] = [0x10, 0, 2];

/// A connection with channel 1 open, on which publishes are confirmed.
pub struct Client {
    pub wire: Wire,
    confirmed: u64,
    sent: u64,
}

impl Client {
    pub fn of(cluster: &Cluster, node: usize) -> Self {
        Self::to(cluster.amqp(node))
    }

    pub fn to(address: SocketAddr) -> Self {
        Self::over(Wire::open_channel_within(address, PATIENCE).unwrap())
    }

    /// A client that has a name of its own, under which it comes back.
    pub fn with_session(address: SocketAddr, session_id: &str) -> Self {
        let mut wire = Wire::begin(address).unwrap();
        wire.set_patience(PATIENCE);
        let mut properties = capabilities();
        properties.extend(pairs(&[("session_id", Field::text(session_id))]));
        wire.send(&plain_start_ok("guest", "guest", &properties)).unwrap();
        wire.tune(0).unwrap();
        wire.channel(1).unwrap();
        Self::over(wire)
    }

    fn over(mut wire: Wire) -> Self {
        let select = Pack::method(id::CONFIRM_SELECT).u8(0).frame(1);
        wire.call(1, select, id::CONFIRM_SELECT_OK).unwrap();
        Self { wire, confirmed: 0, sent: 0 }
    }

    pub fn declare(&mut self, queue: &str, flags: Flags) {
        self.wire.declare(1, queue, flags, &[]).unwrap();
    }

    pub fn declare_with(&mut self, queue: &str, arguments: &[(&str, Field)]) {
        self.wire.declare(1, queue, Flags::DURABLE, arguments).unwrap();
    }

    /// Ready messages and consumers.
    pub fn counts(&mut self, queue: &str) -> (u32, u32) {
        let (_, ready, consumers) = self.wire.declare(1, queue, Flags::PASSIVE, &[]).unwrap();
        (ready, consumers)
    }

    pub fn delete(&mut self, queue: &str) -> u32 {
        let answer = self.wire.call(1, delete_queue(1, queue), id::QUEUE_DELETE_OK).unwrap();
        Unpack::new(answer.arguments()).u32()
    }

    pub fn purge(&mut self, queue: &str) -> u32 {
        let purge = Pack::method(id::PURGE).u16(0).short(queue).u8(0).frame(1);
        let answer = self.wire.call(1, purge, id::PURGE_OK).unwrap();
        Unpack::new(answer.arguments()).u32()
    }

    pub fn declare_exchange(&mut self, exchange: &str, kind: &str) {
        self.declare_exchange_with(exchange, kind, &[]);
    }

    pub fn declare_exchange_with(
        &mut self,
        exchange: &str,
        kind: &str,
        arguments: &[(&str, Field)],
    ) {
        let declare = declare_exchange(1, exchange, kind, Flags::DURABLE, &pairs(arguments));
        self.wire.call(1, declare, id::EXCHANGE_DECLARE_OK).unwrap();
    }

    pub fn delete_exchange(&mut self, exchange: &str) {
        let delete = Pack::method(id::EXCHANGE_DELETE).u16(0).short(exchange).u8(0).frame(1);
        self.wire.call(1, delete, id::EXCHANGE_DELETE_OK).unwrap();
    }

    pub fn bind(&mut self, queue: &str, exchange: &str, key: &str) {
        self.wire.call(1, bind_queue(1, queue, exchange, key), id::QUEUE_BIND_OK).unwrap();
    }

    pub fn unbind(&mut self, queue: &str, exchange: &str, key: &str) {
        let unbind = Pack::method(id::QUEUE_UNBIND).u16(0).short(queue).short(exchange).short(key);
        self.wire.call(1, unbind.table(&pairs(&[])).frame(1), id::QUEUE_UNBIND_OK).unwrap();
    }

    /// Publishes a persistent message, mandatory, and waits for its confirm; false if it came back, or
    /// was refused: its queue has just gone.
    pub fn publish(&mut self, exchange: &str, key: &str, body: &str) -> bool {
        self.wire.send(&publish(1, exchange, key, 1, &PERSISTENT, body.as_bytes())).unwrap();
        self.sent += 1;
        let mut routed = true;
        loop {
            let frame = self.wire.frame().unwrap();
            match frame.method() {
                Some(id::RETURN) => {
                    self.wire.message_after(1, &frame).unwrap();
                    routed = false;
                }
                Some(id::ACK) => break,
                Some(id::NACK) => {
                    routed = false;
                    break;
                }
                other => panic!("waiting for a confirm, but heard {other:?}: {frame:?}"),
            }
        }
        self.confirmed = self.sent;
        routed
    }

    pub fn put(&mut self, queue: &str, body: &str) {
        assert!(self.publish("", queue, body), "{queue} took nothing");
    }

    pub fn put_numbers(&mut self, queue: &str, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.put(queue, &number.to_string());
        }
    }

    /// Publishes and does not wait.
    pub fn send(&mut self, queue: &str, body: &str) {
        self.wire.send(&publish(1, "", queue, 0, &PERSISTENT, body.as_bytes())).unwrap();
        self.sent += 1;
    }

    /// Publishes with these properties and does not wait.
    pub fn send_with(&mut self, queue: &str, properties: &[u8], body: &str) {
        self.send_to("", queue, properties, body);
    }

    /// Publishes to an exchange with these properties and does not wait.
    pub fn send_to(&mut self, exchange: &str, key: &str, properties: &[u8], body: &str) {
        self.wire.send(&publish(1, exchange, key, 0, properties, body.as_bytes())).unwrap();
        self.sent += 1;
    }

    /// Whether the one message that was sent last is taken; if not, it is refused.
    pub fn is_taken(&mut self) -> bool {
        let frame = self.wire.frame().unwrap();
        let mut arguments = Unpack::new(frame.arguments());
        assert_eq!(arguments.u64(), self.sent, "an answer to something else: {frame:?}");
        self.confirmed = self.sent;
        match frame.method() {
            Some(id::ACK) => true,
            Some(id::NACK) => false,
            other => panic!("waiting for a confirm, but heard {other:?}: {frame:?}"),
        }
    }

    /// Waits until all that was sent is confirmed.
    pub fn await_confirms(&mut self) {
        while self.confirmed < self.sent {
            let ack = self.wire.expect(1, id::ACK).unwrap();
            let mut arguments = Unpack::new(ack.arguments());
            let (tag, multiple) = (arguments.u64(), arguments.u8() == 1);
            self.confirmed = if multiple { tag } else { self.confirmed + 1 };
        }
    }

    /// Consumes with acknowledgements; without a prefetch count if it is 0.
    pub fn consume(&mut self, queue: &str, prefetch: u16) {
        let qos = Pack::method(id::QOS).u32(0).u16(prefetch).u8(0).frame(1);
        self.wire.call(1, qos, id::QOS_OK).unwrap();
        self.wire.call(1, consume(1, queue, "tag", 0, &[]), id::CONSUME_OK).unwrap();
    }

    pub fn cancel(&mut self) {
        let cancel = Pack::method(id::CANCEL).short("tag").u8(0).frame(1);
        self.wire.call(1, cancel, id::CANCEL_OK).unwrap();
    }

    /// The next so many deliveries.
    pub fn next(&mut self, count: usize) -> Vec<Delivered> {
        let next = |at| {
            let message = self.wire.message(1);
            message.unwrap_or_else(|error| panic!("delivery {at} of {count}: {error:#}"))
        };
        (0..count).map(next).collect()
    }

    /// Everything that is delivered until nothing comes for a while.
    pub fn rest(&mut self) -> Vec<Delivered> {
        let mut all = Vec::new();
        while let Some(heard) = self.wire.hear_within(Duration::from_millis(500)).unwrap() {
            let Heard::Frame(frame) = heard else { panic!("the connection ended") };
            all.push(self.wire.message_after(1, &frame).unwrap());
        }
        all
    }

    pub fn ack(&mut self, tag: u64) {
        self.wire.send(&settle(1, id::ACK, tag, 0)).unwrap();
    }

    pub fn reject(&mut self, tag: u64, requeue: bool) {
        self.wire.send(&settle(1, id::REJECT, tag, u8::from(requeue))).unwrap();
    }

    /// Takes one message, acknowledged at once.
    pub fn take(&mut self, queue: &str) -> Option<String> {
        self.wire.get(1, queue, true).unwrap().map(|message| text(&message))
    }

    /// The bodies of all that is ready.
    pub fn drain(&mut self, queue: &str) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(body) = self.take(queue) {
            all.push(body);
        }
        all
    }

    /// The next frame, which must be this method.
    pub fn expect(&mut self, method: (u16, u16)) -> Frame {
        self.wire.expect(1, method).unwrap()
    }
}

/// What the broker says when a stranger asks for something that it refuses.
pub fn refusal(cluster: &Cluster, node: usize, request: &[u8]) -> Close {
    let mut wire = Wire::open_channel_within(cluster.amqp(node), PATIENCE).unwrap();
    wire.send(request).unwrap();
    wire.expect_close().unwrap()
}

/// Whether a node knows a queue.
pub fn has_queue(cluster: &Cluster, node: usize, queue: &str) -> bool {
    let mut wire = Wire::open_channel_within(cluster.amqp(node), PATIENCE).unwrap();
    wire.declare(1, queue, Flags::PASSIVE, &[]).is_ok()
}

/// Whether a node knows an exchange.
pub fn has_exchange(cluster: &Cluster, node: usize, exchange: &str) -> bool {
    let mut wire = Wire::open_channel_within(cluster.amqp(node), PATIENCE).unwrap();
    let declare = declare_exchange(1, exchange, "topic", Flags::PASSIVE, &pairs(&[]));
    wire.call(1, declare, id::EXCHANGE_DECLARE_OK).is_ok()
}

/// The body as text.
pub fn text(message: &Delivered) -> String {
    String::from_utf8_lossy(&message.body).into_owned()
}

/// The bodies as text.
pub fn texts(messages: &[Delivered]) -> Vec<String> {
    messages.iter().map(text).collect()
}

/// Numbers as text.
pub fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
