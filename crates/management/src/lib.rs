//! What a node says over HTTP: whether it is well, and what it counts.
//!
//! A [`Server`] answers `/health/live`, `/health/startup`, `/health/ready` and `/metrics` on any
//! number of listeners. It asks a [`Node`] and keeps no state of its own, so that two requests
//! never disagree because one of them was answered from memory.
//!
//! **Not here:** the numbers. The node collects them; this crate gives them their names.

mod exposition;
mod health;
mod listener;
mod metrics;
mod node;
mod server;

pub use node::{
    ClientTotals, ClusterTotals, GroupObservation, Health, Identity, Node, Observation, Phase,
    ProcessObservation, StorageTotals,
};
pub use server::Server;
