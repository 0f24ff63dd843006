//! What most tests begin with.

use std::net::SocketAddr;
use std::panic::Location;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind,
    ExchangeKind,
};
use tokio::time::timeout;
use warren_tests::node::{self, unique};
use warren_tests::wire::{Flags, Wire};

/// The broker that this test program talks to.
pub fn broker() -> SocketAddr {
    node::shared()
}

/// Whether the tests run against a broker that is not warren.
pub fn is_elsewhere() -> bool {
    node::elsewhere().is_some()
}

/// Has a stranger declare, publish and get: fails unless the broker serves it.
pub fn assert_serves(address: SocketAddr, after: &str) {
    serves(address).with_context(|| format!("the broker serves nobody after {after}")).unwrap();
}

fn serves(address: SocketAddr) -> Result<()> {
    let mut wire = Wire::open_channel(address)?;
    let name = unique("witness");
    wire.declare(1, &name, Flags::EXCLUSIVE, &[])?;
    wire.publish_to(1, &name, b"still here")?;
    let message = wire.get(1, &name, true)?.context("the message is not there")?;
    ensure!(message.body == b"still here");
    wire.close()
}

/// How long one step of a test may take; a whole test may take thrice that.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs an asynchronous test to its end, or fails it.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime
        .block_on(async { timeout(3 * PATIENCE, test).await })
        .expect("the test comes to an end");
}

/// Looks until `look` finds what it waits for.
#[track_caller]
pub fn eventually<T, F: Future<Output = Option<T>>>(
    what: &'static str,
    look: impl Fn() -> F,
) -> impl Future<Output = T> {
    let from = Location::caller();
    async move {
        let found = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}, at {from}"))
    }
}

/// The next delivery of a consumer.
#[track_caller]
pub fn next(consumer: &mut Consumer) -> impl Future<Output = Delivery> {
    let from = Location::caller();
    async move {
        let next = timeout(PATIENCE, consumer.next()).await;
        let next = next.unwrap_or_else(|_| panic!("no delivery within {PATIENCE:?}, at {from}"));
        let next = next.unwrap_or_else(|| panic!("the consumer was cancelled, at {from}"));
        next.unwrap_or_else(|error| panic!("{error}, at {from}"))
    }
}

/// The bodies of the next deliveries of a consumer, as text.
#[track_caller]
pub fn next_texts(consumer: &mut Consumer, count: usize) -> impl Future<Output = Vec<String>> {
    let from = Location::caller();
    async move {
        let mut texts = Vec::new();
        for at in 0..count {
            let next = timeout(PATIENCE, consumer.next()).await;
            let Ok(Some(Ok(delivery))) = next else {
                panic!("delivery {at} of {count}: {next:?}, at {from}")
            };
            texts.push(text(&delivery));
        }
        texts
    }
}

/// Waits until the consumer is told that it is no more.
#[track_caller]
pub fn cancelled(consumer: &mut Consumer) -> impl Future<Output = ()> {
    let from = Location::caller();
    async move {
        let next = timeout(PATIENCE, consumer.next()).await;
        assert!(matches!(next, Ok(None | Some(Err(_)))), "no end but {next:?}, at {from}");
    }
}

/// The body as text.
pub fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.data).into_owned()
}

/// The code and text of an error that the broker sent.
#[track_caller]
pub fn refusal<T>(outcome: lapin::Result<T>) -> (u16, String) {
    let Err(error) = outcome else { panic!("it was not refused") };
    match error.kind() {
        ErrorKind::ProtocolError(error) => (error.get_id(), error.get_message().to_string()),
        other => panic!("it failed, but not by the broker's word: {other:?}"),
    }
}

/// A field table from pairs.
pub fn table(pairs: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in pairs {
        table.insert((*key).into(), value.clone());
    }
    table
}

/// A long string as a table value.
pub fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// An array of long strings as a table value.
pub fn longs(texts: &[&str]) -> AMQPValue {
    AMQPValue::FieldArray(texts.iter().map(|text| long(text)).collect::<Vec<_>>().into())
}

/// Where a queue's messages live: in the memory of one node, or on the disks of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Exclusive, not durable.
    Exclusive,
    /// Durable.
    Durable,
}

/// Both kinds, for tests of what must not depend on it.
pub const KINDS: [Kind; 2] = [Kind::Exclusive, Kind::Durable];

/// A connection with one channel on which publishes are confirmed.
pub struct Client {
    pub connection: Connection,
    pub channel: Channel,
}

impl Client {
    pub async fn connect() -> Self {
        Self::connect_to(broker()).await
    }

