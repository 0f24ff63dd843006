//! Channels open, close, cross and break.

use warren_types::{ChannelNumber, DeliveryTag};

use super::peer::{Peer, config};
use super::wire::{self, Case, blame};
use crate::{ChannelError, ConnectionError, Event, MethodId, ReplyCode, Request};

const ONE: ChannelNumber = ChannelNumber(1);

fn not_found() -> ChannelError {
    ChannelError::new(ReplyCode::NotFound, "no exchange 'x' in vhost '/'")
        .at(MethodId::BASIC_PUBLISH)
}

fn not_found_close() -> Vec<u8> {
    let text = "NOT_FOUND - no exchange 'x' in vhost '/'";
    wire::server_close(1, 20, 404, text, (60, 40))
}

fn acked(channel: u16, tag: u64) -> Event {
    Event::Ack { channel: ChannelNumber(channel), tag: DeliveryTag(tag), multiple: false }
}

#[test]
fn a_channel_opens_and_its_further_methods_need_not_wait() {
    let mut peer = Peer::running();

    let events = peer.send(&[wire::channel_open(2), wire::ack(2, 5, false)].concat()).unwrap();
    peer.connection.accept_channel(ChannelNumber(2), &mut peer.output);

    assert_eq!(events, [Event::ChannelOpen { channel: ChannelNumber(2) }, acked(2, 5)]);
    assert_eq!(peer.written(), wire::method(2, 20, 11, &[&[0; 4]]));
    assert_eq!(peer.connection.channels(), 2);
}

#[test]
fn the_hot_methods_come_out_as_they_were_sent() {
    let mut peer = Peer::running();
    let tag = 7_u64.to_be_bytes();
    let bytes = [
        wire::ack(1, 1, true),
        wire::method(1, 60, 120, &[&tag, &[0b10]]),
        wire::method(1, 60, 120, &[&tag, &[0b01]]),
        wire::method(1, 60, 90, &[&tag, &[1]]),
        wire::method(1, 60, 70, &[&[0, 0], &wire::short(b"q"), &[1]]),
    ];

    let events = peer.send(&bytes.concat()).unwrap();

    let tag = DeliveryTag(7);
    let expected = [
        Event::Ack { channel: ONE, tag: DeliveryTag(1), multiple: true },
        Event::Nack { channel: ONE, tag, multiple: false, requeue: true },
        Event::Nack { channel: ONE, tag, multiple: true, requeue: false },
        Event::Reject { channel: ONE, tag, requeue: true },
        Event::Get { channel: ONE, queue: "q".into(), no_ack: true },
    ];
    assert_eq!(events, expected);
}

#[test]
fn what_must_not_come_on_a_channel_is_refused() {
    const NO_TEXT: &[u8] = &[0, 0, 1, 0xFF, 0];
    let cases: [Case; 28] = [
        ("a second open", wire::channel_open(1), (504, 20, 10)),
        ("a method before open", wire::ack(2, 1, false), (504, 60, 80)),
        ("a publish before open", wire::publish(2, b"", b"", 0), (504, 60, 40)),
        ("a close before open", wire::close(2, 20), (504, 20, 40)),
        ("a channel's method on channel 0", wire::ack(0, 1, false), (504, 60, 80)),
        ("channel.open on channel 0", wire::channel_open(0), (504, 20, 10)),
        ("a late tune-ok", wire::tune_ok(0, 0, 0), (504, 10, 31)),
        ("a late open", wire::open("/"), (504, 10, 40)),
        ("close-ok without close", wire::close_ok(0, 10), (504, 10, 51)),
        ("a connection's method on a channel", wire::close(1, 10), (503, 10, 50)),
        ("channel.close-ok without close", wire::close_ok(1, 20), (503, 20, 41)),
        ("a server's method", wire::method(1, 50, 11, &[]), (503, 50, 11)),
        ("a delivery", wire::method(1, 60, 60, &[]), (503, 60, 60)),
        ("a server's method on channel 0", wire::method(0, 10, 41, &[]), (504, 10, 41)),
        ("an unknown method", wire::method(1, 60, 77, &[]), (503, 0, 0)),
        ("an unknown method on channel 0", wire::method(0, 10, 77, &[]), (503, 0, 0)),
        ("an unknown class", wire::method(1, 77, 10, &[]), (503, 0, 0)),
        ("an unknown class on channel 0", wire::method(0, 77, 10, &[]), (503, 0, 0)),
        ("an unknown frame type", wire::frame(4, 1, b""), (501, 0, 0)),
        ("a method frame without a method", wire::frame(1, 1, b"\0"), (501, 0, 0)),
        ("a heartbeat on a channel", wire::frame(8, 1, b""), (505, 0, 0)),
        ("a heartbeat with a payload", wire::frame(8, 0, b"x"), (501, 0, 0)),
        ("an ack cut short", wire::method(1, 60, 80, &[&[0; 8]]), (501, 60, 80)),
        ("an ack with more", wire::method(1, 60, 80, &[&[0; 10]]), (501, 60, 80)),
        ("a queue name that is no text", wire::method(1, 60, 70, &[NO_TEXT]), (501, 0, 0)),
        ("a routing key that is no text", wire::publish(1, b"", b"\xFF", 0), (501, 0, 0)),
        ("an exchange that is no text", wire::publish(1, b"\xC3", b"", 0), (501, 0, 0)),
        ("a purge of a queue that is no text", wire::method(1, 50, 30, &[NO_TEXT]), (501, 0, 0)),
    ];

    for (case, bytes, expected) in cases {
        let mut peer = Peer::running();
        let error = peer.send(&bytes).expect_err(case);
        assert_eq!(blame(&error), expected, "{case}: {error}");
    }
}

