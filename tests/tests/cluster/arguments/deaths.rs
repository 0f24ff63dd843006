//! Where the dead of a queue go, and what they tell of it.

use std::time::{SystemTime, UNIX_EPOCH};

use warren_tests::node::unique;
use warren_tests::wire::{Delivered, Field};

use super::{Later, Properties, QUORUM, Stage, await_ready, mortal, nack, offer};
use crate::support::{Client, text};

/// A timestamp may be a little off: of a machine's clock, rounded to seconds.
const CLOCK_SECONDS: u64 = 60;

/// A queue, an exchange and a key for its dead, a second queue, a third one.
pub fn two_hops(stage: &Stage, kind: &str) -> Later {
    let exchange = unique("graves");
    let last = stage.queue("last", kind, &[]);
    let second = stage.queue("second", kind, &mortal(&last, &[]));
    let arguments = [
        ("x-dead-letter-exchange", Field::text(&exchange)),
        ("x-dead-letter-routing-key", Field::text("buried")),
    ];
    let first = stage.queue("first", kind, &arguments);
    let mut client = stage.client();
    client.declare_exchange(&exchange, "direct");
    client.bind(&second, &exchange, "buried");
    let own = Properties::persistent().with_headers(&[("own", Field::text("kept"))]);
    let to_second = Death { queue: first.clone(), exchange: String::new(), key: first.clone() };
    let to_last =
        Death { queue: second.clone(), exchange: exchange.clone(), key: "buried".to_owned() };

    assert!(offer(&mut client, &first, &own, "traveller"));
    reject_one(&mut client, &first);
    let held = await_one(&mut client, &second);
    assert_eq!((held.exchange.as_str(), held.key.as_str()), (exchange.as_str(), "buried"));
    assert_deaths(&held, std::slice::from_ref(&to_second));

    Box::new(move |_| {
        // It was given out before the leader died.
        client.reject(held.tag, false);
        let letter = await_one(&mut client, &last);
        assert_eq!((letter.exchange.as_str(), &letter.key), ("", &last));
        assert_deaths(&letter, &[to_last, to_second.clone()]);
        client.ack(letter.tag);

        assert!(offer(&mut client, &first, &own, "another"));
        reject_one(&mut client, &first);
        let letter = await_one(&mut client, &second);
        assert_eq!(text(&letter), "another");
        assert_deaths(&letter, &[to_second]);
    })
}

/// The dead wait in their queue for as long as there is no room where they go.
pub fn at_least_once(stage: &Stage) -> Later {
    let full = [("x-max-length", Field::I32(1)), ("x-overflow", Field::text("reject-publish"))];
    let dead = stage.queue("narrow", QUORUM, &full);
    let strategy = [
        ("x-dead-letter-strategy", Field::text("at-least-once")),
        ("x-overflow", Field::text("reject-publish")),
    ];
    let queue = stage.queue("patient", QUORUM, &mortal(&dead, &strategy));
    let mut client = stage.client();
    for body in ["a", "b", "c"] {
        client.put(&queue, body);
        reject_one(&mut client, &queue);
    }
    await_ready(&mut client, &dead, 1);

    Box::new(move |_| {
        for body in ["a", "b", "c"] {
            let letter = await_one(&mut client, &dead);
            assert_eq!(text(&letter), body);
            client.ack(letter.tag);
        }
    })
}

/// Failures are counted across the failover, and only failures.
pub fn delivery_limit(stage: &Stage) -> Later {
    let dead = stage.queue("dead", QUORUM, &[]);
    let limit = [("x-delivery-limit", Field::I32(2))];
    let queue = stage.queue("limited", QUORUM, &mortal(&dead, &limit));
    let mut client = stage.client();
    client.put(&queue, "poison");

    for failures in 0..2 {
        // Given back, which counts for nothing, and rejected, which does.
        let delivery = await_one(&mut client, &queue);
        assert_eq!(failures_of(&delivery), failures);
        nack(&mut client, delivery.tag);
        let delivery = await_one(&mut client, &queue);
        assert_eq!(failures_of(&delivery), failures);
        client.reject(delivery.tag, true);
    }
    let held = await_one(&mut client, &queue);
    assert_eq!(failures_of(&held), 2);

    Box::new(move |_| {
        nack(&mut client, held.tag);
        let delivery = await_one(&mut client, &queue);
        assert_eq!(failures_of(&delivery), 2);
        client.reject(delivery.tag, true);
        let letter = await_one(&mut client, &dead);
        let properties = Properties::decode(&letter.properties);
        let reason = properties.header("x-first-death-reason");
        assert_eq!(reason, Some(&Field::text("delivery_limit")));
        assert_eq!(client.counts(&queue).0, 0);
    })
}

