//! Starts the groups of a node, and makes them once.

use std::net::SocketAddr;

use tokio::sync::mpsc;
use warren_broker::{Parts, ShardPart};
use warren_consensus::Node as Consensus;
use warren_types::GroupId;

use super::NodeError;
use crate::identity::Record;
use crate::observer::GroupView;

/// Starts this node's replicas of the catalog and of `shards` shards, with what is stored of them.
#[expect(
    clippy::disallowed_methods,
    reason = "apply must not wait; what it says is bounded by what is proposed, and that is"
)]
pub(super) async fn start(
    consensus: &Consensus,
    shards: u32,
) -> Result<(Parts, Vec<GroupView>), NodeError> {
    let (effects, catalog_effects) = mpsc::unbounded_channel();
    let catalog = consensus.start(GroupId::CATALOG, Default::default, effects).await?;
    let mut parts = Parts { catalog, catalog_effects, shards: Vec::new() };
    for id in (1..=shards).map(GroupId) {
        let (sender, effects) = mpsc::unbounded_channel();
        let group = consensus.start(id, Default::default, sender).await?;
        parts.shards.push(ShardPart { group, id, effects });
    }
    let views = views(&parts);
    Ok((parts, views))
}

/// Makes the groups, each with this node as its only voter. Those that are made stay as they are, so
/// a start that was cut short is simply repeated.
pub(super) async fn found(
    parts: &Parts,
    record: &Record,
    peer: SocketAddr,
) -> Result<(), NodeError> {
    let voters = [(record.identity.node, peer.to_string())];
    let failed = |group| move |source| NodeError::Bootstrap { group, source };
    parts.catalog.bootstrap(&voters).await.map_err(failed(GroupId::CATALOG))?;
    for part in &parts.shards {
        part.group.bootstrap(&voters).await.map_err(failed(part.id))?;
    }
    Ok(())
}

fn views(parts: &Parts) -> Vec<GroupView> {
    let catalog = parts.catalog.clone();
    let catalog = GroupView { id: GroupId::CATALOG, status: Box::new(move || catalog.status()) };
    let shards = parts.shards.iter().map(|part| {
        let group = part.group.clone();
        GroupView { id: part.id, status: Box::new(move || group.status()) }
    });
    std::iter::once(catalog).chain(shards).collect()
}
