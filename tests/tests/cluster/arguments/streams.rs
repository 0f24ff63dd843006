//! Streams: read from wherever a reader likes to begin, and never emptied.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};
use warren_tests::node::unique;
use warren_tests::wire::{
    Delivered, Field, Flags, Heard, Pack, Unpack, bind_queue, consume, get, id, pairs, settle,
};

use super::browse::{look, of};
use super::{Later, Properties, QUORUM, Stage, await_ready, consume_with, mortal};
use crate::support::{Client, await_that, numbers, text, texts};

/// As `x-queue-type` has it.
const STREAM: &str = "stream";

/// More than any test publishes.
const PREFETCH: u16 = 1000;

/// Every way to say where to begin, for clients of nodes that do not lead the stream, and again after
/// the leader's node was killed; whoever reads notices nothing but a pause.
pub fn offsets(stage: &Stage) -> Later {
    let stream = stage.queue("read", STREAM, &[]);
    let mut publisher = stage.client();
    publisher.put_numbers(&stream, 0..20);
    let reads = move |stage: &Stage, stream: &str, count: usize| {
        for mut client in [stage.client(), stage.far_client()] {
            let all = read(&mut client, stream, Field::text("first"), count);
            assert_eq!(texts(&all), numbers(0..count));
            assert!(all.iter().all(|message| !message.redelivered));
            let offsets: Vec<i64> = all.iter().map(offset).collect();
            assert!(offsets.into_iter().eq(0..i64::try_from(count).unwrap()));
            for number in [Field::I32(15), Field::I64(15), Field::I8(15), Field::I16(15)] {
                let some = read(&mut client, stream, number, count - 15);
                assert_eq!(texts(&some), numbers(15..count));
            }
            let some = read(&mut client, stream, Field::I32(-5), 5);
            assert_eq!(texts(&some), numbers(count - 5..count));
            let last = read(&mut client, stream, Field::text("last"), 1);
            assert_eq!(texts(&last), numbers(count - 1..count), "each came alone");
            for early in [Field::text("1h"), Field::Timestamp(now_s() - 60)] {
                let some = read(&mut client, stream, early, count);
                assert_eq!(texts(&some), numbers(0..count));
            }
        }
    };
    reads(stage, &stream, 20);
    let (mut from_next, mut by_default, mut later) =
        (stage.client(), stage.far_client(), stage.far_client());
    follow(&mut from_next, &stream, Some(Field::text("next")));
    follow(&mut by_default, &stream, None);
    follow(&mut later, &stream, Some(Field::Timestamp(now_s() + 3600)));
    publisher.put_numbers(&stream, 20..25);
    for client in [&mut from_next, &mut by_default, &mut later] {
        assert_eq!(texts(&client.next(5)), numbers(20..25));
    }

    Box::new(move |stage| {
        reads(stage, &stream, 25);
        publisher.put_numbers(&stream, 25..30);
        for client in [&mut from_next, &mut by_default, &mut later] {
            let more = client.next(5);
            assert_eq!(texts(&more), numbers(25..30), "nothing is missing and nothing comes twice");
            assert_eq!(more.iter().map(|one| one.tag).collect::<Vec<_>>(), [6, 7, 8, 9, 10]);
            assert_eq!(offset(&more[0]), 25);
            assert!(more.iter().all(|message| !message.redelivered));
        }
        assert_eq!(publisher.counts(&stream).0, 30, "nothing was taken out");
    })
}

/// An offset that is not there yet is waited for, and one behind a time is found by that time.
pub fn ahead(stage: &Stage) -> Later {
    let stream = stage.queue("ahead", STREAM, &[]);
    let mut reader = stage.far_client();
    follow(&mut reader, &stream, Some(Field::I32(3)));
    stage.client().put_numbers(&stream, 0..5);
    assert_eq!(texts(&reader.next(2)), numbers(3..5));
    let past = now_s() + 2;
    await_that("the clock goes on", || now_s() >= past);
    stage.client().put_numbers(&stream, 5..8);

    Box::new(move |stage| {
        for mut client in [stage.client(), stage.far_client()] {
            let late = read(&mut client, &stream, Field::Timestamp(past), 3);
            assert_eq!(texts(&late), numbers(5..8));
        }
    })
}

