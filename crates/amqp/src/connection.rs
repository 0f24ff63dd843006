//! One client's conversation: frames in order, negotiation, channels.
//!
//! A [`Connection`] tells what a client did as [`Event`]s and answers by itself only what
//! needs no decision. [`Phase`] says what it waits for; what frames mean while it runs
//! stands in `running`, what they mean before that in `handshake`.

mod handshake;
mod running;

use std::fmt;

use bytes::{BufMut, BytesMut};
use warren_types::{ChannelNumber, Table};

use crate::channel::{Channel, ChannelTable};
use crate::content::BODY_MAX_BYTES;
use crate::frame::{self, Frame};
use crate::method::MethodId;
use crate::negotiation::{Agreed, Phase, put_long};
use crate::output::put_text;
use crate::{
    ChannelError, ClientCapabilities, ConnectionError, Event, LoginRefusal, Output, ReplyCode,
};

/// What this side offers a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sent with connection.start.
    pub server_properties: Table,
    /// SASL mechanisms, separated by spaces.
    pub mechanisms: String,
    /// Locales, separated by spaces.
    pub locales: String,
    /// The largest frame on offer, with its 8 bytes of overhead.
    pub frame_max: u32,
    /// The smallest `frame_max` that a client may ask for.
    pub min_frame_max: u32,
    /// How many channels at a time are on offer; 0 offers all.
    pub channel_max: u16,
    /// The heartbeat on offer; 0 offers none.
    pub heartbeat_s: u16,
    /// The largest body of a message; 512 MiB at most.
    pub max_message_bytes: u64,
    /// The largest frame before tune-ok: a start-ok may carry a long token.
    pub handshake_frame_max: u32,
    /// Bodies of unfinished messages, over all channels of the connection.
    pub max_unfinished_bytes: u64,
}

impl Config {
    /// The usual offer, with nothing said about the server.
    #[must_use]
    pub fn new(server_properties: Table) -> Self {
        Self {
            server_properties,
            mechanisms: "PLAIN AMQPLAIN".to_owned(),
            locales: "en_US".to_owned(),
            frame_max: 128 * 1024,
            min_frame_max: 4096,
            channel_max: 2047,
            heartbeat_s: 60,
            max_message_bytes: 16 * 1024 * 1024,
            handshake_frame_max: 64 * 1024,
            max_unfinished_bytes: 256 * 1024 * 1024,
        }
    }
}

/// One client's conversation.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    phase: Phase,
    agreed: Agreed,
    capabilities: ClientCapabilities,
    channels: ChannelTable,
    unfinished_bytes: u64,
    /// Whether it is known where the next frame begins.
    in_step: bool,
    /// Whether the client spoke AMQP and so understands a close.
    speaks_amqp: bool,
}

/// Whether more may be done with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Again,
    Wait,
}

impl Connection {
    /// A conversation that has not begun: the client's protocol header comes first.
    #[must_use]
    pub fn new(mut config: Config) -> Self {
        config.max_message_bytes = config.max_message_bytes.min(BODY_MAX_BYTES);
        let agreed =
            Agreed { frame_max: config.handshake_frame_max, channel_max: 0, heartbeat_s: 0 };
        Self {
            config,
            phase: Phase::Header,
            agreed,
            capabilities: ClientCapabilities::default(),
            channels: ChannelTable::default(),
            unfinished_bytes: 0,
            in_step: true,
            speaks_amqp: false,
        }
    }

