//! What a client did, as the broker hears it.

use bytes::Bytes;
use warren_types::{ChannelNumber, DeliveryTag, Table, Value};

use crate::{Body, ChannelError, MethodId, Request};

/// One thing a client did, in the order in which its bytes came.
///
/// The byte strings of the hot events are slices of what was read and keep that buffer alive;
/// they were checked to be UTF-8.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "the fields are the arguments of the method that each variant names"
)]
pub enum Event {
    /// basic.publish with its content.
    Publish {
        channel: ChannelNumber,
        exchange: Bytes,
        routing_key: Bytes,
        mandatory: bool,
        immediate: bool,
        /// Property flags and property list as they were sent, checked by [`crate::header::check`].
        header: Bytes,
        body: Body,
    },
    /// basic.ack
    Ack { channel: ChannelNumber, tag: DeliveryTag, multiple: bool },
    /// basic.nack
    Nack { channel: ChannelNumber, tag: DeliveryTag, multiple: bool, requeue: bool },
    /// basic.reject
    Reject { channel: ChannelNumber, tag: DeliveryTag, requeue: bool },
    /// basic.get
    Get { channel: ChannelNumber, queue: Bytes, no_ack: bool },
    /// Any other method of a channel, and update-secret on channel 0.
    Request { channel: ChannelNumber, request: Request },
    /// connection.start-ok. No further byte is read until [`crate::Connection::accept_login`],
    /// [`crate::Connection::challenge`] or [`crate::Connection::refuse_login`].
    StartOk { mechanism: String, response: Bytes, locale: String, client_properties: Table },
    /// connection.secure-ok, the answer to a challenge; decided like [`Event::StartOk`].
    SecureOk { response: Bytes },
    /// connection.tune-ok: what holds from here on. No answer is due.
    Tuned { heartbeat_s: u16, frame_max: u32, channel_max: u16 },
    /// connection.open. No further byte is read until [`crate::Connection::accept_open`] or an error.
    Open { vhost: String },
    /// channel.open; answered with [`crate::Connection::accept_channel`]. The channel's further
    /// events may stand behind this one already.
    ChannelOpen { channel: ChannelNumber },
    /// channel.close from the client; answered with [`crate::Connection::channel_close_ok`] when
    /// the channel's affairs are settled.
    ChannelClosed { channel: ChannelNumber, code: u16, text: String },
    /// What came on this channel breaks a rule that costs the channel; answered with
    /// [`crate::Connection::close_channel`]. What follows on the channel is swallowed already.
    ChannelError { channel: ChannelNumber, error: ChannelError },
    /// channel.close-ok: a channel that this side closed is free again.
    ChannelCloseOk { channel: ChannelNumber },
    /// connection.close from the client; answered with [`crate::Connection::connection_close_ok`].
    ConnectionClose { code: u16, text: String },
    /// connection.close-ok: the socket may be dropped.
    ConnectionCloseOk,
}

impl Event {
    /// The method that was sent, for the errors that blame it.
    #[must_use]
    pub const fn method_id(&self) -> MethodId {
        match self {
            Self::Publish { .. } => MethodId::BASIC_PUBLISH,
            Self::Ack { .. } => MethodId::BASIC_ACK,
            Self::Nack { .. } => MethodId::BASIC_NACK,
            Self::Reject { .. } => MethodId::BASIC_REJECT,
            Self::Get { .. } => MethodId::BASIC_GET,
            Self::Request { request, .. } => request.method_id(),
            Self::StartOk { .. } => MethodId::CONNECTION_START_OK,
            Self::SecureOk { .. } => MethodId::CONNECTION_SECURE_OK,
            Self::Tuned { .. } => MethodId::CONNECTION_TUNE_OK,
            Self::Open { .. } => MethodId::CONNECTION_OPEN,
            Self::ChannelOpen { .. } => MethodId::CHANNEL_OPEN,
            Self::ChannelClosed { .. } => MethodId::CHANNEL_CLOSE,
            Self::ChannelError { error, .. } => error.method(),
            Self::ChannelCloseOk { .. } => MethodId::CHANNEL_CLOSE_OK,
            Self::ConnectionClose { .. } => MethodId::CONNECTION_CLOSE,
            Self::ConnectionCloseOk => MethodId::CONNECTION_CLOSE_OK,
        }
    }

    /// The channel it happened on; 0 is the connection itself.
    #[must_use]
    pub const fn channel(&self) -> ChannelNumber {
        match self {
            Self::Publish { channel, .. }
            | Self::Ack { channel, .. }
            | Self::Nack { channel, .. }
            | Self::Reject { channel, .. }
            | Self::Get { channel, .. }
            | Self::Request { channel, .. }
            | Self::ChannelOpen { channel }
            | Self::ChannelClosed { channel, .. }
            | Self::ChannelError { channel, .. }
            | Self::ChannelCloseOk { channel } => *channel,
            Self::StartOk { .. }
            | Self::SecureOk { .. }
            | Self::Tuned { .. }
            | Self::Open { .. }
            | Self::ConnectionClose { .. }
            | Self::ConnectionCloseOk => ChannelNumber(0),
        }
    }
}

/// What a client says it can take, from the `capabilities` of its properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one announced capability")]
pub struct ClientCapabilities {
    /// A failed login may be answered with connection.close.
    pub authentication_failure_close: bool,
    /// basic.nack may be sent.
    pub basic_nack: bool,
    /// connection.blocked and connection.unblocked may be sent.
    pub connection_blocked: bool,
    /// basic.cancel may be sent.
    pub consumer_cancel_notify: bool,
    /// The client knows of confirms.
    pub publisher_confirms: bool,
}

impl ClientCapabilities {
    /// Reads the capabilities out of a client's properties.
    #[must_use]
    pub fn of(client_properties: &Table) -> Self {
        let Some(Value::Table(table)) = client_properties.value("capabilities") else {
            return Self::default();
        };
        let announced = |name| table.value(name).and_then(Value::as_bool).unwrap_or(false);
        Self {
            authentication_failure_close: announced("authentication_failure_close"),
            basic_nack: announced("basic.nack"),
            connection_blocked: announced("connection.blocked"),
            consumer_cancel_notify: announced("consumer_cancel_notify"),
            publisher_confirms: announced("publisher_confirms"),
        }
    }
}
