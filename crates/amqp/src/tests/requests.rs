//! Every request, as an independent client writes it.

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame};
use amq_protocol::protocol::{
    AMQPClass, access, basic, channel, confirm, connection, exchange, queue, tx,
};
use amq_protocol::types::{AMQPValue, FieldTable, ShortString};
use proptest::prelude::*;
use warren_types::{ChannelNumber, Table, Value};

use super::peer::Peer;
use super::wire;
use crate::{Event, Request};

/// The bytes of one method frame on channel 1, or on 0 for class connection.
fn encoded(class: AMQPClass) -> Vec<u8> {
    let channel = u16::from(!matches!(class, AMQPClass::Connection(_)));
    let frame = AMQPFrame::Method(channel, class);
    let context = gen_frame(&frame)(WriteContext::from(Vec::new())).expect("memory");
    context.into_inner().0
}

fn received(class: AMQPClass) -> Request {
    let mut events = Peer::running().send(&encoded(class)).expect("well-formed");
    match events.pop() {
        Some(Event::Request { request, .. }) if events.is_empty() => request,
        other => panic!("no request: {other:?}"),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-zé.#*]{1,20}", Just("x".repeat(255))]
}

/// A small table, as both sides hold it.
fn tables() -> impl Strategy<Value = (Table, FieldTable)> {
    let entry = ("[a-z]{1,8}", any::<i32>(), any::<bool>(), text());
    proptest::collection::btree_map("[a-z-]{1,8}", entry, 0..4).prop_map(|entries| {
        let mut ours = Table::new();
        let mut theirs = FieldTable::default();
        for (name, (inner_name, number, flag, text)) in entries {
            let mut inner = Table::new();
            inner.insert(&inner_name, Value::text(&text));
            let values = vec![Value::I32(number), Value::Bool(flag), Value::Table(inner)];
            ours.insert(&name, Value::Array(values));
            let mut inner = FieldTable::default();
            inner.insert(inner_name.into(), AMQPValue::LongString(text.into()));
            let values = vec![
                AMQPValue::LongInt(number),
                AMQPValue::Boolean(flag),
                AMQPValue::FieldTable(inner),
            ];
            theirs.insert(name.into(), AMQPValue::FieldArray(values.into()));
        }
        (ours, theirs)
    })
}

fn short(text: &str) -> ShortString {
    text.into()
}

type Bits = (bool, bool, bool, bool, bool);

proptest! {
    #[test]
    fn exchange_methods_arrive_as_they_were_sent(
        (a, b, c) in (text(), text(), text()),
        bits in any::<Bits>(),
        (arguments, sent) in tables(),
    ) {
        let (passive, durable, auto_delete, internal, nowait) = bits;
        let declare = exchange::Declare {
            exchange: short(&a), kind: short(&b), passive, durable, auto_delete, internal, nowait,
            arguments: sent.clone(),
        };
        let delete = exchange::Delete { exchange: short(&a), if_unused: passive, nowait };
        let bind = exchange::Bind {
            destination: short(&a), source: short(&b), routing_key: short(&c), nowait,
            arguments: sent.clone(),
        };
        let unbind = exchange::Unbind {
            destination: short(&a), source: short(&b), routing_key: short(&c), nowait,
            arguments: sent,
        };

        let sent = |method| received(AMQPClass::Exchange(method));
        prop_assert_eq!(sent(exchange::AMQPMethod::Declare(declare)), Request::ExchangeDeclare {
            exchange: a.clone(), kind: b.clone(), passive, durable, auto_delete, internal, nowait,
            arguments: arguments.clone(),
        });
        prop_assert_eq!(sent(exchange::AMQPMethod::Delete(delete)), Request::ExchangeDelete {
            exchange: a.clone(), if_unused: passive, nowait,
        });
        prop_assert_eq!(sent(exchange::AMQPMethod::Bind(bind)), Request::ExchangeBind {
            destination: a.clone(), source: b.clone(), routing_key: c.clone(), nowait,
            arguments: arguments.clone(),
        });
        prop_assert_eq!(sent(exchange::AMQPMethod::Unbind(unbind)), Request::ExchangeUnbind {
            destination: a, source: b, routing_key: c, nowait, arguments,
        });
    }

    #[test]
    fn queue_methods_arrive_as_they_were_sent(
        (a, b, c) in (text(), text(), text()),
        bits in any::<Bits>(),
        (arguments, sent) in tables(),
    ) {
        let (passive, durable, exclusive, auto_delete, nowait) = bits;
        let declare = queue::Declare {
            queue: short(&a), passive, durable, exclusive, auto_delete, nowait,
            arguments: sent.clone(),
        };
        let bind = queue::Bind {
            queue: short(&a), exchange: short(&b), routing_key: short(&c), nowait,
            arguments: sent.clone(),
        };
        let unbind = queue::Unbind {
            queue: short(&a), exchange: short(&b), routing_key: short(&c), arguments: sent,
        };
        let purge = queue::Purge { queue: short(&a), nowait };
        let delete = queue::Delete {
            queue: short(&a), if_unused: passive, if_empty: durable, nowait,
        };

        let sent = |method| received(AMQPClass::Queue(method));
        prop_assert_eq!(sent(queue::AMQPMethod::Declare(declare)), Request::QueueDeclare {
            queue: a.clone(), passive, durable, exclusive, auto_delete, nowait,
            arguments: arguments.clone(),
        });
        prop_assert_eq!(sent(queue::AMQPMethod::Bind(bind)), Request::QueueBind {
            queue: a.clone(), exchange: b.clone(), routing_key: c.clone(), nowait,
            arguments: arguments.clone(),
        });
        prop_assert_eq!(sent(queue::AMQPMethod::Unbind(unbind)), Request::QueueUnbind {
            queue: a.clone(), exchange: b, routing_key: c, arguments,
        });
        prop_assert_eq!(sent(queue::AMQPMethod::Purge(purge)), Request::QueuePurge {
            queue: a.clone(), nowait,
        });
        prop_assert_eq!(sent(queue::AMQPMethod::Delete(delete)), Request::QueueDelete {
            queue: a, if_unused: passive, if_empty: durable, nowait,
        });
    }

    #[test]
    fn basic_methods_arrive_as_they_were_sent(
        (a, b) in (text(), text()),
        bits in any::<Bits>(),
        prefetch_count in any::<u16>(),
        (arguments, sent) in tables(),
    ) {
        let (no_local, no_ack, exclusive, nowait, global) = bits;
        let consume = basic::Consume {
            queue: short(&a), consumer_tag: short(&b), no_local, no_ack, exclusive, nowait,
            arguments: sent,
        };
        let qos = basic::Qos { prefetch_count, global };
        let cancel = basic::Cancel { consumer_tag: short(&b), nowait };
        let cancel_ok = basic::CancelOk { consumer_tag: short(&b) };
        let requeue = global;

        let sent = |method| received(AMQPClass::Basic(method));
        prop_assert_eq!(sent(basic::AMQPMethod::Consume(consume)), Request::Consume {
            queue: a, consumer_tag: b.clone(), no_local, no_ack, exclusive, nowait, arguments,
        });
        prop_assert_eq!(sent(basic::AMQPMethod::Qos(qos)), Request::Qos {
            prefetch_size: 0, prefetch_count, global,
        });
        prop_assert_eq!(sent(basic::AMQPMethod::Cancel(cancel)), Request::Cancel {
            consumer_tag: b.clone(), nowait,
        });
        prop_assert_eq!(sent(basic::AMQPMethod::CancelOk(cancel_ok)), Request::CancelOk {
            consumer_tag: b,
        });
        prop_assert_eq!(
            sent(basic::AMQPMethod::Recover(basic::Recover { requeue })),
            Request::Recover { requeue }
        );
        prop_assert_eq!(
            sent(basic::AMQPMethod::RecoverAsync(basic::RecoverAsync { requeue })),
            Request::RecoverAsync { requeue }
        );
    }
}

#[test]
fn the_other_methods_arrive_as_they_were_sent() {
    let cases = [
        (
            AMQPClass::Channel(channel::AMQPMethod::Flow(channel::Flow { active: true })),
            Request::ChannelFlow { active: true },
        ),
        (
            AMQPClass::Channel(channel::AMQPMethod::FlowOk(channel::FlowOk { active: false })),
            Request::ChannelFlowOk { active: false },
        ),
        (
            AMQPClass::Access(access::AMQPMethod::Request(access::Request {
                realm: "/data".into(),
                ..access::Request::default()
            })),
            Request::AccessRequest { realm: "/data".into() },
        ),
        (
            AMQPClass::Connection(connection::AMQPMethod::UpdateSecret(connection::UpdateSecret {
                new_secret: "s".into(),
                reason: "expired".into(),
            })),
            Request::UpdateSecret { secret: b"s".to_vec(), reason: "expired".into() },
        ),
        (
            AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: true })),
            Request::ConfirmSelect { nowait: true },
        ),
        (AMQPClass::Tx(tx::AMQPMethod::Select(tx::Select {})), Request::TxSelect),
        (AMQPClass::Tx(tx::AMQPMethod::Commit(tx::Commit {})), Request::TxCommit),
        (AMQPClass::Tx(tx::AMQPMethod::Rollback(tx::Rollback {})), Request::TxRollback),
    ];

    for (sent, expected) in cases {
        assert_eq!(received(sent), expected);
    }
}

