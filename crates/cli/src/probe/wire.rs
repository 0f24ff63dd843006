//! As much AMQP 0-9-1 as a probe takes: log in, publish with confirms, consume with automatic acks.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::http::connect;

/// Class and number of a method.
type Method = (u16, u16);

const START: Method = (10, 10);
const START_OK: Method = (10, 11);
const TUNE: Method = (10, 30);
const TUNE_OK: Method = (10, 31);
const OPEN: Method = (10, 40);
const OPEN_OK: Method = (10, 41);
const CLOSE: Method = (10, 50);
const CHANNEL_OPEN: Method = (20, 10);
const CHANNEL_OPEN_OK: Method = (20, 11);
const CHANNEL_CLOSE: Method = (20, 40);
const CONSUME: Method = (60, 20);
const CONSUME_OK: Method = (60, 21);
const CANCEL: Method = (60, 30);
const PUBLISH: Method = (60, 40);
const ACK: Method = (60, 80);
const NACK: Method = (60, 120);
const SELECT: Method = (85, 10);
const SELECT_OK: Method = (85, 11);

const METHOD_FRAME: u8 = 1;
const HEADER_FRAME: u8 = 2;
const BODY_FRAME: u8 = 3;
const FRAME_END: u8 = 0xCE;

/// Bytes of a frame beside its payload: kind, channel and size before it, the end behind it.
const FRAME_AROUND: usize = 8;

/// A frame that no broker sends to a probe, whose messages are a few bytes.
const FRAME_MOST_BYTES: usize = 1 << 20;

/// The only channel.
const CHANNEL: u16 = 1;

/// That the only property is the delivery mode.
const DELIVERY_MODE: u16 = 0x1000;

/// The delivery mode of messages that are kept on disk.
const PERSISTENT: u8 = 2;

/// Who logs in, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) vhost: &'a str,
}

/// What the broker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing until the time was up, or nothing of interest.
    Nothing,
    /// basic.ack
    Confirmed { tag: u64, multiple: bool },
    /// basic.nack
    Refused { tag: u64, multiple: bool },
    /// A message, by its number.
    Delivered(u64),
}

/// A connection with one channel.
pub(super) struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
}

/// A frame.
struct Frame {
    kind: u8,
    payload: Vec<u8>,
}

impl Wire {
    /// Connects and logs in, and has publishes confirmed.
    pub(super) fn open(
        host: (&str, u16),
        login: &Login<'_>,
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut stream = connect(host, deadline)?;
        stream.set_nodelay(true)?;
        stream.write_all(b"AMQP\0\0\x09\x01")?;
        let mut wire = Self { stream, input: Vec::new() };
        wire.expect(START, deadline)?;
        let Login { user, password, vhost } = login;
        let response = format!("\0{user}\0{password}");
        let words = Pack::new(START_OK).table().short("PLAIN").long(&response).short("en_US");
        wire.send(0, words)?;
        let tune = wire.expect(TUNE, deadline)?;
        // No heartbeats: who is silent for long is what a probe is there to see.
        let offered = tune.get(..6).ok_or_else(senseless)?;
        wire.send(0, Pack::new(TUNE_OK).bytes(offered).bytes(&[0, 0]))?;
        wire.send(0, Pack::new(OPEN).short(vhost).short("").bytes(&[0]))?;
        wire.expect(OPEN_OK, deadline)?;
        wire.send(CHANNEL, Pack::new(CHANNEL_OPEN).short(""))?;
        wire.expect(CHANNEL_OPEN_OK, deadline)?;
        wire.send(CHANNEL, Pack::new(SELECT).bytes(&[0]))?;
        wire.expect(SELECT_OK, deadline)?;
        Ok(wire)
    }

    /// Has all messages of a queue sent here, which counts as their acknowledgement.
    pub(super) fn consume(&mut self, queue: &str, deadline: Instant) -> io::Result<()> {
        const NO_ACK: u8 = 2;
        let consume = Pack::new(CONSUME).bytes(&[0, 0]).short(queue).short("").bytes(&[NO_ACK]);
        self.send(CHANNEL, consume.table())?;
        self.expect(CONSUME_OK, deadline).map(drop)
    }

    /// Publishes a message that is its number.
    pub(super) fn publish(&mut self, queue: &str, number: u64) -> io::Result<()> {
        let body = number.to_be_bytes();
        let method = Pack::new(PUBLISH).bytes(&[0, 0]).short("").short(queue).bytes(&[0]);
        let mut header = Vec::new();
        header.extend(PUBLISH.0.to_be_bytes());
        header.extend([0, 0]);
        header.extend(8_u64.to_be_bytes());
        header.extend(DELIVERY_MODE.to_be_bytes());
        header.push(PERSISTENT);
        let mut burst = framed(METHOD_FRAME, CHANNEL, &method.payload);
        burst.extend(framed(HEADER_FRAME, CHANNEL, &header));
        burst.extend(framed(BODY_FRAME, CHANNEL, &body));
        self.stream.write_all(&burst)
    }

