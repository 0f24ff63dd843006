//! The socket, the handshake, and waiting for what should come.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::wire::frame::{FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, Frame};
use crate::wire::methods::{Flags, declare_queue, get, plain_start_ok, publish};
use crate::wire::pack::{Field, Pack, Unpack, pairs};
use crate::wire::{MethodId, id};

/// How long anything may take. Generous, because tests share a machine with compilers.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes read from the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// What the broker said last, when a test asks for anything it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A frame.
    Frame(Frame),
    /// The connection ended.
    End,
}

/// What reading from the socket came to.
enum Reading {
    /// More bytes, or a reason to try again.
    More,
    /// The end of the connection.
    End,
    /// Nothing, and the time is up.
    Nothing,
}

/// The arguments of connection.close or channel.close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The channel that was closed; 0 is the connection.
    pub channel: u16,
    /// The reply code.
    pub code: u16,
    /// The reply text.
    pub text: String,
    /// Class and number of the method that is blamed.
    pub method: MethodId,
}

impl Close {
    /// The close that a frame is, if it is one.
    pub fn of(frame: &Frame) -> Option<Self> {
        let is_close = matches!(frame.method(), Some(id::CLOSE | id::CHANNEL_CLOSE));
        if frame.kind != FRAME_METHOD || !is_close {
            return None;
        }
        let mut arguments = Unpack::new(frame.arguments());
        let (code, text) = (arguments.u16(), arguments.short());
        let method = (arguments.u16(), arguments.u16());
        Some(Self { channel: frame.channel, code, text, method })
    }
}

/// A message that came by basic.deliver, basic.get-ok or basic.return.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// The consumer's tag; empty for get and return.
    pub consumer: String,
    /// The delivery tag; 0 for return.
    pub tag: u64,
    /// Whether it is flagged as delivered before.
    pub redelivered: bool,
    /// The exchange that it was published to.
    pub exchange: String,
    /// The routing key that it was published with.
    pub key: String,
    /// Messages left, for get; the reply code, for return.
    pub number: u32,
    /// Property flags and properties, as they came.
    pub properties: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

/// Who connects, and to what.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The user's password.
    pub password: &'a str,
    /// The vhost.
    pub vhost: &'a str,
    /// Seconds between heartbeats; 0: none.
    pub heartbeat_seconds: u16,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Self { user: "guest", password: "guest", vhost: "/", heartbeat_seconds: 0 }
    }
}

/// A connection to a broker.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    patience: Duration,
    /// The table of connection.start.
    pub server_properties: Vec<(String, Field)>,
    /// What connection.tune offered: channels, frame bytes, heartbeat seconds.
    pub offered: (u16, u32, u16),
}

