//! What the broker itself publishes: events, and copies of messages. What they look like was
//! recorded with RabbitMQ 4.3 and its event exchange plugin.

use std::net::SocketAddr;

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions,
    BasicPublishOptions, BasicQosOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use warren_tests::http::Client;
use warren_tests::node::Node;

use crate::support::{Client as Amqp, eventually, long, longs, next, run, table};

/// Somebody who listens to one of the broker's own exchanges.
struct Listener {
    client: Amqp,
}

/// A queue that hears everything.
const HEARD: &str = "heard";

impl Listener {
    async fn to(address: SocketAddr, exchange: &str) -> Self {
        let client = Amqp::connect_to(address).await;
        let options = QueueDeclareOptions::default();
        client.channel.queue_declare(HEARD.into(), options, FieldTable::default()).await.unwrap();
        client.bind(HEARD, exchange, "#", &[]).await;
        Self { client }
    }

    /// The next message, in words.
    async fn hear(&self) -> String {
        told(&eventually("something to hear", || self.client.take(HEARD)).await)
    }

    /// The next messages, in words, up to the one with this key.
    async fn hear_until(&self, key: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.hear().await);
            if heard.last().is_some_and(|told| told.split(' ').next() == Some(key)) {
                return heard;
            }
        }
    }
}

async fn connect(address: SocketAddr, user: &str, password: &str) -> lapin::Result<Connection> {
    let uri = format!("amqp://{user}:{password}@{address}/%2f");
    let properties = ConnectionProperties::default().with_connection_name("named".into());
    Connection::connect(&uri, properties).await
}

/// A message as text: key, headers by name, body. What differs from run to run has its kind only.
fn told(message: &Delivery) -> String {
    let mut text = message.routing_key.to_string();
    let headers = message.properties.headers().clone().expect("headers");
    let mut names: Vec<&str> = headers.inner().keys().map(|name| name.as_str()).collect();
    // They come in the order of their names.
    assert!(names.is_sorted(), "{names:?}");
    names.retain(|name| !matches!(*name, "timestamp_in_ms" | "client_properties"));
    for name in names {
        let value = &headers.inner()[name];
        let shown = match name {
            "peer_port" | "port" | "connected_at" => kind(value).to_owned(),
            _ => show(value),
        };
        text.push_str(&format!(" {name}={shown}"));
    }
    if !message.data.is_empty() {
        text.push_str(&format!(" body={}", crate::support::text(message)));
    }
    text
}

fn kind(value: &AMQPValue) -> &'static str {
    match value {
        AMQPValue::LongLongInt(_) => "long",
        AMQPValue::LongInt(_) => "signedint",
        AMQPValue::LongString(_) => "longstr",
        other => panic!("not expected here: {other:?}"),
    }
}

fn show(value: &AMQPValue) -> String {
    match value {
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => format!("{value}i"),
        AMQPValue::LongString(text) => show_text(&text.to_string()),
        AMQPValue::FieldArray(values) => {
            let values: Vec<String> = values.as_slice().iter().map(show).collect();
            format!("[{}]", values.join(","))
        }
        AMQPValue::FieldTable(table) => {
            let entries = table.inner().iter();
            let entries: Vec<String> =
                entries.map(|(name, value)| format!("{name}:{}", show(value))).collect();
            format!("{{{}}}", entries.join(","))
        }
        other => panic!("not expected here: {other:?}"),
    }
}

fn show_text(text: &str) -> String {
    if text.starts_with('<') && text.ends_with('>') {
        return "PID".to_owned();
    }
    if text.contains(" -> ") {
        return match text.split_once(" (") {
            Some((_, rest)) => format!("NAME ({rest}"),
            None => "NAME".to_owned(),
        };
    }
    if text.starts_with("warren@") { "NODE".to_owned() } else { format!("'{text}'") }
}

