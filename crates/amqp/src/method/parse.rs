//! The methods that are not hot, read by `amq-protocol`.
//!
//! Its parser recurses as deep as a table nests and forgets the order of keys. So it never
//! sees a table: ours decodes it first, and an empty one stands in its place.

use amq_protocol::protocol::{
    self, AMQPClass, access, basic, channel, confirm, connection, exchange, queue, tx,
};
use warren_types::Table;

use super::arguments::{Arguments, check_arguments, undecodable};
use super::request::Request;
use crate::{ConnectionError, MethodId, ReplyCode};

/// What a client says by a method that is not hot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    StartOk { mechanism: String, response: Vec<u8>, locale: String, client_properties: Table },
    SecureOk { response: Vec<u8> },
    TuneOk { channel_max: u16, frame_max: u32, heartbeat_s: u16 },
    Open { vhost: String },
    ConnectionClose { code: u16, text: String },
    ConnectionCloseOk,
    ChannelOpen,
    ChannelClose { code: u16, text: String },
    ChannelCloseOk,
    Request(Request),
}

/// Reads a method.
pub(crate) fn parse(method: MethodId, arguments: &[u8]) -> Result<Command, ConnectionError> {
    if method.name().is_none() {
        let error = ConnectionError::new(ReplyCode::CommandInvalid, "unknown method");
        return Err(error.with_note(method));
    }
    let Some(layout) = method.layout() else { return Err(unimplemented_method(method)) };
    let found = check_arguments(layout, arguments).map_err(|error| error.in_method(method))?;
    let (table, range) = match found {
        Some(found) => (found.table, found.range),
        None => (Table::new(), arguments.len()..arguments.len()),
    };
    let flat = without_table(method, arguments, &range);
    let class = match protocol::parse_class(&*flat) {
        Ok((_, class)) => class,
        Err(error) => return Err(undecodable(method, error).at(method)),
    };
    command(class, table, arguments).ok_or_else(|| unimplemented_method(method))
}

/// The error for a method that a server does not take, at least not on a channel.
pub(crate) fn unimplemented_method(method: MethodId) -> ConnectionError {
    ConnectionError::new(ReplyCode::CommandInvalid, "unimplemented method")
        .at(method)
        .with_note(method)
}

/// The method with an empty table where it has one; `table` is empty where it has none.
fn without_table(method: MethodId, arguments: &[u8], table: &std::ops::Range<usize>) -> Vec<u8> {
    let mut flat = Vec::with_capacity(arguments.len().saturating_add(4));
    flat.extend_from_slice(&method.class.to_be_bytes());
    flat.extend_from_slice(&method.method.to_be_bytes());
    if table.start == arguments.len() {
        flat.extend_from_slice(arguments);
        return flat;
    }
    let length_at = table.start.saturating_sub(4);
    flat.extend_from_slice(arguments.get(..length_at).unwrap_or_default());
    flat.extend_from_slice(&[0; 4]);
    flat.extend_from_slice(arguments.get(table.end..).unwrap_or_default());
    flat
}

/// Our name for what was parsed; nothing for what only a server says.
fn command(class: AMQPClass, table: Table, arguments: &[u8]) -> Option<Command> {
    match class {
        AMQPClass::Connection(method) => from_connection(method, table),
        AMQPClass::Channel(method) => from_channel(method),
        AMQPClass::Access(access::AMQPMethod::Request(method)) => {
            Some(Command::Request(Request::AccessRequest { realm: method.realm.into() }))
        }
        AMQPClass::Access(access::AMQPMethod::RequestOk(_)) => None,
        AMQPClass::Exchange(method) => from_exchange(method, table).map(Command::Request),
        AMQPClass::Queue(method) => from_queue(method, table).map(Command::Request),
        AMQPClass::Basic(method) => from_basic(method, table, arguments).map(Command::Request),
        AMQPClass::Confirm(confirm::AMQPMethod::Select(method)) => {
            Some(Command::Request(Request::ConfirmSelect { nowait: method.nowait }))
        }
        AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_)) => None,
        AMQPClass::Tx(method) => from_tx(&method).map(Command::Request),
    }
}

fn from_connection(method: connection::AMQPMethod, table: Table) -> Option<Command> {
    use connection::AMQPMethod;
    Some(match method {
        AMQPMethod::StartOk(method) => Command::StartOk {
            mechanism: method.mechanism.into(),
            response: method.response.as_bytes().to_vec(),
            locale: method.locale.into(),
            client_properties: table,
        },
        AMQPMethod::SecureOk(method) => {
            Command::SecureOk { response: method.response.as_bytes().to_vec() }
        }
        AMQPMethod::TuneOk(method) => Command::TuneOk {
            channel_max: method.channel_max,
            frame_max: method.frame_max,
            heartbeat_s: method.heartbeat,
        },
        AMQPMethod::Open(method) => Command::Open { vhost: method.virtual_host.into() },
        AMQPMethod::Close(method) => {
            Command::ConnectionClose { code: method.reply_code, text: method.reply_text.into() }
        }
        AMQPMethod::CloseOk(_) => Command::ConnectionCloseOk,
        AMQPMethod::UpdateSecret(method) => Command::Request(Request::UpdateSecret {
            secret: method.new_secret.as_bytes().to_vec(),
            reason: method.reason.into(),
        }),
        AMQPMethod::Start(_)
        | AMQPMethod::Secure(_)
        | AMQPMethod::Tune(_)
        | AMQPMethod::OpenOk(_)
        | AMQPMethod::Blocked(_)
        | AMQPMethod::Unblocked(_)
        | AMQPMethod::UpdateSecretOk(_) => return None,
    })
}

