//! A publish, its header and its body, in and out of order.

use bytes::Bytes;
use warren_types::ChannelNumber;

use super::peer::{Peer, config};
use super::wire::{self, Case, PERSISTENT, blame};
use crate::{Event, MethodId, ReplyCode};

fn published(channel: u16, body: &[u8]) -> Event {
    Event::Publish {
        channel: ChannelNumber(channel),
        exchange: "x".into(),
        routing_key: "k".into(),
        mandatory: false,
        immediate: false,
        header: Bytes::from_static(PERSISTENT),
        body: Bytes::copy_from_slice(body).into(),
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[test]
fn a_publish_carries_its_flags_header_and_body() {
    let mut peer = Peer::running();
    let header = [&[0x80, 0][..], &wire::short(b"text/plain")].concat();
    let bytes = [
        wire::publish(1, b"", "grüße".as_bytes(), 0b11),
        wire::content_header(1, 2, &header),
        wire::body(1, b"hi"),
    ];

    let events = peer.send(&bytes.concat()).unwrap();

    let expected = Event::Publish {
        channel: ChannelNumber(1),
        exchange: "".into(),
        routing_key: "grüße".into(),
        mandatory: true,
        immediate: true,
        header: header.into(),
        body: Bytes::from_static(b"hi").into(),
    };
    assert_eq!(events, [expected]);
}

#[test]
fn bodies_of_every_size_around_the_frame_come_out_whole() {
    let room = 4096 - 8;
    for size in [0, 1, 2, room - 1, room, room + 1, 2 * room - 1, 2 * room, 2 * room + 1, 5 * room]
    {
        let body = pattern(size);
        let mut peer = Peer::running();

        let events = peer.send(&wire::message(1, &body, 4096)).unwrap();

        assert_eq!(events, [published(1, &body)], "{size} bytes");
        assert_eq!(peer.connection.unfinished_bytes(), 0);
    }
}

#[test]
fn a_body_in_one_frame_is_a_slice_of_what_was_read() {
    let mut peer = Peer::running();
    let bytes = wire::message(1, &pattern(1000), 4096);
    peer.input.extend_from_slice(&bytes);
    let before = peer.input.as_ptr_range();

    let events = peer.send(b"").unwrap();

    let [Event::Publish { body, header, .. }] = &events[..] else { panic!("{events:?}") };
    let [piece] = body.pieces() else { panic!("several pieces") };
    assert!(before.contains(&piece.as_ptr()));
    assert!(before.contains(&header.as_ptr()));
}

#[test]
fn a_body_in_tiny_frames_is_gathered_into_few_pieces() {
    let mut peer = Peer::running();
    let body = pattern(3000);
    let mut bytes = wire::publish(1, b"x", b"k", 0);
    bytes.extend(wire::content_header(1, 3000, PERSISTENT));
    for octet in &body {
        bytes.extend(wire::body(1, b""));
        bytes.extend(wire::body(1, &[*octet]));
    }

    let events = peer.send(&bytes).unwrap();

    assert_eq!(events, [published(1, &body)]);
    let [Event::Publish { body, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(body.pieces().len(), 1);
}

#[test]
fn frames_of_all_sizes_keep_their_order_in_the_body() {
    let body = pattern(100_000);
    let mut bytes = wire::publish(1, b"x", b"k", 0);
    bytes.extend(wire::content_header(1, 100_000, PERSISTENT));
    let mut rest = &body[..];
    for size in [10, 4090, 4096, 1, 4080, 0, 3, 5, 4096, 4095].into_iter().cycle() {
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        bytes.extend(wire::body(1, piece));
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    let mut peer = Peer::running();
    let mut events = Vec::new();

    for portion in bytes.chunks(10_000) {
        peer.send_into(portion, &mut events).unwrap();
    }

    assert!(events == [published(1, &body)]);
    assert_eq!(peer.connection.unfinished_bytes(), 0);
}

#[test]
fn contents_of_different_channels_interleave() {
    let mut peer = Peer::running();
    peer.send(&wire::channel_open(2)).unwrap();
    let bytes = [
        wire::publish(1, b"x", b"k", 0),
        wire::publish(2, b"x", b"k", 0),
        wire::content_header(2, 4, PERSISTENT),
        wire::content_header(1, 2, PERSISTENT),
        wire::body(2, b"tw"),
        wire::frame(8, 0, b""),
        wire::body(1, b"a"),
        wire::body(2, b"o!"),
        wire::body(1, b"b"),
    ];

    let events = peer.send(&bytes.concat()).unwrap();

    assert_eq!(events, [published(2, b"two!"), published(1, b"ab")]);
}

#[test]
fn what_must_not_come_within_content_is_refused() {
    let begun = || wire::publish(1, b"x", b"k", 0);
    let with_header = |size| [begun(), wire::content_header(1, size, PERSISTENT)].concat();
    let foreign = wire::frame(2, 1, &[&[0, 90, 0, 0][..], &[0; 8], PERSISTENT].concat());
    let weighty = wire::frame(2, 1, &[&[0, 60, 0, 1][..], &[0; 8], PERSISTENT].concat());
    let half_gibibyte = 512 * 1024 * 1024;
    let cases: [Case; 16] = [
        ("a header without publish", wire::content_header(1, 0, PERSISTENT), (505, 0, 0)),
        ("a body without publish", wire::body(1, b"x"), (505, 0, 0)),
        (
            "a header on a channel that is not open",
            wire::content_header(2, 0, PERSISTENT),
            (505, 0, 0),
        ),
        ("a body on channel 0", wire::body(0, b""), (505, 0, 0)),
        ("a method in place of the header", [begun(), begun()].concat(), (505, 60, 40)),
        ("a close in place of the header", [begun(), wire::close(1, 20)].concat(), (505, 60, 40)),
        ("a body in place of the header", [begun(), wire::body(1, b"x")].concat(), (505, 60, 40)),
        (
            "a method in place of the body",
            [with_header(1), wire::ack(1, 1, false)].concat(),
            (505, 60, 40),
        ),
        (
            "a second header",
            [with_header(1), wire::content_header(1, 1, PERSISTENT)].concat(),
            (505, 60, 40),
        ),
        ("a header of another class", [begun(), foreign].concat(), (505, 60, 40)),
        ("a header with a weight", [begun(), weighty].concat(), (505, 60, 40)),
        (
            "a header cut short",
            [begun(), wire::frame(2, 1, &[0, 60, 0, 0, 1])].concat(),
            (501, 0, 0),
        ),
        (
            "properties cut short",
            [begun(), wire::content_header(1, 1, &[0x10, 0])].concat(),
            (501, 0, 0),
        ),
        ("a body beyond its size", [with_header(1), wire::body(1, b"xy")].concat(), (501, 60, 40)),
        ("a body after an empty one", [with_header(0), wire::body(1, b"")].concat(), (505, 0, 0)),
        ("a size beyond all limits", with_header(half_gibibyte + 1), (501, 60, 40)),
    ];

    for (case, bytes, expected) in cases {
        let error = Peer::running().send(&bytes).expect_err(case);
        assert_eq!(blame(&error), expected, "{case}: {error}");
    }
}

#[test]
fn a_message_that_is_too_large_costs_the_channel_and_is_swallowed() {
    let mut config = config();
    config.max_message_bytes = 5000;
    let mut peer = Peer::running_with(config, &wire::tune_ok(0, 4096, 0));
    let fits = wire::message(1, &pattern(5000), 4096);
    let beyond = wire::message(1, &pattern(5001), 4096);
    let last = wire::ack(1, 1, false);

    let events = peer.send(&[fits, beyond, last].concat()).unwrap();

    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0], published(1, &pattern(5000)));
    let Event::ChannelError { channel, error } = &events[1] else { panic!("{events:?}") };
    assert_eq!(
        (error.code(), error.method()),
        (ReplyCode::PreconditionFailed, MethodId::BASIC_PUBLISH)
    );
    let text = "PRECONDITION_FAILED - message size 5001 is larger than configured max size 5000";
    assert_eq!(error.text(), text);
    assert_eq!(peer.written(), b"", "the close is the caller's to give");

    peer.connection.close_channel(*channel, error, &mut peer.output);
    assert_eq!(peer.written(), wire::server_close(1, 20, 406, text, (60, 40)));
    assert_eq!(peer.send(&wire::body(1, b"late")), Ok(vec![]));
    let freed = peer.send(&wire::close_ok(1, 20)).unwrap();
    assert_eq!(freed, [Event::ChannelCloseOk { channel: ChannelNumber(1) }]);
}

#[test]
fn a_client_that_closes_the_channel_it_spoilt_gets_close_and_close_ok() {
    let mut config = config();
    config.max_message_bytes = 1;
    let mut peer = Peer::running_with(config, &wire::tune_ok(0, 4096, 0));

    let bytes = [wire::message(1, b"xy", 4096), wire::close_ok(1, 20), wire::close(1, 20)];
    let events = peer.send(&bytes.concat()).unwrap();
    let [Event::ChannelError { channel, error }] = &events[..] else { panic!("{events:?}") };
    peer.connection.close_channel(*channel, error, &mut peer.output);

    let close = wire::server_close(1, 20, 406, error.text(), (60, 40));
    assert_eq!(peer.written(), [close, wire::close_ok(1, 20)].concat());
}

#[test]
fn the_limit_of_a_message_is_capped() {
    let mut config = config();
    config.max_message_bytes = u64::MAX;
    let mut peer = Peer::running_with(config, &wire::tune_ok(0, 4096, 0));
    let header = wire::content_header(1, 512 * 1024 * 1024, PERSISTENT);

    let events = peer.send(&[wire::publish(1, b"x", b"k", 0), header].concat());

    assert_eq!(events, Ok(vec![]), "512 MiB are waited for, and nothing is allocated for them");
    assert_eq!(peer.connection.unfinished_bytes(), 0);
}

#[test]
fn unfinished_content_is_counted_and_bounded_over_all_channels() {
    let mut config = config();
    config.max_unfinished_bytes = 10_000;
    let mut peer = Peer::running_with(config, &wire::tune_ok(0, 4096, 0));
    peer.send(&wire::channel_open(2)).unwrap();
    let begin = |channel| {
        [wire::publish(channel, b"x", b"k", 0), wire::content_header(channel, 20_000, PERSISTENT)]
            .concat()
    };
    let more = |channel| wire::body(channel, &pattern(4000));

    peer.send(&[begin(1), begin(2), more(1), more(2)].concat()).unwrap();
    assert_eq!(peer.connection.unfinished_bytes(), 8000);
    let error = crate::ChannelError::new(ReplyCode::NotFound, "gone");
    peer.connection.close_channel(ChannelNumber(2), &error, &mut peer.output);
    assert_eq!(peer.connection.unfinished_bytes(), 4000);
    peer.send(&more(1)).unwrap();
    let error = peer.send(&more(1)).expect_err("12,000 bytes");

    assert_eq!(blame(&error), (506, 60, 40));
}
