//! Consensus on this node: the groups that run here.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::join_all;
use openraft::Raft;
use tokio::sync::mpsc;
use warren_machine::Machine;
use warren_rpc::{Identity, Peers};
use warren_storage::{GroupStore, StorageError, Store};
use warren_types::{GroupId, LogIndex, Measured, Meter, Term};

use crate::apply::{Shared, StateMachine, TURNS_US};
use crate::aside;
use crate::codec;
use crate::config::Config;
use crate::driver::{Cell, Driver, Performed};
use crate::error::StartError;
use crate::fatal::{Alarm, Fatality, Life, Vigil};
use crate::group::Group;
use crate::handler::Handler;
use crate::log::{FloorLock, LogStore, completion};
use crate::member::Member;
use crate::network::Network;
use crate::recall::{self, Recall};
use crate::status::Status;
use crate::tidy::Tidy;
use crate::transfers::Transfers;
use crate::types::Vote;
use crate::{handover, propose, sweep};

/// A vote, and how long the log was that was given up.
type Known = (Vote, Option<LogIndex>);

/// Consensus on this node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    store: Store,
    config: Arc<Config>,
    alarm: Alarm,
    groups: Arc<Groups>,
    tidy: Arc<Tidy>,
}

/// The groups that run on this node, by id.
pub(crate) struct Groups {
    peers: Peers,
    transfers: Arc<Transfers>,
    turns: Arc<Meter>,
    members: RwLock<BTreeMap<GroupId, Place>>,
}

enum Place {
    Starting,
    Running(Arc<Member>),
}

impl Node {
    /// No group runs yet. Who this node is, is what `peers` say of themselves.
    #[must_use]
    pub fn new(store: Store, peers: Peers, config: Config) -> Self {
        let alarm = Alarm::new();
        let ringing = alarm.clone();
        store.on_failure(Box::new(move |error| {
            let text = format!("the storage failed: {error}");
            ringing.ring(Fatality { group: None, text });
        }));
        let transfers = Arc::new(Transfers::new(config.snapshot_bytes_per_second));
        let turns = Arc::new(Meter::new(TURNS_US));
        let groups = Groups { peers, transfers, turns, members: RwLock::default() };
        let tidy = Arc::new(Tidy::new(store.clone()));
        Self { store, config: Arc::new(config), alarm, groups: Arc::new(groups), tidy }
    }

