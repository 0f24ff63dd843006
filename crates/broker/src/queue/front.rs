//! What this node has asked of one shard, and in which order.
//!
//! A [`Front`] numbers fragments and keeps each until it is answered. Whenever it is in doubt
//! whether what was sent arrived, it begins another *round* and gives everything that is
//! unanswered out again, in order; the shard does nothing twice and answers again what it had done.
//!
//! **Invariant:** `pending` has consecutive numbers up to `last`; its first element is unanswered,
//! or there is none. What is given out has been heard up to the element before the first.
//!
//! **Not here:** where the leader is, and how it is reached (`shard.rs`).

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;
use warren_queue::entry::FragmentWriter;
use warren_queue::{Command, FragmentReply};
use warren_types::{RequestSequence, SessionId};

use super::doubts::Bringing;
use super::handle::AnswerTo;

/// A fragment on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) sequence: RequestSequence,
    /// All answers up to this one have come.
    pub(crate) heard: RequestSequence,
    pub(crate) fragment: Bytes,
}

/// What an answer means for those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Heard {
    /// Nothing.
    Fine,
    /// Something did not arrive: another round is needed.
    Again,
    /// The session was closed: what it held is others' again. Another round is needed.
    SessionLost,
}

#[derive(Debug)]
struct Pending {
    fragment: Bytes,
    /// `None` once it was answered.
    answer_to: Option<AnswerTo>,
    bringing: Bringing,
}

/// This node's side of one shard's conversation.
#[derive(Debug)]
pub(crate) struct Front {
    session: SessionId,
    last: RequestSequence,
    pending: VecDeque<Pending>,
    round: u64,
    /// How many of `pending` were given out in this round.
    out: usize,
    /// Bytes of those.
    out_bytes: usize,
    is_open: bool,
    /// The session must be opened before anything else is given out.
    opener_due: bool,
    /// The number of the opener that was given out in this round.
    opener: Option<RequestSequence>,
}

impl Front {
    /// A front that has not asked for anything. Its session is opened first.
    pub(crate) fn new(session: SessionId) -> Self {
        Self {
            session,
            last: RequestSequence::default(),
            pending: VecDeque::new(),
            round: 0,
            out: 0,
            out_bytes: 0,
            is_open: false,
            opener_due: true,
            opener: None,
        }
    }

    /// Whose front it is.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// Which round it is.
    pub(crate) fn round(&self) -> u64 {
        self.round
    }

    /// Takes a fragment in.
    pub(crate) fn accept(&mut self, fragment: Bytes, answer_to: AnswerTo) {
        self.last = self.last.next();
        let (answer_to, bringing) = (Some(answer_to), Bringing::Unread);
        self.pending.push_back(Pending { fragment, answer_to, bringing });
    }

    /// Whether something is to be given out.
    pub(crate) fn has_more(&self) -> bool {
        self.opener_due || self.out < self.pending.len()
    }

    /// What is to be given out; none if the session must be opened before.
    pub(crate) fn waiting(&self) -> Option<impl ExactSizeIterator<Item = &Bytes>> {
        let waiting = self.pending.range(self.out.min(self.pending.len())..);
        (!self.opener_due).then(|| waiting.map(|pending| &pending.fragment))
    }

    /// Bytes that were given out in this round and are not answered.
    pub(crate) fn out_bytes(&self) -> usize {
        self.out_bytes
    }

    /// Since when the fragment that [`Front::give_out`] comes to next waits with a consumer, if it
    /// brings one.
    pub(crate) fn brings_since(&mut self) -> Option<Instant> {
        let pending = self.pending.get_mut(self.out).filter(|_| !self.opener_due)?;
        pending.bringing.since(&pending.fragment)
    }

