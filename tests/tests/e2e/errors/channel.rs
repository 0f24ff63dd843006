//! What closes one channel and leaves the connection alone.

use anyhow::Result;
use warren_tests::wire::{
    Field, Flags, Pack, Wire, consume, declare_exchange, declare_queue, get, id, pairs, publish,
    settle,
};

use super::{Case, Row, channel_can_be_opened_again, check, of_channel};

#[test]
fn what_is_missing_closes_the_channel_with_404() {
    check(MISSING, of_channel, channel_can_be_opened_again);
}

#[test]
fn what_is_not_allowed_closes_the_channel_with_403() {
    check(REFUSED, of_channel, channel_can_be_opened_again);
}

#[test]
fn what_belongs_to_another_connection_closes_the_channel_with_405() {
    check(LOCKED, of_channel, channel_can_be_opened_again);
}

#[test]
fn what_does_not_fit_the_state_closes_the_channel_with_406() {
    check(STATE, of_channel, channel_can_be_opened_again);
}

const MISSING: &[Row] = &[
    Row {
        what: "passive declare of a missing queue",
        code: 404,
        method: id::QUEUE_DECLARE,
        text: "NOT_FOUND - no queue '{n}' in vhost '/'",
        act: |c| c.send(declare_queue(1, &c.name, Flags::PASSIVE, &[])),
    },
    Row {
        what: "passive declare of a missing exchange",
        code: 404,
        method: id::EXCHANGE_DECLARE,
        text: "NOT_FOUND - no exchange '{n}' in vhost '/'",
        act: |c| c.send(declare_exchange(1, &c.name, "direct", Flags::PASSIVE, &[])),
    },
    Row {
        what: "consume from a missing queue",
        code: 404,
        method: id::CONSUME,
        text: "NOT_FOUND - no queue '{n}' in vhost '/'",
        act: |c| c.send(consume(1, &c.name, "", 0, &[])),
    },
    Row {
        what: "get from a missing queue",
        code: 404,
        method: id::GET,
        text: "NOT_FOUND - no queue '{n}' in vhost '/'",
        act: |c| c.send(get(1, &c.name, true)),
    },
    Row {
        what: "purge of a missing queue",
        code: 404,
        method: id::PURGE,
        text: "NOT_FOUND - no queue '{n}' in vhost '/'",
        act: |c| c.send(Pack::method(id::PURGE).u16(0).short(&c.name).u8(0).frame(1)),
    },
    Row {
        what: "publish to a missing exchange",
        code: 404,
        method: id::PUBLISH,
        text: "NOT_FOUND - no exchange '{n}' in vhost '/'",
        act: |c| c.send(publish(1, &c.name, "", 0, &[0, 0], b"x")),
    },
    Row {
        what: "bind of a missing queue",
        code: 404,
        method: id::QUEUE_BIND,
        text: "NOT_FOUND - no queue '{n}' in vhost '/'",
        act: |c| c.send(bind_queue(&c.name, "amq.direct")),
    },
    Row {
        what: "bind to a missing exchange",
        code: 404,
        method: id::QUEUE_BIND,
        text: "NOT_FOUND - no exchange '{n}' in vhost '/'",
        act: |c| {
            let queue = format!("{}.q", c.name);
            own_queue(c, &queue)?;
            c.send(bind_queue(&queue, &c.name))
        },
    },
    Row {
        what: "bind of a missing exchange",
        code: 404,
        method: id::EXCHANGE_BIND,
        text: "NOT_FOUND - no exchange '{n}' in vhost '/'",
        act: |c| c.send(bind_exchange(&c.name, "amq.direct")),
    },
    Row {
        what: "bind from a missing exchange",
        code: 404,
        method: id::EXCHANGE_BIND,
        text: "NOT_FOUND - no exchange '{n}' in vhost '/'",
        act: |c| c.send(bind_exchange("amq.fanout", &c.name)),
    },
    Row {
        what: "consume from the last queue of a channel that has none",
        code: 404,
        method: id::CONSUME,
        text: "NOT_FOUND - no previously declared queue",
        act: |c| c.send(consume(1, "", "", 0, &[])),
    },
];

