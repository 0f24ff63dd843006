//! Runs the shards that the catalog's rows place on this node.
//!
//! A replica is started when a row names this node. It ends only when no row does and the group's
//! leader says that it is no member either; what it had is erased then, and not before it was asked
//! a second time with the replica stopped: a voter that forgets its vote may vote twice.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use warren_catalog::{Catalog, Command};
use warren_consensus::{Group, Node, StartError};
use warren_queue::Shard;
use warren_types::{BootId, GroupId, NodeId, Term};

use super::Inner;
use super::chart::Chart;
use super::steward::{Kind, Steward};
use crate::broker::ShardPart;
use crate::directory::Directory;

/// Between two looks while something is left to be done.
const RETRY: Duration = Duration::from_millis(500);

/// Between two looks otherwise.
const INTERVAL: Duration = Duration::from_secs(30);

/// How long the catalog may take to be read up to date.
const BARRIER_LIMIT: Duration = Duration::from_secs(2);

/// How long a node may take to say how a group is.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// The first start of a node, before which nothing is on its disk.
const FIRST_START: BootId = BootId(1);

/// A shard runs here from now on, or does no more.
pub(crate) enum ReplicaEvent {
    /// It runs.
    Started(ShardPart),
    /// It has ended.
    Stopped(GroupId),
}

/// Replicas on their way. They come no further once it is dropped.
#[derive(Default)]
pub(crate) struct Starts(JoinSet<(GroupId, Result<ShardPart, StartError>)>);

impl Starts {
    /// Begins with what was here before, as far as this node's own copy of the catalog knows.
    ///
    /// That need not wait for the cluster to hear of the node: where all nodes have been started
    /// anew, shards elect their leaders while the catalog elects its own.
    pub(crate) fn again(consensus: &Node, directory: &Directory, boot: BootId) -> Self {
        if boot <= FIRST_START {
            return Self::default();
        }
        let known = |catalog: &Catalog| catalog.shards().map(|shard| shard.group).collect();
        Self::of(consensus, directory.look(known))
    }

    fn of(consensus: &Node, groups: Vec<GroupId>) -> Self {
        let mut starts = JoinSet::new();
        for id in groups {
            #[expect(
                clippy::disallowed_methods,
                reason = "apply must not wait; what it says is bounded by what is proposed"
            )]
            let (sender, effects) = mpsc::unbounded_channel();
            let consensus = consensus.clone();
            starts.spawn(async move {
                let started = consensus.start(id, Shard::default, sender).await;
                (id, started.map(|group| ShardPart { group, id, effects }))
            });
        }
        Self(starts)
    }
}

/// The task that starts and ends replicas.
pub(super) struct Replicas {
    inner: Arc<Inner>,
    founding: bool,
    /// What was begun before this task.
    early: Starts,
    events: mpsc::UnboundedSender<ReplicaEvent>,
    /// What ends each replica's steward.
    stewards: BTreeMap<GroupId, CancellationToken>,
    stop: CancellationToken,
}

impl Replicas {
    /// Nothing runs yet but `early`. When `founding`, this node makes the shards.
    pub(super) fn new(
        inner: Arc<Inner>,
        founding: bool,
        early: Starts,
        events: mpsc::UnboundedSender<ReplicaEvent>,
    ) -> Self {
        let stop = inner.stop.clone();
        Self { inner, founding, early, events, stewards: BTreeMap::new(), stop }
    }