    /// The next fragment to be given out in this round.
    pub(crate) fn give_out(&mut self) -> Option<Outgoing> {
        let heard = self.heard();
        if self.opener_due {
            self.opener_due = false;
            self.opener = Some(heard);
            let mut fragment = FragmentWriter::new();
            fragment.command(&Command::OpenSession);
            // The session goes on behind what was heard; the first pending fragment is the next.
            return Some(Outgoing { sequence: heard, heard, fragment: fragment.finish() });
        }
        let pending = self.pending.get(self.out)?;
        self.out = self.out.saturating_add(1);
        self.out_bytes = self.out_bytes.saturating_add(pending.fragment.len());
        let behind = u64::try_from(self.out).expect("fewer than 2^64 fragments wait");
        Some(Outgoing { sequence: heard.plus(behind), heard, fragment: pending.fragment.clone() })
    }

    /// Begins another round: everything unanswered is to be given out again.
    pub(crate) fn begin_round(&mut self) {
        self.round = self.round.saturating_add(1);
        self.out = 0;
        self.out_bytes = 0;
        self.opener_due = !self.is_open;
        self.opener = None;
    }

    /// Takes the answer to the fragment `sequence` that was given out in `round`.
    pub(crate) fn answered(
        &mut self,
        round: u64,
        sequence: RequestSequence,
        reply: FragmentReply,
    ) -> Heard {
        let is_current = round == self.round;
        match reply {
            FragmentReply::Done(_) | FragmentReply::Duplicate => {
                if is_current && self.opener == Some(sequence) {
                    self.is_open = true;
                } else {
                    self.hand_over(sequence, reply);
                }
                Heard::Fine
            }
            FragmentReply::Gap { .. } if is_current => Heard::Again,
            FragmentReply::UnknownSession if is_current => {
                self.is_open = false;
                Heard::SessionLost
            }
            // Said of a round that is over.
            FragmentReply::Gap { .. } | FragmentReply::UnknownSession => Heard::Fine,
        }
    }

    fn hand_over(&mut self, sequence: RequestSequence, reply: FragmentReply) {
        let at = sequence.0.checked_sub(self.heard().0.saturating_add(1));
        let at = at.and_then(|at| usize::try_from(at).ok());
        let Some(pending) = at.and_then(|at| self.pending.get_mut(at)) else { return };
        if let Some(answer_to) = pending.answer_to.take() {
            answer_to.answer(reply);
        }
        while self.pending.front().is_some_and(|first| first.answer_to.is_none()) {
            let Some(done) = self.pending.pop_front() else { break };
            if let Some(out) = self.out.checked_sub(1) {
                self.out = out;
                self.out_bytes = self.out_bytes.saturating_sub(done.fragment.len());
            }
        }
    }

    /// Gives everything up: the shard has gone with all that it held.
    pub(crate) fn give_up(&mut self) {
        for pending in self.pending.drain(..) {
            if let Some(answer_to) = pending.answer_to {
                answer_to.answer(FragmentReply::UnknownSession);
            }
        }
        self.is_open = false;
        self.begin_round();
    }

