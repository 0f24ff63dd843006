//! What goes wrong before a client is in: protocol header, login, tuning, vhost.

use std::time::Duration;

use warren_tests::wire::{
    Close, Field, Flags, Frame, Heard, Pack, Unpack, Wire, capabilities, declare_queue, id,
    plain_start_ok,
};

use crate::support::{assert_serves, broker, is_elsewhere};

#[test]
fn garbage_instead_of_a_protocol_header_is_answered_with_the_right_one() {
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"AMQP\0\0\x08\0",
        b"AMQP\0\x01\x02\x03",
        &[0x16, 3, 1, 2, 0, 1, 0, 1],
        &[0; 64],
    ] {
        let mut wire = Wire::connect(broker()).unwrap();

        wire.send_lossy(garbage);

        let answer = wire.bytes_until_end().unwrap();
        // RabbitMQ offers AMQP 1.0 here, which it speaks as well.
        let right: &[u8] = if is_elsewhere() { b"AMQP" } else { b"AMQP\0\0\x09\x01" };
        assert!(answer.starts_with(right), "{garbage:?} was answered with {answer:?}");
    }
    assert_serves(broker(), "garbage instead of a protocol header");
}

#[test]
fn a_socket_that_says_nothing_is_closed_after_the_handshake_timeout() {
    let mut wire = Wire::connect(broker()).unwrap();

    let answer = wire.bytes_until_end().unwrap();

    assert!(answer.is_empty(), "{answer:?}");
    assert_serves(broker(), "a silent socket");
}

#[test]
fn half_a_protocol_header_and_an_end_closes_the_socket() {
    let mut wire = Wire::connect(broker()).unwrap();

    wire.send(b"AMQP\0").unwrap();
    wire.end_output().unwrap();

    wire.expect_end().unwrap();
    assert_serves(broker(), "half a protocol header");
}

#[test]
fn a_frame_that_is_never_finished_holds_nothing_up() {
    let mut wire = Wire::begin(broker()).unwrap();

    let start_ok = plain_start_ok("guest", "guest", &[]);
    wire.send(&start_ok[..start_ok.len() / 2]).unwrap();

    assert_serves(broker(), "half a frame");
    wire.end_output().unwrap();
    wire.expect_end().unwrap();
}

#[test]
fn the_server_introduces_itself_with_its_capabilities() {
    let wire = Wire::open(broker()).unwrap();

    let find = |name: &str| {
        wire.server_properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    for name in ["product", "version", "platform", "cluster_name", "copyright", "information"] {
        assert!(
            matches!(find(name), Some(Field::Text(_))),
            "no {name} in {:?}",
            wire.server_properties
        );
    }
    let Some(Field::Table(capabilities)) = find("capabilities") else { panic!("no capabilities") };
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        assert!(
            capabilities.contains(&(name.to_owned(), Field::Bool(true))),
            "no {name} in {capabilities:?}"
        );
    }
    assert_eq!(wire.offered, (2047, 131_072, 60));
}

#[test]
fn a_wrong_password_is_told_to_clients_that_can_hear_it() {
    let close = login("guest", "wrong");

    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
    assert_eq!(close, Close { channel: 0, code: 403, text: text.to_owned(), method: (0, 0) });
}

#[test]
fn an_unknown_user_is_refused_with_the_same_words_as_a_wrong_password() {
    assert_eq!(login("nobody", "x"), login("guest", "wrong"));
}

#[test]
fn a_wrong_password_ends_the_socket_of_a_client_that_cannot_hear_it() {
    let mut wire = Wire::begin(broker()).unwrap();

    wire.send(&plain_start_ok("guest", "wrong", &[])).unwrap();

    assert!(wire.bytes_until_end().unwrap().is_empty());
}

#[test]
fn a_mechanism_that_does_not_exist_is_refused() {
    let mut wire = Wire::begin(broker()).unwrap();

    wire.send(
        &Pack::method(id::START_OK)
            .table(&capabilities())
            .short("GUESS")
            .long(b"x")
            .short("en_US")
            .frame(0),
    )
    .unwrap();

    assert_refused(&mut wire, 503, "COMMAND_INVALID - unknown authentication mechanism 'GUESS'");
}

#[test]
fn a_response_without_its_separators_is_refused() {
    let mut wire = Wire::begin(broker()).unwrap();

    wire.send(
        &Pack::method(id::START_OK)
            .table(&capabilities())
            .short("PLAIN")
            .long(b"guest")
            .short("en_US")
            .frame(0),
    )
    .unwrap();

    assert_refused(&mut wire, 502, "SYNTAX_ERROR - *");
}

#[test]
fn the_mechanism_amqplain_lets_guest_in() {
    let mut wire = Wire::begin(broker()).unwrap();
    let login = Pack::empty()
        .short("LOGIN")
        .raw(b"S")
        .long(b"guest")
        .short("PASSWORD")
        .raw(b"S")
        .long(b"guest")
        .bytes();

    wire.send(
        &Pack::method(id::START_OK)
            .table(&capabilities())
            .short("AMQPLAIN")
            .long(&login)
            .short("en_US")
            .frame(0),
    )
    .unwrap();

    wire.tune(0).unwrap();
    wire.close().unwrap();
}

#[test]
fn an_unknown_vhost_is_not_allowed() {
    let mut wire = Wire::begin(broker()).unwrap();
    wire.send(&plain_start_ok("guest", "guest", &capabilities())).unwrap();
    wire.expect(0, id::TUNE).unwrap();
    wire.send(&Pack::method(id::TUNE_OK).u16(2047).u32(131_072).u16(0).frame(0)).unwrap();

    wire.send(&Pack::method(id::OPEN).short("nope").short("").u8(0).frame(0)).unwrap();

    let close = wire.expect_close().unwrap();
    let text = "NOT_ALLOWED - vhost nope not found".to_owned();
    assert_eq!(close, Close { channel: 0, code: 530, text, method: id::OPEN });
    wire.expect_end().unwrap();
}

