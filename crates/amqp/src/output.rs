//! What is to be sent: small things in one buffer, large bodies as they are.
//!
//! **Invariant:** the bytes are those of `segments` in order, then of `tail`; frames are
//! appended whole.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use warren_types::{ChannelNumber, DeliveryTag};

use crate::error::cut;
use crate::frame::{self, FRAME_END, FRAME_OVERHEAD};
use crate::{Body, Delivery, MethodId, Reply, ReplyCode};

/// Bodies from this size on are sent from where they lie; below it, copying is cheaper than
/// one more segment for the socket.
pub const SHARED_BODY_BYTES: usize = 4096;

/// Room that a buffer begins with, at least: what a client that says little is ever answered fits.
const ROOM_MIN_BYTES: usize = 512;

/// Room that a buffer begins with, at most: beyond it, growing costs nothing beside sending.
const ROOM_MAX_BYTES: usize = 64 * 1024;

/// Bytes on their way to the socket.
///
/// Once all of them are sent it holds no memory: of many connections most are idle.
#[derive(Debug, Default)]
pub struct Output {
    segments: VecDeque<Bytes>,
    segment_bytes: usize,
    tail: BytesMut,
    /// Bytes of `tail` that were sent already.
    sent: usize,
    /// Bytes that were in `tail` before and are in `segments`.
    split: usize,
    /// What the buffers before needed, and the next one begins with.
    room: usize,
}

impl Output {
    /// Nothing to send.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// basic.deliver with its content, split into frames of at most `frame_max` bytes.
    ///
    /// # Panics
    /// When a name is longer than 255 bytes; names that came over the wire never are.
    pub fn deliver(
        &mut self,
        channel: ChannelNumber,
        consumer_tag: &[u8],
        delivery: &Delivery<'_>,
        frame_max: u32,
    ) {
        self.method(channel, MethodId::BASIC_DELIVER, |out| {
            put_short(out, consumer_tag);
            out.put_u64(delivery.tag.0);
            out.put_u8(u8::from(delivery.redelivered));
            put_short(out, delivery.exchange);
            put_short(out, delivery.routing_key);
        });
        self.content(channel, delivery.header, delivery.body, frame_max);
    }

    /// basic.get-ok with its content; `messages` are left in the queue.
    ///
    /// # Panics
    /// When a name is longer than 255 bytes; names that came over the wire never are.
    pub fn get_ok(
        &mut self,
        channel: ChannelNumber,
        delivery: &Delivery<'_>,
        messages: u32,
        frame_max: u32,
    ) {
        self.method(channel, MethodId::BASIC_GET_OK, |out| {
            out.put_u64(delivery.tag.0);
            out.put_u8(u8::from(delivery.redelivered));
            put_short(out, delivery.exchange);
            put_short(out, delivery.routing_key);
            out.put_u32(messages);
        });
        self.content(channel, delivery.header, delivery.body, frame_max);
    }

