//! Declarations that do not fit what is there, or that cannot be.

use anyhow::Result;
use warren_tests::wire::{Field, Flags, consume, declare_exchange, declare_queue, id, pairs};

use super::channel::{LOCKED_TEXT, own_queue_named};
use super::{Case, Row, channel_can_be_opened_again, check, of_channel};

#[test]
fn what_is_declared_differently_closes_the_channel_with_406() {
    check(UNEQUAL, of_channel, channel_can_be_opened_again);
}

#[test]
fn an_argument_that_cannot_be_closes_the_channel_with_406() {
    check(ARGUMENTS, of_channel, channel_can_be_opened_again);
}

const UNEQUAL: &[Row] = &[
    Row {
        what: "a queue declared durable, then not",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{n}' in vhost '/': received 'false' but current is 'true'",
        act: |c| queue_twice(c, Flags::DURABLE, &[], Flags::NONE, &[]),
    },
    Row {
        what: "a queue declared with auto-delete, then without",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue '{n}' in vhost '/': received 'false' but current is 'true'",
        act: |c| queue_twice(c, Flags::EXCLUSIVE | Flags::AUTO_DELETE, &[], Flags::EXCLUSIVE, &[]),
    },
    Row {
        what: "a queue declared exclusive, then not, by its owner",
        code: 405,
        method: id::QUEUE_DECLARE,
        text: LOCKED_TEXT,
        act: |c| queue_twice(c, Flags::EXCLUSIVE | Flags::DURABLE, &[], Flags::DURABLE, &[]),
    },
    Row {
        what: "a queue declared with another limit",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '{n}' in vhost '/': received '2' but current is '1'",
        act: |c| {
            let (one, two) = ([("x-max-length", Field::I32(1))], [("x-max-length", Field::I32(2))]);
            queue_twice(c, Flags::EXCLUSIVE, &one, Flags::EXCLUSIVE, &two)
        },
    },
    Row {
        what: "a queue declared with a limit that it has not",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '{n}' in vhost '/': received the value '1' of type 'signedint' but current is none",
        act: |c| {
            queue_twice(
                c,
                Flags::EXCLUSIVE,
                &[],
                Flags::EXCLUSIVE,
                &[("x-max-length", Field::I32(1))],
            )
        },
    },
    Row {
        what: "a queue declared without a limit that it has",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue '{n}' in vhost '/': received none but current is the value '60000' of type 'long'",
        act: |c| {
            queue_twice(
                c,
                Flags::EXCLUSIVE,
                &[("x-message-ttl", Field::I64(60_000))],
                Flags::EXCLUSIVE,
                &[],
            )
        },
    },
    Row {
        what: "a queue declared with another dead-letter exchange",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue '{n}' in vhost '/': received 'two' but current is 'one'",
        act: |c| {
            let one = [("x-dead-letter-exchange", Field::text("one"))];
            let two = [("x-dead-letter-exchange", Field::text("two"))];
            queue_twice(c, Flags::EXCLUSIVE, &one, Flags::EXCLUSIVE, &two)
        },
    },
    Row {
        what: "an exchange declared with another type",
        code: 406,
        method: id::EXCHANGE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{n}' in vhost '/': received 'fanout' but current is 'direct'",
        act: |c| exchange_twice(c, ("direct", Flags::NONE, &[]), ("fanout", Flags::NONE, &[])),
    },
    Row {
        what: "an exchange declared durable that is not",
        code: 406,
        method: id::EXCHANGE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange '{n}' in vhost '/': received 'true' but current is 'false'",
        act: |c| exchange_twice(c, ("direct", Flags::NONE, &[]), ("direct", Flags::DURABLE, &[])),
    },
    Row {
        what: "an exchange declared with auto-delete that has it not",
        code: 406,
        method: id::EXCHANGE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for exchange '{n}' in vhost '/': received 'true' but current is 'false'",
        act: |c| {
            exchange_twice(
                c,
                ("direct", Flags::NONE, &[]),
                ("direct", Flags::EXCHANGE_AUTO_DELETE, &[]),
            )
        },
    },
    Row {
        what: "an exchange declared internal that is not",
        code: 406,
        method: id::EXCHANGE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'internal' for exchange '{n}' in vhost '/': received 'true' but current is 'false'",
        act: |c| exchange_twice(c, ("direct", Flags::NONE, &[]), ("direct", Flags::INTERNAL, &[])),
    },
    Row {
        what: "an exchange declared with an alternate that it has not",
        code: 406,
        method: id::EXCHANGE_DECLARE,
        text: "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{n}' in vhost '/': received the value 'amq.fanout' of type 'longstr' but current is none",
        act: |c| {
            let alternate = [("alternate-exchange", Field::text("amq.fanout"))];
            exchange_twice(c, ("direct", Flags::NONE, &[]), ("direct", Flags::NONE, &alternate))
        },
    },
];

