//! A small AMQP 0-9-1 client of our own: blocking, literal, and willing to send nonsense.
//!
//! [`Pack`] writes the arguments of a method, [`Unpack`] reads them, [`Properties`] are those of a
//! message, [`Wire`] is the socket.
//! Nothing here depends on the broker's own codec, so that a mistake there is not mirrored here.
//!
//! **Invariant:** every read has a deadline; a broker that says nothing fails the test that waits.

mod client;
mod frame;
mod methods;
mod pack;
mod properties;

pub use client::{Close, Delivered, Guest, Heard, PATIENCE, Wire, capabilities};
pub use frame::{FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD, Frame};
pub use methods::{
    Flags, bind_queue, consume, declare_exchange, declare_queue, delete_queue, get, plain_start_ok,
    publish, settle,
};
pub use pack::{Field, Pack, Unpack, pairs};
pub use properties::Properties;

/// A method's class and number, as in the specification.
pub type MethodId = (u16, u16);

/// The class and number of every method that the tests send or wait for.
pub mod id {
    use super::MethodId;

    /// connection.start
    pub const START: MethodId = (10, 10);
    /// connection.start-ok
    pub const START_OK: MethodId = (10, 11);
    /// connection.tune
    pub const TUNE: MethodId = (10, 30);
    /// connection.tune-ok
    pub const TUNE_OK: MethodId = (10, 31);
    /// connection.open
    pub const OPEN: MethodId = (10, 40);
    /// connection.open-ok
    pub const OPEN_OK: MethodId = (10, 41);
    /// connection.close
    pub const CLOSE: MethodId = (10, 50);
    /// connection.close-ok
    pub const CLOSE_OK: MethodId = (10, 51);
    /// connection.update-secret
    pub const UPDATE_SECRET: MethodId = (10, 70);
    /// connection.update-secret-ok
    pub const UPDATE_SECRET_OK: MethodId = (10, 71);
    /// channel.open
    pub const CHANNEL_OPEN: MethodId = (20, 10);
    /// channel.open-ok
    pub const CHANNEL_OPEN_OK: MethodId = (20, 11);
    /// channel.flow
    pub const FLOW: MethodId = (20, 20);
    /// channel.flow-ok
    pub const FLOW_OK: MethodId = (20, 21);
    /// channel.close
    pub const CHANNEL_CLOSE: MethodId = (20, 40);
    /// channel.close-ok
    pub const CHANNEL_CLOSE_OK: MethodId = (20, 41);
    /// access.request
    pub const ACCESS_REQUEST: MethodId = (30, 10);
    /// access.request-ok
    pub const ACCESS_REQUEST_OK: MethodId = (30, 11);
    /// exchange.declare
    pub const EXCHANGE_DECLARE: MethodId = (40, 10);
    /// exchange.declare-ok
    pub const EXCHANGE_DECLARE_OK: MethodId = (40, 11);
    /// exchange.delete
    pub const EXCHANGE_DELETE: MethodId = (40, 20);
    /// exchange.delete-ok
    pub const EXCHANGE_DELETE_OK: MethodId = (40, 21);
    /// exchange.bind
    pub const EXCHANGE_BIND: MethodId = (40, 30);
    /// exchange.bind-ok
    pub const EXCHANGE_BIND_OK: MethodId = (40, 31);
    /// exchange.unbind
    pub const EXCHANGE_UNBIND: MethodId = (40, 40);
    /// exchange.unbind-ok: 51, not 41
    pub const EXCHANGE_UNBIND_OK: MethodId = (40, 51);
    /// queue.declare
    pub const QUEUE_DECLARE: MethodId = (50, 10);
    /// queue.declare-ok
    pub const QUEUE_DECLARE_OK: MethodId = (50, 11);
    /// queue.bind
    pub const QUEUE_BIND: MethodId = (50, 20);
    /// queue.bind-ok
    pub const QUEUE_BIND_OK: MethodId = (50, 21);
    /// queue.purge
    pub const PURGE: MethodId = (50, 30);
    /// queue.purge-ok
    pub const PURGE_OK: MethodId = (50, 31);
    /// queue.delete
    pub const QUEUE_DELETE: MethodId = (50, 40);
    /// queue.delete-ok
    pub const QUEUE_DELETE_OK: MethodId = (50, 41);
    /// queue.unbind
    pub const QUEUE_UNBIND: MethodId = (50, 50);
    /// queue.unbind-ok
    pub const QUEUE_UNBIND_OK: MethodId = (50, 51);
    /// basic.qos
    pub const QOS: MethodId = (60, 10);
    /// basic.qos-ok
    pub const QOS_OK: MethodId = (60, 11);
    /// basic.consume
    pub const CONSUME: MethodId = (60, 20);
    /// basic.consume-ok
    pub const CONSUME_OK: MethodId = (60, 21);
    /// basic.cancel
    pub const CANCEL: MethodId = (60, 30);
    /// basic.cancel-ok
    pub const CANCEL_OK: MethodId = (60, 31);
    /// basic.publish
    pub const PUBLISH: MethodId = (60, 40);
    /// basic.return
    pub const RETURN: MethodId = (60, 50);
    /// basic.deliver
    pub const DELIVER: MethodId = (60, 60);
    /// basic.get
    pub const GET: MethodId = (60, 70);
    /// basic.get-ok
    pub const GET_OK: MethodId = (60, 71);
    /// basic.get-empty
    pub const GET_EMPTY: MethodId = (60, 72);
    /// basic.ack
    pub const ACK: MethodId = (60, 80);
    /// basic.reject
    pub const REJECT: MethodId = (60, 90);
    /// basic.recover
    pub const RECOVER: MethodId = (60, 110);
    /// basic.recover-ok
    pub const RECOVER_OK: MethodId = (60, 111);
    /// basic.nack
    pub const NACK: MethodId = (60, 120);
    /// confirm.select
    pub const CONFIRM_SELECT: MethodId = (85, 10);
    /// confirm.select-ok
    pub const CONFIRM_SELECT_OK: MethodId = (85, 11);
    /// tx.select
    pub const TX_SELECT: MethodId = (90, 10);
    /// tx.select-ok
    pub const TX_SELECT_OK: MethodId = (90, 11);
    /// tx.commit
    pub const TX_COMMIT: MethodId = (90, 20);
    /// tx.commit-ok
    pub const TX_COMMIT_OK: MethodId = (90, 21);
    /// tx.rollback
    pub const TX_ROLLBACK: MethodId = (90, 30);
    /// tx.rollback-ok
    pub const TX_ROLLBACK_OK: MethodId = (90, 31);
}