    /// basic.return with its content. The text is the code's name, as RabbitMQ has it.
    ///
    /// # Panics
    /// When a name is longer than 255 bytes; names that came over the wire never are.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of the method, and its frame size"
    )]
    pub fn basic_return(
        &mut self,
        channel: ChannelNumber,
        code: ReplyCode,
        exchange: &[u8],
        routing_key: &[u8],
        header: &[u8],
        body: &Body,
        frame_max: u32,
    ) {
        self.method(channel, MethodId::BASIC_RETURN, |out| {
            out.put_u16(code.number());
            put_short(out, code.name().as_bytes());
            put_short(out, exchange);
            put_short(out, routing_key);
        });
        self.content(channel, header, body, frame_max);
    }

    /// basic.ack: a publish is confirmed.
    pub fn ack(&mut self, channel: ChannelNumber, tag: DeliveryTag, multiple: bool) {
        self.confirm(channel, MethodId::BASIC_ACK, tag, multiple);
    }

    /// basic.nack: a publish was refused.
    pub fn nack(&mut self, channel: ChannelNumber, tag: DeliveryTag, multiple: bool) {
        self.confirm(channel, MethodId::BASIC_NACK, tag, multiple);
    }

    /// A heartbeat.
    pub fn heartbeat(&mut self) {
        self.tail().put_slice(&frame::HEARTBEAT);
    }

    /// Any method without content.
    pub fn reply(&mut self, channel: ChannelNumber, reply: &Reply) {
        self.frame(frame::METHOD, channel, |out| reply.encode(out));
    }

    /// How many bytes are to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segment_bytes.saturating_add(self.tail.len()).saturating_sub(self.sent)
    }

    /// Whether there is nothing to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `slices` with the next bytes to be sent, for a vectored write; returns how many
    /// of them it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let unsent = self.tail.get(self.sent..).unwrap_or_default();
        let pieces = self.segments.iter().map(|segment| &**segment).chain([unsent]);
        let mut filled = 0_usize;
        for (slot, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *slot = IoSlice::new(piece);
            filled = filled.saturating_add(1);
        }
        filled
    }

    /// Forgets the first `count` bytes: they were sent.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len(), "no more is sent than there was");
        while let Some(front) = self.segments.front_mut() {
            let step = count.min(front.len());
            front.advance(step);
            self.segment_bytes = self.segment_bytes.saturating_sub(step);
            count = count.saturating_sub(step);
            if !front.is_empty() {
                return;
            }
            self.segments.pop_front();
        }
        self.sent = self.sent.saturating_add(count);
        if self.sent == self.tail.len() {
            self.give_back();
        }
    }

    /// What the buffer holds on to, written or not.
    #[cfg(test)]
    pub(crate) fn kept_bytes(&self) -> usize {
        let segments = self.segments.capacity().saturating_mul(size_of::<Bytes>());
        self.tail.capacity().saturating_add(segments)
    }

    /// A method frame whose arguments `write` appends.
    pub(crate) fn method(
        &mut self,
        channel: ChannelNumber,
        method: MethodId,
        write: impl FnOnce(&mut BytesMut),
    ) {
        self.frame(frame::METHOD, channel, |out| {
            out.put_u16(method.class);
            out.put_u16(method.method);
            write(out);
        });
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.tail().put_slice(bytes);
    }

    /// One frame in one piece: there is one of these for every publish.
    fn confirm(
        &mut self,
        channel: ChannelNumber,
        method: MethodId,
        tag: DeliveryTag,
        multiple: bool,
    ) {
        /// Two numbers of the method, the tag, the bits.
        const SIZE: u8 = 13;
        let [channel_high, channel_low] = channel.0.to_be_bytes();
        let [class_high, class_low] = method.class.to_be_bytes();
        let [method_high, method_low] = method.method.to_be_bytes();
        let [a, b, c, d, e, f, g, h] = tag.0.to_be_bytes();
        let header = [frame::METHOD, channel_high, channel_low, 0, 0, 0, SIZE];
        let method = [class_high, class_low, method_high, method_low];
        let arguments = [a, b, c, d, e, f, g, h, u8::from(multiple), FRAME_END];
        let tail = self.tail();
        tail.reserve(header.len().saturating_add(usize::from(SIZE)).saturating_add(1));
        tail.put_slice(&header);
        tail.put_slice(&method);
        tail.put_slice(&arguments);
    }

    fn frame(&mut self, kind: u8, channel: ChannelNumber, write: impl FnOnce(&mut BytesMut)) {
        let out = self.tail();
        let start = out.len();
        put_frame_header(out, kind, channel, 0);
        let payload = out.len();
        write(out);
        let size = out.len().saturating_sub(payload);
        let size = u32::try_from(size).expect("what the server says fits a frame");
        // The size stands behind the frame's type and channel.
        let at = start.saturating_add(3);
        let slot = out.get_mut(at..at.saturating_add(4)).expect("the frame header is written");
        slot.copy_from_slice(&size.to_be_bytes());
        out.put_u8(FRAME_END);
    }

    fn content(&mut self, channel: ChannelNumber, header: &[u8], body: &Body, frame_max: u32) {
        self.frame(frame::HEADER, channel, |out| {
            out.put_u16(MethodId::BASIC_PUBLISH.class);
            out.put_u16(0);
            out.put_u64(u64::try_from(body.len()).expect("a length fits 64 bits"));
            out.put_slice(header);
        });
        let room = usize::try_from(frame_max).unwrap_or(usize::MAX).saturating_sub(FRAME_OVERHEAD);
        let room = room.max(1);
        match body.pieces() {
            [small] if small.is_empty() => {}
            [small] if small.len() < SHARED_BODY_BYTES.min(room) => {
                put_frame_header(self.tail(), frame::BODY, channel, small.len());
                self.tail.put_slice(small);
                self.tail.put_u8(FRAME_END);
            }
            pieces => self.body(channel, pieces, body.len(), room),
        }
    }

    /// Body frames with at most `room` bytes each, whose bounds are not those of the pieces.
    fn body(&mut self, channel: ChannelNumber, pieces: &[Bytes], mut left: usize, room: usize) {
        let mut pieces = pieces.iter();
        let mut piece = Bytes::new();
        while left > 0 {
            let size = left.min(room);
            left = left.saturating_sub(size);
            put_frame_header(self.tail(), frame::BODY, channel, size);
            let mut wanted = size;
            while wanted > 0 {
                if piece.is_empty() {
                    piece = pieces.next().expect("a body is as long as its pieces").clone();
                }
                let part = piece.split_to(wanted.min(piece.len()));
                wanted = wanted.saturating_sub(part.len());
                self.share(part);
            }
            self.tail().put_u8(FRAME_END);
        }
    }

    /// Appends `part`, as a segment of its own if it is large.
    fn share(&mut self, part: Bytes) {
        if part.len() < SHARED_BODY_BYTES {
            self.tail().put_slice(&part);
            return;
        }
        self.split = self.split.saturating_add(self.tail.len());
        let mut before = self.tail.split();
        before.advance(self.sent);
        self.sent = 0;
        for segment in [before.freeze(), part] {
            self.segment_bytes = self.segment_bytes.saturating_add(segment.len());
            if !segment.is_empty() {
                self.segments.push_back(segment);
            }
        }
    }

    fn tail(&mut self) -> &mut BytesMut {
        if self.tail.capacity() == 0 {
            self.tail.reserve(self.room.clamp(ROOM_MIN_BYTES, ROOM_MAX_BYTES));
        }
        &mut self.tail
    }

    /// Gives the memory back, all of which was sent. The next buffer is as large as this one had to
    /// be; from much larger ones it comes down by half at a time.
    fn give_back(&mut self) {
        let needed = self.split.saturating_add(self.tail.len());
        self.room = needed.max(self.room / 2).min(ROOM_MAX_BYTES);
        (self.sent, self.split) = (0, 0);
        self.tail = BytesMut::new();
        self.segments = VecDeque::new();
    }
}

fn put_frame_header(out: &mut BytesMut, kind: u8, channel: ChannelNumber, size: usize) {
    let size = u32::try_from(size).expect("a frame's size fits 32 bits");
    out.put_u8(kind);
    out.put_u16(channel.0);
    out.put_u32(size);
}

/// A short string.
///
/// # Panics
/// Over 255 bytes.
pub(crate) fn put_short(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(u8::try_from(text.len()).expect("a short string has at most 255 bytes"));
    out.put_slice(text);
}

/// A short string of text that is cut where it is too long.
pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    put_short(out, cut(text).as_bytes());
}