/// What a consumer settles, however, is room for more and nothing else.
pub fn credit(stage: &Stage) -> Later {
    let stream = stage.queue("credit", STREAM, &[]);
    stage.client().put_numbers(&stream, 0..30);
    let goes = move |stage: &Stage| {
        let mut reader = stage.far_client();
        consume_with(&mut reader, &stream, 4, &[("x-stream-offset", Field::text("first"))]);
        let first = reader.next(4);
        assert!(reader.rest().is_empty(), "no more than its prefetch");
        reader.wire.send(&settle(1, id::ACK, first[2].tag, 1)).unwrap();
        let more = reader.next(3);
        assert_eq!(texts(&more), numbers(4..7));
        reader.reject(first[3].tag, true);
        reader.reject(more[0].tag, false);
        reader.wire.send(&settle(1, id::NACK, more[2].tag, 3)).unwrap();
        let rest = reader.next(4);
        assert_eq!(texts(&rest), numbers(7..11), "what was given back is not delivered again");
        assert!(rest.iter().all(|message| !message.redelivered));
        let recover = Pack::method(id::RECOVER).u8(1).frame(1);
        reader.wire.send(&recover).unwrap();
        let (recovered, again) = after_recover(&mut reader);
        assert!(recovered && texts(&again) == numbers(11..15), "{again:?}");
        reader.cancel();
        reader.ack(again[3].tag);
        assert_eq!(reader.counts(&stream), (30, 0));
        // A limit for the whole channel is one as well.
        let mut reader = stage.far_client();
        let qos = Pack::method(id::QOS).u32(0).u16(3).u8(1).frame(1);
        reader.wire.call(1, qos, id::QOS_OK).unwrap();
        let first = pairs(&[("x-stream-offset", Field::text("first"))]);
        reader.wire.call(1, consume(1, &stream, "tag", 0, &first), id::CONSUME_OK).unwrap();
        assert_eq!(texts(&reader.next(3)), numbers(0..3));
        assert!(reader.rest().is_empty(), "no more than its channel's prefetch");
    };
    goes(stage);

    Box::new(goes)
}

/// Whether basic.recover was answered, and the four deliveries that it made room for.
fn after_recover(reader: &mut Client) -> (bool, Vec<Delivered>) {
    let (mut recovered, mut messages) = (false, Vec::new());
    while !recovered || messages.len() < 4 {
        let frame = reader.wire.frame().unwrap();
        if frame.method() == Some(id::RECOVER_OK) {
            recovered = true;
        } else {
            messages.push(reader.wire.message_after(1, &frame).unwrap());
        }
    }
    (recovered, messages)
}

/// What streams do not do is refused in RabbitMQ's words.
pub fn refusals(stage: &Stage) -> Later {
    let stream = stage.queue("refuses", STREAM, &[]);
    let goes = move |stage: &Stage| {
        let named = format!("queue '{stream}' in vhost '/'");
        let qos =
            |count: u16, global: u8| Pack::method(id::QOS).u32(0).u16(count).u8(global).frame(1);
        let reads = |bits: u8, arguments: &[(&str, Field)]| {
            consume(1, &stream, "tag", bits, &pairs(arguments))
        };
        let begin = |word: Field| reads(0, &[("x-stream-offset", word)]);
        let purge = Pack::method(id::PURGE).u16(0).short(&stream).u8(0).frame(1);
        let invalid = "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for";
        let cases: [(u16, &[Vec<u8>], String); 7] = [
            (
                406,
                &[reads(0, &[])],
                format!(
                    "PRECONDITION_FAILED - consumer prefetch count is not set for stream {named}"
                ),
            ),
            (
                540,
                &[qos(1, 0), reads(2, &[])],
                format!(
                    "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream {named}"
                ),
            ),
            (
                406,
                &[qos(1, 0), begin(Field::text("soon"))],
                format!(
                    "{invalid} {named}: {{invalid_stream_offset_arg,{{longstr,<<\"soon\">>}}}}"
                ),
            ),
            (
                406,
                &[qos(1, 0), begin(Field::Bool(true))],
                format!("{invalid} {named}: {{invalid_stream_offset_arg,bool}}"),
            ),
            (
                540,
                &[get(1, &stream, false)],
                format!("NOT_IMPLEMENTED - basic.get not supported by stream queues {named}"),
            ),
            (
                540,
                &[purge],
                format!("NOT_IMPLEMENTED - queue.purge not supported by stream queues {named}"),
            ),
            (
                406,
                &[qos(1, 0), begin(Field::text("7"))],
                format!("{invalid} {named}: {{invalid_stream_offset_arg,{{longstr,<<\"7\">>}}}}"),
            ),
        ];
        for (code, requests, text) in cases {
            let mut client = stage.far_client();
            requests.iter().for_each(|request| client.wire.send(request).unwrap());
            let close = loop {
                let frame = client.wire.frame().unwrap();
                if frame.method() != Some(id::QOS_OK) {
                    break warren_tests::wire::Close::of(&frame).unwrap();
                }
            };
            assert_eq!(close.code, code, "{}", close.text);
            assert!(close.text.starts_with(&text), "{}, not {text}", close.text);
        }
        assert_eq!(stage.client().counts(&stream), (0, 0));
    };
    goes(stage);

    Box::new(goes)
}

