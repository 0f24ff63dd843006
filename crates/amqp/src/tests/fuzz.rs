//! Bytes that nobody would send. Nothing may panic, and nothing may grow by what is only announced.
//!
//! `BOLERO_RANDOM_ITERATIONS` and `BOLERO_RANDOM_TEST_TIME_MS` make it longer.

use bytes::BytesMut;
use warren_types::{ChannelNumber, Table};

use super::peer::{Peer, config};
use super::wire;
use crate::method::{HotMethod, MethodId, parse};
use crate::{Event, Output, header, sasl};

const ITERATIONS: usize = 20_000;

/// Shows a connection some bytes in two portions, plays a caller that agrees to everything, and
/// checks what it keeps.
fn converse(mut peer: Peer, bytes: &[u8]) {
    let shown = bytes.len();
    let (first, second) = bytes.split_at(shown / 3);
    let mut kept = 0;
    for portion in [first, second, b"", b""] {
        let mut events = Vec::new();
        let outcome = peer.send_into(portion, &mut events);
        for event in &events {
            kept += event_bytes(event);
            answer(&mut peer, event);
        }
        if let Err(error) = outcome {
            assert!(error.text().len() <= 255);
            peer.connection.close_connection(&error, &mut peer.output);
        }
    }
    let unfinished = usize::try_from(peer.connection.unfinished_bytes()).unwrap();
    assert!(kept + unfinished + peer.input.len() <= shown, "more is kept than was shown");
    peer.written();
}

fn event_bytes(event: &Event) -> usize {
    match event {
        Event::Publish { header, body, .. } => header.len() + body.len(),
        _ => 0,
    }
}

fn answer(peer: &mut Peer, event: &Event) {
    let (connection, output) = (&mut peer.connection, &mut peer.output);
    match event {
        Event::StartOk { response, .. } => {
            drop((sasl::plain(response), sasl::amqplain(response)));
            connection.accept_login(output);
        }
        Event::Open { .. } => connection.accept_open(output),
        Event::ChannelOpen { channel } => connection.accept_channel(*channel, output),
        Event::ChannelClosed { channel, .. } => connection.channel_close_ok(*channel, output),
        Event::ChannelError { channel, error } => {
            connection.close_channel(*channel, error, output);
        }
        Event::ConnectionClose { .. } => connection.connection_close_ok(output),
        Event::Publish { header, body, .. } => {
            let delivery = crate::Delivery {
                tag: warren_types::DeliveryTag(1),
                redelivered: false,
                exchange: b"",
                routing_key: b"",
                header,
                body,
            };
            output.deliver(ChannelNumber(1), b"", &delivery, 4096);
            header::Properties::decode(header).expect("it was checked");
        }
        _ => {}
    }
}

#[test]
fn any_bytes_from_the_start() {
    bolero::check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        converse(Peer::new(config()), bytes);
        converse(Peer::new(config()), &[wire::PROTOCOL_HEADER, bytes].concat());
    });
}

#[test]
fn any_bytes_in_use() {
    bolero::check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        converse(Peer::running(), bytes);
    });
}

/// Frames that are whole, with any type, channel and payload: these get past the framing.
#[test]
fn any_frames_in_use() {
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<(u8, u8, Vec<u8>)>>().for_each(
        |frames| {
            let frame = |(kind, channel, payload): &(u8, u8, Vec<u8>)| {
                wire::frame(kind % 4, u16::from(channel % 3), payload)
            };
            let bytes: Vec<u8> = frames.iter().flat_map(frame).collect();
            converse(Peer::running(), &bytes);
        },
    );
}

/// Methods, contents and broken contents by choice, so that the deeper states are met.
#[test]
fn any_course_of_a_channel() {
    bolero::check!().with_iterations(ITERATIONS).with_type::<Vec<(u8, u8, u8)>>().for_each(
        |steps| {
            let step = |(step, channel, size): &(u8, u8, u8)| {
                let (channel, size) = (u16::from(channel % 3), usize::from(*size));
                let body = vec![b'x'; size];
                match step % 12 {
                    0 => wire::channel_open(channel),
                    1 => wire::close(channel, 20),
                    2 => wire::close_ok(channel, 20),
                    3 => wire::publish(channel, b"x", b"k", 0),
                    4 => wire::content_header(
                        channel,
                        u64::try_from(size).unwrap(),
                        wire::PERSISTENT,
                    ),
                    5 => wire::body(channel, &body),
                    6 => wire::content_header(channel, u64::MAX >> (size % 64), wire::PERSISTENT),
                    7 => wire::ack(channel, 1, true),
                    8 => wire::method(channel, 50, 10, &[&[0, 0, 0, 0], &wire::long(&body)]),
                    9 => wire::close(0, 10),
                    _ => wire::message(channel, &body, 4096),
                }
            };
            let bytes: Vec<u8> = steps.iter().flat_map(step).collect();
            converse(Peer::running(), &bytes);
        },
    );
}

#[test]
fn any_arguments_of_any_method() {
    bolero::check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        for method in MethodId::ALL {
            drop(parse(*method, bytes));
            let _ = HotMethod::decode(*method, bytes);
        }
    });
}

#[test]
fn any_content_header() {
    bolero::check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        let well_formed = header::check(bytes).is_ok();
        let decoded = header::Properties::decode(bytes);
        assert_eq!(well_formed, decoded.is_ok());
        let changed = [
            header::replace_headers(bytes, Some(&Table::new())),
            header::replace_headers(bytes, None),
            header::replace_reply_to(bytes, Some("me")),
            header::replace_reply_to(bytes, None),
            header::replace_timestamp(bytes, 1),
            header::remove_expiration(bytes),
        ];
        for bytes in changed {
            assert!(!well_formed || header::check(&bytes).is_ok(), "a change spoils nothing");
        }
        if well_formed {
            assert_eq!(header::headers_table(bytes).unwrap(), decoded.unwrap().headers);
        }
        let readers = (header::priority(bytes), header::delivery_mode(bytes));
        let _ =
            (readers, header::expiration(bytes), header::user_id(bytes), header::reply_to(bytes));
    });
}

#[test]
fn any_table() {
    bolero::check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        if let Ok(table) = Table::decode(bytes) {
            let mut again = BytesMut::new();
            table.encode(&mut again);
            // Compared as text: a float that is no number is not equal to itself.
            let back = Table::decode(&again).expect("what was written is read");
            assert_eq!(format!("{back:?}"), format!("{table:?}"));
        }
    });
}

#[test]
fn an_empty_output_stays_empty_while_nothing_is_decided() {
    let mut peer = Peer::running();

    peer.send(&[1, 0, 0]).unwrap();

    assert_eq!(peer.output.len(), Output::new().len());
}
