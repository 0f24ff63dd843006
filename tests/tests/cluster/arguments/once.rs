//! What a queue takes once, how it tries again, and where it parks.

use serde_json::Value as Json;
use warren_tests::wire::{Delivered, Field, Flags};

use super::deaths::{await_one, failures_of};
use super::{Later, Properties, Stage, await_ready, mortal, nack, offer};
use crate::support::{Client, await_that, text};

/// Longer than any test.
const WINDOW: (&str, Field) = ("x-dedup-window", Field::I32(3_600_000));

/// The queue that takes what would be lost, as the broker calls it.
const PARKING: &str = "warren.parking";

/// A publisher that was cut off sends everything again, to whatever node, and each message is there
/// once: also when the leader has died in between.
pub fn reconnected(stage: &Stage, kind: &str) -> Later {
    let queue = stage.queue("once", kind, &[WINDOW]);
    let names = |to: u32| (0..to).map(|number| format!("order-{number}")).collect::<Vec<_>>();
    send_all(&mut stage.client(), &queue, &names(5));

    let mut again = stage.far_client();
    send_all(&mut again, &queue, &names(8));
    await_ready(&mut again, &queue, 8);
    assert_eq!(shown(stage, &queue, "messages_deduplicated"), 5);
    assert_eq!(shown(stage, &queue, "dedup_keys"), 8);

    Box::new(move |stage| {
        send_all(&mut stage.client(), &queue, &names(10));
        send_all(&mut again, &queue, &names(10));
        assert_eq!(again.drain(&queue), names(10));
        assert_eq!(shown(stage, &queue, "dedup_keys"), 10);
    })
}

/// Publishes a message for each name, which is its body too, and waits until all are safe.
fn send_all(client: &mut Client, queue: &str, names: &[String]) {
    for name in names {
        let named = Properties::persistent().with_message_id(name);
        client.send_with(queue, &named.encode(), name);
    }
    client.await_confirms();
}

/// A number of the queue's object over HTTP.
fn shown(stage: &Stage, queue: &str, field: &str) -> u64 {
    let mut number = None;
    await_that(&format!("{field} of {queue} is shown"), || {
        let object = stage.api().value(&format!("/api/queues/%2F/{queue}"));
        number = object.get(field).and_then(Json::as_u64);
        number.is_some()
    });
    number.unwrap()
}

/// A header names the message, and what exceeds the queue's memory is refused, until it is over.
pub fn by_header(stage: &Stage) -> Later {
    let window_ms = 5_000;
    let arguments = [
        ("x-dedup-window", Field::I32(window_ms)),
        ("x-deduplication-header", Field::text("order")),
        ("x-dedup-limit", Field::I32(2)),
    ];
    let queue = stage.queue("by-header", super::QUORUM, &arguments);
    let order = |order: Field| Properties::persistent().with_headers(&[("order", order)]);
    let mut client = stage.client();

    let numbers = [Field::I32(1), Field::I64(1), Field::text("2"), Field::I64(3)];
    let taken = numbers.map(|number| offer(&mut client, &queue, &order(number), "body"));
    assert_eq!(taken, [true, true, true, false], "the third name is one too many");
    assert!(offer(&mut client, &queue, &Properties::persistent(), "it has no name"));
    await_ready(&mut client, &queue, 3);

    Box::new(move |_| {
        await_that("two names are over", || {
            offer(&mut client, &queue, &order(Field::I64(3)), "body")
        });
        await_ready(&mut client, &queue, 4);
    })
}

/// A message waits longer after each attempt, also when its leader dies meanwhile, and then is dead.
pub fn retried(stage: &Stage, kind: &str) -> Later {
    let dead = stage.queue("given-up", kind, &[]);
    let delays = Field::Array(vec![Field::I32(50), Field::I32(3_000)]);
    let retry = [("x-retry", delays), ("x-retry-jitter", Field::I32(20))];
    let queue = stage.queue("tried", kind, &mortal(&dead, &retry));
    let mut client = stage.client();
    client.put(&queue, "job");

    let first = await_one(&mut client, &queue);
    assert_eq!(failures_of(&first), 0);
    nack(&mut client, first.tag);
    let second = await_one(&mut client, &queue);
    assert_eq!((failures_of(&second), second.redelivered), (1, true));
    client.reject(second.tag, true);

    Box::new(move |_| {
        let third = await_one(&mut client, &queue);
        assert_eq!(failures_of(&third), 2);
        nack(&mut client, third.tag);
        let letter = await_one(&mut client, &dead);
        assert_eq!((text(&letter).as_str(), reason_of(&letter)), ("job", "delivery_limit".into()));
        client.ack(letter.tag);
    })
}

