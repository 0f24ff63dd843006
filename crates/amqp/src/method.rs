//! Methods: their numbers and names, and what their arguments look like.
//!
//! The layout of every method that a client may send stands in one table. [`parse()`] has it
//! walked before anything else looks at the bytes, so that whoever decodes afterwards meets
//! only what is whole, and no text but UTF-8.

mod arguments;
mod hot;
mod parse;
mod request;

pub(crate) use arguments::{ArgumentError, Arguments, Field};
pub(crate) use hot::HotMethod;
pub(crate) use parse::{Command, parse, unimplemented_method};
pub use request::Request;

use std::fmt;

/// A method's number: its class, and itself within the class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId {
    /// The class, as in `60` of basic.publish.
    pub class: u16,
    /// The method within the class, as in `40` of basic.publish.
    pub method: u16,
}

macro_rules! methods {
    ($($constant:ident = ($class:literal, $method:literal), $name:literal $(, [$($field:ident),*])?;)+) => {
        impl MethodId {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Self = Self { class: $class, method: $method };
            )+

            /// The name, as in `basic.publish`; nothing for what AMQP does not know.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match (self.class, self.method) {
                    $(($class, $method) => Some($name),)+
                    _ => None,
                }
            }

            /// The arguments, where a client may send the method.
            pub(crate) const fn layout(self) -> Option<&'static [Field]> {
                match (self.class, self.method) {
                    $($(($class, $method) => Some(&[$(Field::$field),*]),)?)+
                    _ => None,
                }
            }

            /// Every method there is.
            pub const ALL: &[Self] = &[$(Self::$constant),+];
        }
    };
}

