//! AMQP from the client's side, as far as simulated clients speak it, over memory.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::sync::Notify;

use crate::connection::Stream;

pub(super) const START: (u16, u16) = (10, 10);
/// connection.close
pub(super) const CLOSE: (u16, u16) = (10, 50);
pub(super) const TUNE: (u16, u16) = (10, 30);
pub(super) const OPEN_OK: (u16, u16) = (10, 41);
pub(super) const CHANNEL_OPEN_OK: (u16, u16) = (20, 11);
pub(super) const CHANNEL_CLOSE: (u16, u16) = (20, 40);
pub(super) const DECLARE_OK: (u16, u16) = (50, 11);
pub(super) const PURGE_OK: (u16, u16) = (50, 31);
pub(super) const DELETE_OK: (u16, u16) = (50, 41);
pub(super) const QOS_OK: (u16, u16) = (60, 11);
pub(super) const CONSUME_OK: (u16, u16) = (60, 21);
pub(super) const CANCEL: (u16, u16) = (60, 30);
pub(super) const CANCEL_OK: (u16, u16) = (60, 31);
pub(super) const RETURN: (u16, u16) = (60, 50);
pub(super) const DELIVER: (u16, u16) = (60, 60);
pub(super) const GET_OK: (u16, u16) = (60, 71);
pub(super) const GET_EMPTY: (u16, u16) = (60, 72);
pub(super) const ACK: (u16, u16) = (60, 80);
pub(super) const NACK: (u16, u16) = (60, 120);
pub(super) const SELECT_OK: (u16, u16) = (85, 11);

/// One direction of a client's connection.
#[derive(Default)]
struct Way {
    state: Mutex<(BytesMut, bool)>,
    change: Notify,
}

impl Way {
    fn put(&self, bytes: &[u8]) -> bool {
        let mut state = self.state.lock().unwrap();
        if state.1 {
            return false;
        }
        state.0.extend_from_slice(bytes);
        drop(state);
        self.change.notify_one();
        true
    }

    fn end(&self) {
        self.state.lock().unwrap().1 = true;
        self.change.notify_one();
    }

    async fn ready(&self) {
        loop {
            {
                let state = self.state.lock().unwrap();
                if !state.0.is_empty() || state.1 {
                    return;
                }
            }
            self.change.notified().await;
        }
    }

    /// What has come; `None` once nothing comes any more.
    fn take(&self) -> Option<BytesMut> {
        let mut state = self.state.lock().unwrap();
        let bytes = std::mem::take(&mut state.0);
        if bytes.is_empty() && state.1 { None } else { Some(bytes) }
    }
}

/// The node's end of a client's connection.
pub(super) struct Served {
    incoming: Arc<Way>,
    outgoing: Arc<Way>,
}

impl Stream for Served {
    fn set_nodelay(&self, _at_once: bool) -> io::Result<()> {
        Ok(())
    }

    async fn readable(&self) -> io::Result<()> {
        self.incoming.ready().await;
        Ok(())
    }

    async fn writable(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self.incoming.take() {
            Some(bytes) if bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            Some(bytes) => {
                buffer.extend_from_slice(&bytes);
                Ok(bytes.len())
            }
            None => Ok(0),
        }
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut count = 0;
        for slice in slices {
            if !self.outgoing.put(slice) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            count += slice.len();
        }
        Ok(count)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.incoming.end();
        self.outgoing.end();
    }
}

/// Ends a client's connection from outside, as a process does that dies.
#[derive(Clone)]
pub(super) struct Cut(Arc<Way>, Arc<Way>);

impl Cut {
    /// Also what was sent and not read is gone.
    pub(super) fn cut(&self) {
        for way in [&self.0, &self.1] {
            way.state.lock().unwrap().0.clear();
            way.end();
        }
    }
}

/// The connection has ended.
#[derive(Debug)]
pub(super) struct Ended;

/// What the broker says.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) method: (u16, u16),
    pub(super) arguments: Bytes,
    /// Of a message: its content header.
    pub(super) header: Bytes,
    /// Of a message.
    pub(super) body: Bytes,
}

/// The client's end.
pub(super) struct Wire {
    incoming: Arc<Way>,
    outgoing: Arc<Way>,
    input: BytesMut,
    /// Whether it counts as the end when the broker says that it closes the connection.
    pub(super) ends_when_told: bool,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.outgoing.end();
    }
}

/// A connection of which nothing has been said.
pub(super) fn connection() -> (Wire, Served, Cut) {
    let (there, back): (Arc<Way>, Arc<Way>) = Default::default();
    let served = Served { incoming: there.clone(), outgoing: back.clone() };
    let cut = Cut(there.clone(), back.clone());
    let input = BytesMut::new();
    (Wire { incoming: back, outgoing: there, input, ends_when_told: false }, served, cut)
}

/// The arguments of a method.
pub(super) struct Method(BytesMut);

impl Method {
    pub(super) fn new(class: u16, method: u16) -> Self {
        let mut bytes = BytesMut::new();
        bytes.put_u16(class);
        bytes.put_u16(method);
        Self(bytes)
    }

    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.put_u8(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.put_u16(value);
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.put_u32(value);
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.put_u64(value);
        self
    }

    pub(super) fn short(mut self, text: &str) -> Self {
        self.0.put_u8(u8::try_from(text.len()).unwrap());
        self.0.put_slice(text.as_bytes());
        self
    }

