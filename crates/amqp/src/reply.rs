//! What the server says on a channel, one variant per method that carries no content.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::basic::AMQPMethod as Basics;
use amq_protocol::protocol::channel::AMQPMethod as Channels;
use amq_protocol::protocol::connection::AMQPMethod as Connections;
use amq_protocol::protocol::exchange::AMQPMethod as Exchanges;
use amq_protocol::protocol::queue::AMQPMethod as Queues;
use amq_protocol::protocol::{
    self, AMQPClass, access, basic, channel, confirm, connection, exchange, queue, tx,
};
use amq_protocol::types::ShortString;
use bytes::BytesMut;
use warren_types::DeliveryTag;

use crate::Body;
use crate::error::cut;

/// A method that the server sends and that carries no content.
///
/// Names longer than a short string carries are cut; those that came from a client never are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are the arguments of the method that each variant names"
)]
pub enum Reply {
    /// connection.blocked, on channel 0
    Blocked { reason: String },
    /// connection.unblocked, on channel 0
    Unblocked,
    /// connection.update-secret-ok, on channel 0
    UpdateSecretOk,
    /// channel.flow-ok
    ChannelFlowOk { active: bool },
    /// access.request-ok
    AccessRequestOk,
    /// exchange.declare-ok
    ExchangeDeclareOk,
    /// exchange.delete-ok
    ExchangeDeleteOk,
    /// exchange.bind-ok
    ExchangeBindOk,
    /// exchange.unbind-ok
    ExchangeUnbindOk,
    /// queue.declare-ok
    QueueDeclareOk { queue: String, messages: u32, consumers: u32 },
    /// queue.bind-ok
    QueueBindOk,
    /// queue.unbind-ok
    QueueUnbindOk,
    /// queue.purge-ok
    QueuePurgeOk { messages: u32 },
    /// queue.delete-ok
    QueueDeleteOk { messages: u32 },
    /// basic.qos-ok
    QosOk,
    /// basic.consume-ok
    ConsumeOk { consumer_tag: String },
    /// basic.cancel, where the server ends a consumer; sent with nowait
    Cancel { consumer_tag: String },
    /// basic.cancel-ok
    CancelOk { consumer_tag: String },
    /// basic.get-empty
    GetEmpty,
    /// basic.recover-ok
    RecoverOk,
    /// confirm.select-ok
    ConfirmSelectOk,
    /// tx.select-ok
    TxSelectOk,
    /// tx.commit-ok
    TxCommitOk,
    /// tx.rollback-ok
    TxRollbackOk,
}

/// A message on its way to a consumer.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Counts what this channel was given.
    pub tag: DeliveryTag,
    /// Whether someone was given the message before.
    pub redelivered: bool,
    /// Where it was published, at most 255 bytes.
    pub exchange: &'a [u8],
    /// The key it was published with, at most 255 bytes.
    pub routing_key: &'a [u8],
    /// Property flags and property list, as in [`crate::Event::Publish`].
    pub header: &'a [u8],
    /// The body.
    pub body: &'a Body,
}

impl Reply {
    /// Appends the method's number and arguments.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        let class = self.class();
        let write = protocol::gen_class(&class);
        let (bytes, _) = write(WriteContext::from(Vec::new()))
            .expect("writing into memory does not fail")
            .into_inner();
        out.extend_from_slice(&bytes);
    }

    fn class(&self) -> AMQPClass {
        use AMQPClass::{Access, Basic, Channel, Confirm, Connection, Exchange, Queue, Tx};
        match self {
            Self::Blocked { reason } => Connection(blocked(reason)),
            Self::Unblocked => Connection(Connections::Unblocked(connection::Unblocked {})),
            Self::UpdateSecretOk => {
                Connection(Connections::UpdateSecretOk(connection::UpdateSecretOk {}))
            }
            Self::ChannelFlowOk { active } => {
                Channel(Channels::FlowOk(channel::FlowOk { active: *active }))
            }
            Self::AccessRequestOk => Access(access::AMQPMethod::RequestOk(access::RequestOk {})),
            Self::ExchangeDeclareOk => Exchange(Exchanges::DeclareOk(exchange::DeclareOk {})),
            Self::ExchangeDeleteOk => Exchange(Exchanges::DeleteOk(exchange::DeleteOk {})),
            Self::ExchangeBindOk => Exchange(Exchanges::BindOk(exchange::BindOk {})),
            Self::ExchangeUnbindOk => Exchange(Exchanges::UnbindOk(exchange::UnbindOk {})),
            Self::QueueDeclareOk { queue, messages, consumers } => {
                Queue(declared(queue, *messages, *consumers))
            }
            Self::QueueBindOk => Queue(Queues::BindOk(queue::BindOk {})),
            Self::QueueUnbindOk => Queue(Queues::UnbindOk(queue::UnbindOk {})),
            Self::QueuePurgeOk { messages } => {
                Queue(Queues::PurgeOk(queue::PurgeOk { message_count: *messages }))
            }
            Self::QueueDeleteOk { messages } => {
                Queue(Queues::DeleteOk(queue::DeleteOk { message_count: *messages }))
            }
            Self::QosOk => Basic(Basics::QosOk(basic::QosOk {})),
            Self::ConsumeOk { consumer_tag } => {
                Basic(Basics::ConsumeOk(basic::ConsumeOk { consumer_tag: short(consumer_tag) }))
            }
            Self::Cancel { consumer_tag } => Basic(Basics::Cancel(basic::Cancel {
                consumer_tag: short(consumer_tag),
                nowait: true,
            })),
            Self::CancelOk { consumer_tag } => {
                Basic(Basics::CancelOk(basic::CancelOk { consumer_tag: short(consumer_tag) }))
            }
            Self::GetEmpty => Basic(Basics::GetEmpty(basic::GetEmpty {})),
            Self::RecoverOk => Basic(Basics::RecoverOk(basic::RecoverOk {})),
            Self::ConfirmSelectOk => Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {})),
            Self::TxSelectOk => Tx(tx::AMQPMethod::SelectOk(tx::SelectOk {})),
            Self::TxCommitOk => Tx(tx::AMQPMethod::CommitOk(tx::CommitOk {})),
            Self::TxRollbackOk => Tx(tx::AMQPMethod::RollbackOk(tx::RollbackOk {})),
        }
    }
}

fn blocked(reason: &str) -> Connections {
    Connections::Blocked(connection::Blocked { reason: short(reason) })
}

fn declared(queue: &str, message_count: u32, consumer_count: u32) -> Queues {
    Queues::DeclareOk(queue::DeclareOk { queue: short(queue), message_count, consumer_count })
}

fn short(text: &str) -> ShortString {
    ShortString::try_new(cut(text)).expect("what was cut is short")
}
