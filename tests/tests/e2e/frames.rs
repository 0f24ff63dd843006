//! What only the frames themselves can tell: their order, their sizes, and bad neighbours.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use warren_tests::node::unique;
use warren_tests::wire::{
    FRAME_BODY, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, Field, Flags, Frame, Heard, PATIENCE,
    Pack, Unpack, Wire, capabilities, consume, declare_queue, delete_queue, id, pairs,
    plain_start_ok, publish, settle,
};

use crate::support::{assert_serves, broker};

/// Bits of basic.publish.
const MANDATORY: u8 = 1;
/// Bits of basic.consume.
const NO_ACK: u8 = 2;

#[test]
fn a_return_comes_before_the_ack_of_its_message() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK).unwrap();

    for tag in 1..=3 {
        wire.send(&publish(1, "", "nowhere at all", MANDATORY, &[0, 0], b"back")).unwrap();

        let returned = wire.message(1).unwrap();
        assert_eq!((returned.number, returned.body.as_slice()), (312, &b"back"[..]));
        let ack = wire.expect(1, id::ACK).unwrap();
        assert_eq!(Unpack::new(ack.arguments()).u64(), tag);
    }
}

#[test]
fn confirms_of_many_publishes_cover_each_exactly_once() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    let queue = own_queue(&mut wire);
    wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK).unwrap();
    let many: Vec<u8> = (0..1000).flat_map(|_| publish(1, "", &queue, 0, &[0, 0], b"x")).collect();

    wire.send(&many).unwrap();

    let mut open: Vec<bool> = vec![true; 1001];
    open[0] = false;
    while open.iter().any(|open| *open) {
        let ack = wire.expect(1, id::ACK).unwrap();
        let mut arguments = Unpack::new(ack.arguments());
        let (tag, multiple) = (usize::try_from(arguments.u64()).unwrap(), arguments.u8() == 1);
        assert!(open[tag], "{tag} was confirmed before");
        let first = if multiple { 0 } else { tag };
        open[first..=tag].fill(false);
    }
}

#[test]
fn bodies_come_in_frames_of_the_agreed_size_without_an_empty_one() {
    let frame_bytes = 8192;
    let mut wire = Wire::begin(broker()).unwrap();
    wire.send(&plain_start_ok("guest", "guest", &capabilities())).unwrap();
    wire.expect(0, id::TUNE).unwrap();
    wire.send(&Pack::method(id::TUNE_OK).u16(10).u32(frame_bytes).u16(0).frame(0)).unwrap();
    wire.call(0, Pack::method(id::OPEN).short("/").short("").u8(0).frame(0), id::OPEN_OK).unwrap();
    wire.channel(1).unwrap();
    let queue = own_queue(&mut wire);
    let room = usize::try_from(frame_bytes).unwrap() - 8;

    for (size, expected) in [
        (0, vec![]),
        (1, vec![1]),
        (room, vec![room]),
        (room + 1, vec![room, 1]),
        (3 * room, vec![room, room, room]),
    ] {
        wire.send(&begin_content(&queue, size)).unwrap();
        for piece in vec![b'x'; size].chunks(room) {
            wire.send(&Frame { kind: FRAME_BODY, channel: 1, payload: piece.to_vec() }.encode())
                .unwrap();
        }
        wire.call(1, get(&queue), id::GET_OK).unwrap();
        assert_eq!(wire.frame().unwrap().kind, FRAME_HEADER);
        let mut sizes = Vec::new();
        while sizes.iter().sum::<usize>() < size {
            sizes.push(wire.frame().unwrap().payload.len());
        }

        assert_eq!(sizes, expected);
        wire.call(1, get(&queue), id::GET_EMPTY).unwrap();
    }
}

#[test]
fn a_body_in_many_small_frames_and_an_empty_one_is_put_together() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    let queue = own_queue(&mut wire);

    wire.send(&begin_content(&queue, 5)).unwrap();
    for piece in [&b"a"[..], b"", b"bcd", b"e"] {
        wire.send(&Frame { kind: FRAME_BODY, channel: 1, payload: piece.to_vec() }.encode())
            .unwrap();
    }

    assert_eq!(wire.get(1, &queue, true).unwrap().unwrap().body, b"abcde");
}

