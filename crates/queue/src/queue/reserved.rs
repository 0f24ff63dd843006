//! What clients held whose connections broke, kept for them until they are back.
//!
//! A consumer with a [`Claim`] that is lost leaves what it held under its client's key. Whoever comes to
//! the queue with that key is given it before anything else, and before anybody else is; when the
//! grace is over it goes back to its place as after any other loss. **Always holds:** while a
//! consumer of the client is registered, its time does not pass, and nothing is kept that such a
//! one could take.
//!
//! A queue with a single active consumer keeps nothing for anybody: it would give out what comes
//! behind before it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use warren_types::{ConsumerId, LogIndex, MessageNumber, Timestamp};

use super::{Aside, Consumer, Moment, Queue, Standing};
use crate::clock::NEVER;
use crate::run::Run;
use crate::{Claim, ClaimKey, Effect};

/// The order in which a client is given again what it held: that of the queue.
type Place = (Reverse<i16>, MessageNumber);

/// Messages of one client.
#[derive(Debug)]
struct Kept {
    /// When others are given them; [`NEVER`] while the client is here.
    until: Timestamp,
    runs: BTreeMap<Place, Run>,
}

/// Messages that are kept for those who held them, by client.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    /// None of them is empty.
    clients: BTreeMap<ClaimKey, Kept>,
    /// The clients that are waited for.
    due: BTreeSet<(Timestamp, ClaimKey)>,
    count: u64,
    bytes: u64,
}

impl Reserved {
    /// Keeps messages for a client, each for itself. The caller says until when.
    fn keep(&mut self, key: ClaimKey, run: Run) {
        self.count += u64::from(run.count);
        self.bytes += run.bytes();
        let kept = self.clients.entry(key);
        let kept = kept.or_insert_with(|| Kept { until: NEVER, runs: BTreeMap::new() });
        kept.runs.extend(run.singles().map(|single| (place(&single), single)));
    }

    /// Has the others wait for a client until then.
    fn wait_until(&mut self, key: ClaimKey, until: Timestamp) {
        let Some(kept) = self.clients.get_mut(&key) else { return };
        self.due.remove(&(kept.until, key));
        kept.until = until;
        if until != NEVER {
            self.due.insert((until, key));
        }
    }

    /// Takes out the first message of a client.
    fn take(&mut self, key: ClaimKey) -> Option<Run> {
        let kept = self.clients.get_mut(&key)?;
        let (_, run) = kept.runs.pop_first()?;
        self.count -= u64::from(run.count);
        self.bytes -= run.bytes();
        if kept.runs.is_empty() {
            self.due.remove(&(kept.until, key));
            self.clients.remove(&key);
        }
        Some(run)
    }

    /// The client that has been waited for long enough.
    fn overdue(&self, now: Timestamp) -> Option<ClaimKey> {
        self.due.first().filter(|(until, _)| *until <= now).map(|(_, key)| *key)
    }

    /// When the next client has been waited for long enough.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Whether a client is here for which something is kept.
    #[inline]
    fn is_claimed(&self) -> bool {
        self.clients.len() > self.due.len()
    }

    /// Whether something is kept for a client.
    pub(crate) fn has(&self, key: ClaimKey) -> bool {
        self.clients.contains_key(&key)
    }

    /// Takes all out.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(Run)) {
        for kept in std::mem::take(&mut self.clients).into_values() {
            kept.runs.into_values().for_each(&mut visit);
        }
        *self = Self::default();
    }

    /// Messages.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All of them.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.clients.values().flat_map(|kept| kept.runs.values())
    }

    /// All of them with whose they are and until when, for snapshots; none is for ever.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (ClaimKey, Option<Timestamp>, &Run)> {
        self.clients.iter().flat_map(|(key, kept)| {
            let until = Some(kept.until).filter(|until| *until != NEVER);
            kept.runs.values().map(move |run| (*key, until, run))
        })
    }

    /// Puts back what a snapshot has, as it was. False if it is out of order.
    pub(crate) fn restore(&mut self, key: ClaimKey, until: Option<Timestamp>, run: Run) -> bool {
        let until = until.unwrap_or(NEVER);
        let is_ordered = match self.clients.last_key_value() {
            None => true,
            Some((last, _)) if *last < key => true,
            Some((last, kept)) => {
                let before = kept.runs.last_key_value().map(|(place, _)| *place);
                *last == key && kept.until == until && before < Some(place(&run))
            }
        };
        if is_ordered {
            self.keep(key, run);
            self.wait_until(key, until);
        }
        is_ordered
    }
}

impl Queue {
    /// Ends a consumer whose client's connection broke. Returns whether the queue has lost its last
    /// consumer by that.
    pub(crate) fn lose(&mut self, order: u64, moment: &mut Moment<'_>) -> bool {
        let claim = self.consumers.member(order).and_then(|consumer| consumer.claim.as_deref());
        let is_kept = |claim: &Claim| claim.grace_ms > 0 && !self.settings.single_active_consumer;
        let claim = claim.copied().filter(is_kept);
        let Some(claim) = claim else { return self.detach(order, moment) };
        let consumer = self.consumers.member_mut(order).expect("it has just been looked at");
        let held = consumer.held.len();
        if held > 0 {
            let reserved = &mut self.aside.get_or_insert_default().reserved;
            consumer.held.drain(|run| reserved.keep(claim.key, run));
            self.present.unsettled -= held;
        }
        let is_unused = self.end_consumer(order, true, moment);
        self.await_client(claim, moment);
        is_unused
    }