const REFUSED: &[Row] = &[
    Row {
        what: "creating a queue with a reserved name",
        code: 403,
        method: id::QUEUE_DECLARE,
        text: "ACCESS_REFUSED - queue name 'amq.{n}' contains reserved prefix 'amq.*'",
        act: |c| c.send(declare_queue(1, &format!("amq.{}", c.name), Flags::EXCLUSIVE, &[])),
    },
    Row {
        what: "creating an exchange with a reserved name",
        code: 403,
        method: id::EXCHANGE_DECLARE,
        text: "ACCESS_REFUSED - exchange name 'amq.{n}' contains reserved prefix 'amq.*'",
        act: |c| {
            c.send(declare_exchange(1, &format!("amq.{}", c.name), "direct", Flags::NONE, &[]))
        },
    },
    Row {
        what: "deleting a predeclared exchange",
        code: 403,
        method: id::EXCHANGE_DELETE,
        text: "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
        act: |c| c.send(delete_exchange("amq.direct", 0)),
    },
    Row {
        what: "declaring the default exchange",
        code: 403,
        method: id::EXCHANGE_DECLARE,
        text: "ACCESS_REFUSED - operation not permitted on the default exchange",
        act: |c| c.send(declare_exchange(1, "", "direct", Flags::DURABLE, &[])),
    },
    Row {
        what: "deleting the default exchange",
        code: 403,
        method: id::EXCHANGE_DELETE,
        text: "ACCESS_REFUSED - operation not permitted on the default exchange",
        act: |c| c.send(delete_exchange("", 0)),
    },
    Row {
        what: "binding a queue to the default exchange",
        code: 403,
        method: id::QUEUE_BIND,
        text: "ACCESS_REFUSED - operation not permitted on the default exchange",
        act: |c| {
            own_queue_named(c)?;
            c.send(bind_queue(&c.name, ""))
        },
    },
    Row {
        what: "binding the default exchange to another",
        code: 403,
        method: id::EXCHANGE_BIND,
        text: "ACCESS_REFUSED - operation not permitted on the default exchange",
        act: |c| c.send(bind_exchange("amq.fanout", "")),
    },
    Row {
        what: "publish to an internal exchange",
        code: 403,
        method: id::PUBLISH,
        text: "ACCESS_REFUSED - cannot publish to internal exchange '{n}' in vhost '/'",
        act: |c| {
            let declare = declare_exchange(1, &c.name, "direct", Flags::INTERNAL, &[]);
            c.call(declare, id::EXCHANGE_DECLARE_OK)?;
            c.send(publish(1, &c.name, "", 0, &[0, 0], b"x"))
        },
    },
    Row {
        what: "a second consumer beside an exclusive one",
        code: 403,
        method: id::CONSUME,
        text: "ACCESS_REFUSED - queue '{n}' in vhost '/' in exclusive use",
        act: |c| {
            own_queue_named(c)?;
            c.call(consume(1, &c.name, "first", 4, &[]), id::CONSUME_OK)?;
            c.send(consume(1, &c.name, "second", 0, &[]))
        },
    },
    Row {
        what: "an exclusive consumer beside another",
        code: 403,
        method: id::CONSUME,
        text: "ACCESS_REFUSED - queue '{n}' in vhost '/' in exclusive use",
        act: |c| {
            own_queue_named(c)?;
            c.call(consume(1, &c.name, "first", 0, &[]), id::CONSUME_OK)?;
            c.send(consume(1, &c.name, "second", 4, &[]))
        },
    },
];

pub const LOCKED_TEXT: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{n}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";

