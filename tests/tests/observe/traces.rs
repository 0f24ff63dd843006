//! Spans of messages, at a collector of our own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use std::{fs, thread};

use tempfile::NamedTempFile;
use warren_tests::cluster::{Cluster, Page};
use warren_tests::collector::{Collector, Span};
use warren_tests::node::{Node, ports};
use warren_tests::wire::{
    Delivered, Field, Flags, PATIENCE, Pack, Properties, Wire, bind_queue, consume,
    declare_exchange, id, publish, settle,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A configuration that has spans sent to `endpoint`.
pub(crate) fn config(endpoint: &str, more: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("[tracing]\nendpoint = \"{endpoint}\"\n{more}\n")).unwrap();
    file
}

pub(crate) fn node(config: &NamedTempFile) -> Node {
    Node::start_with(&["--config", config.path().to_str().unwrap()])
}

pub(crate) fn channel(address: SocketAddr) -> Wire {
    let mut wire = Wire::open_channel(address).unwrap();
    wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK).unwrap();
    wire
}

/// The headers of a message that its client traces, or decided not to.
pub(crate) fn traced(flags: &str) -> Properties {
    let parent = Field::text(&format!("00-{TRACE}-{PARENT}-{flags}"));
    Properties::persistent()
        .with_headers(&[("traceparent", parent), ("tracestate", Field::text("shop=1"))])
}

pub(crate) fn send(wire: &mut Wire, exchange: &str, key: &str, properties: &Properties) {
    wire.send(&publish(1, exchange, key, 0, &properties.encode(), b"secret")).unwrap();
    wire.expect(1, id::ACK).unwrap();
}

/// Consumes one message of `queue`, to be acknowledged.
pub(crate) fn receive(wire: &mut Wire, queue: &str) -> Delivered {
    wire.call(1, consume(1, queue, "c", 0, &[]), id::CONSUME_OK).unwrap();
    wire.message(1).unwrap()
}

fn find<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no span is called {name}: {spans:#?}"))
}

#[test]
fn a_traced_message_is_followed_from_its_publish_to_its_settle() {
    let collector = Collector::start();
    let config = config(&collector.endpoint(), "service_name = \"shop\"");
    let node = node(&config);
    let mut wire = channel(node.amqp());
    wire.declare(1, "jobs", Flags::DURABLE, &[]).unwrap();
    let exchange = declare_exchange(1, "orders", "topic", Flags::DURABLE, &[]);
    wire.call(1, exchange, id::EXCHANGE_DECLARE_OK).unwrap();
    wire.call(1, bind_queue(1, "jobs", "orders", "#"), id::QUEUE_BIND_OK).unwrap();

    send(&mut wire, "orders", "eu.new", &traced("01"));
    let delivered = receive(&mut wire, "jobs");
    wire.send(&settle(1, id::ACK, delivered.tag, 0)).unwrap();

    let spans = collector.spans(5);
    assert_eq!(Properties::decode(&delivered.properties), traced("01"), "nothing is written over");
    assert!(spans.iter().all(|span| span.trace == TRACE && span.state == "shop=1"));
    assert!(spans.iter().all(|span| span.begin_ns > 0 && span.begin_ns <= span.end_ns));
    assert!(spans.iter().all(|span| span.status == 0), "{spans:#?}");
    assert!(spans.iter().all(|span| span.resource["service.name"] == "shop"));
    let [publish, route] = ["publish orders", "route orders"].map(|name| find(&spans, name));
    let commit = spans.iter().find(|span| span.name.starts_with("commit shard ")).unwrap();
    let [deliver, ack] = ["deliver jobs", "ack jobs"].map(|name| find(&spans, name));
    let parents = [publish, route, commit, deliver, ack].map(|span| span.parent.as_str());
    assert_eq!(parents, [PARENT, &publish.id, &publish.id, PARENT, &deliver.id]);
    let kinds = [publish, route, commit, deliver, ack].map(|span| span.kind);
    assert_eq!(kinds, [2, 1, 1, 4, 2]);
    assert!(publish.begin_ns <= commit.begin_ns && commit.end_ns <= publish.end_ns);

    let of_all = |name: &str| [publish, deliver, ack].map(|span| span.attribute(name).to_owned());
    assert_eq!(of_all("messaging.system"), ["rabbitmq"; 3]);
    assert_eq!(of_all("messaging.operation.name"), ["publish", "deliver", "ack"]);
    assert_eq!(of_all("messaging.operation.type"), ["send", "", "settle"]);
    let queue = "orders:eu.new:jobs";
    assert_eq!(of_all("messaging.destination.name"), ["orders:eu.new", queue, queue]);
    assert_eq!(of_all("messaging.rabbitmq.message.delivery_tag"), ["", "1", "1"]);
    assert_eq!(of_all("messaging.message.body.size"), ["6", "6", ""]);
    assert_eq!(of_all("network.peer.address"), ["127.0.0.1"; 3]);
    assert_eq!(route.attribute("warren.queues"), "1");
    let shown = format!("{spans:?}");
    assert!(!shown.contains("secret"), "bodies stay here: {shown}");
}

