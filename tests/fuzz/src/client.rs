//! A connection and whoever is behind it, who says what the input says and agrees to everything.

use bytes::BytesMut;
use warren_amqp::{Config, Connection, Event, Output};
use warren_types::Table;

/// The protocol header, connection.start-ok of guest, tune-ok, open of `/`, channel.open of 1.
const ENTRANCE: &[u8] = include_bytes!("entrance.bin");

/// Bytes from somebody who has not said anything.
pub(crate) fn strange(bytes: &[u8]) {
    converse(&mut Peer::new(), bytes);
}

/// Bytes from somebody who has a channel.
pub(crate) fn known(bytes: &[u8]) {
    let mut peer = Peer::new();
    peer.hear(ENTRANCE);
    assert_eq!(peer.channels, 1, "the entrance leads in");
    converse(&mut peer, bytes);
}

/// Shows the connection some bytes in two portions, and checks what it keeps.
fn converse(peer: &mut Peer, bytes: &[u8]) {
    let (first, second) = bytes.split_at(bytes.len() / 3);
    for portion in [first, second, b"", b""] {
        if !peer.hear(portion) {
            break;
        }
    }
    let unfinished = usize::try_from(peer.connection.unfinished_bytes()).expect("inputs are short");
    let kept = unfinished + peer.input.len();
    assert!(kept <= bytes.len(), "{kept} bytes are kept of {}", bytes.len());
}

struct Peer {
    connection: Connection,
    input: BytesMut,
    output: Output,
    channels: usize,
}

impl Peer {
    fn new() -> Self {
        Self {
            connection: Connection::new(Config::new(Table::new())),
            input: BytesMut::new(),
            output: Output::new(),
            channels: 0,
        }
    }

    /// Whether there is more to be said. Frames behind a decision wait for it, so it goes on until
    /// nothing comes any more.
    fn hear(&mut self, bytes: &[u8]) -> bool {
        self.input.extend_from_slice(bytes);
        loop {
            let mut events = Vec::new();
            let outcome = self.connection.receive(&mut self.input, &mut events, &mut self.output);
            for event in &events {
                self.answer(event);
            }
            if let Err(error) = outcome {
                self.connection.close_connection(&error, &mut self.output);
                return false;
            }
            if events.is_empty() {
                return true;
            }
        }
    }

    fn answer(&mut self, event: &Event) {
        let (connection, output) = (&mut self.connection, &mut self.output);
        match event {
            Event::StartOk { .. } => connection.accept_login(output),
            Event::Open { .. } => connection.accept_open(output),
            Event::ChannelOpen { channel } => {
                self.channels += 1;
                connection.accept_channel(*channel, output);
            }
            Event::ChannelClosed { channel, .. } => connection.channel_close_ok(*channel, output),
            Event::ChannelError { channel, error } => {
                connection.close_channel(*channel, error, output);
            }
            Event::ConnectionClose { .. } => connection.connection_close_ok(output),
            _ => {}
        }
    }
}
