//! Messages that neither wait nor are held: published and returned ones whose time has not come, what
//! is kept for clients that were lost, and dead ones on their way elsewhere. Most queues have none, and no [`Aside`].

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use warren_types::{Location, MessageNumber, QueueId, Timestamp};

use super::{Held, Reserved};
use crate::clock::NEVER;
use crate::run::Run;
use crate::{
    DeadLetterTarget, DeadLettered, DeadRange, DeadRun, DeadSequence, DeathReason, Effect,
};

/// Dead messages of one queue that are under way at a time: enough to keep the way busy, few
/// enough that a queue that dies at once drowns nobody.
const DEAD_WINDOW_MESSAGES: u64 = 32;

/// How and when messages died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) reason: DeathReason,
    /// By the leader's clock.
    pub(crate) time: Timestamp,
}

/// What a queue has put aside.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// Returned messages, in the order of their places.
    pub(crate) delayed: Later<MessageNumber>,
    /// Published messages, in the order in which they came.
    pub(crate) scheduled: Later<Location>,
    pub(crate) dead: Dead,
    /// What was held by clients that were lost and may be back.
    pub(crate) reserved: Reserved,
}

/// Messages by when their time comes; those of one time are in order.
#[derive(Debug)]
pub(crate) struct Later<K> {
    runs: BTreeMap<(Timestamp, K), Run>,
    count: u64,
    bytes: u64,
}

impl<K> Default for Later<K> {
    fn default() -> Self {
        Self { runs: BTreeMap::new(), count: 0, bytes: 0 }
    }
}

/// What messages of one time are ordered by.
pub(crate) trait Order: Ord + Copy {
    /// That of a message.
    fn of(run: &Run) -> Self;
}

impl Order for MessageNumber {
    fn of(run: &Run) -> Self {
        run.number
    }
}

impl Order for Location {
    fn of(run: &Run) -> Self {
        Self { index: run.index, offset: run.offset }
    }
}

/// Dead messages, by the sequence in which they died.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    /// The last sequence.
    pub(crate) last: u64,
    /// What has this sequence or a lower one is under way.
    pub(crate) shown: u64,
    messages: Held<Death>,
    /// How many messages are under way.
    under_way: u64,
}

impl Aside {
    /// Messages put aside.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        let later = self.delayed.runs().chain(self.scheduled.runs()).map(|(_, run)| run);
        later.chain(self.dead.runs()).chain(self.reserved.runs())
    }

    /// When the time of one comes.
    pub(crate) fn due(&self) -> Timestamp {
        let due = [self.delayed.due(), self.scheduled.due(), self.reserved.due()];
        due.into_iter().flatten().min().unwrap_or(NEVER)
    }

    /// How many messages are going to wait again, and the bytes of their bodies.
    pub(crate) fn later(&self) -> (u64, u64) {
        let Self { delayed, scheduled, reserved, dead: _ } = self;
        let count = delayed.len() + scheduled.len() + reserved.len();
        (count, delayed.bytes() + scheduled.bytes() + reserved.bytes())
    }
}

impl<K: Order> Later<K> {
    /// Puts messages aside until `due`.
    pub(crate) fn push(&mut self, due: Timestamp, run: Run) {
        for single in run.singles() {
            self.restore(due, single);
        }
    }

    /// Takes out what waits from `now` on.
    pub(crate) fn take_due(&mut self, now: Timestamp, mut visit: impl FnMut(Run)) {
        while let Some(first) = self.runs.first_entry().filter(|first| first.key().0 <= now) {
            let run = first.remove();
            self.count -= u64::from(run.count);
            self.bytes -= run.bytes();
            visit(run);
        }
    }

    /// Takes one out.
    pub(crate) fn take(&mut self, due: Timestamp, key: K) -> Option<Run> {
        self.take_if(due, key, |_| true)
    }

    /// Takes one out if it `is` the right one.
    pub(crate) fn take_if(
        &mut self,
        due: Timestamp,
        key: K,
        is: impl FnOnce(&Run) -> bool,
    ) -> Option<Run> {
        self.runs.get(&(due, key)).filter(|run| is(run))?;
        let run = self.runs.remove(&(due, key))?;
        self.count -= u64::from(run.count);
        self.bytes -= run.bytes();
        Some(run)
    }

    /// Takes all out.
    pub(crate) fn drain(&mut self, visit: impl FnMut(Run)) {
        self.take_due(Timestamp(u64::MAX), visit);
    }

    /// When the first one's time comes.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.runs.first_key_value().map(|((due, _), _)| *due)
    }

    /// Messages.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All, with their times.
    pub(crate) fn runs(&self) -> impl ExactSizeIterator<Item = (Timestamp, &Run)> {
        self.runs.iter().map(|((due, _), run)| (*due, run))
    }

    /// Those from one on, with their times.
    pub(crate) fn runs_from(
        &self,
        first: Option<(Timestamp, K)>,
    ) -> impl Iterator<Item = (Timestamp, &Run)> {
        let first = first.map_or(Bound::Unbounded, Bound::Included);
        self.runs.range((first, Bound::Unbounded)).map(|((due, _), run)| (*due, run))
    }

    /// The one that waits longest.
    pub(crate) fn last(&self) -> Option<(Timestamp, &Run)> {
        self.runs.last_key_value().map(|((due, _), run)| (*due, run))
    }

    /// Adds one run as it is.
    pub(crate) fn restore(&mut self, due: Timestamp, run: Run) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        self.runs.insert((due, K::of(&run)), run);
    }
}

