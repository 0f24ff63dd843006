//! Why a command is refused, alike on every replica.
//!
//! A refusal displays as the tail of RabbitMQ's error text, behind `NOT_FOUND - ` and the like,
//! and [`Refusal::kind`] says which code that is.

use std::fmt;

use warren_types::{BootId, GroupId, NodeId, Value};

use crate::{DefinitionError, Name, PatternError, QueueKind, Resource, ResourceKind};

/// What sort of no it is; the broker takes AMQP's code from it, management HTTP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// 404
    NotFound,
    /// 403
    AccessRefused,
    /// 405
    ResourceLocked,
    /// 406
    PreconditionFailed,
    /// 530
    NotAllowed,
    /// HTTP's 400; no AMQP method leads here.
    BadRequest,
    /// The entry itself is damaged.
    Damaged,
}

/// One side of an inequality, as RabbitMQ writes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// `none`
    Nothing,
    /// `'true'`
    Plain(Value),
    /// `the value '1' of type 'signedint'`
    Typed(Value),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Plain(value) => write!(f, "'{}'", Shown(value)),
            Self::Typed(value) => {
                write!(f, "the value '{}' of type '{}'", Shown(value), value.type_name())
            }
        }
    }
}

/// What a declaration asks for and what exists, where the two differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Inequivalence {
    /// What exists.
    pub resource: Resource,
    /// What differs.
    pub argument: String,
    /// What the declaration says.
    pub received: Given,
    /// What exists says.
    pub current: Given,
}

impl fmt::Display for Inequivalence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, argument, received, current } = self;
        write!(
            f,
            "inequivalent arg '{argument}' for {resource}: received {received} but current is \
             {current}"
        )
    }
}

