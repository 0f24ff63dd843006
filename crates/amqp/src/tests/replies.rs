//! Every reply, as an independent decoder reads it.

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::{
    AMQPClass, access, basic, channel, confirm, connection, exchange, queue, tx,
};
use warren_types::ChannelNumber;

use super::peer::drain;
use super::wire;
use crate::{MethodId, Output, Reply};

#[expect(clippy::too_many_lines, reason = "a table: one row for each reply")]
fn every_reply() -> Vec<(Reply, AMQPClass)> {
    let tag = || "tag".to_owned();
    vec![
        (
            Reply::Blocked { reason: "low on memory".into() },
            AMQPClass::Connection(connection::AMQPMethod::Blocked(connection::Blocked {
                reason: "low on memory".into(),
            })),
        ),
        (
            Reply::Unblocked,
            AMQPClass::Connection(connection::AMQPMethod::Unblocked(connection::Unblocked {})),
        ),
        (
            Reply::UpdateSecretOk,
            AMQPClass::Connection(connection::AMQPMethod::UpdateSecretOk(
                connection::UpdateSecretOk {},
            )),
        ),
        (
            Reply::ChannelFlowOk { active: true },
            AMQPClass::Channel(channel::AMQPMethod::FlowOk(channel::FlowOk { active: true })),
        ),
        (
            Reply::AccessRequestOk,
            AMQPClass::Access(access::AMQPMethod::RequestOk(access::RequestOk {})),
        ),
        (
            Reply::ExchangeDeclareOk,
            AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {})),
        ),
        (
            Reply::ExchangeDeleteOk,
            AMQPClass::Exchange(exchange::AMQPMethod::DeleteOk(exchange::DeleteOk {})),
        ),
        (
            Reply::ExchangeBindOk,
            AMQPClass::Exchange(exchange::AMQPMethod::BindOk(exchange::BindOk {})),
        ),
        (
            Reply::ExchangeUnbindOk,
            AMQPClass::Exchange(exchange::AMQPMethod::UnbindOk(exchange::UnbindOk {})),
        ),
        (
            Reply::QueueDeclareOk { queue: "q".into(), messages: 5, consumers: 2 },
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(queue::DeclareOk {
                queue: "q".into(),
                message_count: 5,
                consumer_count: 2,
            })),
        ),
        (Reply::QueueBindOk, AMQPClass::Queue(queue::AMQPMethod::BindOk(queue::BindOk {}))),
        (Reply::QueueUnbindOk, AMQPClass::Queue(queue::AMQPMethod::UnbindOk(queue::UnbindOk {}))),
        (
            Reply::QueuePurgeOk { messages: 7 },
            AMQPClass::Queue(queue::AMQPMethod::PurgeOk(queue::PurgeOk { message_count: 7 })),
        ),
        (
            Reply::QueueDeleteOk { messages: 8 },
            AMQPClass::Queue(queue::AMQPMethod::DeleteOk(queue::DeleteOk { message_count: 8 })),
        ),
        (Reply::QosOk, AMQPClass::Basic(basic::AMQPMethod::QosOk(basic::QosOk {}))),
        (
            Reply::ConsumeOk { consumer_tag: tag() },
            AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(basic::ConsumeOk {
                consumer_tag: tag().into(),
            })),
        ),
        (
            Reply::Cancel { consumer_tag: tag() },
            AMQPClass::Basic(basic::AMQPMethod::Cancel(basic::Cancel {
                consumer_tag: tag().into(),
                nowait: true,
            })),
        ),
        (
            Reply::CancelOk { consumer_tag: tag() },
            AMQPClass::Basic(basic::AMQPMethod::CancelOk(basic::CancelOk {
                consumer_tag: tag().into(),
            })),
        ),
        (Reply::GetEmpty, AMQPClass::Basic(basic::AMQPMethod::GetEmpty(basic::GetEmpty {}))),
        (Reply::RecoverOk, AMQPClass::Basic(basic::AMQPMethod::RecoverOk(basic::RecoverOk {}))),
        (
            Reply::ConfirmSelectOk,
            AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {})),
        ),
        (Reply::TxSelectOk, AMQPClass::Tx(tx::AMQPMethod::SelectOk(tx::SelectOk {}))),
        (Reply::TxCommitOk, AMQPClass::Tx(tx::AMQPMethod::CommitOk(tx::CommitOk {}))),
        (Reply::TxRollbackOk, AMQPClass::Tx(tx::AMQPMethod::RollbackOk(tx::RollbackOk {}))),
    ]
}

#[test]
fn every_reply_is_read_as_it_was_meant() {
    for (reply, class) in every_reply() {
        let mut output = Output::new();

        output.reply(ChannelNumber(3), &reply);

        let bytes = drain(&mut output);
        let (rest, frame) = parse_frame(&bytes[..]).expect("a frame");
        assert!(rest.is_empty());
        assert_eq!(frame, AMQPFrame::Method(3, class));
    }
}

#[test]
fn the_method_numbers_that_are_easily_got_wrong_are_right() {
    assert_eq!(MethodId::EXCHANGE_UNBIND_OK, MethodId { class: 40, method: 51 });
    assert_eq!(MethodId::BASIC_RECOVER_ASYNC, MethodId { class: 60, method: 100 });
    assert_eq!(MethodId::BASIC_RECOVER_OK, MethodId { class: 60, method: 111 });

    let mut output = Output::new();
    output.reply(ChannelNumber(1), &Reply::ExchangeUnbindOk);
    output.reply(ChannelNumber(1), &Reply::RecoverOk);
    output.reply(ChannelNumber(1), &Reply::GetEmpty);
    output.reply(ChannelNumber(1), &Reply::AccessRequestOk);

    let expected = [
        wire::method(1, 40, 51, &[]),
        wire::method(1, 60, 111, &[]),
        wire::method(1, 60, 72, &[&[0]]),
        wire::method(1, 30, 11, &[&[0, 1]]),
    ];
    assert_eq!(drain(&mut output), expected.concat());
}

#[test]
fn every_method_has_one_name_and_one_number() {
    let mut names: Vec<_> = MethodId::ALL.iter().filter_map(|method| method.name()).collect();
    let mut numbers = MethodId::ALL.to_vec();
    names.sort_unstable();
    names.dedup();
    numbers.sort_unstable();
    numbers.dedup();

    assert_eq!(names.len(), MethodId::ALL.len());
    assert_eq!(numbers.len(), MethodId::ALL.len());
}
