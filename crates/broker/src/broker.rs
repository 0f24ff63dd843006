//! The broker on one node: what its connections share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustc_hash::FxHashSet;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warren_catalog::{
    Catalog, ClusterId, Command as Change, Effect as CatalogEffect, FirstUser, Owner, Placement,
    Queue, RegisterNode, first_start,
};
use warren_consensus::{Group, Performed};
use warren_queue::{Command, Effect, Shard};
use warren_types::{GroupId, QueueId, SessionId};

use crate::config::{Config, InitialContent};
use crate::connection::{self, ToConnection};
use crate::counters::{Counters, Totals};
use crate::directory::{Directory, name};
use crate::janitor::{Chore, Janitor};
use crate::queue::effects::Performer;
use crate::queue::handle::{ShardHandle, ShardSlot, mailbox};
use crate::queue::leader::ShardLeader;
use crate::queue::local::LocalShard;
use crate::registry::{ConnectionId, Registry};
use crate::undertaker::Undertaker;

/// The version of catalog commands and of shards that this build speaks.
const SPEAKS: u16 = 1;

/// How long a socket error of `accept` (no file descriptors, say) keeps the next try waiting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One replicated shard, as the broker is given it.
pub struct ShardPart {
    /// Its group.
    pub group: Group<Shard>,
    /// Which group that is.
    pub id: GroupId,
    /// What it says must happen.
    pub effects: mpsc::UnboundedReceiver<Performed<Effect>>,
}

/// The groups that the broker works with.
pub struct Parts {
    /// The catalog.
    pub catalog: Group<Catalog>,
    /// What it says must happen.
    pub catalog_effects: mpsc::UnboundedReceiver<Performed<CatalogEffect>>,
    /// The shards, by ascending group.
    pub shards: Vec<ShardPart>,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The catalog refused what every start asks of it.
    #[error("the catalog refused: {0}")]
    Refused(String),
}

/// What all tasks of the broker share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) session: SessionId,
    pub(crate) directory: Directory,
    pub(crate) registry: Registry,
    pub(crate) counters: Counters,
    shards: Vec<ShardHandle>,
    /// Slots of the replicated shards.
    slots: BTreeMap<GroupId, ShardSlot>,
    /// The machines of the replicated shards, by slot, for listings.
    groups: Vec<Group<Shard>>,
    /// Where the next local queue goes.
    next_local: AtomicUsize,
    /// Names for uploads of large bodies.
    next_upload: AtomicU64,
    /// Queues whose shard has been asked to make them.
    ensured: RwLock<FxHashSet<QueueId>>,
    chores: mpsc::UnboundedSender<Chore>,
    ready: AtomicBool,
    /// Cancelled when clients are to be sent away.
    draining: CancellationToken,
    connections: TaskTracker,
}

impl Inner {
    /// The shard at `slot`.
    pub(crate) fn shard(&self, slot: ShardSlot) -> &ShardHandle {
        self.shards.get(slot.0).expect("a slot names one of the node's shards")
    }

    /// How many shards this node speaks to.
    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The replicated shards.
    pub(crate) fn replicated(&self) -> impl Iterator<Item = (GroupId, ShardSlot)> {
        self.slots.iter().map(|(group, slot)| (*group, *slot))
    }

    /// Where a queue is reached; `None` when its node has gone with it.
    pub(crate) fn slot_of(&self, placement: &Placement) -> Option<ShardSlot> {
        match placement {
            Placement::Shard(group) => self.slots.get(group).copied(),
            Placement::Local { node, boot, slot } => {
                let here = *node == self.session.node && *boot == self.session.boot;
                let slot = self.slots.len().saturating_add(usize::from(*slot));
                (here && slot < self.shards.len()).then_some(ShardSlot(slot))
            }
        }
    }

    /// Where a queue that is to be declared shall go.
    pub(crate) fn place(&self, durable: bool, exclusive: bool) -> Placement {
        if durable && !exclusive {
            return Placement::Shard(self.emptiest_shard());
        }
        let locals = self.shards.len().saturating_sub(self.slots.len()).max(1);
        let next = self.next_local.fetch_add(1, Ordering::Relaxed);
        let slot = next.checked_rem(locals).unwrap_or_default();
        let slot = u16::try_from(slot).expect("a node has fewer than 65,536 local shards");
        Placement::Local { node: self.session.node, boot: self.session.boot, slot }
    }

    fn emptiest_shard(&self) -> GroupId {
        let emptiest = self.directory.look(|catalog| {
            self.slots.keys().copied().min_by_key(|group| catalog.queue_count_of_group(*group))
        });
        emptiest.expect("a cluster has at least one shard")
    }

