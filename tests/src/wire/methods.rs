//! The frames that most tests send.

use std::ops::BitOr;

use crate::wire::frame::{FRAME_BODY, FRAME_HEADER, Frame};
use crate::wire::id;
use crate::wire::pack::{Field, Pack};

/// Bytes of a body that go into one frame: what fits RabbitMQ's default frame size.
const BODY_FRAME_BYTES: usize = 131_072 - 8;

/// The bits of a declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// Only look whether it exists.
    pub const PASSIVE: Self = Self(1);
    /// Survives a restart.
    pub const DURABLE: Self = Self(2);
    /// Of a queue: for this connection alone. (Of an exchange the same bit says auto-delete.)
    pub const EXCLUSIVE: Self = Self(4);
    /// Of an exchange: goes with its last binding.
    pub const EXCHANGE_AUTO_DELETE: Self = Self(4);
    /// Of a queue: goes with its last consumer.
    pub const AUTO_DELETE: Self = Self(8);
    /// Of an exchange: no client may publish to it.
    pub const INTERNAL: Self = Self(8);
    /// No answer is wanted.
    pub const NOWAIT: Self = Self(16);
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// connection.start-ok with the mechanism PLAIN.
pub fn plain_start_ok(user: &str, password: &str, properties: &[(String, Field)]) -> Vec<u8> {
    Pack::method(id::START_OK)
        .table(properties)
        .short("PLAIN")
        .long(format!("\0{user}\0{password}").as_bytes())
        .short("en_US")
        .frame(0)
}

/// queue.declare
pub fn declare_queue(
    channel: u16,
    name: &str,
    flags: Flags,
    arguments: &[(String, Field)],
) -> Vec<u8> {
    Pack::method(id::QUEUE_DECLARE).u16(0).short(name).u8(flags.0).table(arguments).frame(channel)
}

/// queue.delete, whatever it holds and whoever uses it
pub fn delete_queue(channel: u16, name: &str) -> Vec<u8> {
    Pack::method(id::QUEUE_DELETE).u16(0).short(name).u8(0).frame(channel)
}

/// queue.bind, without arguments
pub fn bind_queue(channel: u16, queue: &str, exchange: &str, key: &str) -> Vec<u8> {
    Pack::method(id::QUEUE_BIND)
        .u16(0)
        .short(queue)
        .short(exchange)
        .short(key)
        .u8(0)
        .table(&[])
        .frame(channel)
}

/// exchange.declare
pub fn declare_exchange(
    channel: u16,
    name: &str,
    kind: &str,
    flags: Flags,
    arguments: &[(String, Field)],
) -> Vec<u8> {
    Pack::method(id::EXCHANGE_DECLARE)
        .u16(0)
        .short(name)
        .short(kind)
        .u8(flags.0)
        .table(arguments)
        .frame(channel)
}

/// basic.consume; bit 2 is no-ack, bit 4 exclusive, bit 8 nowait.
pub fn consume(
    channel: u16,
    queue: &str,
    tag: &str,
    bits: u8,
    arguments: &[(String, Field)],
) -> Vec<u8> {
    Pack::method(id::CONSUME)
        .u16(0)
        .short(queue)
        .short(tag)
        .u8(bits)
        .table(arguments)
        .frame(channel)
}

/// basic.get
pub fn get(channel: u16, queue: &str, no_ack: bool) -> Vec<u8> {
    Pack::method(id::GET).u16(0).short(queue).u8(u8::from(no_ack)).frame(channel)
}

/// basic.ack, basic.reject or basic.nack: `bits` as that method has them.
pub fn settle(channel: u16, method: (u16, u16), tag: u64, bits: u8) -> Vec<u8> {
    Pack::method(method).u64(tag).u8(bits).frame(channel)
}

/// basic.publish with its header and body; `properties` are the flags and what they announce.
pub fn publish(
    channel: u16,
    exchange: &str,
    key: &str,
    bits: u8,
    properties: &[u8],
    body: &[u8],
) -> Vec<u8> {
    let mut out =
        Pack::method(id::PUBLISH).u16(0).short(exchange).short(key).u8(bits).frame(channel);
    let size = u64::try_from(body.len()).expect("64 bits are enough for any body");
    let header = Pack::empty().u16(60).u16(0).u64(size).raw(properties).bytes();
    out.extend(Frame { kind: FRAME_HEADER, channel, payload: header }.encode());
    for piece in body.chunks(BODY_FRAME_BYTES) {
        out.extend(Frame { kind: FRAME_BODY, channel, payload: piece.to_vec() }.encode());
    }
    out
}