impl Wire {
    /// A bare socket: nothing is sent.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).context("cannot connect")?;
        Self::over(stream, PATIENCE)
    }

    /// A conversation over a socket that is connected, from either side.
    pub fn over(stream: TcpStream, patience: Duration) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: Vec::new(),
            patience,
            server_properties: Vec::new(),
            offered: (0, 0, 0),
        })
    }

    /// A connection that guest has opened to the vhost `/`, without heartbeats.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Self::open_as(address, "guest", "guest")
    }

    /// As [`Wire::open`], as somebody else.
    pub fn open_as(address: SocketAddr, user: &str, password: &str) -> Result<Self> {
        let mut wire = Self::begin(address)?;
        wire.send(&plain_start_ok(user, password, &capabilities()))?;
        wire.tune(0)?;
        Ok(wire)
    }

    /// As [`Wire::open_channel`], with no more patience than this, also later.
    pub fn open_channel_within(address: SocketAddr, patience: Duration) -> Result<Self> {
        Self::open_channel_for(address, patience, &Guest::default())
    }

    /// As [`Wire::open_channel_within`], for somebody else, elsewhere, or with heartbeats, which
    /// the caller sends.
    pub fn open_channel_for(
        address: SocketAddr,
        patience: Duration,
        guest: &Guest<'_>,
    ) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience).context("cannot connect")?;
        let mut wire = Self::over(stream, patience)?;
        wire.shake_hands()?;
        wire.send(&plain_start_ok(guest.user, guest.password, &capabilities()))?;
        wire.tune_in(guest.heartbeat_seconds, guest.vhost)?;
        wire.channel(1)?;
        Ok(wire)
    }

    /// As [`Wire::open`], with channel 1 open.
    pub fn open_channel(address: SocketAddr) -> Result<Self> {
        let mut wire = Self::open(address)?;
        wire.channel(1)?;
        Ok(wire)
    }

    /// A connection on which the broker has said connection.start.
    pub fn begin(address: SocketAddr) -> Result<Self> {
        let mut wire = Self::connect(address)?;
        wire.shake_hands()?;
        Ok(wire)
    }

    /// As [`Wire::open`], with another vhost and channel 1 open.
    pub fn open_channel_in(address: SocketAddr, vhost: &str) -> Result<Self> {
        let mut wire = Self::begin(address)?;
        wire.send(&plain_start_ok("guest", "guest", &capabilities()))?;
        wire.tune_in(0, vhost)?;
        wire.channel(1)?;
        Ok(wire)
    }

    /// Takes connection.tune, accepts it with this heartbeat, and opens the vhost `/`.
    pub fn tune(&mut self, heartbeat_seconds: u16) -> Result<()> {
        self.tune_in(heartbeat_seconds, "/")
    }

    fn tune_in(&mut self, heartbeat_seconds: u16, vhost: &str) -> Result<()> {
        let tune = self.expect(0, id::TUNE)?;
        let mut arguments = Unpack::new(tune.arguments());
        self.offered = (arguments.u16(), arguments.u32(), arguments.u16());
        let (channels, frame_bytes, _) = self.offered;
        self.send(
            &Pack::method(id::TUNE_OK)
                .u16(channels)
                .u32(frame_bytes)
                .u16(heartbeat_seconds)
                .frame(0),
        )?;
        self.send(&Pack::method(id::OPEN).short(vhost).short("").u8(0).frame(0))?;
        self.expect(0, id::OPEN_OK)?;
        Ok(())
    }

    /// Opens a channel.
    pub fn channel(&mut self, channel: u16) -> Result<()> {
        self.call(
            channel,
            Pack::method(id::CHANNEL_OPEN).short("").frame(channel),
            id::CHANNEL_OPEN_OK,
        )?;
        Ok(())
    }

    /// Waits at most this long from here on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// The socket, for tests that treat it badly.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("cannot send")
    }

    /// Sends bytes that the broker may refuse half way: a reset is not an error here.
    pub fn send_lossy(&mut self, bytes: &[u8]) {
        // The broker's last words are what the test asks for next.
        drop(self.stream.write_all(bytes));
    }

    /// Ends our half of the connection; the broker's half stays.
    pub fn end_output(&self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).context("cannot shut down")
    }

    /// Sends a method and waits for its answer.
    pub fn call(&mut self, channel: u16, bytes: Vec<u8>, answer: MethodId) -> Result<Frame> {
        self.send(&bytes)?;
        self.expect(channel, answer)
    }

    /// The next frame or the end of the connection. Heartbeats are passed over, and gain no time.
    pub fn hear(&mut self) -> Result<Heard> {
        let until = Instant::now() + self.patience;
        loop {
            match self.hear_within(until.saturating_duration_since(Instant::now()))? {
                Some(Heard::Frame(frame)) if frame.kind == FRAME_HEARTBEAT => {}
                Some(other) => return Ok(other),
                None => bail!("the broker said nothing more within {:?}", self.patience),
            }
        }
    }

    /// The next frame, be it a heartbeat, or the end of the connection.
    pub fn hear_any(&mut self) -> Result<Heard> {
        let heard = self.hear_within(self.patience)?;
        heard.with_context(|| format!("the broker said nothing more within {:?}", self.patience))
    }

    /// The next frame, be it a heartbeat, or the end of the connection, or nothing for so long.
    pub fn hear_within(&mut self, patience: Duration) -> Result<Option<Heard>> {
        let until = Instant::now() + patience;
        loop {
            if let Some(frame) = self.cut_frame()? {
                return Ok(Some(Heard::Frame(frame)));
            }
            match self.read_more(until)? {
                Reading::More => {}
                Reading::End => return Ok(Some(Heard::End)),
                Reading::Nothing => return Ok(None),
            }
        }
    }

    /// The next frame, whatever it is.
    pub fn frame(&mut self) -> Result<Frame> {
        match self.hear()? {
            Heard::Frame(frame) => Ok(frame),
            Heard::End => bail!("the broker closed the connection"),
        }
    }

    /// The next frame, which must be this method on this channel.
    pub fn expect(&mut self, channel: u16, method: MethodId) -> Result<Frame> {
        let frame =
            self.frame().with_context(|| format!("waiting for {method:?} on channel {channel}"))?;
        if frame.channel == channel && frame.method() == Some(method) {
            return Ok(frame);
        }
        match Close::of(&frame) {
            Some(close) => bail!(
                "waited for {method:?} on channel {channel}, but the broker closed: {close:?}"
            ),
            None => bail!(
                "waited for {method:?} on channel {channel}, but heard {:?} on {}",
                frame.method(),
                frame.channel
            ),
        }
    }

    /// The next frame, which must close a channel or the connection; answers it.
    pub fn expect_close(&mut self) -> Result<Close> {
        let frame = self.frame().context("waiting for a close")?;
        let Some(close) = Close::of(&frame) else {
            bail!("waited for a close, but heard {:?} on {}", frame.method(), frame.channel);
        };
        let answer = if close.channel == 0 { id::CLOSE_OK } else { id::CHANNEL_CLOSE_OK };
        self.send_lossy(&Pack::method(answer).frame(close.channel));
        Ok(close)
    }

    /// Waits until the broker closes the socket; frames before that are passed over.
    pub fn expect_end(&mut self) -> Result<()> {
        while let Heard::Frame(_) = self.hear()? {}
        Ok(())
    }

    /// All bytes until the broker closes the socket.
    pub fn bytes_until_end(&mut self) -> Result<Vec<u8>> {
        let until = Instant::now() + self.patience;
        loop {
            match self.read_more(until)? {
                Reading::More => {}
                Reading::End => return Ok(std::mem::take(&mut self.input)),
                Reading::Nothing => {
                    bail!("the broker does not end the connection within {:?}", self.patience)
                }
            }
        }
    }

    /// The next frame, which must begin a message; takes the rest of it too.
    pub fn message(&mut self, channel: u16) -> Result<Delivered> {
        let first = self.frame().context("waiting for a message")?;
        self.message_after(channel, &first)
    }

    /// The rest of the message that begins with this method.
    pub fn message_after(&mut self, channel: u16, first: &Frame) -> Result<Delivered> {
        let mut message = match first.method() {
            Some(method) if first.channel == channel => begin_message(method, first)?,
            other => bail!(
                "waited for a message, but heard {other:?} on {}: {:?}",
                first.channel,
                Close::of(first)
            ),
        };
        let header = self.frame()?;
        if header.kind != FRAME_HEADER || header.channel != channel {
            bail!("no content header after the method but {header:?}");
        }
        let mut arguments = Unpack::new(&header.payload);
        let (_class, _weight) = (arguments.u16(), arguments.u16());
        let size = usize::try_from(arguments.u64())?;
        message.properties = arguments.rest().to_vec();
        while message.body.len() < size {
            let piece = self.frame()?;
            if piece.channel != channel || piece.payload.is_empty() {
                bail!("no body after the header but {piece:?}");
            }
            message.body.extend(piece.payload);
        }
        Ok(message)
    }

    /// Declares a queue and tells its name, ready messages and consumers.
    pub fn declare(
        &mut self,
        channel: u16,
        name: &str,
        flags: Flags,
        arguments: &[(&str, Field)],
    ) -> Result<(String, u32, u32)> {
        let answer = self.call(
            channel,
            declare_queue(channel, name, flags, &pairs(arguments)),
            id::QUEUE_DECLARE_OK,
        )?;
        let mut fields = Unpack::new(answer.arguments());
        Ok((fields.short(), fields.u32(), fields.u32()))
    }

    /// Publishes to the default exchange, without properties.
    pub fn publish_to(&mut self, channel: u16, queue: &str, body: &[u8]) -> Result<()> {
        self.send(&publish(channel, "", queue, 0, &[0, 0], body))
    }

    /// Takes one message with basic.get.
    pub fn get(&mut self, channel: u16, queue: &str, no_ack: bool) -> Result<Option<Delivered>> {
        self.send(&get(channel, queue, no_ack))?;
        let first = self.frame()?;
        if first.method() == Some(id::GET_EMPTY) {
            return Ok(None);
        }
        self.message_after(channel, &first).map(Some)
    }

    /// Closes the connection in order.
    pub fn close(mut self) -> Result<()> {
        self.send(&Pack::method(id::CLOSE).u16(200).short("bye").u16(0).u16(0).frame(0))?;
        while self.frame()?.method() != Some(id::CLOSE_OK) {}
        Ok(())
    }

    fn shake_hands(&mut self) -> Result<()> {
        self.send(b"AMQP\0\0\x09\x01")?;
        let start = self.expect(0, id::START)?;
        let mut arguments = Unpack::new(start.arguments());
        let _version = (arguments.u8(), arguments.u8());
        self.server_properties = arguments.table();
        Ok(())
    }

    fn cut_frame(&mut self) -> Result<Option<Frame>> {
        let Some(&[kind, c0, c1, s0, s1, s2, s3]) = self.input.first_chunk::<7>() else {
            return Ok(None);
        };
        if self.input.starts_with(b"AMQP") {
            bail!("the broker answered with a protocol header: {:?}", self.input);
        }
        let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3]))?;
        let whole = size.saturating_add(8);
        if self.input.len() < whole {
            return Ok(None);
        }
        let rest = self.input.split_off(whole);
        let mut bytes = std::mem::replace(&mut self.input, rest);
        if bytes.pop() != Some(crate::wire::FRAME_END) {
            bail!("the broker sent a frame without its end octet");
        }
        let payload = bytes.split_off(7);
        Ok(Some(Frame { kind, channel: u16::from_be_bytes([c0, c1]), payload }))
    }

    fn read_more(&mut self, until: Instant) -> Result<Reading> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Reading::Nothing);
        }
        // Not the socket's own timeout: the kernel counts that in ticks of some milliseconds.
        let mut sockets = [PollFd::new(&self.stream, PollFlags::IN)];
        let timeout = Timespec::try_from(left).context("a patience of centuries")?;
        match poll(&mut sockets, Some(&timeout)) {
            Ok(0) => return Ok(Reading::Nothing),
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Reading::More),
            Err(error) => return Err(error).context("cannot poll"),
        }
        let mut piece = vec![0; READ_BYTES];
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(Reading::End),
            Ok(count) => {
                self.input.extend(piece.get(..count).expect("read says how much it wrote"));
                Ok(Reading::More)
            }
            Err(error) => match error.kind() {
                // The broker's side may end with a reset when we sent more than it wanted to read.
                ErrorKind::ConnectionReset => Ok(Reading::End),
                ErrorKind::Interrupted => Ok(Reading::More),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(Reading::Nothing),
                _ => Err(error).context("cannot read"),
            },
        }
    }
}