const ARGUMENTS: &[Row] = &[
    Row {
        what: "an exchange type that does not exist",
        code: 406,
        method: id::EXCHANGE_DECLARE,
        text: "PRECONDITION_FAILED - unknown exchange type 'nonsense'",
        act: |c| c.send(declare_exchange(1, &c.name, "nonsense", Flags::NONE, &[])),
    },
    Row {
        what: "a negative x-message-ttl",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '{n}' in vhost '/': {value_negative,-1}",
        act: |c| with_argument(c, "x-message-ttl", Field::I32(-1)),
    },
    Row {
        what: "x-message-ttl as text",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '{n}' in vhost '/': \"expected integer, got longstr\"",
        act: |c| with_argument(c, "x-message-ttl", Field::text("1000")),
    },
    Row {
        what: "x-expires of nothing",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-expires' for queue '{n}' in vhost '/': {value_zero,0}",
        act: |c| with_argument(c, "x-expires", Field::I32(0)),
    },
    Row {
        what: "a negative x-max-length",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue '{n}' in vhost '/': {value_negative,-1}",
        act: |c| with_argument(c, "x-max-length", Field::I32(-1)),
    },
    Row {
        what: "x-max-priority above 255",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue '{n}' in vhost '/': {max_value_exceeded,256}",
        act: |c| with_argument(c, "x-max-priority", Field::I32(256)),
    },
    Row {
        what: "x-overflow that does not exist",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue '{n}' in vhost '/': invalid_overflow",
        act: |c| with_argument(c, "x-overflow", Field::text("explode")),
    },
    Row {
        what: "x-queue-type that does not exist",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue '{n}' in vhost '/': \"unsupported queue type 'nonsense'\"",
        act: |c| with_argument(c, "x-queue-type", Field::text("nonsense")),
    },
    Row {
        what: "a dead-letter routing key without an exchange",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue '{n}' in vhost '/': routing_key_but_no_dlx_defined",
        act: |c| with_argument(c, "x-dead-letter-routing-key", Field::text("k")),
    },
    Row {
        what: "a dead-letter exchange that is a number",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue '{n}' in vhost '/'",
        act: |c| with_argument(c, "x-dead-letter-exchange", Field::I32(1)),
    },
    Row {
        what: "x-single-active-consumer that is a number",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid arg 'x-single-active-consumer' for queue '{n}' in vhost '/': {unacceptable_type,signedint}",
        act: |c| with_argument(c, "x-single-active-consumer", Field::I32(1)),
    },
    Row {
        what: "a quorum queue that is exclusive",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue '{n}' in vhost '/'",
        act: |c| quorum(c, Flags::DURABLE | Flags::EXCLUSIVE),
    },
    Row {
        what: "a quorum queue that is not durable",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid property 'non-durable' for queue '{n}' in vhost '/'",
        act: |c| quorum(c, Flags::NONE),
    },
    Row {
        what: "a quorum queue with auto-delete",
        code: 406,
        method: id::QUEUE_DECLARE,
        text: "PRECONDITION_FAILED - invalid property 'auto-delete' for queue '{n}' in vhost '/'",
        act: |c| quorum(c, Flags::DURABLE | Flags::AUTO_DELETE),
    },
    Row {
        what: "a consumer priority that is text",
        code: 406,
        method: id::CONSUME,
        text: "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{n}' in vhost '/': \"expected integer, got longstr\"",
        act: |c| {
            own_queue_named(c)?;
            c.send(consume(1, &c.name, "", 0, &pairs(&[("x-priority", Field::text("high"))])))
        },
    },
];

fn with_argument(case: &mut Case, key: &str, value: Field) -> Result<()> {
    case.send(declare_queue(1, &case.name, Flags::EXCLUSIVE, &pairs(&[(key, value)])))
}

fn quorum(case: &mut Case, flags: Flags) -> Result<()> {
    let arguments = pairs(&[("x-queue-type", Field::text("quorum"))]);
    case.send(declare_queue(1, &case.name, flags, &arguments))
}

type Arguments<'a> = &'a [(&'a str, Field)];

fn queue_twice(
    case: &mut Case,
    first: Flags,
    with: Arguments<'_>,
    second: Flags,
    then: Arguments<'_>,
) -> Result<()> {
    let declare = declare_queue(1, &case.name, first, &pairs(with));
    case.call(declare, id::QUEUE_DECLARE_OK)?;
    case.send(declare_queue(1, &case.name, second, &pairs(then)))
}

type Exchange<'a> = (&'a str, Flags, Arguments<'a>);

fn exchange_twice(case: &mut Case, first: Exchange<'_>, second: Exchange<'_>) -> Result<()> {
    let declare = |(kind, flags, arguments): Exchange<'_>| {
        declare_exchange(1, &case.name, kind, flags, &pairs(arguments))
    };
    let (first, second) = (declare(first), declare(second));
    case.call(first, id::EXCHANGE_DECLARE_OK)?;
    case.send(second)
}