const LOCKED: &[Row] = &[
    Row {
        what: "declaring another connection's exclusive queue",
        code: 405,
        method: id::QUEUE_DECLARE,
        text: LOCKED_TEXT,
        act: |c| {
            others_queue(c)?;
            c.send(declare_queue(1, &c.name, Flags::EXCLUSIVE, &[]))
        },
    },
    Row {
        what: "passive declare of another connection's exclusive queue",
        code: 405,
        method: id::QUEUE_DECLARE,
        text: LOCKED_TEXT,
        act: |c| {
            others_queue(c)?;
            c.send(declare_queue(1, &c.name, Flags::PASSIVE, &[]))
        },
    },
    Row {
        what: "consume from another connection's exclusive queue",
        code: 405,
        method: id::CONSUME,
        text: LOCKED_TEXT,
        act: |c| {
            others_queue(c)?;
            c.send(consume(1, &c.name, "", 0, &[]))
        },
    },
    Row {
        what: "get from another connection's exclusive queue",
        code: 405,
        method: id::GET,
        text: LOCKED_TEXT,
        act: |c| {
            others_queue(c)?;
            c.send(get(1, &c.name, true))
        },
    },
    Row {
        what: "purge of another connection's exclusive queue",
        code: 405,
        method: id::PURGE,
        text: LOCKED_TEXT,
        act: |c| {
            others_queue(c)?;
            c.send(Pack::method(id::PURGE).u16(0).short(&c.name).u8(0).frame(1))
        },
    },
    Row {
        what: "delete of another connection's exclusive queue",
        code: 405,
        method: id::QUEUE_DELETE,
        text: LOCKED_TEXT,
        act: |c| {
            others_queue(c)?;
            c.send(delete_queue(&c.name, 0))
        },
    },
    Row {
        what: "bind of another connection's exclusive queue",
        code: 405,
        method: id::QUEUE_BIND,
        text: LOCKED_TEXT,
        act: |c| {
            others_queue(c)?;
            c.send(bind_queue(&c.name, "amq.direct"))
        },
    },
    Row {
        what: "get from a queue with a single active consumer",
        code: 405,
        method: id::GET,
        text: "RESOURCE_LOCKED - cannot obtain access to locked queue '{n}' in vhost '/'. basic.get operations are not supported by *",
        act: |c| {
            let single = ("x-single-active-consumer", Field::Bool(true));
            let arguments = pairs(&[single, ("x-queue-type", Field::text("quorum"))]);
            let declare = declare_queue(1, &c.name, Flags::DURABLE, &arguments);
            c.call(declare, id::QUEUE_DECLARE_OK)?;
            c.send(get(1, &c.name, true))
        },
    },
];