    /// Has the queue's shard make it, unless it was asked before. Whatever is sent to the shard
    /// afterwards finds the queue there.
    pub(crate) fn ensure(&self, queue: &Queue) -> Option<ShardSlot> {
        let slot = self.slot_of(&queue.placement)?;
        let known = self.ensured.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&queue.id) {
            return Some(slot);
        }
        drop(known);
        // The command is sent under the lock, so that whoever sees the mark comes after it.
        let mut known = self.ensured.write().unwrap_or_else(PoisonError::into_inner);
        if known.insert(queue.id) {
            let settings = crate::queue::settings(queue);
            self.shard(slot).tell(&Command::CreateQueue { queue: queue.id, settings });
        }
        Some(slot)
    }

    /// Remembers that the shard has the queue.
    pub(crate) fn note_ensured(&self, queue: QueueId) {
        self.ensured.write().unwrap_or_else(PoisonError::into_inner).insert(queue);
    }

    /// Forgets a queue that has ended.
    pub(crate) fn forget_ensured(&self, queue: QueueId) {
        self.ensured.write().unwrap_or_else(PoisonError::into_inner).remove(&queue);
    }

    /// The queues that a replicated shard holds, by this node's copy.
    pub(crate) fn queues_of_shard(&self, slot: ShardSlot) -> BTreeSet<QueueId> {
        let Some(group) = self.groups.get(slot.0) else { return BTreeSet::new() };
        group.inspect(|shard| shard.queues().into_iter().map(|listing| listing.queue).collect())
    }

    /// A name for an upload that no other has.
    pub(crate) fn upload(&self) -> u64 {
        self.next_upload.fetch_add(1, Ordering::Relaxed)
    }

    /// Owner of exclusive queues: one connection of this start of this node.
    pub(crate) fn owner(&self, connection: ConnectionId) -> Owner {
        Owner {
            node: self.session.node,
            boot: self.session.boot,
            connection: u64::from(connection.0),
        }
    }

    /// Leaves something to the janitor.
    pub(crate) fn chore(&self, chore: Chore) {
        drop(self.chores.send(chore));
    }

    /// Tells when clients are to be sent away.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.draining
    }
}

/// What can be said about the broker at a glance.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Whether clients are served.
    pub ready: bool,
    /// Client connections there are.
    pub connections: u64,
    /// Virtual hosts there are.
    pub vhosts: u64,
    /// Queues there are.
    pub queues: u64,
    /// Exchanges there are.
    pub exchanges: u64,
    /// Messages that wait in replicated queues.
    pub messages_ready: u64,
    /// Messages of replicated queues that consumers hold.
    pub messages_unacknowledged: u64,
    /// What was done since the start.
    pub totals: Totals,
}

