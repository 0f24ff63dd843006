//! Whether a declaration asks for what exists.
//!
//! Arguments compare as RabbitMQ compares them: by value, whatever the integer's width, and only
//! those that mean something to the kind of queue or exchange. What differs is named with both
//! values, because client libraries and their users read that text.

use warren_types::{Table, Value};

use crate::arguments::known_arguments;
use crate::queue::QUEUE_TYPE;
use crate::{
    DeclareExchange, DeclareQueue, Exchange, ExchangeKind, Given, Inequivalence, Queue, QueueKind,
    Refusal, Resource,
};

/// The only argument of exchanges that is compared.
pub(crate) const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// Whether `wanted`, with its arguments completed, asks for `queue`.
pub(crate) fn check_queue(
    queue: &Queue,
    wanted: &DeclareQueue,
    arguments: &Table,
) -> Result<(), Refusal> {
    let resource = Resource::queue(&queue.vhost, &queue.name);
    if queue.owner() != wanted.exclusive {
        return Err(Refusal::Locked { queue: resource });
    }
    // An exclusive queue goes with its connection, so it is never durable.
    let durable = wanted.durable && wanted.exclusive.is_none();
    check_flag(&resource, "durable", queue.durable, durable)?;
    check_flag(&resource, "auto_delete", queue.auto_delete, wanted.auto_delete)?;
    for argument in known_arguments(queue.kind) {
        check_argument(&resource, argument, &queue.arguments, arguments)?;
    }
    Ok(())
}

/// Whether `wanted` asks for `exchange`.
pub(crate) fn check_exchange(
    exchange: &Exchange,
    kind: ExchangeKind,
    wanted: &DeclareExchange,
) -> Result<(), Refusal> {
    let resource = Resource::exchange(&exchange.vhost, &exchange.name);
    if exchange.kind != kind {
        let received = Given::Plain(Value::text(kind.as_str()));
        let current = Given::Plain(Value::text(exchange.kind.as_str()));
        return Err(inequivalent(&resource, "type", received, current));
    }
    check_flag(&resource, "durable", exchange.durable, wanted.durable)?;
    check_flag(&resource, "auto_delete", exchange.auto_delete, wanted.auto_delete)?;
    check_flag(&resource, "internal", exchange.internal, wanted.internal)?;
    check_argument(&resource, ALTERNATE_EXCHANGE, &exchange.arguments, &wanted.arguments)
}

fn check_flag(
    resource: &Resource,
    argument: &str,
    current: bool,
    received: bool,
) -> Result<(), Refusal> {
    if current == received {
        return Ok(());
    }
    let (received, current) = (Value::Bool(received), Value::Bool(current));
    Err(inequivalent(resource, argument, Given::Plain(received), Given::Plain(current)))
}

fn check_argument(
    resource: &Resource,
    argument: &str,
    current: &Table,
    received: &Table,
) -> Result<(), Refusal> {
    let (current, received) = (current.value(argument), received.value(argument));
    let (received, current) = match (received, current) {
        (None, None) => return Ok(()),
        (Some(received), Some(current)) if equal(current, received) => return Ok(()),
        (Some(received), Some(current)) => {
            (Given::Plain(received.clone()), Given::Plain(current.clone()))
        }
        (Some(value), None) | (None, Some(value)) if is_classic(argument, value) => return Ok(()),
        (Some(received), None) => (Given::Typed(received.clone()), Given::Nothing),
        (None, Some(current)) => (Given::Nothing, Given::Typed(current.clone())),
    };
    Err(inequivalent(resource, argument, received, current))
}

fn inequivalent(resource: &Resource, argument: &str, received: Given, current: Given) -> Refusal {
    let (resource, argument) = (resource.clone(), argument.to_owned());
    Refusal::Inequivalent(Box::new(Inequivalence { resource, argument, received, current }))
}

/// No queue type and the classic one are the same.
fn is_classic(argument: &str, value: &Value) -> bool {
    argument == QUEUE_TYPE && value.as_text() == Some(QueueKind::Classic.as_str())
}

/// Whether two values are one, their types' widths aside: integers with integers, fractions with
/// fractions, bytes with bytes.
pub(crate) fn equal(one: &Value, other: &Value) -> bool {
    if let (Some(one), Some(other)) = (one.as_integer(), other.as_integer()) {
        return one == other;
    }
    match (one, other) {
        (Value::F32(one), Value::F64(other)) | (Value::F64(other), Value::F32(one)) => {
            f64::from(*one) == *other
        }
        (
            Value::LongString(one) | Value::Bytes(one),
            Value::LongString(other) | Value::Bytes(other),
        ) => one == other,
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests;
