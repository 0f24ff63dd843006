//! What a node does for a shard while it leads it.
//!
//! Fragments of all fronts that wait together become one entry; several entries are under way at
//! once. When one comes to no certain end, all that are under way are dropped, and every
//! front sends again what it has no answer to.
//!
//! **Invariant:** the futures in `under_way` belong to `batches`, in the same order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{FuturesOrdered, StreamExt};
use tokio::time::Instant;
use warren_consensus::{Group, ProposeError, Submitted};
use warren_queue::{Command, FragmentReply, Reply, Shard};
use warren_rpc::Place;
use warren_types::{LogIndex, RequestSequence, SessionId, Term};

use super::batch::{Gathering, May, Pace, Target, answers};
use super::doubts::Doubts;
use super::front::{Front, Heard};
use super::guests::{Elsewhere, GuestId, Guests};
use super::handle::Requests;
use super::link::Links;
use crate::directory::Directory;

/// Entries of one shard that are under way at once: enough to keep the disk and the network
/// busy, few enough that requests gather into large entries while they wait.
const ENTRIES_UNDER_WAY: usize = 4;

/// How long what need not be done at once waits for company. A leader that dies meanwhile has not
/// done it, as one that dies a moment sooner.
const PATIENCE: Duration = Duration::from_millis(5);

/// The most fragments that wait for company; more of them are company.
const PATIENT_FRAGMENTS: usize = 16;

/// The outcome of an entry.
pub(crate) type Outcome = Result<(LogIndex, Reply), ProposeError>;

/// The leader's side of one shard.
pub(crate) struct Leading {
    pub(crate) guests: Guests,
    /// Who waits for what, and since when.
    batches: VecDeque<(Instant, Vec<Target>)>,
    under_way: FuturesOrdered<Submitted<Reply>>,
    /// What the leader asks by itself.
    chores: Vec<Command>,
    doubts: Doubts,
    pace: Pace,
    /// Until when what waits can do so.
    pub(crate) patient_until: Option<Instant>,
    /// The last leadership of this node whose effects have begun to come. It may be over.
    pub(crate) reign: Option<Term>,
}

impl Leading {
    /// Nothing is under way.
    pub(crate) fn new(place: Place) -> Self {
        Self {
            guests: Guests::new(place),
            batches: VecDeque::new(),
            under_way: FuturesOrdered::new(),
            chores: Vec::new(),
            doubts: Doubts::default(),
            pace: Pace::default(),
            patient_until: None,
            reign: None,
        }
    }

    /// Whether one more entry may be under way.
    pub(crate) fn has_room(&self) -> bool {
        self.batches.len() < ENTRIES_UNDER_WAY
    }

