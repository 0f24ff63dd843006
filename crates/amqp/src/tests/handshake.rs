//! From the first byte to an open connection, and every way to fall off.

use bytes::Bytes;
use warren_types::Table;

use super::peer::{Peer, config};
use super::wire::{self, Case, blame};
use crate::connection::Config;
use crate::{ConnectionError, Event, LoginRefusal, ReplyCode};

/// A peer whose client has sent its protocol header and read start.
fn greeted() -> Peer {
    let mut peer = Peer::new(config());
    peer.send(wire::PROTOCOL_HEADER).unwrap();
    peer.written();
    peer
}

/// A peer that waits for tune-ok.
fn tuning(config: Config) -> Peer {
    let mut peer = Peer::new(config);
    peer.send(wire::PROTOCOL_HEADER).unwrap();
    peer.send(&wire::start_ok(&wire::long(b""), "PLAIN", b"\0u\0p")).unwrap();
    peer.connection.accept_login(&mut peer.output);
    peer.written();
    peer
}

fn start() -> Vec<u8> {
    let properties = wire::table("product", b'S', &wire::long(b"test"));
    let arguments: [&[u8]; 4] =
        [&[0, 9], &properties, &wire::long(b"PLAIN AMQPLAIN"), &wire::long(b"en_US")];
    wire::method(0, 10, 10, &arguments)
}

#[test]
fn a_client_is_greeted_tuned_and_let_in() {
    let mut peer = Peer::new(config());

    assert_eq!(peer.send(wire::PROTOCOL_HEADER), Ok(vec![]));
    assert_eq!(peer.written(), start());

    let login = peer.send(&wire::start_ok(&wire::long(b""), "PLAIN", b"\0u\0p")).unwrap();
    let expected = Event::StartOk {
        mechanism: "PLAIN".into(),
        response: Bytes::from_static(b"\0u\0p"),
        locale: "en_US".into(),
        client_properties: Table::new(),
    };
    assert_eq!(login, [expected]);
    assert!(peer.connection.awaits_decision());
    peer.connection.accept_login(&mut peer.output);
    let tune = wire::method(0, 10, 30, &[&[7, 0xFF], &[0, 2, 0, 0], &[0, 60]]);
    assert_eq!(peer.written(), tune);

    let tuned = peer.send(&wire::tune_ok(100, 8192, 10)).unwrap();
    assert_eq!(tuned, [Event::Tuned { heartbeat_s: 10, frame_max: 8192, channel_max: 100 }]);

    assert_eq!(peer.send(&wire::open("/")), Ok(vec![Event::Open { vhost: "/".into() }]));
    peer.connection.accept_open(&mut peer.output);
    assert_eq!(peer.written(), wire::method(0, 10, 41, &[&[0]]));
    assert!(!peer.connection.awaits_decision());
}

#[test]
fn the_header_of_0_9_is_as_good() {
    let mut peer = Peer::new(config());

    let outcome = peer.send(b"AMQP\x01\x01\x00\x09");

    assert_eq!(outcome, Ok(vec![]));
    assert_eq!(peer.written(), start());
}

#[test]
fn a_stranger_is_shown_the_header_and_guessed_at() {
    let strangers: [(&[u8], &str); 8] = [
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00", "TLS"),
        (b"AMQP\x00\x01\x00\x00", "AMQP 1.0"),
        (b"AMQP\x03\x01\x00\x00", "AMQP 1.0"),
        (b"AMQP\x01\x01\x08\x00", "AMQP 1 1 8 0"),
        (b"PROXY TCP4 ", "PROXY"),
        (b"\x10\x0c\x00\x04MQTT", "MQTT"),
        (b"xxxx", "unknown"),
    ];

    for (bytes, hint) in strangers {
        let mut peer = Peer::new(config());
        let error = peer.send(bytes).expect_err("not our protocol");
        assert!(error.text().contains(hint), "{error}");
        assert_eq!(peer.written(), wire::PROTOCOL_HEADER);

        peer.connection.close_connection(&error, &mut peer.output);
        assert!(peer.connection.is_closed(), "{hint}");
        assert_eq!(peer.written(), b"", "a stranger would not understand a close");
    }
}

#[test]
fn half_a_header_is_waited_for() {
    let mut peer = Peer::new(config());

    for octet in &wire::PROTOCOL_HEADER[..7] {
        assert_eq!(peer.send(&[*octet]), Ok(vec![]));
        assert_eq!(peer.written(), b"");
    }

    peer.send(&[1]).unwrap();
    assert_eq!(peer.written(), start());
}

