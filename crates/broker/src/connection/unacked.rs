//! What a channel was given and has not settled.
//!
//! **Invariant:** `slots` has one slot per tag from `base` to `next`; its first slot is open, or
//! there is none.

use std::collections::VecDeque;

use warren_queue::SettleRange;
use warren_types::{DeliverySequence, DeliveryTag};

/// The number of a consumer or getter within its connection.
pub(crate) type Nth = u32;

/// An unsettled delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    /// Whose it is; [`SETTLED`] marks a slot that is settled while an older one is open.
    holder: Nth,
    sequence: DeliverySequence,
}

/// No holder has this number: they count from 1.
const SETTLED: Nth = 0;

/// Marks a slot whose message is nobody's here any more; nor does any holder have this number.
const DISOWNED: Nth = Nth::MAX;

/// The tag was never given out, or has been settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownTag;

/// Deliveries of one holder to be settled together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) holder: Nth,
    pub(crate) ranges: Vec<SettleRange>,
}

/// The deliveries of one channel by tag.
#[derive(Debug)]
pub(crate) struct Unacked {
    base: u64,
    slots: VecDeque<Slot>,
    open: usize,
}

impl Default for Unacked {
    fn default() -> Self {
        Self { base: 1, slots: VecDeque::new(), open: 0 }
    }
}

impl Unacked {
    /// The next tag, for a delivery that its holder must settle.
    pub(crate) fn give(&mut self, holder: Nth, sequence: DeliverySequence) -> DeliveryTag {
        let tag = self.next_tag();
        self.slots.push_back(Slot { holder, sequence });
        self.open = self.open.saturating_add(1);
        tag
    }

    /// The next tag, for a delivery that needs no settling.
    pub(crate) fn give_settled(&mut self) -> DeliveryTag {
        let tag = self.next_tag();
        if self.slots.is_empty() {
            self.base = self.base.saturating_add(1);
        } else {
            let sequence = DeliverySequence::default();
            self.slots.push_back(Slot { holder: SETTLED, sequence });
        }
        tag
    }

    fn next_tag(&self) -> DeliveryTag {
        DeliveryTag(self.base.saturating_add(u64::try_from(self.slots.len()).unwrap_or(u64::MAX)))
    }

    /// Deliveries that are not settled.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Whether `tag` was given out and is not settled.
    pub(crate) fn is_open(&self, tag: DeliveryTag) -> bool {
        let at = tag.0.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.slots.get(at)).is_some_and(|slot| slot.holder != SETTLED)
    }

    /// The last tag that was given out.
    pub(crate) fn newest(&self) -> DeliveryTag {
        DeliveryTag(self.next_tag().0.saturating_sub(1))
    }

    /// Settles `tag`, or all up to it; with tag 0 and `multiple` all there are.
    ///
    /// What is settled is grouped by holder, oldest first.
    pub(crate) fn settle(
        &mut self,
        tag: DeliveryTag,
        multiple: bool,
    ) -> Result<Vec<Settled>, UnknownTag> {
        if multiple && tag.0 == 0 {
            return Ok(self.settle_all());
        }
        let at = tag.0.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let slot = at.and_then(|at| self.slots.get_mut(at)).filter(|slot| slot.holder != SETTLED);
        let (Some(at), Some(slot)) = (at, slot) else { return Err(UnknownTag) };
        let mut settled = Vec::new();
        if multiple {
            for slot in self.slots.drain(..=at) {
                if slot.holder != SETTLED {
                    self.open = self.open.saturating_sub(1);
                    add(&mut settled, slot);
                }
            }
            self.base = tag.0.saturating_add(1);
        } else {
            add(&mut settled, *slot);
            slot.holder = SETTLED;
            self.open = self.open.saturating_sub(1);
        }
        self.trim();
        Ok(settled)
    }

    /// An unsettled delivery, as if it were to be settled.
    pub(crate) fn one_open(&self, tag: DeliveryTag) -> Option<Settled> {
        let at = tag.0.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let slot = at.and_then(|at| self.slots.get(at)).filter(|slot| slot.holder != SETTLED)?;
        let range = SettleRange { from: slot.sequence, to: slot.sequence };
        Some(Settled { holder: slot.holder, ranges: vec![range] })
    }

    /// All unsettled deliveries, as if they were to be settled.
    pub(crate) fn all_open(&self) -> Vec<Settled> {
        let mut open = Vec::new();
        for slot in self.slots.iter().filter(|slot| slot.holder != SETTLED) {
            add(&mut open, *slot);
        }
        open
    }

    /// What `holder` was given is not its any more: settling it means nothing.
    pub(crate) fn disown(&mut self, holder: Nth) {
        for slot in self.slots.iter_mut().filter(|slot| slot.holder == holder) {
            slot.holder = DISOWNED;
        }
    }

    /// Settles everything.
    pub(crate) fn settle_all(&mut self) -> Vec<Settled> {
        let mut settled = Vec::new();
        self.base = self.next_tag().0;
        for slot in self.slots.drain(..).filter(|slot| slot.holder != SETTLED) {
            add(&mut settled, slot);
        }
        self.open = 0;
        settled
    }

    fn trim(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.holder == SETTLED) {
            self.slots.pop_front();
            self.base = self.base.saturating_add(1);
        }
    }
}

