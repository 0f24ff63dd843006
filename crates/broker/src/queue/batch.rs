//! Many requests made into one log entry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;
use warren_queue::entry::{EntryWriter, FragmentWriter};
use warren_queue::{Command, FragmentReply, MACHINE_VERSION, Reply};
use warren_types::{LogIndex, RequestSequence, SessionId, Timestamp};

use super::front::Front;
use super::guests::{GuestId, Guests};
use super::handle::Requests;

/// An entry is closed once it holds this many bytes: large enough to share a sync among many
/// requests, small enough that one entry does not hold up the log.
pub(crate) const ENTRY_BYTES: usize = 1024 * 1024;

/// What other nodes' fronts are given of an entry before this node's own comes in.
const GUEST_BYTES: usize = ENTRY_BYTES / 2;

/// The shortest time between two ticks: what is due may be late by as much.
const TICK_MIN: Duration = Duration::from_millis(5);

/// The last entry that was seen applied, and since when. What a shard says is due in counts from
/// there, however often its task has been woken since.
#[derive(Debug)]
pub(crate) struct Lull {
    applied: LogIndex,
    since: Instant,
}

impl Lull {
    /// Nothing has been seen.
    pub(crate) fn new() -> Self {
        Self { applied: LogIndex::default(), since: Instant::now() }
    }

    /// When a tick is due, if time must pass so long after the entry at `applied`.
    pub(crate) fn tick_at(&mut self, applied: LogIndex, due: Option<Duration>) -> Option<Instant> {
        if self.applied != applied {
            *self = Self { applied, since: Instant::now() };
        }
        Some(self.since + due?.max(TICK_MIN))
    }
}

/// Says whether a front's consumer, which has been waiting for some time, may come in.
pub(crate) type May<'a> = &'a mut dyn FnMut(SessionId, Instant) -> bool;

/// Who gets the answer to a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nobody: the leader has asked by itself.
    Leader,
    /// This node's front.
    Own { round: u64, sequence: RequestSequence },
    /// Another node's front.
    Guest { guest: GuestId, round: u64, sequence: RequestSequence },
}

/// An entry to propose, and those who wait for its answers, fragment by fragment.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) payload: Bytes,
    pub(crate) targets: Vec<Target>,
}

/// The leader's clock, for time stamps.
pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// An entry in the making.
#[derive(Debug)]
pub(crate) struct Gathering {
    entry: EntryWriter,
    targets: Vec<Target>,
}

impl Gathering {
    /// An empty entry.
    pub(crate) fn new() -> Self {
        Self { entry: EntryWriter::new(MACHINE_VERSION, wall_clock()), targets: Vec::new() }
    }

    /// What the leader asks by itself.
    pub(crate) fn leader(&mut self, commands: impl IntoIterator<Item = Command>) {
        let mut fragment = FragmentWriter::new();
        for command in commands {
            fragment.command(&command);
        }
        if fragment.is_empty() {
            return;
        }
        let none = RequestSequence::default();
        self.entry.push(SessionId::LEADER, none, none, &fragment.finish());
        self.targets.push(Target::Leader);
    }

    /// What waits, until the entry is full: some of other nodes', all of this node's, the rest.
    /// Without `may`, every front's consumer may come in.
    pub(crate) fn fill(
        &mut self,
        front: &mut Front,
        requests: &mut Requests,
        guests: &mut Guests,
        mut may: Option<May<'_>>,
    ) {
        self.take_guests(guests, GUEST_BYTES, &mut may);
        self.take_own(front, requests, &mut may);
        self.take_guests(guests, ENTRY_BYTES, &mut may);
    }

    fn take_guests(&mut self, guests: &mut Guests, limit: usize, may: &mut Option<May<'_>>) {
        while self.entry.len() < limit {
            let Some(waiting) = guests.next(may) else { return };
            let fragment = &waiting.fragment;
            let (sequence, heard) = (fragment.sequence, fragment.heard);
            self.entry.push(waiting.session, sequence, heard, &fragment.fragment);
            let (guest, round) = (waiting.guest, waiting.round);
            self.targets.push(Target::Guest { guest, round, sequence });
        }
    }

    fn take_own(&mut self, front: &mut Front, requests: &mut Requests, may: &mut Option<May<'_>>) {
        while self.entry.len() < ENTRY_BYTES {
            if !front.has_more() {
                let Some(request) = requests.try_recv() else { return };
                front.accept(request.fragment, request.answer_to);
            }
            if let Some(may) = may
                && front.brings_since().is_some_and(|since| !may(front.session(), since))
            {
                return;
            }
            let Some(out) = front.give_out() else { return };
            self.entry.push(front.session(), out.sequence, out.heard, &out.fragment);
            self.targets.push(Target::Own { round: front.round(), sequence: out.sequence });
        }
    }

    /// The entry, if there is anything in it.
    pub(crate) fn finish(self) -> Option<Batch> {
        let Self { entry, targets } = self;
        (!targets.is_empty()).then(|| Batch { payload: entry.finish(), targets })
    }
}

/// The answers to the fragments of an entry.
pub(crate) fn answers(reply: Reply, fragments: usize) -> Vec<FragmentReply> {
    match reply {
        Reply::Applied(replies) => replies,
        Reply::Damaged(error) => {
            // This node wrote the entry: that it cannot be read is a defect of the writer.
            tracing::error!(%error, "a shard could not read an entry of this node");
            vec![FragmentReply::UnknownSession; fragments]
        }
    }
}
