//! What is written: content in frames, large bodies uncopied, sends in any portions.

use std::io::IoSlice;

use bytes::Bytes;
use warren_types::{ChannelNumber, DeliveryTag};

use super::peer::drain;
use super::wire;
use crate::{Body, Delivery, Output, Reply, ReplyCode, SHARED_BODY_BYTES};

const CHANNEL: ChannelNumber = ChannelNumber(3);
const FRAME_MAX: u32 = 8192;
const ROOM: usize = 8192 - 8;

fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn delivery(body: &Body) -> Delivery<'_> {
    Delivery {
        tag: DeliveryTag(9),
        redelivered: true,
        exchange: b"x",
        routing_key: b"k",
        header: wire::PERSISTENT,
        body,
    }
}

fn deliver(output: &mut Output, body: &Body) {
    output.deliver(CHANNEL, b"tag", &delivery(body), FRAME_MAX);
}

/// The deliver method and content of `body`, as an independent encoder writes it.
fn expected(body: &[u8]) -> Vec<u8> {
    let tag = 9_u64.to_be_bytes();
    let arguments: [&[u8]; 5] =
        [&wire::short(b"tag"), &tag, &[1], &wire::short(b"x"), &wire::short(b"k")];
    let size = u64::try_from(body.len()).unwrap();
    let mut out = wire::method(3, 60, 60, &arguments);
    out.extend(wire::content_header(3, size, wire::PERSISTENT));
    for piece in body.chunks(ROOM) {
        out.extend(wire::body(3, piece));
    }
    out
}

#[test]
fn bodies_are_split_by_the_frame_size_however_they_came_in() {
    let sizes = [0, 1, 4095, 4096, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 1, 50_000];
    for size in sizes {
        let bytes = pattern(size);
        for piece_size in [1000, 4096, 5000, ROOM, 100_000] {
            let pieces = bytes.chunks(piece_size).map(Bytes::copy_from_slice).collect();
            let mut output = Output::new();

            deliver(&mut output, &Body::from_pieces(pieces));

            assert_eq!(output.len(), expected(&bytes).len());
            assert!(drain(&mut output) == expected(&bytes), "{size} bytes in {piece_size}");
        }
    }
}

#[test]
fn a_large_body_is_sent_from_where_it_lies_and_a_small_one_is_copied() {
    let large = Bytes::from(pattern(SHARED_BODY_BYTES));
    let small = Bytes::from(pattern(SHARED_BODY_BYTES - 1));
    let lies_in = |output: &Output, bytes: &Bytes| {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = output.slices(&mut slices);
        slices[..filled].iter().any(|slice| slice.as_ptr() == bytes.as_ptr())
    };
    let mut shared = Output::new();
    let mut copied = Output::new();

    deliver(&mut shared, &large.clone().into());
    deliver(&mut copied, &small.clone().into());

    assert!(lies_in(&shared, &large));
    assert!(!lies_in(&copied, &small));
}

#[test]
fn sending_in_any_portions_sends_every_byte_once() {
    let bodies = [pattern(10), pattern(5000), pattern(0), pattern(20_000), pattern(4096)];
    let whole: Vec<u8> = bodies.iter().flat_map(|body| expected(body)).collect();

    for portion in [1, 7, 100, 4096, 9999] {
        let mut output = Output::new();
        let mut sent = Vec::new();
        for body in &bodies {
            deliver(&mut output, &Bytes::copy_from_slice(body).into());
            send(&mut output, portion, &mut sent);
        }
        while !output.is_empty() {
            send(&mut output, portion, &mut sent);
        }
        assert!(sent == whole, "portions of {portion}");
        assert_eq!(output.slices(&mut [IoSlice::new(&[]); 2]), 0);
    }
}

/// Sends `portion` bytes, or all if there are fewer.
fn send(output: &mut Output, portion: usize, sent: &mut Vec<u8>) {
    let mut slices = [IoSlice::new(&[]); 64];
    let filled = output.slices(&mut slices);
    let bytes: Vec<u8> = slices[..filled].concat_bytes();
    let count = portion.min(bytes.len());
    sent.extend(&bytes[..count]);
    output.advance(count);
}

trait ConcatBytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl ConcatBytes for [IoSlice<'_>] {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|slice| slice.iter().copied()).collect()
    }
}

#[test]
fn a_buffer_that_was_sent_is_given_back_and_the_next_has_room_for_as_much() {
    let mut output = Output::new();
    let body = Body::from(Bytes::from(vec![7; 5000]));
    for _ in 0..100 {
        output.deliver(CHANNEL, b"tag", &delivery(&body), FRAME_MAX);
    }
    output.heartbeat();
    let all: usize = drain(&mut output).len();
    let kept = output.kept_bytes();
    output.heartbeat();
    let room = output.kept_bytes();

    assert_eq!(kept, 0);
    let headers = all - 100 * 5000;
    assert!((headers..headers + 512).contains(&room), "{room} bytes of room for {headers}");
}

#[test]
fn a_client_that_says_little_is_answered_in_a_small_buffer_whatever_came_before() {
    let mut output = Output::new();
    for _ in 0..100_000 {
        output.ack(CHANNEL, DeliveryTag(1), false);
    }
    drain(&mut output);

    let mut rooms = Vec::new();
    for _ in 0..20 {
        output.heartbeat();
        rooms.push(output.kept_bytes());
        drain(&mut output);
    }

    assert_eq!((rooms[0], rooms[19]), (64 * 1024, 512));
}

#[test]
fn get_ok_and_return_carry_their_content() {
    let body = Body::from(Bytes::from_static(b"hi"));
    let content = [wire::content_header(3, 2, wire::PERSISTENT), wire::body(3, b"hi")].concat();
    let mut output = Output::new();

    output.get_ok(CHANNEL, &delivery(&body), 5, FRAME_MAX);
    let arguments: [&[u8]; 5] =
        [&9_u64.to_be_bytes(), &[1], &wire::short(b"x"), &wire::short(b"k"), &[0, 0, 0, 5]];
    let get_ok = wire::method(3, 60, 71, &arguments);
    assert_eq!(drain(&mut output), [get_ok, content.clone()].concat());

    output.basic_return(
        CHANNEL,
        ReplyCode::NoRoute,
        b"x",
        b"k",
        wire::PERSISTENT,
        &body,
        FRAME_MAX,
    );
    let arguments: [&[u8]; 4] =
        [&[1, 0x38], &wire::short(b"NO_ROUTE"), &wire::short(b"x"), &wire::short(b"k")];
    assert_eq!(drain(&mut output), [wire::method(3, 60, 50, &arguments), content].concat());
}

#[test]
fn confirms_are_acks_and_nacks() {
    let mut output = Output::new();

    output.ack(CHANNEL, DeliveryTag(4), true);
    output.nack(CHANNEL, DeliveryTag(5), false);

    let ack = wire::ack(3, 4, true);
    let nack = wire::method(3, 60, 120, &[&5_u64.to_be_bytes(), &[0]]);
    assert_eq!(drain(&mut output), [ack, nack].concat());
}

#[test]
fn a_name_that_is_too_long_is_cut_in_a_reply() {
    let mut output = Output::new();

    output.reply(CHANNEL, &Reply::Blocked { reason: "ü".repeat(200) });

    let [(1, 3, payload)] = &wire::frames(&drain(&mut output))[..] else { panic!("one method") };
    assert_eq!(payload[4..], wire::short("ü".repeat(127).as_bytes()));
}