    pub(super) fn long(mut self, text: &[u8]) -> Self {
        self.0.put_u32(u32::try_from(text.len()).unwrap());
        self.0.put_slice(text);
        self
    }
}

impl Wire {
    fn frame(&self, kind: u8, channel: u16, payload: &[u8]) -> Result<(), Ended> {
        let mut frame = BytesMut::new();
        frame.put_u8(kind);
        frame.put_u16(channel);
        frame.put_u32(u32::try_from(payload.len()).unwrap());
        frame.put_slice(payload);
        frame.put_u8(0xce);
        if self.outgoing.put(&frame) { Ok(()) } else { Err(Ended) }
    }

    /// Sends a method on channel 1.
    pub(super) fn send(&self, method: Method) -> Result<(), Ended> {
        self.frame(1, 1, &method.0)
    }

    /// Logs in and opens channel 1.
    pub(super) async fn open(&mut self) -> Result<(), Ended> {
        self.outgoing.put(b"AMQP\0\0\x09\x01");
        self.expect(START).await?;
        let mut capability = BytesMut::new();
        capability.put_slice(b"\x16consumer_cancel_notifyt\x01");
        let mut table = BytesMut::new();
        table.put_slice(b"\x0ccapabilitiesF");
        table.put_u32(u32::try_from(capability.len()).unwrap());
        table.put_slice(&capability);
        let login = Method::new(10, 11).long(&table).short("PLAIN").long(b"\0guest\0guest");
        self.frame(1, 0, &login.short("en_US").0)?;
        self.expect(TUNE).await?;
        self.frame(1, 0, &Method::new(10, 31).u16(2047).u32(131_072).u16(0).0)?;
        self.frame(1, 0, &Method::new(10, 40).short("/").short("").u8(0).0)?;
        self.expect(OPEN_OK).await?;
        self.send(Method::new(20, 10).short(""))?;
        self.expect(CHANNEL_OPEN_OK).await?;
        Ok(())
    }

    /// Publishes to the default exchange.
    pub(super) fn publish(&self, queue: &str, body: &[u8]) -> Result<(), Ended> {
        self.send(Method::new(60, 40).u16(0).short("").short(queue).u8(0))?;
        let length = u64::try_from(body.len()).unwrap();
        // Delivery mode 2.
        let header = Method::new(60, 0).u64(length).u16(0x1000).u8(2);
        self.frame(2, 1, &header.0)?;
        self.frame(3, 1, body)
    }

    /// Publishes nothing that is worth keeping, and wants to know whether it can be routed.
    pub(super) fn publish_mandatory(&self, exchange: &str, key: &str) -> Result<(), Ended> {
        self.send(Method::new(60, 40).u16(0).short(exchange).short(key).u8(1))?;
        let header = Method::new(60, 0).u64(0).u16(0);
        self.frame(2, 1, &header.0)
    }

    /// What the broker says next, which must be this.
    pub(super) async fn expect(&mut self, method: (u16, u16)) -> Result<Said, Ended> {
        let said = self.hear().await?;
        assert_eq!(said.method, method, "{said:?}");
        Ok(said)
    }

    /// What the broker says next. Cancel-safe.
    pub(super) async fn hear(&mut self) -> Result<Said, Ended> {
        loop {
            if let Some(said) = self.cut_said() {
                let over = self.ends_when_told && said.method == CLOSE;
                return if over { Err(Ended) } else { Ok(said) };
            }
            self.incoming.ready().await;
            match self.incoming.take() {
                Some(bytes) => self.input.extend_from_slice(&bytes),
                None => return Err(Ended),
            }
        }
    }

    /// A method, with its message if it has one, once all of it is there.
    fn cut_said(&mut self) -> Option<Said> {
        let (kind, method, mut at) = self.frame_at(0)?;
        if kind == 8 {
            self.input.advance(at);
            return self.cut_said();
        }
        let mut arguments = Bytes::copy_from_slice(method);
        let method = (arguments.get_u16(), arguments.get_u16());
        let (mut properties, mut body) = (Bytes::new(), BytesMut::new());
        if matches!(method, DELIVER | GET_OK | RETURN) {
            let (_, header, end) = self.frame_at(at)?;
            properties = Bytes::copy_from_slice(header);
            let length = u64::from_be_bytes(header[4..12].try_into().unwrap());
            at = end;
            while u64::try_from(body.len()).unwrap() < length {
                let (_, piece, end) = self.frame_at(at)?;
                body.extend_from_slice(piece);
                at = end;
            }
        }
        self.input.advance(at);
        Some(Said { method, arguments, header: properties, body: body.freeze() })
    }

    /// The kind and payload of the frame at `at`, and where the next begins.
    fn frame_at(&self, at: usize) -> Option<(u8, &[u8], usize)> {
        let rest = self.input.get(at..)?;
        let length = u32::from_be_bytes(rest.get(3..7)?.try_into().unwrap());
        let length = usize::try_from(length).unwrap();
        let payload = rest.get(7..7 + length)?;
        rest.get(7 + length)?;
        Some((rest[0], payload, at + length + 8))
    }
}

/// Cuts a short string off.
pub(super) fn short(arguments: &mut Bytes) -> String {
    let length = usize::from(arguments.get_u8());
    String::from_utf8(arguments.split_to(length).to_vec()).unwrap()
}