methods! {
    CONNECTION_START = (10, 10), "connection.start";
    CONNECTION_START_OK = (10, 11), "connection.start-ok", [Table, ShortString, LongString, ShortString];
    CONNECTION_SECURE = (10, 20), "connection.secure";
    CONNECTION_SECURE_OK = (10, 21), "connection.secure-ok", [LongString];
    CONNECTION_TUNE = (10, 30), "connection.tune";
    CONNECTION_TUNE_OK = (10, 31), "connection.tune-ok", [Short, Long, Short];
    CONNECTION_OPEN = (10, 40), "connection.open", [ShortString, ShortString, Bits];
    CONNECTION_OPEN_OK = (10, 41), "connection.open-ok";
    CONNECTION_CLOSE = (10, 50), "connection.close", [Short, ShortString, Short, Short];
    CONNECTION_CLOSE_OK = (10, 51), "connection.close-ok", [];
    CONNECTION_BLOCKED = (10, 60), "connection.blocked";
    CONNECTION_UNBLOCKED = (10, 61), "connection.unblocked";
    CONNECTION_UPDATE_SECRET = (10, 70), "connection.update-secret", [LongString, ShortString];
    CONNECTION_UPDATE_SECRET_OK = (10, 71), "connection.update-secret-ok";
    CHANNEL_OPEN = (20, 10), "channel.open", [ShortString];
    CHANNEL_OPEN_OK = (20, 11), "channel.open-ok";
    CHANNEL_FLOW = (20, 20), "channel.flow", [Bits];
    CHANNEL_FLOW_OK = (20, 21), "channel.flow-ok", [Bits];
    CHANNEL_CLOSE = (20, 40), "channel.close", [Short, ShortString, Short, Short];
    CHANNEL_CLOSE_OK = (20, 41), "channel.close-ok", [];
    ACCESS_REQUEST = (30, 10), "access.request", [ShortString, Bits];
    ACCESS_REQUEST_OK = (30, 11), "access.request-ok";
    EXCHANGE_DECLARE = (40, 10), "exchange.declare", [Short, ShortString, ShortString, Bits, Table];
    EXCHANGE_DECLARE_OK = (40, 11), "exchange.declare-ok";
    EXCHANGE_DELETE = (40, 20), "exchange.delete", [Short, ShortString, Bits];
    EXCHANGE_DELETE_OK = (40, 21), "exchange.delete-ok";
    EXCHANGE_BIND = (40, 30), "exchange.bind", [Short, ShortString, ShortString, ShortString, Bits, Table];
    EXCHANGE_BIND_OK = (40, 31), "exchange.bind-ok";
    EXCHANGE_UNBIND = (40, 40), "exchange.unbind", [Short, ShortString, ShortString, ShortString, Bits, Table];
    EXCHANGE_UNBIND_OK = (40, 51), "exchange.unbind-ok";
    QUEUE_DECLARE = (50, 10), "queue.declare", [Short, ShortString, Bits, Table];
    QUEUE_DECLARE_OK = (50, 11), "queue.declare-ok";
    QUEUE_BIND = (50, 20), "queue.bind", [Short, ShortString, ShortString, ShortString, Bits, Table];
    QUEUE_BIND_OK = (50, 21), "queue.bind-ok";
    QUEUE_PURGE = (50, 30), "queue.purge", [Short, ShortString, Bits];
    QUEUE_PURGE_OK = (50, 31), "queue.purge-ok";
    QUEUE_DELETE = (50, 40), "queue.delete", [Short, ShortString, Bits];
    QUEUE_DELETE_OK = (50, 41), "queue.delete-ok";
    QUEUE_UNBIND = (50, 50), "queue.unbind", [Short, ShortString, ShortString, ShortString, Table];
    QUEUE_UNBIND_OK = (50, 51), "queue.unbind-ok";
    BASIC_QOS = (60, 10), "basic.qos", [Long, Short, Bits];
    BASIC_QOS_OK = (60, 11), "basic.qos-ok";
    BASIC_CONSUME = (60, 20), "basic.consume", [Short, ShortString, ShortString, Bits, Table];
    BASIC_CONSUME_OK = (60, 21), "basic.consume-ok";
    BASIC_CANCEL = (60, 30), "basic.cancel", [ShortString, Bits];
    BASIC_CANCEL_OK = (60, 31), "basic.cancel-ok", [ShortString];
    BASIC_PUBLISH = (60, 40), "basic.publish", [Short, ShortString, ShortString, Bits];
    BASIC_RETURN = (60, 50), "basic.return";
    BASIC_DELIVER = (60, 60), "basic.deliver";
    BASIC_GET = (60, 70), "basic.get", [Short, ShortString, Bits];
    BASIC_GET_OK = (60, 71), "basic.get-ok";
    BASIC_GET_EMPTY = (60, 72), "basic.get-empty";
    BASIC_ACK = (60, 80), "basic.ack", [LongLong, Bits];
    BASIC_REJECT = (60, 90), "basic.reject", [LongLong, Bits];
    BASIC_RECOVER_ASYNC = (60, 100), "basic.recover-async", [Bits];
    BASIC_RECOVER = (60, 110), "basic.recover", [Bits];
    BASIC_RECOVER_OK = (60, 111), "basic.recover-ok";
    BASIC_NACK = (60, 120), "basic.nack", [LongLong, Bits];
    CONFIRM_SELECT = (85, 10), "confirm.select", [Bits];
    CONFIRM_SELECT_OK = (85, 11), "confirm.select-ok";
    TX_SELECT = (90, 10), "tx.select", [];
    TX_SELECT_OK = (90, 11), "tx.select-ok";
    TX_COMMIT = (90, 20), "tx.commit", [];
    TX_COMMIT_OK = (90, 21), "tx.commit-ok";
    TX_ROLLBACK = (90, 30), "tx.rollback", [];
    TX_ROLLBACK_OK = (90, 31), "tx.rollback-ok";
}

impl MethodId {
    /// No method: what an error carries that no method is to blame for.
    pub const NONE: Self = Self { class: 0, method: 0 };

    /// The method in a method frame's payload, and its arguments.
    pub(crate) fn of(payload: &[u8]) -> Option<(Self, &[u8])> {
        let mut ids = Arguments::new(payload);
        let (class, method) = (ids.short().ok()?, ids.short().ok()?);
        Some((Self { class, method }, ids.rest()))
    }
}

impl fmt::Display for MethodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "method {}.{}", self.class, self.method),
        }
    }
}