/// A value as error texts show it.
pub(crate) struct Shown<'a>(pub(crate) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(value) => write!(f, "{value}"),
            Value::I8(value) => write!(f, "{value}"),
            Value::U8(value) => write!(f, "{value}"),
            Value::I16(value) => write!(f, "{value}"),
            Value::U16(value) => write!(f, "{value}"),
            Value::I32(value) => write!(f, "{value}"),
            Value::U32(value) => write!(f, "{value}"),
            Value::I64(value) => write!(f, "{value}"),
            Value::F32(value) => f.write_str(&fraction(f64::from(*value))),
            Value::F64(value) => f.write_str(&fraction(*value)),
            Value::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
            Value::LongString(bytes) | Value::Bytes(bytes) => {
                f.write_str(&String::from_utf8_lossy(bytes))
            }
            Value::Timestamp(seconds) => write!(f, "{seconds}"),
            Value::Void => f.write_str("undefined"),
            Value::Array(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(f, "{comma}{{{},{}}}", value.type_name(), Term(value))?;
                }
                f.write_str("]")
            }
            Value::Table(table) => {
                f.write_str("[")?;
                for (at, (name, value)) in table.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    let kind = value.type_name();
                    write!(f, "{comma}{{<<\"{name}\">>,{kind},{}}}", Term(value))?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A fraction as Erlang writes it: with an exponent where that is shorter.
fn fraction(value: f64) -> String {
    let pointed = |digits: &str| {
        if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") }
    };
    let plain = pointed(&format!("{value}"));
    match format!("{value:e}").split_once('e') {
        Some((digits, exponent)) => {
            let short = format!("{}e{exponent}", pointed(digits));
            if short.len() < plain.len() { short } else { plain }
        }
        None => plain,
    }
}

/// A value as error texts show it within another: text in quotes of its own.
pub(crate) struct Term<'a>(pub(crate) &'a Value);

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::LongString(bytes) | Value::Bytes(bytes) => {
                write!(f, "<<\"{}\">>", String::from_utf8_lossy(bytes))
            }
            other => Shown(other).fmt(f),
        }
    }
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each refusal says what its fields are")]
pub enum Refusal {
    /// The entry is no batch.
    #[error("damaged catalog entry: {what}")]
    Damaged { what: String },
    /// The command names no virtual host that exists.
    #[error("no vhost '{vhost}'")]
    NoVhost { vhost: Name },
    /// The command names no user that exists.
    #[error("no such user '{user}'")]
    NoUser { user: Name },
    /// The command names no exchange or queue that exists.
    #[error("no {0}")]
    NoResource(Resource),
    /// The command names no node that exists.
    #[error("no node {node}")]
    NoNode { node: NodeId },
    /// The command names no shard that exists.
    #[error("no shard {group}")]
    NoShard { group: GroupId },
    /// An earlier start of a node, or one that is believed to be gone.
    #[error("start {boot} of node {node} is over")]
    StartOver { node: NodeId, boot: BootId },
    /// The node cannot have that id.
    #[error("node id {node} is not free")]
    NodeIdTaken { node: NodeId },
    /// The cluster has another identity.
    #[error("the cluster has been founded with another identity")]
    FoundedOtherwise,
    /// A version below the one in use.
    #[error("version {version} is not above {current}")]
    VersionNotAbove { version: u16, current: u16 },
    /// A node that takes part does not speak the version.
    #[error("node {node} speaks version {speaks} at most, not {version}")]
    VersionNotSpoken { version: u16, node: NodeId, speaks: u16 },
    /// `amq.` in front of a name that would be made.
    #[error("{kind} name '{name}' contains reserved prefix 'amq.*'")]
    ReservedName { kind: ResourceKind, name: Name },
    /// The default exchange cannot be touched.
    #[error("operation not permitted on the default exchange")]
    DefaultExchange,
    /// The predeclared exchanges cannot be deleted.
    #[error("deletion of system {exchange} not allowed")]
    SystemExchange { exchange: Resource },
    /// No such kind of exchange.
    #[error("unknown exchange type '{name}'")]
    UnknownExchangeType { name: Name },
    /// What exists was declared otherwise.
    #[error("{0}")]
    Inequivalent(Box<Inequivalence>),
    /// An argument's value means nothing.
    #[error("invalid arg '{argument}' for {resource}: {reason}")]
    InvalidArgument { resource: Resource, argument: String, reason: String },
    /// An argument whose value is no text.
    #[error("invalid type '{given}' for arg '{argument}' in {resource}")]
    ArgumentType { resource: Resource, argument: Name, given: Name },
    /// A stream's segments would be too large.
    #[error("Exceeded max value for x-stream-max-segment-size-bytes")]
    SegmentTooLarge,
    /// A stream's filters would be too small or too large.
    #[error("Invalid value for x-stream-filter-size-bytes")]
    FilterSize,
    /// An argument of another queue type.
    #[error("invalid arg '{argument}' for {resource} of queue type {}", kind.long_name())]
    UnsupportedArgument { resource: Resource, argument: String, kind: QueueKind },
    /// A property that this queue type cannot have.
    #[error("invalid property '{property}' for {resource}")]
    InvalidProperty { resource: Resource, property: Name },
    /// A queue type that the broker chooses no name for.
    #[error("Cannot declare a server-named queue for type {}", kind.long_name())]
    ServerNamed { kind: QueueKind },
    /// Somebody else's exclusive queue.
    #[error(
        "cannot obtain exclusive access to locked {queue}. It could be originally declared on \
         another connection or the exclusive property value does not match that of the original \
         declaration."
    )]
    Locked { queue: Resource },
    /// The exchange is a source of bindings.
    #[error("{resource} in use")]
    InUse { resource: Resource },
    /// The virtual host has as many queues as it may.
    #[error("cannot declare queue '{queue}': queue limit in vhost '{vhost}' ({limit}) is reached")]
    QueueLimit { vhost: Name, queue: Name, limit: u64 },
    /// A binding that means nothing to its exchange.
    #[error("{0}")]
    InvalidBinding(String),
    /// An exchange's arguments that mean nothing.
    #[error("{0}")]
    InvalidExchange(String),
    /// The virtual host is protected.
    #[error("vhost '{vhost}' is protected from deletion")]
    ProtectedVhost { vhost: Name },
    /// An expression that does not compile.
    #[error("{0}")]
    InvalidPattern(#[from] PatternError),
    /// A policy that sets nonsense.
    #[error("{0}")]
    InvalidDefinition(DefinitionError),
    /// A parameter's value is not JSON, or not what that parameter may be.
    #[error("the value of '{name}' is not valid JSON or not one that it may have")]
    InvalidValue { name: Name },
    /// A name that is empty or longer than AMQP can carry.
    #[error("a {what} has 1 to 255 bytes, not {bytes}")]
    InvalidName { what: Name, bytes: usize },
}

impl Refusal {
    /// What sort of no it is.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Damaged { .. } => RefusalKind::Damaged,
            Self::NoVhost { .. }
            | Self::NoUser { .. }
            | Self::NoResource(_)
            | Self::NoNode { .. }
            | Self::NoShard { .. } => RefusalKind::NotFound,
            Self::ReservedName { .. } | Self::DefaultExchange | Self::SystemExchange { .. } => {
                RefusalKind::AccessRefused
            }
            Self::Locked { .. } => RefusalKind::ResourceLocked,
            Self::UnknownExchangeType { .. }
            | Self::Inequivalent(_)
            | Self::InvalidArgument { .. }
            | Self::ArgumentType { .. }
            | Self::SegmentTooLarge
            | Self::FilterSize
            | Self::UnsupportedArgument { .. }
            | Self::InvalidProperty { .. }
            | Self::ServerNamed { .. }
            | Self::InUse { .. }
            | Self::QueueLimit { .. }
            | Self::InvalidBinding(_)
            | Self::InvalidExchange(_) => RefusalKind::PreconditionFailed,
            Self::NodeIdTaken { .. }
            | Self::StartOver { .. }
            | Self::FoundedOtherwise
            | Self::VersionNotAbove { .. }
            | Self::VersionNotSpoken { .. }
            | Self::ProtectedVhost { .. } => RefusalKind::NotAllowed,
            Self::InvalidPattern(_)
            | Self::InvalidDefinition(_)
            | Self::InvalidValue { .. }
            | Self::InvalidName { .. } => RefusalKind::BadRequest,
        }
    }
}

#[cfg(test)]
mod tests;
