//! One frame: type, channel, payload, end octet.

use crate::wire::MethodId;

/// A method.
pub const FRAME_METHOD: u8 = 1;
/// A content header.
pub const FRAME_HEADER: u8 = 2;
/// A piece of a body.
pub const FRAME_BODY: u8 = 3;
/// A heartbeat.
pub const FRAME_HEARTBEAT: u8 = 8;
/// What every frame ends with.
pub const FRAME_END: u8 = 0xCE;

/// A frame as it was read or is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type octet.
    pub kind: u8,
    /// The channel.
    pub channel: u16,
    /// All between the length and the end octet.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with_end(FRAME_END)
    }

    /// The bytes on the wire, with any last octet.
    pub fn encode_with_end(&self, end: u8) -> Vec<u8> {
        let size = u32::try_from(self.payload.len()).expect("nothing in a test is 4 GiB long");
        let mut out = Vec::with_capacity(self.payload.len().saturating_add(8));
        out.push(self.kind);
        out.extend(self.channel.to_be_bytes());
        out.extend(size.to_be_bytes());
        out.extend(&self.payload);
        out.push(end);
        out
    }

    /// Class and number, if this is a method.
    pub fn method(&self) -> Option<MethodId> {
        if self.kind != FRAME_METHOD {
            return None;
        }
        let [a, b, c, d] = *self.payload.first_chunk::<4>()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    /// The arguments of a method: all after class and number.
    pub fn arguments(&self) -> &[u8] {
        self.payload.get(4..).unwrap_or_default()
    }
}
