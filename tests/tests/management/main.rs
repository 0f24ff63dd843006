//! The management API of one node, asked from the outside.
//!
//! What RabbitMQ 4.3 answers was recorded: `recorded.json` has requests with their status and what
//! they say when refused, `shapes.json` which fields its objects have and of which kind. Both are
//! held against us, and so is what tools ask that run by themselves: `automation.json`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that panics has said what it has to say"
)]

mod automation;
mod bodies;
mod definitions;
mod life;
mod messages;
mod oauth;
mod provider;
mod rabbitmqadmin;
mod rabbitmqadmin_4;
mod recorded;
mod rehearsals;
mod scripts;
mod shapes;
mod stale;
mod sums;
mod ui;
mod visibility;
mod walks;

use warren_tests::http::Client;
use warren_tests::node::Node;

/// The user that exists in a fresh cluster.
fn guest(node: &Node) -> Client {
    Client::new(node.addresses().http, "guest", "guest")
}
