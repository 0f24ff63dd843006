//! Those who take from a queue, and whose turn it is.
//!
//! Consumers stand in the order of their registration. Of those that can take something, the ones
//! with the highest priority are served, one after the other in a ring; whoever cannot take is
//! passed over and keeps its place. With a single active consumer all but that one are passed over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use warren_types::{ConsumerId, DeliverySequence, LogIndex, Timestamp};

use super::Held;
use crate::Claim;
use crate::entry::AttachRef;
use crate::rare::Empty;

/// Where somebody stands: who comes first is served first.
type Place = (Reverse<i32>, u64);

/// What a consumer is to its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is given messages.
    Registered,
    /// It holds some, and is given nothing more.
    Cancelled,
    /// It holds what was taken by basic.get.
    Holder,
    /// It holds what is being moved elsewhere.
    Picker,
}

/// One consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: ConsumerId,
    /// When it came to the queue, among the others.
    pub(crate) order: u64,
    pub(crate) standing: Standing,
    pub(crate) prefetch: u32,
    pub(crate) granted: DeliverySequence,
    pub(crate) priority: i32,
    pub(crate) exclusive: bool,
    pub(crate) no_ack: bool,
    pub(crate) tag: Box<[u8]>,
    /// How long it may hold a delivery, instead of what the queue says; 0 is for ever.
    pub(crate) timeout_ms: Option<u64>,
    /// Whose it is beyond its connection.
    pub(crate) claim: Option<Box<Claim>>,
    /// Whether a lease of it has ended and its client has not shown since that it is at work.
    pub(crate) lapsed: bool,
    /// The last sequence it was given.
    pub(crate) last: DeliverySequence,
    /// What it holds, and since when.
    pub(crate) held: Held<Timestamp>,
    /// Where its `Deliver` stands among the effects of an entry.
    pub(super) effect: (LogIndex, usize),
}

impl Consumer {
    /// A consumer that is to be given messages.
    pub(crate) fn registered(id: ConsumerId, order: u64, terms: &AttachRef<'_>) -> Self {
        Self {
            id,
            order,
            standing: Standing::Registered,
            prefetch: terms.prefetch,
            granted: terms.granted,
            priority: terms.priority,
            exclusive: terms.exclusive,
            no_ack: terms.no_ack,
            tag: terms.tag.into(),
            timeout_ms: terms.timeout_ms,
            claim: terms.claim.map(Box::new),
            lapsed: false,
            last: DeliverySequence(0),
            held: Held::default(),
            effect: Default::default(),
        }
    }

    /// One that holds what it has asked for.
    pub(crate) fn holder(id: ConsumerId, order: u64, standing: Standing) -> Self {
        Self {
            id,
            order,
            standing,
            prefetch: 0,
            granted: DeliverySequence(0),
            priority: 0,
            exclusive: false,
            no_ack: false,
            tag: Box::default(),
            timeout_ms: None,
            claim: None,
            lapsed: false,
            last: DeliverySequence(0),
            held: Held::default(),
            effect: Default::default(),
        }
    }

    /// How many messages it may be given.
    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        if self.lapsed {
            return 0;
        }
        let granted = self.granted.0.saturating_sub(self.last.0);
        match self.prefetch {
            0 => granted,
            prefetch => granted.min(u64::from(prefetch).saturating_sub(self.held.len())),
        }
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> Place {
        (Reverse(self.priority), self.order)
    }
}

/// All consumers of a queue.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    members: BTreeMap<u64, Box<Consumer>>,
    /// The registered ones.
    line: BTreeSet<Place>,
    /// Those of them that are served and have capacity.
    able: BTreeSet<Place>,
    /// Whom each priority served last.
    turns: BTreeMap<Reverse<i32>, u64>,
    /// The single active consumer.
    active: Option<u64>,
}

impl Empty for Consumers {
    const EMPTY: &'static Self = &Self {
        members: BTreeMap::new(),
        line: BTreeSet::new(),
        able: BTreeSet::new(),
        turns: BTreeMap::new(),
        active: None,
    };
}