    /// Takes all whole frames off `input` and appends what they mean to `events`; answers that
    /// need no decision are written into `out`.
    ///
    /// While a decision is due ([`Self::awaits_decision`]) nothing is taken: call again, also
    /// without more input, once it is made. Decisions about channels hold nothing up, so events
    /// of a channel may stand behind the one that the caller closes it for: skip events other than
    /// [`Event::ChannelCloseOk`] of a channel that [`Self::is_closing`].
    ///
    /// # Errors
    /// The connection is to be closed, after the events before the error were handled: hand the
    /// error to [`Self::close_connection`], send what is in `out`, and drop the socket when
    /// [`Self::is_closed`] or after a while: a client that lost step is not heard any more.
    pub fn receive(
        &mut self,
        input: &mut BytesMut,
        events: &mut Vec<Event>,
        out: &mut Output,
    ) -> Result<(), ConnectionError> {
        loop {
            let step = match self.phase {
                Phase::Header => self.protocol_header(input, out),
                Phase::StartOk | Phase::SecureOk | Phase::TuneOk | Phase::Open => {
                    self.handshake_frame(input, events)
                }
                Phase::DecideLogin | Phase::DecideOpen => Ok(Step::Wait),
                Phase::Running => self.burst(input, events, out),
                Phase::ClosedHere if self.in_step => Ok(self.await_close_ok(input, events, out)),
                Phase::ClosedHere
                | Phase::ClosedByClient
                | Phase::Failed
                | Phase::Held
                | Phase::Closed => {
                    input.clear();
                    Ok(Step::Wait)
                }
            };
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Wait) => return Ok(()),
                Err(error) => {
                    self.phase = Phase::Failed;
                    return Err(error);
                }
            }
        }
    }

    /// After [`Event::StartOk`] or [`Event::SecureOk`]: the user may come in; sends tune.
    pub fn accept_login(&mut self, out: &mut Output) {
        if self.phase != Phase::DecideLogin {
            return;
        }
        self.phase = Phase::TuneOk;
        let config = &self.config;
        out.method(ChannelNumber(0), MethodId::CONNECTION_TUNE, |out| {
            out.put_u16(config.channel_max);
            out.put_u32(config.frame_max.max(config.min_frame_max));
            out.put_u16(config.heartbeat_s);
        });
    }

    /// After [`Event::StartOk`] or [`Event::SecureOk`]: the mechanism asks another question.
    pub fn challenge(&mut self, challenge: &[u8], out: &mut Output) {
        if self.phase != Phase::DecideLogin {
            return;
        }
        self.phase = Phase::SecureOk;
        out.method(ChannelNumber(0), MethodId::CONNECTION_SECURE, |out| put_long(out, challenge));
    }

    /// After [`Event::StartOk`] or [`Event::SecureOk`]: the user may not come in.
    #[must_use]
    pub fn refuse_login(&mut self, detail: impl fmt::Display, out: &mut Output) -> LoginRefusal {
        if self.capabilities.authentication_failure_close {
            let error = ConnectionError::new(ReplyCode::AccessRefused, detail);
            self.close_connection(&error, out);
            LoginRefusal::Closing
        } else {
            self.phase = Phase::Held;
            LoginRefusal::HoldThenDrop
        }
    }

    /// After [`Event::Open`]: the vhost is there and the user may use it.
    pub fn accept_open(&mut self, out: &mut Output) {
        if self.phase != Phase::DecideOpen {
            return;
        }
        self.phase = Phase::Running;
        // One reserved short string.
        out.method(ChannelNumber(0), MethodId::CONNECTION_OPEN_OK, |out| out.put_u8(0));
    }

    /// After [`Event::ChannelOpen`].
    pub fn accept_channel(&mut self, channel: ChannelNumber, out: &mut Output) {
        match self.channels.channel(channel) {
            Some(Channel::Open(_) | Channel::ClosedByClient) => {}
            Some(Channel::ClosedHere { written: false, .. }) => {}
            Some(Channel::ClosedHere { written: true, .. }) | None => return,
        }
        // One reserved long string.
        out.method(channel, MethodId::CHANNEL_OPEN_OK, |out| out.put_u32(0));
    }

    /// After [`Event::ChannelClosed`], when the channel's affairs are settled.
    pub fn channel_close_ok(&mut self, channel: ChannelNumber, out: &mut Output) {
        if let Some(Channel::ClosedByClient) = self.channels.channel(channel) {
            self.channels.remove(channel);
            out.method(channel, MethodId::CHANNEL_CLOSE_OK, |_| {});
        }
    }

    /// Closes one channel. What the client sends on it is swallowed until its close-ok.
    ///
    /// Does nothing for a channel that is not open or was closed already.
    pub fn close_channel(
        &mut self,
        channel: ChannelNumber,
        error: &ChannelError,
        out: &mut Output,
    ) {
        let Some(known) = self.channels.channel_mut(channel) else { return };
        let by_client = match known {
            Channel::Open(unfinished) => {
                let held = unfinished.held_bytes();
                self.unfinished_bytes = self.unfinished_bytes.saturating_sub(held);
                false
            }
            Channel::ClosedByClient => true,
            Channel::ClosedHere { written: false, by_client } => *by_client,
            Channel::ClosedHere { written: true, .. } => return,
        };
        *known = Channel::ClosedHere { written: true, by_client };
        put_close(
            out,
            channel,
            MethodId::CHANNEL_CLOSE,
            error.code(),
            error.text(),
            error.method(),
        );
        if by_client {
            out.method(channel, MethodId::CHANNEL_CLOSE_OK, |_| {});
        }
    }

    /// After [`Event::ConnectionClose`].
    pub fn connection_close_ok(&mut self, out: &mut Output) {
        if self.phase == Phase::ClosedByClient {
            self.phase = Phase::Closed;
            out.method(ChannelNumber(0), MethodId::CONNECTION_CLOSE_OK, |_| {});
        }
    }

    /// Closes the connection. What the client sends is swallowed until its close-ok. Also for
    /// errors of the caller's own, such as a shutdown.
    ///
    /// Writes nothing to a client that has not spoken AMQP: it was shown the protocol
    /// header that it should have sent.
    pub fn close_connection(&mut self, error: &ConnectionError, out: &mut Output) {
        match self.phase {
            Phase::ClosedByClient => return self.connection_close_ok(out),
            Phase::ClosedHere | Phase::Held | Phase::Closed => return,
            Phase::Header
            | Phase::StartOk
            | Phase::DecideLogin
            | Phase::SecureOk
            | Phase::TuneOk
            | Phase::Open
            | Phase::DecideOpen
            | Phase::Running
            | Phase::Failed => {}
        }
        if !self.speaks_amqp {
            self.phase = Phase::Closed;
            return;
        }
        self.phase = Phase::ClosedHere;
        let (code, text) = (error.code(), error.text());
        put_close(out, ChannelNumber(0), MethodId::CONNECTION_CLOSE, code, text, error.method());
    }

    /// Whether nothing more is to come: send what is written and drop the socket.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether a login or open waits for the caller.
    #[must_use]
    pub fn awaits_decision(&self) -> bool {
        matches!(self.phase, Phase::DecideLogin | Phase::DecideOpen)
    }

    /// Whether this side has closed `channel` and waits for the client's close-ok.
    #[must_use]
    pub fn is_closing(&self, channel: ChannelNumber) -> bool {
        matches!(self.channels.channel(channel), Some(Channel::ClosedHere { written: true, .. }))
    }

    /// How many channels are open or not closed by both sides yet.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// The frame size both sides agreed on; before that, the largest one that is taken.
    #[must_use]
    pub fn frame_max(&self) -> u32 {
        self.agreed.frame_max
    }

    /// How many channels at a time both sides agreed on, whatever their numbers.
    #[must_use]
    pub fn channel_max(&self) -> u16 {
        self.agreed.channel_max
    }

    /// The heartbeat both sides agreed on; 0 for none.
    #[must_use]
    pub fn heartbeat_s(&self) -> u16 {
        self.agreed.heartbeat_s
    }

    /// What the client says it can take.
    #[must_use]
    pub fn capabilities(&self) -> ClientCapabilities {
        self.capabilities
    }

    /// Bytes held for messages whose content has not come in whole.
    #[must_use]
    pub fn unfinished_bytes(&self) -> u64 {
        self.unfinished_bytes
    }

    /// After our connection.close: drops everything but its answer.
    fn await_close_ok(
        &mut self,
        input: &mut BytesMut,
        events: &mut Vec<Event>,
        out: &mut Output,
    ) -> Step {
        let (length, outcome) = frame::whole_frames(input, self.agreed.frame_max);
        self.in_step = outcome.is_ok();
        let frames = input.split_to(length);
        let mut rest = &*frames;
        while let Ok(Some((frame, behind))) = Frame::first(rest, self.agreed.frame_max) {
            rest = behind;
            if frame.kind != frame::METHOD || frame.channel != ChannelNumber(0) {
                continue;
            }
            match MethodId::of(frame.payload) {
                Some((MethodId::CONNECTION_CLOSE_OK, _)) => {}
                // The two closes crossed.
                Some((MethodId::CONNECTION_CLOSE, _)) => {
                    out.method(ChannelNumber(0), MethodId::CONNECTION_CLOSE_OK, |_| {});
                }
                Some(_) | None => continue,
            }
            self.phase = Phase::Closed;
            events.push(Event::ConnectionCloseOk);
            return Step::Again;
        }
        Step::Wait
    }
}

fn put_close(
    out: &mut Output,
    channel: ChannelNumber,
    close: MethodId,
    code: ReplyCode,
    text: &str,
    failed: MethodId,
) {
    out.method(channel, close, |out| {
        out.put_u16(code.number());
        put_text(out, text);
        out.put_u16(failed.class);
        out.put_u16(failed.method);
    });
}
