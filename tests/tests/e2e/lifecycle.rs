//! What survives the process and what does not; these tests have a node of their own.

use std::fs;
use std::thread;
use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};
use warren_tests::failover::await_that;
use warren_tests::http;
use warren_tests::node::{self, Node, unique};
use warren_tests::wire::{Flags, Heard, Pack, Wire, consume, delete_queue, id};

use crate::support::{Client, Kind, assert_serves, next, run, text};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How the process ends before it comes back.
const ENDS: [fn(&mut Node); 2] = [Node::terminate, Node::kill9];

#[test]
fn durable_queues_bindings_and_messages_survive_a_restart() {
    let Some(mut node) = node::own() else { return };
    run(async {
        for (round, end) in ENDS.into_iter().enumerate() {
            let client = Client::connect_to(node.amqp()).await;
            let queue = client.queue_of(Kind::Durable).await;
            let exchange = unique("durable");
            let durable =
                lapin::options::ExchangeDeclareOptions { durable: true, ..Default::default() };
            let declared = client.channel.exchange_declare(
                exchange.as_str().into(),
                ExchangeKind::Topic,
                durable,
                FieldTable::default(),
            );
            declared.await.unwrap();
            client.bind(&queue, &exchange, "a.#", &[]).await;
            let persistent =
                || BasicProperties::default().with_delivery_mode(2).with_message_id("m".into());
            for number in 0..100 {
                client.publish(&exchange, "a.b", &number.to_string(), persistent()).await;
            }

            end(&mut node);
            node.restart();

            let client = Client::connect_to(node.amqp()).await;
            assert_eq!(client.counts(&queue).await, (100, 0), "round {round}");
            client.publish(&exchange, "a", "100", persistent()).await;
            let first = client.take(&queue).await.unwrap();
            assert_eq!(
                (text(&first), first.redelivered, first.properties),
                ("0".to_owned(), false, persistent())
            );
            let expected: Vec<String> = (1..=100).map(|number| number.to_string()).collect();
            assert_eq!(client.drain(&queue).await, expected, "round {round}");
        }
    });
}

#[test]
fn an_unacknowledged_message_comes_back_flagged_and_an_acknowledged_one_does_not() {
    let Some(mut node) = node::own() else { return };
    run(async {
        for end in ENDS {
            let client = Client::connect_to(node.amqp()).await;
            let queue = client.queue_of(Kind::Durable).await;
            client.put_all(&queue, &["settled", "held", "waiting"]).await;
            for _ in 0..2 {
                client
                    .channel
                    .basic_get(queue.as_str().into(), BasicGetOptions::default())
                    .await
                    .unwrap();
            }
            client.channel.basic_ack(1, Default::default()).await.unwrap();
            // The answer to a later request on the channel makes the ack durable.
            client.counts(&queue).await;
            client.channel.close(200, "bye".into()).await.unwrap();
            let reader = Client::connect_to(node.amqp()).await;
            reader.until_ready(&queue, 2).await;
            let again = reader
                .channel
                .basic_get(queue.as_str().into(), BasicGetOptions::default())
                .await
                .unwrap()
                .unwrap();
            assert!(again.redelivered);

            end(&mut node);
            node.restart();

            let client = Client::connect_to(node.amqp()).await;
            let mut seen = Vec::new();
            while let Some(delivery) = client.take(&queue).await {
                seen.push((text(&delivery), delivery.redelivered));
            }
            assert_eq!(seen, [("held".to_owned(), true), ("waiting".to_owned(), false)]);
        }
    });
}

#[test]
fn what_was_purged_deleted_or_transient_does_not_rise_again() {
    let Some(mut node) = node::own() else { return };
    run(async {
        let client = Client::connect_to(node.amqp()).await;
        let [purged, deleted] =
            [client.queue_of(Kind::Durable).await, client.queue_of(Kind::Durable).await];
        client.put_all(&purged, &["1", "2"]).await;
        client.put_all(&deleted, &["1", "2"]).await;
        let transient = unique("transient");
        let declared = client.channel.queue_declare(
            transient.as_str().into(),
            QueueDeclareOptions::default(),
            FieldTable::default(),
        );
        declared.await.unwrap();
        client.channel.queue_purge(purged.as_str().into(), Default::default()).await.unwrap();
        client.delete(&deleted).await;
        client
            .channel
            .queue_declare(
                deleted.as_str().into(),
                QueueDeclareOptions::durable(),
                FieldTable::default(),
            )
            .await
            .unwrap();
        client.put(&deleted, "new life").await;

        node.kill9();
        node.restart();

        let client = Client::connect_to(node.amqp()).await;
        assert_eq!(client.drain(&purged).await, [""; 0]);
        assert_eq!(client.drain(&deleted).await, ["new life"]);
        assert!(!client.has_queue(&transient).await);
    });
}

