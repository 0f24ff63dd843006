//! Many requests made into one log entry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use warren_queue::entry::EntryWriter;
use warren_queue::{FragmentReply, MACHINE_VERSION, Reply};
use warren_types::{RequestSequence, SessionId, Timestamp};

use super::handle::{AnswerTo, Request, Requests};

/// An entry is closed once it holds this many bytes: large enough to share a sync among many
/// requests, small enough that one entry does not hold up the log.
pub(crate) const ENTRY_BYTES: usize = 1024 * 1024;

/// The shortest time between two ticks: what is due may be late by as much.
pub(crate) const TICK_MIN: Duration = Duration::from_millis(5);

/// An entry to propose, and those who wait for its answers, fragment by fragment.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) payload: Bytes,
    pub(crate) answers: Vec<AnswerTo>,
}

/// The leader's clock, for time stamps.
pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Merges what waits, `first` in front, into one entry of about [`ENTRY_BYTES`].
///
/// Requests that are no fragments go to `other`.
pub(crate) fn gather(
    session: SessionId,
    sequence: &mut RequestSequence,
    first: Request,
    requests: &mut Requests,
    mut other: impl FnMut(Request),
) -> Batch {
    let mut entry = EntryWriter::new(MACHINE_VERSION, wall_clock());
    let mut answers = Vec::new();
    let mut next = Some(first);
    while let Some(request) = next {
        match request {
            Request::Fragment { fragment, answer_to } => {
                *sequence = sequence.next();
                entry.push(session, *sequence, &fragment);
                answers.push(answer_to);
            }
            request @ Request::Row { .. } => other(request),
        }
        next = if entry.len() < ENTRY_BYTES { requests.try_recv() } else { None };
    }
    Batch { payload: entry.finish(), answers }
}

/// Hands the answers to an entry to those who wait for them.
pub(crate) fn hand_out(reply: Reply, answers: Vec<AnswerTo>) {
    match reply {
        Reply::Applied(replies) => {
            for (answer_to, reply) in answers.into_iter().zip(replies) {
                answer_to.answer(reply);
            }
        }
        Reply::Damaged(error) => {
            // This node wrote the entry: that it cannot be read is a defect of the writer.
            tracing::error!(%error, "a shard could not read an entry of this node");
            for answer_to in answers {
                answer_to.answer(FragmentReply::UnknownSession);
            }
        }
    }
}
