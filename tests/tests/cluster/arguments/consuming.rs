//! Who gets what first, and what counts as the same queue.

use std::time::Duration;

use warren_tests::wire::{Field, Flags, declare_queue, pairs};

use super::{CLASSIC, Later, Properties, QUORUM, Stage, consume_with, of_kind, offer};
use crate::support::{Client, numbers, refusal, text, texts};

/// How long consumers are watched that should hear nothing.
const WATCH: Duration = Duration::from_millis(200);

/// The highest first, in order among equals; what is higher than the highest is the highest.
pub fn classic_priorities(stage: &Stage) -> Later {
    let queue = stage.queue("levels", CLASSIC, &[("x-max-priority", Field::I32(5))]);
    let mut client = stage.client();
    for (body, priority) in [("a", 1), ("b", 5), ("c", 0), ("d", 9), ("e", 3)] {
        assert!(offer(&mut client, &queue, &of(priority), body));
    }
    assert!(offer(&mut client, &queue, &Properties::persistent(), "f"));
    assert_eq!(client.take(&queue), Some("b".to_owned()));

    Box::new(move |_| {
        assert!(offer(&mut client, &queue, &of(3), "g"));
        assert!(offer(&mut client, &queue, &of(200), "h"));
        assert_eq!(client.drain(&queue), ["d", "h", "e", "g", "a", "c", "f"]);
    })
}

/// The same without any argument, with 32 levels and one in the middle for who says nothing.
pub fn quorum_priorities(stage: &Stage) -> Later {
    let queue = stage.queue("levels", QUORUM, &[]);
    let mut client = stage.client();
    for (body, priority) in [("a", 0), ("b", 31), ("c", 40), ("d", 5), ("e", 4)] {
        assert!(offer(&mut client, &queue, &of(priority), body));
    }
    assert_eq!(client.take(&queue), Some("b".to_owned()));

    Box::new(move |_| {
        assert!(offer(&mut client, &queue, &Properties::persistent(), "f"));
        assert!(offer(&mut client, &queue, &of(3), "g"));
        assert!(offer(&mut client, &queue, &of(6), "h"));
        assert_eq!(client.drain(&queue), ["c", "h", "d", "e", "f", "g", "a"]);
    })
}

/// One after the other, as they came; the failover changes nobody's place.
pub fn single_active(stage: &Stage, kind: &str) -> Later {
    let single = [("x-single-active-consumer", Field::Bool(true))];
    let queue = stage.queue("single", kind, &single);
    let mut publisher = stage.client();
    let mut consumers = [stage.client(), stage.far_client(), stage.client()];
    for consumer in &mut consumers {
        consumer.consume(&queue, 2);
    }
    publisher.put_numbers(&queue, 0..3);
    let held = consumers[0].next(2);
    assert_eq!(texts(&held), numbers(0..2));
    assert_silence(&mut consumers[1..]);

    Box::new(move |_| {
        held.iter().for_each(|message| consumers[0].ack(message.tag));
        let [first, second, third] = &mut consumers;
        let next = first.next(1);
        assert_eq!((text(&next[0]).as_str(), next[0].redelivered), ("2", false));
        first.ack(next[0].tag);
        first.cancel();
        publisher.put_numbers(&queue, 3..4);
        let next = second.next(1);
        assert_eq!(texts(&next), ["3"]);
        second.ack(next[0].tag);
        second.cancel();
        publisher.put_numbers(&queue, 4..5);
        assert_eq!(texts(&third.next(1)), ["4"]);
        assert_eq!(publisher.counts(&queue), (0, 1));
    })
}

/// A consumer with a higher priority becomes the active one, once the other has nothing open.
pub fn takeover(stage: &Stage) -> Later {
    let single = [("x-single-active-consumer", Field::Bool(true))];
    let queue = stage.queue("single", QUORUM, &single);
    let (mut publisher, mut low, mut high) = (stage.client(), stage.client(), stage.far_client());
    consume_with(&mut low, &queue, 2, &[]);
    publisher.put_numbers(&queue, 0..3);
    let held = low.next(2);

    Box::new(move |stage| {
        consume_with(&mut high, &queue, 2, &[("x-priority", Field::I32(10))]);
        assert_silence(std::slice::from_mut(&mut high));
        held.iter().for_each(|message| low.ack(message.tag));
        let next = high.next(1);
        assert_eq!((text(&next[0]).as_str(), next[0].redelivered), ("2", false));
        let mut late = stage.client();
        consume_with(&mut late, &queue, 2, &[("x-priority", Field::I32(5))]);
        high.ack(next[0].tag);
        publisher.put_numbers(&queue, 3..4);
        assert_eq!(texts(&high.next(1)), ["3"]);
        assert_silence(&mut [low, late]);
    })
}

/// The same is the same on every node, after the failover too; anything else is not.
pub fn equality(stage: &Stage) -> Later {
    let arguments = [
        ("x-max-length", Field::I32(10)),
        ("x-overflow", Field::text("reject-publish")),
        ("x-message-ttl", Field::I64(60_000)),
        ("x-expires", Field::I32(600_000)),
        ("x-delivery-limit", Field::I8(3)),
        ("x-quorum-initial-group-size", Field::I32(3)),
        ("x-unknown", Field::text("kept")),
    ];
    let queue = stage.queue("same", QUORUM, &arguments);
    let arguments = of_kind(QUORUM, &arguments);
    declare_again(stage, &queue, &arguments);

    Box::new(move |stage| declare_again(stage, &queue, &arguments))
}

fn declare_again(stage: &Stage, queue: &str, arguments: &[(&str, Field)]) {
    for node in stage.cluster.others(stage.leader) {
        Client::of(&stage.cluster, node).declare_with(queue, arguments);
        let other: Vec<(&str, Field)> = arguments
            .iter()
            .map(|(name, value)| match *name {
                "x-max-length" => (*name, Field::I32(11)),
                _ => (*name, value.clone()),
            })
            .collect();
        let request = declare_queue(1, queue, Flags::DURABLE, &pairs(&other));
        let close = refusal(&stage.cluster, node, &request);
        let expected = format!(
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '{queue}' in vhost \
             '/': received '11' but current is '10'"
        );
        assert_eq!((close.code, close.text), (406, expected));
    }
}

fn of(priority: u8) -> Properties {
    Properties::persistent().with_priority(priority)
}

fn assert_silence(clients: &mut [Client]) {
    for client in clients {
        let heard = client.wire.hear_within(WATCH).unwrap();
        assert!(heard.is_none(), "a consumer that waits heard {heard:?}");
    }
}
