//! What one node knows, every node knows: queues, exchanges and bindings, wherever they live.

use warren_tests::cluster::{Cluster, durable};
use warren_tests::node::unique;
use warren_tests::wire::{
    Flags, Pack, Unpack, consume, declare_queue, delete_queue, get, id, pairs, publish,
};

use crate::support::{Client, await_that, has_exchange, has_queue, numbers, refusal, text, texts};

/// How often each is done: a race is won now and then.
const ROUNDS: usize = 20;

#[test]
fn what_is_declared_on_one_node_is_there_on_every_other_at_once() {
    // RabbitMQ's nodes learn of it a moment later.
    let Some(cluster) = Cluster::own(3) else { return };
    let mut clients = [0, 1, 2].map(|node| Client::of(&cluster, node));

    for round in 0..ROUNDS {
        let [first, second, third] = turned(&mut clients, round);
        let (queue, exchange) = (unique("seen"), unique("seen"));

        first.declare_with(&queue, &durable());
        second.put(&queue, "by its name");
        assert_eq!(third.counts(&queue).1, 0);

        first.declare_exchange(&exchange, "topic");
        second.bind(&queue, &exchange, "a.#");
        assert!(third.publish(&exchange, "a.b", "by a binding"), "round {round}");
        assert!(first.publish(&exchange, "a", "by a binding"), "round {round}");

        let found = second.drain(&queue);
        assert_eq!(found, ["by its name", "by a binding", "by a binding"], "round {round}");
        first.delete(&queue);
        first.delete_exchange(&exchange);
    }
}

#[test]
fn what_is_deleted_on_one_node_is_gone_on_every_other() {
    let cluster = Cluster::start();
    let mut clients = [0, 1, 2].map(|node| Client::of(&cluster, node));

    for round in 0..ROUNDS {
        let [first, second, third] = turned(&mut clients, round);
        let (queue, exchange) = (unique("gone"), unique("gone"));
        first.declare_with(&queue, &durable());
        first.declare_exchange(&exchange, "topic");
        first.bind(&queue, &exchange, "key");

        second.unbind(&queue, &exchange, "key");
        await_that("an unbound key leads nowhere", || !third.publish(&exchange, "key", "x"));
        second.delete_exchange(&exchange);
        await_that("a deleted exchange is gone", || {
            (0..3).all(|node| !has_exchange(&cluster, node, &exchange))
        });
        third.delete(&queue);
        await_that("a deleted queue is gone", || {
            (0..3).all(|node| !has_queue(&cluster, node, &queue))
        });
        // It can be declared anew, and nothing of the former is in it.
        first.declare_with(&queue, &durable());
        assert_eq!(second.counts(&queue), (0, 0));
        second.delete(&queue);
    }
}

#[test]
fn a_queue_serves_clients_of_every_node_alike_wherever_it_is_led() {
    let cluster = Cluster::start();
    let queue = cluster.declare("served", 0);
    let leader = cluster.leader(&queue);

    for node in cluster.others(leader) {
        let mut client = Client::of(&cluster, node);
        client.put_numbers(&queue.name, 0..6);
        assert_eq!(client.counts(&queue.name), (6, 0));

        let first = client.wire.get(1, &queue.name, false).unwrap().unwrap();
        let second = client.wire.get(1, &queue.name, false).unwrap().unwrap();
        assert_eq!([text(&first), text(&second)], ["0", "1"]);
        client.ack(first.tag);
        client.reject(second.tag, true);
        client.consume(&queue.name, 3);
        let held = client.next(3);
        assert_eq!(texts(&held), numbers(1..4));
        assert!(held[0].redelivered && !held[1].redelivered);
        client.ack(held[0].tag);
        client.ack(held[1].tag);
        let more = client.next(2);
        assert_eq!(texts(&more), numbers(4..6));

        client.cancel();
        let mut other = Client::of(&cluster, leader);
        other.put_numbers(&queue.name, 6..10);
        assert_eq!(client.purge(&queue.name), 4);
        for message in held.iter().skip(2).chain(&more) {
            client.ack(message.tag);
        }
        await_that("nothing is left", || {
            client.counts(&queue.name) == (0, 0) && other.counts(&queue.name) == (0, 0)
        });
        assert_eq!(client.take(&queue.name), None);
    }
}

#[test]
fn a_queue_in_the_memory_of_another_node_serves_as_any() {
    let cluster = Cluster::start();
    let mut near = Client::of(&cluster, 0);
    let mut far = Client::of(&cluster, 1);
    let queue = unique("transient");
    near.declare(&queue, Flags::AUTO_DELETE);

    far.put_numbers(&queue, 0..4);
    assert_eq!(near.counts(&queue), (4, 0));
    assert_eq!(far.take(&queue), Some("0".to_owned()));
    far.consume(&queue, 2);
    let held = far.next(2);
    assert_eq!(texts(&held), numbers(1..3));
    far.ack(held[0].tag);
    assert_eq!(texts(&far.next(1)), numbers(3..4));
    near.put_numbers(&queue, 4..6);
    let mut third = Client::of(&cluster, 2);
    assert_eq!(third.purge(&queue), 2);
    far.ack(held[1].tag);
    assert_eq!(third.delete(&queue), 0);
    // Whoever consumed from it is told.
    far.expect(id::CANCEL);

    await_that("it is gone", || (0..3).all(|node| !has_queue(&cluster, node, &queue)));
}

