//! The shards that this node speaks to.
//!
//! Their places are fixed: replicated ones first, by group, then those in this node's memory, then
//! those in other nodes' memories in the order in which they were first needed. A shard in another
//! node's memory keeps its place across that node's starts.

use std::collections::BTreeMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use warren_rpc::Place;
use warren_types::{BootId, GroupId, NodeId, SessionId};

use crate::queue::handle::{Event, ShardHandle, ShardSlot};

/// Shards in other nodes' memories that this node can speak to: a thousand nodes of four cores.
const ELSEWHERE_MAX: usize = 4096;

/// A shard in another node's memory.
#[derive(Clone, Copy, Debug)]
struct Known {
    slot: ShardSlot,
    boot: BootId,
}

/// All shards.
pub(crate) struct Shards {
    session: SessionId,
    replicated: Vec<ShardHandle>,
    local: Vec<ShardHandle>,
    elsewhere: Box<[OnceLock<ShardHandle>]>,
    known: RwLock<BTreeMap<(NodeId, u16), Known>>,
}

impl Shards {
    /// The replicated shards by ascending group from 1, and those in this node's memory.
    pub(crate) fn new(
        session: SessionId,
        replicated: Vec<ShardHandle>,
        local: Vec<ShardHandle>,
    ) -> Self {
        let elsewhere = (0..ELSEWHERE_MAX).map(|_| OnceLock::new()).collect();
        Self { session, replicated, local, elsewhere, known: RwLock::default() }
    }

    /// The shard at `slot`.
    pub(crate) fn at(&self, slot: ShardSlot) -> &ShardHandle {
        let local = || self.local.get(slot.0.checked_sub(self.replicated.len())?);
        let elsewhere = || self.elsewhere.get(slot.0.checked_sub(self.own())?)?.get();
        let shard = self.replicated.get(slot.0).or_else(local).or_else(elsewhere);
        shard.expect("a slot names one of the node's shards")
    }

    fn own(&self) -> usize {
        self.replicated.len().saturating_add(self.local.len())
    }

    /// The replicated shards.
    pub(crate) fn replicated(&self) -> impl Iterator<Item = (GroupId, ShardSlot, &ShardHandle)> {
        let ids = (1_u32..).map(GroupId);
        ids.zip(&self.replicated).enumerate().map(|(at, (id, shard))| (id, ShardSlot(at), shard))
    }

    /// The shards in this node's memory.
    pub(crate) fn local(&self) -> &[ShardHandle] {
        &self.local
    }

    /// The shards in this node's memory, and where each is.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = (ShardSlot, &ShardHandle)> {
        (self.replicated.len()..).map(ShardSlot).zip(&self.local)
    }

    /// Where the shard of a group is.
    pub(crate) fn of_group(&self, group: GroupId) -> Option<ShardSlot> {
        let at = usize::try_from(group.0).ok()?.checked_sub(1)?;
        (at < self.replicated.len()).then_some(ShardSlot(at))
    }

    /// Where a shard of this node's memory is.
    pub(crate) fn of_memory(&self, slot: u16) -> Option<ShardSlot> {
        let slot = usize::from(slot);
        let at = self.replicated.len().saturating_add(slot);
        (slot < self.local.len()).then_some(ShardSlot(at))
    }

    /// Where a shard of another node's memory is, which `make` starts to speak to when this node
    /// has not done so. None when the node has been started anew since, or too many are known.
    pub(crate) fn elsewhere(
        &self,
        node: NodeId,
        boot: BootId,
        slot: u16,
        make: impl FnOnce(ShardSlot) -> ShardHandle,
    ) -> Option<ShardSlot> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&(node, slot)).filter(|known| known.boot >= boot) {
            return (known.boot == boot).then_some(known.slot);
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let count = known.len();
        if let Some(known) = known.get_mut(&(node, slot)) {
            if known.boot < boot {
                known.boot = boot;
                self.at(known.slot).inform(Event::Holder(Some(boot)));
            }
            return (known.boot == boot).then_some(known.slot);
        }
        let place = self.elsewhere.get(count)?;
        let at = ShardSlot(self.own().saturating_add(count));
        let _made_once_under_the_lock = place.set(make(at));
        known.insert((node, slot), Known { slot: at, boot });
        Some(at)
    }

    /// The node and start of each shard in another node's memory.
    pub(crate) fn holders(&self) -> Vec<(NodeId, BootId, ShardSlot)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|((node, _), known)| (*node, known.boot, known.slot)).collect()
    }

    /// The shard that another node means by `place`, on this node.
    pub(crate) fn here(&self, place: Place) -> Option<&ShardHandle> {
        let slot = match place {
            Place::Shard(group) => self.of_group(group)?,
            Place::Local { boot, slot } if boot == self.session.boot => self.of_memory(slot)?,
            Place::Local { .. } => return None,
        };
        Some(self.at(slot))
    }

    /// The shard that is meant when `node` speaks of its `place`.
    pub(crate) fn there(&self, node: NodeId, place: Place) -> Option<&ShardHandle> {
        let slot = match place {
            Place::Shard(group) => self.of_group(group)?,
            Place::Local { boot, slot } => {
                let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
                known.get(&(node, slot)).filter(|known| known.boot == boot)?.slot
            }
        };
        Some(self.at(slot))
    }

    /// Those that other nodes' fronts may speak to here.
    pub(crate) fn hosted(&self) -> impl Iterator<Item = &ShardHandle> {
        self.replicated.iter().chain(&self.local)
    }

    /// Those that this node may speak to on another.
    pub(crate) fn visited(&self) -> impl Iterator<Item = &ShardHandle> {
        self.replicated.iter().chain(self.elsewhere.iter().map_while(OnceLock::get))
    }
}
