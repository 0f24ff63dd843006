//! The other nodes' fronts, as the node that leads a shard sees them.
//!
//! A guest is one front-end stream of another node. It is given deliveries from its subscription
//! on, which begins with all that its session is owed: nothing that was sent before on a stream
//! that broke is missing.
//!
//! **Invariant:** of a round that was refused nothing is taken any more, so that a guest's fragments
//! never overtake one that was left behind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;
use warren_queue::wire::Notice;
use warren_queue::{Delivered, FragmentReply, Shard};
use warren_rpc::{FrontFragment, HostItem, Place};
use warren_types::{ConsumerNumber, LogIndex, NodeId, RequestSequence, SessionId, Term};

use super::batch::May;
use super::doubts::Bringing;

/// Bytes of rows that may wait for one guest. Beyond it, it is told where they stand and asks when
/// it needs them.
const ROWS_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// One front-end stream of another node, counted on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GuestId(pub(crate) u64);

/// What leaves on a guest's stream.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    items: mpsc::UnboundedSender<HostItem>,
    row_bytes: Arc<AtomicUsize>,
}

impl Outbox {
    /// An outbox, and what leaves it.
    #[expect(
        clippy::disallowed_methods,
        reason = "answers are bounded by what is asked, deliveries by grants, rows by the counter"
    )]
    pub(crate) fn new() -> (Self, OutboxItems) {
        let (sender, items) = mpsc::unbounded_channel();
        let row_bytes = Arc::new(AtomicUsize::new(0));
        let outgoing = OutboxItems { items, row_bytes: row_bytes.clone() };
        (Self { items: sender, row_bytes }, outgoing)
    }

    /// Sends; a guest that has gone does not mind.
    pub(crate) fn send(&self, item: HostItem) {
        self.row_bytes.fetch_add(row_bytes(&item), Ordering::Relaxed);
        drop(self.items.send(item));
    }

    fn has_room_for_rows(&self) -> bool {
        self.row_bytes.load(Ordering::Relaxed) < ROWS_WAITING_BYTES
    }
}

/// The other end of an [`Outbox`].
#[derive(Debug)]
pub(crate) struct OutboxItems {
    items: mpsc::UnboundedReceiver<HostItem>,
    row_bytes: Arc<AtomicUsize>,
}

impl OutboxItems {
    /// The next item; `None` once nobody can send.
    pub(crate) async fn recv(&mut self) -> Option<HostItem> {
        let item = self.items.recv().await?;
        self.row_bytes.fetch_sub(row_bytes(&item), Ordering::Relaxed);
        Some(item)
    }

    /// The next item, if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<HostItem> {
        let item = self.items.try_recv().ok()?;
        self.row_bytes.fetch_sub(row_bytes(&item), Ordering::Relaxed);
        Some(item)
    }
}

fn row_bytes(item: &HostItem) -> usize {
    match item {
        HostItem::Notices { rows, .. } => rows.iter().map(|(_, row)| row.len()).sum(),
        HostItem::Subscribed { .. } | HostItem::Refused { .. } | HostItem::Answers { .. } => 0,
    }
}

/// What a guest does.
#[derive(Debug)]
pub(crate) enum GuestEvent {
    /// Its front wants to talk to the shard from here on.
    Subscribe { guest: GuestId, session: SessionId, outbox: Outbox, round: u64, wants_rows: bool },
    /// Its front asks for something.
    Fragments { guest: GuestId, round: u64, fragments: Vec<FrontFragment> },
    /// Its stream has ended.
    Gone { guest: GuestId },
}

/// A fragment of a guest that waits for an entry.
#[derive(Debug)]
pub(crate) struct GuestFragment {
    pub(crate) guest: GuestId,
    pub(crate) session: SessionId,
    pub(crate) round: u64,
    pub(crate) fragment: FrontFragment,
    bringing: Bringing,
}

#[derive(Debug)]
struct Guest {
    session: SessionId,
    outbox: Outbox,
    round: u64,
    /// The last round that was refused.
    refused: Option<u64>,
    wants_rows: bool,
    /// Whether it has been given what it is owed, and so what comes after.
    subscribed: bool,
}

/// All guests of one shard, and what they ask.
#[derive(Debug)]
pub(crate) struct Guests {
    place: Place,
    guests: BTreeMap<GuestId, Guest>,
    waiting: VecDeque<GuestFragment>,
}

