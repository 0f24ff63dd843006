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

// Futures that wait for futures: the end of a connection is deeper than the compiler looks by itself.
#![recursion_limit = "256"]

mod admin;
mod audit;
mod broker;
mod cluster;
mod config;
mod connection;
mod counters;
mod dead_letter;
mod digest;
mod directory;
mod doorkeeper;
mod failure;
mod feature;
mod grants;
mod history;
mod host;
mod janitor;
mod limit;
mod maintenance;
mod placement;
mod press;
mod pressure;
pub mod probe;
mod queue;
mod reception;
mod registry;
mod room;
mod shard_totals;
mod shards;
#[cfg(test)]
mod sim;
mod stream;
mod survey;
mod throughput;
mod traces;
mod trail;
mod undertaker;
mod watchman;

pub use admin::{AckMode, Actor, AdminError, LoginError, Publication, QueueDeclaration};
pub use audit::{Auditor, Deed};
pub use broker::{Broker, Overview, Parts, StartError};
pub use cluster::{ClusterOverview, Envoy};
pub use config::{Config, InitialContent, Limits};
pub use connection::operator::{Fetched, Published};
pub use connection::sweep::{MessageTarget, Swept};
pub use counters::Totals;
pub use digest::GroupDigest;
pub use directory::ChangeError;
pub use doorkeeper::{Attempts, Door};
pub use feature::NotYet;
pub use grants::{Grants, Identity, Kind, topic_question, vhost_question};
pub use host::Host;
pub use limit::LimitRow;
pub use maintenance::{Drain, DrainState};
pub use press::log::{LogLevel, LogSink};
pub use queue::handle::Stopped;
pub use registry::ConnectionId;
pub use room::Full;
pub use shard_totals::{Meters, ShardTotals};
pub use survey::{
    Bookmark, ChannelRow, ChurnCounts, ChurnNumbers, ChurnRates, ConnectionRow, ConsumerRow,
    ExchangeFigures, Explanation, Fact, Finding, FoundMessages, Gathered, HolderRow, Listener,
    Machine, MessageCounts, MessageFilter, MessageId, MessageNumbers, MessageQuery, MessageRates,
    MessageRow, MessageState, NodeFigures, NodeRow, NodeSample, NodeSamples, QueueDetail,
    QueueFigures, QueueSample, ReaderFigures, ScheduledRow, Severity, ShardRow, StreamReach,
    TlsRow, Verdict, Which,
};
pub use traces::{Attribute, Sampling, Step, TraceSpan, Tracer};
pub use warren_amqp::header::Properties;
pub use warren_auth as auth;
pub use warren_catalog::HashingAlgorithm;
pub use warren_queue::QueueStatus;
pub use warren_rpc::Distress;
