//! The bytes of replies, for a proposer on another node than the catalog's leader.
//!
//! Unlike records, the rows within are whole: with the policies in effect and what they come to.

use std::sync::Arc;

use bytes::Bytes;
use warren_types::{DecodeError, Reader, Table, Value, Writer};

use super::stored::{Stored, stored_enum, stored_struct};
use crate::arguments::SEGMENT_SIZE;
use crate::{
    Common, DeadLetterStrategy, Dedup, DefinitionError, DelayedRetry, DelayedRetryKind,
    DeliveryCounting, Exchange, Given, Inequivalence, MAX_BATCH_COMMANDS, Outcome, Overflow,
    PatternError, Queue, Refusal, Reply, Resource, ResourceKind, Retry, Settings, TimeoutAction,
};

/// The version of a reply's shape that is written, as long as each queue in it has the timeout action
/// that queues of its kind have unless told otherwise: builds that know no other read it too.
const REPLY_VERSION: u8 = 3;

/// The same, with the timeout action of each queue behind it.
const REPLY_VERSION_ACTIONS: u8 = 4;

/// The same, with the segment size of each queue behind that: where one is not what its arguments say.
const REPLY_VERSION_SEGMENTS: u8 = 5;

/// The bytes of a reply.
#[must_use]
pub fn encode(reply: &Reply) -> Bytes {
    let has_usual_action = |queue: &Queue| queue.settings.timeout_action == usual_action(queue);
    let has_usual_size = |queue: &Queue| queue.settings.segment_bytes == usual_size(queue);
    let version = if !queues(reply).all(|queue| has_usual_size(queue)) {
        REPLY_VERSION_SEGMENTS
    } else if !queues(reply).all(|queue| has_usual_action(queue)) {
        REPLY_VERSION_ACTIONS
    } else {
        REPLY_VERSION
    };
    let mut writer = Writer::new();
    writer.u8(version);
    reply.write(&mut writer);
    if version >= REPLY_VERSION_ACTIONS {
        queues(reply).for_each(|queue| queue.settings.timeout_action.write(&mut writer));
    }
    if version >= REPLY_VERSION_SEGMENTS {
        queues(reply).for_each(|queue| queue.settings.segment_bytes.write(&mut writer));
    }
    writer.finish()
}

/// The reply that [`encode`] wrote.
///
/// # Errors
/// When the bytes are damaged or of a version that is not spoken here.
pub fn decode(bytes: Bytes) -> Result<Reply, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.u8("reply version")?;
    if !(REPLY_VERSION..=REPLY_VERSION_SEGMENTS).contains(&version) {
        let value = u64::from(version);
        return Err(DecodeError::Unknown { what: "reply version", value });
    }
    let mut reply = Reply::read(&mut reader)?;
    for queue in queues_mut(&mut reply) {
        let (mut action, size) = (usual_action(queue), usual_size(queue));
        if version >= REPLY_VERSION_ACTIONS {
            action = TimeoutAction::read(&mut reader)?;
        }
        let settings = Arc::make_mut(queue).settings_mut();
        (settings.timeout_action, settings.segment_bytes) = (action, size);
    }
    if version >= REPLY_VERSION_SEGMENTS {
        for queue in queues_mut(&mut reply) {
            let size = Option::<u64>::read(&mut reader)?;
            Arc::make_mut(queue).settings_mut().segment_bytes = size;
        }
    }
    reader.finish()?;
    if reply.len() > MAX_BATCH_COMMANDS {
        let value = u64::try_from(reply.len()).unwrap_or(u64::MAX);
        return Err(DecodeError::Unknown { what: "number of answers", value });
    }
    Ok(reply)
}

fn usual_action(queue: &Queue) -> TimeoutAction {
    TimeoutAction::usual(queue.kind)
}

/// What a queue's segments are where no policy says otherwise.
fn usual_size(queue: &Queue) -> Option<u64> {
    let size = queue.arguments.value(SEGMENT_SIZE).and_then(Value::as_integer);
    size.and_then(|bytes| u64::try_from(bytes).ok())
}

/// The queues that a reply tells of, in order.
fn queues(reply: &Reply) -> impl Iterator<Item = &Arc<Queue>> {
    reply.iter().flatten().flat_map(|outcome| match outcome {
        Outcome::QueueCreated(queue) | Outcome::QueueExists(queue) => std::slice::from_ref(queue),
        Outcome::QueuesRemoved(queues) => queues.as_slice(),
        _ => &[],
    })
}

/// The same.
fn queues_mut(reply: &mut Reply) -> impl Iterator<Item = &mut Arc<Queue>> {
    reply.iter_mut().flatten().flat_map(|outcome| match outcome {
        Outcome::QueueCreated(queue) | Outcome::QueueExists(queue) => std::slice::from_mut(queue),
        Outcome::QueuesRemoved(queues) => queues.as_mut_slice(),
        _ => &mut [],
    })
}

