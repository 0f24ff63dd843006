//! Bytes out, packed in advance, and bytes in, read no further than needed.

use anyhow::{Result, bail};

use crate::wire::{FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_METHOD, id, publish};

/// Stream (2 bytes), number (6) and time (8) at the start of each body.
pub const STAMP_BYTES: usize = 16;

/// Bytes of a batch, about: what one write hands to the kernel.
const BATCH_BYTES: usize = 64 * 1024;

/// A batch of publishes to one queue, in which only the stamps change.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Bytes of one publish with header and body.
    stride: usize,
    /// Where the stamp begins in it.
    stamp: usize,
    /// Messages in the batch.
    pub capacity: usize,
}

impl Batch {
    /// Packs as many publishes to an exchange with a key as fill a batch.
    pub fn new((exchange, key): (&str, &str), stream: u16, size: usize, persistent: bool) -> Self {
        let properties: &[u8] = if persistent { &[0x10, 0, 2] } else { &[0x10, 0, 1] };
        let mut body = vec![b'.'; size];
        body[..2].copy_from_slice(&stream.to_be_bytes());
        let one = publish(1, exchange, key, 0, properties, &body);
        let capacity = BATCH_BYTES.div_ceil(one.len());
        // A publish with the same names and no body tells where the body begins: 7 bytes later.
        let stamp = publish(1, exchange, key, 0, properties, &[]).len() + 7;
        Self { bytes: one.repeat(capacity), stride: one.len(), stamp, capacity }
    }

    /// The bytes of so many messages, numbered from `first`, sent at `time`.
    pub fn stamped(&mut self, count: usize, first: u64, time: u64) -> &[u8] {
        for (number, message) in (first..).zip(self.bytes.chunks_exact_mut(self.stride).take(count))
        {
            message[self.stamp + 2..self.stamp + 8].copy_from_slice(&number.to_be_bytes()[2..]);
            message[self.stamp + 8..self.stamp + 16].copy_from_slice(&time.to_be_bytes());
        }
        &self.bytes[..count * self.stride]
    }
}

/// What is read of a stream of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// basic.ack or basic.nack.
    Confirm {
        /// The last message that is meant.
        tag: u64,
        /// Whether all before it are meant as well.
        multiple: bool,
        /// Whether it was taken.
        taken: bool,
    },
    /// A message is complete.
    Delivered {
        /// Its delivery tag.
        tag: u64,
        /// Whether it is flagged.
        redelivered: bool,
        /// Publisher and queue.
        stream: u16,
        /// Its number in the stream.
        number: u64,
        /// When it was sent.
        time: u64,
    },
}

/// Cuts frames from bytes as they come.
#[derive(Debug, Default)]
pub struct Parser {
    /// Delivery tag and flag of the message that is being read.
    method: (u64, bool),
    /// Bytes of the body that have not come.
    missing: u64,
    /// The stamp, from the first body frame.
    stamp: Option<(u16, u64, u64)>,
}

