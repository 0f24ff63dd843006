//! Clients and queues brought together.
//!
//! A [`Broker`] accepts connections. Each has a task that reads frames, routes messages by the
//! local copy of the catalog, and asks the shards in bursts; each shard has a task in front of it
//! that makes log entries of what the connections ask, and carries out what the shard answers.
//!
//! **Always holds:** a publish is confirmed only after every shard that it went to has committed
//! it; a delivery is settled with its shard by whoever got it, or given back when that one goes.
//!
//! **Not here:** how entries are replicated (`consensus`), what a queue does with them (`queue`).

mod broker;
mod cluster;
mod config;
mod connection;
mod counters;
mod dead_letter;
mod directory;
mod failure;
mod host;
mod janitor;
mod queue;
mod registry;
mod shards;
#[cfg(test)]
#[expect(dead_code, reason = "the simulation's words and traces are kept whole")]
mod sim;
mod undertaker;
mod watchman;

pub use broker::{Broker, Overview, Parts, StartError};
pub use cluster::{ClusterOverview, Envoy};
pub use config::{Config, InitialContent, Limits};
pub use counters::Totals;
pub use host::Host;
pub use registry::ConnectionId;
