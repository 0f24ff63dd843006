//! The order of a connection's life, and what its two sides agree on.

use warren_types::Table;

use crate::connection::Config;
use crate::{ConnectionError, MethodId, ReplyCode};

/// What a client sends first, and what it is shown when it sent something else.
pub(crate) const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";
/// AMQP 0-9, which some clients announce and which works alike.
const PROTOCOL_HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// What is left to do after a login was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefusal {
    /// connection.close was written; the client will answer with close-ok.
    Closing,
    /// The client does not understand a close at this point: hold the socket for a few
    /// seconds, which slows guessing, and drop it without a frame.
    HoldThenDrop,
}

/// Where a connection stands: what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The client's protocol header.
    Header,
    /// connection.start-ok.
    StartOk,
    /// The caller, to decide about a login.
    DecideLogin,
    /// connection.secure-ok.
    SecureOk,
    /// connection.tune-ok.
    TuneOk,
    /// connection.open.
    Open,
    /// The caller, to decide about the vhost.
    DecideOpen,
    /// Everything: the connection is in use.
    Running,
    /// The caller, to answer the client's connection.close.
    ClosedByClient,
    /// The caller, to close after an error.
    Failed,
    /// connection.close-ok.
    ClosedHere,
    /// The caller, to drop the socket after a pause.
    Held,
    /// Nothing.
    Closed,
}

impl Phase {
    /// RabbitMQ's name, as its error texts have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Header => "pre-init",
            Self::StartOk | Self::DecideLogin => "starting",
            Self::SecureOk => "securing",
            Self::TuneOk => "tuning",
            Self::Open | Self::DecideOpen => "opening",
            Self::Running => "running",
            Self::ClosedByClient | Self::Failed | Self::ClosedHere => "closing",
            Self::Held | Self::Closed => "closed",
        }
    }
}

/// What the two sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) frame_max: u32,
    pub(crate) channel_max: u16,
    pub(crate) heartbeat_s: u16,
}

impl Agreed {
    /// What tune-ok settles, if it stays within what was offered.
    ///
    /// A client's 0 takes the offer for frames and channels, and turns heartbeats off.
    pub(crate) fn new(
        offer: &Config,
        frame_max: u32,
        channel_max: u16,
        heartbeat_s: u16,
    ) -> Result<Self, ConnectionError> {
        let frames = within(
            "frame_max",
            frame_max,
            offer.min_frame_max,
            offer.frame_max.max(offer.min_frame_max),
        )?;
        let offered_channels = match offer.channel_max {
            0 => u16::MAX,
            channels => channels,
        };
        let channels =
            within("channel_max", u32::from(channel_max), 1, u32::from(offered_channels))?;
        let heartbeat_s = match offer.heartbeat_s {
            0 => heartbeat_s,
            offered => heartbeat_s.min(offered),
        };
        let channel_max = u16::try_from(channels).unwrap_or(offered_channels);
        Ok(Self { frame_max: frames, channel_max, heartbeat_s })
    }
}

fn within(what: &str, asked: u32, min: u32, max: u32) -> Result<u32, ConnectionError> {
    let refuse = |direction, bound, limit| {
        let detail = format_args!(
            "negotiated {what} = {asked} is {direction} than the {bound} allowed value ({limit})"
        );
        ConnectionError::new(ReplyCode::NotAllowed, detail).at(MethodId::CONNECTION_TUNE)
    };
    match asked {
        0 => Ok(max),
        _ if asked < min => Err(refuse("lower", "minimum", min)),
        _ if asked > max => Err(refuse("higher", "maximum", max)),
        _ => Ok(asked),
    }
}

/// Whether `bytes` start with a protocol header that this server speaks; nothing while that is
/// open.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Option<()>, ConnectionError> {
    let Some(start) = bytes.first_chunk::<4>() else { return Ok(None) };
    if start != b"AMQP" {
        return Err(stranger(start));
    }
    let Some(header) = bytes.first_chunk::<8>() else { return Ok(None) };
    if *header == PROTOCOL_HEADER || *header == PROTOCOL_HEADER_0_9 {
        return Ok(Some(()));
    }
    let [_, _, _, _, id, major, minor, revision] = *header;
    let hint = match (id, major) {
        (0 | 2 | 3, 1) => ", which is AMQP 1.0",
        _ => "",
    };
    let detail = format_args!("client speaks AMQP {id} {major} {minor} {revision}{hint}");
    Err(ConnectionError::new(ReplyCode::FrameError, detail))
}

/// A guess for the log at what a client speaks that does not start with `AMQP`.
fn stranger(start: &[u8; 4]) -> ConnectionError {
    let guess = match start {
        [0x16, 3, ..] => "a TLS handshake on a port without TLS",
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"DELE" | b"PRI " => "HTTP",
        b"PROX" | [0x0D, 0x0A, 0x0D, 0x0A] => "the PROXY protocol",
        [0x10, ..] => "MQTT",
        b"CONN" | b"STOM" => "STOMP or an HTTP proxy request",
        _ => "something unknown",
    };
    let detail = format_args!("client does not speak AMQP but {guess}");
    ConnectionError::new(ReplyCode::FrameError, detail)
}

/// Refuses a mechanism that was not offered.
pub(crate) fn check_mechanism(offered: &str, asked: &str) -> Result<(), ConnectionError> {
    if offered.split_ascii_whitespace().any(|mechanism| mechanism == asked) {
        return Ok(());
    }
    let detail = format_args!("unknown authentication mechanism '{asked}'");
    Err(ConnectionError::new(ReplyCode::CommandInvalid, detail).at(MethodId::CONNECTION_START_OK))
}

/// The bytes of `table` behind their length.
pub(crate) fn put_table(out: &mut bytes::BytesMut, table: &Table) {
    let mut inside = bytes::BytesMut::new();
    table.encode(&mut inside);
    put_long(out, &inside);
}

/// A long string.
pub(crate) fn put_long(out: &mut bytes::BytesMut, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("what the server says is shorter than 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}
