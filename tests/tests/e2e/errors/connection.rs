//! What closes the whole connection, after the handshake.

use anyhow::Result;
use warren_tests::wire::{
    FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, Field, Flags, Frame, MethodId, Pack,
    consume, declare_queue, id, publish,
};

use super::{Case, Row, check, check_unless_elsewhere, of_connection, socket_ends};

#[test]
fn a_damaged_frame_closes_the_connection_with_501() {
    check(FRAMES, of_connection, socket_ends);
}

#[test]
fn arguments_that_cannot_be_read_close_the_connection_with_501() {
    check(SYNTAX, of_connection, socket_ends);
}

#[test]
fn a_frame_in_the_wrong_place_closes_the_connection_with_503_to_505() {
    check(ORDER, of_connection, socket_ends);
}

#[test]
fn what_is_not_allowed_or_not_there_closes_the_connection_with_530_and_540() {
    check(NEVER, of_connection, socket_ends);
}

#[test]
fn bytes_that_mean_nothing_close_the_connection_with_a_reason() {
    check_unless_elsewhere(SILENT, of_connection, socket_ends);
}

const NOTHING: MethodId = (0, 0);

const FRAMES: &[Row] = &[
    Row {
        what: "a wrong end octet",
        code: 501,
        method: NOTHING,
        text: "FRAME_ERROR - type 1, *",
        act: |c| {
            let frame = Frame {
                kind: FRAME_METHOD,
                channel: 2,
                payload: Pack::method(id::CHANNEL_OPEN).u8(0).bytes(),
            };
            lossy(c, &frame.encode_with_end(65))
        },
    },
    Row {
        what: "a frame above frame_max",
        code: 501,
        method: NOTHING,
        text: "FRAME_ERROR - type 3, *",
        act: |c| {
            let mut bytes = content(1, 131_073);
            bytes.extend(
                Frame { kind: FRAME_BODY, channel: 1, payload: vec![b'x'; 131_073] }.encode(),
            );
            lossy(c, &bytes)
        },
    },
    Row {
        what: "a frame type that does not exist",
        code: 501,
        method: NOTHING,
        text: "FRAME_ERROR - type 9, *",
        act: |c| lossy(c, &Frame { kind: 9, channel: 1, payload: b"abc".to_vec() }.encode()),
    },
    Row {
        what: "a body that is longer than its header said",
        code: 501,
        method: id::PUBLISH,
        text: "FRAME_ERROR - content body frame exceeds remaining content size",
        act: |c| {
            let mut bytes = content(1, 3);
            bytes
                .extend(Frame { kind: FRAME_BODY, channel: 1, payload: b"four".to_vec() }.encode());
            lossy(c, &bytes)
        },
    },
];

const SYNTAX: &[Row] = &[
    Row {
        what: "a method whose arguments are missing",
        code: 501,
        method: id::QUEUE_DECLARE,
        text: "FRAME_ERROR - cannot decode *",
        act: |c| lossy(c, &Pack::method(id::QUEUE_DECLARE).frame(1)),
    },
    Row {
        what: "a short string that is longer than its frame",
        code: 501,
        method: id::QUEUE_DECLARE,
        text: "FRAME_ERROR - cannot decode *",
        act: |c| lossy(c, &Pack::method(id::QUEUE_DECLARE).u16(0).u8(200).raw(b"abc").frame(1)),
    },
    Row {
        what: "a table that is longer than its frame",
        code: 501,
        method: id::QUEUE_DECLARE,
        text: "FRAME_ERROR - cannot decode *",
        act: |c| {
            lossy(
                c,
                &Pack::method(id::QUEUE_DECLARE)
                    .u16(0)
                    .short("q")
                    .u8(0)
                    .u32(1000)
                    .raw(b"abc")
                    .frame(1),
            )
        },
    },
    Row {
        what: "a queue name that is not UTF-8",
        code: 501,
        method: NOTHING,
        text: "FRAME_ERROR - Malformed UTF-8 in shortstr",
        act: |c| {
            lossy(
                c,
                &Pack::method(id::QUEUE_DECLARE)
                    .u16(0)
                    .u8(2)
                    .raw(&[0xC3, 0x28])
                    .u8(0)
                    .table(&[])
                    .frame(1),
            )
        },
    },
    Row {
        what: "bytes after the last argument",
        code: 501,
        method: id::QOS,
        text: "FRAME_ERROR - cannot decode *",
        act: |c| lossy(c, &Pack::method(id::QOS).u32(0).u16(1).u8(0).raw(b"more").frame(1)),
    },
    Row {
        what: "a method frame of three bytes",
        code: 501,
        method: NOTHING,
        text: "FRAME_ERROR - type 1, *",
        act: |c| {
            lossy(c, &Frame { kind: FRAME_METHOD, channel: 1, payload: vec![0, 20, 0] }.encode())
        },
    },
];