#[test]
fn a_prefetch_size_is_not_lost() {
    let qos = wire::method(1, 60, 10, &[&[0, 1, 0, 0], &[0, 5], &[0]]);

    let events = Peer::running().send(&qos).unwrap();

    let request = Request::Qos { prefetch_size: 65536, prefetch_count: 5, global: false };
    assert_eq!(events, [Event::Request { channel: ChannelNumber(1), request }]);
}

#[test]
fn arguments_keep_their_order_and_their_duplicates() {
    let inside: Vec<u8> = ["z", "a", "z"]
        .iter()
        .zip([1, 2, 3])
        .flat_map(|(name, value)| [&wire::short(name.as_bytes())[..], &[b'b', value]].concat())
        .collect();
    let arguments: [&[u8]; 4] = [&[0, 0], &wire::short(b"q"), &[0], &wire::long(&inside)];

    let events = Peer::running().send(&wire::method(1, 50, 10, &arguments)).unwrap();

    let [Event::Request { request: Request::QueueDeclare { arguments, .. }, .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    let entries: Vec<_> = arguments.iter().map(|(name, value)| (name, value.clone())).collect();
    assert_eq!(entries, [("z", Value::I8(1)), ("a", Value::I8(2)), ("z", Value::I8(3))]);
}

#[test]
fn a_request_names_its_method() {
    let events = Peer::running().send(&wire::method(1, 90, 20, &[])).unwrap();

    assert_eq!(events[0].method_id(), crate::MethodId::TX_COMMIT);
    assert_eq!(events[0].method_id().to_string(), "tx.commit");
    assert_eq!(events[0].channel(), ChannelNumber(1));
}
