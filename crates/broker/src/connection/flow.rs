//! What a connection has under way in the shards.

use warren_queue::{CommandReply, FragmentReply, Refusal};
use warren_types::ChannelNumber;

use super::channel::Mode;
use super::staging::{Followed, Span};
use super::state::Connection;
use crate::queue::handle::AnswerTo;

/// A fragment that its shard has not answered.
#[derive(Debug)]
pub(crate) struct InFlight {
    bytes: usize,
    spans: Vec<Span>,
    commits: Vec<(ChannelNumber, u64)>,
    traced: Vec<Followed>,
}

impl Drop for InFlight {
    /// What is traced and still here was not answered.
    fn drop(&mut self) {
        for followed in &mut self.traced {
            followed.span.fail("the connection ended before the answer came");
        }
    }
}

impl Connection {
    /// Sends what is staged to the shards.
    pub(crate) fn send_staged(&mut self) {
        if self.staging.is_empty() {
            return;
        }
        for staged in self.staging.take() {
            let bytes = staged.fragment.len();
            let (spans, commits, traced) = (staged.spans, staged.commits, staged.traced);
            let token = self.in_flight.insert(InFlight { bytes, spans, commits, traced });
            self.in_flight_bytes = self.in_flight_bytes.saturating_add(bytes);
            let token = u64::try_from(token).expect("a slab has fewer than 2^64 places");
            let answer_to = AnswerTo::Connection { mailbox: self.mailbox.clone(), token };
            let shard = self.broker.shard(staged.slot);
            if staged.settles_only {
                shard.send_settles(staged.fragment, answer_to);
            } else {
                shard.send(staged.fragment, answer_to);
            }
        }
    }

    /// A shard has answered a fragment: its publishes are confirmed, its commits done.
    pub(crate) fn answered(&mut self, token: u64, reply: FragmentReply) {
        let Some(mut in_flight) =
            usize::try_from(token).ok().and_then(|token| self.in_flight.try_remove(token))
        else {
            return;
        };
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(in_flight.bytes);
        let replies = match reply {
            FragmentReply::Done(replies) => replies,
            // The node that held the queues in its memory has gone: what was published to them has
            // been taken and has gone with them.
            FragmentReply::Duplicate
            | FragmentReply::UnknownSession
            | FragmentReply::Gap { .. } => Vec::new(),
        };
        for span in &in_flight.spans {
            self.confirm_span(span, &replies);
        }
        for followed in std::mem::take(&mut in_flight.traced) {
            followed.end(&replies);
        }
        for (channel, generation) in std::mem::take(&mut in_flight.commits) {
            self.commit_answered(channel, generation);
        }
    }

    /// Has the channel's confirms looked at when the turn ends.
    pub(crate) fn note_confirms(&mut self, channel: ChannelNumber) {
        if self.confirming.last() != Some(&channel) {
            self.confirming.push(channel);
        }
    }

    fn confirm_span(&mut self, span: &Span, replies: &[(u32, CommandReply)]) {
        let Some(channel) = self.channels.get_mut(&span.channel) else { return };
        if channel.generation != span.generation {
            return;
        }
        let Mode::Confirm(confirms) = &mut channel.mode else { return };
        for (ordinal, reply) in replies {
            let at = ordinal.checked_sub(span.first_ordinal).filter(|at| *at < span.count);
            if let Some(at) = at.filter(|_| is_refused(reply)) {
                confirms.refused(span.first_tag.plus(u64::from(at)));
            }
        }
        confirms.answered(span.first_tag, span.count);
        self.note_confirms(span.channel);
    }
}

impl Followed {
    /// Ends the span with what its shard has answered.
    fn end(mut self, replies: &[(u32, CommandReply)]) {
        let is_refusal = |(ordinal, reply): &(u32, CommandReply)| {
            self.ordinal == Some(*ordinal) && is_refused(reply)
        };
        if replies.iter().any(is_refusal) {
            self.span.fail("refused");
        }
    }
}

/// Whether a publish was not taken. Where its queue was deleted meanwhile, another of that name may
/// have been declared by way of another node: whoever publishes it again finds that one, or none.
pub(super) fn is_refused(reply: &CommandReply) -> bool {
    match reply {
        CommandReply::Refused(refusal) => match refusal {
            Refusal::SessionClosed => false,
            Refusal::UnknownQueue
            | Refusal::QueueDeleted
            | Refusal::ExclusiveConsumer
            | Refusal::SingleActiveConsumer
            | Refusal::IsStream
            | Refusal::OtherKind
            | Refusal::InUse
            | Refusal::NotEmpty
            | Refusal::ConsumerExists
            | Refusal::QueueFull
            | Refusal::NotHeld
            | Refusal::UnknownUpload => true,
        },
        CommandReply::Missing(_) => true,
        CommandReply::Attached
        | CommandReply::Got(_)
        | CommandReply::Empty
        | CommandReply::Created { .. }
        | CommandReply::Deleted { .. }
        | CommandReply::Purged { .. }
        | CommandReply::Status(_) => false,
    }
}
