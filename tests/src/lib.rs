//! What the end-to-end tests and the load generator of warren share.
//!
//! - [`node`]: a real `warren server` process with a data directory and ports of its own.
//! - [`wire`]: a small blocking AMQP client that can also send what no library would.
//! - [`checker`]: judges a history of publishes, confirms and deliveries.
//! - [`python`]: pika in several versions, installed on demand.
//! - [`load`]: the load generator behind `warren-load`.
//!
//! The tests themselves are in `tests/tests`, the Python programs in `tests/python`.

pub mod checker;
pub mod load;
pub mod node;
pub mod python;
pub mod wire;