#[test]
fn contents_on_two_channels_may_be_interleaved() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    wire.channel(2).unwrap();
    let queue = own_queue(&mut wire);
    let piece =
        |channel, body: &[u8]| Frame { kind: FRAME_BODY, channel, payload: body.to_vec() }.encode();
    let on = |channel, size: u64| {
        let mut bytes =
            Pack::method(id::PUBLISH).u16(0).short("").short(&queue).u8(0).frame(channel);
        let payload = Pack::empty().u16(60).u16(0).u64(size).u16(0).bytes();
        bytes.extend(Frame { kind: FRAME_HEADER, channel, payload }.encode());
        bytes
    };

    for bytes in [on(1, 4), on(2, 2), piece(1, b"on"), piece(2, b"2!"), piece(1, b"e!")] {
        wire.send(&bytes).unwrap();
    }
    wire.call(2, Pack::method(id::QOS).u32(0).u16(0).u8(0).frame(2), id::QOS_OK).unwrap();

    let mut bodies = [
        wire.get(1, &queue, true).unwrap().unwrap().body,
        wire.get(1, &queue, true).unwrap().unwrap().body,
    ];
    bodies.sort();
    assert_eq!(bodies, [b"2!".to_vec(), b"one!".to_vec()]);
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    let queue = own_queue(&mut wire);

    for byte in publish(1, "", &queue, 0, &[0, 0], b"slow") {
        wire.send(&[byte]).unwrap();
    }

    assert_eq!(wire.get(1, &queue, true).unwrap().unwrap().body, b"slow");
}

#[test]
fn everything_may_be_sent_before_anything_is_answered() {
    let queue = unique("pipe");
    let mut wire = Wire::connect(broker()).unwrap();
    let mut bytes = b"AMQP\0\0\x09\x01".to_vec();
    bytes.extend(plain_start_ok("guest", "guest", &capabilities()));
    bytes.extend(Pack::method(id::TUNE_OK).u16(2047).u32(131_072).u16(0).frame(0));
    bytes.extend(Pack::method(id::OPEN).short("/").short("").u8(0).frame(0));
    bytes.extend(Pack::method(id::CHANNEL_OPEN).short("").frame(1));
    bytes.extend(declare_queue(1, &queue, Flags::EXCLUSIVE, &[]));
    bytes.extend(publish(1, "", &queue, 0, &[0, 0], b"x"));
    bytes.extend(get(&queue));

    wire.send(&bytes).unwrap();

    for (channel, method) in [
        (0, id::START),
        (0, id::TUNE),
        (0, id::OPEN_OK),
        (1, id::CHANNEL_OPEN_OK),
        (1, id::QUEUE_DECLARE_OK),
        (1, id::GET_OK),
    ] {
        wire.expect(channel, method).unwrap();
    }
}

#[test]
fn between_close_and_close_ok_everything_on_the_channel_is_passed_over() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    let queue = own_queue(&mut wire);

    wire.send(&settle(1, id::ACK, 77, 0)).unwrap();
    wire.send(&publish(1, "", &queue, 0, &[0, 0], b"too late")).unwrap();
    wire.send(&get(&queue)).unwrap();
    let close = wire.expect_close().unwrap();
    wire.channel(1).unwrap();

    assert_eq!((close.channel, close.code), (1, 406));
    assert!(wire.get(1, &queue, true).unwrap().is_none());
}

#[test]
fn a_channel_error_leaves_the_other_channels_alone() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    wire.channel(2).unwrap();
    let queue = own_queue(&mut wire);
    wire.call(1, consume(1, &queue, "mine", NO_ACK, &[]), id::CONSUME_OK).unwrap();

    wire.send(&settle(2, id::ACK, 1, 0)).unwrap();
    let close = wire.expect_close().unwrap();
    wire.publish_to(1, &queue, b"still served").unwrap();

    assert_eq!(close.channel, 2);
    assert_eq!(wire.message(1).unwrap().body, b"still served");
}

#[test]
fn a_client_without_the_capability_is_not_told_that_its_consumer_is_gone() {
    let mut wire = Wire::begin(broker()).unwrap();
    wire.send(&plain_start_ok("guest", "guest", &[])).unwrap();
    wire.tune(0).unwrap();
    wire.channel(1).unwrap();
    let queue = own_queue(&mut wire);
    wire.call(1, consume(1, &queue, "t", 0, &[]), id::CONSUME_OK).unwrap();

    let delete = delete_queue(1, &queue);
    wire.call(1, delete, id::QUEUE_DELETE_OK).unwrap();

    wire.call(1, Pack::method(id::QOS).u32(0).u16(1).u8(0).frame(1), id::QOS_OK).unwrap();
}

#[test]
fn a_client_with_the_capability_gets_basic_cancel_with_its_tag() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    let queue = own_queue(&mut wire);
    wire.call(1, consume(1, &queue, "t", 0, &[]), id::CONSUME_OK).unwrap();

    wire.send(&delete_queue(1, &queue)).unwrap();

    // Which of the two comes first is not promised.
    let frames = [wire.frame().unwrap(), wire.frame().unwrap()];
    let cancel = frames.iter().find(|frame| frame.method() == Some(id::CANCEL)).unwrap();
    let mut arguments = Unpack::new(cancel.arguments());
    assert_eq!((arguments.short().as_str(), arguments.u8()), ("t", 1));
    assert!(frames.iter().any(|frame| frame.method() == Some(id::QUEUE_DELETE_OK)));
}