stored_enum! {
    Outcome {
        0 => Created,
        1 => Updated,
        2 => Unchanged,
        3 => Removed,
        4 => Missing,
        16 => Node(node),
        24 => QueueCreated(queue),
        25 => QueueExists(queue),
        26 => QueuesRemoved(queues),
        32 => ExchangeCreated(exchange),
        33 => ExchangeExists(exchange),
    }
}

stored_enum! {
    Refusal {
        0 => Damaged { what },
        1 => NoVhost { vhost },
        2 => NoUser { user },
        3 => NoResource(resource),
        4 => NoNode { node },
        5 => NoShard { group },
        16 => StartOver { node, boot },
        17 => NodeIdTaken { node },
        18 => FoundedOtherwise,
        19 => VersionNotAbove { version, current },
        20 => VersionNotSpoken { version, node, speaks },
        32 => ReservedName { kind, name },
        33 => DefaultExchange,
        34 => SystemExchange { exchange },
        35 => UnknownExchangeType { name },
        36 => Inequivalent(difference),
        37 => InvalidArgument { resource, argument, reason },
        38 => ArgumentType { resource, argument, given },
        39 => SegmentTooLarge,
        40 => FilterSize,
        41 => UnsupportedArgument { resource, argument, kind },
        42 => InvalidProperty { resource, property },
        43 => ServerNamed { kind },
        44 => Locked { queue },
        45 => InUse { resource },
        46 => QueueLimit { vhost, queue, limit },
        47 => InvalidBinding(reason),
        48 => InvalidExchange(reason),
        64 => ProtectedVhost { vhost },
        65 => InvalidPattern(error),
        66 => InvalidDefinition(error),
        67 => InvalidValue { name },
        68 => InvalidName { what, bytes },
    }
}

stored_struct! { Resource { kind, vhost, name } }
stored_enum! { ResourceKind { 0 => Exchange, 1 => Queue } }
stored_struct! { Inequivalence { resource, argument, received, current } }
stored_enum! { Given { 0 => Nothing, 1 => Plain(value), 2 => Typed(value) } }
stored_struct! { PatternError { pattern, reason } }
stored_enum! {
    DefinitionError { 0 => NotAnObject(what), 1 => Empty, 2 => UnknownKeys(keys), 3 => Value(what) }
}

stored_struct! {
    Queue {
        id,
        vhost,
        name,
        kind,
        durable,
        auto_delete,
        exclusive,
        arguments,
        placement,
        created,
        common,
    }
}
stored_struct! { Common { user, policy, operator_policy, settings } }
stored_struct! {
    Exchange {
        vhost,
        name,
        kind,
        durable,
        auto_delete,
        internal,
        arguments,
        created,
        user,
        policy,
        operator_policy,
        alternate,
    }
}
stored_struct! {
    Settings {
        message_ttl_ms,
        expires_ms,
        max_length,
        max_length_bytes,
        overflow,
        dead_letter_exchange,
        dead_letter_routing_key,
        dead_letter_strategy,
        delivery_limit,
        delivery_counting,
        max_priority,
        single_active_consumer,
        consumer_timeout_ms,
        consumer_disconnected_timeout_ms,
        delayed_retry,
        max_age_ms,
        dedup,
        retry,
    } without { timeout_action, segment_bytes }
}
stored_enum! { Overflow { 0 => DropHead, 1 => RejectPublish, 2 => RejectPublishDlx } }
stored_enum! { DeadLetterStrategy { 0 => AtMostOnce, 1 => AtLeastOnce } }
stored_enum! { TimeoutAction { 0 => Cancel, 1 => Close, 2 => Return } }
stored_enum! { DeliveryCounting { 0 => Failures, 1 => Returns } }
stored_struct! { DelayedRetry { kind, min_ms, max_ms } }
stored_struct! { Dedup { window_ms, header, limit } }
stored_struct! { Retry { delays_ms, jitter_percent } }
stored_enum! { DelayedRetryKind { 0 => Disabled, 1 => All, 2 => Failed, 3 => Returned } }

impl<T: Stored, E: Stored> Stored for Result<T, E> {
    fn write(&self, writer: &mut Writer) {
        match self {
            Ok(value) => {
                writer.u8(0);
                value.write(writer);
            }
            Err(error) => {
                writer.u8(1);
                error.write(writer);
            }
        }
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        if reader.bool("result")? { E::read(reader).map(Err) } else { T::read(reader).map(Ok) }
    }
}

/// A value is a table of one entry without a name: tables are what has bytes.
impl Stored for Value {
    fn write(&self, writer: &mut Writer) {
        let mut table = Table::new();
        table.insert("", self.clone());
        writer.table(&table);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let mut table = reader.table("value")?;
        let value = table.remove("");
        let rest = u64::try_from(table.len()).unwrap_or(u64::MAX);
        match value {
            Some(value) if rest == 0 => Ok(value),
            Some(_) | None => Err(DecodeError::Unknown { what: "value", value: rest }),
        }
    }
}

#[cfg(test)]
mod tests;
