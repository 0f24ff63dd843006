//! Frames of a connection that is in use.

use bytes::{Bytes, BytesMut};
use warren_types::{ChannelNumber, DeliveryTag};

use super::handshake::{
    connection_command, heartbeat, short_method, unexpected_method, unknown_frame,
};
use super::{Connection, Step};
use crate::channel::Channel;
use crate::content::{Content, Progress, Publish, Unfinished};
use crate::frame::{self, Frame};
use crate::method::{self, Command, HotMethod, MethodId, Request};
use crate::negotiation::Phase;
use crate::{Bound, ConnectionError, Event, Output, ReplyCode};

impl Connection {
    /// Takes all whole frames at once, so that everything cut out of them shares one buffer.
    pub(super) fn burst(
        &mut self,
        input: &mut BytesMut,
        events: &mut Vec<Event>,
        out: &mut Output,
    ) -> Result<Step, ConnectionError> {
        let frame_max = self.agreed.frame_max;
        let (length, outcome) = frame::whole_frames(input, frame_max);
        self.in_step = outcome.is_ok();
        if length > 0 {
            let burst = input.split_to(length).freeze();
            let mut rest = &*burst;
            while let Some((frame, behind)) = Frame::first(rest, frame_max)? {
                rest = behind;
                self.frame(frame, &burst, events, out)?;
                if self.phase != Phase::Running {
                    return Ok(Step::Again);
                }
            }
        }
        outcome.map(|()| Step::Wait)
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        burst: &Bytes,
        events: &mut Vec<Event>,
        out: &mut Output,
    ) -> Result<(), ConnectionError> {
        match frame.kind {
            frame::METHOD if frame.channel == ChannelNumber(0) => {
                self.connection_method(frame.payload, events)
            }
            frame::METHOD => self.channel_method(frame, burst, events, out),
            frame::HEADER | frame::BODY if frame.channel == ChannelNumber(0) => {
                Err(frame::misplaced(frame.kind, "content on channel 0"))
            }
            frame::HEADER | frame::BODY => self.content(frame, burst, events),
            frame::HEARTBEAT_TYPE => heartbeat(frame),
            kind => Err(unknown_frame(kind)),
        }
    }