#[test]
fn nothing_is_read_while_a_login_is_decided() {
    let mut peer = greeted();
    let login = wire::start_ok(&wire::long(b""), "PLAIN", b"\0u\0p");
    let eager = [login, wire::tune_ok(0, 0, 0), wire::open("/"), wire::channel_open(1)].concat();

    let first = peer.send(&eager).unwrap();
    let while_deciding = peer.send(b"").unwrap();
    peer.connection.accept_login(&mut peer.output);
    let second = peer.send(b"").unwrap();
    peer.connection.accept_open(&mut peer.output);
    let third = peer.send(b"").unwrap();

    assert_eq!(first.len(), 1);
    assert_eq!(while_deciding, []);
    let tuned = Event::Tuned { heartbeat_s: 0, frame_max: 131_072, channel_max: 2047 };
    assert_eq!(second, [tuned, Event::Open { vhost: "/".into() }]);
    assert_eq!(third, [Event::ChannelOpen { channel: warren_types::ChannelNumber(1) }]);
}

#[test]
fn a_challenge_is_answered_before_the_login_is_decided() {
    let mut peer = greeted();
    peer.send(&wire::start_ok(&wire::long(b""), "PLAIN", b"")).unwrap();

    peer.connection.challenge(b"who?", &mut peer.output);
    assert_eq!(peer.written(), wire::method(0, 10, 20, &[&wire::long(b"who?")]));

    let answer = peer.send(&wire::method(0, 10, 21, &[&wire::long(b"me")])).unwrap();
    assert_eq!(answer, [Event::SecureOk { response: Bytes::from_static(b"me") }]);
    assert!(peer.connection.awaits_decision());
}

#[test]
fn a_refused_login_is_closed_where_the_client_understands_it() {
    let mut peer = greeted();
    let properties = wire::capability("authentication_failure_close");
    peer.send(&wire::start_ok(&properties, "PLAIN", b"\0u\0p")).unwrap();

    let refusal = peer.connection.refuse_login("Login was refused", &mut peer.output);

    assert_eq!(refusal, LoginRefusal::Closing);
    let text = "ACCESS_REFUSED - Login was refused";
    assert_eq!(peer.written(), wire::server_close(0, 10, 403, text, (0, 0)));
    assert_eq!(peer.send(&wire::close_ok(0, 10)), Ok(vec![Event::ConnectionCloseOk]));
    assert!(peer.connection.is_closed());
}

#[test]
fn a_refused_login_is_held_where_the_client_would_not_understand_a_close() {
    let mut peer = greeted();
    peer.send(&wire::start_ok(&wire::capability("basic.nack"), "PLAIN", b"\0u\0p")).unwrap();

    let refusal = peer.connection.refuse_login("Login was refused", &mut peer.output);

    assert_eq!(refusal, LoginRefusal::HoldThenDrop);
    assert_eq!(peer.written(), b"");
    assert_eq!(peer.send(&wire::tune_ok(0, 0, 0)), Ok(vec![]), "nothing is listened to");
    assert!(peer.input.is_empty(), "nor kept");
}

#[test]
fn what_must_not_come_in_a_handshake_is_refused() {
    let login = || wire::start_ok(&wire::long(b""), "PLAIN", b"");
    let not_text = wire::start_ok(&wire::long(b""), "PLAIN", b"");
    let not_text: Vec<u8> =
        not_text.iter().map(|octet| if *octet == b'L' { 0xFF } else { *octet }).collect();
    let cases: [Case; 13] = [
        ("another mechanism", wire::start_ok(&wire::long(b""), "EXTERNAL", b""), (503, 10, 11)),
        ("tune-ok too early", wire::tune_ok(0, 0, 0), (504, 10, 31)),
        ("open too early", wire::open("/"), (504, 10, 40)),
        ("channel.open too early", wire::method(0, 20, 10, &[&[0]]), (504, 20, 10)),
        ("a frame of a channel", wire::channel_open(1), (505, 0, 0)),
        ("a body", wire::body(0, b"x"), (505, 0, 0)),
        ("a server's method", wire::method(0, 10, 30, &[&[0; 8]]), (504, 10, 30)),
        ("an unknown method", wire::method(0, 10, 99, &[]), (503, 0, 0)),
        ("a heartbeat with a payload", wire::frame(8, 0, b"x"), (501, 0, 0)),
        ("an unknown frame", wire::frame(9, 0, b""), (501, 0, 0)),
        ("half a method", wire::frame(1, 0, &[0, 10, 0]), (501, 0, 0)),
        ("a mechanism that is no text", not_text, (501, 10, 11)),
        ("arguments cut short", wire::method(0, 10, 11, &[&[0, 0, 0, 9]]), (501, 10, 11)),
    ];

    for (case, bytes, expected) in cases {
        let mut peer = greeted();
        let error = peer.send(&bytes).expect_err(case);
        assert_eq!(blame(&error), expected, "{case}: {error}");
    }
    assert!(greeted().send(&login()).is_ok());
}

