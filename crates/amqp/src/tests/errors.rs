//! What a client hears that breaks the protocol, to the word: clients match on RabbitMQ's texts.

use super::peer::{Peer, config};
use super::wire::{self, PERSISTENT, blame};

/// What is sent, in words and bytes; reply code, class and method; the text.
type Row = (&'static str, Vec<u8>, wire::Blame, &'static str);

/// Shows a connection with channel 1 open each row's bytes.
fn check(rows: Vec<Row>) {
    for (what, bytes, expected, text) in rows {
        let error = Peer::running().send(&bytes).expect_err(what);

        assert_eq!((blame(&error), error.text()), (expected, text), "{what}");
    }
}

fn begun() -> Vec<u8> {
    wire::publish(1, b"", b"nowhere", 0)
}

fn announced(size: u64) -> Vec<u8> {
    [begun(), wire::content_header(1, size, PERSISTENT)].concat()
}

/// queue.declare with these bytes behind its reserved ones.
fn declare(arguments: &[&[u8]]) -> Vec<u8> {
    wire::method(1, 50, 10, &[&[0, 0], &arguments.concat()])
}

#[test]
fn damaged_frames_are_named_by_their_type() {
    let mut bad_end = wire::channel_open(2);
    *bad_end.last_mut().unwrap() = 65;
    check(vec![
        (
            "a wrong end octet",
            bad_end,
            (501, 0, 0),
            "FRAME_ERROR - type 1, frame ends with 0x41 in place of 0xce",
        ),
        (
            "a frame above frame_max",
            [announced(4097), wire::body(1, &[b'x'; 4097])].concat(),
            (501, 0, 0),
            "FRAME_ERROR - type 3, frame of 4097 bytes is larger than 4096",
        ),
        (
            "an unknown frame type",
            wire::frame(9, 1, b"abc"),
            (501, 0, 0),
            "FRAME_ERROR - type 9, which is no frame type of AMQP",
        ),
        (
            "a method frame of three bytes",
            wire::frame(1, 1, &[0, 20, 0]),
            (501, 0, 0),
            "FRAME_ERROR - type 1, method frame ends too early",
        ),
        (
            "a content header of three bytes",
            [begun(), wire::frame(2, 1, &[0, 60, 0])].concat(),
            (501, 0, 0),
            "FRAME_ERROR - type 2, content header ends too early",
        ),
        (
            "a heartbeat with a payload",
            wire::frame(8, 0, b"x"),
            (501, 0, 0),
            "FRAME_ERROR - type 8, heartbeat frame with a payload",
        ),
        (
            "a heartbeat on a channel",
            wire::frame(8, 1, b""),
            (505, 0, 0),
            "UNEXPECTED_FRAME - type 8, heartbeat frame on channel 1",
        ),
        (
            "a body on channel 0",
            wire::body(0, b"x"),
            (505, 0, 0),
            "UNEXPECTED_FRAME - type 3, content on channel 0",
        ),
    ]);
}