    fn connection_method(
        &mut self,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionError> {
        let (method, command) = connection_command(self.phase, payload)?;
        match command {
            Command::ConnectionClose { code, text } => {
                self.phase = Phase::ClosedByClient;
                events.push(Event::ConnectionClose { code, text });
            }
            Command::Request(request) => {
                events.push(Event::Request { channel: ChannelNumber(0), request });
            }
            Command::StartOk { .. }
            | Command::SecureOk { .. }
            | Command::TuneOk { .. }
            | Command::Open { .. }
            | Command::ConnectionCloseOk
            | Command::ChannelOpen
            | Command::ChannelClose { .. }
            | Command::ChannelCloseOk => return Err(unexpected_method(self.phase, method)),
        }
        Ok(())
    }

    fn channel_method(
        &mut self,
        frame: Frame<'_>,
        burst: &Bytes,
        events: &mut Vec<Event>,
        out: &mut Output,
    ) -> Result<(), ConnectionError> {
        let (method, arguments) = MethodId::of(frame.payload).ok_or_else(short_method)?;
        match self.channels.channel_mut(frame.channel) {
            Some(Channel::Open(unfinished)) => {
                let Unfinished::Nothing = unfinished else { return Err(unfinished.unexpected()) };
                match HotMethod::decode(method, arguments) {
                    Some(Ok(hot)) => {
                        hot_event(hot, frame.channel, burst, unfinished, events);
                        Ok(())
                    }
                    Some(Err(error)) => Err(error.in_method(method)),
                    None => self.command(frame.channel, method, arguments, events),
                }
            }
            Some(Channel::ClosedByClient) => Ok(()),
            Some(Channel::ClosedHere { .. }) => {
                self.closing_method(frame.channel, method, events, out);
                Ok(())
            }
            None => self.unopened_method(frame.channel, method, arguments, events),
        }
    }

    /// A method that is not hot, on an open channel.
    fn command(
        &mut self,
        channel: ChannelNumber,
        method: MethodId,
        arguments: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionError> {
        match method::parse(method, arguments)? {
            Command::ChannelClose { code, text } => {
                self.channels.insert(channel, Channel::ClosedByClient);
                events.push(Event::ChannelClosed { channel, code, text });
            }
            Command::ChannelOpen => {
                let detail = "second 'channel.open' seen";
                return Err(ConnectionError::new(ReplyCode::ChannelError, detail).at(method));
            }
            Command::Request(Request::UpdateSecret { .. })
            | Command::StartOk { .. }
            | Command::SecureOk { .. }
            | Command::TuneOk { .. }
            | Command::Open { .. }
            | Command::ConnectionClose { .. }
            | Command::ConnectionCloseOk
            | Command::ChannelCloseOk => return Err(method::unimplemented_method(method)),
            Command::Request(request) => events.push(Event::Request { channel, request }),
        }
        Ok(())
    }

    /// A method on a channel that this side closes: only what ends it counts.
    fn closing_method(
        &mut self,
        channel: ChannelNumber,
        method: MethodId,
        events: &mut Vec<Event>,
        out: &mut Output,
    ) {
        let Some(Channel::ClosedHere { written, by_client }) = self.channels.channel_mut(channel)
        else {
            return;
        };
        match method {
            MethodId::CHANNEL_CLOSE_OK if *written => {
                self.channels.remove(channel);
                events.push(Event::ChannelCloseOk { channel });
            }
            // The two closes crossed.
            MethodId::CHANNEL_CLOSE => {
                *by_client = true;
                if *written {
                    out.method(channel, MethodId::CHANNEL_CLOSE_OK, |_| {});
                }
            }
            // The client holds the channel for closed since it read our close-ok, and will
            // not send its own.
            MethodId::CHANNEL_OPEN if *written && *by_client => {
                self.channels.insert(channel, Channel::Open(Unfinished::Nothing));
                events.push(Event::ChannelCloseOk { channel });
                events.push(Event::ChannelOpen { channel });
            }
            _ => {}
        }
    }

    fn unopened_method(
        &mut self,
        channel: ChannelNumber,
        method: MethodId,
        arguments: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionError> {
        let (opened, max) = (self.channels.len(), self.agreed.channel_max);
        match method {
            // A late answer to a close that crossed the client's own.
            MethodId::CHANNEL_CLOSE_OK => Ok(()),
            // Like RabbitMQ, count the channels: a number may be above channel_max.
            _ if opened >= usize::from(max) => {
                let detail = format_args!(
                    "number of channels opened ({opened}) has reached the negotiated channel_max ({max})"
                );
                Err(ConnectionError::new(ReplyCode::NotAllowed, detail)
                    .beyond(Bound::Channels)
                    .with_note(format_args!("{method} on channel {channel}")))
            }
            MethodId::CHANNEL_OPEN => {
                method::parse(method, arguments)?;
                self.channels.insert(channel, Channel::Open(Unfinished::Nothing));
                events.push(Event::ChannelOpen { channel });
                Ok(())
            }
            _ => {
                let detail = "expected 'channel.open'";
                Err(ConnectionError::new(ReplyCode::ChannelError, detail).at(method))
            }
        }
    }

    fn content(
        &mut self,
        frame: Frame<'_>,
        burst: &Bytes,
        events: &mut Vec<Event>,
    ) -> Result<(), ConnectionError> {
        let channel = frame.channel;
        let unfinished = match self.channels.channel_mut(channel) {
            Some(Channel::Open(unfinished)) => unfinished,
            Some(Channel::ClosedByClient | Channel::ClosedHere { .. }) => return Ok(()),
            None => return Err(Unfinished::Nothing.unexpected()),
        };
        let held = unfinished.held_bytes();
        let progress = if frame.kind == frame::HEADER {
            unfinished.header(frame.payload, burst, self.config.max_message_bytes)?
        } else {
            unfinished.body(frame.payload, burst)?
        };
        match progress {
            Progress::Whole(content) => {
                self.unfinished_bytes = self.unfinished_bytes.saturating_sub(held);
                events.push(publish_event(channel, content));
            }
            Progress::Unfinished => {
                let grown = unfinished.held_bytes().saturating_sub(held);
                self.unfinished_bytes = self.unfinished_bytes.saturating_add(grown);
                let limit = self.config.max_unfinished_bytes;
                if self.unfinished_bytes > limit {
                    let detail = format_args!(
                        "more than {limit} bytes of unfinished content on all channels"
                    );
                    return Err(ConnectionError::new(ReplyCode::ResourceError, detail)
                        .at(MethodId::BASIC_PUBLISH));
                }
            }
            Progress::TooLarge(error) => {
                let closed = Channel::ClosedHere { written: false, by_client: false };
                self.channels.insert(channel, closed);
                events.push(Event::ChannelError { channel, error });
            }
        }
        Ok(())
    }
}

fn hot_event(
    method: HotMethod<'_>,
    channel: ChannelNumber,
    burst: &Bytes,
    unfinished: &mut Unfinished,
    events: &mut Vec<Event>,
) {
    let share = |text: &str| burst.slice_ref(text.as_bytes());
    events.push(match method {
        HotMethod::Publish { exchange, routing_key, mandatory, immediate } => {
            let (exchange, routing_key) = (share(exchange), share(routing_key));
            let publish = Publish { exchange, routing_key, mandatory, immediate };
            *unfinished = Unfinished::Header(publish);
            return;
        }
        HotMethod::Ack { tag, multiple } => Event::Ack { channel, tag: DeliveryTag(tag), multiple },
        HotMethod::Nack { tag, multiple, requeue } => {
            Event::Nack { channel, tag: DeliveryTag(tag), multiple, requeue }
        }
        HotMethod::Reject { tag, requeue } => {
            Event::Reject { channel, tag: DeliveryTag(tag), requeue }
        }
        HotMethod::Get { queue, no_ack } => Event::Get { channel, queue: share(queue), no_ack },
    });
}

fn publish_event(channel: ChannelNumber, content: Content) -> Event {
    let Content { publish, header, body } = content;
    let Publish { exchange, routing_key, mandatory, immediate } = publish;
    Event::Publish { channel, exchange, routing_key, mandatory, immediate, header, body }
}