#[test]
fn a_malformed_table_is_a_frame_error_of_its_method() {
    let deep = wire::long(&wire::deep_table(64));
    let tables = [
        wire::table("k", b'?', b""),
        wire::table("k", b'I', &[1, 2]),
        wire::long(&[5, b'k']),
        wire::long(&[1, 0xFF, b'V']),
        deep,
    ];

    for table in tables {
        let arguments: [&[u8]; 4] = [&[0, 0], &wire::short(b"q"), &[0], &table];
        let error =
            Peer::running().send(&wire::method(1, 50, 10, &arguments)).expect_err("malformed");
        assert_eq!(blame(&error), (501, 50, 10), "{error}");
    }
}

#[test]
fn events_before_an_error_are_told() {
    let mut peer = Peer::running();
    let mut events = Vec::new();
    let mut broken = wire::ack(1, 3, false);
    *broken.last_mut().unwrap() = 0;
    let bytes = [wire::ack(1, 1, false), wire::ack(1, 2, false), broken].concat();

    let error = peer.send_into(&bytes, &mut events).expect_err("bad end octet");

    assert_eq!(blame(&error), (501, 0, 0));
    assert_eq!(events, [acked(1, 1), acked(1, 2)]);
}

#[test]
fn a_frame_over_frame_max_is_refused_from_its_header() {
    let mut peer = Peer::running();

    let fits = peer.send(&[1, 0, 1, 0, 0, 16, 0]);
    let beyond = Peer::running().send(&[1, 0, 1, 0, 0, 16, 1]);

    assert_eq!(fits, Ok(vec![]), "a payload of frame_max, for those who count only that");
    assert_eq!(blame(&beyond.expect_err("4097 bytes")), (501, 0, 0));
}

#[test]
fn a_client_that_lost_step_is_not_heard_after_the_close() {
    let mut peer = Peer::running();
    let error = peer.send(&[1, 0, 1, 0xFF, 0, 0, 0]).expect_err("far too large");

    peer.connection.close_connection(&error, &mut peer.output);
    let events = peer.send(&wire::close_ok(0, 10)).unwrap();

    assert_eq!(events, []);
    assert!(peer.input.is_empty(), "what comes is dropped");
    assert!(!peer.written().is_empty(), "the close was written");
}

#[test]
fn a_client_closes_a_channel_and_waits_for_the_answer() {
    let mut peer = Peer::running();

    let events =
        peer.send(&[wire::ack(1, 1, false), wire::close(1, 20), wire::ack(1, 2, false)].concat());
    assert_eq!(peer.written(), b"", "the answer is the caller's to give");
    peer.connection.channel_close_ok(ONE, &mut peer.output);

    let closed = Event::ChannelClosed { channel: ONE, code: 200, text: "bye".into() };
    assert_eq!(events, Ok(vec![acked(1, 1), closed]), "what follows the close is ignored");
    assert_eq!(peer.written(), wire::close_ok(1, 20));
    assert_eq!(peer.connection.channels(), 0);
    assert_eq!(peer.send(&wire::channel_open(1)), Ok(vec![Event::ChannelOpen { channel: ONE }]));
}

