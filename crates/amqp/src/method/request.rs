//! What a client asks for on a channel, one variant per method that is not hot.

use warren_types::Table;

use crate::MethodId;

/// A request as it was sent, its strings checked to be UTF-8 and its tables not to nest too deep.
///
/// An empty queue name means the last queue that was declared on the channel; that is for the
/// caller to resolve.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "the fields are the arguments of the method that each variant names"
)]
pub enum Request {
    /// connection.update-secret, on channel 0
    UpdateSecret { secret: Vec<u8>, reason: String },
    /// channel.flow
    ChannelFlow { active: bool },
    /// channel.flow-ok
    ChannelFlowOk { active: bool },
    /// access.request, obsolete; answered with access.request-ok
    AccessRequest { realm: String },
    /// exchange.declare
    ExchangeDeclare {
        exchange: String,
        kind: String,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        nowait: bool,
        arguments: Table,
    },
    /// exchange.delete
    ExchangeDelete { exchange: String, if_unused: bool, nowait: bool },
    /// exchange.bind
    ExchangeBind {
        destination: String,
        source: String,
        routing_key: String,
        nowait: bool,
        arguments: Table,
    },
    /// exchange.unbind
    ExchangeUnbind {
        destination: String,
        source: String,
        routing_key: String,
        nowait: bool,
        arguments: Table,
    },
    /// queue.declare
    QueueDeclare {
        queue: String,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        nowait: bool,
        arguments: Table,
    },
    /// queue.bind
    QueueBind {
        queue: String,
        exchange: String,
        routing_key: String,
        nowait: bool,
        arguments: Table,
    },
    /// queue.unbind
    QueueUnbind { queue: String, exchange: String, routing_key: String, arguments: Table },
    /// queue.purge
    QueuePurge { queue: String, nowait: bool },
    /// queue.delete
    QueueDelete { queue: String, if_unused: bool, if_empty: bool, nowait: bool },
    /// basic.qos
    Qos { prefetch_size: u32, prefetch_count: u16, global: bool },
    /// basic.consume
    Consume {
        queue: String,
        consumer_tag: String,
        no_local: bool,
        no_ack: bool,
        exclusive: bool,
        nowait: bool,
        arguments: Table,
    },
    /// basic.cancel
    Cancel { consumer_tag: String, nowait: bool },
    /// basic.cancel-ok, in answer to a cancel of ours
    CancelOk { consumer_tag: String },
    /// basic.recover
    Recover { requeue: bool },
    /// basic.recover-async
    RecoverAsync { requeue: bool },
    /// confirm.select
    ConfirmSelect { nowait: bool },
    /// tx.select
    TxSelect,
    /// tx.commit
    TxCommit,
    /// tx.rollback
    TxRollback,
}

impl Request {
    /// The method that was sent, for the errors that blame it.
    #[must_use]
    pub const fn method_id(&self) -> MethodId {
        match self {
            Self::UpdateSecret { .. } => MethodId::CONNECTION_UPDATE_SECRET,
            Self::ChannelFlow { .. } => MethodId::CHANNEL_FLOW,
            Self::ChannelFlowOk { .. } => MethodId::CHANNEL_FLOW_OK,
            Self::AccessRequest { .. } => MethodId::ACCESS_REQUEST,
            Self::ExchangeDeclare { .. } => MethodId::EXCHANGE_DECLARE,
            Self::ExchangeDelete { .. } => MethodId::EXCHANGE_DELETE,
            Self::ExchangeBind { .. } => MethodId::EXCHANGE_BIND,
            Self::ExchangeUnbind { .. } => MethodId::EXCHANGE_UNBIND,
            Self::QueueDeclare { .. } => MethodId::QUEUE_DECLARE,
            Self::QueueBind { .. } => MethodId::QUEUE_BIND,
            Self::QueueUnbind { .. } => MethodId::QUEUE_UNBIND,
            Self::QueuePurge { .. } => MethodId::QUEUE_PURGE,
            Self::QueueDelete { .. } => MethodId::QUEUE_DELETE,
            Self::Qos { .. } => MethodId::BASIC_QOS,
            Self::Consume { .. } => MethodId::BASIC_CONSUME,
            Self::Cancel { .. } => MethodId::BASIC_CANCEL,
            Self::CancelOk { .. } => MethodId::BASIC_CANCEL_OK,
            Self::Recover { .. } => MethodId::BASIC_RECOVER,
            Self::RecoverAsync { .. } => MethodId::BASIC_RECOVER_ASYNC,
            Self::ConfirmSelect { .. } => MethodId::CONFIRM_SELECT,
            Self::TxSelect => MethodId::TX_SELECT,
            Self::TxCommit => MethodId::TX_COMMIT,
            Self::TxRollback => MethodId::TX_ROLLBACK,
        }
    }
}