/// What a client declares, and everything that it opens.
#[test]
fn a_client_is_followed_through_its_life_by_events() {
    let node = Node::start();
    let address = node.addresses().amqp;
    run(async {
        let listener = Listener::to(address, "amq.rabbitmq.event").await;
        assert_eq!(
            listener.hear().await,
            "binding.created arguments=[] destination_kind='queue' destination_name='heard' \
             routing_key='#' source_kind='exchange' source_name='amq.rabbitmq.event' \
             user_who_performed_action='guest' vhost='/'"
        );

        let connection = connect(address, "guest", "guest").await.unwrap();
        assert_eq!(
            listener.hear().await,
            "user.authentication.success auth_mechanism='PLAIN' connection_name=NAME \
             connection_type='network' host='{127,0,0,1}' name='guest' peer_host='{127,0,0,1}' \
             peer_port=long protocol='{0,9,1}' ssl=false"
        );
        assert_eq!(
            listener.hear().await,
            "connection.created auth_mechanism='PLAIN' channel_max=2047 connected_at=long \
             frame_max=131072 host='{127,0,0,1}' name=NAME node=NODE peer_host='{127,0,0,1}' \
             peer_port=long pid=PID port=long protocol='{0,9,1}' ssl=false timeout=60 \
             type='network' user='guest' user_provided_name='named' \
             user_who_performed_action='guest' vhost='/'"
        );
        let channel = connection.create_channel().await.unwrap();
        assert_eq!(
            listener.hear().await,
            "channel.created connection=PID name=NAME (1) number=1 pid=PID user='guest' \
             user_who_performed_action='guest' vhost='/'"
        );

        declare_and_delete(&channel, &listener).await;

        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let missing = channel.queue_declare("nix".into(), passive, FieldTable::default()).await;
        assert!(missing.is_err());
        assert_eq!(
            listener.hear().await,
            "channel.closed consumer_count=0 pid=PID user_who_performed_action='guest'"
        );
        connection.close(0, "done".into()).await.unwrap();
        assert_eq!(
            listener.hear().await,
            "connection.closed name=NAME node=NODE pid=PID user_provided_name='named'"
        );
        assert!(connect(address, "guest", "wrong").await.is_err());
        assert_eq!(
            listener.hear().await,
            "user.authentication.failure auth_mechanism='PLAIN' connection_name=NAME \
             connection_type='network' error='user 'guest' - invalid credentials' \
             host='{127,0,0,1}' name='guest' peer_host='{127,0,0,1}' peer_port=long \
             protocol='{0,9,1}' ssl=false"
        );
    });
}

async fn declare_and_delete(channel: &Channel, listener: &Listener) {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let bounded = table(&[("x-max-length", AMQPValue::LongInt(5))]);
    channel.queue_declare("q1".into(), durable, bounded).await.unwrap();
    assert_eq!(
        listener.hear().await,
        "queue.created arguments=['{<<\"x-max-length\">>,signedint,5}',\
         '{<<\"x-queue-type\">>,longstr,<<\"classic\">>}'] auto_delete=false durable=true \
         exclusive=false leader=NODE members=[NODE] name='q1' owner_pid='' \
         type='rabbit_classic_queue' user_who_performed_action='guest' vhost='/'"
    );
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let (kind, none) = (ExchangeKind::Topic, FieldTable::default);
    channel.exchange_declare("x1".into(), kind, durable, none()).await.unwrap();
    assert_eq!(
        listener.hear().await,
        "exchange.created arguments=[] auto_delete=false durable=true internal=false name='x1' \
         policy='' type='topic' user_who_performed_action='guest' vhost='/'"
    );
    let (queue, exchange) = (|| "q1".into(), || "x1".into());
    let bind = |key: &str| {
        channel.queue_bind(queue(), exchange(), key.into(), QueueBindOptions::default(), none())
    };
    let binding = |key: &str, routing_key: &str| {
        format!(
            "{key} arguments=[] destination_kind='queue' destination_name='q1' \
             routing_key='{routing_key}' source_kind='exchange' source_name='x1' \
             user_who_performed_action='guest' vhost='/'"
        )
    };
    bind("a.#").await.unwrap();
    assert_eq!(listener.hear().await, binding("binding.created", "a.#"));
    consume_and_cancel(channel, listener).await;
    channel.queue_unbind(queue(), exchange(), "a.#".into(), none()).await.unwrap();
    assert_eq!(listener.hear().await, binding("binding.deleted", "a.#"));
    bind("b").await.unwrap();
    assert_eq!(listener.hear().await, binding("binding.created", "b"));
    channel.exchange_delete(exchange(), ExchangeDeleteOptions::default()).await.unwrap();
    assert_eq!(
        listener.hear().await,
        "exchange.deleted name='x1' user_who_performed_action='guest' vhost='/'"
    );
    assert_eq!(listener.hear().await, binding("binding.deleted", "b"));
    channel.queue_delete(queue(), QueueDeleteOptions::default()).await.unwrap();
    assert_eq!(
        listener.hear().await,
        "queue.deleted name='q1' type='rabbit_classic_queue' user_who_performed_action='guest' \
         vhost='/'"
    );
}