    pub async fn connect_to(address: SocketAddr) -> Self {
        let url = format!("{}?heartbeat=0", node::url(address));
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { connection, channel }
    }

    /// Another channel, without confirms.
    pub async fn channel(&self) -> Channel {
        self.connection.create_channel().await.unwrap()
    }

    /// An exclusive queue with a name of its own.
    pub async fn queue(&self) -> String {
        self.queue_with(Kind::Exclusive, &[]).await
    }

    pub async fn queue_of(&self, kind: Kind) -> String {
        self.queue_with(kind, &[]).await
    }

    pub async fn queue_with(&self, kind: Kind, arguments: &[(&str, AMQPValue)]) -> String {
        let name = unique("e2e");
        self.queue_named(&name, kind, arguments).await;
        name
    }

    pub async fn queue_named(&self, name: &str, kind: Kind, arguments: &[(&str, AMQPValue)]) {
        let options = match kind {
            Kind::Exclusive => QueueDeclareOptions::exclusive(),
            Kind::Durable => QueueDeclareOptions::durable(),
        };
        self.channel.queue_declare(name.into(), options, table(arguments)).await.unwrap();
    }

    /// An exchange with a name of its own, deleted with its last binding.
    pub async fn exchange(&self, kind: ExchangeKind, arguments: &[(&str, AMQPValue)]) -> String {
        let name = unique("e2e");
        let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
        self.channel
            .exchange_declare(name.as_str().into(), kind, options, table(arguments))
            .await
            .unwrap();
        name
    }

    pub async fn bind(
        &self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: &[(&str, AMQPValue)],
    ) {
        let bound = self.channel.queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            Default::default(),
            table(arguments),
        );
        bound.await.unwrap();
    }

    /// Publishes a persistent message to a queue and waits for the confirm.
    pub async fn put(&self, queue: &str, body: &str) {
        let confirmation =
            self.publish("", queue, body, BasicProperties::default().with_delivery_mode(2)).await;
        assert_eq!(confirmation, Confirmation::Ack(None), "publishing to {queue}");
    }

    pub async fn put_all(&self, queue: &str, bodies: &[&str]) {
        for body in bodies {
            self.put(queue, body).await;
        }
    }

    /// Publishes, mandatory, and waits for the confirm.
    pub async fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: &str,
        properties: BasicProperties,
    ) -> Confirmation {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let sent = self
            .channel
            .basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties)
            .await
            .unwrap();
        timeout(PATIENCE, sent).await.expect("the confirm comes").unwrap()
    }

    /// Consumes on a channel, with acknowledgements.
    pub async fn consume(&self, channel: &Channel, queue: &str) -> Consumer {
        self.consume_with(channel, queue, BasicConsumeOptions::default(), &[]).await
    }

    pub async fn consume_with(
        &self,
        channel: &Channel,
        queue: &str,
        options: BasicConsumeOptions,
        arguments: &[(&str, AMQPValue)],
    ) -> Consumer {
        channel.basic_consume(queue.into(), "".into(), options, table(arguments)).await.unwrap()
    }

    /// Takes one message, acknowledged at once.
    pub async fn take(&self, queue: &str) -> Option<Delivery> {
        let message =
            self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap();
        message.map(|message| message.delivery)
    }

    /// The bodies of all that is ready.
    pub async fn drain(&self, queue: &str) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(delivery) = self.take(queue).await {
            texts.push(text(&delivery));
        }
        texts
    }

    /// Ready messages and consumers of a queue.
    pub async fn counts(&self, queue: &str) -> (u32, u32) {
        let options = QueueDeclareOptions::default().passive();
        let queue =
            self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
        (queue.message_count(), queue.consumer_count())
    }

    /// Waits until so many messages are ready.
    pub async fn until_ready(&self, queue: &str, messages: u32) {
        eventually("the number of ready messages", || async {
            (self.counts(queue).await.0 == messages).then_some(())
        })
        .await;
    }

    /// Whether a queue is there; asked on a channel of its own.
    pub async fn has_queue(&self, queue: &str) -> bool {
        let channel = self.channel().await;
        let options = QueueDeclareOptions::default().passive();
        channel.queue_declare(queue.into(), options, FieldTable::default()).await.is_ok()
    }

    /// Whether an exchange is there; asked on a channel of its own.
    pub async fn has_exchange(&self, exchange: &str) -> bool {
        let channel = self.channel().await;
        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Direct, options, FieldTable::default())
            .await
            .is_ok()
    }

    pub async fn delete(&self, queue: &str) -> u32 {
        self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap()
    }

    pub async fn close(self) {
        self.connection.close(200, "bye".into()).await.unwrap();
    }
}