impl Consumers {
    /// Adds one.
    pub(crate) fn insert(&mut self, consumer: Consumer, single_active: bool) {
        let (order, place) = (consumer.order, consumer.place());
        if consumer.standing == Standing::Registered {
            self.line.insert(place);
        }
        self.members.insert(order, Box::new(consumer));
        self.reconsider(order, single_active);
    }

    /// Takes one away.
    pub(crate) fn remove(&mut self, order: u64) -> Option<Box<Consumer>> {
        let consumer = self.members.remove(&order)?;
        self.leave_line(consumer.place());
        Some(consumer)
    }

    /// Gives one nothing more. Returns whether it was given something until then.
    pub(crate) fn cancel(&mut self, order: u64) -> bool {
        let Some(consumer) = self.members.get_mut(&order) else { return false };
        if consumer.standing != Standing::Registered {
            return false;
        }
        consumer.standing = Standing::Cancelled;
        let place = consumer.place();
        self.leave_line(place);
        true
    }

    /// Makes the one active that should be. Called before messages are given away.
    pub(super) fn choose_active(&mut self) {
        let former = self.active;
        let next = match (former.and_then(|order| self.member(order)), self.foremost()) {
            (Some(active), Some((priority, order))) => {
                let is_outranked = priority < Reverse(active.priority);
                let yields = active.lapsed || (is_outranked && active.held.is_empty());
                if yields { Some(order) } else { former }
            }
            (Some(_), None) => former,
            (None, Some((_, order))) => Some(order),
            (None, None) => self.line.first().map(|(_, order)| *order),
        };
        self.active = next;
        for order in [former, next].into_iter().flatten() {
            self.reconsider(order, true);
        }
    }

    /// Whose turn it is, and whether there is nobody to take turns with.
    #[inline]
    pub(super) fn next_turn(&mut self) -> Option<(u64, bool)> {
        let (priority, first) = *self.able.first()?;
        let is_alone = self.able.last() == Some(&(priority, first))
            || self
                .able
                .range((priority, first.saturating_add(1))..)
                .next()
                .is_none_or(|next| next.0 != priority);
        let next = match self.turns.get(&priority) {
            Some(served) if !is_alone => {
                let behind = self.able.range((priority, served.saturating_add(1))..).next();
                behind.filter(|next| next.0 == priority).map_or(first, |next| next.1)
            }
            _ => first,
        };
        self.turns.insert(priority, next);
        Some((next, is_alone))
    }

    /// Takes note of what one can take, after anything about it has changed.
    #[inline]
    pub(crate) fn reconsider(&mut self, order: u64, single_active: bool) {
        let Some(consumer) = self.members.get(&order) else { return };
        let place = consumer.place();
        let is_served = consumer.standing == Standing::Registered
            && (!single_active || (self.active == Some(order) && !self.is_outranked(place)));
        if is_served && consumer.capacity() > 0 {
            self.able.insert(place);
        } else {
            self.able.remove(&place);
        }
    }

    /// Takes note of what one can take that holds less. Returns it when that was its end: one that was
    /// cancelled and holds nothing any more is gone.
    pub(super) fn relieved(&mut self, order: u64, single_active: bool) -> Option<ConsumerId> {
        let consumer = self.member(order)?;
        if consumer.standing == Standing::Cancelled && consumer.held.is_empty() {
            return self.remove(order).map(|consumer| consumer.id);
        }
        self.reconsider(order, single_active);
        None
    }

    /// Takes note of what everybody can take.
    pub(super) fn reconsider_all(&mut self, single_active: bool) {
        if !single_active {
            self.active = None;
        }
        let orders: Vec<u64> = self.members.keys().copied().collect();
        for order in orders {
            self.reconsider(order, single_active);
        }
    }

    /// Whether there is none, and so nothing to be remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Has nobody have lapsed. [`Consumers::reconsider_all`] must follow.
    pub(super) fn forgive(&mut self) {
        self.members.values_mut().for_each(|consumer| consumer.lapsed = false);
    }