fn add(settled: &mut Vec<Settled>, slot: Slot) {
    let range = SettleRange { from: slot.sequence, to: slot.sequence };
    let Some(known) = settled.iter_mut().find(|known| known.holder == slot.holder) else {
        settled.push(Settled { holder: slot.holder, ranges: vec![range] });
        return;
    };
    match known.ranges.last_mut() {
        Some(last) if last.to.next() == slot.sequence => last.to = slot.sequence,
        _ => known.ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(count: u64) -> Unacked {
        let mut unacked = Unacked::default();
        for sequence in 1..=count {
            unacked.give(7, DeliverySequence(sequence));
        }
        unacked
    }

    fn range(from: u64, to: u64) -> SettleRange {
        SettleRange { from: DeliverySequence(from), to: DeliverySequence(to) }
    }

    #[test]
    fn settling_up_to_a_tag_makes_one_range() {
        let mut unacked = given(5);

        let settled = unacked.settle(DeliveryTag(3), true);

        assert_eq!(settled, Ok(vec![Settled { holder: 7, ranges: vec![range(1, 3)] }]));
        assert_eq!(unacked.open(), 2);
    }

    #[test]
    fn a_tag_is_settled_once_and_not_again() {
        let mut unacked = given(3);
        unacked.settle(DeliveryTag(2), false).expect("tag 2 is open");

        let again = unacked.settle(DeliveryTag(2), false);
        let multiple_again = unacked.settle(DeliveryTag(2), true);
        let rest = unacked.settle(DeliveryTag(3), true);

        assert_eq!(again, Err(UnknownTag));
        assert_eq!(multiple_again, Err(UnknownTag));
        let ranges = vec![range(1, 1), range(3, 3)];
        assert_eq!(rest, Ok(vec![Settled { holder: 7, ranges }]));
        assert_eq!(unacked.open(), 0);
    }

    #[test]
    fn tag_zero_settles_everything_with_multiple_and_nothing_without() {
        let mut unacked = given(2);

        let alone = unacked.settle(DeliveryTag(0), false);
        let all = unacked.settle(DeliveryTag(0), true);
        let none = unacked.settle(DeliveryTag(0), true);

        assert_eq!(alone, Err(UnknownTag));
        assert_eq!(all, Ok(vec![Settled { holder: 7, ranges: vec![range(1, 2)] }]));
        assert_eq!(none, Ok(vec![]));
    }

    #[test]
    fn a_tag_that_was_never_given_is_unknown() {
        let mut unacked = given(2);

        assert_eq!(unacked.settle(DeliveryTag(3), false), Err(UnknownTag));
        assert_eq!(unacked.settle(DeliveryTag(3), true), Err(UnknownTag));
        assert_eq!(unacked.open(), 2);
    }

    #[test]
    fn deliveries_that_need_no_settling_use_up_tags() {
        let mut unacked = Unacked::default();
        let first = unacked.give_settled();
        let second = unacked.give(1, DeliverySequence(1));
        let third = unacked.give_settled();
        unacked.settle(second, false).expect("tag 2 is open");

        let fourth = unacked.give(1, DeliverySequence(2));

        assert_eq!([first, second, third, fourth].map(|tag| tag.0), [1, 2, 3, 4]);
        assert_eq!(unacked.settle(third, false), Err(UnknownTag));
    }
}
