//! The way to an open connection: protocol header, login, tuning, vhost.

use bytes::{BufMut, Bytes, BytesMut};
use warren_types::ChannelNumber;

use super::{Connection, Step};
use crate::frame::{self, Frame};
use crate::method::{self, Command, MethodId};
use crate::negotiation::{
    Agreed, PROTOCOL_HEADER, Phase, check_mechanism, put_long, put_table, recognise,
};
use crate::{ClientCapabilities, ConnectionError, Event, Output, ReplyCode};

impl Connection {
    pub(super) fn protocol_header(
        &mut self,
        input: &mut BytesMut,
        out: &mut Output,
    ) -> Result<Step, ConnectionError> {
        match recognise(input) {
            Ok(None) => return Ok(Step::Wait),
            Ok(Some(())) => {}
            Err(error) => {
                out.raw(&PROTOCOL_HEADER);
                return Err(error);
            }
        }
        drop(input.split_to(PROTOCOL_HEADER.len()));
        self.speaks_amqp = true;
        self.phase = Phase::StartOk;
        let mechanisms = &self.config.mechanisms;
        // Said once, and not kept for as long as the client stays.
        let properties = std::mem::take(&mut self.config.server_properties);
        let locales = std::mem::take(&mut self.config.locales);
        out.method(ChannelNumber(0), MethodId::CONNECTION_START, |out| {
            // The version, 0-9.
            out.put_u8(0);
            out.put_u8(9);
            put_table(out, &properties);
            put_long(out, mechanisms.as_bytes());
            put_long(out, locales.as_bytes());
        });
        Ok(Step::Again)
    }

    /// Takes one frame. A decision may follow from it, so no further one is looked at.
    pub(super) fn handshake_frame(
        &mut self,
        input: &mut BytesMut,
        events: &mut Vec<Event>,
    ) -> Result<Step, ConnectionError> {
        let frame_max = self.agreed.frame_max;
        let behind = match Frame::first(input, frame_max) {
            Ok(None) => return Ok(Step::Wait),
            Ok(Some((_, behind))) => behind.len(),
            Err(error) => {
                self.in_step = false;
                return Err(error);
            }
        };
        let bytes = input.split_to(input.len().saturating_sub(behind));
        if let Some((frame, _)) = Frame::first(&bytes, frame_max)? {
            self.greet(frame, events)?;
        }
        Ok(Step::Again)
    }

    fn greet(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), ConnectionError> {
        let on_connection = frame.channel == ChannelNumber(0);
        match frame.kind {
            frame::METHOD if on_connection => {}
            frame::HEARTBEAT_TYPE if on_connection => return heartbeat(frame),
            frame::METHOD | frame::HEADER | frame::BODY | frame::HEARTBEAT_TYPE => {
                let (channel, state) = (frame.channel, self.phase.name());
                let detail = format_args!("on channel {channel} in connection state {state}");
                return Err(frame::misplaced(frame.kind, detail));
            }
            kind => return Err(unknown_frame(kind)),
        }
        let (method, command) = connection_command(self.phase, frame.payload)?;
        let event = match (self.phase, command) {
            (
                Phase::StartOk,
                Command::StartOk { mechanism, response, locale, client_properties },
            ) => {
                check_mechanism(&self.config.mechanisms, &mechanism)?;
                self.config.mechanisms = String::new();
                self.capabilities = ClientCapabilities::of(&client_properties);
                self.phase = Phase::DecideLogin;
                let response = Bytes::from(response);
                Event::StartOk { mechanism, response, locale, client_properties }
            }
            (Phase::SecureOk, Command::SecureOk { response }) => {
                self.phase = Phase::DecideLogin;
                Event::SecureOk { response: Bytes::from(response) }
            }
            (Phase::TuneOk, Command::TuneOk { channel_max, frame_max, heartbeat_s }) => {
                self.agreed = Agreed::new(&self.config, frame_max, channel_max, heartbeat_s)?;
                self.phase = Phase::Open;
                let Agreed { frame_max, channel_max, heartbeat_s } = self.agreed;
                Event::Tuned { heartbeat_s, frame_max, channel_max }
            }
            (Phase::Open, Command::Open { vhost }) => {
                self.phase = Phase::DecideOpen;
                Event::Open { vhost }
            }
            (_, Command::ConnectionClose { code, text }) => {
                self.phase = Phase::ClosedByClient;
                Event::ConnectionClose { code, text }
            }
            (phase, _) => return Err(unexpected_method(phase, method)),
        };
        events.push(event);
        Ok(())
    }
}

/// Reads a method of channel 0.
pub(super) fn connection_command(
    phase: Phase,
    payload: &[u8],
) -> Result<(MethodId, Command), ConnectionError> {
    let (method, arguments) = MethodId::of(payload).ok_or_else(short_method)?;
    let from_client = method.class == MethodId::CONNECTION_CLOSE.class && method.layout().is_some();
    // Like RabbitMQ, which only on channels tells what a server does not take from what comes
    // at the wrong moment.
    if !from_client && method.name().is_some() {
        return Err(unexpected_method(phase, method));
    }
    Ok((method, method::parse(method, arguments)?))
}

/// Checks a heartbeat.
pub(super) fn heartbeat(frame: Frame<'_>) -> Result<(), ConnectionError> {
    if !frame.payload.is_empty() {
        return Err(frame::damaged(frame.kind, "heartbeat frame with a payload"));
    }
    if frame.channel != ChannelNumber(0) {
        let detail = format_args!("heartbeat frame on channel {}", frame.channel);
        return Err(frame::misplaced(frame.kind, detail));
    }
    Ok(())
}

/// The error for a method that is right elsewhere.
pub(super) fn unexpected_method(phase: Phase, method: MethodId) -> ConnectionError {
    let detail = format_args!("unexpected method in connection state {}", phase.name());
    ConnectionError::new(ReplyCode::ChannelError, detail).at(method)
}

/// The error for a frame type that AMQP does not know.
pub(super) fn unknown_frame(kind: u8) -> ConnectionError {
    frame::damaged(kind, "which is no frame type of AMQP")
}

/// The error for a method frame without a method.
pub(super) fn short_method() -> ConnectionError {
    frame::damaged(frame::METHOD, "method frame ends too early")
}
