//! Taking nodes out of service and back, without ending them.
//!
//! That a node is to be drained stands in its row of the catalog, so it holds across starts. Whoever
//! leads groups there hands them over, and replicas go to other nodes where there are enough
//! ([`crate::cluster`]); the node itself stops listening and sends its clients elsewhere, which is
//! done here.
//!
//! Leads and replicas need no command to be balanced: they always are, slowly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use warren_amqp::ReplyCode;
use warren_catalog::Command as Change;
use warren_types::NodeId;

use crate::admin::AdminError;
use crate::broker::{Broker, Inner};
use crate::connection::ToConnection;
use crate::failure::Failure;
use crate::survey::NodeRow;

/// Between two looks whether clients are left that have to go.
const DISMISS_INTERVAL: Duration = Duration::from_secs(1);

/// Between two attempts to listen again.
const LISTEN_PAUSE: Duration = Duration::from_millis(200);

/// Whether a node is in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainState {
    /// It serves clients.
    Serving,
    /// It is on its way out: it still leads something, or has clients.
    Draining,
    /// It has no clients, and leads nothing, or nobody else could.
    Drained,
    /// It did not answer, so nobody knows.
    Unknown,
}

/// How far a node is out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Whether it is in service.
    pub state: DrainState,
    /// Groups that it leads.
    pub leaderships: u64,
    /// Its client connections.
    pub connections: u64,
}

impl Broker {
    /// The node of that name: the one that runs, or else the newest. A node that has lost its disk
    /// comes back as another one with the same name.
    #[must_use]
    pub fn node_by_name(&self, name: &str) -> Option<NodeId> {
        self.look(|catalog| {
            let named = catalog.nodes().filter(|row| *row.name == *name);
            named.max_by_key(|row| (row.running, row.id)).map(|row| row.id)
        })
    }

    /// The node of that name that can be forgotten, which is one that does not run, if there is
    /// one; of several the oldest.
    #[must_use]
    pub fn node_to_forget(&self, name: &str) -> Option<NodeId> {
        self.look(|catalog| {
            let named = catalog.nodes().filter(|row| *row.name == *name);
            named.min_by_key(|row| (row.running, row.id)).map(|row| row.id)
        })
    }

    /// Takes a node out of service: it gives up what it leads and sends its clients away.
    ///
    /// # Errors
    /// When there is no such node, or the catalog cannot be changed.
    pub async fn drain_node(&self, node: NodeId) -> Result<(), AdminError> {
        self.put_draining(node, true).await
    }

    /// Puts a node into service again.
    ///
    /// # Errors
    /// When there is no such node, or the catalog cannot be changed.
    pub async fn revive_node(&self, node: NodeId) -> Result<(), AdminError> {
        self.put_draining(node, false).await
    }

    async fn put_draining(&self, node: NodeId, draining: bool) -> Result<(), AdminError> {
        let changed = self.change(Change::DrainNode { node, draining }).await;
        changed.map_err(Failure::from)?;
        tracing::info!(%node, draining, "a node is drained or revived");
        Ok(())
    }

    /// How far a node is out of service; none if there is no such node.
    pub async fn drain_of(&self, node: NodeId) -> Option<Drain> {
        let nodes = self.nodes().await;
        let may_lead = |row: &NodeRow| row.node != node && row.running && !row.draining;
        let has_successor = nodes.rows.iter().any(may_lead);
        let row = nodes.rows.into_iter().find(|row| row.node == node)?;
        let Some(figures) = row.figures else {
            return Some(Drain { state: DrainState::Unknown, leaderships: 0, connections: 0 });
        };
        let (leaderships, connections) = (figures.leaderships, figures.connections);
        let state = state(row.draining, leaderships, connections, has_successor);
        Some(Drain { state, leaderships, connections })
    }

    /// Has the cluster forget this node, which must have been taken out of service. It stops
    /// to be of any use; nothing that others have is lost with it.
    ///
    /// # Errors
    /// When it is in service or leads something, when the others cannot do without it, or when they
    /// do not answer.
    pub async fn leave_cluster(&self) -> Result<(), AdminError> {
        let node = self.inner().session.node;
        let drain = self.drain_of(node).await;
        // A start after a reset that was cut short finds no row.
        if drain.is_some_and(|drain| drain.state != DrainState::Drained) {
            let text = format!("node {node} leads groups, or has clients; drain it first");
            return Err(Failure::new(ReplyCode::PreconditionFailed, text).into());
        }
        self.inner().leave_cluster().await
    }

    /// Has the cluster forget a node that does not run, with its replicas. Its data directory is
    /// of no use any more.
    ///
    /// # Errors
    /// When the node runs, there is none, or the catalog cannot be changed.
    pub async fn forget_node(&self, node: NodeId) -> Result<(), AdminError> {
        self.catch_up().await?;
        let runs = self.look(|catalog| catalog.node(node).is_some_and(|row| row.running));
        if runs {
            let text = format!("node {node} runs; stop it before it is forgotten");
            return Err(Failure::new(ReplyCode::PreconditionFailed, text).into());
        }
        let forgotten = self.change(Change::ForgetNode { node }).await;
        forgotten.map_err(Failure::from)?;
        tracing::info!(%node, "a node is forgotten");
        Ok(())
    }
}

fn state(draining: bool, leaderships: u64, connections: u64, has_successor: bool) -> DrainState {
    match (draining, connections) {
        (false, _) => DrainState::Serving,
        (true, 0) if leaderships == 0 || !has_successor => DrainState::Drained,
        (true, _) => DrainState::Draining,
    }
}

/// Follows what this node's row says, until the broker stops.
pub(crate) async fn run(broker: Arc<Inner>) {
    let stop = broker.stopping().clone();
    let mut changes = broker.directory.changes();
    loop {
        changes.mark_unchanged();
        let node = broker.session.node;
        let suspended =
            broker.directory.look(|catalog| catalog.node(node).is_some_and(|row| row.draining));
        broker.suspended.send_if_modified(|known| std::mem::replace(known, suspended) != suspended);
        if suspended {
            broker.registry.send_where(|_| true, goodbye);
        }
        let look_again = suspended && broker.registry.len() > 0;
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(DISMISS_INTERVAL), if look_again => {}
        }
    }
}

fn goodbye() -> ToConnection {
    ToConnection::Close {
        code: ReplyCode::ConnectionForced,
        text: "the node is taken out of service".to_owned(),
    }
}

/// Waits until clients are served again, and listens at `address` as before. None when the broker
/// stops meanwhile.
pub(crate) async fn listen_again(broker: &Inner, address: SocketAddr) -> Option<TcpListener> {
    let mut suspended = broker.suspended.subscribe();
    loop {
        tokio::select! {
            biased;
            () = broker.draining().cancelled() => return None,
            over = suspended.wait_for(|suspended| !suspended) => if over.is_err() { return None },
        }
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(error) => tracing::warn!(%error, %address, "the node cannot listen again yet"),
        }
        tokio::time::sleep(LISTEN_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_drained_once_its_clients_are_gone_and_its_leads_are_where_others_can_take_them() {
        assert_eq!(state(true, 5, 0, true), DrainState::Draining);
        assert_eq!(state(true, 0, 1, true), DrainState::Draining);
        assert_eq!(state(true, 0, 0, true), DrainState::Drained);
        assert_eq!(state(true, 5, 0, false), DrainState::Drained, "nobody else could lead");
        assert_eq!(state(true, 5, 1, false), DrainState::Draining);
        assert_eq!(state(false, 0, 0, true), DrainState::Serving);
    }
}
