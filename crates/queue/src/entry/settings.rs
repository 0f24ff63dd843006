//! Queue settings as bytes, alike in commands and in snapshots.
//!
//! ```text
//! plain     u8 flags: auto-delete, single active consumer
//! ruled     u8 flags, with the ruled bit | u8 version (2) | u8 kind | u8 overflow | u8 counting
//!           | u8 delayed retry | u16 which numbers follow | u64 numbers | u8 dead letter
//!           | where there is one: short exchange, u8 whether there is a key, short key
//!           | where flagged: u8 jitter, u16 count, count × u64 delay; the parking's target
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use warren_types::DecodeError;

use super::cursor::{Cursor, u64s};
use crate::{
    DeadLetterStrategy, DeadLetterTarget, DelayedRetry, DelayedRetryKind, DeliveryCounting,
    Overflow, QueueKind, QueueSettings, Retry,
};

/// The version of the rules' layout.
const RULES_VERSION: u8 = 2;

/// Flags of queue settings. Bits without a name must be 0.
mod flag {
    pub(super) const AUTO_DELETE: u8 = 1;
    pub(super) const SINGLE_ACTIVE_CONSUMER: u8 = 1 << 1;
    /// Only with `RULED`.
    pub(super) const RETRY: u8 = 1 << 2;
    /// Only with `RULED`.
    pub(super) const PARKING: u8 = 1 << 3;
    /// Only with `RULED`.
    pub(super) const LEASES: u8 = 1 << 4;
    pub(super) const RULED: u8 = 1 << 7;
}

/// How many numbers there are; bits beyond must be 0. What a release adds comes last.
const NUMBERS: u16 = 13;

/// So many numbers, where they are there.
type Numbers = [Option<u64>; 13];

/// The byte for no delayed retry, and the bytes of its kinds.
mod retry {
    pub(super) const NONE: u8 = 0;
    pub(super) const ALL: u8 = 1;
    pub(super) const FAILED: u8 = 2;
    pub(super) const RETURNED: u8 = 3;
}

/// The byte for no dead-lettering, and the bytes of its strategies.
mod dead {
    pub(super) const NONE: u8 = 0;
    pub(super) const AT_LEAST_ONCE: u8 = 1;
    pub(super) const AT_MOST_ONCE: u8 = 2;
}

/// Writes settings.
///
/// # Panics
/// When the dead-letter target has names of more than 255 bytes.
pub(crate) fn write_settings(out: &mut BytesMut, settings: &QueueSettings) {
    let mut flags = if settings.auto_delete { flag::AUTO_DELETE } else { 0 };
    if settings.single_active_consumer {
        flags |= flag::SINGLE_ACTIVE_CONSUMER;
    }
    let plain = QueueSettings {
        auto_delete: settings.auto_delete,
        single_active_consumer: settings.single_active_consumer,
        ..QueueSettings::PLAIN
    };
    if *settings == plain {
        return out.put_u8(flags);
    }
    flags |= flag::RULED;
    flags |= if settings.retry.is_some() { flag::RETRY } else { 0 };
    flags |= if settings.parking.is_some() { flag::PARKING } else { 0 };
    flags |= if settings.leases { flag::LEASES } else { 0 };
    out.put_u8(flags);
    out.put_u8(RULES_VERSION);
    out.put_u8(match settings.kind {
        QueueKind::Classic => 0,
        QueueKind::Quorum => 1,
        QueueKind::Stream => 2,
    });
    out.put_u8(match settings.overflow {
        Overflow::DropHead => 0,
        Overflow::RejectPublish => 1,
        Overflow::RejectPublishDlx => 2,
    });
    out.put_u8(match settings.delivery_counting {
        DeliveryCounting::Failures => 0,
        DeliveryCounting::Returns => 1,
    });
    out.put_u8(match settings.delayed_retry.map(|retry| retry.kind) {
        None => retry::NONE,
        Some(DelayedRetryKind::All) => retry::ALL,
        Some(DelayedRetryKind::Failed) => retry::FAILED,
        Some(DelayedRetryKind::Returned) => retry::RETURNED,
    });
    write_numbers(out, numbers(settings));
    write_target(out, settings.dead_letter.as_deref());
    if let Some(retry) = &settings.retry {
        out.put_u8(retry.jitter_percent);
        out.put_u16(u16::try_from(retry.delays_ms.len()).expect("the catalog allows a hundred"));
        retry.delays_ms.iter().for_each(|delay_ms| out.put_u64(*delay_ms));
    }
    if let Some(parking) = &settings.parking {
        write_target(out, Some(parking));
    }
}