const STATE: &[Row] = &[
    Row {
        what: "ack of a tag that was never issued",
        code: 406,
        method: id::ACK,
        text: "PRECONDITION_FAILED - unknown delivery tag 5",
        act: |c| c.send(settle(1, id::ACK, 5, 0)),
    },
    Row {
        what: "nack of a tag that was never issued",
        code: 406,
        method: id::NACK,
        text: "PRECONDITION_FAILED - unknown delivery tag 5",
        act: |c| c.send(settle(1, id::NACK, 5, 2)),
    },
    Row {
        what: "reject of a tag that was never issued",
        code: 406,
        method: id::REJECT,
        text: "PRECONDITION_FAILED - unknown delivery tag 5",
        act: |c| c.send(settle(1, id::REJECT, 5, 1)),
    },
    Row {
        what: "ack of tag 0 without multiple",
        code: 406,
        method: id::ACK,
        text: "PRECONDITION_FAILED - unknown delivery tag 0",
        act: |c| c.send(settle(1, id::ACK, 0, 0)),
    },
    Row {
        what: "ack up to a tag that was never issued",
        code: 406,
        method: id::ACK,
        text: "PRECONDITION_FAILED - unknown delivery tag 9",
        act: |c| {
            one_got(c)?;
            c.send(settle(1, id::ACK, 9, 1))
        },
    },
    Row {
        what: "the same ack twice",
        code: 406,
        method: id::ACK,
        text: "PRECONDITION_FAILED - unknown delivery tag 1",
        act: |c| {
            one_got(c)?;
            c.send(settle(1, id::ACK, 1, 0))?;
            c.send(settle(1, id::ACK, 1, 0))
        },
    },
    Row {
        what: "an ack on another channel than the delivery's",
        code: 406,
        method: id::ACK,
        text: "PRECONDITION_FAILED - unknown delivery tag 1",
        act: |c| {
            c.wire.channel(2)?;
            c.wire.declare(2, &c.name.clone(), Flags::EXCLUSIVE, &[])?;
            c.wire.publish_to(2, &c.name.clone(), b"x")?;
            c.wire.get(2, &c.name.clone(), false)?;
            c.send(settle(1, id::ACK, 1, 0))
        },
    },
    Row {
        what: "delete if-unused of a queue with a consumer",
        code: 406,
        method: id::QUEUE_DELETE,
        text: "PRECONDITION_FAILED - queue '{n}' in vhost '/' in use",
        act: |c| {
            own_queue_named(c)?;
            c.call(consume(1, &c.name, "", 0, &[]), id::CONSUME_OK)?;
            c.send(delete_queue(&c.name, 1))
        },
    },
    Row {
        what: "delete if-empty of a queue with a message",
        code: 406,
        method: id::QUEUE_DELETE,
        text: "PRECONDITION_FAILED - queue '{n}' in vhost '/' not empty",
        act: |c| {
            own_queue_named(c)?;
            c.wire.publish_to(1, &c.name, b"x")?;
            c.send(delete_queue(&c.name, 2))
        },
    },
    Row {
        what: "delete if-unused of an exchange with a binding",
        code: 406,
        method: id::EXCHANGE_DELETE,
        text: "PRECONDITION_FAILED - exchange '{n}' in vhost '/' in use",
        act: |c| {
            let declare = declare_exchange(1, &c.name, "direct", Flags::EXCHANGE_AUTO_DELETE, &[]);
            c.call(declare, id::EXCHANGE_DECLARE_OK)?;
            let queue = format!("{}.q", c.name);
            own_queue(c, &queue)?;
            c.call(bind_queue(&queue, &c.name), id::QUEUE_BIND_OK)?;
            c.send(delete_exchange(&c.name, 1))
        },
    },
    Row {
        what: "an expiration that is no number",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
        act: |c| c.send(publish(1, "", &c.name, 0, &expiration("soon"), b"x")),
    },
    Row {
        what: "an expiration that is negative",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}",
        act: |c| c.send(publish(1, "", &c.name, 0, &expiration("-1"), b"x")),
    },
    Row {
        what: "an expiration that ends in letters",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - invalid expiration '10s': {leftover_string,\"s\"}",
        act: |c| c.send(publish(1, "", &c.name, 0, &expiration("10s"), b"x")),
    },
    Row {
        what: "an empty expiration",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - invalid expiration '': no_integer",
        act: |c| c.send(publish(1, "", &c.name, 0, &expiration(""), b"x")),
    },
    Row {
        what: "an expiration beyond all bounds",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - invalid expiration '99999999999999': {value_too_large,99999999999999}",
        act: |c| c.send(publish(1, "", &c.name, 0, &expiration("99999999999999"), b"x")),
    },
    Row {
        what: "a user-id that is not the login",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - user_id property set to 'mallory' but authenticated user was 'guest'",
        act: |c| {
            let properties = Pack::empty().u16(1 << 4).short("mallory").bytes();
            c.send(publish(1, "", &c.name, 0, &properties, b"x"))
        },
    },
    Row {
        what: "a CC header that is no list",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}",
        act: |c| c.send(publish(1, "", &c.name, 0, &headers(&[("CC", Field::text("a"))]), b"x")),
    },
    Row {
        what: "a BCC header that is no list",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"BCC\",signedint}",
        act: |c| c.send(publish(1, "", &c.name, 0, &headers(&[("BCC", Field::I32(1))]), b"x")),
    },
    Row {
        what: "a message above the limit, told from its header",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216",
        act: |c| c.send(publish(1, "", &c.name, 0, &[0, 0], &vec![b'x'; 16 * 1024 * 1024 + 1])),
    },
    Row {
        what: "tx.select on a channel with confirms",
        code: 406,
        method: id::TX_SELECT,
        text: "PRECONDITION_FAILED - cannot switch from confirm to tx mode",
        act: |c| {
            c.call(Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)?;
            c.send(Pack::method(id::TX_SELECT).frame(1))
        },
    },
    Row {
        what: "confirm.select on a channel with transactions",
        code: 406,
        method: id::CONFIRM_SELECT,
        text: "PRECONDITION_FAILED - cannot switch from tx to confirm mode",
        act: |c| {
            c.call(Pack::method(id::TX_SELECT).frame(1), id::TX_SELECT_OK)?;
            c.send(Pack::method(id::CONFIRM_SELECT).u8(0).frame(1))
        },
    },
    Row {
        what: "tx.commit without tx.select",
        code: 406,
        method: id::TX_COMMIT,
        text: "PRECONDITION_FAILED - channel is not transactional",
        act: |c| c.send(Pack::method(id::TX_COMMIT).frame(1)),
    },
    Row {
        what: "tx.rollback without tx.select",
        code: 406,
        method: id::TX_ROLLBACK,
        text: "PRECONDITION_FAILED - channel is not transactional",
        act: |c| c.send(Pack::method(id::TX_ROLLBACK).frame(1)),
    },
    Row {
        what: "direct reply-to consumed with acknowledgements",
        code: 406,
        method: id::CONSUME,
        text: "PRECONDITION_FAILED - reply consumer cannot acknowledge",
        act: |c| c.send(consume(1, "amq.rabbitmq.reply-to", "", 0, &[])),
    },
    Row {
        what: "direct reply-to consumed twice",
        code: 406,
        method: id::CONSUME,
        text: "PRECONDITION_FAILED - reply consumer already set",
        act: |c| {
            c.call(consume(1, "amq.rabbitmq.reply-to", "a", 2, &[]), id::CONSUME_OK)?;
            c.send(consume(1, "amq.rabbitmq.reply-to", "b", 2, &[]))
        },
    },
    Row {
        what: "a request for a direct reply that nobody waits for",
        code: 406,
        method: id::PUBLISH,
        text: "PRECONDITION_FAILED - fast reply consumer does not exist",
        act: |c| {
            let properties = Pack::empty().u16(1 << 9).short("amq.rabbitmq.reply-to").bytes();
            c.send(publish(1, "", &c.name, 0, &properties, b"x"))
        },
    },
    Row {
        what: "a headers binding with an x-match that does not exist",
        code: 406,
        method: id::QUEUE_BIND,
        text: "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x",
        act: |c| {
            own_queue_named(c)?;
            let arguments = pairs(&[("x-match", Field::text("some"))]);
            c.send(
                Pack::method(id::QUEUE_BIND)
                    .u16(0)
                    .short(&c.name)
                    .short("amq.headers")
                    .short("")
                    .u8(0)
                    .table(&arguments)
                    .frame(1),
            )
        },
    },
];