async fn consume_and_cancel(channel: &Channel, listener: &Listener) {
    channel.basic_qos(7, BasicQosOptions::default()).await.unwrap();
    let consumer = consume(channel, "q1").await;
    assert_eq!(
        listener.hear().await,
        "consumer.created ack_required=true arguments=[] channel=PID consumer_tag='tag' \
         exclusive=false prefetch_count=7 queue='q1' user_who_performed_action='guest' vhost='/'"
    );
    channel.basic_cancel("tag".into(), BasicCancelOptions::default()).await.unwrap();
    drop(consumer);
    assert_eq!(
        listener.hear().await,
        "consumer.deleted channel=PID consumer_tag='tag' queue='q1' \
         user_who_performed_action='guest' vhost='/'"
    );
}

/// Each change over HTTP, and the keys of the events that it makes; in full where it says more than
/// a name.
#[test]
fn what_operators_change_is_told_by_events_with_the_operators_name() {
    let node = Node::start();
    let http = Client::new(node.addresses().http, "guest", "guest");
    run(async {
        let listener = Listener::to(node.addresses().amqp, "amq.rabbitmq.event").await;
        listener.hear_until("binding.created").await;

        for (method, path, body, expected) in CHANGES {
            let answer = http.ask(method, &format!("/api/{path}"), body);
            assert!((200..300).contains(&answer.status), "{path}: {}", answer.body);
            for expected in *expected {
                let told = listener.hear().await;
                let cut =
                    if expected.contains(' ') { &told } else { told.split(' ').next().unwrap() };
                assert_eq!(cut, *expected, "{method} {path}");
                assert!(told.contains("user_who_performed_action='guest'"), "{told}");
            }
        }
    });
}

