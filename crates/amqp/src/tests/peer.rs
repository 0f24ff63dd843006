//! A connection under test, with its input, events and output at hand.

use std::io::IoSlice;

use bytes::BytesMut;
use warren_types::{ChannelNumber, Table, Value};

use super::wire;
use crate::connection::Config;
use crate::{Connection, ConnectionError, Event, Output};

pub(crate) struct Peer {
    pub(crate) connection: Connection,
    pub(crate) input: BytesMut,
    pub(crate) output: Output,
}

pub(crate) fn config() -> Config {
    let mut properties = Table::new();
    properties.insert("product", Value::text("test"));
    Config::new(properties)
}

impl Peer {
    pub(crate) fn new(config: Config) -> Self {
        let (input, output) = (BytesMut::new(), Output::new());
        Self { connection: Connection::new(config), input, output }
    }

    /// A connection in use, as `tune_ok` left it, with channel 1 open.
    pub(crate) fn running_with(config: Config, tune_ok: &[u8]) -> Self {
        let mut peer = Self::new(config);
        peer.send(wire::PROTOCOL_HEADER).unwrap();
        peer.send(&wire::start_ok(&wire::long(b""), "PLAIN", b"\0u\0p")).unwrap();
        peer.connection.accept_login(&mut peer.output);
        peer.send(&[tune_ok, &wire::open("/")].concat()).unwrap();
        peer.connection.accept_open(&mut peer.output);
        peer.send(&wire::channel_open(1)).unwrap();
        peer.connection.accept_channel(ChannelNumber(1), &mut peer.output);
        peer.written();
        peer
    }

    pub(crate) fn running() -> Self {
        Self::running_with(config(), &wire::tune_ok(2047, 4096, 60))
    }

    /// Shows the connection some bytes and returns the events, if it did not fail.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<Vec<Event>, ConnectionError> {
        let mut events = Vec::new();
        self.send_into(bytes, &mut events).map(|()| events)
    }

    pub(crate) fn send_into(
        &mut self,
        bytes: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionError> {
        self.input.extend_from_slice(bytes);
        self.connection.receive(&mut self.input, events, &mut self.output)
    }

    /// What the connection wrote since it was asked last.
    pub(crate) fn written(&mut self) -> Vec<u8> {
        drain(&mut self.output)
    }
}

/// Takes everything out of `output`, a few slices at a time.
pub(crate) fn drain(output: &mut Output) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !output.is_empty() {
        let mut slices = [IoSlice::new(&[]); 3];
        let filled = output.slices(&mut slices);
        let before = bytes.len();
        for slice in &slices[..filled] {
            bytes.extend_from_slice(slice);
        }
        output.advance(bytes.len() - before);
    }
    bytes
}