/// Twenty failures are allowed where nothing else is said.
pub fn default_delivery_limit(stage: &Stage) -> Later {
    let dead = stage.queue("dead", QUORUM, &[]);
    let queue = stage.queue("unlimited", QUORUM, &mortal(&dead, &[]));
    let mut client = stage.client();
    client.put(&queue, "poison");
    let fail = |client: &mut Client, numbers: std::ops::Range<i64>| {
        for number in numbers {
            let delivery = await_one(client, &queue);
            assert_eq!(failures_of(&delivery), number);
            client.reject(delivery.tag, true);
        }
    };

    fail(&mut client, 0..10);

    let queue = queue.clone();
    Box::new(move |_| {
        for number in 10..21 {
            let delivery = await_one(&mut client, &queue);
            assert_eq!(failures_of(&delivery), number);
            client.reject(delivery.tag, true);
        }
        await_ready(&mut client, &dead, 1);
        assert_eq!(client.counts(&queue).0, 0);
    })
}

/// What one death should have left.
#[derive(Clone, Debug)]
struct Death {
    queue: String,
    exchange: String,
    key: String,
}

/// Checks the headers of a message that died of being rejected, the newest death first.
#[track_caller]
fn assert_deaths(letter: &Delivered, deaths: &[Death]) {
    let properties = Properties::decode(&letter.properties);
    assert_eq!(properties.header("own"), Some(&Field::text("kept")));
    let Some(Field::Array(found)) = properties.header("x-death") else {
        panic!("no x-death in {properties:?}")
    };
    assert_eq!(found.len(), deaths.len(), "{found:?}");
    for (found, death) in found.iter().zip(deaths) {
        let Field::Table(fields) = found else { panic!("{found:?} is no death") };
        let mut fields = fields.clone();
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        let time = fields.pop().map(|(_, value)| value);
        let Some(Field::Timestamp(time)) = time else { panic!("{time:?} is no time") };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(time) <= CLOCK_SECONDS, "{time}, but it is {now}");
        let expected = [
            ("count", Field::I64(1)),
            ("exchange", Field::text(&death.exchange)),
            ("queue", Field::text(&death.queue)),
            ("reason", Field::text("rejected")),
            ("routing-keys", Field::Array(vec![Field::text(&death.key)])),
        ];
        assert_eq!(fields, expected.map(|(key, value)| (key.to_owned(), value)));
    }
    let (last, first) = (&deaths[0], &deaths[deaths.len() - 1]);
    for (which, death) in [("first", first), ("last", last)] {
        let header = |what: &str| properties.header(&format!("x-{which}-death-{what}"));
        assert_eq!(header("queue"), Some(&Field::text(&death.queue)));
        assert_eq!(header("exchange"), Some(&Field::text(&death.exchange)));
        assert_eq!(header("reason"), Some(&Field::text("rejected")));
    }
}

/// How often a message has failed, as the broker tells.
pub fn failures_of(delivery: &Delivered) -> i64 {
    match Properties::decode(&delivery.properties).header("x-delivery-count") {
        None => 0,
        Some(Field::I64(count)) => *count,
        Some(other) => panic!("{other:?} is no count"),
    }
}

/// Takes a message, unacknowledged, as soon as there is one.
#[track_caller]
pub fn await_one(client: &mut Client, queue: &str) -> Delivered {
    let mut found = None;
    crate::support::await_that(&format!("there is something in {queue}"), || {
        found = client.wire.get(1, queue, false).unwrap();
        found.is_some()
    });
    found.unwrap()
}

fn reject_one(client: &mut Client, queue: &str) {
    let delivery = await_one(client, queue);
    client.reject(delivery.tag, false);
}