    /// Whether an entry is under way.
    pub(crate) fn is_proposing(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether there is something to wait for.
    pub(crate) fn is_busy(&self) -> bool {
        !self.under_way.is_empty() || self.doubts.is_looking()
    }

    /// Has the leader itself ask for something with the next entry.
    pub(crate) fn ask(&mut self, command: Command) {
        if !self.chores.contains(&command) {
            self.chores.push(command);
        }
    }

    /// Proposes what waits, as far as there is room. Before `reign`, the leadership that lasts, has had
    /// its first effects, this replica does not know yet who holds what.
    pub(crate) fn pump(
        &mut self,
        group: &Group<Shard>,
        front: &mut Front,
        requests: &mut Requests,
        (reign, links): (Option<Term>, &Links),
        directory: &Directory,
    ) {
        let own = front.session();
        if !self.has_work(front) {
            // Whoever waited has gone.
            self.patient_until = None;
        }
        while self.has_room() && self.has_work(front) {
            if self.waits(group, front, requests) {
                return;
            }
            let holders = group.inspect(Shard::sessions_with_consumers);
            // Where nobody else holds anything, fragments are not looked into.
            let asks = reign.is_none() || holders.iter().any(|holder| *holder != own);
            let doubts = &mut self.doubts;
            let mut may = |who: SessionId, since: Instant| {
                let lives = |session| {
                    let links = links.clone();
                    async move { links.lives(session).await }.boxed()
                };
                reign.is_some() && doubts.are_settled(since, &holders, [own, who], lives)
            };
            let may: May<'_> = &mut may;
            let passed_ms = self.pace.passed_ms(|| group.since_appended());
            let mut gathering = Gathering::new(directory.agreed(), passed_ms);
            gathering.leader(self.chores.drain(..));
            gathering.fill(front, requests, &mut self.guests, asks.then_some(may));
            let Some(batch) = gathering.finish() else { return };
            self.pace.tell(passed_ms);
            self.under_way.push_back(group.submit(batch.payload));
            self.batches.push_back((Instant::now(), batch.targets));
        }
    }

    fn has_work(&self, front: &Front) -> bool {
        front.has_more() || self.guests.is_waiting() || !self.chores.is_empty()
    }

    /// Whether all that is there waits for company.
    fn waits(&mut self, group: &Group<Shard>, front: &mut Front, requests: &mut Requests) -> bool {
        let now = Instant::now();
        let can_wait = self.patient_until.is_none_or(|until| now < until)
            && self.chores.is_empty()
            && self.can_all_wait(group, front, requests);
        self.patient_until = can_wait.then(|| self.patient_until.unwrap_or_else(|| now + PATIENCE));
        can_wait
    }

    fn can_all_wait(
        &self,
        group: &Group<Shard>,
        front: &mut Front,
        requests: &mut Requests,
    ) -> bool {
        let others = self.guests.waiting().len();
        if others > PATIENT_FRAGMENTS {
            return false;
        }
        // What comes with others is looked at with them.
        while front.waiting().is_some_and(|own| own.len() <= PATIENT_FRAGMENTS)
            && let Some(request) = requests.try_recv()
        {
            front.accept(request.fragment, request.answer_to);
        }
        let Some(own) = front.waiting().filter(|own| own.len() <= PATIENT_FRAGMENTS) else {
            return false;
        };
        let session = front.session();
        group.inspect(|shard| {
            let mut all = self.guests.waiting().chain(own.map(|fragment| (session, fragment)));
            all.all(|(who, fragment)| shard.can_wait(who, fragment))
        })
    }

    /// The outcome of the first entry under way; `None` after another node was looked at. To be polled
    /// only while [`Leading::is_busy`].
    pub(crate) async fn outcome(&mut self) -> Option<Outcome> {
        let (under_way, doubts) = (&mut self.under_way, &mut self.doubts);
        tokio::select! {
            biased;
            Some(outcome) = under_way.next(), if !under_way.is_empty() => Some(outcome),
            () = doubts.looked(), if doubts.is_looking() => None,
            else => std::future::pending().await,
        }
    }

    /// How long the first entry has been under way.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        self.batches.front().map(|(since, _)| since.elapsed())
    }

    /// Hands out the answers to the first entry under way.
    pub(crate) fn finish(&mut self, reply: Reply, front: &mut Front) -> Heard {
        let (_, targets) = self.batches.pop_front().unwrap_or_else(|| (Instant::now(), Vec::new()));
        hand_out(targets, reply, front, &self.guests)
    }

    /// Leads no more, or cannot say what became of what is under way: all fronts are to send
    /// again.
    pub(crate) fn drop_all(&mut self, elsewhere: Elsewhere) {
        self.patient_until = None;
        self.batches.clear();
        self.under_way = FuturesOrdered::new();
        self.guests.refuse_all(elsewhere);
    }

    /// Leads no more.
    pub(crate) fn abdicate(&mut self, elsewhere: Elsewhere) {
        self.pace = Pace::default();
        self.drop_all(elsewhere);
        self.chores.clear();
        self.doubts = Doubts::default();
        self.reign = None;
    }
}

/// Hands the answers to an entry to those who wait for them.
pub(crate) fn hand_out(
    targets: Vec<Target>,
    reply: Reply,
    front: &mut Front,
    guests: &Guests,
) -> Heard {
    let mut heard = Heard::Fine;
    let mut abroad: BTreeMap<(GuestId, u64), Vec<(RequestSequence, FragmentReply)>> =
        BTreeMap::new();
    let replies = answers(reply, targets.len());
    for (target, reply) in targets.into_iter().zip(replies) {
        match target {
            Target::Leader => {}
            Target::Own { round, sequence } => {
                heard = heard.max(front.answered(round, sequence, reply));
            }
            Target::Guest { guest, round, sequence } => {
                abroad.entry((guest, round)).or_default().push((sequence, reply));
            }
        }
    }
    for ((guest, round), replies) in abroad {
        guests.answer(guest, round, replies);
    }
    heard
}