#[test]
fn a_node_that_is_asked_to_leave_says_goodbye_to_its_clients() {
    let Some(mut node) = node::own() else { return };
    let mut wire = Wire::open_channel(node.amqp()).unwrap();

    node.terminate();

    let Heard::Frame(frame) = wire.hear().unwrap() else { panic!("no word of farewell") };
    assert_eq!(frame.method(), Some(id::CLOSE));
    assert_eq!(frame.arguments()[..2], 320_u16.to_be_bytes());
    wire.expect_end().unwrap();
}

#[test]
fn a_frozen_node_goes_on_where_it_was() {
    let Some(node) = node::own() else { return };
    let mut wire = Wire::open_channel(node.amqp()).unwrap();
    wire.declare(1, "frozen", Flags::DURABLE, &[]).unwrap();
    wire.call(1, consume(1, "frozen", "t", 2, &[]), id::CONSUME_OK).unwrap();

    node.pause();
    wire.publish_to(1, "frozen", b"while frozen").unwrap();
    wire.set_patience(Duration::from_millis(300));
    let silence = wire.hear();
    node.resume();
    wire.set_patience(warren_tests::wire::PATIENCE);

    assert!(silence.is_err());
    assert_eq!(wire.message(1).unwrap().body, b"while frozen");
}

#[test]
fn a_consumer_that_never_reads_does_not_fill_the_nodes_memory() {
    let Some(node) = node::own() else { return };
    let mut publisher = Wire::open_channel(node.amqp()).unwrap();
    publisher.declare(1, "unread", Flags::DURABLE, &[]).unwrap();
    publisher
        .call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)
        .unwrap();
    let mut slow: Vec<Wire> = (0..8).map(|_| Wire::open_channel(node.amqp()).unwrap()).collect();
    for wire in &mut slow {
        wire.send(&consume(1, "unread", "slow", 2, &[])).unwrap();
    }
    let before = resident_bytes(node.pid());

    let body = vec![b'x'; 1 << 20];
    for tag in 1..=200_u64 {
        publisher.send(&warren_tests::wire::publish(1, "", "unread", 0, &[0, 0], &body)).unwrap();
        let mut confirmed = 0;
        while confirmed < tag {
            let ack = publisher.expect(1, id::ACK).unwrap();
            confirmed = warren_tests::wire::Unpack::new(ack.arguments()).u64();
        }
    }

    let grown = resident_bytes(node.pid()).saturating_sub(before);
    assert!(grown < 600 << 20, "{} MiB more for 200 MiB that nobody reads", grown >> 20);
    assert_serves(node.amqp(), "eight consumers that never read");
}

#[test]
fn a_consumer_is_found_again_after_the_restart_of_the_node() {
    let Some(mut node) = node::own() else { return };
    run(async {
        let client = Client::connect_to(node.amqp()).await;
        let queue = client.queue_of(Kind::Durable).await;
        let _lost = client.consume(&client.channel, &queue).await;

        node.kill9();
        node.restart();

        let client = Client::connect_to(node.amqp()).await;
        // The consumer of the lost connection is not counted, and gets nothing.
        assert_eq!(client.counts(&queue).await, (0, 0));
        let channel = client.channel().await;
        let mut consumer = client.consume(&channel, &queue).await;
        let options = BasicPublishOptions::default();
        let sent = client.channel.basic_publish(
            "".into(),
            queue.as_str().into(),
            options,
            b"x",
            BasicProperties::default(),
        );
        sent.await.unwrap().await.unwrap();
        assert_eq!(text(&next(&mut consumer).await), "x");
    });
}

fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[test]
fn a_deletion_cut_short_is_finished_by_who_declares_the_queue_again_and_otherwise_in_time() {
    let Some(node) = Node::start_breakable(&[]) else { return };
    node.arm("broker.delete.half=return");
    let [again, left] = ["again", "left"].map(|stem| delete_by_half(&node, stem));

    let mut wire = Wire::open_channel_within(node.amqp(), PATIENCE).unwrap();
    let (_, ready, _) = wire.declare(1, &again, Flags::DURABLE, &[]).unwrap();

    assert_eq!(ready, 0);
    wire.publish_to(1, &again, b"new").unwrap();
    let taken = wire.get(1, &again, true).unwrap().map(|message| message.body);
    assert_eq!(taken.as_deref(), Some(&b"new"[..]));
    let api = http::Client::new(node.addresses().http, "guest", "guest");
    let path = |queue: &str| format!("/api/queues/%2F/{queue}");
    await_that("nobody sees the other one any more", || {
        api.ask("GET", &path(&left), "").status == 404
    });
    assert_eq!(api.ask("GET", &path(&again), "").status, 200);
}

/// Has a queue deleted whose row the catalog keeps.
fn delete_by_half(node: &Node, stem: &str) -> String {
    // It takes a moment until the node knows that it is to stop there.
    for _ in 0..1000 {
        let queue = unique(stem);
        let mut wire = Wire::open_channel_within(node.amqp(), PATIENCE).unwrap();
        wire.declare(1, &queue, Flags::DURABLE, &[]).unwrap();
        let delete = delete_queue(1, &queue);
        if wire.call(1, delete, id::QUEUE_DELETE_OK).is_err() {
            return queue;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the node does not stop halfway");
}