impl Parser {
    /// Reads all whole frames and tells how many bytes they had.
    pub fn parse(&mut self, bytes: &[u8], mut on: impl FnMut(Event)) -> Result<usize> {
        let mut at = 0;
        while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<7>()) {
            let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            let end = at + 7 + size;
            let Some(&last) = bytes.get(end) else { break };
            if last != FRAME_END {
                bail!("a frame without its end octet");
            }
            let payload = &bytes[at + 7..end];
            match head[0] {
                FRAME_METHOD => self.method(payload, &mut on)?,
                FRAME_HEADER => self.missing = u64_at(payload, 4),
                FRAME_BODY => self.body(payload, &mut on),
                _ => {}
            }
            at = end + 1;
        }
        Ok(at)
    }

    fn method(&mut self, payload: &[u8], on: &mut impl FnMut(Event)) -> Result<()> {
        let number = (u16_at(payload, 0), u16_at(payload, 2));
        match number {
            id::DELIVER => {
                let tag = 5 + usize::from(payload[4]);
                self.method = (u64_at(payload, tag), payload[tag + 8] != 0);
            }
            id::ACK | id::NACK => {
                let multiple = payload[12] & 1 == 1;
                on(Event::Confirm { tag: u64_at(payload, 4), multiple, taken: number == id::ACK });
            }
            id::CLOSE | id::CHANNEL_CLOSE => {
                let text = payload.get(7..7 + usize::from(payload[6])).unwrap_or_default();
                bail!(
                    "the broker closed: {} {}",
                    u16_at(payload, 4),
                    String::from_utf8_lossy(text)
                );
            }
            id::CANCEL => bail!("the broker cancelled a consumer"),
            _ => {}
        }
        Ok(())
    }

    fn body(&mut self, payload: &[u8], on: &mut impl FnMut(Event)) {
        if self.stamp.is_none() && payload.len() >= STAMP_BYTES {
            let number = u64_at(payload, 0) & 0xffff_ffff_ffff;
            self.stamp = Some((u16_at(payload, 0), number, u64_at(payload, 8)));
        }
        self.missing = self.missing.saturating_sub(payload.len() as u64);
        if self.missing == 0 {
            let (stream, number, time) = self.stamp.take().unwrap_or_default();
            let (tag, redelivered) = self.method;
            on(Event::Delivered { tag, redelivered, stream, number, time });
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Frame, Pack};

    #[test]
    fn a_batch_is_the_publishes_with_their_stamps() {
        let mut batch = Batch::new(("", "q"), 7, 30, true);

        let bytes = batch.stamped(2, 41, 99).to_vec();

        let body =
            |number: u32| Pack::empty().u16(7).u16(0).u32(number).u64(99).raw(&[b'.'; 14]).bytes();
        let mut expected = publish(1, "", "q", 0, &[0x10, 0, 2], &body(41));
        expected.extend(publish(1, "", "q", 0, &[0x10, 0, 2], &body(42)));
        assert_eq!(bytes, expected);
        assert!(batch.bytes.len() >= BATCH_BYTES && batch.bytes.len() < BATCH_BYTES + batch.stride);
    }

    #[test]
    fn deliveries_and_confirms_are_found_however_the_bytes_are_cut() {
        let mut bytes =
            Pack::method(id::DELIVER).short("tag").u64(5).u8(1).short("").short("q").frame(1);
        let header = Pack::empty().u16(60).u16(0).u64(25).u16(0).bytes();
        bytes.extend(Frame { kind: FRAME_HEADER, channel: 1, payload: header }.encode());
        let body = Pack::empty().u16(3).u16(0).u32(4).u64(6).raw(b"123456789").bytes();
        bytes.extend(Frame { kind: FRAME_BODY, channel: 1, payload: body[..22].to_vec() }.encode());
        bytes.extend(Frame { kind: FRAME_BODY, channel: 1, payload: body[22..].to_vec() }.encode());
        bytes.extend(Pack::method(id::ACK).u64(9).u8(1).frame(1));
        let expected = [
            Event::Delivered { tag: 5, redelivered: true, stream: 3, number: 4, time: 6 },
            Event::Confirm { tag: 9, multiple: true, taken: true },
        ];

        for cut in 0..bytes.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            let used = parser.parse(&bytes[..cut], |event| events.push(event)).unwrap();
            let rest = parser.parse(&bytes[used..], |event| events.push(event)).unwrap();

            assert_eq!(used + rest, bytes.len());
            assert_eq!(events, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_close_is_an_error_with_its_text() {
        let close =
            Pack::method(id::CHANNEL_CLOSE).u16(404).short("NOT_FOUND").u16(0).u16(0).frame(1);

        let error = Parser::default().parse(&close, |_| {}).unwrap_err();

        assert_eq!(error.to_string(), "the broker closed: 404 NOT_FOUND");
    }
}