#[test]
fn old_and_rare_methods_are_answered() {
    let mut wire = Wire::open_channel(broker()).unwrap();

    let request = Pack::method(id::ACCESS_REQUEST).short("/data").u8(0x1F).frame(1);
    let granted = wire.call(1, request, id::ACCESS_REQUEST_OK).unwrap();
    let flow = wire.call(1, Pack::method(id::FLOW).u8(1).frame(1), id::FLOW_OK).unwrap();
    let secret = Pack::method(id::UPDATE_SECRET).long(b"guest").short("rotation").frame(0);
    wire.call(0, secret, id::UPDATE_SECRET_OK).unwrap();

    assert_eq!(Unpack::new(granted.arguments()).u16(), 1);
    assert_eq!(flow.arguments(), [1]);
}

#[test]
fn unbinding_an_exchange_is_answered_with_number_51() {
    let mut wire = Wire::open_channel(broker()).unwrap();

    let unbind = Pack::method(id::EXCHANGE_UNBIND)
        .u16(0)
        .short("amq.fanout")
        .short("amq.direct")
        .short("k")
        .u8(0)
        .table(&[]);

    wire.call(1, unbind.frame(1), (40, 51)).unwrap();
}

#[test]
fn heartbeats_come_and_a_client_that_sends_none_is_dropped() {
    let mut wire = Wire::begin(broker()).unwrap();
    wire.send(&plain_start_ok("guest", "guest", &capabilities())).unwrap();
    wire.tune(1).unwrap();
    let start = Instant::now();

    let mut beats = 0;
    while let Heard::Frame(frame) = wire.hear_any().unwrap() {
        assert_eq!((frame.kind, frame.channel, frame.payload.len()), (FRAME_HEARTBEAT, 0, 0));
        beats += 1;
    }

    assert!(beats >= 2, "{beats} heartbeats");
    assert!(start.elapsed() >= Duration::from_millis(1500), "dropped after {:?}", start.elapsed());
}

#[test]
fn a_client_that_sends_heartbeats_stays() {
    let mut wire = Wire::begin(broker()).unwrap();
    wire.send(&plain_start_ok("guest", "guest", &capabilities())).unwrap();
    wire.tune(1).unwrap();

    // An answer to each beat of the broker: many times the limit of two missed intervals.
    for _ in 0..10 {
        let Heard::Frame(frame) = wire.hear_any().unwrap() else { panic!("dropped") };
        assert_eq!(frame.kind, FRAME_HEARTBEAT);
        wire.send(&Frame { kind: FRAME_HEARTBEAT, channel: 0, payload: Vec::new() }.encode())
            .unwrap();
    }

    wire.channel(1).unwrap();
}

#[test]
fn any_traffic_counts_as_a_heartbeat() {
    let mut wire = Wire::begin(broker()).unwrap();
    wire.send(&plain_start_ok("guest", "guest", &capabilities())).unwrap();
    wire.tune(1).unwrap();
    wire.channel(1).unwrap();
    let start = Instant::now();

    while start.elapsed() < Duration::from_secs(4) {
        let qos = Pack::method(id::QOS).u32(0).u16(1).u8(0).frame(1);
        wire.call(1, qos, id::QOS_OK).unwrap();
    }
}

#[test]
fn half_open_sockets_cost_nobody_else_anything() {
    let idle: Vec<Wire> = (0..100).map(|_| Wire::connect(broker()).unwrap()).collect();

    assert_serves(broker(), "a hundred sockets that say nothing");
    drop(idle);
}

#[test]
fn a_client_that_vanishes_in_mid_message_leaves_nothing_behind() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    let queue = unique("half");
    wire.declare(1, &queue, Flags::DURABLE, &[]).unwrap();

    let whole = publish(1, "", &queue, 0, &[0, 0], &[b'x'; 10_000]);
    wire.send(&whole[..whole.len() - 5_000]).unwrap();
    drop(wire);

    let mut other = Wire::open_channel(broker()).unwrap();
    assert!(other.get(1, &queue, true).unwrap().is_none());
    delete(&mut other, &queue);
}

#[test]
fn a_consumer_that_never_reads_does_not_stop_the_others() {
    let queue = unique("slow");
    let mut slow = Wire::open_channel(broker()).unwrap();
    slow.declare(1, &queue, Flags::DURABLE, &[]).unwrap();
    slow.send(&consume(1, &queue, "slow", NO_ACK, &[])).unwrap();

    // More than all socket buffers between us can hold.
    let mut publisher = Wire::open_channel(broker()).unwrap();
    publisher
        .call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)
        .unwrap();
    let body = vec![b'x'; 256 * 1024];
    for _ in 0..100 {
        publisher.send(&publish(1, "", &queue, 0, &[0, 0], &body)).unwrap();
    }
    let mut confirmed = 0;
    while confirmed < 100 {
        let ack = publisher.expect(1, id::ACK).unwrap();
        confirmed = Unpack::new(ack.arguments()).u64();
    }

    assert_serves(broker(), "a consumer that never reads");
    drop(slow);
    delete(&mut publisher, &queue);
}