type Step = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CHANGES: &[Step] = &[
    (
        "PUT",
        "vhosts/v1",
        "{}",
        &[
            "exchange.created",
            "exchange.created",
            "exchange.created",
            "exchange.created",
            "exchange.created",
            "exchange.created",
            "exchange.created",
            "vhost.created",
            "permission.created",
        ],
    ),
    ("PUT", "vhosts/v1", r#"{"description":"d","tags":"a,b"}"#, &["vhost.updated"]),
    (
        "PUT",
        "vhost-limits/v1/max-connections",
        r#"{"value":10}"#,
        &[
            "parameter.set component='vhost-limits' name='limits' \
             user_who_performed_action='guest' value={max-connections:10} vhost='v1'",
            "vhost.limits.set max-connections=10 name='limits' \
             user_who_performed_action='guest' vhost='v1'",
        ],
    ),
    (
        "PUT",
        "users/u1",
        r#"{"password":"x","tags":"administrator"}"#,
        &[
            "user.created name='u1' user_who_performed_action='guest'",
            "user.tags.set name='u1' tags=['administrator'] user_who_performed_action='guest'",
        ],
    ),
    (
        "PUT",
        "users/u1",
        r#"{"password":"y","tags":"monitoring"}"#,
        &["user.password.changed", "user.tags.set"],
    ),
    (
        "PUT",
        "permissions/v1/u1",
        r#"{"configure":".*","write":".*","read":".*"}"#,
        &["permission.created configure='.*' read='.*' user='u1' \
           user_who_performed_action='guest' vhost='v1' write='.*'"],
    ),
    (
        "PUT",
        "topic-permissions/v1/u1",
        r#"{"exchange":"amq.topic","write":".*","read":".*"}"#,
        &["topic.permission.created exchange='amq.topic' read='.*' user='u1' \
           user_who_performed_action='guest' vhost='v1' write='.*'"],
    ),
    (
        "DELETE",
        "topic-permissions/v1/u1",
        "",
        &["topic.permission.deleted user='u1' user_who_performed_action='guest' vhost='v1'"],
    ),
    (
        "DELETE",
        "permissions/v1/u1",
        "",
        &["permission.deleted user='u1' user_who_performed_action='guest' vhost='v1'"],
    ),
    (
        "PUT",
        "user-limits/u1/max-channels",
        r#"{"value":10}"#,
        &["user.limits.set max-channels=10 name='limits' user_who_performed_action='guest' \
           username='u1'"],
    ),
    (
        "DELETE",
        "user-limits/u1/max-channels",
        "",
        &["user.limits.cleared name='limits' user_who_performed_action='guest' username='u1'"],
    ),
    (
        "PUT",
        "policies/v1/p1",
        r#"{"pattern":"^a","definition":{"max-length":3},"priority":1,"apply-to":"queues"}"#,
        &["policy.set apply-to='queues' definition={max-length:3} name='p1' pattern='^a' \
           priority=1 user_who_performed_action='guest' vhost='v1'"],
    ),
    (
        "DELETE",
        "policies/v1/p1",
        "",
        &["policy.cleared name='p1' user_who_performed_action='guest' vhost='v1'"],
    ),
    (
        "PUT",
        "operator-policies/v1/p2",
        r#"{"pattern":"^a","definition":{"max-length":3},"priority":1,"apply-to":"queues"}"#,
        &["parameter.set", "policy.set"],
    ),
    ("DELETE", "operator-policies/v1/p2", "", &["parameter.cleared", "operator.policy.cleared"]),
    (
        "PUT",
        "global-parameters/gp",
        r#"{"name":"gp","value":{"a":1}}"#,
        &["parameter.set component='global' name='gp' user_who_performed_action='guest' \
           value={a:1}"],
    ),
    (
        "DELETE",
        "global-parameters/gp",
        "",
        &["parameter.cleared component='global' name='gp' user_who_performed_action='guest'"],
    ),
    ("PUT", "exchanges/v1/hx", r#"{"type":"fanout"}"#, &["exchange.created"]),
    ("PUT", "queues/v1/hq", r#"{"durable":true}"#, &["queue.created"]),
    ("POST", "bindings/v1/e/hx/q/hq", r#"{"routing_key":"k"}"#, &["binding.created"]),
    ("DELETE", "queues/v1/hq", "", &["queue.deleted", "binding.deleted"]),
    ("DELETE", "users/u1", "", &["user.deleted name='u1' user_who_performed_action='guest'"]),
    (
        "DELETE",
        "vhosts/v1",
        "",
        &[
            "permission.deleted",
            "exchange.deleted",
            "exchange.deleted",
            "exchange.deleted",
            "exchange.deleted",
            "exchange.deleted",
            "exchange.deleted",
            "exchange.deleted",
            "exchange.deleted",
            "parameter.cleared component='vhost-limits' name='limits' \
             user_who_performed_action='guest' vhost='v1'",
            "vhost.limits.cleared",
            "vhost.deleted name='v1' user_who_performed_action='guest'",
        ],
    ),
];

#[test]
fn messages_of_a_traced_virtual_host_are_copied_as_they_come_and_go() {
    let node = Node::start();
    let http = Client::new(node.addresses().http, "guest", "guest");
    run(async {
        let listener = Listener::to(node.addresses().amqp, "amq.rabbitmq.trace").await;
        let connection = connect(node.addresses().amqp, "guest", "guest").await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        for queue in ["tq", "tq2"] {
            let options = QueueDeclareOptions::default();
            channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
        }
        publish(&channel, "", "tq2", b"before", BasicProperties::default()).await;
        assert_eq!(http.ask("PUT", "/api/vhosts/%2f", r#"{"tracing":true}"#).status, 204);

        let inner = table(&[("x", long("y"))]);
        let headers = table(&[("h", AMQPValue::LongInt(1)), ("t", AMQPValue::FieldTable(inner))]);
        let properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_priority(3)
            .with_timestamp(12345)
            .with_type("ty".into())
            .with_user_id("guest".into());
        publish(&channel, "", "tq", b"hello", properties).await;
        let facts = "channel=1i connection=NAME exchange_name='' node=NODE \
             properties={content_type:'text/plain',delivery_mode:2i,headers:{h:1i,t:{x:'y'}},\
             priority:3i,timestamp:12345i,type:'ty',user_id:'guest'}";
        assert_eq!(
            listener.hear().await,
            format!(
                "publish. {facts} routed_queues=['tq'] routing_keys=['tq'] user='guest' \
                 vhost='/' body=hello"
            )
        );

        let got = get(&channel, "tq").await;
        got.nack(BasicNackOptions { requeue: true, multiple: false }).await.unwrap();
        get(&channel, "tq").await.ack(BasicAckOptions::default()).await.unwrap();
        for redelivered in ["0i", "1i"] {
            assert_eq!(
                listener.hear().await,
                format!(
                    "deliver.tq {facts} redelivered={redelivered} routing_keys=['tq'] \
                     user='guest' vhost='/' body=hello"
                )
            );
        }
        copies_know_all_keys(&channel, &listener).await;
        assert_eq!(http.ask("PUT", "/api/vhosts/%2f", r#"{"tracing":false}"#).status, 204);
        publish(&channel, "", "tq", b"unheard", BasicProperties::default()).await;
        assert!(listener.client.take(HEARD).await.is_none(), "copied while nothing is traced");
    });
}

#[test]
fn a_copy_is_not_copied_again_wherever_it_gets_to() {
    let node = Node::start();
    let http = Client::new(node.addresses().http, "guest", "guest");
    run(async {
        let listener = Listener::to(node.addresses().amqp, "amq.rabbitmq.trace").await;
        let client = Amqp::connect_to(node.addresses().amqp).await;
        for queue in ["tq", "buried"] {
            let options = QueueDeclareOptions::default();
            let declare =
                client.channel.queue_declare(queue.into(), options, FieldTable::default());
            declare.await.unwrap();
        }
        // Copies that die here go to a queue from which somebody takes them.
        let dying = table(&[
            ("x-message-ttl", AMQPValue::LongInt(1)),
            ("x-dead-letter-exchange", long("")),
            ("x-dead-letter-routing-key", long("buried")),
        ]);
        let options = QueueDeclareOptions::default();
        client.channel.queue_declare("dying".into(), options, dying).await.unwrap();
        client.bind("dying", "amq.rabbitmq.trace", "publish.#", &[]).await;
        assert_eq!(http.ask("PUT", "/api/vhosts/%2f", r#"{"tracing":true}"#).status, 204);

        publish(&client.channel, "", "tq", b"first", BasicProperties::default()).await;
        let copy = eventually("the dead copy", || client.take("buried")).await;
        publish(&client.channel, "", "tq", b"second", BasicProperties::default()).await;

        assert_eq!(crate::support::text(&copy), "first");
        for body in ["first", "second"] {
            let heard = listener.hear().await;
            assert!(heard.starts_with("publish. ") && heard.ends_with(body), "{heard}");
        }
    });
}

async fn copies_know_all_keys(channel: &Channel, listener: &Listener) {
    let (kind, none) = (ExchangeKind::Topic, FieldTable::default);
    let options = ExchangeDeclareOptions::default();
    channel.exchange_declare("tx".into(), kind, options, none()).await.unwrap();
    let options = QueueBindOptions::default();
    channel.queue_bind("tq".into(), "tx".into(), "a.#".into(), options, none()).await.unwrap();
    let headers = table(&[("CC", longs(&["a.cc"])), ("BCC", longs(&["a.bcc"]))]);
    let properties = BasicProperties::default().with_headers(headers);
    publish(channel, "tx", "a.b", b"two", properties).await;
    let mut consumer = consume(channel, "tq").await;
    let delivery = next(&mut consumer).await;
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    let facts = "channel=1i connection=NAME exchange_name='tx' node=NODE \
         properties={headers:{CC:['a.cc']}}";
    assert_eq!(
        listener.hear().await,
        format!(
            "publish.tx {facts} routed_queues=['tq'] routing_keys=['a.b','a.cc','a.bcc'] \
             user='guest' vhost='/' body=two"
        )
    );
    assert_eq!(
        listener.hear().await,
        format!(
            "deliver.tq {facts} redelivered=0i routing_keys=['a.b','a.cc','a.bcc'] user='guest' \
             vhost='/' body=two"
        )
    );
    publish(channel, "tx", "nowhere", b"lost", BasicProperties::default()).await;
    assert_eq!(
        listener.hear().await,
        "publish.tx channel=1i connection=NAME exchange_name='tx' node=NODE properties={} \
         routed_queues=[] routing_keys=['nowhere'] user='guest' vhost='/' body=lost"
    );
}

async fn get(channel: &Channel, queue: &str) -> Delivery {
    let options = BasicGetOptions::default();
    channel.basic_get(queue.into(), options).await.unwrap().expect("a message").delivery
}

async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "tag".into(), options, FieldTable::default()).await.unwrap()
}

/// Publishes; whoever asks the broker for something afterwards on this channel comes behind it.
async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) {
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange.into(), key.into(), options, body, properties).await.unwrap();
    channel.basic_qos(0, BasicQosOptions::default()).await.unwrap();
}
