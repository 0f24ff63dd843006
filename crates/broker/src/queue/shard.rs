//! The task between this node and one shard that is replicated, or that another node holds.
//!
//! It has two sides. The [`Front`] speaks for this node's connections and follows the leader
//! wherever that goes; while this node leads, the [`Leading`] side serves all nodes' fronts, this one's
//! without a detour.
//!
//! **Always holds:** while the route is `Here`, this node's replica said at its last change that it
//! leads. What is on its way when the route changes is sent again along the next one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use warren_consensus::{Group, Leadership, Performed};
use warren_queue::{Command, Effect, FragmentReply, Shard};
use warren_rpc::{FrontFragment, FrontItem, HostItem, Place};
use warren_types::{BootId, ConsumerNumber, GroupId, NodeId, SessionId, Term};

use super::batch::{ENTRY_BYTES, Lull};
use super::effects::Performer;
use super::front::{Front, Heard};
use super::guests::{Elsewhere, census_of};
use super::handle::{AnswerTo, Event, Inbox};
use super::leading::{Leading, Outcome};
use super::link::Links;
use super::whereabouts::Whereabouts;
use crate::broker::ShardPart;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::janitor::Chore;

/// Bytes that may be on their way to another node unanswered, per shard.
const WINDOW_BYTES: usize = 8 * ENTRY_BYTES;

/// How long to wait before the same leader is tried again, or another is looked for.
const RETRY: Duration = Duration::from_millis(20);

/// How often all nodes are told which of their consumers the shard knows: messages that are held by
/// nobody are the worst that can happen to a queue, so it is looked for although it should not be.
const ROLL_CALL_INTERVAL: Duration = Duration::from_secs(30);

/// Where the shard's home is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Wherever its group has a leader.
    Group(GroupId),
    /// In the memory of another node.
    Memory { node: NodeId, boot: BootId, slot: u16 },
}

impl Home {
    fn place(self) -> Place {
        match self {
            Self::Group(group) => Place::Shard(group),
            Self::Memory { boot, slot, .. } => Place::Local { boot, slot },
        }
    }
}

/// Whom the front speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// Nobody is known.
    Nowhere,
    /// This node leads.
    Here,
    /// That node leads, as far as is known.
    There(NodeId),
}

/// How a shard's task reaches others.
pub(crate) struct Ways {
    pub(crate) links: Links,
    pub(crate) directory: Directory,
    pub(crate) counters: Arc<Counters>,
}

/// Speaks to one shard, and for it while this node leads it.
pub(crate) struct ShardTask {
    home: Home,
    front: Front,
    leading: Leading,
    inbox: Inbox,
    performer: Performer,
    whereabouts: Arc<Whereabouts>,
    links: Links,
    directory: Directory,
    counters: Arc<Counters>,
    group: Option<Group<Shard>>,
    effects: Option<mpsc::UnboundedReceiver<Performed<Effect>>>,
    leadership: Option<watch::Receiver<Leadership>>,
    route: Route,
    /// Who was said to lead, and in which term, by a node that does not.
    hint: Option<(NodeId, Term)>,
    /// The highest term that a leader spoke to us in.
    term: Term,
    /// How many candidates were tried since somebody was known to lead.
    tried: usize,
    /// When the route is looked at again.
    retry_at: Option<Instant>,
    /// Since the last entry.
    lull: Lull,
    /// When all nodes are told again which of their consumers the shard knows.
    roll_call_at: Instant,
    /// Consumers that nobody had at the last census. Their end may be on its way.
    unclaimed: BTreeSet<ConsumerNumber>,
}

impl ShardTask {
    /// A task that serves `inbox` and speaks for `session`.
    pub(crate) fn new(
        home: Home,
        session: SessionId,
        inbox: Inbox,
        performer: Performer,
        whereabouts: Arc<Whereabouts>,
        ways: Ways,
    ) -> Self {
        let Ways { links, directory, counters } = ways;
        Self {
            home,
            front: Front::new(session),
            leading: Leading::new(home.place()),
            inbox,
            performer,
            whereabouts,
            links,
            directory,
            counters,
            group: None,
            effects: None,
            leadership: None,
            route: Route::Nowhere,
            hint: None,
            term: Term::default(),
            tried: 0,
            retry_at: None,
            lull: Lull::new(),
            roll_call_at: Instant::now() + ROLL_CALL_INTERVAL,
            unclaimed: BTreeSet::new(),
        }
    }