#[test]
fn tuning_beyond_the_offer_is_not_allowed() {
    let tune_oks = [
        (
            60_000,
            131_072,
            "NOT_ALLOWED - negotiated channel_max = 60000 is higher than the maximum allowed value (2047)",
        ),
        (
            2047,
            1 << 20,
            "NOT_ALLOWED - negotiated frame_max = 1048576 is higher than the maximum allowed value (131072)",
        ),
        (
            2047,
            512,
            "NOT_ALLOWED - negotiated frame_max = 512 is lower than the minimum allowed value *",
        ),
    ];
    for (channels, frame_bytes, text) in tune_oks {
        let mut wire = Wire::begin(broker()).unwrap();
        wire.send(&plain_start_ok("guest", "guest", &capabilities())).unwrap();
        wire.expect(0, id::TUNE).unwrap();

        wire.send(&Pack::method(id::TUNE_OK).u16(channels).u32(frame_bytes).u16(0).frame(0))
            .unwrap();

        assert_refused(&mut wire, 530, text);
    }
}

#[test]
fn more_channels_than_agreed_are_not_allowed() {
    let mut wire = Wire::begin(broker()).unwrap();
    wire.send(&plain_start_ok("guest", "guest", &capabilities())).unwrap();
    wire.expect(0, id::TUNE).unwrap();
    wire.send(&Pack::method(id::TUNE_OK).u16(2).u32(131_072).u16(0).frame(0)).unwrap();
    wire.call(0, Pack::method(id::OPEN).short("/").short("").u8(0).frame(0), id::OPEN_OK).unwrap();
    wire.channel(1).unwrap();
    wire.channel(2).unwrap();

    wire.send(&Pack::method(id::CHANNEL_OPEN).short("").frame(3)).unwrap();

    let close = wire.expect_close().unwrap();
    let text =
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)"
            .to_owned();
    assert_eq!(close, Close { channel: 0, code: 530, text, method: (0, 0) });
}

#[test]
fn a_channel_before_the_vhost_is_open_is_refused() {
    let mut wire = Wire::begin(broker()).unwrap();

    wire.send_lossy(&Pack::method(id::CHANNEL_OPEN).short("").frame(1));

    wire.bytes_until_end().unwrap();
    assert_serves(broker(), "a channel before the login");
}

#[test]
fn methods_in_the_wrong_order_before_the_login_get_nowhere() {
    let early: [Vec<u8>; 4] = [
        Pack::method(id::OPEN).short("/").short("").u8(0).frame(0),
        Pack::method(id::TUNE_OK).u16(0).u32(0).u16(0).frame(0),
        declare_queue(1, "early", Flags::EXCLUSIVE, &[]),
        Frame { kind: 3, channel: 0, payload: vec![0; 100] }.encode(),
    ];
    for bytes in early {
        let mut wire = Wire::begin(broker()).unwrap();

        wire.send_lossy(&bytes);

        let rest = wire.bytes_until_end().unwrap();
        assert!(
            !rest.windows(4).any(|method| method == [0, 10, 0, 41]),
            "connection.open-ok in {rest:?}"
        );
    }
    assert_serves(broker(), "methods in the wrong order");
}

#[test]
fn deeply_nested_arrays_before_the_login_do_not_harm_the_broker() {
    // Some 10 KB: each array holds the next one, five bytes a level.
    let mut nested = Vec::new();
    for _ in 0..2000 {
        let mut outer = vec![b'A'];
        outer.extend(u32::try_from(nested.len()).unwrap().to_be_bytes());
        outer.extend(&nested);
        nested = outer;
    }
    let table = Pack::empty().short("deep").raw(&nested).bytes();
    let bytes = Pack::method(id::START_OK)
        .long(&table)
        .short("PLAIN")
        .long(b"\0guest\0guest")
        .short("en_US")
        .frame(0);
    let mut wire = Wire::begin(broker()).unwrap();
    wire.set_patience(Duration::from_secs(20));

    wire.send_lossy(&bytes);
    // Whether it is let in or thrown out is the broker's choice; that it answers is not.
    wire.hear().unwrap();

    assert_serves(broker(), "2,000 arrays within each other");
}

#[test]
fn a_frame_that_claims_to_be_huge_is_refused_before_it_is_there() {
    let mut wire = Wire::begin(broker()).unwrap();

    wire.send_lossy(&[1, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 10, 0, 11]);

    wire.bytes_until_end().unwrap();
    assert_serves(broker(), "a frame of 2 GiB");
}

fn login(user: &str, password: &str) -> Close {
    start_ok(&plain_start_ok(user, password, &capabilities()))
}

fn start_ok(bytes: &[u8]) -> Close {
    let mut wire = Wire::begin(broker()).unwrap();
    wire.send(bytes).unwrap();
    let close = wire.expect_close().unwrap();
    wire.expect_end().unwrap();
    close
}

/// The socket ends. RabbitMQ waits a while and says nothing here; a broker that speaks must say this.
fn assert_refused(wire: &mut Wire, code: u16, text: &str) {
    if let Heard::Frame(frame) = wire.hear().unwrap() {
        assert_eq!(frame.method(), Some(id::CLOSE), "{frame:?}");
        let mut arguments = Unpack::new(frame.arguments());
        assert_eq!(arguments.u16(), code);
        let said = arguments.short();
        assert!(super::says(&said, text), "{said}");
        wire.send_lossy(&Pack::method(id::CLOSE_OK).frame(0));
        wire.expect_end().unwrap();
    }
}