#[test]
fn a_channel_closed_here_swallows_everything_until_close_ok() {
    let mut peer = Peer::running();
    peer.connection.close_channel(ONE, &not_found(), &mut peer.output);
    assert_eq!(peer.written(), not_found_close());
    assert!(peer.connection.is_closing(ONE));

    let swallowed = [
        wire::ack(1, 1, false),
        wire::message(1, b"hello", 4096),
        wire::channel_open(1),
        wire::method(1, 60, 77, &[b"not even a method"]),
        wire::content_header(1, 9, &wire::PERSISTENT[..1]),
    ];
    assert_eq!(peer.send(&swallowed.concat()), Ok(vec![]));
    let events = peer.send(&wire::close_ok(1, 20)).unwrap();

    assert_eq!(events, [Event::ChannelCloseOk { channel: ONE }]);
    assert!(!peer.connection.is_closing(ONE));
    assert_eq!(peer.send(&wire::channel_open(1)), Ok(vec![Event::ChannelOpen { channel: ONE }]));
}

#[test]
fn closing_a_channel_again_writes_nothing() {
    let mut peer = Peer::running();
    peer.connection.close_channel(ONE, &not_found(), &mut peer.output);
    peer.written();

    peer.connection.close_channel(ONE, &not_found(), &mut peer.output);
    peer.connection.close_channel(ChannelNumber(9), &not_found(), &mut peer.output);
    peer.connection.channel_close_ok(ONE, &mut peer.output);

    assert_eq!(peer.written(), b"");
}

#[test]
fn closes_that_cross_are_both_answered() {
    let mut peer = Peer::running();
    peer.connection.close_channel(ONE, &not_found(), &mut peer.output);
    peer.written();

    assert_eq!(peer.send(&wire::close(1, 20)), Ok(vec![]));
    assert_eq!(peer.written(), wire::close_ok(1, 20));
    let events = peer.send(&wire::close_ok(1, 20)).unwrap();

    assert_eq!(events, [Event::ChannelCloseOk { channel: ONE }]);
    assert_eq!(peer.connection.channels(), 0);
}

#[test]
fn a_client_whose_close_was_answered_may_open_again_without_answering_ours() {
    let mut peer = Peer::running();
    peer.connection.close_channel(ONE, &not_found(), &mut peer.output);
    peer.send(&wire::close(1, 20)).unwrap();

    let events = peer.send(&wire::channel_open(1)).unwrap();

    let expected = [Event::ChannelCloseOk { channel: ONE }, Event::ChannelOpen { channel: ONE }];
    assert_eq!(events, expected);
}

#[test]
fn a_channel_that_fails_before_the_clients_close_is_handled_gets_both_answers() {
    let mut peer = Peer::running();
    let events = peer.send(&[wire::ack(1, 9, false), wire::close(1, 20)].concat()).unwrap();
    assert_eq!(events.len(), 2);

    peer.connection.close_channel(ONE, &not_found(), &mut peer.output);
    peer.connection.channel_close_ok(ONE, &mut peer.output);

    assert_eq!(peer.written(), [not_found_close(), wire::close_ok(1, 20)].concat());
    assert!(peer.connection.is_closing(ONE), "our close is still to be answered");
}

#[test]
fn closing_one_channel_leaves_the_others_alone() {
    let mut peer = Peer::running();
    peer.send(&wire::channel_open(2)).unwrap();
    peer.connection.close_channel(ONE, &not_found(), &mut peer.output);

    let events = peer.send(&[wire::ack(1, 1, false), wire::ack(2, 2, false)].concat());

    assert_eq!(events, Ok(vec![acked(2, 2)]));
}

