//! Looks after one group for as long as this node leads it: its members and who leads it next.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use warren_catalog::plan_voters;
use warren_consensus::{Group, MembershipError, Status};
use warren_machine::Machine;
use warren_types::NodeId;

use super::Inner;
use super::chart::Chart;
use super::leading::Preference;
use super::membership::{Step, Wanted, can_lead, next_step};

/// Between two looks at a group that is as it should be.
const CALM: Duration = Duration::from_secs(5);

/// Between two looks at a group in which somebody catches up.
const BUSY: Duration = Duration::from_millis(100);

/// How long a change of members may take before it is looked at anew. It goes on meanwhile.
const CHANGE_LIMIT: Duration = Duration::from_secs(5);

/// How long a transfer may take to show.
const TRANSFER_LIMIT: Duration = Duration::from_secs(1);

/// What sort of group it is, which decides who should be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All nodes have it, some vote.
    Catalog,
    /// Those have it, and vote, whom its row names.
    Shard,
}

/// The task that looks after one group.
pub(super) struct Steward<M: Machine> {
    inner: Arc<Inner>,
    group: Group<M>,
    kind: Kind,
    preference: Preference,
}

impl<M: Machine> Steward<M> {
    /// A steward of `group`.
    pub(super) fn new(inner: Arc<Inner>, group: Group<M>, kind: Kind) -> Self {
        Self { inner, group, kind, preference: Preference::default() }
    }