/// RabbitMQ drops the connection without a word (or with 541) at these.
const SILENT: &[Row] = &[
    Row {
        what: "a table value of a type that does not exist",
        code: 501,
        method: id::QUEUE_DECLARE,
        text: "FRAME_ERROR - cannot decode *",
        act: |c| {
            let table = vec![("x".to_owned(), Field::Raw(b'?', vec![1, 2, 3]))];
            lossy(c, &declare_queue(1, &c.name.clone(), Flags::EXCLUSIVE, &table))
        },
    },
    Row {
        what: "a content header that ends in its properties",
        code: 501,
        method: NOTHING,
        text: "FRAME_ERROR - cannot decode *",
        act: |c| {
            let mut bytes = begin_publish(1);
            let payload =
                Pack::empty().u16(60).u16(0).u64(1).u16(1 << 15).u8(40).raw(b"text").bytes();
            bytes.extend(Frame { kind: FRAME_HEADER, channel: 1, payload }.encode());
            bytes.extend(Frame { kind: FRAME_BODY, channel: 1, payload: b"x".to_vec() }.encode());
            lossy(c, &bytes)
        },
    },
    Row {
        what: "a method that does not exist",
        code: 503,
        method: NOTHING,
        text: "COMMAND_INVALID - unknown method",
        act: |c| lossy(c, &Pack::method((60, 99)).frame(1)),
    },
    Row {
        what: "a class that does not exist",
        code: 503,
        method: NOTHING,
        text: "COMMAND_INVALID - unknown method",
        act: |c| lossy(c, &Pack::method((77, 10)).frame(1)),
    },
];

const ORDER: &[Row] = &[
    Row {
        what: "a method that only the server may send",
        code: 503,
        method: id::QUEUE_DECLARE_OK,
        text: "COMMAND_INVALID - unimplemented method",
        act: |c| lossy(c, &Pack::method(id::QUEUE_DECLARE_OK).short("q").u32(0).u32(0).frame(1)),
    },
    Row {
        what: "a queue method on channel 0",
        code: 504,
        method: id::QUEUE_DECLARE,
        text: "CHANNEL_ERROR - unexpected method in connection state running",
        act: |c| lossy(c, &declare_queue(0, &c.name.clone(), Flags::EXCLUSIVE, &[])),
    },
    Row {
        what: "connection.open a second time",
        code: 504,
        method: id::OPEN,
        text: "CHANNEL_ERROR - unexpected method in connection state running",
        act: |c| lossy(c, &Pack::method(id::OPEN).short("/").short("").u8(0).frame(0)),
    },
    Row {
        what: "channel.open of an open channel",
        code: 504,
        method: id::CHANNEL_OPEN,
        text: "CHANNEL_ERROR - second 'channel.open' seen",
        act: |c| lossy(c, &Pack::method(id::CHANNEL_OPEN).short("").frame(1)),
    },
    Row {
        what: "a method on a channel that is not open",
        code: 504,
        method: id::QUEUE_DECLARE,
        text: "CHANNEL_ERROR - expected 'channel.open'",
        act: |c| lossy(c, &declare_queue(7, &c.name.clone(), Flags::EXCLUSIVE, &[])),
    },
    Row {
        what: "a content header without a publish",
        code: 505,
        method: NOTHING,
        text: "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        act: |c| {
            let payload = Pack::empty().u16(60).u16(0).u64(1).u16(0).bytes();
            lossy(c, &Frame { kind: FRAME_HEADER, channel: 1, payload }.encode())
        },
    },
    Row {
        what: "a body without a publish",
        code: 505,
        method: NOTHING,
        text: "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        act: |c| lossy(c, &Frame { kind: FRAME_BODY, channel: 1, payload: b"x".to_vec() }.encode()),
    },
    Row {
        what: "a method while a content header is due",
        code: 505,
        method: id::PUBLISH,
        text: "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        act: |c| {
            let mut bytes = begin_publish(1);
            bytes.extend(declare_queue(1, &c.name, Flags::EXCLUSIVE, &[]));
            lossy(c, &bytes)
        },
    },
    Row {
        what: "a body while a content header is due",
        code: 505,
        method: id::PUBLISH,
        text: "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead",
        act: |c| {
            let mut bytes = begin_publish(1);
            bytes.extend(Frame { kind: FRAME_BODY, channel: 1, payload: b"x".to_vec() }.encode());
            lossy(c, &bytes)
        },
    },
    Row {
        what: "a content header of another class",
        code: 505,
        method: id::PUBLISH,
        text: "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        act: |c| {
            let mut bytes = begin_publish(1);
            let payload = Pack::empty().u16(50).u16(0).u64(1).u16(0).bytes();
            bytes.extend(Frame { kind: FRAME_HEADER, channel: 1, payload }.encode());
            lossy(c, &bytes)
        },
    },
    Row {
        what: "a method while a body is due",
        code: 505,
        method: id::PUBLISH,
        text: "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
        act: |c| {
            let mut bytes = content(1, 3);
            bytes.extend(declare_queue(1, &c.name, Flags::EXCLUSIVE, &[]));
            lossy(c, &bytes)
        },
    },
    Row {
        what: "a heartbeat on a channel",
        code: 505,
        method: NOTHING,
        text: "UNEXPECTED_FRAME - type 8, *",
        act: |c| {
            lossy(c, &Frame { kind: FRAME_HEARTBEAT, channel: 1, payload: Vec::new() }.encode())
        },
    },
];