    /// How many are given messages.
    pub(crate) fn registered(&self) -> usize {
        self.line.len()
    }

    /// Whether one has the queue for itself.
    pub(crate) fn is_exclusive(&self) -> bool {
        let first = self.line.first().and_then(|(_, order)| self.member(*order));
        first.is_some_and(|consumer| consumer.exclusive)
    }

    /// Whether this one is given messages as long as it has capacity.
    pub(crate) fn is_active(&self, consumer: &Consumer, single_active: bool) -> bool {
        consumer.standing == Standing::Registered
            && (!single_active || self.active == Some(consumer.order))
    }

    /// One of them.
    pub(crate) fn member(&self, order: u64) -> Option<&Consumer> {
        self.members.get(&order).map(|consumer| &**consumer)
    }

    /// One of them. [`Consumers::reconsider`] must follow.
    #[inline]
    pub(crate) fn member_mut(&mut self, order: u64) -> Option<&mut Consumer> {
        self.members.get_mut(&order).map(|consumer| &mut **consumer)
    }

    /// All of them by order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.members.values().map(|consumer| &**consumer)
    }

    /// Messages that consumers hold, and bytes of their bodies.
    pub(crate) fn unsettled(&self) -> (u64, u64) {
        self.iter().fold((0, 0), |(count, bytes), consumer| {
            (count + consumer.held.len(), bytes + consumer.held.bytes())
        })
    }

    /// Whose turns are remembered, for snapshots.
    pub(crate) fn turns(&self) -> impl ExactSizeIterator<Item = (i32, u64)> {
        self.turns.iter().map(|(priority, order)| (priority.0, *order))
    }

    /// The single active consumer, for snapshots.
    pub(crate) fn active(&self) -> Option<u64> {
        self.active
    }

    /// Puts back who a snapshot says is active.
    pub(crate) fn restore_active(&mut self, active: u64) {
        self.active = Some(active);
    }

    /// Puts back whom a priority served last.
    pub(crate) fn restore_turn(&mut self, priority: i32, order: u64) {
        self.turns.insert(Reverse(priority), order);
    }

    /// Whether somebody is active where somebody should be, for checks.
    pub(crate) fn is_active_sound(&self, single_active: bool) -> bool {
        let Some(active) = self.active else { return !single_active || self.line.is_empty() };
        let active = self.member(active);
        single_active && active.is_some_and(|one| one.standing == Standing::Registered)
    }

    /// Whether there are some who could take something.
    #[inline]
    pub(crate) fn is_anybody_able(&self) -> bool {
        !self.able.is_empty()
    }

    /// Whether a place is noted as able, for checks.
    pub(crate) fn is_noted_able(&self, consumer: &Consumer) -> bool {
        self.able.contains(&consumer.place())
    }

    /// Bytes of memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        let places = self.line.len() + self.able.len() + self.turns.len();
        let members: usize = self
            .iter()
            .map(|one| size_of::<Consumer>() + one.tag.len() + one.held.memory_bytes())
            .sum();
        members + places * size_of::<Place>()
    }

    /// Whether somebody with a higher priority waits for this one to finish.
    fn is_outranked(&self, place: Place) -> bool {
        self.foremost().is_some_and(|first| first.0 < place.0)
    }

    /// Who should be the single active consumer: the first that has not lapsed.
    fn foremost(&self) -> Option<Place> {
        let has_lapsed = |order: u64| self.member(order).is_some_and(|one| one.lapsed);
        self.line.iter().find(|(_, order)| !has_lapsed(*order)).copied()
    }

    fn leave_line(&mut self, place: Place) {
        self.line.remove(&place);
        self.able.remove(&place);
        if self.active == Some(place.1) {
            self.active = None;
        }
        let of_its_priority = (place.0, 0)..=(place.0, u64::MAX);
        if self.line.range(of_its_priority).next().is_none() {
            self.turns.remove(&place.0);
        }
    }
}