#[test]
fn a_start_ok_may_be_long_but_not_without_end() {
    let token = vec![b'x'; 20 * 1024];

    let fits = greeted().send(&wire::start_ok(&wire::long(b""), "PLAIN", &token));
    let endless = greeted().send(&[1, 0, 0, 0, 1, 0, 1]);

    assert!(fits.is_ok());
    assert_eq!(blame(&endless.expect_err("64 KiB and one byte")), (501, 0, 0));
}

#[test]
fn tuning_keeps_within_the_offer() {
    let frame_max = "frame_max";
    let cases = [
        (
            wire::tune_ok(0, 4095, 0),
            format!("negotiated {frame_max} = 4095 is lower than the minimum allowed value (4096)"),
        ),
        (
            wire::tune_ok(0, 131_073, 0),
            format!(
                "negotiated {frame_max} = 131073 is higher than the maximum allowed value (131072)"
            ),
        ),
        (
            wire::tune_ok(2048, 0, 0),
            "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"
                .to_owned(),
        ),
    ];

    for (bytes, text) in cases {
        let error = tuning(config()).send(&bytes).expect_err("out of range");
        assert_eq!(blame(&error), (530, 10, 30));
        assert_eq!(error.text(), format!("NOT_ALLOWED - {text}"));
    }
}

#[test]
fn the_smaller_heartbeat_counts_and_a_client_may_do_without() {
    let heartbeat = |offered, asked| {
        let mut config = config();
        config.heartbeat_s = offered;
        let events = tuning(config).send(&wire::tune_ok(0, 0, asked)).unwrap();
        match events[..] {
            [Event::Tuned { heartbeat_s, .. }] => heartbeat_s,
            _ => panic!("not tuned: {events:?}"),
        }
    };

    assert_eq!(heartbeat(60, 10), 10);
    assert_eq!(heartbeat(60, 580), 60);
    assert_eq!(heartbeat(60, 0), 0);
    assert_eq!(heartbeat(0, 30), 30);
}

#[test]
fn an_offer_without_a_limit_of_channels_takes_all_of_them() {
    let mut config = config();
    config.channel_max = 0;

    let events = tuning(config).send(&wire::tune_ok(0, 0, 0)).unwrap();

    let tuned = Event::Tuned { heartbeat_s: 0, frame_max: 131_072, channel_max: u16::MAX };
    assert_eq!(events, [tuned]);
}

#[test]
fn heartbeats_are_taken_at_any_time() {
    let mut peer = tuning(config());

    let events = peer.send(&[wire::frame(8, 0, b""), wire::tune_ok(0, 0, 0)].concat()).unwrap();

    assert_eq!(events.len(), 1);
}

#[test]
fn a_client_may_close_during_the_handshake() {
    let mut peer = tuning(config());

    let events = peer.send(&wire::close(0, 10)).unwrap();
    peer.connection.connection_close_ok(&mut peer.output);

    assert_eq!(events, [Event::ConnectionClose { code: 200, text: "bye".into() }]);
    assert_eq!(peer.written(), wire::close_ok(0, 10));
    assert!(peer.connection.is_closed());
}

#[test]
fn an_unknown_vhost_is_the_callers_to_refuse() {
    let mut peer = tuning(config());
    peer.send(&[wire::tune_ok(0, 0, 0), wire::open("nowhere")].concat()).unwrap();
    let error = ConnectionError::new(ReplyCode::NotAllowed, "vhost nowhere not found")
        .at(crate::MethodId::CONNECTION_OPEN);

    peer.connection.close_connection(&error, &mut peer.output);

    let text = "NOT_ALLOWED - vhost nowhere not found";
    assert_eq!(peer.written(), wire::server_close(0, 10, 530, text, (10, 40)));
}

#[test]
fn a_table_that_nests_without_end_is_refused_on_a_small_stack() {
    let deep = wire::start_ok(&wire::long(&wire::deep_table(2000)), "PLAIN", b"\0u\0p");
    assert!(deep.len() > 10_000);

    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    let outcome = thread.spawn(move || greeted().send(&deep)).unwrap().join().unwrap();

    let error = outcome.expect_err("too deep");
    assert_eq!(blame(&error), (501, 10, 11), "{error}");
}