    /// What the broker says until the deadline.
    pub(super) fn hear(&mut self, deadline: Instant) -> io::Result<Heard> {
        let Some(Frame { kind, payload }) = self.frame(deadline)? else {
            return Ok(Heard::Nothing);
        };
        // A body of ours is a number, and in one frame.
        if kind == BODY_FRAME {
            return Ok(Heard::Delivered(number(&payload)?));
        }
        if kind != METHOD_FRAME {
            return Ok(Heard::Nothing);
        }
        let (method, arguments) = method(&payload)?;
        let tag = || -> io::Result<(u64, bool)> {
            let bits = arguments.get(8).copied().ok_or_else(senseless)?;
            Ok((number(arguments)?, bits & 1 == 1))
        };
        match method {
            ACK => tag().map(|(tag, multiple)| Heard::Confirmed { tag, multiple }),
            NACK => tag().map(|(tag, multiple)| Heard::Refused { tag, multiple }),
            CANCEL => Err(io::Error::other("the broker has ended the consumer")),
            CLOSE | CHANNEL_CLOSE => Err(closed(arguments)),
            _ => Ok(Heard::Nothing),
        }
    }

    fn send(&mut self, channel: u16, words: Pack) -> io::Result<()> {
        self.stream.write_all(&framed(METHOD_FRAME, channel, &words.payload))
    }

    /// The arguments of that method, which must come next.
    fn expect(&mut self, wanted: Method, deadline: Instant) -> io::Result<Vec<u8>> {
        let frame = self.frame(deadline)?.ok_or(io::ErrorKind::TimedOut)?;
        let (method, arguments) = method(&frame.payload)?;
        match method {
            method if method == wanted => Ok(arguments.to_vec()),
            CLOSE | CHANNEL_CLOSE => Err(closed(arguments)),
            _ => Err(senseless()),
        }
    }

    /// The next frame, if it comes in time.
    fn frame(&mut self, deadline: Instant) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = taken(&mut self.input)? {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // No time at all would mean for ever.
            self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend(bytes.iter().take(count)),
                Err(error) if is_late(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether nothing came, as opposed to something bad.
fn is_late(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// Takes the first frame, if it is there as a whole.
fn taken(input: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let [kind, _, _, a, b, c, d, ..] = input.as_slice() else { return Ok(None) };
    let kind = *kind;
    let size = u32::from_be_bytes([*a, *b, *c, *d]);
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > FRAME_MOST_BYTES {
        return Err(senseless());
    }
    let whole = size + FRAME_AROUND;
    let Some(end) = input.get(whole - 1) else { return Ok(None) };
    if *end != FRAME_END {
        return Err(senseless());
    }
    let payload = input.get(7..whole - 1).unwrap_or_default().to_vec();
    input.drain(..whole);
    Ok(Some(Frame { kind, payload }))
}

/// The method of a frame and its arguments.
fn method(payload: &[u8]) -> io::Result<(Method, &[u8])> {
    let [a, b, c, d, arguments @ ..] = payload else { return Err(senseless()) };
    Ok(((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])), arguments))
}

/// The number that bytes begin with.
fn number(bytes: &[u8]) -> io::Result<u64> {
    let bytes = bytes.first_chunk().ok_or_else(senseless)?;
    Ok(u64::from_be_bytes(*bytes))
}

/// What connection.close or channel.close says.
fn closed(arguments: &[u8]) -> io::Error {
    let [a, b, length, rest @ ..] = arguments else { return senseless() };
    let text = rest.get(..usize::from(*length)).unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    io::Error::other(format!("{} {text}", u16::from_be_bytes([*a, *b])))
}

fn senseless() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is not what AMQP has here")
}

fn framed(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("what a probe says is short");
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(size.to_be_bytes());
    frame.extend(payload);
    frame.push(FRAME_END);
    frame
}

/// A method in the making.
struct Pack {
    payload: Vec<u8>,
}

impl Pack {
    fn new(method: Method) -> Self {
        let mut payload = Vec::new();
        payload.extend(method.0.to_be_bytes());
        payload.extend(method.1.to_be_bytes());
        Self { payload }
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.payload.extend(bytes);
        self
    }

    /// A text of less than 256 bytes.
    fn short(mut self, text: &str) -> Self {
        self.payload.push(u8::try_from(text.len()).expect("what a probe says is short"));
        self.bytes(text.as_bytes())
    }

    fn long(mut self, text: &str) -> Self {
        let size = u32::try_from(text.len()).expect("what a probe says is short");
        self.payload.extend(size.to_be_bytes());
        self.bytes(text.as_bytes())
    }

    /// A table with nothing in it.
    fn table(self) -> Self {
        self.bytes(&[0; 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole_and_leaves_what_follows() {
        let mut input = framed(BODY_FRAME, CHANNEL, &7_u64.to_be_bytes());
        let whole = input.clone();
        input.push(METHOD_FRAME);
        let mut part = whole.get(..whole.len() - 1).expect("it is longer").to_vec();

        let frame = taken(&mut input).expect("it makes sense").expect("it is there");

        assert_eq!((frame.kind, number(&frame.payload).expect("a number")), (BODY_FRAME, 7));
        assert_eq!(input, [METHOD_FRAME]);
        assert!(taken(&mut part).expect("it makes sense").is_none());
    }

    #[test]
    fn a_frame_without_its_end_is_an_error() {
        let mut input = framed(BODY_FRAME, CHANNEL, b"abc");
        *input.last_mut().expect("it has bytes") = 0;

        assert!(taken(&mut input).is_err());
    }

    #[test]
    fn what_closes_a_connection_is_told_in_the_brokers_words() {
        let words = Pack { payload: Vec::new() }.bytes(&320_u16.to_be_bytes()).short("bye");

        assert_eq!(closed(&words.payload).to_string(), "320 bye");
    }
}
