//! What becomes of deliveries that are held for long, and of those whose client is cut off.

use std::time::{Duration, Instant};

use warren_tests::node::unique;
use warren_tests::wire::{Field, Pack, bind_queue, id};

use super::deaths::failures_of;
use super::{CLASSIC, Later, Properties, QUORUM, Stage, await_ready, consume_with, of_kind};
use crate::support::{Client, await_that, numbers, text, texts};

/// Longer than any test.
const LONG: Field = Field::I32(3_600_000);

/// A lease, and how long before its end it is extended.
const LEASE: Duration = Duration::from_millis(5000);
const EXTENDED_AFTER: Duration = Duration::from_millis(1000);

/// What asks for a new lease, of a delivery or of all.
const ALL: &str = "amq.warren.lease";

fn leased(stage: &Stage, kind: &str, lease: &Field) -> String {
    let action = ("x-consumer-timeout-action", Field::text("return"));
    let timeout = ("x-consumer-timeout", lease.clone());
    match kind {
        QUORUM => stage.queue("leased", QUORUM, &[timeout, action]),
        // What a classic queue's consumers may do is said by each of them.
        _ => stage.queue("leased", CLASSIC, &[action]),
    }
}

/// A message that is held for too long goes to somebody else, flagged and not failed, and its consumer
/// goes on: what it settles late means nothing, and it is given the next one.
pub fn returned(stage: &Stage, kind: &str) -> Later {
    let kind = if kind == QUORUM { QUORUM } else { CLASSIC };
    let lease = Field::I32(2000);
    let goes = move |stage: &Stage| {
        let queue = leased(stage, kind, &lease);
        let (mut slow, mut other) = (stage.far_client(), stage.client());
        consume_with(&mut slow, &queue, 1, &[("x-consumer-timeout", lease.clone())]);
        other.put(&queue, "job");
        let first = slow.next(1).remove(0);
        consume_with(&mut other, &queue, 1, &[("x-consumer-timeout", LONG)]);
        let again = other.next(1).remove(0);
        assert_eq!((text(&again).as_str(), again.redelivered), ("job", true));
        assert_eq!(failures_of(&again), 0, "it has not failed");

        slow.ack(first.tag);
        stage.client().put(&queue, "next");
        let next = slow.next(1).remove(0);
        assert_eq!((text(&next).as_str(), next.redelivered), ("next", false));
        slow.ack(next.tag);
        other.ack(again.tag);
        await_settled(&mut other, &queue);
    };
    goes(stage);

    Box::new(goes)
}

/// Waits until nothing waits in a queue, and nothing is held.
fn await_settled(client: &mut Client, queue: &str) {
    client.cancel();
    await_ready(client, queue, 0);
    await_that("nothing is held", || client.wire.get(1, queue, false).unwrap().is_none());
}

/// Who extends a lease keeps what it holds for as long again, and is told when it is too late.
pub fn extended(stage: &Stage) -> Later {
    let lease = Field::I32(i32::try_from(LEASE.as_millis()).unwrap());
    let queue = leased(stage, QUORUM, &lease);
    let (mut worker, mut other) = (stage.far_client(), stage.client());
    consume_with(&mut worker, &queue, 1, &[]);
    other.put(&queue, "job");
    let job = worker.next(1).remove(0);
    consume_with(&mut other, &queue, 1, &[("x-consumer-timeout", LONG)]);

    assert!(other.wire.hear_within(EXTENDED_AFTER).unwrap().is_none());
    let extended_at = Instant::now();
    assert!(extend(&mut worker, &format!("{ALL}.{}", job.tag)), "it holds the message");
    other.next(1);
    let held = extended_at.elapsed() + Duration::from_millis(1);
    assert!(held >= LEASE, "it was given away {held:?} after its lease was extended");
    assert!(!extend(&mut worker, &format!("{ALL}.{}", job.tag)), "it has lost it");

    let queue = leased(stage, QUORUM, &LONG);
    let mut patient = stage.far_client();
    patient.consume(&queue, 5);
    other.put_numbers(&queue, 0..3);
    let jobs = patient.next(3);
    Box::new(move |_| {
        assert!(extend(&mut patient, ALL), "all that it holds");
        assert!(extend(&mut patient, &format!("{ALL}.{}", jobs[1].tag)));
        jobs.iter().for_each(|job| patient.ack(job.tag));
        assert!(!extend(&mut patient, ALL), "it holds nothing");
        assert!(!extend(&mut patient, &format!("{ALL}.99")), "it was never given that");
        await_ready(&mut patient, &queue, 0);
    })
}

/// Asks for a new lease. Returns whether it was granted.
fn extend(client: &mut Client, key: &str) -> bool {
    client.send_with(key, &Properties::persistent().encode(), "");
    client.is_taken()
}

/// As RabbitMQ before 4.3 did: the channel is closed.
pub fn closed(stage: &Stage) -> Later {
    let arguments = [
        ("x-consumer-timeout", Field::I32(100)),
        ("x-consumer-timeout-action", Field::text("close")),
    ];
    let queue = stage.queue("closing", QUORUM, &arguments);
    let goes = move |stage: &Stage| {
        let mut slow = stage.far_client();
        consume_with(&mut slow, &queue, 1, &[]);
        stage.client().put(&queue, "job");
        slow.next(1);
        let close = slow.wire.expect_close().unwrap();
        let text = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout \
                    value used: 100 ms.";
        assert_eq!((close.code, close.text.starts_with(text)), (406, true), "{}", close.text);
        assert_eq!(stage.client().drain(&queue), ["job"]);
    };
    goes(stage);

    Box::new(goes)
}