#[test]
fn a_message_is_not_traced_against_its_clients_will_nor_without_it() {
    let collector = Collector::start();
    let config = config(&collector.endpoint(), "");
    let node = node(&config);
    let mut wire = channel(node.amqp());
    wire.declare(1, "q", Flags::DURABLE, &[]).unwrap();

    send(&mut wire, "", "q", &traced("00"));
    send(&mut wire, "", "q", &Properties::persistent());
    for _ in 0..2 {
        assert!(wire.get(1, "q", true).unwrap().is_some());
    }
    send(&mut wire, "", "q", &traced("01"));

    let names = collector.spans(3).into_iter().map(|span| span.name);
    let names: Vec<String> = names.filter(|name| !name.starts_with("commit")).collect();
    assert_eq!(names, ["route q", "publish q"]);
    assert_eq!(collector.rest(), []);
}

#[test]
fn a_picked_message_begins_a_trace_that_its_consumer_can_go_on_with() {
    let collector = Collector::start();
    let config = config(&collector.endpoint(), "ratio = 1.0");
    let node = node(&config);
    let mut wire = channel(node.amqp());
    wire.declare(1, "q", Flags::DURABLE, &[]).unwrap();

    send(&mut wire, "", "q", &Properties::default());
    let got = wire.get(1, "q", false).unwrap().unwrap();
    wire.send(&settle(1, id::NACK, got.tag, 0)).unwrap();

    let spans = collector.spans(5);
    let [publish, get, reject] = ["publish q", "get q", "reject q"].map(|name| find(&spans, name));
    assert!(spans.iter().all(|span| span.trace == publish.trace));
    assert_eq!([publish, get, reject].map(|span| &*span.parent), ["", &publish.id, &get.id]);
    let header = Field::text(&format!("00-{}-{}-01", publish.trace, publish.id));
    let properties = Properties::decode(&got.properties);
    assert_eq!(properties.header("traceparent"), Some(&header));
}

#[test]
fn a_trace_goes_on_where_the_consumer_is() {
    let collector = Collector::start();
    let config = config(&collector.endpoint(), "");
    let cluster = Cluster::start_with(3, &["--config", config.path().to_str().unwrap()]);
    let queue = cluster.declare("traced", 0);
    let mut publisher = channel(cluster.amqp(0));

    send(&mut publisher, "", &queue.name, &traced("01"));
    let mut consumer = Wire::open_channel(cluster.amqp(2)).unwrap();
    let delivered = receive(&mut consumer, &queue.name);
    consumer.send(&settle(1, id::ACK, delivered.tag, 0)).unwrap();

    // The probes of `declare` carry no context, so that there are no others.
    let spans = collector.spans(5);
    assert!(spans.iter().all(|span| span.trace == TRACE));
    let of = |stem: &str| {
        let name = format!("{stem} {}", queue.name);
        find(&spans, &name).resource["service.instance.id"].clone()
    };
    assert_eq!(of("publish"), of("route"));
    assert_eq!(of("deliver"), of("ack"));
    assert_ne!(of("publish"), of("deliver"));
}

#[test]
fn a_collector_that_is_not_there_harms_nobody() {
    let [nobody] = ports::free();
    let config = config(&format!("http://{nobody}"), "waiting_spans = 4");
    let node = node(&config);
    let mut wire = channel(node.amqp());
    wire.declare(1, "q", Flags::DURABLE, &[]).unwrap();

    for _ in 0..200 {
        send(&mut wire, "", "q", &traced("01"));
    }

    // Neither how many find room nor how many are sent in vain is decided here, but that they are
    // counted, and that nothing came of them.
    let end = Instant::now() + PATIENCE;
    let [exported, dropped, failed] = loop {
        let page = Page::of(node.addresses().metrics).unwrap();
        let counts = ["exported", "dropped", "failed"]
            .map(|what| page.value(&format!("warren_tracing_spans_{what}_total"), &[]).unwrap());
        if counts[2] > 0.0 || Instant::now() > end {
            break counts;
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert!(failed > 0.0 && dropped + failed <= 600.0, "{dropped} dropped, {failed} failed");
    assert_eq!(exported, 0.0);
    let complaints = node.log().matches("the collector does not take spans").count();
    assert_eq!(complaints, 1, "it is said once");
}
