//! What a node does for a shard while it leads it.
//!
//! Fragments of all fronts that wait together become one entry; several entries are under way at
//! once. When one comes to no certain end, all that are under way are dropped, and every
//! front sends again what it has no answer to.
//!
//! **Invariant:** the futures in `under_way` belong to `batches`, in the same order.

use std::collections::{BTreeMap, VecDeque};

use futures::stream::{FuturesOrdered, StreamExt};
use warren_consensus::{Group, ProposeError, Submitted};
use warren_queue::{Command, FragmentReply, Reply, Shard};
use warren_rpc::Place;
use warren_types::{LogIndex, RequestSequence, Term};

use super::batch::{Gathering, Target, answers};
use super::front::{Front, Heard};
use super::guests::{Elsewhere, GuestId, Guests};
use super::handle::Requests;

/// Entries of one shard that are under way at once: enough to keep the disk and the network
/// busy, few enough that requests gather into large entries while they wait.
const ENTRIES_UNDER_WAY: usize = 4;

/// The outcome of an entry.
pub(crate) type Outcome = Result<(LogIndex, Reply), ProposeError>;

/// The leader's side of one shard.
#[derive(Debug)]
pub(crate) struct Leading {
    pub(crate) guests: Guests,
    batches: VecDeque<Vec<Target>>,
    under_way: FuturesOrdered<Submitted<Reply>>,
    /// What the leader asks by itself.
    chores: Vec<Command>,
    /// The leadership whose effects have begun to come.
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
            reign: None,
        }
    }

    /// Whether one more entry may be under way.
    pub(crate) fn has_room(&self) -> bool {
        self.batches.len() < ENTRIES_UNDER_WAY
    }

    /// Whether an entry is under way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Has the leader itself ask for something with the next entry.
    pub(crate) fn ask(&mut self, command: Command) {
        if !self.chores.contains(&command) {
            self.chores.push(command);
        }
    }

    /// Proposes what waits, as far as there is room.
    pub(crate) fn pump(
        &mut self,
        group: &Group<Shard>,
        front: &mut Front,
        requests: &mut Requests,
    ) {
        while self.has_room()
            && (front.has_more() || self.guests.is_waiting() || !self.chores.is_empty())
        {
            let mut gathering = Gathering::new();
            gathering.leader(self.chores.drain(..));
            gathering.fill(front, requests, &mut self.guests);
            let Some(batch) = gathering.finish() else { return };
            self.under_way.push_back(group.submit(batch.payload));
            self.batches.push_back(batch.targets);
        }
    }

    /// The outcome of the first entry under way. To be polled only while there is one.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        match self.under_way.next().await {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    /// Hands out the answers to the first entry under way.
    pub(crate) fn finish(&mut self, reply: Reply, front: &mut Front) -> Heard {
        let targets = self.batches.pop_front().unwrap_or_default();
        hand_out(targets, reply, front, &self.guests)
    }

    /// Leads no more, or cannot say what became of what is under way: all fronts are to send
    /// again.
    pub(crate) fn drop_all(&mut self, elsewhere: Elsewhere) {
        self.batches.clear();
        self.under_way = FuturesOrdered::new();
        self.guests.refuse_all(elsewhere);
    }

    /// Leads no more.
    pub(crate) fn abdicate(&mut self, elsewhere: Elsewhere) {
        self.drop_all(elsewhere);
        self.chores.clear();
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