fn bind_queue(queue: &str, exchange: &str) -> Vec<u8> {
    Pack::method(id::QUEUE_BIND)
        .u16(0)
        .short(queue)
        .short(exchange)
        .short("k")
        .u8(0)
        .table(&[])
        .frame(1)
}

fn bind_exchange(destination: &str, source: &str) -> Vec<u8> {
    Pack::method(id::EXCHANGE_BIND)
        .u16(0)
        .short(destination)
        .short(source)
        .short("k")
        .u8(0)
        .table(&[])
        .frame(1)
}

fn delete_queue(name: &str, bits: u8) -> Vec<u8> {
    Pack::method(id::QUEUE_DELETE).u16(0).short(name).u8(bits).frame(1)
}

fn delete_exchange(name: &str, bits: u8) -> Vec<u8> {
    Pack::method(id::EXCHANGE_DELETE).u16(0).short(name).u8(bits).frame(1)
}

fn expiration(text: &str) -> Vec<u8> {
    Pack::empty().u16(1 << 8).short(text).bytes()
}

fn headers(list: &[(&str, Field)]) -> Vec<u8> {
    Pack::empty().u16(1 << 13).table(&pairs(list)).bytes()
}

fn own_queue(case: &mut Case, name: &str) -> Result<()> {
    case.wire.declare(1, name, Flags::EXCLUSIVE, &[])?;
    Ok(())
}

pub fn own_queue_named(case: &mut Case) -> Result<()> {
    let name = case.name.clone();
    own_queue(case, &name)
}

fn others_queue(case: &mut Case) -> Result<()> {
    let mut other = Wire::open_channel(case.address)?;
    other.declare(1, &case.name, Flags::EXCLUSIVE, &[])?;
    case.others.push(other);
    Ok(())
}

/// Gets one message with tag 1 and leaves it unsettled.
fn one_got(case: &mut Case) -> Result<()> {
    own_queue_named(case)?;
    let name = case.name.clone();
    case.wire.publish_to(1, &name, b"x")?;
    case.wire.get(1, &name, false)?;
    Ok(())
}
