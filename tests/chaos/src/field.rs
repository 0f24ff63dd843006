//! Where a workload works: the seam between the rig, which has nodes, and the clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::history::Recorder;

/// The way into one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The node's name, as the cluster knows it (`warren@n1`).
    pub name: String,
    /// AMQP.
    pub amqp: SocketAddr,
    /// The management API.
    pub http: SocketAddr,
    /// Metrics.
    pub metrics: SocketAddr,
}

/// What a workload is given.
#[derive(Clone, Debug)]
pub struct Field {
    /// The nodes, in the order of their numbers; more may be added while it works.
    pub doors: Vec<Door>,
    /// Where every step is noted.
    pub recorder: Recorder,
    /// What all choices follow from.
    pub seed: u64,
    /// Set when the workload shall come to its end.
    pub stop: Stop,
}

/// A word that is given once and heard by everyone.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Says it.
    pub fn say(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was said.
    pub fn was_said(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