    /// Serves until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut leadership = self.group.leadership();
        loop {
            let reigning = async {
                if leadership.wait_for(|leadership| leadership.here).await.is_err() {
                    // The group has ended, and whoever ended it is about to stop this task.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = reigning => {}
            }
            self.preference = Preference::default();
            self.inner.reign.notify_one();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.reign() => {}
            }
        }
    }

    /// Looks after the group until another node leads it.
    async fn reign(&mut self) {
        let mut leadership = self.group.leadership();
        let (mut chart, mut sights) = (self.inner.chart.clone(), self.inner.neighbours.sights());
        let mut distress = self.inner.distress.subscribe();
        while leadership.borrow_and_update().here {
            sights.mark_unchanged();
            distress.mark_unchanged();
            let seen = Arc::clone(&chart.borrow_and_update());
            let pause = self.tend(&seen).await;
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { return },
                changed = chart.changed() => if changed.is_err() { return },
                changed = sights.changed() => if changed.is_err() { return },
                changed = distress.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does what is to be done next, and says when to look again.
    async fn tend(&mut self, chart: &Chart) -> Duration {
        let here = self.inner.session.node;
        let status = self.group.status();
        if !status.leadership.here {
            return BUSY;
        }
        let wanted = self.wanted(chart, &status);
        match next_step(here, &status, &wanted) {
            Step::Settled => self.lead_on(chart, &status, &wanted).await,
            Step::Wait => BUSY,
            Step::Place { node, address } => {
                self.change("place", self.group.add_learner(node, &address)).await
            }
            Step::Vote(voters) => {
                let group = self.group.id();
                tracing::info!(%group, ?voters, "the group's voters change");
                self.change("vote", self.group.change_voters(&voters)).await
            }
            Step::HandOver(to) => self.hand_over(to).await,
            Step::Remove(learners) => {
                self.change("remove", self.group.remove_learners(&learners)).await
            }
        }
    }

    /// What the catalog says about the group's members. Where nothing sensible can be said, what
    /// is there is wanted.
    fn wanted(&self, chart: &Chart, status: &Status) -> Wanted {
        let alive = self.inner.alive(chart);
        let addresses = chart.nodes.values().map(|row| (row.id, row.address.to_string()));
        let mut wanted = Wanted { addresses: addresses.collect(), alive, ..Wanted::default() };
        match self.kind {
            Kind::Shard => wanted.voters = chart.replicas(self.group.id()).to_vec(),
            // A founder leads before the catalog knows even this node.
            Kind::Catalog if chart.nodes.contains_key(&self.inner.session.node) => {
                let current: Vec<NodeId> = status.voters.iter().map(|(node, _)| *node).collect();
                let usable = self.inner.usable(chart);
                let gone: Vec<NodeId> = self.inner.gone.borrow().iter().copied().collect();
                wanted.voters = self
                    .inner
                    .directory
                    .look(|catalog| plan_voters(catalog, &current, &usable, &gone));
                wanted.learners = chart.nodes.keys().copied().collect();
            }
            Kind::Catalog => {}
        }
        wanted
    }

    /// The members are as they should be: perhaps another of them should lead.
    async fn lead_on(&mut self, chart: &Chart, status: &Status, wanted: &Wanted) -> Duration {
        let better = match self.wider(chart, status, wanted).await {
            Some(wider) => Some(wider),
            None => self.better(chart, status, wanted),
        };
        let unfit = self.inner.is_unfit(self.inner.session.node);
        let after = if unfit { Duration::ZERO } else { self.inner.config.lead_return_after };
        match self.preference.due(better, Instant::now(), after) {
            Some(to) => {
                self.preference = Preference::default();
                if self.is_leaving(chart) || self.inner.sees_all(chart, to).await {
                    return self.hand_over(to).await;
                }
                CALM
            }
            None if better.is_some() => after.clamp(BUSY, CALM),
            None => CALM,
        }
    }

    /// Whether this node should lead nothing: it is being emptied, or cannot trust its disk.
    fn is_leaving(&self, chart: &Chart) -> bool {
        let here = self.inner.session.node;
        chart.nodes.get(&here).is_some_and(|row| row.draining) || self.inner.is_unfit(here)
    }

    /// Who sees all the others, and one that this node does not see, and could lead.
    async fn wider(&self, chart: &Chart, status: &Status, wanted: &Wanted) -> Option<NodeId> {
        let missed = self.inner.missed(chart);
        if self.is_leaving(chart) || missed.is_empty() {
            return None;
        }
        let here = self.inner.session.node;
        for node in wanted.voters.iter().copied().filter(|node| *node != here) {
            let takes = chart.nodes.get(&node).is_some_and(|row| row.running && !row.draining);
            if takes
                && !self.inner.is_unfit(node)
                && can_lead(status, wanted, node)
                && self.inner.sees_all(chart, node).await
                && self.inner.sees_any(node, &missed).await
            {
                return Some(node);
            }
        }
        None
    }

    /// Who should lead in place of this node, and could: the first of a shard's replicas, and
    /// anybody else when this node is being emptied or cannot trust its disk.
    fn better(&self, chart: &Chart, status: &Status, wanted: &Wanted) -> Option<NodeId> {
        let here = self.inner.session.node;
        let row = |node: NodeId| chart.nodes.get(&node);
        let takes = |node: NodeId| row(node).is_some_and(|row| row.running && !row.draining);
        let fit = |node: &NodeId| {
            takes(*node) && !self.inner.is_unfit(*node) && can_lead(status, wanted, *node)
        };
        if self.is_leaving(chart) {
            return wanted.voters.iter().filter(|node| **node != here).copied().find(fit);
        }
        match self.kind {
            Kind::Catalog => None,
            Kind::Shard => {
                wanted.voters.first().filter(|first| **first != here).copied().filter(fit)
            }
        }
    }

    async fn hand_over(&self, to: NodeId) -> Duration {
        self.inner.pace.turn().await;
        let group = self.group.id();
        tracing::info!(%group, %to, "the group's lead is handed over");
        if self.group.transfer_leadership(to).await.is_ok() {
            let mut leadership = self.group.leadership();
            let gone = leadership.wait_for(|leadership| !leadership.here);
            // If it does not work out, the group is looked at anew.
            drop(timeout(TRANSFER_LIMIT, gone).await);
        }
        BUSY
    }

    async fn change(
        &self,
        what: &str,
        change: impl Future<Output = Result<(), MembershipError>>,
    ) -> Duration {
        let group = self.group.id();
        match timeout(CHANGE_LIMIT, change).await {
            Ok(Ok(())) => Duration::ZERO,
            Ok(Err(error)) => {
                tracing::debug!(%group, what, %error, "the group's members were not changed");
                BUSY
            }
            Err(_) => {
                tracing::debug!(%group, what, "changing the group's members takes long");
                BUSY
            }
        }
    }
}