/// A reader that asks for values gets what has one of them, and what has none only if it wants that.
pub fn filters(stage: &Stage) -> Later {
    let stream = stage.queue("filtered", STREAM, &[]);
    let mut publisher = stage.client();
    for number in 0..30 {
        let colour = ["red", "green", "blue"].get(number % 4).copied();
        let value = colour.map(|colour| ("x-stream-filter-value", Field::text(colour)));
        let properties = Properties::persistent().with_headers(value.as_slice());
        publisher.send_with(&stream, &properties.encode(), &number.to_string());
    }
    publisher.await_confirms();
    let goes = move |stage: &Stage| {
        let mut reader = stage.far_client();
        let wanted = |filter: Field, more: &[(&'static str, Field)]| {
            let offset = ("x-stream-offset", Field::text("first"));
            [&[offset, ("x-stream-filter", filter)], more].concat()
        };
        let of = |colours: &[usize]| -> Vec<String> {
            let is_one = |number: &usize| colours.contains(&(number % 4));
            (0..30).filter(is_one).map(|number| number.to_string()).collect()
        };
        let both = Field::Array(vec![Field::text("red"), Field::text("blue")]);
        let unfiltered = [("x-stream-match-unfiltered", Field::Bool(true))];
        let cases = [
            (wanted(Field::text("green"), &[]), of(&[1])),
            (wanted(both, &[]), of(&[0, 2])),
            (wanted(Field::text("green"), &unfiltered), of(&[1, 3])),
            (wanted(Field::text("yellow"), &unfiltered), of(&[3])),
        ];
        for (arguments, expected) in cases {
            consume_with(&mut reader, &stream, PREFETCH, &arguments);
            let found = reader.next(expected.len());
            assert_eq!(texts(&found), expected);
            for message in &found {
                assert_eq!(offset(message).to_string(), text(message), "offsets count them all");
            }
            assert!(reader.rest().is_empty(), "and nothing else");
            reader.cancel();
        }
    };
    goes(stage);

    Box::new(goes)
}

/// The oldest segments go when what is left is enough; a reader that comes too late begins with what
/// is there, and offsets go on.
pub fn kept_by_size(stage: &Stage) -> Later {
    let limits = [
        ("x-max-length-bytes", Field::I32(20_000)),
        ("x-stream-max-segment-size-bytes", Field::I32(4000)),
    ];
    let stream = stage.queue("sized", STREAM, &limits);
    let mut slow = stage.far_client();
    consume_with(&mut slow, &stream, 1, &[("x-stream-offset", Field::text("first"))]);
    let mut publisher = stage.client();
    let fill = |publisher: &mut Client, stream: &str, range: std::ops::Range<usize>| {
        let body = |number: usize| format!("{number:0>200}");
        range.for_each(|number| publisher.put(stream, &body(number)));
    };
    fill(&mut publisher, &stream, 0..400);
    let first = slow.next(1).remove(0);
    assert_eq!(offset(&first), 0);
    // Two pages of a few hundred kilobytes would be all of it, so it is left to others to be late.
    let late = move |stage: &Stage, stream: &str, count: i64| {
        let mut reader = stage.far_client();
        let kept = usize::try_from(stage.client().counts(stream).0).unwrap();
        assert!((50..200).contains(&kept), "{kept} are kept");
        let all = read(&mut reader, stream, Field::I32(3), kept);
        let first = count - i64::try_from(kept).unwrap();
        assert!(
            all.iter().map(offset).eq(first..count),
            "the first that is left, and all behind it"
        );
        assert!(all.iter().all(|message| text(message).ends_with(&offset(message).to_string())));
    };
    late(stage, &stream, 400);

    Box::new(move |stage| {
        fill(&mut publisher, &stream, 400..500);
        late(stage, &stream, 500);
        slow.ack(first.tag);
        assert!(offset(&slow.next(1)[0]) > 0, "it goes on");
    })
}

/// Segments go when all that is in them is too old.
pub fn kept_by_age(stage: &Stage) -> Later {
    let limits =
        [("x-max-age", Field::text("5s")), ("x-stream-max-segment-size-bytes", Field::I32(1000))];
    let stream = stage.queue("aged", STREAM, &limits);
    let mut publisher = stage.client();
    publisher.put_numbers(&stream, 0..100);

    Box::new(move |stage| {
        await_that("the old ones are gone", || {
            publisher.put(&stream, "young");
            let mut reader = stage.far_client();
            follow(&mut reader, &stream, Some(Field::text("first")));
            let first = reader.next(1).remove(0);
            offset(&first) >= 100 && text(&first) == "young"
        });
    })
}

/// Whoever reads a stream is told when it is deleted, and a stream of the same name is another one.
pub fn deleted(stage: &Stage) -> Later {
    let goes = |stage: &Stage| {
        let stream = stage.queue("deleted", STREAM, &[]);
        let (mut reader, mut tail) = (stage.far_client(), stage.client());
        stage.client().put_numbers(&stream, 0..3);
        follow(&mut reader, &stream, Some(Field::text("first")));
        follow(&mut tail, &stream, None);
        reader.next(3);

        stage.client().delete(&stream);

        for client in [&mut reader, &mut tail] {
            let cancel = client.expect(id::CANCEL);
            assert_eq!(Unpack::new(cancel.arguments()).short(), "tag");
        }
        stage.client().declare_with(&stream, &[("x-queue-type", Field::text(STREAM))]);
        stage.client().put(&stream, "another");
        let all = read(&mut reader, &stream, Field::text("first"), 1);
        assert_eq!((text(&all[0]).as_str(), offset(&all[0])), ("another", 0));
        assert!(tail.rest().is_empty());
    };
    goes(stage);

    Box::new(goes)
}

/// Dead letters, and what an exchange passes on, come to a stream as to any queue.
pub fn targets(stage: &Stage) -> Later {
    let (stream, exchange) = (stage.queue("target", STREAM, &[]), unique("to-stream"));
    let source = stage.queue("dying", QUORUM, &mortal(&stream, &[]));
    let mut client = stage.client();
    client.declare_exchange(&exchange, "fanout");
    let bind = bind_queue(1, &stream, &exchange, "");
    client.wire.call(1, bind, id::QUEUE_BIND_OK).unwrap();
    let goes = move |stage: &Stage, earlier: usize| {
        let mut client = stage.far_client();
        client.put(&source, "dead");
        client.consume(&source, 1);
        let doomed = client.next(1).remove(0);
        client.reject(doomed.tag, false);
        client.cancel();
        await_ready(&mut client, &stream, u32::try_from(earlier + 1).unwrap());
        assert!(client.publish(&exchange, "", "passed on"));
        let all = read(&mut client, &stream, Field::text("first"), earlier + 2);
        assert_eq!(texts(&all[earlier..]), ["dead", "passed on"]);
        let dead = Properties::decode(&all[earlier].properties);
        assert!(dead.header("x-death").is_some() && dead.header("x-stream-offset").is_some());
    };
    goes(stage, 0);

    Box::new(move |stage| goes(stage, 2))
}

/// A large message, in several parts, between small ones.
pub fn large(stage: &Stage) -> Later {
    let stream = stage.queue("large", STREAM, &[]);
    let body = "x".repeat(3 * 1024 * 1024);
    let mut publisher = stage.client();
    for body in ["before", &body, "after"] {
        publisher.put(&stream, body);
    }
    let goes = move |stage: &Stage| {
        for mut client in [stage.client(), stage.far_client()] {
            let all = read(&mut client, &stream, Field::text("first"), 3);
            assert_eq!([text(&all[0]), text(&all[2])], ["before", "after"]);
            assert!(text(&all[1]) == body, "{} bytes", all[1].body.len());
            assert_eq!(all.iter().map(offset).collect::<Vec<_>>(), [0, 1, 2]);
        }
    };
    goes(stage);

    Box::new(goes)
}

/// What operators see of a stream, and what they may not do to it.
pub fn shown(stage: &Stage) -> Later {
    let stream = stage.queue("shown", STREAM, &[("x-max-age", Field::text("7D"))]);
    stage.client().put_numbers(&stream, 0..10);
    let (mut one, mut other) = (stage.client(), stage.far_client());
    for client in [&mut one, &mut other] {
        consume_with(client, &stream, 4, &[("x-stream-offset", Field::text("first"))]);
        client.next(4);
    }
    let goes = move |stage: &Stage| {
        let path = format!("/api/queues/%2F/{stream}");
        let row = seen(stage, &path, |row| row["messages"] == 10 && row["consumers"] == 2);
        assert_eq!((&row["type"], &row["messages_ready"]), (&json!("stream"), &json!(10)));
        assert_eq!(row["messages_unacknowledged"], 0, "the stream has them all");
        assert_eq!((&row["first_offset"], &row["next_offset"]), (&json!(0), &json!(10)));
        assert_eq!(row["arguments"]["x-max-age"], "7D");
        let tags = row["consumer_details"].as_array().unwrap().iter();
        assert_eq!(tags.map(|one| one["consumer_tag"].clone()).collect::<Vec<_>>(), ["tag", "tag"]);
        let listed = stage.api().value("/api/queues/%2F");
        let listed = listed.as_array().unwrap().iter().find(|row| row["name"] == *stream).unwrap();
        assert_eq!((&listed["consumers"], &listed["type"]), (&json!(2), &json!("stream")));
        let explained = stage.api().value(&format!("{path}/explain"));
        assert_eq!(explained["findings"][0]["code"], "prefetch_full", "{explained}");
        let payloads: Vec<String> = of(&look(stage, &stream, "&count=20"), "payload");
        assert_eq!(payloads, numbers(0..10));

        let wanted = json!({ "count": 1, "ackmode": "ack_requeue_true", "encoding": "auto" });
        let refused = stage.api().ask("POST", &format!("{path}/get"), &wanted.to_string());
        let reason = refused.json()["reason"].as_str().unwrap().to_owned();
        assert_eq!(refused.status, 400);
        assert!(reason.contains("basic.get not supported by stream queues"), "{reason}");
        for (method, path, body) in [
            ("DELETE", format!("{path}/contents"), String::new()),
            ("POST", format!("{path}/messages/delete?all=true"), "{}".to_owned()),
            (
                "POST",
                format!("{path}/messages/move?all=true"),
                json!({ "queue": stream }).to_string(),
            ),
        ] {
            let refused = stage.api().ask(method, &path, &body);
            let reason = refused.json()["reason"].as_str().unwrap_or_default().to_owned();
            assert_eq!(refused.status, 400, "{method} {path}: {reason}");
            assert!(reason.contains("not supported by stream queues"), "{reason}");
        }
    };
    goes(stage);

    Box::new(move |stage| {
        goes(stage);
        drop((one, other));
    })
}

/// What the API says once it says what is expected.
fn seen(stage: &Stage, path: &str, is_there: impl Fn(&Json) -> bool) -> Json {
    let mut row = Json::Null;
    await_that("the API has seen it", || {
        row = stage.api().value(path);
        is_there(&row)
    });
    row
}

/// A stream that is read, or holds something, is not deleted by who minds that.
pub fn minded(stage: &Stage) -> Later {
    let stream = stage.queue("minded", STREAM, &[]);
    let mut reader = stage.far_client();
    follow(&mut reader, &stream, None);
    let delete = |stream: &str, bits: u8| {
        Pack::method(id::QUEUE_DELETE).u16(0).short(stream).u8(bits).frame(1)
    };
    let mut client = stage.client();
    client.wire.send(&delete(&stream, 1)).unwrap();
    let close = client.wire.expect_close().unwrap();
    assert_eq!((close.code, close.text.ends_with("in use")), (406, true), "{}", close.text);
    stage.client().put(&stream, "kept");

    Box::new(move |stage| {
        let mut client = stage.client();
        client.wire.send(&delete(&stream, 2)).unwrap();
        let close = client.wire.expect_close().unwrap();
        assert_eq!((close.code, close.text.ends_with("not empty")), (406, true), "{}", close.text);
        assert_eq!(texts(&reader.next(1)), ["kept"]);
        reader.cancel();
        let unused = delete(&stream, 1);
        stage.client().wire.call(1, unused, id::QUEUE_DELETE_OK).unwrap();
    })
}

/// Streams are durable and nobody's own.
pub fn declared(stage: &Stage) -> Later {
    let goes = |stage: &Stage| {
        let cases = [
            (Flags::NONE, "invalid property 'non-durable' for queue"),
            (Flags::DURABLE | Flags::EXCLUSIVE, "invalid property 'exclusive-owner' for queue"),
            (Flags::DURABLE | Flags::AUTO_DELETE, "invalid property 'auto-delete' for queue"),
        ];
        for (flags, property) in cases {
            let arguments = [("x-queue-type", Field::text(STREAM))];
            let refused = stage.far_client().wire.declare(1, &unique("odd"), flags, &arguments);
            let refused = format!("{:#}", refused.unwrap_err());
            assert!(refused.contains("406") && refused.contains(property), "{refused}");
        }
        let kind = [("x-queue-type", Field::text(STREAM))];
        let unnamed = stage.client().wire.declare(1, "", Flags::DURABLE, &kind).unwrap_err();
        let text = "Cannot declare a server-named queue for type rabbit_stream_queue";
        assert!(format!("{unnamed:#}").contains(text), "{unnamed:#}");
        for argument in ["x-message-ttl", "x-max-length", "x-expires", "x-max-priority"] {
            let arguments = [("x-queue-type", Field::text(STREAM)), (argument, Field::I32(1000))];
            let queue = unique("odd");
            let refused = stage.client().wire.declare(1, &queue, Flags::DURABLE, &arguments);
            let refused = format!("{:#}", refused.unwrap_err());
            let text = format!(
                "invalid arg '{argument}' for queue '{queue}' in vhost '/' of queue type \
                 rabbit_stream_queue"
            );
            assert!(refused.contains(&text), "{refused}");
        }
    };
    goes(stage);

    Box::new(goes)
}

/// The messages from there on, acknowledged, and nothing behind them.
fn read(client: &mut Client, stream: &str, from: Field, count: usize) -> Vec<Delivered> {
    follow(client, stream, Some(from));
    let all = client.next(count);
    if let Some(last) = all.last() {
        client.wire.send(&settle(1, id::ACK, last.tag, 1)).unwrap();
    }
    let more = client.wire.hear_within(Duration::from_millis(20)).unwrap();
    if let Some(Heard::Frame(frame)) = more {
        panic!("{:?}", client.wire.message_after(1, &frame));
    }
    client.cancel();
    all
}

/// Reads from there on, or from where a reader begins who says nothing.
fn follow(client: &mut Client, stream: &str, from: Option<Field>) {
    let arguments: Vec<_> = from.into_iter().map(|from| ("x-stream-offset", from)).collect();
    consume_with(client, stream, PREFETCH, &arguments);
}

fn offset(message: &Delivered) -> i64 {
    match Properties::decode(&message.properties).header("x-stream-offset") {
        Some(Field::I64(offset)) => *offset,
        other => panic!("an offset is a long number, not {other:?}"),
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