    /// Who this node is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.groups.peers.identity()
    }

    /// Calls `hook` once, when a group or the storage cannot go on: the process must end then.
    /// Without a hook it aborts.
    pub fn on_fatal(&self, hook: impl FnOnce(Fatality) + Send + 'static) {
        self.alarm.set(Box::new(hook));
    }

    /// Has the process end, as when a group or the storage cannot go on.
    pub fn give_up(&self, text: &str) {
        self.alarm.ring(Fatality { group: None, text: text.to_owned() });
    }

    /// Starts this node's replica of `group` with what is stored of it, or with nothing: it joins
    /// when a leader speaks to it, or begins with [`Group::bootstrap`].
    ///
    /// `new` makes a machine as it is before the first entry. What it wants done once this node
    /// leads goes to `effects`.
    ///
    /// # Errors
    /// When it runs already, or what is stored cannot be used.
    pub async fn start<M: Machine>(
        &self,
        group: GroupId,
        new: impl FnOnce() -> M + Send,
        effects: mpsc::UnboundedSender<Performed<M::Effect>>,
    ) -> Result<Group<M>, StartError> {
        self.groups.reserve(group)?;
        let started = self.start_reserved(group, new(), effects).await;
        if started.is_err() {
            self.groups.remove(group);
        }
        started
    }

    async fn start_reserved<M: Machine>(
        &self,
        id: GroupId,
        machine: M,
        effects: mpsc::UnboundedSender<Performed<M::Effect>>,
    ) -> Result<Group<M>, StartError> {
        let node = self.identity().node;
        let (store, known) = self.open(id).await?;
        let born = Term(known.map_or(0, |(vote, _)| vote.leader_id.term));
        let given_up = known.and_then(|(_, given_up)| given_up);
        let recall = Recall::new(given_up, store.clone());
        let raft_config = self.config.raft(id, recall.is_whole());
        let raft_config = raft_config.map_err(|text| StartError::Config { text })?;

        let (life, floor) = (Life::default(), FloorLock::default());
        let cell = Arc::new(Cell::new(node, born, machine, effects));
        let driver: Arc<dyn Driver> = Arc::<Cell<M>>::clone(&cell);
        let shared = Shared::new(Arc::clone(&driver), store.clone(), floor.clone());
        let shared = shared.metered(Arc::clone(&self.groups.turns));
        let vigil = |part| Some(Vigil::new(id, part, &life, &self.alarm));
        let append_bytes = self.config.max_append_bytes;
        let log = LogStore::new((store, driver), append_bytes, floor, given_up, vigil("core"));
        let machine = StateMachine::new(shared.clone(), vigil("machine"));
        let transfers = Arc::clone(&self.groups.transfers);
        let (peers, sent) = (self.groups.peers.clone(), Arc::clone(&transfers));
        let network = Network::new(id, node, peers, shared.clone(), sent);
        let raft = Raft::build(node.0, raft_config, network, log, machine).await;
        let raft =
            raft.map_err(|error| StartError::Restore { group: id, text: error.to_string() })?;

        let member = Arc::new(Member::new(id, node, raft, shared, life.clone(), transfers, recall));
        // Other nodes may speak to it as soon as it speaks to them.
        self.groups.put(id, Arc::clone(&member));
        life.begin();
        member.raft.run();
        #[expect(clippy::disallowed_methods, reason = "whoever submits bounds what is in flight")]
        let (backlog, proposals) = mpsc::unbounded_channel();
        member.keep(tokio::spawn(propose::run(Arc::clone(&member), proposals)));
        let peers = self.groups.peers.clone();
        let watching = Arc::clone(&member).watch(peers.clone(), self.alarm.clone());
        member.keep(tokio::spawn(watching));
        if !member.recall.is_whole() {
            member.keep(tokio::spawn(recall::run(Arc::clone(&member))));
        }
        let config = Config::clone(&self.config);
        member.keep(tokio::spawn(sweep::run(Arc::clone(&member), config, Arc::clone(&self.tidy))));
        Ok(Group::new(member, cell, backlog, peers, self.config.max_entry_bytes))
    }

    /// The group's part of the storage, and its vote with what it gave up.
    async fn open(&self, id: GroupId) -> Result<(GroupStore, Option<Known>), StartError> {
        let store = self.store.clone();
        let opening = aside::run(store.is_inline(), move || {
            let group = store.group(id)?;
            let vote = group.vote()?;
            Ok((group, vote))
        });
        let panicked = |_| StartError::Restore { group: id, text: "opening panicked".to_owned() };
        let opened = opening.await.map_err(panicked)?;
        let (store, vote) = opened.map_err(|source| StartError::Storage { group: id, source })?;
        let vote = vote.map(codec::read_vote).transpose();
        let damaged = |error: warren_types::DecodeError| StartError::Restore {
            group: id,
            text: format!("the vote: {error}"),
        };
        Ok((store, vote.map_err(damaged)?))
    }

    /// What answers other nodes, for [`warren_rpc::serve`].
    #[must_use]
    pub fn handler(&self) -> Arc<Handler> {
        Arc::new(Handler::new(Arc::clone(&self.groups)))
    }

    /// The groups that run here, ascending.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupId> {
        self.groups.all().iter().map(|member| member.id).collect()
    }

    /// How long entries of all groups were applied here at a time, microseconds.
    #[must_use]
    pub fn apply_turns_us(&self) -> Measured {
        self.groups.turns.measured()
    }

    /// How this node's replica of `group` is, if it runs.
    #[must_use]
    pub fn status(&self, group: GroupId) -> Option<Status> {
        self.groups.member(group).map(|member| member.status())
    }

    /// The groups that this node leads, ascending.
    #[must_use]
    pub fn leads(&self) -> Vec<GroupId> {
        let members = self.groups.all();
        let led = members.iter().filter(|member| member.leadership.borrow().here);
        led.map(|member| member.id).collect()
    }

    /// Gives every leadership to the voter that lives and has most of the log, and waits until none
    /// is left here, or nobody could take it, or `limit` ends. Says how many are left.
    pub async fn hand_over(&self, limit: Duration) -> usize {
        handover::run(&self.groups.all(), limit).await
    }

    /// Stops one group, which may be started again. Nothing of it is removed.
    pub async fn stop(&self, group: GroupId) {
        if let Some(member) = self.groups.member(group) {
            member.shutdown().await;
            self.groups.remove(group);
        }
    }

    /// Stops one group and removes everything of it from this node's disk but for its vote and how
    /// long its log was: should it come back, it does not vote until it knows as much again.
    ///
    /// Only for a replica that the group's membership does not name.
    ///
    /// # Errors
    /// When the disk does not do it; the process ends then.
    pub async fn remove(&self, group: GroupId) -> Result<(), StorageError> {
        self.stop(group).await;
        let store = self.store.clone();
        let (done, outcome) = completion();
        let erasing = aside::run(store.is_inline(), move || {
            let store = store.group(group)?;
            let Some(last) = store.bounds().last else {
                store.erase(done);
                return Ok(());
            };
            let unread = |_| StorageError::Closed;
            let known = store.vote()?.map(codec::read_vote).transpose().map_err(unread)?;
            let (vote, given_up) = known.unwrap_or((codec::no_vote(), None));
            let last = given_up.map_or(last.index, |given_up| given_up.max(last.index));
            store.erase_but_vote(codec::write_vote(&vote, Some(last)), done);
            Ok(())
        });
        erasing.await.unwrap_or(Err(StorageError::Closed))?;
        outcome.await.unwrap_or(Err(StorageError::Closed))
    }

    /// Stops all groups in order.
    pub async fn shutdown(&self) {
        let members = self.groups.all();
        join_all(members.iter().map(|member| member.shutdown())).await;
        for member in members {
            self.groups.remove(member.id);
        }
    }
}

impl Groups {
    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    pub(crate) fn member(&self, group: GroupId) -> Option<Arc<Member>> {
        match self.members.read().unwrap_or_else(PoisonError::into_inner).get(&group) {
            Some(Place::Running(member)) => Some(Arc::clone(member)),
            Some(Place::Starting) | None => None,
        }
    }

    fn all(&self) -> Vec<Arc<Member>> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        let running = members.values().filter_map(|place| match place {
            Place::Running(member) => Some(Arc::clone(member)),
            Place::Starting => None,
        });
        running.collect()
    }

    fn reserve(&self, group: GroupId) -> Result<(), StartError> {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        if members.contains_key(&group) {
            return Err(StartError::Running { group });
        }
        members.insert(group, Place::Starting);
        Ok(())
    }

    fn put(&self, group: GroupId, member: Arc<Member>) {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        members.insert(group, Place::Running(member));
    }

    fn remove(&self, group: GroupId) {
        self.members.write().unwrap_or_else(PoisonError::into_inner).remove(&group);
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("identity", &self.identity()).finish_non_exhaustive()
    }
}