#[test]
fn a_queue_in_memory_goes_with_its_node_and_its_consumers_elsewhere_are_told() {
    let mut cluster = Cluster::start();
    let queue = unique("transient");
    let mut near = Client::of(&cluster, 2);
    near.declare(&queue, Flags::AUTO_DELETE);
    let mut far = Client::of(&cluster, 0);
    far.put(&queue, "lost with its node");
    far.consume(&queue, 1);
    far.next(1);

    cluster.kill9(2);

    far.expect(id::CANCEL);
    await_that("it is gone", || (0..2).all(|node| !has_queue(&cluster, node, &queue)));
    // RabbitMQ does not answer whoever declares it again.
    if cluster.is_foreign() {
        return;
    }
    // The connection lives, and the name is free.
    far.declare(&queue, Flags::AUTO_DELETE);
    far.put(&queue, "elsewhere");
    assert_eq!(far.take(&queue), Some("elsewhere".to_owned()));
    cluster.restart(2);
    cluster.wait_complete();
    assert!(has_queue(&cluster, 2, &queue));
}

#[test]
fn an_exclusive_queue_is_locked_for_clients_of_other_nodes_and_goes_with_its_node() {
    let mut cluster = Cluster::start();
    let queue = unique("exclusive");
    let mut owner = Client::of(&cluster, 2);
    owner.declare(&queue, Flags::EXCLUSIVE);

    let requests = [
        declare_queue(1, &queue, Flags::PASSIVE, &pairs(&[])),
        declare_queue(1, &queue, Flags::EXCLUSIVE, &pairs(&[])),
        consume(1, &queue, "thief", 0, &[]),
        get(1, &queue, true),
        Pack::method(id::PURGE).u16(0).short(&queue).u8(0).frame(1),
        delete_queue(1, &queue),
    ];
    for (at, request) in requests.iter().enumerate() {
        let close = refusal(&cluster, at % 2, request);
        assert_eq!((close.channel, close.code), (1, 405), "request {at}: {close:?}");
    }
    // Publishing is not a matter of who owns it.
    let mut stranger = Client::of(&cluster, 0);
    stranger.put(&queue, "for the owner");
    assert_eq!(owner.take(&queue), Some("for the owner".to_owned()));

    cluster.kill9(2);

    // RabbitMQ keeps the name until the node returns.
    if cluster.is_foreign() {
        cluster.restart(2);
    }
    let declared = || {
        let mut wire = Client::of(&cluster, 1).wire;
        wire.declare(1, &queue, Flags::EXCLUSIVE, &[]).is_ok()
    };
    await_that("the name of a queue whose node died is free", declared);
}

#[test]
fn a_reply_finds_its_requester_on_another_node() {
    let cluster = Cluster::start();
    let queue = cluster.declare("requests", 0).name;
    for (here, there) in [(0, 1), (1, 2), (2, 0)] {
        let mut requester = Client::of(&cluster, here);
        let take = consume(1, "amq.rabbitmq.reply-to", "replies", 2, &[]);
        requester.wire.call(1, take, id::CONSUME_OK).unwrap();
        let mut server = Client::of(&cluster, there);

        // Flags for reply-to alone, and the pseudo-queue.
        let reply_to = Pack::empty().u16(0x0200).short("amq.rabbitmq.reply-to").bytes();
        requester.wire.send(&publish(1, "", &queue, 0, &reply_to, b"question")).unwrap();
        requester.expect(id::ACK);
        let question = server.wire.get(1, &queue, true).unwrap().unwrap();
        let mut properties = Unpack::new(&question.properties);
        assert_eq!(properties.u16(), 0x0200);
        let address = properties.short();
        assert!(address.starts_with("amq.rabbitmq.reply-to."), "{address}");
        assert!(server.publish("", &address, "answer"));

        let answer = requester.next(1).remove(0);
        assert_eq!((text(&answer), answer.consumer.as_str()), ("answer".to_owned(), "replies"));

        // Nobody listens there any more: the address is unknown, as a queue would be.
        drop(requester);
        await_that("a requester that left is not found", || {
            let close = declare_queue(1, &address, Flags::PASSIVE, &pairs(&[]));
            let mut wire = Client::of(&cluster, there).wire;
            wire.send(&close).unwrap();
            wire.expect_close().is_ok_and(|close| close.code == 404)
        });
    }
}

/// The clients, beginning with another one each round.
fn turned(clients: &mut [Client; 3], round: usize) -> [&mut Client; 3] {
    let [a, b, c] = clients;
    match round % 3 {
        0 => [a, b, c],
        1 => [b, c, a],
        _ => [c, a, b],
    }
}