/// The client properties that our own client sends: every capability that a client may announce.
pub fn capabilities() -> Vec<(String, Field)> {
    let on = |name: &str| (name.to_owned(), Field::Bool(true));
    let list = [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
    ];
    pairs(&[
        ("product", Field::text("wire")),
        ("capabilities", Field::Table(list.map(on).to_vec())),
    ])
}

fn begin_message(method: MethodId, frame: &Frame) -> Result<Delivered> {
    let mut arguments = Unpack::new(frame.arguments());
    let mut message = Delivered {
        consumer: String::new(),
        tag: 0,
        redelivered: false,
        exchange: String::new(),
        key: String::new(),
        number: 0,
        properties: Vec::new(),
        body: Vec::new(),
    };
    match method {
        id::DELIVER => {
            message.consumer = arguments.short();
            message.tag = arguments.u64();
            message.redelivered = arguments.u8() != 0;
        }
        id::GET_OK => {
            message.tag = arguments.u64();
            message.redelivered = arguments.u8() != 0;
        }
        id::RETURN => {
            message.number = u32::from(arguments.u16());
            let _text = arguments.short();
        }
        other => bail!("waited for a message, but heard {other:?}: {:?}", Close::of(frame)),
    }
    message.exchange = arguments.short();
    message.key = arguments.short();
    if method == id::GET_OK {
        message.number = arguments.u32();
    }
    Ok(message)
}