    /// Serves until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.reroute(true);
        loop {
            self.pump();
            let (tick_at, retry_at) = (self.tick_at(), self.retry_at);
            let patient_until = self.patient_until();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                event = self.inbox.events.recv() => match event {
                    Some(event) => self.hear(event),
                    None => return,
                },
                // What an entry brought about goes out before its answers do: a consumer that is
                // told that it was cancelled has been given all that it will be.
                Some(performed) = next(&mut self.effects) => self.perform(performed),
                outcome = self.leading.outcome(), if self.leading.is_busy() => {
                    outcome.into_iter().for_each(|outcome| self.finish(outcome));
                }
                () = changed(&mut self.leadership) => self.reroute(false),
                request = self.inbox.requests.recv(), if self.may_take() => match request {
                    Some(request) => self.front.accept(request.fragment, request.answer_to),
                    None => return,
                },
                () = tokio::time::sleep_until(self.roll_call_at) => self.roll_call(),
                // To look again at what waits for company.
                () = at(patient_until) => {}
                () = at(tick_at) => self.leading.ask(Command::Tick),
                () = at(retry_at) => {
                    self.retry_at = None;
                    self.reroute(true);
                }
            }
        }
    }

    /// When time must pass for the shard, if this node is the one that lets it.
    fn tick_at(&mut self) -> Option<Instant> {
        // An entry that is under way lets time pass as well.
        let group = self.group.as_ref().filter(|_| self.leads() && !self.leading.is_proposing())?;
        let (applied, due) = group.inspect(|shard| (shard.applied(), shard.next_deadline()));
        self.lull.tick_at(applied, due)
    }

    /// When what waits for company is looked at again.
    fn patient_until(&self) -> Option<Instant> {
        self.leading.patient_until.filter(|_| self.leads() && self.leading.has_room())
    }

    fn leads(&self) -> bool {
        self.route == Route::Here && self.retry_at.is_none()
    }

    /// The leadership that lasts, once its effects have begun to come.
    fn reign(&self) -> Option<Term> {
        let leadership = *self.leadership.as_ref()?.borrow();
        self.leading.reign.filter(|reign| leadership.here && leadership.term == *reign)
    }

    fn may_take(&self) -> bool {
        match self.route {
            Route::Nowhere => false,
            Route::Here => self.leads() && self.leading.has_room(),
            Route::There(_) => self.front.out_bytes() < WINDOW_BYTES,
        }
    }

    /// Sends what waits.
    fn pump(&mut self) {
        match (self.route, &self.group) {
            (Route::Here, Some(group)) => {
                if self.retry_at.is_none() {
                    let known = (self.reign(), &self.links);
                    let (front, requests) = (&mut self.front, &mut self.inbox.requests);
                    self.leading.pump(group, front, requests, known, &self.directory);
                }
            }
            (Route::There(node), _) => self.send_to(node),
            (Route::Here | Route::Nowhere, _) => {}
        }
    }

    fn send_to(&mut self, node: NodeId) {
        while self.front.out_bytes() < WINDOW_BYTES {
            let (mut fragments, mut bytes) = (Vec::new(), 0_usize);
            while bytes < ENTRY_BYTES && self.front.out_bytes() < WINDOW_BYTES {
                if !self.front.has_more() {
                    let Some(request) = self.inbox.requests.try_recv() else { break };
                    self.front.accept(request.fragment, request.answer_to);
                }
                let Some(out) = self.front.give_out() else { break };
                bytes = bytes.saturating_add(out.fragment.len());
                let (sequence, heard) = (out.sequence, out.heard);
                fragments.push(FrontFragment { sequence, heard, fragment: out.fragment });
            }
            if fragments.is_empty() {
                return;
            }
            let (place, round) = (self.home.place(), self.front.round());
            self.links.send(node, FrontItem::Fragments { place, round, fragments });
        }
    }

    /// Where the front should go, by what is known.
    fn destination(&mut self) -> Route {
        let group = match self.home {
            Home::Memory { node, .. } => return Route::There(node),
            Home::Group(group) => group,
        };
        let me = self.front.session().node;
        if let Some(leadership) = &self.leadership {
            let leadership = *leadership.borrow();
            if leadership.here {
                return Route::Here;
            }
            // A replica whose disk hangs knows nothing of later terms, and others do.
            let later = |(_, term): &(NodeId, Term)| *term > leadership.term;
            if let Some((hint, _)) = self.hint.take_if(|hint| later(hint))
                && hint != me
            {
                return Route::There(hint);
            }
            if leadership.term >= self.term
                && let Some(leader) = leadership.leader.filter(|leader| *leader != me)
            {
                return Route::There(leader);
            }
            if let Some((hint, _)) = self.hint.take().filter(|(hint, _)| *hint != me) {
                return Route::There(hint);
            }
            // A replica that is behind knows less than the leader that spoke to us, and hears of
            // the next one by itself.
            let behind = leadership.term < self.term;
            return if behind && self.route != Route::Here { self.route } else { Route::Nowhere };
        }
        if let Some((hint, _)) = self.hint.take().filter(|(hint, _)| *hint != me) {
            return Route::There(hint);
        }
        let replicas = self.directory.look(|catalog| {
            catalog.shard(group).map(|shard| shard.replicas.clone()).unwrap_or_default()
        });
        let others: Vec<NodeId> = replicas.into_iter().filter(|node| *node != me).collect();
        let at = self.tried.checked_rem(others.len()).unwrap_or_default();
        self.tried = self.tried.wrapping_add(1);
        others.get(at).map_or(Route::Nowhere, |node| Route::There(*node))
    }

    /// Follows the leader. With `again`, what is on its way is sent again even if the leader is
    /// still the same.
    fn reroute(&mut self, again: bool) {
        let route = self.destination();
        if route == self.route && !again {
            return;
        }
        if self.route == Route::Here && route != Route::Here {
            let elsewhere = self.elsewhere(route);
            self.leading.abdicate(elsewhere);
            self.whereabouts.set_reign(None);
        }
        self.route = route;
        self.retry_at = None;
        self.front.begin_round();
        let (leader, here) = match route {
            Route::Nowhere => (None, false),
            Route::Here => (Some(self.front.session().node), true),
            Route::There(node) => (Some(node), false),
        };
        self.whereabouts.set_leader(leader, here);
        match route {
            Route::There(node) => {
                let (place, round) = (self.home.place(), self.front.round());
                let wants_rows = self.group.is_none();
                self.links.send(node, FrontItem::Subscribe { place, round, wants_rows });
            }
            Route::Nowhere => self.retry_soon(),
            // What has become due while nobody led is late enough.
            Route::Here => self.leading.ask(Command::Tick),
        }
    }

    fn retry_soon(&mut self) {
        self.retry_at.get_or_insert_with(|| Instant::now() + RETRY);
    }

    fn elsewhere(&self, route: Route) -> Elsewhere {
        let known = self.leadership.as_ref().map(|leadership| *leadership.borrow());
        let leader = match route {
            Route::There(node) => Some(node),
            Route::Here | Route::Nowhere => known.and_then(|known| known.leader),
        };
        let term = known.map_or(self.term, |known| known.term);
        Elsewhere { leader: leader.filter(|node| *node != self.front.session().node), term }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Replica(part) => self.replica(part),
            Event::NoReplica => {
                (self.group, self.effects, self.leadership) = (None, None, None);
                self.whereabouts.set_replica(None);
                self.reroute(true);
            }
            Event::Guest(guest) => {
                let elsewhere = (!self.leads()).then(|| self.elsewhere(self.route));
                self.leading.guests.take(guest, elsewhere);
                self.welcome();
            }
            Event::FromHost { node, item } => self.host_says(node, item),
            Event::LinkDown { node } => {
                if self.route == Route::There(node) {
                    self.retry_soon();
                }
            }
            Event::Again => self.retry_soon(),
            Event::Dead(session) => {
                if self.route == Route::Here {
                    self.leading.ask(Command::CloseSession { session });
                }
            }
            Event::Holder(boot) => self.holder(boot),
            // Whoever has a replica reads it without asking.
            Event::Row { answer_to, .. } => drop(answer_to),
            Event::Look(look) => {
                if let Some(group) = &self.group {
                    group.inspect(|machine| look(machine));
                }
            }
        }
    }

    fn replica(&mut self, part: ShardPart) {
        self.whereabouts.set_replica(Some(part.group.clone()));
        self.leadership = Some(part.group.leadership());
        self.effects = Some(part.effects);
        self.group = Some(part.group);
        self.reroute(true);
    }

    /// The node that holds the shard runs as another start, or does not run.
    fn holder(&mut self, boot: Option<BootId>) {
        let Home::Memory { node, boot: known, slot } = self.home else { return };
        if boot == Some(known) {
            return;
        }
        self.gone();
        if let Some(boot) = boot {
            self.home = Home::Memory { node, boot, slot };
            self.whereabouts.set_place(self.home.place());
            self.reroute(true);
        }
    }

    /// The shard has gone with all that it held.
    fn gone(&mut self) {
        while let Some(request) = self.inbox.requests.try_recv() {
            self.front.accept(request.fragment, request.answer_to);
        }
        self.front.give_up();
        self.performer.shard_gone();
    }

    fn host_says(&mut self, node: NodeId, item: HostItem) {
        match item {
            HostItem::Answers { round, answers, .. } => {
                let mut heard = Heard::Fine;
                for (sequence, bytes) in answers {
                    match FragmentReply::decode(bytes) {
                        Ok(reply) => {
                            heard = heard.max(self.front.answered(round, sequence, reply));
                        }
                        Err(error) => tracing::error!(%error, %node, "unreadable answer"),
                    }
                }
                self.heard(heard);
            }
            HostItem::Subscribed { round, term, consumers, open, .. } => {
                if round != self.front.round() || self.route != Route::There(node) {
                    return;
                }
                if term < self.term {
                    // It does not know yet that somebody else leads.
                    return self.retry_soon();
                }
                self.term = term;
                self.tried = 0;
                self.census(consumers, open);
            }
            HostItem::Refused { round, leader, term, .. } => {
                if round != self.front.round() || self.route != Route::There(node) {
                    return;
                }
                if let Home::Memory { .. } = self.home {
                    return self.gone();
                }
                if let Some(leader) = leader.filter(|_| term >= self.term) {
                    self.hint = Some((leader, term));
                }
                self.retry_soon();
            }
            // These go straight to the connections.
            HostItem::Notices { .. } => {}
        }
    }

    /// Compares the consumers that the shard knows with those that this node's connections have.
    fn census(&mut self, consumers: Vec<ConsumerNumber>, open: bool) {
        let unclaimed: BTreeSet<ConsumerNumber> =
            self.performer.take_census(consumers, open).into_iter().collect();
        let before = std::mem::replace(&mut self.unclaimed, unclaimed);
        for consumer in self.unclaimed.intersection(&before).copied().collect::<Vec<_>>() {
            tracing::warn!(%consumer, "a consumer that nobody has is ended");
            self.counters.orphans.add(1);
            let mut fragment = warren_queue::entry::FragmentWriter::new();
            fragment.command(&Command::Detach { consumer });
            self.front.accept(fragment.finish(), AnswerTo::Nobody);
        }
    }

    fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::Fine => {}
            Heard::Again => self.retry_soon(),
            Heard::SessionLost => {
                tracing::warn!(session = %self.front.session(), "the session was closed meanwhile");
                self.performer.session_lost();
                self.retry_soon();
            }
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        match outcome {
            Ok((_, reply)) => {
                if let Some(took) = self.leading.oldest() {
                    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                    self.counters.commit_us.count(took_us);
                    self.whereabouts.set_commit_us(took_us);
                }
                let heard = self.leading.finish(reply, &mut self.front);
                self.heard(heard);
            }
            Err(error) => {
                tracing::debug!(%error, "an entry came to no certain end");
                let elsewhere = self.elsewhere(self.route);
                self.leading.drop_all(elsewhere);
                self.front.begin_round();
                self.retry_soon();
            }
        }
    }

    fn perform(&mut self, performed: Performed<Effect>) {
        let Performed { index, term, payload, take_over, effects } = performed;
        if take_over {
            self.term = self.term.max(term);
            self.leading.reign = Some(term);
            self.whereabouts.set_reign(Some(term));
            // What lies before is not counted as this leader's time.
            self.leading.ask(Command::Tick);
            self.own_census();
            if let Home::Group(group) = self.home {
                self.performer.chore(Chore::Reconcile(group));
            }
        }
        self.performer.perform(effects, Some(term), &self.leading.guests, |wanted| {
            (wanted == index).then(|| payload.clone())
        });
        self.welcome();
    }

    /// Compares this node's consumers with those that its own replica knows.
    fn own_census(&mut self) {
        let Some(group) = &self.group else { return };
        let own = self.front.session();
        let (consumers, open) = group.inspect(|machine| census_of(machine, own));
        self.census(consumers, open);
    }

    fn roll_call(&mut self) {
        self.roll_call_at = Instant::now() + ROLL_CALL_INTERVAL;
        let (Some(term), Some(group)) = (self.reign(), &self.group) else { return };
        if self.leads() {
            let guests = &self.leading.guests;
            group.inspect(|machine| guests.roll_call(machine, term));
            self.own_census();
        }
    }

    /// Begins the subscriptions that other nodes have asked for.
    fn welcome(&mut self) {
        let (Some(term), Some(group)) = (self.reign(), &self.group) else { return };
        if !self.leads() || !self.leading.guests.has_newcomers() {
            return;
        }
        let guests = &mut self.leading.guests;
        let whereabouts = &self.whereabouts;
        group.inspect(|machine| {
            guests.welcome(machine, term, |index| whereabouts.recent_row(index));
        });
    }
}

async fn next(
    effects: &mut Option<mpsc::UnboundedReceiver<Performed<Effect>>>,
) -> Option<Performed<Effect>> {
    match effects {
        Some(effects) => effects.recv().await,
        None => std::future::pending().await,
    }
}

async fn changed(leadership: &mut Option<watch::Receiver<Leadership>>) {
    if let Some(known) = leadership
        && known.changed().await.is_ok()
    {
        return;
    }
    // There is no replica, or it is being stopped: there is nothing more to hear.
    std::future::pending().await
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