#[test]
fn a_closed_connection_hears_only_close_and_close_ok() {
    let mut peer = Peer::running();
    let error = ConnectionError::new(ReplyCode::ConnectionForced, "node is stopping");
    peer.connection.close_connection(&error, &mut peer.output);
    let text = "CONNECTION_FORCED - node is stopping";
    assert_eq!(peer.written(), wire::server_close(0, 10, 320, text, (0, 0)));

    let deaf = peer.send(&[wire::ack(1, 1, false), wire::frame(9, 3, b"?")].concat());
    let events = peer.send(&wire::close_ok(0, 10)).unwrap();

    assert_eq!(deaf, Ok(vec![]));
    assert_eq!(events, [Event::ConnectionCloseOk]);
    assert!(peer.connection.is_closed());
}

#[test]
fn connection_closes_that_cross_end_the_connection() {
    let mut peer = Peer::running();
    let error = ConnectionError::new(ReplyCode::ConnectionForced, "node is stopping");
    peer.connection.close_connection(&error, &mut peer.output);
    peer.written();

    let events = peer.send(&wire::close(0, 10)).unwrap();

    assert_eq!(events, [Event::ConnectionCloseOk]);
    assert_eq!(peer.written(), wire::close_ok(0, 10));
    assert!(peer.connection.is_closed());
}

#[test]
fn after_the_clients_close_nothing_is_read() {
    let mut peer = Peer::running();

    let events = peer.send(&[wire::close(0, 10), wire::ack(1, 1, false)].concat()).unwrap();
    assert_eq!(peer.send(&wire::ack(1, 1, false)), Ok(vec![]));
    peer.connection.connection_close_ok(&mut peer.output);

    assert_eq!(events, [Event::ConnectionClose { code: 200, text: "bye".into() }]);
    assert_eq!(peer.written(), wire::close_ok(0, 10));
    assert!(peer.connection.is_closed());
}

#[test]
fn an_error_answered_by_a_close_keeps_step_where_frames_were_whole() {
    let mut peer = Peer::running();
    let error = peer.send(&wire::channel_open(1)).expect_err("open twice");
    assert_eq!(peer.send(&wire::ack(1, 1, false)), Ok(vec![]), "nothing until the close");

    peer.connection.close_connection(&error, &mut peer.output);
    let events = peer.send(&wire::close_ok(0, 10)).unwrap();

    assert_eq!(events, [Event::ConnectionCloseOk]);
}

#[test]
fn a_secret_is_updated_on_the_connection_only() {
    let update =
        |channel| wire::method(channel, 10, 70, &[&wire::long(b"new"), &wire::short(b"why")]);

    let events = Peer::running().send(&update(0)).unwrap();
    let error = Peer::running().send(&update(1)).expect_err("wrong channel");

    let request = Request::UpdateSecret { secret: b"new".to_vec(), reason: "why".into() };
    assert_eq!(events, [Event::Request { channel: ChannelNumber(0), request }]);
    assert_eq!(blame(&error), (503, 10, 70));
}

#[test]
fn channels_are_counted_whatever_their_numbers_until_both_sides_closed_them() {
    let mut peer = Peer::running_with(config(), &wire::tune_ok(2, 4096, 0));
    let opened = |number| Ok(vec![Event::ChannelOpen { channel: ChannelNumber(number) }]);

    assert_eq!(peer.send(&wire::channel_open(900)), opened(900));
    peer.send(&wire::close(900, 20)).unwrap();
    peer.connection.channel_close_ok(ChannelNumber(900), &mut peer.output);
    assert_eq!(peer.send(&wire::channel_open(3)), opened(3));
    peer.connection.close_channel(ONE, &not_found(), &mut peer.output);
    let error = peer.send(&wire::channel_open(2)).expect_err("channel 1 is not closed by both");

    assert_eq!(blame(&error), (530, 0, 0), "{error}");
}

#[test]
fn the_highest_channel_number_works() {
    let mut config = config();
    config.channel_max = 0;
    let mut peer = Peer::running_with(config, &wire::tune_ok(0, 0, 0));

    let events = peer.send(&[wire::channel_open(u16::MAX), wire::ack(u16::MAX, 1, false)].concat());

    let number = ChannelNumber(u16::MAX);
    assert_eq!(events, Ok(vec![Event::ChannelOpen { channel: number }, acked(u16::MAX, 1)]));
}
