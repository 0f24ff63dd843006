//! All properties of a message at once, for where a message is made or shown.

use bytes::{BufMut, Bytes, BytesMut};
use warren_types::Table;

use super::{Property, check, headers_table, value};
use crate::ConnectionError;
use crate::negotiation::put_table;
use crate::output::put_text;

/// The properties of class basic.
///
/// Texts are UTF-8 here; what a publisher sent otherwise is shown with replacement characters, so
/// a message on its way keeps its bytes instead.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// MIME type of the body.
    pub content_type: Option<String>,
    /// MIME encoding of the body.
    pub content_encoding: Option<String>,
    /// What the publisher wishes to say besides.
    pub headers: Option<Table>,
    /// 1 for transient, 2 for persistent.
    pub delivery_mode: Option<u8>,
    /// The priority.
    pub priority: Option<u8>,
    /// What an answer belongs to.
    pub correlation_id: Option<String>,
    /// Where an answer goes.
    pub reply_to: Option<String>,
    /// The time to live: milliseconds as decimal text.
    pub expiration: Option<String>,
    /// The publisher's name of the message.
    pub message_id: Option<String>,
    /// Whole seconds since 1970.
    pub timestamp: Option<u64>,
    /// The property called `type`.
    pub kind: Option<String>,
    /// The user that the publisher says it is.
    pub user_id: Option<String>,
    /// The publisher's name of itself.
    pub app_id: Option<String>,
    /// Without a use.
    pub cluster_id: Option<String>,
}

impl Properties {
    /// Reads all properties.
    ///
    /// # Errors
    /// As [`check`].
    pub fn decode(header: &[u8]) -> Result<Self, ConnectionError> {
        check(header)?;
        let text = |property| {
            value(header, property).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let octet = |property| value(header, property).and_then(|bytes| bytes.first().copied());
        Ok(Self {
            content_type: text(Property::ContentType),
            content_encoding: text(Property::ContentEncoding),
            headers: headers_table(header)?,
            delivery_mode: octet(Property::DeliveryMode),
            priority: octet(Property::Priority),
            correlation_id: text(Property::CorrelationId),
            reply_to: text(Property::ReplyTo),
            expiration: text(Property::Expiration),
            message_id: text(Property::MessageId),
            timestamp: value(header, Property::Timestamp)
                .and_then(|bytes| bytes.first_chunk())
                .map(|bytes| u64::from_be_bytes(*bytes)),
            kind: text(Property::Kind),
            user_id: text(Property::UserId),
            app_id: text(Property::AppId),
            cluster_id: text(Property::ClusterId),
        })
    }

    /// The bytes that [`Self::decode`] reads. Texts over 255 bytes are cut.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u16(self.flags());
        put(&mut out, self.content_type.as_deref(), put_text);
        put(&mut out, self.content_encoding.as_deref(), put_text);
        put(&mut out, self.headers.as_ref(), put_table);
        put(&mut out, self.delivery_mode, BytesMut::put_u8);
        put(&mut out, self.priority, BytesMut::put_u8);
        put(&mut out, self.correlation_id.as_deref(), put_text);
        put(&mut out, self.reply_to.as_deref(), put_text);
        put(&mut out, self.expiration.as_deref(), put_text);
        put(&mut out, self.message_id.as_deref(), put_text);
        put(&mut out, self.timestamp, BytesMut::put_u64);
        put(&mut out, self.kind.as_deref(), put_text);
        put(&mut out, self.user_id.as_deref(), put_text);
        put(&mut out, self.app_id.as_deref(), put_text);
        put(&mut out, self.cluster_id.as_deref(), put_text);
        out.freeze()
    }

    fn flags(&self) -> u16 {
        let present = |property| match property {
            Property::ContentType => self.content_type.is_some(),
            Property::ContentEncoding => self.content_encoding.is_some(),
            Property::Headers => self.headers.is_some(),
            Property::DeliveryMode => self.delivery_mode.is_some(),
            Property::Priority => self.priority.is_some(),
            Property::CorrelationId => self.correlation_id.is_some(),
            Property::ReplyTo => self.reply_to.is_some(),
            Property::Expiration => self.expiration.is_some(),
            Property::MessageId => self.message_id.is_some(),
            Property::Timestamp => self.timestamp.is_some(),
            Property::Kind => self.kind.is_some(),
            Property::UserId => self.user_id.is_some(),
            Property::AppId => self.app_id.is_some(),
            Property::ClusterId => self.cluster_id.is_some(),
        };
        let set = Property::ALL.into_iter().filter(|property| present(*property));
        set.fold(0, |flags, property| flags | property.flag())
    }
}

fn put<T>(out: &mut BytesMut, value: Option<T>, write: impl FnOnce(&mut BytesMut, T)) {
    if let Some(value) = value {
        write(out, value);
    }
}