/// What a client held when it was cut off comes to it again first, through whatever node; what it
/// held through a node that dies, too.
pub fn kept(stage: &Stage, kind: &str) -> Later {
    let queue = stage.queue("kept", kind, &[]);
    let name = unique("worker");
    let (mut publisher, mut other) = (stage.client(), stage.far_client());
    publisher.put_numbers(&queue, 0..6);
    let mut worker = Client::with_session(stage.far(), &name);
    worker.consume(&queue, 2);
    assert_eq!(texts(&worker.next(2)), numbers(0..2));

    drop(worker);
    other.consume(&queue, 2);
    let held = other.next(2);
    assert_eq!(texts(&held), numbers(2..4), "the others wait for their client");
    let mut worker = Client::with_session(stage.near(), &name);
    worker.consume(&queue, 3);
    let back = worker.next(3);
    let seen: Vec<_> =
        back.iter().map(|one| (text(one), one.redelivered, failures_of(one))).collect();
    let expected = [("0", true), ("1", true), ("4", false)];
    assert_eq!(seen, expected.map(|(body, flag)| (body.to_owned(), flag, 0)));
    // By the node that is going to die.
    let mut doomed = Client::with_session(stage.leading(), &name);
    doomed.consume(&queue, 2);
    assert_eq!(texts(&doomed.next(2)), numbers(0..2), "the client was faster than its death");
    worker.expect(id::CANCEL);

    Box::new(move |stage| {
        drop(doomed);
        let mut again = Client::with_session(stage.far(), &name);
        again.consume(&queue, 0);
        let back = again.next(4);
        assert_eq!(texts(&back), ["0", "1", "4", "5"]);
        assert!(back[..3].iter().all(|one| one.redelivered && failures_of(one) == 0));
        back.iter().for_each(|one| again.ack(one.tag));
        again.wire.close().unwrap();
        // Who leaves in order keeps nothing.
        let mut leaver = Client::with_session(stage.near(), &name);
        publisher.put(&queue, "last");
        leaver.consume(&queue, 0);
        assert_eq!(texts(&leaver.next(1)), ["last"]);
        leaver.wire.close().unwrap();
        await_ready(&mut publisher, &queue, 1);
        assert_eq!(publisher.drain(&queue), ["last"]);
        held.iter().for_each(|one| other.ack(one.tag));
    })
}

/// An exchange's last messages come to what is bound to it, in order, also after its history's
/// leader was killed.
pub fn history(stage: &Stage) -> Later {
    let exchange = unique("recent");
    let length = [("x-recent-history-length", Field::I32(3))];
    let mut client = stage.client();
    client.declare_exchange_with(&exchange, "x-recent-history", &length);
    for body in ["a", "b", "c", "d"] {
        client.publish(&exchange, "key", body);
    }
    let hidden = [("x-recent-history-no-store", Field::Bool(true))];
    let hidden = Properties::persistent().with_headers(&hidden).encode();
    client.send_to(&exchange, "key", &hidden, "hidden");
    client.await_confirms();
    let early = bound(&mut stage.far_client(), &exchange);
    let mut far = stage.far_client();
    let came =
        far.wire.get(1, &early, true).unwrap().expect("it was there when the queue was bound");
    assert_eq!(
        (text(&came).as_str(), came.exchange, came.key),
        ("b", exchange.clone(), "key".into())
    );
    assert_eq!(far.drain(&early), ["c", "d"]);

    Box::new(move |stage| {
        let mut client = stage.client();
        assert!(client.publish(&exchange, "", "e"));
        let late = bound(&mut client, &exchange);
        assert_eq!(client.drain(&late), ["c", "d", "e"]);
        assert_eq!(client.drain(&early), ["e"]);
        // Binding again shows nothing again.
        client.bind(&late, &exchange, "");
        // By way of another exchange.
        let (via, end) = (unique("via"), unique("end"));
        client.declare_exchange(&via, "fanout");
        client.declare_with(&end, &of_kind(QUORUM, &[]));
        client.bind(&end, &via, "");
        let bind = Pack::method(id::EXCHANGE_BIND).u16(0).short(&via).short(&exchange).short("");
        let bind = bind.u8(0).table(&[]).frame(1);
        client.wire.call(1, bind, id::EXCHANGE_BIND_OK).unwrap();
        assert_eq!(client.drain(&end), ["c", "d", "e"]);
        assert!(client.drain(&late).is_empty());
        client.delete_exchange(&exchange);
        await_that("its queue is gone", || {
            let queues = stage.api().value("/api/queues/%2F");
            let queues = queues.as_array().cloned().unwrap_or_default();
            let own = format!("amq.warren.history.{exchange}");
            !queues.iter().any(|queue| queue["name"] == own.as_str())
        });
    })
}

/// A queue that is bound to an exchange.
fn bound(client: &mut Client, exchange: &str) -> String {
    let queue = unique("recent");
    client.declare_with(&queue, &of_kind(QUORUM, &[]));
    client.wire.call(1, bind_queue(1, &queue, exchange, ""), id::QUEUE_BIND_OK).unwrap();
    queue
}
