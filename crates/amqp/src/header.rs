//! Content headers: property flags and the properties they announce.
//!
//! Everything here works on the bytes behind a content header's body size, as
//! [`crate::Event::Publish`] carries them. A message keeps them as they were sent; the functions
//! here look at one property, or exchange one, and leave the others alone.
//!
//! **Invariant:** what [`check`] accepted, every other function reads; from anything else
//! they read nothing, and change nothing.

mod properties;

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use warren_types::{Table, Value, check_table};

pub use properties::Properties;

use crate::ConnectionError;
use crate::method::{ArgumentError, Arguments};
use crate::negotiation::put_table;
use crate::output::put_text;

/// Flags without a property: the lowest says that more flags follow, which class basic has no use for.
const UNKNOWN_FLAGS: u16 = 0b11;
/// What a number takes among the headers besides its name: the name's length, a type, eight bytes.
const NUMBER_BYTES: usize = 10;
/// What the flags take.
const FLAGS_BYTES: usize = 2;

/// The properties of class basic, in the order of their flags and of their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    ContentType,
    ContentEncoding,
    Headers,
    DeliveryMode,
    Priority,
    CorrelationId,
    ReplyTo,
    Expiration,
    MessageId,
    Timestamp,
    Kind,
    UserId,
    AppId,
    ClusterId,
}

impl Property {
    const ALL: [Self; 14] = [
        Self::ContentType,
        Self::ContentEncoding,
        Self::Headers,
        Self::DeliveryMode,
        Self::Priority,
        Self::CorrelationId,
        Self::ReplyTo,
        Self::Expiration,
        Self::MessageId,
        Self::Timestamp,
        Self::Kind,
        Self::UserId,
        Self::AppId,
        Self::ClusterId,
    ];

    const fn flag(self) -> u16 {
        match self {
            Self::ContentType => 1 << 15,
            Self::ContentEncoding => 1 << 14,
            Self::Headers => 1 << 13,
            Self::DeliveryMode => 1 << 12,
            Self::Priority => 1 << 11,
            Self::CorrelationId => 1 << 10,
            Self::ReplyTo => 1 << 9,
            Self::Expiration => 1 << 8,
            Self::MessageId => 1 << 7,
            Self::Timestamp => 1 << 6,
            Self::Kind => 1 << 5,
            Self::UserId => 1 << 4,
            Self::AppId => 1 << 3,
            Self::ClusterId => 1 << 2,
        }
    }

    /// Takes the property's value; a string or table without the length in front of it.
    fn take<'a>(self, values: &mut Arguments<'a>) -> Result<&'a [u8], ArgumentError> {
        match self {
            Self::Headers => values.long_string(),
            Self::DeliveryMode | Self::Priority => values.take(1),
            Self::Timestamp => values.take(8),
            Self::ContentType
            | Self::ContentEncoding
            | Self::CorrelationId
            | Self::ReplyTo
            | Self::Expiration
            | Self::MessageId
            | Self::Kind
            | Self::UserId
            | Self::AppId
            | Self::ClusterId => {
                let length = usize::from(values.octet()?);
                values.take(length)
            }
        }
    }

    /// Whether this server reads the property's text; what it only passes on may be any bytes.
    const fn must_be_text(self) -> bool {
        matches!(self, Self::ReplyTo | Self::Expiration | Self::UserId)
    }
}

/// Accepts a well-formed header and nothing else. Called once for every publish, before its
/// event.
///
/// # Errors
/// 501 where the bytes do not hold what the flags announce, the headers are no table or nest
/// too deep, or a string that this server reads is not UTF-8.
pub fn check(header: &[u8]) -> Result<(), ConnectionError> {
    well_formed(header).map_err(ArgumentError::in_header)
}

fn well_formed(header: &[u8]) -> Result<(), ArgumentError> {
    let mut values = Arguments::new(header);
    let flags = values.short()?;
    if flags & UNKNOWN_FLAGS != 0 {
        return Err(ArgumentError::UnknownProperty);
    }
    for property in Property::ALL {
        if flags & property.flag() == 0 {
            continue;
        }
        let value = property.take(&mut values)?;
        if property == Property::Headers {
            check_table(value)?;
        }
        if property.must_be_text() && std::str::from_utf8(value).is_err() {
            return Err(ArgumentError::NotText);
        }
    }
    values.finish()
}

/// 1 for transient, 2 for persistent; other numbers as they were sent.
#[must_use]
pub fn delivery_mode(header: &[u8]) -> Option<u8> {
    value(header, Property::DeliveryMode)?.first().copied()
}

/// Whether there is a headers table.
#[must_use]
pub fn has_headers(header: &[u8]) -> bool {
    flags(header) & Property::Headers.flag() != 0
}

/// The priority.
#[must_use]
pub fn priority(header: &[u8]) -> Option<u8> {
    value(header, Property::Priority)?.first().copied()
}

/// The time to live: milliseconds as decimal text, if the publisher kept to that.
#[must_use]
pub fn expiration(header: &[u8]) -> Option<&str> {
    std::str::from_utf8(value(header, Property::Expiration)?).ok()
}

/// The user that the publisher says it is.
#[must_use]
pub fn user_id(header: &[u8]) -> Option<&str> {
    std::str::from_utf8(value(header, Property::UserId)?).ok()
}

/// Where an answer goes.
#[must_use]
pub fn reply_to(header: &[u8]) -> Option<&str> {
    std::str::from_utf8(value(header, Property::ReplyTo)?).ok()
}