#[test]
fn a_publisher_that_never_reads_its_confirms_does_not_stop_the_others() {
    let mut deaf = Wire::open_channel(broker()).unwrap();
    let queue = own_queue(&mut deaf);
    deaf.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK).unwrap();
    // Mandatory and unroutable: each comes back whole, so the answers outgrow every buffer.
    let returned = publish(1, "", "nowhere at all", MANDATORY, &[0, 0], &vec![b'x'; 100_000]);
    let mut stream = deaf.stream().try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();

    // The broker stops reading from us at some point; or it buffers all of this, which is its choice.
    for _ in 0..300 {
        if stream.write_all(&returned).is_err() {
            break;
        }
    }

    assert_serves(broker(), "a publisher that never reads");
    // Our own reading would still find every answer in order.
    let mut first = [0; 7];
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first[0], FRAME_METHOD, "{queue}");
}

#[test]
fn messages_that_a_silent_consumer_holds_come_back_when_its_socket_dies() {
    let queue = unique("dies");
    let mut holder = Wire::open_channel(broker()).unwrap();
    holder.declare(1, &queue, Flags::DURABLE, &[]).unwrap();
    holder.publish_to(1, &queue, b"held").unwrap();
    holder.call(1, consume(1, &queue, "holder", 0, &[]), id::CONSUME_OK).unwrap();
    assert!(!holder.message(1).unwrap().redelivered);

    let mut other = Wire::open_channel(broker()).unwrap();
    other.call(1, consume(1, &queue, "other", 0, &[]), id::CONSUME_OK).unwrap();
    drop(holder);

    let message = other.message(1).unwrap();
    assert_eq!((message.body.as_slice(), message.redelivered), (&b"held"[..], true));
    delete(&mut other, &queue);
}

#[test]
fn a_thousand_channels_on_one_connection_work() {
    let mut wire = Wire::open(broker()).unwrap();
    let opens: Vec<u8> = (1..=1000)
        .flat_map(|channel| Pack::method(id::CHANNEL_OPEN).short("").frame(channel))
        .collect();

    wire.send(&opens).unwrap();
    // Channels are answered in any order.
    let mut opened = BTreeSet::new();
    while opened.len() < 1000 {
        let frame = wire.frame().unwrap();
        assert!(
            frame.method() == Some(id::CHANNEL_OPEN_OK) && opened.insert(frame.channel),
            "{frame:?}"
        );
    }
    let queue = own_queue(&mut wire);
    wire.publish_to(999, &queue, b"x").unwrap();
    wire.call(999, Pack::method(id::QOS).u32(0).u16(0).u8(0).frame(999), id::QOS_OK).unwrap();

    assert_eq!(wire.get(1000, &queue, true).unwrap().unwrap().body, b"x");
}

#[test]
fn unknown_arguments_are_kept_and_compared() {
    let mut wire = Wire::open_channel(broker()).unwrap();
    let queue = unique("args");
    let own = [("x-our-own", Field::Array(vec![Field::Bool(true), Field::Void]))];
    wire.declare(1, &queue, Flags::EXCLUSIVE, &own).unwrap();

    wire.declare(1, &queue, Flags::EXCLUSIVE, &own).unwrap();
    wire.call(1, declare_queue(1, &queue, Flags::EXCLUSIVE, &pairs(&own)), id::QUEUE_DECLARE_OK)
        .unwrap();
}

fn own_queue(wire: &mut Wire) -> String {
    let queue = unique("frames");
    wire.declare(1, &queue, Flags::EXCLUSIVE, &[]).unwrap();
    queue
}

fn delete(wire: &mut Wire, queue: &str) {
    wire.send(&delete_queue(1, queue)).unwrap();
    while wire.frame().unwrap().method() != Some(id::QUEUE_DELETE_OK) {}
}

fn get(queue: &str) -> Vec<u8> {
    warren_tests::wire::get(1, queue, true)
}

fn begin_content(queue: &str, size: usize) -> Vec<u8> {
    let mut bytes = Pack::method(id::PUBLISH).u16(0).short("").short(queue).u8(0).frame(1);
    let payload = Pack::empty().u16(60).u16(0).u64(u64::try_from(size).unwrap()).u16(0).bytes();
    bytes.extend(Frame { kind: FRAME_HEADER, channel: 1, payload }.encode());
    bytes
}