const NEVER: &[Row] = &[
    Row {
        what: "a consumer tag that is in use",
        code: 530,
        method: id::CONSUME,
        text: "NOT_ALLOWED - attempt to reuse consumer tag 'again'",
        act: |c| {
            let name = c.name.clone();
            c.wire.declare(1, &name, Flags::EXCLUSIVE, &[])?;
            c.call(consume(1, &name, "again", 0, &[]), id::CONSUME_OK)?;
            lossy(c, &consume(1, &name, "again", 0, &[]))
        },
    },
    Row {
        what: "publish with immediate",
        code: 540,
        method: id::PUBLISH,
        text: "NOT_IMPLEMENTED - immediate=true",
        act: |c| lossy(c, &publish(1, "", &c.name.clone(), 2, &[0, 0], b"x")),
    },
    Row {
        what: "a prefetch in bytes",
        code: 540,
        method: id::QOS,
        text: "NOT_IMPLEMENTED - prefetch_size!=0 (4096)",
        act: |c| lossy(c, &Pack::method(id::QOS).u32(4096).u16(1).u8(0).frame(1)),
    },
    Row {
        what: "recover without requeue",
        code: 540,
        method: id::RECOVER,
        text: "NOT_IMPLEMENTED - requeue=false",
        act: |c| lossy(c, &Pack::method(id::RECOVER).u8(0).frame(1)),
    },
    Row {
        what: "channel.flow that stops",
        code: 540,
        method: id::FLOW,
        text: "NOT_IMPLEMENTED - active=false",
        act: |c| lossy(c, &Pack::method(id::FLOW).u8(0).frame(1)),
    },
];

fn lossy(case: &mut Case, bytes: &[u8]) -> Result<()> {
    case.wire.send_lossy(bytes);
    Ok(())
}

fn begin_publish(channel: u16) -> Vec<u8> {
    Pack::method(id::PUBLISH).u16(0).short("").short("nowhere").u8(0).frame(channel)
}

/// basic.publish and a content header that announces so many bytes.
fn content(channel: u16, size: u64) -> Vec<u8> {
    let mut bytes = begin_publish(channel);
    let payload = Pack::empty().u16(60).u16(0).u64(size).u16(0).bytes();
    bytes.extend(Frame { kind: FRAME_HEADER, channel, payload }.encode());
    bytes
}