/// Which message it is, by its publisher's count.
#[must_use]
pub fn message_id(header: &[u8]) -> Option<&[u8]> {
    value(header, Property::MessageId)
}

/// Which message it answers.
#[must_use]
pub fn correlation_id(header: &[u8]) -> Option<&[u8]> {
    value(header, Property::CorrelationId)
}

/// When it was sent, in seconds, by its publisher's clock.
#[must_use]
pub fn timestamp(header: &[u8]) -> Option<u64> {
    let bytes = value(header, Property::Timestamp)?;
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// The bytes of the headers table, without their length.
#[must_use]
pub fn headers_bytes(header: &[u8]) -> Option<&[u8]> {
    value(header, Property::Headers)
}

/// The headers, decoded.
///
/// # Errors
/// 501 where they are no table or nest too deep, which [`check`] has ruled out.
pub fn headers_table(header: &[u8]) -> Result<Option<Table>, ConnectionError> {
    headers_bytes(header)
        .map(Table::decode)
        .transpose()
        .map_err(|error| ArgumentError::from(error).in_header())
}

/// The same header with `headers` in place of its own, or without any.
#[must_use]
pub fn replace_headers(header: &[u8], headers: Option<&Table>) -> Bytes {
    replace(header, Property::Headers, headers.map(|headers| |out: &mut _| put_table(out, headers)))
}

/// Writes the same header to the end of `out`, with a number among the headers, called `name`. It
/// takes the place of a header of that name, and stands behind all others, which are not decoded.
///
/// # Panics
/// When the name is longer than 255 bytes.
pub fn put_with_number(out: &mut BytesMut, header: &[u8], name: &str, number: i64) {
    let others = headers_bytes(header).unwrap_or_default();
    if holds(others, name.as_bytes()) {
        let mut headers = headers_table(header).ok().flatten().unwrap_or_default();
        while headers.remove(name).is_some() {}
        headers.insert(name, Value::I64(number));
        return out.put_slice(&replace_headers(header, Some(&headers)));
    }
    let Some(place) = place(header, Property::Headers) else { return out.put_slice(header) };
    let length = others.len().saturating_add(name.len()).saturating_add(NUMBER_BYTES);
    out.put_u16(flags(header) | Property::Headers.flag());
    out.put_slice(header.get(FLAGS_BYTES..place.start).unwrap_or_default());
    out.put_u32(u32::try_from(length).expect("headers fit into frames"));
    out.put_slice(others);
    put_text(out, name);
    out.put_u8(b'l');
    out.put_i64(number);
    out.put_slice(header.get(place.end..).unwrap_or_default());
}

/// Whether a headers table may have a header of that name: the bytes of it are there.
#[must_use]
pub fn may_have(header: &[u8], name: &str) -> bool {
    headers_bytes(header).is_some_and(|headers| holds(headers, name.as_bytes()))
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len().max(1)).any(|window| window == wanted)
}

/// The same header with another reply-to, or without any. Over 255 bytes it is cut.
#[must_use]
pub fn replace_reply_to(header: &[u8], reply_to: Option<&str>) -> Bytes {
    replace(header, Property::ReplyTo, reply_to.map(|text| |out: &mut _| put_text(out, text)))
}

/// The same header with another timestamp, in whole seconds since 1970.
#[must_use]
pub fn replace_timestamp(header: &[u8], seconds: u64) -> Bytes {
    replace(header, Property::Timestamp, Some(|out: &mut BytesMut| out.put_u64(seconds)))
}

/// The same header without an expiration.
#[must_use]
pub fn remove_expiration(header: &[u8]) -> Bytes {
    replace(header, Property::Expiration, None::<fn(&mut BytesMut)>)
}

fn flags(header: &[u8]) -> u16 {
    header.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags))
}

/// The bytes of one property, without a length in front of them.
fn value(header: &[u8], wanted: Property) -> Option<&[u8]> {
    let mut values = Arguments::new(header);
    let flags = values.short().ok()?;
    if flags & wanted.flag() == 0 {
        return None;
    }
    for property in Property::ALL {
        if flags & property.flag() == 0 {
            continue;
        }
        let value = property.take(&mut values).ok()?;
        if property == wanted {
            return Some(value);
        }
    }
    None
}

/// Where a property's bytes stand, the length in front of them included; an empty range
/// where they would stand, if it is not there.
fn place(header: &[u8], wanted: Property) -> Option<Range<usize>> {
    let mut values = Arguments::new(header);
    let flags = values.short().ok()?;
    for property in Property::ALL {
        let start = header.len().checked_sub(values.left())?;
        if flags & property.flag() != 0 {
            property.take(&mut values).ok()?;
        }
        if property == wanted {
            return Some(start..header.len().checked_sub(values.left())?);
        }
    }
    None
}

fn replace<W: FnOnce(&mut BytesMut)>(header: &[u8], property: Property, write: Option<W>) -> Bytes {
    let Some(place) = place(header, property) else { return Bytes::copy_from_slice(header) };
    let mut out = BytesMut::with_capacity(header.len());
    let others = flags(header) & !property.flag();
    out.put_u16(if write.is_some() { others | property.flag() } else { others });
    out.put_slice(header.get(FLAGS_BYTES..place.start).unwrap_or_default());
    if let Some(write) = write {
        write(&mut out);
    }
    out.put_slice(header.get(place.end..).unwrap_or_default());
    out.freeze()
}

#[cfg(test)]
mod tests;