/// The numbers, in the order of their bits.
fn numbers(settings: &QueueSettings) -> Numbers {
    [
        settings.message_ttl_ms,
        settings.expires_ms,
        settings.max_length,
        settings.max_length_bytes,
        settings.delivery_limit.map(u64::from),
        settings.max_priority.map(u64::from),
        settings.consumer_timeout_ms,
        settings.delayed_retry.map(|retry| retry.min_ms),
        settings.delayed_retry.map(|retry| retry.max_ms),
        settings.dedup_window_ms,
        settings.dedup_limit,
        settings.max_age_ms,
        settings.segment_bytes,
    ]
}

fn write_numbers(out: &mut BytesMut, numbers: Numbers) {
    let mut present = 0_u16;
    for (bit, number) in (0_u16..).zip(&numbers) {
        present |= u16::from(number.is_some()) << bit;
    }
    out.put_u16(present);
    for number in numbers.into_iter().flatten() {
        out.put_u64(number);
    }
}

fn write_target(out: &mut BytesMut, target: Option<&DeadLetterTarget>) {
    let Some(target) = target else { return out.put_u8(dead::NONE) };
    out.put_u8(match target.strategy {
        DeadLetterStrategy::AtLeastOnce => dead::AT_LEAST_ONCE,
        DeadLetterStrategy::AtMostOnce => dead::AT_MOST_ONCE,
    });
    let mut short = |bytes: &Bytes| {
        out.put_u8(u8::try_from(bytes.len()).expect("short strings have at most 255 bytes"));
        out.put_slice(bytes);
    };
    short(&target.exchange);
    match &target.routing_key {
        None => out.put_u8(0),
        Some(key) => {
            out.put_u8(1);
            out.put_u8(u8::try_from(key.len()).expect("short strings have at most 255 bytes"));
            out.put_slice(key);
        }
    }
}

/// Settings from bytes that hold nothing else.
pub(crate) fn settings_of(bytes: &[u8]) -> Result<QueueSettings, DecodeError> {
    let mut cursor = Cursor::new(bytes, 0);
    let settings = settings(&mut cursor)?;
    if !cursor.is_at_end() {
        return Err(DecodeError::Trailing { count: bytes.len() - cursor.position() });
    }
    Ok(settings)
}

/// Reads settings.
pub(super) fn settings(cursor: &mut Cursor<'_>) -> Result<QueueSettings, DecodeError> {
    let rare = flag::RETRY | flag::PARKING | flag::LEASES;
    let known = flag::AUTO_DELETE | flag::SINGLE_ACTIVE_CONSUMER | rare | flag::RULED;
    let flags = cursor.flags("queue settings", known)?;
    let mut settings = QueueSettings {
        auto_delete: flags & flag::AUTO_DELETE != 0,
        single_active_consumer: flags & flag::SINGLE_ACTIVE_CONSUMER != 0,
        ..QueueSettings::PLAIN
    };
    if flags & flag::RULED != 0 {
        rules(cursor, &mut settings)?;
    } else if flags & rare != 0 {
        let value = u64::from(flags);
        return Err(DecodeError::Unknown { what: "queue settings", value });
    }
    settings.leases = flags & flag::LEASES != 0;
    if flags & flag::RETRY != 0 {
        settings.retry = Some(retry(cursor)?);
    }
    if flags & flag::PARKING != 0 {
        settings.parking = target(cursor)?.map(Into::into);
    }
    Ok(settings)
}

