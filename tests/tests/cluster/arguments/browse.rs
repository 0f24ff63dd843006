//! Messages that are looked at without touching them, dropped, and moved elsewhere.

use serde_json::{Value as Json, json};
use warren_tests::wire::Field;

use super::deaths::await_one;
use super::{Later, Properties, QUORUM, Stage, await_ready, nack};
use crate::support::{Client, await_that, text};

/// Looking disturbs nothing, and what is dropped or moved is that and nothing else: through a node
/// that does not lead, and again when the leader has died.
pub fn sorted(stage: &Stage, kind: &str) -> Later {
    let (queue, target) = (stage.queue("sorted", kind, &[]), stage.queue("bin", kind, &[]));
    let mut client = stage.client();
    send(&mut client, &queue, 8);
    await_ready(&mut client, &queue, 8);
    let held = await_one(&mut client, &queue);
    assert_eq!(text(&held), "0");

    let listed = look(stage, &queue, "");
    let states = ["waiting", "waiting", "waiting", "waiting", "waiting", "waiting", "waiting"];
    assert_eq!(of(&listed, "payload"), ["1", "2", "3", "4", "5", "6", "7", "0"]);
    assert_eq!(of(&listed, "state"), [&states[..], &["unacked"]].concat());
    assert_eq!(listed[3]["properties"]["message_id"], "m4");
    assert_eq!((&listed[3]["position"], &listed[3]["redelivered"]), (&json!(3), &json!(false)));
    assert!(listed[7]["holder"]["node"].is_string(), "{:?}", listed[7]);
    let odd = look(stage, &queue, "&header=odd=1&state=waiting&body_prefix=5&count=5");
    assert_eq!(of(&odd, "payload"), ["5"]);

    let id = odd[0]["id"].as_str().unwrap();
    let rehearsed = sweep(stage, &queue, "delete", &format!("id={id}&dry_run=true"), &json!({}));
    assert_eq!((&rehearsed["matched"], &rehearsed["deleted"]), (&json!(1), &json!(0)));
    let deleted = sweep(stage, &queue, "delete", &format!("id={id}"), &json!({}));
    assert_eq!(deleted["deleted"], 1);
    let again = sweep(stage, &queue, "delete", &format!("id={id}"), &json!({}));
    assert_eq!(again["matched"], 0);

    let to = json!({ "queue": target });
    let moved = sweep(stage, &queue, "move", "header=odd=1&state=waiting", &to);
    assert_eq!((&moved["moved"], &moved["next"]), (&json!(3), &Json::Null));
    assert_eq!(of(&look(stage, &target, ""), "payload"), ["1", "3", "7"]);
    assert_eq!(of(&look(stage, &queue, ""), "payload"), ["2", "4", "6", "0"]);
    nack(&mut client, held.tag);

    Box::new(move |stage| {
        let listed = look(stage, &queue, "");
        assert_eq!(of(&listed, "payload"), ["0", "2", "4", "6"]);
        assert_eq!(
            (&listed[0]["redelivered"], &listed[1]["redelivered"]),
            (&json!(true), &json!(false))
        );
        let moved = sweep(stage, &queue, "move", "message_id=m4", &to);
        assert_eq!(moved["moved"], 1);
        let deleted = sweep(stage, &queue, "delete", "routing_key=elsewhere", &json!({}));
        assert_eq!(deleted["matched"], 0);
        assert_eq!(client.drain(&target), ["1", "3", "7", "4"]);
        assert_eq!(client.drain(&queue), ["0", "2", "6"]);
    })
}

/// What cannot be moved stays where it stands, as if nobody had touched it; what waits for a time goes
/// on waiting elsewhere.
pub fn refused(stage: &Stage) -> Later {
    let full = [("x-max-length", Field::I32(1)), ("x-overflow", Field::text("reject-publish"))];
    let (queue, target) = (stage.queue("stuck", QUORUM, &[]), stage.queue("full", QUORUM, &full));
    let mut client = stage.client();
    send(&mut client, &queue, 4);
    let moved = sweep(stage, &queue, "move", "all=true", &json!({ "queue": target }));
    assert_eq!((&moved["moved"], &moved["refused"]), (&json!(1), &json!(3)));
    let nowhere = json!({ "exchange": "amq.direct", "routing_key": "nobody" });
    let moved = sweep(stage, &queue, "move", "all=true", &nowhere);
    assert_eq!((&moved["moved"], &moved["unroutable"]), (&json!(0), &json!(3)));
    let path = |what: &str| format!("/api/queues/%2F/{queue}/messages/{what}");
    let status =
        |what: &str, body: &Json| stage.api().ask("POST", &path(what), &body.to_string()).status;
    assert_eq!(status("move?all=true", &json!({ "queue": queue })), 400, "to itself");
    assert_eq!(status("move?all=true", &json!({ "queue": "no-such-queue" })), 404);
    assert_eq!(status("delete", &json!({})), 400, "which?");
    assert_eq!(status("delete?message-id=m1", &json!({})), 400, "a slip of the pen");
    let listed = look(stage, &queue, "");
    assert_eq!(of(&listed, "payload"), ["1", "2", "3"]);
    assert!(listed.iter().all(|one| one["redelivered"] == json!(false)));

    let later = stage.queue("later", QUORUM, &[]);
    let delay = Properties::persistent().with_headers(&[("x-delay", Field::I32(900_000))]);
    client.send_with(&queue, &delay.encode(), "late");
    client.await_confirms();
    let to = json!({ "queue": later });
    assert_eq!(sweep(stage, &queue, "move", "state=scheduled", &to)["moved"], 1);

    Box::new(move |stage| {
        assert_eq!(of(&look(stage, &later, ""), "state"), ["scheduled"]);
        assert_eq!(client.drain(&queue), ["1", "2", "3"]);
        assert_eq!(client.drain(&target), ["0"]);
    })
}

/// Publishes numbered messages, of which every other one is odd, and waits until all are safe.
fn send(client: &mut Client, queue: &str, count: i32) {
    for number in 0..count {
        let odd = [("odd", Field::I32(number % 2))];
        let named = Properties::persistent().with_headers(&odd);
        let named = named.with_message_id(&format!("m{number}"));
        client.send_with(queue, &named.encode(), &number.to_string());
    }
    client.await_confirms();
}

/// The messages of a queue, as a node shows them that does not lead it.
pub fn look(stage: &Stage, queue: &str, query: &str) -> Vec<Json> {
    let path = format!("/api/queues/%2F/{queue}/messages?scan=1000{query}");
    let mut items = None;
    await_that(&format!("messages of {queue} are shown"), || {
        let answer = stage.api().ask("GET", &path, "");
        items =
            (answer.status == 200).then(|| answer.json()["items"].as_array().cloned()).flatten();
        items.is_some()
    });
    items.unwrap()
}

/// Has messages dropped or moved. Returns what came of it.
fn sweep(stage: &Stage, queue: &str, what: &str, query: &str, body: &Json) -> Json {
    let path = format!("/api/queues/%2F/{queue}/messages/{what}?{query}");
    let mut told = None;
    await_that(&format!("{what} of messages of {queue}"), || {
        let answer = stage.api().ask("POST", &path, &body.to_string());
        assert!(matches!(answer.status, 200 | 503), "{}: {}", answer.status, answer.json());
        told = (answer.status == 200).then(|| answer.json());
        told.is_some()
    });
    told.unwrap()
}

/// A field of each message.
pub fn of(messages: &[Json], field: &str) -> Vec<String> {
    messages.iter().map(|one| one[field].as_str().unwrap_or_default().to_owned()).collect()
}
