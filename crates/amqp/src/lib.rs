//! AMQP 0-9-1 as a server speaks it: bytes in, events out, bytes out.
//!
//! A [`Connection`] is shown what the socket read and tells it as [`Event`]s. What goes back
//! is written into an [`Output`], which the socket's task sends. Framing, negotiation, channel
//! states and content assembly are decided here; what a declare or a publish means is decided by
//! the caller.
//!
//! **Invariant:** bodies and content headers are slices of what was read; nothing is
//! allocated by a length that a client only announced.
//!
//! **Not here:** sockets, timers (heartbeats are written when the caller says so), users,
//! permissions, queues.

mod channel;
mod connection;
mod content;
mod error;
mod event;
mod frame;
pub mod header;
mod method;
mod negotiation;
mod output;
mod reply;
pub mod sasl;
#[cfg(test)]
mod tests;

pub use connection::{Config, Connection};
pub use content::Body;
pub use error::{Bound, ChannelError, ConnectionError, ReplyCode};
pub use event::{ClientCapabilities, Event};
pub use method::{MethodId, Request};
pub use negotiation::LoginRefusal;
pub use output::{Output, SHARED_BODY_BYTES};
pub use reply::{Delivery, Reply};
