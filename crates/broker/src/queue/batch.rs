//! Many requests made into one log entry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;
use warren_queue::entry::{EntryWriter, FragmentWriter};
use warren_queue::{Command, FragmentReply, PACED_SINCE, Reply};
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

/// What has passed between a leader's entries, by a clock that does not jump as the time of day may.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Where what was told begins; none before this node's first entry.
    begin: Option<Instant>,
    /// What was told since then, in milliseconds.
    told_ms: u64,
}

impl Pace {
    /// Milliseconds that an entry proposed at this moment is behind the one before, which somebody
    /// else proposed `idle` ago if this is the first.
    pub(crate) fn passed_ms(&mut self, idle: impl FnOnce() -> Duration) -> u16 {
        let now = Instant::now();
        let begin = *self.begin.get_or_insert_with(|| now.checked_sub(idle()).unwrap_or(now));
        let whole = u64::try_from(now.saturating_duration_since(begin).as_millis());
        let passed = whole.unwrap_or(u64::MAX).saturating_sub(self.told_ms);
        u16::try_from(passed).unwrap_or(u16::MAX)
    }

    /// Such an entry was proposed.
    pub(crate) fn tell(&mut self, passed_ms: u16) {
        self.told_ms = self.told_ms.saturating_add(u64::from(passed_ms));
        if passed_ms == u16::MAX {
            // More had passed, which nobody will hear of.
            *self = Self { begin: Some(Instant::now()), told_ms: 0 };
        }
    }
}

/// An entry in the making.
#[derive(Debug)]
pub(crate) struct Gathering {
    entry: EntryWriter,
    targets: Vec<Target>,
}

impl Gathering {
    /// An empty entry of a version of the machine, so long after the one before.
    pub(crate) fn new(version: u16, passed_ms: u16) -> Self {
        let entry = if version >= PACED_SINCE {
            EntryWriter::paced(version, wall_clock(), passed_ms)
        } else {
            EntryWriter::new(version, wall_clock())
        };
        Self { entry, targets: Vec::new() }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody_else() -> Duration {
        unreachable!("only the first entry follows somebody else's")
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_passed_is_told_once_and_to_the_millisecond() {
        let mut pace = Pace::default();
        let mut told = Vec::new();

        for (idle_ms, passes_us) in [(70, 2_500), (0, 1_400), (0, 200)] {
            let passed_ms = if told.is_empty() {
                pace.passed_ms(|| Duration::from_millis(idle_ms))
            } else {
                pace.passed_ms(nobody_else)
            };
            pace.tell(passed_ms);
            told.push(passed_ms);
            tokio::time::advance(Duration::from_micros(passes_us)).await;
        }

        // 2.5, 3.9 and 4.1 milliseconds after the first, which was 70 behind somebody else's.
        assert_eq!(told, [70, 2, 1]);
        assert_eq!(pace.passed_ms(nobody_else), 1);
        assert_eq!(pace.passed_ms(nobody_else), 1, "nothing was proposed");
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_can_be_told_is_not_told_later() {
        let mut pace = Pace::default();
        assert_eq!(pace.passed_ms(Duration::default), 0);
        tokio::time::advance(Duration::from_secs(100)).await;

        let most = pace.passed_ms(nobody_else);
        pace.tell(most);

        assert_eq!((most, pace.passed_ms(nobody_else)), (u16::MAX, 0));
    }
}