fn from_channel(method: channel::AMQPMethod) -> Option<Command> {
    use channel::AMQPMethod;
    Some(match method {
        AMQPMethod::Open(_) => Command::ChannelOpen,
        AMQPMethod::Flow(method) => {
            Command::Request(Request::ChannelFlow { active: method.active })
        }
        AMQPMethod::FlowOk(method) => {
            Command::Request(Request::ChannelFlowOk { active: method.active })
        }
        AMQPMethod::Close(method) => {
            Command::ChannelClose { code: method.reply_code, text: method.reply_text.into() }
        }
        AMQPMethod::CloseOk(_) => Command::ChannelCloseOk,
        AMQPMethod::OpenOk(_) => return None,
    })
}

fn from_exchange(method: exchange::AMQPMethod, arguments: Table) -> Option<Request> {
    use exchange::AMQPMethod;
    Some(match method {
        AMQPMethod::Declare(method) => Request::ExchangeDeclare {
            exchange: method.exchange.into(),
            kind: method.kind.into(),
            passive: method.passive,
            durable: method.durable,
            auto_delete: method.auto_delete,
            internal: method.internal,
            nowait: method.nowait,
            arguments,
        },
        AMQPMethod::Delete(method) => Request::ExchangeDelete {
            exchange: method.exchange.into(),
            if_unused: method.if_unused,
            nowait: method.nowait,
        },
        AMQPMethod::Bind(method) => Request::ExchangeBind {
            destination: method.destination.into(),
            source: method.source.into(),
            routing_key: method.routing_key.into(),
            nowait: method.nowait,
            arguments,
        },
        AMQPMethod::Unbind(method) => Request::ExchangeUnbind {
            destination: method.destination.into(),
            source: method.source.into(),
            routing_key: method.routing_key.into(),
            nowait: method.nowait,
            arguments,
        },
        AMQPMethod::DeclareOk(_)
        | AMQPMethod::DeleteOk(_)
        | AMQPMethod::BindOk(_)
        | AMQPMethod::UnbindOk(_) => return None,
    })
}

fn from_queue(method: queue::AMQPMethod, arguments: Table) -> Option<Request> {
    use queue::AMQPMethod;
    Some(match method {
        AMQPMethod::Declare(method) => Request::QueueDeclare {
            queue: method.queue.into(),
            passive: method.passive,
            durable: method.durable,
            exclusive: method.exclusive,
            auto_delete: method.auto_delete,
            nowait: method.nowait,
            arguments,
        },
        AMQPMethod::Bind(method) => Request::QueueBind {
            queue: method.queue.into(),
            exchange: method.exchange.into(),
            routing_key: method.routing_key.into(),
            nowait: method.nowait,
            arguments,
        },
        AMQPMethod::Unbind(method) => Request::QueueUnbind {
            queue: method.queue.into(),
            exchange: method.exchange.into(),
            routing_key: method.routing_key.into(),
            arguments,
        },
        AMQPMethod::Purge(method) => {
            Request::QueuePurge { queue: method.queue.into(), nowait: method.nowait }
        }
        AMQPMethod::Delete(method) => Request::QueueDelete {
            queue: method.queue.into(),
            if_unused: method.if_unused,
            if_empty: method.if_empty,
            nowait: method.nowait,
        },
        AMQPMethod::DeclareOk(_)
        | AMQPMethod::BindOk(_)
        | AMQPMethod::UnbindOk(_)
        | AMQPMethod::PurgeOk(_)
        | AMQPMethod::DeleteOk(_) => return None,
    })
}

fn from_basic(method: basic::AMQPMethod, table: Table, arguments: &[u8]) -> Option<Request> {
    use basic::AMQPMethod;
    Some(match method {
        AMQPMethod::Qos(method) => Request::Qos {
            // The parser skips this one, as RabbitMQ has no use for it but to refuse it.
            prefetch_size: Arguments::new(arguments).long().ok()?,
            prefetch_count: method.prefetch_count,
            global: method.global,
        },
        AMQPMethod::Consume(method) => Request::Consume {
            queue: method.queue.into(),
            consumer_tag: method.consumer_tag.into(),
            no_local: method.no_local,
            no_ack: method.no_ack,
            exclusive: method.exclusive,
            nowait: method.nowait,
            arguments: table,
        },
        AMQPMethod::Cancel(method) => {
            Request::Cancel { consumer_tag: method.consumer_tag.into(), nowait: method.nowait }
        }
        AMQPMethod::CancelOk(method) => {
            Request::CancelOk { consumer_tag: method.consumer_tag.into() }
        }
        AMQPMethod::Recover(method) => Request::Recover { requeue: method.requeue },
        AMQPMethod::RecoverAsync(method) => Request::RecoverAsync { requeue: method.requeue },
        // Decoded by hand before they come here.
        AMQPMethod::Publish(_)
        | AMQPMethod::Ack(_)
        | AMQPMethod::Nack(_)
        | AMQPMethod::Reject(_)
        | AMQPMethod::Get(_)
        // A server's own.
        | AMQPMethod::QosOk(_)
        | AMQPMethod::ConsumeOk(_)
        | AMQPMethod::Return(_)
        | AMQPMethod::Deliver(_)
        | AMQPMethod::GetOk(_)
        | AMQPMethod::GetEmpty(_)
        | AMQPMethod::RecoverOk(_) => return None,
    })
}

const fn from_tx(method: &tx::AMQPMethod) -> Option<Request> {
    use tx::AMQPMethod;
    match method {
        AMQPMethod::Select(_) => Some(Request::TxSelect),
        AMQPMethod::Commit(_) => Some(Request::TxCommit),
        AMQPMethod::Rollback(_) => Some(Request::TxRollback),
        AMQPMethod::SelectOk(_) | AMQPMethod::CommitOk(_) | AMQPMethod::RollbackOk(_) => None,
    }
}