fn rules(cursor: &mut Cursor<'_>, settings: &mut QueueSettings) -> Result<(), DecodeError> {
    let unknown = |what, value: u8| DecodeError::Unknown { what, value: u64::from(value) };
    match cursor.u8("version of queue settings")? {
        RULES_VERSION => {}
        value => return Err(unknown("version of queue settings", value)),
    }
    settings.kind = match cursor.u8("queue kind")? {
        0 => QueueKind::Classic,
        1 => QueueKind::Quorum,
        2 => QueueKind::Stream,
        value => return Err(unknown("queue kind", value)),
    };
    settings.overflow = match cursor.u8("overflow")? {
        0 => Overflow::DropHead,
        1 => Overflow::RejectPublish,
        2 => Overflow::RejectPublishDlx,
        value => return Err(unknown("overflow", value)),
    };
    settings.delivery_counting = match cursor.u8("delivery counting")? {
        0 => DeliveryCounting::Failures,
        1 => DeliveryCounting::Returns,
        value => return Err(unknown("delivery counting", value)),
    };
    let kind = match cursor.u8("delayed retry")? {
        retry::NONE => None,
        retry::ALL => Some(DelayedRetryKind::All),
        retry::FAILED => Some(DelayedRetryKind::Failed),
        retry::RETURNED => Some(DelayedRetryKind::Returned),
        value => return Err(unknown("delayed retry", value)),
    };
    let numbers = read_numbers(cursor)?;
    let [message_ttl, expires, length, bytes, limit, priority, timeout, .., age, segment] = numbers;
    let [.., min, max, window, keys, _, _] = numbers;
    settings.message_ttl_ms = message_ttl;
    settings.expires_ms = expires;
    settings.max_length = length;
    settings.max_length_bytes = bytes;
    settings.delivery_limit = small("delivery limit", limit)?;
    settings.max_priority = small("highest priority", priority)?;
    settings.consumer_timeout_ms = timeout;
    (settings.dedup_window_ms, settings.dedup_limit) = (window, keys);
    (settings.max_age_ms, settings.segment_bytes) = (age, segment);
    settings.delayed_retry = match (kind, min, max) {
        (Some(kind), Some(min_ms), Some(max_ms)) => Some(DelayedRetry { kind, min_ms, max_ms }),
        (None, None, None) => None,
        _ => return Err(unknown("numbers of delayed retry", 0)),
    };
    settings.dead_letter = target(cursor)?.map(Into::into);
    Ok(())
}

fn read_numbers(cursor: &mut Cursor<'_>) -> Result<Numbers, DecodeError> {
    let present = cursor.u16("numbers of queue settings")?;
    if present >> NUMBERS != 0 {
        let value = u64::from(present);
        return Err(DecodeError::Unknown { what: "numbers of queue settings", value });
    }
    let mut numbers = Numbers::default();
    for (bit, number) in (0_u16..).zip(&mut numbers) {
        if present & (1 << bit) != 0 {
            *number = Some(cursor.u64("number of queue settings")?);
        }
    }
    Ok(numbers)
}

fn retry(cursor: &mut Cursor<'_>) -> Result<Retry, DecodeError> {
    let jitter_percent = cursor.u8("jitter")?;
    let count = usize::from(cursor.u16("count of delays")?);
    let delays_ms = u64s(cursor.eights("delays", count)?).collect();
    Ok(Retry { delays_ms, jitter_percent })
}

fn small<T: TryFrom<u64>>(
    what: &'static str,
    number: Option<u64>,
) -> Result<Option<T>, DecodeError> {
    let Some(value) = number else { return Ok(None) };
    T::try_from(value).map(Some).map_err(|_| DecodeError::Unknown { what, value })
}

fn target(cursor: &mut Cursor<'_>) -> Result<Option<DeadLetterTarget>, DecodeError> {
    let strategy = match cursor.u8("dead letter")? {
        dead::NONE => return Ok(None),
        dead::AT_LEAST_ONCE => DeadLetterStrategy::AtLeastOnce,
        dead::AT_MOST_ONCE => DeadLetterStrategy::AtMostOnce,
        value => {
            return Err(DecodeError::Unknown { what: "dead letter", value: u64::from(value) });
        }
    };
    let exchange = Bytes::copy_from_slice(cursor.short("dead letter exchange")?);
    let has_key = cursor.bool("whether there is a dead letter key")?;
    let routing_key =
        if has_key { Some(Bytes::copy_from_slice(cursor.short("dead letter key")?)) } else { None };
    Ok(Some(DeadLetterTarget { exchange, routing_key, strategy }))
}