    fn heard(&self) -> RequestSequence {
        let waiting = u64::try_from(self.pending.len()).expect("fewer than 2^64 fragments wait");
        RequestSequence(self.last.0.saturating_sub(waiting))
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use warren_types::{BootId, NodeId};

    use super::*;

    fn front() -> Front {
        let mut front = Front::new(SessionId { node: NodeId(1), boot: BootId(1) });
        assert_eq!(front.give_out().expect("the opener").sequence, RequestSequence(0));
        assert_eq!(front.answered(0, RequestSequence(0), done()), Heard::Fine);
        front
    }

    fn done() -> FragmentReply {
        FragmentReply::Done(vec![])
    }

    fn ask(front: &mut Front, text: &'static str) -> oneshot::Receiver<FragmentReply> {
        let (sender, receiver) = oneshot::channel();
        front.accept(Bytes::from_static(text.as_bytes()), AnswerTo::Caller(sender));
        receiver
    }

    fn given_out(front: &mut Front) -> Vec<(u64, u64, Bytes)> {
        std::iter::from_fn(|| front.give_out())
            .map(|out| (out.sequence.0, out.heard.0, out.fragment))
            .collect()
    }

    fn text(sequence: u64, heard: u64, text: &'static str) -> (u64, u64, Bytes) {
        (sequence, heard, Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn fragments_are_given_out_once_per_round_in_order() {
        let mut front = front();
        let _answers = [ask(&mut front, "a"), ask(&mut front, "b")];

        let first = given_out(&mut front);
        let more = given_out(&mut front);
        front.begin_round();
        let again = given_out(&mut front);

        assert_eq!(first, [text(1, 0, "a"), text(2, 0, "b")]);
        assert_eq!(more, []);
        assert_eq!(again, first);
    }

    #[test]
    fn what_was_answered_is_not_given_out_again_and_counts_as_heard() {
        let mut front = front();
        let mut answers = [ask(&mut front, "a"), ask(&mut front, "b"), ask(&mut front, "c")];
        given_out(&mut front);
        front.answered(0, RequestSequence(2), done());
        let out_of_order = front.heard();
        front.answered(0, RequestSequence(1), done());

        front.begin_round();

        assert_eq!(out_of_order, RequestSequence(0));
        assert_eq!(given_out(&mut front), [text(3, 2, "c")]);
        assert_eq!(answers[0].try_recv(), Ok(done()));
        assert_eq!(answers[1].try_recv(), Ok(done()));
        assert!(answers[2].try_recv().is_err());
    }

    #[test]
    fn an_answer_of_an_earlier_round_counts_and_its_refusals_do_not() {
        let mut front = front();
        let mut answer = ask(&mut front, "a");
        given_out(&mut front);
        front.begin_round();

        let gap = FragmentReply::Gap { next: RequestSequence(1) };
        let refusals = [
            front.answered(0, RequestSequence(1), gap),
            front.answered(0, RequestSequence(1), FragmentReply::UnknownSession),
        ];
        let late = front.answered(0, RequestSequence(1), done());

        assert_eq!(refusals, [Heard::Fine, Heard::Fine]);
        assert_eq!(late, Heard::Fine);
        assert_eq!(answer.try_recv(), Ok(done()));
        assert!(!front.has_more());
    }

    #[test]
    fn a_session_that_was_closed_is_opened_again_before_what_waits() {
        let mut front = front();
        let _answers = [ask(&mut front, "a"), ask(&mut front, "b")];
        given_out(&mut front);
        front.answered(0, RequestSequence(1), done());
        let lost = front.answered(0, RequestSequence(2), FragmentReply::UnknownSession);
        front.begin_round();

        let again = given_out(&mut front);

        assert_eq!(lost, Heard::SessionLost);
        let numbers: Vec<(u64, u64)> = again.iter().map(|(at, heard, _)| (*at, *heard)).collect();
        assert_eq!(numbers, [(1, 1), (2, 1)]);
        assert_eq!(again[1], text(2, 1, "b"));
    }

    #[test]
    fn a_round_that_is_not_answered_opens_the_session_again_until_that_is() {
        let mut front = Front::new(SessionId::default());
        let _answer = ask(&mut front, "a");
        assert_eq!(given_out(&mut front).len(), 2);
        front.begin_round();

        assert_eq!(given_out(&mut front).len(), 2);
        front.answered(1, RequestSequence(0), done());
        front.begin_round();

        assert_eq!(given_out(&mut front), [text(1, 0, "a")]);
    }

    #[test]
    fn giving_up_tells_everybody_who_waits() {
        let mut front = front();
        let mut answers = [ask(&mut front, "a"), ask(&mut front, "b")];
        given_out(&mut front);

        front.give_up();

        for answer in &mut answers {
            assert_eq!(answer.try_recv(), Ok(FragmentReply::UnknownSession));
        }
        assert_eq!(front.out_bytes(), 0);
    }
}