/// The broker on one node. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
    /// Ends all tasks, once no connection needs them.
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Broker {
    /// Starts the tasks, makes this start of the node known, and fills an empty catalog.
    ///
    /// Waits for as long as the catalog has no leader.
    ///
    /// # Errors
    /// When the catalog refuses what every start asks of it.
    pub async fn start(config: Config, parts: Parts) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let session = SessionId { node: config.node, boot: config.boot };
        let registry = Registry::default();
        #[expect(clippy::disallowed_methods, reason = "a chore follows from a committed change")]
        let (chores, chores_due) = mpsc::unbounded_channel();

        let (directory, proposer) = Directory::new(parts.catalog);
        tasks.spawn(proposer.run(stop.clone()));
        let groups: Vec<GroupId> = parts.shards.iter().map(|part| part.id).collect();
        announce(&directory, &config, &groups).await?;

        let mut undertakers = Vec::new();
        let mut perform = |slot| {
            #[expect(clippy::disallowed_methods, reason = "a shard has a window of dead per queue")]
            let (undertaker, dead) = mpsc::unbounded_channel();
            undertakers.push((slot, dead));
            Performer::new(slot, session, registry.clone(), chores.clone(), undertaker)
        };
        let mut shards = Vec::new();
        let mut slots = BTreeMap::new();
        let mut groups = Vec::new();
        for part in parts.shards {
            let slot = ShardSlot(shards.len());
            let (sender, requests) = mailbox();
            let performer = perform(slot);
            shards.push(ShardHandle::replicated(sender, part.group.rows()));
            slots.insert(part.id, slot);
            groups.push(part.group.clone());
            let leader = ShardLeader::new(part.group, session, requests, part.effects, performer);
            tasks.spawn(leader.run(stop.clone()));
        }
        for _ in 0..config.local_shards.max(1) {
            let slot = ShardSlot(shards.len());
            let (sender, requests) = mailbox();
            let performer = perform(slot);
            shards.push(ShardHandle::local(sender));
            let local = LocalShard::new(session, requests, performer);
            tasks.spawn(local.run(stop.clone()));
        }

        let inner = Arc::new(Inner {
            session,
            directory,
            registry,
            counters: Counters::default(),
            shards,
            slots,
            groups,
            next_local: AtomicUsize::new(0),
            next_upload: AtomicU64::new(1),
            ensured: RwLock::new(FxHashSet::default()),
            chores: chores.clone(),
            ready: AtomicBool::new(true),
            draining: CancellationToken::new(),
            connections: TaskTracker::new(),
            config,
        });
        for (slot, dead) in undertakers {
            tasks.spawn(Undertaker::new(inner.clone(), slot, dead).run(stop.clone()));
        }
        let janitor = Janitor::new(inner.clone(), chores_due);
        tasks.spawn(janitor.run(stop.clone()));
        tasks.spawn(hand_over(parts.catalog_effects, chores.clone(), stop.clone()));
        drop(chores.send(Chore::Catalog(CatalogEffect::Reconcile)));
        Ok(Self { inner, stop, tasks })
    }

    /// Accepts clients until the broker drains.
    pub async fn serve(&self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.inner.draining.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if self.inner.registry.len() >= self.inner.config.limits.connections {
                        tracing::warn!(%peer, "connection limit reached, client turned away");
                        continue;
                    }
                    let client = connection::serve(self.inner.clone(), stream, peer);
                    self.inner.connections.spawn(client);
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Sends clients away and ends all tasks, within `deadline` if clients let it.
    pub async fn drain(&self, deadline: Duration) {
        self.inner.ready.store(false, Ordering::Relaxed);
        self.inner.draining.cancel();
        let goodbye = || ToConnection::Close {
            code: warren_amqp::ReplyCode::ConnectionForced,
            text: "the node is shutting down".to_owned(),
        };
        self.inner.registry.send_where(|_| true, goodbye);
        self.inner.connections.close();
        if tokio::time::timeout(deadline, self.inner.connections.wait()).await.is_err() {
            tracing::warn!(clients = self.inner.registry.len(), "clients did not leave in time");
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Numbers for health checks and metrics.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let inner = &self.inner;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (vhosts, queues, exchanges) = inner.directory.look(|catalog| {
            catalog.vhosts().fold((0, 0, 0), |(vhosts, queues, exchanges), vhost| {
                let here = catalog.queue_count(&vhost.name);
                let there = catalog.exchanges(&vhost.name).count();
                (vhosts + 1, queues + here, exchanges + there)
            })
        });
        let (mut ready, mut unsettled) = (0_u64, 0_u64);
        for group in &inner.groups {
            for listing in group.inspect(Shard::queues) {
                ready = ready.saturating_add(listing.status.ready);
                unsettled = unsettled.saturating_add(listing.status.unsettled);
            }
        }
        Overview {
            ready: inner.ready.load(Ordering::Relaxed),
            connections: count(inner.registry.len()),
            vhosts: count(vhosts),
            queues: count(queues),
            exchanges: count(exchanges),
            messages_ready: ready,
            messages_unacknowledged: unsettled,
            totals: inner.counters.totals(),
        }
    }
}

/// Says that this node has started, and fills the catalog if it is empty. All of it may be said
/// at every start: what the catalog has already stays as it is.
async fn announce(
    directory: &Directory,
    config: &Config,
    shards: &[GroupId],
) -> Result<(), StartError> {
    let Config { node, boot, .. } = *config;
    let mut changes = vec![
        Change::FoundCluster(ClusterId(config.cluster)),
        Change::RegisterNode(RegisterNode {
            token: config.token,
            wanted: Some(node),
            name: name(&config.node_name),
            address: name(&config.peer_address),
            zone: name(""),
        }),
    ];
    let placed = |group: &GroupId| directory.look(|catalog| catalog.shard(*group).is_some());
    let unplaced = shards.iter().copied().filter(|group| !placed(group));
    changes.extend(unplaced.map(|group| Change::PutShard { group, replicas: vec![node] }));
    if directory.look(|catalog| catalog.vhosts().next().is_none()) {
        changes.extend(initial_content(&config.initial));
    }
    changes.push(Change::StartNode { node, boot, speaks: SPEAKS });
    for change in changes {
        let outcome = directory.change(change).await;
        outcome.map_err(|error| StartError::Refused(error.to_string()))?;
    }
    Ok(())
}

fn initial_content(initial: &InitialContent) -> Vec<Change> {
    let user = FirstUser {
        name: name(&initial.user),
        password: name(&initial.password),
        salt: rand::random(),
        loopback_only: initial.loopback_only,
    };
    first_start(&name(&initial.vhost), &user)
}

/// Hands what the catalog says must happen to the janitor.
async fn hand_over(
    mut effects: mpsc::UnboundedReceiver<Performed<CatalogEffect>>,
    chores: mpsc::UnboundedSender<Chore>,
    stop: CancellationToken,
) {
    loop {
        let performed = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            performed = effects.recv() => performed,
        };
        let Some(performed) = performed else { return };
        for effect in performed.effects {
            drop(chores.send(Chore::Catalog(effect)));
        }
    }
}
