//! What operators say of queues, exchanges, virtual hosts and users: said to one node, heeded by all.

use serde_json::{Value, json};
use warren_tests::http::Client as Api;
use warren_tests::node::unique;
use warren_tests::wire::{Field, Flags, Pack, Wire, declare_queue, id, pairs, publish};

use super::{CLASSIC, Later, Stage, await_ready};
use crate::support::{PERSISTENT, await_that, numbers};

fn put(api: &Api, path: &str, body: &Value) {
    let answer = api.ask("PUT", path, &body.to_string());
    assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
}

fn delete(api: &Api, path: &str) {
    let answer = api.ask("DELETE", path, "");
    assert_eq!(answer.status, 204, "{path}: {answer:?}");
}

fn longest(queue: &str, count: u32) -> Value {
    let definition = json!({ "max-length": count });
    json!({ "pattern": format!("^{queue}$"), "definition": definition, "apply-to": "queues" })
}

/// A policy acts on a queue that is there; of it and an operator's, the lesser limit counts; taken
/// back, neither does.
pub fn lesser_counts(stage: &Stage) -> Later {
    let queue = stage.queue("ruled", CLASSIC, &[]);
    let (policy, operator) =
        (format!("/api/policies/%2F/{queue}"), format!("/api/operator-policies/%2F/{queue}"));
    let (api, mut client) = (stage.api(), stage.far_client());

    put(&api, &policy, &longest(&queue, 3));
    client.put_numbers(&queue, 0..5);
    await_ready(&mut client, &queue, 3);
    assert_eq!(client.drain(&queue), numbers(2..5));
    put(&api, &operator, &longest(&queue, 2));
    client.put_numbers(&queue, 0..5);
    await_ready(&mut client, &queue, 2);
    let shown = api.value(&format!("/api/queues/%2F/{queue}"));
    assert_eq!(shown["effective_policy_definition"], json!({ "max-length": 2 }), "{shown}");

    Box::new(move |_| {
        client.put_numbers(&queue, 5..10);
        await_ready(&mut client, &queue, 2);
        delete(&api, &operator);
        client.put_numbers(&queue, 10..15);
        await_ready(&mut client, &queue, 3);
        delete(&api, &policy);
        // The queue hears of it a moment later.
        let mut end = 15;
        await_that("a fourth is let in", || {
            client.put_numbers(&queue, end..end + 1);
            end += 1;
            client.counts(&queue).0 > 3
        });
        assert_eq!(client.drain(&queue), numbers(end - 4..end));
    })
}

/// What an exchange cannot route goes where its policy says.
pub fn alternate_exchange(stage: &Stage) -> Later {
    let (exchange, other) = (unique("ruled"), unique("other"));
    let queue = stage.queue("astray", CLASSIC, &[]);
    let (api, mut client) = (stage.api(), stage.far_client());
    client.declare_exchange(&exchange, "direct");
    client.declare_exchange(&other, "fanout");
    client.bind(&queue, &other, "");
    assert!(!client.publish(&exchange, "nobody", "lost"));

    let policy = format!("/api/policies/%2F/{exchange}");
    let definition = json!({ "alternate-exchange": other });
    let pattern = format!("^{exchange}$");
    put(
        &api,
        &policy,
        &json!({ "pattern": pattern, "definition": definition, "apply-to": "exchanges" }),
    );
    // The client's node hears of it a moment later.
    await_that("a policy acts", || client.publish(&exchange, "nobody", "1"));

    Box::new(move |_| {
        assert!(client.publish(&exchange, "nobody", "2"));
        assert_eq!(client.drain(&queue), ["1", "2"]);
        delete(&api, &policy);
        await_that("it acts no more", || !client.publish(&exchange, "nobody", "lost"));
    })
}

/// Queues of a virtual host, and channels of a user.
pub fn limits(stage: &Stage) -> Later {
    let (vhost, user) = (unique("small"), unique("modest"));
    let (api, far) = (stage.api(), stage.far());
    put(&api, &format!("/api/vhosts/{vhost}"), &json!({}));
    put(&api, &format!("/api/vhost-limits/{vhost}/max-queues"), &json!({ "value": 1 }));
    put(&api, &format!("/api/users/{user}"), &json!({ "password": "secret", "tags": "" }));
    let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    put(&api, &format!("/api/permissions/%2F/{user}"), &all);
    put(&api, &format!("/api/user-limits/{user}/max-channels"), &json!({ "value": 1 }));

    let too_many = move || {
        let mut wire = Wire::open_channel_in(far, &vhost).unwrap();
        wire.declare(1, "one", Flags::DURABLE, &[]).unwrap();
        wire.send(&declare_queue(1, "two", Flags::DURABLE, &pairs(&[]))).unwrap();
        let close = wire.expect_close().unwrap();
        let expected = format!(
            "PRECONDITION_FAILED - cannot declare queue 'two': queue limit in vhost '{vhost}' (1) is reached"
        );
        assert_eq!((close.code, close.text), (406, expected));

        let mut wire = Wire::open_as(far, &user, "secret").unwrap();
        wire.channel(1).unwrap();
        wire.send(&Pack::method(id::CHANNEL_OPEN).short("").frame(2)).unwrap();
        let close = wire.expect_close().unwrap();
        let expected = format!(
            "NOT_ALLOWED - number of channels opened for user '{user}' has reached the maximum allowed user limit of (1)"
        );
        assert_eq!((close.code, close.text), (530, expected));
    };
    too_many();
    Box::new(move |_| too_many())
}

/// Queues whose declaration does not say what they are.
pub fn default_type(stage: &Stage) -> Later {
    let vhost = unique("quorate");
    let (api, far) = (stage.api(), stage.far());
    put(&api, &format!("/api/vhosts/{vhost}"), &json!({ "default_queue_type": "quorum" }));

    let declare = move |queue: &str| {
        let mut wire = Wire::open_channel_in(far, &vhost).unwrap();
        wire.declare(1, queue, Flags::DURABLE, &[]).unwrap();
        // A declaration that says so is the same.
        let said = [("x-queue-type", Field::text("quorum"))];
        wire.declare(1, queue, Flags::DURABLE, &said).unwrap();
        wire.send(&publish(1, "", queue, 0, &PERSISTENT, b"x")).unwrap();
        let shown = api.value(&format!("/api/queues/{vhost}/{queue}"));
        assert_eq!(shown["type"], "quorum", "{shown}");
    };
    declare("before");
    Box::new(move |_| declare("after"))
}