    /// Serves until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.stop = stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        if self.founding {
            self.make_rows().await;
        }
        let mut chart = self.inner.chart.clone();
        let seen = Arc::clone(&chart.borrow_and_update());
        let early = std::mem::take(&mut self.early);
        self.run_all(early).await;
        // What was here before may belong to the group still, whatever its row says.
        if self.inner.session.boot > FIRST_START {
            let groups = seen.shards.keys().copied();
            self.start(groups.filter(|group| !self.stewards.contains_key(group)).collect()).await;
        }
        loop {
            let seen = Arc::clone(&chart.borrow_and_update());
            let settled = self.follow(&seen).await;
            tokio::select! {
                changed = chart.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(if settled { INTERVAL } else { RETRY }) => {}
            }
        }
    }

    /// Starts what should run and ends what should not; whether nothing is left to be done.
    async fn follow(&mut self, chart: &Chart) -> bool {
        let here = self.inner.session.node;
        let named = |group: &GroupId| chart.replicas(*group).contains(&here);
        let missing = chart.shards.keys().copied();
        let missing = missing.filter(|group| named(group) && !self.stewards.contains_key(group));
        let mut settled = self.start(missing.collect()).await;
        if self.founding {
            settled &= self.found(chart).await;
        }
        let leaving: Vec<GroupId> =
            self.stewards.keys().copied().filter(|group| !named(group)).collect();
        for group in leaving {
            settled &= self.leave(group).await;
        }
        settled
    }

    /// Starts replicas; whether all of them run.
    async fn start(&mut self, groups: Vec<GroupId>) -> bool {
        self.run_all(Starts::of(&self.inner.consensus, groups)).await
    }

    /// Has each run as soon as it is there; whether all of them do.
    async fn run_all(&mut self, Starts(mut starts): Starts) -> bool {
        let mut all = true;
        while let Some(outcome) = starts.join_next().await {
            let (id, started) = outcome.expect("a start does not panic, and is not cancelled");
            match started {
                Ok(part) => self.started(part),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(group = %id, error, "a shard does not start");
                    all = false;
                }
            }
        }
        all
    }

    fn started(&mut self, part: ShardPart) {
        let stop = self.stop.child_token();
        let steward = Steward::new(Arc::clone(&self.inner), part.group.clone(), Kind::Shard);
        self.inner.tasks.spawn(steward.run(stop.clone()));
        self.stewards.insert(part.id, stop);
        let mut running = self.inner.running.write().unwrap_or_else(PoisonError::into_inner);
        running.insert(part.id, part.group.clone());
        drop(running);
        // Nobody listens while the broker goes down.
        drop(self.events.send(ReplicaEvent::Started(part)));
    }

    async fn stopped(&mut self, group: GroupId) {
        if let Some(steward) = self.stewards.remove(&group) {
            steward.cancel();
        }
        self.inner.running.write().unwrap_or_else(PoisonError::into_inner).remove(&group);
        self.inner.consensus.stop(group).await;
        drop(self.events.send(ReplicaEvent::Stopped(group)));
    }

    /// Ends a replica that is not needed; whether that is done.
    async fn leave(&mut self, group: GroupId) -> bool {
        let Some(shard) = self.inner.shard(group) else { return true };
        let term = shard.leadership().borrow().term;
        if !self.is_released(group, term).await {
            return false;
        }
        let term = shard.leadership().borrow().term;
        drop(shard);
        self.stopped(group).await;
        // What it promised until it stopped counts: only what the leader says after that does.
        if !self.is_released(group, term).await {
            self.start(vec![group]).await;
            return false;
        }
        tracing::info!(%group, "the shard has left this node");
        if let Err(error) = self.inner.consensus.remove(group).await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(%group, error, "a shard that has left cannot be erased");
        }
        true
    }

    /// Whether the catalog does not want a replica here, and the group's leader knows none. A
    /// leader of a term before `term` may not have heard that there is one.
    async fn is_released(&self, group: GroupId, term: Term) -> bool {
        let Inner { directory, session, peers, .. } = &*self.inner;
        let here = session.node;
        if !matches!(timeout(BARRIER_LIMIT, directory.catch_up()).await, Ok(Ok(()))) {
            return false;
        }
        let row = directory.look(|catalog| {
            catalog.shard(group).map_or_else(Vec::new, |shard| shard.replicas.clone())
        });
        if row.contains(&here) {
            return false;
        }
        let asks = row.into_iter().map(|node| peers.group_status(node, group, ASK_LIMIT));
        let answers = join_all(asks).await.into_iter().flatten();
        let leader = answers.filter(|status| status.here && status.term >= term);
        leader.max_by_key(|status| status.term).is_some_and(|status| {
            !status.voters.contains(&here) && !status.learners.contains(&here)
        })
    }

    /// Has the catalog place every shard here that it does not know. Repeats what was cut short.
    async fn make_rows(&self) {
        let (here, shards) = (self.inner.session.node, self.inner.config.shards);
        let mut chart = self.inner.chart.clone();
        loop {
            // Whoever announces this node may do so later.
            if chart.wait_for(|chart| chart.nodes.contains_key(&here)).await.is_err() {
                return;
            }
            let missing: Vec<GroupId> = self.inner.directory.look(|catalog| {
                let groups = (1..=shards).map(GroupId);
                groups.filter(|group| catalog.shard(*group).is_none()).collect()
            });
            if missing.is_empty() {
                return;
            }
            let put = |group| Command::PutShard { group, replicas: vec![here] };
            let changes = missing.into_iter().map(|group| self.inner.directory.change(put(group)));
            for outcome in join_all(changes).await {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "a shard was not placed");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Makes the groups that are to run here, each with this node alone. Those that are made stay
    /// as they are; whether all are.
    async fn found(&mut self, chart: &Chart) -> bool {
        let here = self.inner.session.node;
        let voters: [(NodeId, String); 1] = [(here, self.inner.config.peer_address.clone())];
        let named = chart.shards.iter().filter(|(_, replicas)| replicas.contains(&here));
        let groups: Vec<Option<Group<Shard>>> =
            named.map(|(group, _)| self.inner.shard(*group)).collect();
        let founded = groups.iter().flatten().map(|group| group.bootstrap(&voters));
        // The chart follows the catalog a moment later.
        let made =
            u32::try_from(chart.shards.len()).is_ok_and(|rows| rows >= self.inner.config.shards);
        let mut all = made && groups.iter().all(Option::is_some);
        for outcome in join_all(founded).await {
            if let Err(error) = outcome {
                tracing::error!(%error, "a shard was not made");
                all = false;
            }
        }
        self.founding = !all;
        all
    }
}
