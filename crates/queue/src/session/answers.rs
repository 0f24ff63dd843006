//! What one boot of a node has asked, and what it was answered and may not know yet.
//!
//! A front end that is in doubt sends everything again that it was not answered. What was done is
//! not done twice; it is answered as the first time. So an answer that says something is kept until
//! the front end says that it has it. How many are kept is bounded by how many requests the front
//! end lets be unanswered.
//!
//! **Invariant:** `heard` is at most `last`; what is kept or skipped lies between the two, ascending.

use std::collections::VecDeque;

use warren_types::RequestSequence;

use crate::{CommandReply, FragmentReply};

/// The requests of one boot.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The last one that was admitted.
    last: RequestSequence,
    /// The answers up to this one are known to the front end.
    heard: RequestSequence,
    /// Answers that say something.
    kept: VecDeque<Kept>,
    /// Requests `from` to `to` that never came: the session was opened behind them.
    skipped: VecDeque<(RequestSequence, RequestSequence)>,
}

/// An answer that says something.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) sequence: RequestSequence,
    pub(crate) replies: Box<[(u32, CommandReply)]>,
}

impl Answers {
    /// Admits a request, and skips those before it that never came.
    #[inline]
    pub(crate) fn advance(&mut self, sequence: RequestSequence, heard: RequestSequence) {
        if sequence > self.last {
            let (from, to) = (self.next(), RequestSequence(sequence.0.saturating_sub(1)));
            if from <= to {
                self.skipped.push_back((from, to));
            }
            self.last = sequence;
        }
        self.hear(heard);
    }

    /// Forgets what the front end has. No answer is heard before it was given.
    #[inline]
    pub(crate) fn hear(&mut self, heard: RequestSequence) {
        let heard = heard.min(self.last);
        if heard <= self.heard {
            return;
        }
        self.heard = heard;
        while self.kept.front().is_some_and(|kept| kept.sequence <= heard) {
            self.kept.pop_front();
        }
        while self.skipped.front().is_some_and(|(_, to)| *to <= heard) {
            self.skipped.pop_front();
        }
    }

    /// Keeps the answer to the last request, unless it was said to be heard.
    pub(crate) fn keep(&mut self, sequence: RequestSequence, replies: &[(u32, CommandReply)]) {
        if sequence > self.heard {
            self.kept.push_back(Kept { sequence, replies: replies.into() });
        }
    }

    /// Puts back what a snapshot has. Returns whether it can be so.
    #[must_use]
    pub(crate) fn restore(
        last: RequestSequence,
        heard: RequestSequence,
        skipped: Vec<(RequestSequence, RequestSequence)>,
    ) -> Option<Self> {
        let answers = Self { last, heard, kept: VecDeque::new(), skipped: skipped.into() };
        answers.is_sound().then_some(answers)
    }

    /// Puts back an answer that a snapshot has. Returns whether it can be so.
    #[must_use]
    pub(crate) fn restore_kept(&mut self, kept: Kept) -> bool {
        let (sequence, behind) = (kept.sequence, self.kept.back().map(|kept| kept.sequence));
        let fits = sequence > behind.unwrap_or(self.heard)
            && sequence <= self.last
            && !self.is_skipped(sequence)
            && !kept.replies.is_empty();
        self.kept.push_back(kept);
        fits
    }

    /// Whether this request is the next one.
    #[inline]
    pub(crate) fn is_next(&self, sequence: RequestSequence) -> bool {
        self.last.0.checked_add(1) == Some(sequence.0)
    }

    /// The answer to a request that came before, or was skipped.
    pub(crate) fn earlier(&self, sequence: RequestSequence) -> Option<FragmentReply> {
        if sequence > self.last {
            return None;
        }
        if sequence <= self.heard {
            return Some(FragmentReply::Duplicate);
        }
        if self.is_skipped(sequence) {
            return Some(FragmentReply::UnknownSession);
        }
        let place = self.kept.binary_search_by_key(&sequence, |kept| kept.sequence).ok();
        let kept = place.and_then(|place| self.kept.get(place));
        Some(FragmentReply::Done(kept.map_or_else(Vec::new, |kept| kept.replies.to_vec())))
    }

    /// The number of the request that comes next.
    pub(crate) fn next(&self) -> RequestSequence {
        RequestSequence(self.last.0.saturating_add(1))
    }

    /// The last request that was admitted.
    pub(crate) fn last(&self) -> RequestSequence {
        self.last
    }

    /// Up to where the front end has the answers.
    pub(crate) fn heard(&self) -> RequestSequence {
        self.heard
    }

    /// What is kept, ascending.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.iter()
    }

    /// What was skipped, ascending.
    pub(crate) fn skipped(
        &self,
    ) -> impl ExactSizeIterator<Item = &(RequestSequence, RequestSequence)> {
        self.skipped.iter()
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let replies = self.kept.iter().map(|kept| size_of_val(&*kept.replies)).sum::<usize>();
        let missing =
            self.kept.iter().flat_map(|kept| &kept.replies).map(|(_, reply)| match reply {
                CommandReply::Missing(queues) => queues.capacity() * 8,
                CommandReply::Refused(_)
                | CommandReply::Attached
                | CommandReply::Got(_)
                | CommandReply::Empty
                | CommandReply::Created { .. }
                | CommandReply::Deleted { .. }
                | CommandReply::Purged { .. }
                | CommandReply::Status(_) => 0,
            });
        let lists = self.kept.capacity() * size_of::<Kept>() + self.skipped.capacity() * 16;
        lists + replies + missing.sum::<usize>()
    }

    /// Whether everything lies where it should.
    pub(crate) fn is_sound(&self) -> bool {
        let mut behind = self.heard;
        let are_kept_sound = self.kept.iter().all(|kept| {
            let is_behind = kept.sequence > std::mem::replace(&mut behind, kept.sequence);
            is_behind && kept.sequence <= self.last && !self.is_skipped(kept.sequence)
        });
        let mut behind = RequestSequence(0);
        let are_skipped_sound = self.skipped.iter().all(|(from, to)| {
            let is_behind = *from > std::mem::replace(&mut behind, *to);
            is_behind && from <= to && *to > self.heard && *to < self.last
        });
        self.heard <= self.last && are_kept_sound && are_skipped_sound
    }

    fn is_skipped(&self, sequence: RequestSequence) -> bool {
        self.skipped.iter().any(|(from, to)| (*from..=*to).contains(&sequence))
    }
}
