//! Bytes mean the same however the network cuts them.

use proptest::prelude::*;

use super::peer::{Peer, config};
use super::wire;
use crate::{ConnectionError, Event};

/// One thing a client sends while its connection is in use.
fn sent() -> impl Strategy<Value = Vec<u8>> {
    let channel = 1..4_u16;
    prop_oneof![
        (channel.clone(), any::<u64>()).prop_map(|(channel, tag)| wire::ack(channel, tag, false)),
        (channel.clone(), proptest::collection::vec(any::<u8>(), 0..10_000))
            .prop_map(|(channel, body)| wire::message(channel, &body, 4096)),
        channel.clone().prop_map(|channel| wire::method(channel, 90, 20, &[])),
        channel.prop_map(|channel| wire::method(
            channel,
            50,
            10,
            &[&[0, 0], &wire::short(b"q"), &[2], &wire::table("k", b'I', &[0, 0, 0, 1])],
        )),
        Just(wire::frame(8, 0, b"")),
        // One in twenty breaks a rule.
        Just(wire::ack(9, 1, false)),
        Just([&wire::ack(1, 1, false)[..18], &[0]].concat()),
    ]
}

fn running() -> Peer {
    let mut peer = Peer::running_with(config(), &wire::tune_ok(0, 4096, 0));
    peer.send(&[wire::channel_open(2), wire::channel_open(3)].concat()).unwrap();
    peer
}

/// All events, and the error if there was one, from bytes that come in portions.
fn heard<'a>(
    mut peer: Peer,
    portions: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Event>, Result<(), ConnectionError>) {
    let mut events = Vec::new();
    for portion in portions {
        if let Err(error) = peer.send_into(portion, &mut events) {
            return (events, Err(error));
        }
    }
    (events, Ok(()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(100)))]

    #[test]
    fn portions_do_not_matter(
        stream in proptest::collection::vec(sent(), 1..12),
        sizes in proptest::collection::vec(prop_oneof![1..20_usize, 100..9000_usize], 1..6),
    ) {
        let stream = stream.concat();
        let whole = heard(running(), std::iter::once(&stream[..]));

        let mut rest = &stream[..];
        let portions = sizes.iter().cycle().map_while(|size| {
            let (portion, behind) = rest.split_at((*size).min(rest.len()));
            rest = behind;
            (!portion.is_empty()).then_some(portion)
        });
        let in_portions = heard(running(), portions);

        prop_assert!(whole == in_portions);
    }
}

/// How many cases to try: `default`, or what the environment says.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

#[test]
fn a_handshake_byte_by_byte_comes_to_the_same() {
    let login = wire::start_ok(&wire::capability("basic.nack"), "PLAIN", b"\0u\0p");
    let stream = [
        wire::PROTOCOL_HEADER.to_vec(),
        login,
        wire::tune_ok(0, 8192, 5),
        wire::open("/"),
        wire::channel_open(1),
        wire::message(1, b"hello", 8192),
    ]
    .concat();
    let listen = |portion: usize| {
        let mut peer = Peer::new(config());
        let mut events = Vec::new();
        for bytes in stream.chunks(portion) {
            peer.send_into(bytes, &mut events).unwrap();
            while peer.connection.awaits_decision() {
                peer.connection.accept_login(&mut peer.output);
                peer.connection.accept_open(&mut peer.output);
                peer.send_into(b"", &mut events).unwrap();
            }
        }
        (events, peer.written())
    };

    let whole = listen(stream.len());
    let byte_by_byte = listen(1);

    assert_eq!(whole.0.len(), 5);
    assert_eq!(whole, byte_by_byte);
}