    /// The consumers of a client that are of other connections than this one's.
    pub(crate) fn rivals(&self, id: ConsumerId, claim: Claim) -> Vec<(u64, ConsumerId)> {
        let is_rival = |one: &&Consumer| {
            one.claim.as_ref().is_some_and(|other| {
                let is_same = (one.id.session, other.connection) == (id.session, claim.connection);
                other.key == claim.key && !is_same
            })
        };
        self.consumers.iter().filter(is_rival).map(|one| (one.order, one.id)).collect()
    }

    /// A client is here: its time does not pass.
    pub(crate) fn greet(&mut self, key: ClaimKey) {
        if let Some(aside) = &mut self.aside {
            aside.reserved.wait_until(key, NEVER);
        }
    }

    /// Who a consumer's client is.
    pub(super) fn client_of(&self, order: u64) -> Option<ClaimKey> {
        self.consumers.member(order)?.claim.as_ref().map(|claim| claim.key)
    }

    /// A consumer of a client has left in order: what is kept for the client goes back, unless
    /// another one of its consumers is here.
    pub(super) fn part(&mut self, client: Option<ClaimKey>, moment: &mut Moment<'_>) {
        let has_some = |key: &ClaimKey| {
            self.aside.as_ref().is_some_and(|aside| aside.reserved.has(*key)) && !self.is_here(*key)
        };
        if let Some(key) = client.filter(has_some) {
            self.give_up(key, moment);
        }
    }

    /// Has what is kept for clients go back whose time is over.
    pub(crate) fn end_reservations(&mut self, moment: &mut Moment<'_>) {
        let now = moment.clock.now;
        let next = |queue: &Self| queue.aside.as_ref()?.reserved.overdue(now);
        while let Some(key) = next(self) {
            self.give_up(key, moment);
        }
    }

    /// Gives clients that are here what is kept for them, as far as they can take it.
    #[inline]
    pub(super) fn deliver_reserved(
        &mut self,
        index: LogIndex,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if self.aside.as_ref().is_some_and(|aside| aside.reserved.is_claimed()) {
            self.deliver_to_clients(index, now, effects);
        }
    }

    /// Whether what is kept is waited for, or belongs to somebody who is here and cannot take it; for
    /// checks.
    pub(crate) fn is_reserved_sound(&self) -> bool {
        let Some(Aside { reserved, .. }) = self.aside.as_deref() else { return true };
        let here: BTreeSet<ClaimKey> = self.claimants().map(|(key, _)| key).collect();
        let is_sound = |(key, kept): (&ClaimKey, &Kept)| {
            let waits = reserved.due.contains(&(kept.until, *key));
            !kept.runs.is_empty() && waits == (kept.until != NEVER) && waits != here.contains(key)
        };
        let count: usize = reserved.clients.values().map(|kept| kept.runs.len()).sum();
        let mut able = self.claimants().filter(|(_, one)| one.capacity() > 0);
        let waiting = reserved.clients.values().filter(|kept| kept.until != NEVER).count();
        reserved.clients.iter().all(is_sound)
            && waiting == reserved.due.len()
            && u64::try_from(count) == Ok(reserved.count)
            && able.all(|(key, _)| !reserved.has(key))
    }

    #[cold]
    fn deliver_to_clients(&mut self, index: LogIndex, now: Timestamp, effects: &mut Vec<Effect>) {
        let claimants: Vec<_> = self.claimants().map(|(key, one)| (key, one.order)).collect();
        for (key, order) in claimants {
            let Some(aside) = &mut self.aside else { return };
            let Some(consumer) = self.consumers.member_mut(order) else { continue };
            let lease_end = consumer.lease_end(&self.settings, now);
            let tally = self.tally.get_or_insert_default();
            while consumer.capacity() > 0
                && let Some(mut run) = aside.reserved.take(key)
            {
                // Given out once more; that it was lost is not held against it.
                run.acquired = run.acquired.saturating_add(1);
                tally.give(&run, consumer.no_ack);
                self.present.unsettled += u64::from(run.count);
                consumer.give(self.id, run, (index, now), effects);
                self.lease_due = self.lease_due.min(lease_end);
            }
            self.consumers.reconsider(order, self.settings.single_active_consumer);
        }
    }

    /// Has the others wait for a client that was lost, unless another one of its consumers is here.
    fn await_client(&mut self, claim: Claim, moment: &Moment<'_>) {
        let until = moment.clock.now.plus_ms(claim.grace_ms).min(Timestamp(NEVER.0 - 1));
        let until = if self.is_here(claim.key) { NEVER } else { until };
        if let Some(aside) = &mut self.aside {
            aside.reserved.wait_until(claim.key, until);
        }
    }

    /// Has what is kept for a client go back, as a failed delivery.
    fn give_up(&mut self, key: ClaimKey, moment: &mut Moment<'_>) {
        let Some(aside) = &mut self.aside else { return };
        let mut runs = vec![];
        while let Some(run) = aside.reserved.take(key) {
            runs.push(run);
        }
        let (_, mut fate) = self.fate(moment);
        runs.into_iter().for_each(|run| fate.come_back(run, true));
    }

    fn is_here(&self, key: ClaimKey) -> bool {
        self.claimants().any(|(of, _)| of == key)
    }

    /// The registered consumers of clients that have a key.
    fn claimants(&self) -> impl Iterator<Item = (ClaimKey, &Consumer)> {
        let registered = self.consumers.iter().filter(|one| one.standing == Standing::Registered);
        registered.filter_map(|one| Some((one.claim.as_ref()?.key, one)))
    }
}

fn place(run: &Run) -> Place {
    (Reverse(run.level), run.number)
}
