//! Queues that are full.

use warren_tests::wire::Field;

use super::{CLASSIC, Later, Properties, Stage, await_ready, mortal, offer};
use crate::support::numbers;

/// The oldest go, in order, and become dead letters.
pub fn drop_head(stage: &Stage, kind: &str) -> Later {
    let dead = stage.queue("dead", kind, &[]);
    let limit = [("x-max-length", Field::I32(3))];
    let queue = stage.queue("three", kind, &mortal(&dead, &limit));
    let mut client = stage.client();

    client.put_numbers(&queue, 0..5);
    assert_eq!(client.counts(&queue).0, 3);
    await_ready(&mut client, &dead, 2);

    Box::new(move |_| {
        client.put_numbers(&queue, 5..7);
        assert_eq!(client.counts(&queue).0, 3);
        await_ready(&mut client, &dead, 4);
        assert_eq!(client.drain(&queue), numbers(4..7));
        assert_eq!(client.drain(&dead), numbers(0..4));
    })
}

/// The size of bodies counts, not their number.
pub fn bytes(stage: &Stage, kind: &str) -> Later {
    let queue = stage.queue("bytes", kind, &[("x-max-length-bytes", Field::I32(25))]);
    let mut client = stage.client();
    let ten = |letter: &str| letter.repeat(10);

    for letter in ["a", "b", "c"] {
        client.put(&queue, &ten(letter));
    }
    assert_eq!(client.counts(&queue).0, 2);

    Box::new(move |_| {
        assert_eq!(client.counts(&queue).0, 2);
        client.put(&queue, &"d".repeat(15));
        assert_eq!(client.drain(&queue), [ten("c"), "d".repeat(15)]);
        client.put(&queue, &"e".repeat(26));
        assert_eq!(client.counts(&queue).0, 0, "it is too large for the queue by itself");
    })
}

/// What is too much is refused, as long as it is.
pub fn reject_publish(stage: &Stage, kind: &str) -> Later {
    let limit = [("x-max-length", Field::I64(2)), ("x-overflow", Field::text("reject-publish"))];
    let queue = stage.queue("full", kind, &limit);
    let (mut client, mut other) = (stage.client(), stage.far_client());
    let plain = Properties::persistent();

    let taken = ["a", "b", "c"].map(|body| offer(&mut client, &queue, &plain, body));
    assert_eq!(taken, [true, true, false]);
    assert!(!offer(&mut other, &queue, &plain, "d"));

    Box::new(move |_| {
        assert!(!offer(&mut other, &queue, &plain, "e"), "it is full");
        assert_eq!(client.take(&queue), Some("a".to_owned()));
        assert!(offer(&mut other, &queue, &plain, "f"), "there is room");
        assert!(!offer(&mut client, &queue, &plain, "g"), "it is full again");
        assert_eq!(client.drain(&queue), ["b", "f"]);
    })
}

/// What is refused becomes a dead letter as well.
pub fn reject_publish_dlx(stage: &Stage) -> Later {
    let dead = stage.queue("dead", CLASSIC, &[]);
    let limit = [("x-max-length", Field::I8(1)), ("x-overflow", Field::text("reject-publish-dlx"))];
    let queue = stage.queue("full", CLASSIC, &mortal(&dead, &limit));
    let mut client = stage.client();
    let plain = Properties::persistent();

    let taken = ["a", "b"].map(|body| offer(&mut client, &queue, &plain, body));
    assert_eq!(taken, [true, false]);
    await_ready(&mut client, &dead, 1);

    Box::new(move |_| {
        assert!(!offer(&mut client, &queue, &plain, "c"));
        await_ready(&mut client, &dead, 2);
        assert_eq!(client.drain(&queue), ["a"]);
        let letter = client.wire.get(1, &dead, true).unwrap().unwrap();
        let properties = Properties::decode(&letter.properties);
        assert_eq!(properties.header("x-first-death-reason"), Some(&Field::text("maxlen")));
        assert_eq!(client.drain(&dead), ["c"]);
    })
}