impl Dead {
    /// Adds messages at the end.
    pub(crate) fn push(&mut self, run: Run, death: Death) {
        let first = self.last.saturating_add(1);
        self.last = self.last.saturating_add(u64::from(run.count));
        self.messages.push(first, run, death);
    }

    /// Takes out what has arrived.
    pub(crate) fn settle(&mut self, range: DeadRange, mut visit: impl FnMut(Run)) {
        // What was not shown cannot have arrived.
        let to = range.to.0.min(self.shown);
        let under_way = &mut self.under_way;
        self.messages.take(range.from.0, to, |_, run| {
            *under_way -= u64::from(run.count);
            visit(run);
        });
    }

    /// Takes all out.
    pub(crate) fn drain(&mut self, visit: impl FnMut(Run)) {
        self.messages.drain(visit);
        self.under_way = 0;
        self.shown = self.last;
    }

    /// Sends off what the window has room for.
    pub(crate) fn show(
        &mut self,
        queue: QueueId,
        target: &Arc<DeadLetterTarget>,
        effects: &mut Vec<Effect>,
    ) {
        let room = DEAD_WINDOW_MESSAGES.saturating_sub(self.under_way);
        if room == 0 || self.shown == self.last {
            return;
        }
        // Only what is under way can be settled, so behind it there are no gaps.
        let to = self.last.min(self.shown.saturating_add(room));
        let from = self.shown.saturating_add(1);
        self.under_way += to - self.shown;
        self.shown = to;
        self.add_letters(queue, target, from, effects);
    }

    /// Lists again what is under way.
    pub(crate) fn owed(
        &self,
        queue: QueueId,
        target: &Arc<DeadLetterTarget>,
        effects: &mut Vec<Effect>,
    ) {
        self.add_letters(queue, target, 0, effects);
    }

    /// Messages.
    pub(crate) fn len(&self) -> u64 {
        self.messages.len()
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.messages.bytes()
    }

    /// All of them.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.messages.runs()
    }

    /// Those with a sequence from `first` on, the first run possibly in part.
    pub(crate) fn runs_from(&self, first: u64) -> impl Iterator<Item = (u64, &Run)> {
        self.messages.runs_from(first)
    }

    /// All of them with their sequence, for snapshots.
    pub(crate) fn numbered(
        &self,
    ) -> impl DoubleEndedIterator<Item = (u64, &Run, Death)> + ExactSizeIterator {
        self.messages.numbered()
    }

    /// Puts back what a snapshot has.
    pub(crate) fn restore(&mut self, first: u64, run: Run, death: Death) {
        let under_way = self.shown.saturating_add(1).saturating_sub(first);
        self.under_way += under_way.min(u64::from(run.count));
        self.messages.restore(first, run, death);
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.messages.memory_bytes()
    }

    /// Whether what is under way is counted, fits the window and is owed; for checks.
    pub(crate) fn is_sound(&self) -> bool {
        let up_to = |limit: u64| {
            let counts = self.messages.numbered().map(|(first, run, _)| {
                limit.saturating_add(1).saturating_sub(first).min(u64::from(run.count))
            });
            counts.sum::<u64>()
        };
        let is_full = self.under_way == DEAD_WINDOW_MESSAGES;
        up_to(self.shown) == self.under_way
            && self.under_way <= DEAD_WINDOW_MESSAGES
            && (self.shown == self.last || (is_full && self.shown < self.last))
    }

    /// Adds what is under way from `from` on, cut where the sequence has gaps.
    fn add_letters(
        &self,
        queue: QueueId,
        target: &Arc<DeadLetterTarget>,
        from: u64,
        effects: &mut Vec<Effect>,
    ) {
        let mut letters: Vec<DeadLettered> = vec![];
        let mut next = None;
        for (first, mut run, death) in self.messages.numbered_from(from) {
            let Some(left) = self.shown.saturating_add(1).checked_sub(first) else { break };
            let run = run.take_front(left);
            if left == 0 {
                break;
            }
            let dead = dead_run(&run, death);
            match letters.last_mut().filter(|_| next == Some(first)) {
                Some(letter) => letter.runs.push(dead),
                None => letters.push(DeadLettered {
                    queue,
                    target: Arc::clone(target),
                    first: DeadSequence(first),
                    runs: vec![dead],
                }),
            }
            next = first.checked_add(u64::from(run.count));
        }
        effects.extend(letters.into_iter().map(Effect::DeadLetter));
    }
}

/// How the front end hears of dead messages.
fn dead_run(run: &Run, death: Death) -> DeadRun {
    DeadRun {
        location: Location { index: run.index, offset: run.offset },
        stride: run.stride,
        count: run.count,
        size: run.size,
        reason: death.reason,
        time: death.time,
        delivery_count: run.failed,
        acquired_count: run.acquired,
        parts: run.parts.as_ref().map(|parts| Arc::clone(&parts.locations)),
    }
}