/// Where the shard is led instead, as far as is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Elsewhere {
    pub(crate) leader: Option<NodeId>,
    pub(crate) term: Term,
}

impl Guests {
    /// Nobody yet.
    pub(crate) fn new(place: Place) -> Self {
        Self { place, guests: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// Takes note of what a guest does. With `elsewhere`, whatever it asks is refused.
    pub(crate) fn take(&mut self, event: GuestEvent, elsewhere: Option<Elsewhere>) {
        match event {
            GuestEvent::Subscribe { guest, session, outbox, round, wants_rows } => {
                // A node has one stream at a time; a former one may not have been seen to end.
                self.guests.retain(|id, known| known.session.node != session.node || *id >= guest);
                let (refused, subscribed) = (None, false);
                let known = Guest { session, outbox, round, refused, wants_rows, subscribed };
                self.guests.insert(guest, known);
                if let Some(elsewhere) = elsewhere {
                    self.refuse(guest, round, elsewhere);
                }
            }
            GuestEvent::Fragments { guest, round, fragments } => {
                let Some(known) = self.guests.get(&guest) else { return };
                if known.refused.is_some_and(|refused| round <= refused) {
                    return;
                }
                if let Some(elsewhere) = elsewhere {
                    return self.refuse(guest, round, elsewhere);
                }
                let session = known.session;
                let waiting = fragments.into_iter().map(|fragment| GuestFragment {
                    guest,
                    session,
                    round,
                    fragment,
                    bringing: Bringing::Unread,
                });
                self.waiting.extend(waiting);
            }
            GuestEvent::Gone { guest } => {
                self.guests.remove(&guest);
                self.waiting.retain(|waiting| waiting.guest != guest);
            }
        }
    }

    fn refuse(&mut self, guest: GuestId, round: u64, elsewhere: Elsewhere) {
        let Some(known) = self.guests.get_mut(&guest) else { return };
        known.refused = known.refused.max(Some(round));
        known.subscribed = false;
        let Elsewhere { leader, term } = elsewhere;
        known.outbox.send(HostItem::Refused { place: self.place, round, leader, term });
    }

    /// Sends everybody away.
    pub(crate) fn refuse_all(&mut self, elsewhere: Elsewhere) {
        self.waiting.clear();
        let rounds: Vec<(GuestId, u64)> =
            self.guests.iter().map(|(id, guest)| (*id, guest.round)).collect();
        for (guest, round) in rounds {
            self.refuse(guest, round, elsewhere);
        }
    }

    /// The next fragment that waits for an entry. A guest whose consumer may not come in yet waits
    /// with all that is behind it.
    pub(crate) fn next(&mut self, may: &mut Option<May<'_>>) -> Option<GuestFragment> {
        let Some(may) = may else { return self.waiting.pop_front() };
        let mut held = BTreeSet::new();
        let at = self.waiting.iter_mut().position(|waiting| {
            if held.contains(&waiting.guest) {
                return false;
            }
            let since = waiting.bringing.since(&waiting.fragment.fragment);
            let goes = since.is_none_or(|since| may(waiting.session, since));
            if !goes {
                held.insert(waiting.guest);
            }
            goes
        })?;
        self.waiting.remove(at)
    }

    /// What waits for an entry, and for whom.
    pub(crate) fn waiting(&self) -> impl ExactSizeIterator<Item = (SessionId, &Bytes)> {
        self.waiting.iter().map(|waiting| (waiting.session, &waiting.fragment.fragment))
    }

    /// Whether a fragment waits for an entry.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins the subscriptions that were asked for: `machine` is the state up to which the effects
    /// were carried out, or a later one. `row` gives rows that are at hand.
    pub(crate) fn welcome(
        &mut self,
        machine: &Shard,
        term: Term,
        row: impl Fn(LogIndex) -> Option<Bytes>,
    ) {
        let newcomers = self.guests.values_mut().filter(|guest| {
            !guest.subscribed && guest.refused.is_none_or(|refused| refused < guest.round)
        });
        for guest in newcomers {
            guest.subscribed = true;
            let (consumers, open) = census_of(machine, guest.session);
            let (place, round) = (self.place, guest.round);
            guest.outbox.send(HostItem::Subscribed { place, round, term, consumers, open });
            let owed = machine.owed(guest.session).into_iter().filter_map(|effect| match effect {
                warren_queue::Effect::Deliver(delivered) => Some(delivered),
                warren_queue::Effect::Cancelled { .. }
                | warren_queue::Effect::QueueEnded { .. }
                | warren_queue::Effect::DeadLetter(_) => None,
            });
            for delivered in owed {
                guest.notify(place, &[Notice::Delivered(delivered)], &row);
            }
        }
    }

    /// Tells everybody which of their consumers the shard knows.
    pub(crate) fn roll_call(&self, machine: &Shard, term: Term) {
        for guest in self.guests.values().filter(|guest| guest.subscribed) {
            let (consumers, open) = census_of(machine, guest.session);
            let (place, round) = (self.place, guest.round);
            guest.outbox.send(HostItem::Subscribed { place, round, term, consumers, open });
        }
    }

    /// Whether somebody waits for [`Guests::welcome`].
    pub(crate) fn has_newcomers(&self) -> bool {
        self.guests.values().any(|guest| {
            !guest.subscribed && guest.refused.is_none_or(|refused| refused < guest.round)
        })
    }

    /// Tells the guest that speaks for `session` something, if it is subscribed.
    pub(crate) fn notify(
        &self,
        session: SessionId,
        notices: &[Notice],
        row: impl Fn(LogIndex) -> Option<Bytes>,
    ) {
        let guest = self.guests.values().find(|guest| guest.session == session && guest.subscribed);
        if let Some(guest) = guest {
            guest.notify(self.place, notices, &row);
        }
    }

    /// Hands answers over; a guest that has gone does not mind.
    pub(crate) fn answer(
        &self,
        guest: GuestId,
        round: u64,
        answers: Vec<(RequestSequence, FragmentReply)>,
    ) {
        let Some(guest) = self.guests.get(&guest) else { return };
        let answers = answers.into_iter().map(|(at, reply)| (at, reply.encode())).collect();
        guest.outbox.send(HostItem::Answers { place: self.place, round, answers });
    }
}

impl Guest {
    fn notify(&self, place: Place, notices: &[Notice], row: &impl Fn(LogIndex) -> Option<Bytes>) {
        let rows = if self.wants_rows && self.outbox.has_room_for_rows() {
            rows_of(notices, row)
        } else {
            Vec::new()
        };
        let notices = notices.iter().map(Notice::encode).collect();
        self.outbox.send(HostItem::Notices { place, notices, rows });
    }
}

/// The rows behind deliveries, as far as they are at hand, reduced to what is delivered.
fn rows_of(notices: &[Notice], row: &impl Fn(LogIndex) -> Option<Bytes>) -> Vec<(LogIndex, Bytes)> {
    let mut wanted: BTreeMap<LogIndex, Vec<u32>> = BTreeMap::new();
    for notice in notices {
        match notice {
            Notice::Delivered(delivered) => want(&mut wanted, delivered),
            Notice::Cancelled { .. } => {}
        }
    }
    let thinned = wanted.into_iter().filter_map(|(index, mut offsets)| {
        let row = row(index)?;
        offsets.sort_unstable();
        offsets.dedup();
        Some((index, warren_queue::entry::thin(&row, &offsets)))
    });
    thinned.collect()
}

fn want(wanted: &mut BTreeMap<LogIndex, Vec<u32>>, delivered: &Delivered) {
    for run in &delivered.runs {
        let offsets = wanted.entry(run.location.index).or_default();
        offsets.extend(
            (0..run.count)
                .map(|at| run.location.offset.saturating_add(run.stride.saturating_mul(at))),
        );
        for part in run.parts.iter().flat_map(|parts| parts.iter()) {
            wanted.entry(part.index).or_default().push(part.offset);
        }
    }
}

/// The consumers of a session that a shard knows, and whether it is open.
pub(crate) fn census_of(machine: &Shard, session: SessionId) -> (Vec<ConsumerNumber>, bool) {
    (machine.session_consumers(session), machine.has_session(session))
}

/// What a shard knows of a session.
#[derive(Debug)]
pub(crate) struct Census {
    pub(crate) consumers: BTreeSet<ConsumerNumber>,
    /// Of a session that is not open, nothing is known.
    pub(crate) open: bool,
}