/// What exceeds its limit is parked where nobody has said where it goes; a parking that is full and
/// refuses has it wait.
pub fn parked(stage: &Stage) -> Later {
    let mut client = stage.client();
    let quota = [
        ("x-queue-type", Field::text("quorum")),
        ("x-max-length", Field::I32(1)),
        ("x-overflow", Field::text("reject-publish")),
    ];
    client.wire.declare(1, PARKING, Flags::DURABLE, &quota).unwrap();
    let queue = stage.queue("poisoned", super::QUORUM, &[("x-delivery-limit", Field::I32(0))]);
    for body in ["a", "b"] {
        client.put(&queue, body);
        let poison = await_one(&mut client, &queue);
        client.reject(poison.tag, true);
    }
    await_ready(&mut client, PARKING, 1);

    Box::new(move |_| {
        for body in ["a", "b"] {
            let parked = await_one(&mut client, PARKING);
            assert_eq!(
                (text(&parked).as_str(), reason_of(&parked)),
                (body, "delivery_limit".into())
            );
            let properties = Properties::decode(&parked.properties);
            let from = properties.header("x-first-death-queue");
            assert_eq!(from, Some(&Field::text(&queue)));
            client.ack(parked.tag);
        }
    })
}

/// What is scheduled is listed by every node, by its time, and can be dropped through every node.
pub fn cancelled(stage: &Stage) -> Later {
    let queue = stage.queue("cancelled", super::QUORUM, &[]);
    let mut client = stage.client();
    for (name, delay_ms) in [("late", 900_000), ("early", 600_000), ("soon", 300_000)] {
        let delay = [("x-delay", Field::I32(delay_ms))];
        let later = Properties::persistent().with_headers(&delay).with_message_id(name);
        client.send_with(&queue, &later.encode(), name);
    }
    client.await_confirms();
    let all = await_scheduled(stage, &queue, 3);
    assert_eq!(all.iter().map(|one| &one.1).collect::<Vec<_>>(), ["soon", "early", "late"]);

    assert_eq!(cancel(stage, &all[1].0), 204);
    assert_eq!(cancel(stage, &all[1].0), 404, "it is gone");
    assert_eq!(shown(stage, &queue, "messages_delayed"), 2);

    Box::new(move |stage| {
        let all = await_scheduled(stage, &queue, 2);
        assert_eq!(all.iter().map(|one| &one.1).collect::<Vec<_>>(), ["soon", "late"]);
        assert_eq!(cancel(stage, &all[0].0), 204);
        assert_eq!(await_scheduled(stage, &queue, 1)[0].1, "late");
    })
}

/// Ids and names of so many messages that are scheduled in a queue.
fn await_scheduled(stage: &Stage, queue: &str, count: usize) -> Vec<(String, String)> {
    let mut found = vec![];
    await_that(&format!("{count} are scheduled in {queue}"), || {
        let all = stage.api().value("/api/scheduled/%2F?limit=1000");
        let all = all.as_array().cloned().unwrap_or_default();
        let text = |row: &Json, field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let own = all.iter().filter(|row| text(row, "queue") == queue);
        found = own.map(|row| (text(row, "id"), text(row, "message_id"))).collect();
        found.len() == count
    });
    found
}

/// Cancels a message. Returns the status of the answer.
fn cancel(stage: &Stage, id: &str) -> u16 {
    stage.api().ask("DELETE", &format!("/api/scheduled/%2F/{id}"), "").status
}

/// Why a message has died.
fn reason_of(letter: &Delivered) -> String {
    match Properties::decode(&letter.properties).header("x-first-death-reason") {
        Some(Field::Text(reason)) => reason.clone(),
        other => panic!("{other:?} is no reason"),
    }
}
