//! Publisher confirms of one channel.
//!
//! Every publish counts up; it is confirmed when all shards it went to have answered. Confirms
//! that become due together leave as one.
//!
//! **Invariant:** `waiting` has one slot per tag from `base` to `next`, and its first slot is
//! never [`CONFIRMED`] after [`Confirms::flush`].

use std::collections::VecDeque;

use warren_types::DeliveryTag;

/// A slot whose confirm has been sent although an older one is still waited for.
const CONFIRMED: u16 = u16::MAX;

/// What is due to a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// basic.ack
    Ack { tag: DeliveryTag, multiple: bool },
    /// basic.nack
    Nack { tag: DeliveryTag },
}

/// Tags of one channel that are not confirmed.
#[derive(Debug)]
pub(crate) struct Confirms {
    base: u64,
    next: u64,
    /// For each tag, the shards that have not answered.
    waiting: VecDeque<u16>,
    /// Ranges of tags (first, count) in which something has become due since the last flush.
    touched: Vec<(u64, u32)>,
    refused: Vec<u64>,
}

impl Default for Confirms {
    fn default() -> Self {
        Self {
            base: 1,
            next: 1,
            waiting: VecDeque::new(),
            touched: Vec::new(),
            refused: Vec::new(),
        }
    }
}

impl Confirms {
    /// Publishes that are not confirmed, but for those that wait for older ones.
    pub(crate) fn open(&self) -> usize {
        self.waiting.len()
    }

    /// Counts a publish that goes to `shards` shards.
    pub(crate) fn publish(&mut self, shards: u16) -> DeliveryTag {
        let tag = self.next;
        self.next = self.next.saturating_add(1);
        self.waiting.push_back(shards.min(CONFIRMED.saturating_sub(1)));
        if shards == 0 {
            self.touch(tag, 1);
        }
        DeliveryTag(tag)
    }

    /// One shard has answered for `count` publishes from `first` on.
    pub(crate) fn answered(&mut self, first: DeliveryTag, count: u32) {
        let from = first.0.saturating_sub(self.base);
        let Ok(from) = usize::try_from(from) else { return };
        let count_slots = usize::try_from(count).unwrap_or(usize::MAX);
        for slot in self.waiting.iter_mut().skip(from).take(count_slots) {
            if *slot != CONFIRMED {
                *slot = slot.saturating_sub(1);
            }
        }
        self.touch(first.0, count);
    }

    /// A shard has refused a publish; its answer for the rest of its fragment comes besides.
    pub(crate) fn refused(&mut self, tag: DeliveryTag) {
        self.refused.push(tag.0);
    }

    fn touch(&mut self, first: u64, count: u32) {
        match self.touched.last_mut() {
            Some((from, known)) if from.saturating_add(u64::from(*known)) == first => {
                *known = known.saturating_add(count);
            }
            _ => self.touched.push((first, count)),
        }
    }

    /// What has become due, oldest first. Returns how many publishes that answers.
    pub(crate) fn flush(&mut self, due: &mut Vec<Due>) -> u64 {
        if self.touched.is_empty() {
            return 0;
        }
        let before = due.len();
        self.flush_refused(due);
        let prefix = self.flush_prefix(due);
        let alone = due.len();
        self.flush_stragglers(due);
        let refused = alone.saturating_sub(before).saturating_sub(usize::from(prefix > 0));
        let stragglers = due.len().saturating_sub(alone);
        prefix.saturating_add(u64::try_from(refused.saturating_add(stragglers)).unwrap_or(u64::MAX))
    }

    fn flush_refused(&mut self, due: &mut Vec<Due>) {
        for tag in std::mem::take(&mut self.refused) {
            let at = usize::try_from(tag.saturating_sub(self.base)).unwrap_or(usize::MAX);
            if let Some(slot) = self.waiting.get_mut(at).filter(|slot| **slot != CONFIRMED) {
                *slot = CONFIRMED;
                due.push(Due::Nack { tag: DeliveryTag(tag) });
            }
        }
    }

    fn flush_prefix(&mut self, due: &mut Vec<Due>) -> u64 {
        let (mut newest, mut count) = (None, 0_u64);
        while let Some(slot) = self.waiting.front().copied() {
            match slot {
                0 => {
                    newest = Some(DeliveryTag(self.base));
                    count = count.saturating_add(1);
                }
                CONFIRMED => {}
                _ => break,
            }
            self.waiting.pop_front();
            self.base = self.base.saturating_add(1);
        }
        if let Some(tag) = newest {
            // It may cover tags that were confirmed alone before: clients have let go of those.
            due.push(Due::Ack { tag, multiple: count > 1 });
        }
        count
    }

    fn flush_stragglers(&mut self, due: &mut Vec<Due>) {
        for (first, count) in std::mem::take(&mut self.touched) {
            let end = first.saturating_add(u64::from(count));
            for tag in first.max(self.base)..end {
                let at = usize::try_from(tag.saturating_sub(self.base)).unwrap_or(usize::MAX);
                if let Some(slot) = self.waiting.get_mut(at).filter(|slot| **slot == 0) {
                    *slot = CONFIRMED;
                    due.push(Due::Ack { tag: DeliveryTag(tag), multiple: false });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(confirms: &mut Confirms) -> Vec<Due> {
        let mut due = Vec::new();
        confirms.flush(&mut due);
        due
    }

    fn ack(tag: u64, multiple: bool) -> Due {
        Due::Ack { tag: DeliveryTag(tag), multiple }
    }

    #[test]
    fn confirms_that_become_due_together_leave_as_one() {
        let mut confirms = Confirms::default();
        for _ in 0..3 {
            confirms.publish(1);
        }

        confirms.answered(DeliveryTag(1), 3);

        assert_eq!(due(&mut confirms), [ack(3, true)]);
        assert!(confirms.waiting.is_empty());
    }

    #[test]
    fn a_publish_is_confirmed_only_when_all_of_its_shards_have_answered() {
        let mut confirms = Confirms::default();
        confirms.publish(2);
        confirms.answered(DeliveryTag(1), 1);
        let after_one = due(&mut confirms);

        confirms.answered(DeliveryTag(1), 1);

        assert_eq!(after_one, []);
        assert_eq!(due(&mut confirms), [ack(1, false)]);
    }

    #[test]
    fn a_slow_shard_does_not_hold_up_the_confirms_of_others() {
        let mut confirms = Confirms::default();
        confirms.publish(1);
        confirms.publish(1);
        confirms.publish(0);
        confirms.answered(DeliveryTag(2), 1);
        let early = due(&mut confirms);

        confirms.answered(DeliveryTag(1), 1);

        // Order between messages is not promised, only that each is confirmed once.
        assert_eq!(early, [ack(3, false), ack(2, false)]);
        assert_eq!(due(&mut confirms), [ack(1, false)]);
        assert!(confirms.waiting.is_empty());
    }

    #[test]
    fn a_refused_publish_is_nacked_and_its_neighbours_are_acked() {
        let mut confirms = Confirms::default();
        for _ in 0..3 {
            confirms.publish(1);
        }

        confirms.refused(DeliveryTag(2));
        confirms.answered(DeliveryTag(1), 3);

        let nack = Due::Nack { tag: DeliveryTag(2) };
        assert_eq!(due(&mut confirms), [nack, ack(3, true)]);
    }
}
