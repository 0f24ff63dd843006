//! How exchanges choose one of all, alike on every node.

use std::collections::BTreeMap;

use warren_tests::node::unique;
use warren_tests::wire::{Delivered, Field};

use super::{Later, Properties, QUORUM, Stage};
use crate::support::{Client, text};

/// Keys enough that no queue goes without, for the same keys and names each time.
const KEYS: usize = 60;

/// The same key finds the same queue, whoever routes, and a heavier binding finds more.
pub fn consistent_hash(stage: &Stage) -> Later {
    let exchange = unique("ring");
    stage.client().declare_exchange(&exchange, "x-consistent-hash");
    // Names decide as well, so these are the same in every run.
    let queues = ["light", "also-light", "heavy"].map(|name| format!("ring-{name}"));
    let mut consumer = stage.far_client();
    for (queue, weight) in queues.iter().zip(["1", "1", "4"]) {
        consumer.declare_with(queue, &super::of_kind(QUORUM, &[]));
        consumer.bind(queue, &exchange, weight);
    }

    let near = placed(&mut stage.client(), &exchange, &queues);
    let far = placed(&mut stage.far_client(), &exchange, &queues);
    assert_eq!(near, far, "nodes do not agree");
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    for queue in near.values() {
        *shares.entry(queue).or_default() += 1;
    }
    assert_eq!(shares.len(), 3, "{shares:?}");
    assert!(shares["ring-heavy"] > shares["ring-light"].max(shares["ring-also-light"]));

    Box::new(move |stage| {
        assert_eq!(placed(&mut stage.client(), &exchange, &queues), near, "they have moved");
    })
}

/// Which queue each key's message goes to.
fn placed(client: &mut Client, exchange: &str, queues: &[String]) -> BTreeMap<String, String> {
    for key in 0..KEYS {
        let key = key.to_string();
        assert!(client.publish(exchange, &key, &key), "{key} went nowhere");
    }
    let mut placed = BTreeMap::new();
    for queue in queues {
        placed.extend(client.drain(queue).into_iter().map(|key| (key, queue.clone())));
    }
    assert_eq!(placed.len(), KEYS, "each message is in one queue");
    placed
}

/// Each message goes to one queue, and over time to all.
pub fn random(stage: &Stage) -> Later {
    let exchange = unique("random");
    let queues = [(); 2].map(|()| stage.queue("random", QUORUM, &[]));
    stage.client().declare_exchange(&exchange, "x-random");
    for queue in &queues {
        stage.client().bind(queue, &exchange, "any");
    }

    // That one of two queues gets none of a hundred by chance happens once in 2^99 runs.
    let goes = move |stage: &Stage| {
        let mut client = stage.client();
        for number in 0..100 {
            assert!(client.publish(&exchange, "", &number.to_string()));
        }
        let counts = queues.each_ref().map(|queue| client.drain(queue).len());
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
        assert_eq!(counts.iter().sum::<usize>(), 100);
    };
    goes(stage);

    Box::new(goes)
}

/// Messages that come later come once each, by their times, with their header turned round.
pub fn scheduled(stage: &Stage) -> Later {
    let exchange = unique("later");
    let queue = stage.queue("later", QUORUM, &[]);
    let mut client = stage.client();
    let kind = [("x-delayed-type", Field::text("direct"))];
    client.declare_exchange_with(&exchange, "x-delayed-message", &kind);
    client.bind(&queue, &exchange, "key");
    let mut consumer = stage.far_client();
    consumer.consume(&queue, 0);

    for (body, delay_ms) in [("last", 4000), ("first", 300), ("second", 2000), ("at once", -300)] {
        client.send_to(&exchange, "key", &delayed(delay_ms), body);
    }
    client.await_confirms();
    let came = consumer.next(4);
    let texts: Vec<String> = came.iter().map(text).collect();
    assert_eq!(texts, ["at once", "first", "second", "last"]);
    assert!(came.iter().all(|message| !message.redelivered && is_over(message)));

    for (body, delay_ms) in [("far", 8000), ("near", 4000)] {
        client.send_to(&exchange, "key", &delayed(delay_ms), body);
    }
    client.await_confirms();
    Box::new(move |_| {
        let texts: Vec<String> = consumer.next(2).iter().map(text).collect();
        assert_eq!(texts, ["near", "far"]);
        assert!(client.publish(&exchange, "key", "end"));
        assert_eq!(text(&consumer.next(1)[0]), "end", "nothing came twice");
    })
}

/// Properties of a message that is to come so much later.
fn delayed(delay_ms: i32) -> Vec<u8> {
    Properties::persistent().with_headers(&[("x-delay", Field::I32(delay_ms))]).encode()
}

/// Whether the header says that the delay is over, or there was none.
fn is_over(message: &Delivered) -> bool {
    let properties = Properties::decode(&message.properties);
    match properties.header("x-delay") {
        Some(Field::I32(delay)) => *delay < 0,
        Some(Field::I64(delay)) => *delay < 0,
        other => panic!("no number of milliseconds: {other:?}"),
    }
}