#[test]
fn what_cannot_be_decoded_is_a_frame_error() {
    check(vec![
        (
            "missing arguments",
            wire::method(1, 50, 10, &[]),
            (501, 50, 10),
            "FRAME_ERROR - cannot decode queue.declare: its bytes end too early",
        ),
        (
            "a short string that is longer than its frame",
            declare(&[&[200], b"abc"]),
            (501, 50, 10),
            "FRAME_ERROR - cannot decode queue.declare: its bytes end too early",
        ),
        (
            "a table that is longer than its frame",
            declare(&[&wire::short(b"q"), &[0], &[0, 0, 3, 232], b"abc"]),
            (501, 50, 10),
            "FRAME_ERROR - cannot decode queue.declare: its bytes end too early",
        ),
        (
            "a table value of an unknown type",
            declare(&[&wire::short(b"q"), &[0], &wire::table("x", b'?', &[1, 2, 3])]),
            (501, 50, 10),
            "FRAME_ERROR - cannot decode queue.declare: unknown field type 0x3f",
        ),
        (
            "bytes behind the last argument",
            wire::method(1, 60, 10, &[&[0, 0, 0, 0], &[0, 1], &[0], b"more"]),
            (501, 60, 10),
            "FRAME_ERROR - cannot decode basic.qos: 4 bytes too many",
        ),
        (
            "a hot method cut short",
            wire::method(1, 60, 80, &[&[0; 8]]),
            (501, 60, 80),
            "FRAME_ERROR - cannot decode basic.ack: its bytes end too early",
        ),
        (
            "a queue name that is not UTF-8",
            declare(&[&wire::short(&[0xC3, 0x28]), &[0], &wire::long(b"")]),
            (501, 0, 0),
            "FRAME_ERROR - Malformed UTF-8 in shortstr",
        ),
        (
            "a secret's reason that is not UTF-8",
            wire::method(0, 10, 70, &[&wire::long(b"new"), &wire::short(&[0xFF])]),
            (501, 10, 70),
            "FRAME_ERROR - Malformed UTF-8 in shortstr",
        ),
        (
            "a content header that ends in its properties",
            [begun(), wire::content_header(1, 1, b"\x80\0\x28text"), wire::body(1, b"x")].concat(),
            (501, 0, 0),
            "FRAME_ERROR - cannot decode content header: its bytes end too early",
        ),
    ]);
}

#[test]
fn content_that_does_not_add_up_is_refused() {
    let no_header = "UNEXPECTED_FRAME - expected content header for class 60, \
                     got non content header frame instead";
    let weighty = wire::frame(2, 1, &[&[0, 60, 0, 1][..], &[0; 8], PERSISTENT].concat());
    check(vec![
        (
            "a body that is longer than its header said",
            [announced(3), wire::body(1, b"four")].concat(),
            (501, 60, 40),
            "FRAME_ERROR - content body frame exceeds remaining content size",
        ),
        (
            "a size beyond all limits",
            announced(536_870_913),
            (501, 60, 40),
            "FRAME_ERROR - content body size 536870913 exceeds maximum allowed size 536870912",
        ),
        ("a header with a weight", [begun(), weighty].concat(), (505, 60, 40), no_header),
        ("a second publish", [begun(), begun()].concat(), (505, 60, 40), no_header),
    ]);
}

#[test]
fn methods_that_a_server_does_not_take_are_invalid_commands() {
    let unknown = "COMMAND_INVALID - unknown method";
    let unimplemented = "COMMAND_INVALID - unimplemented method";
    check(vec![
        ("an unknown method", wire::method(1, 60, 99, &[]), (503, 0, 0), unknown),
        ("an unknown class", wire::method(1, 77, 10, &[]), (503, 0, 0), unknown),
        ("a server's method", wire::method(1, 50, 11, &[&[0; 9]]), (503, 50, 11), unimplemented),
        ("a connection's method on a channel", wire::close(1, 10), (503, 10, 50), unimplemented),
    ]);
}

#[test]
fn one_channel_more_than_agreed_is_not_allowed() {
    let mut peer = Peer::running_with(config(), &wire::tune_ok(2, 4096, 0));
    peer.send(&wire::channel_open(2)).unwrap();

    let error = peer.send(&wire::channel_open(3)).expect_err("the third of two");

    assert_eq!(blame(&error), (530, 0, 0));
    let text =
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)";
    assert_eq!(error.text(), text);
}

#[test]
fn what_a_text_cannot_say_is_noted_for_the_log() {
    let notes = [
        (wire::method(1, 60, 99, &[]), "(method 60.99)"),
        (wire::method(1, 60, 60, &[]), "(basic.deliver)"),
        (wire::publish(1, b"\xFF", b"", 0), "(basic.publish)"),
        ([announced(3), wire::body(1, b"four")].concat(), "(4 bytes where 3 were to come)"),
    ];

    for (bytes, note) in notes {
        let error = Peer::running().send(&bytes).expect_err(note);

        assert!(error.to_string().ends_with(note), "{error}");
        assert!(!error.text().contains(note), "{error}");
    }
}
