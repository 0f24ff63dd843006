//! Names and numbers that every part of warren agrees on.
//!
//! Everything here is a plain value: no I/O, no clock, no policy. A type lives here when two
//! crates that may not know each other both speak of it.
//!
//! **Not here:** what a value does. Protocol rules are in `amqp`, routing in `catalog`,
//! delivery in `queue`.

mod codec;
mod ids;
mod latest;
mod meter;
mod table;

pub use codec::{DecodeError, Reader, Writer};
pub use ids::{
    BootId, ChannelNumber, ConsumerId, ConsumerNumber, DeliverySequence, DeliveryTag, GroupId,
    Location, LogIndex, MessageNumber, NodeId, QueueId, RequestSequence, SessionId, Term,
    Timestamp,
};
pub use latest::Latest;
pub use meter::{Measured, Meter, Tally};
pub use table::{MAX_TABLE_DEPTH, Table, TableError, Value, check_table};
