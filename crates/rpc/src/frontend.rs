//! What the front of one node and the node that hosts its queues say to each other, as plain
//! values.
//!
//! These are the messages of `proto/warren/frontend/v1`. **Not here:** what fragments, answers and
//! notices say; their bytes belong to the queues.

use bytes::Bytes;
use warren_types::{BootId, ConsumerNumber, GroupId, LogIndex, NodeId, RequestSequence, Term};

/// Where queues are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The replicated queues of this group.
    Shard(GroupId),
    /// Queues in the memory of the node that is spoken to.
    Local {
        /// The start of its process that they belong to.
        boot: BootId,
        /// Which of its machines.
        slot: u16,
    },
}

/// A request, as the host hands it to the queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontFragment {
    /// Counts the requests of one session to one place.
    pub sequence: RequestSequence,
    /// The front has all answers up to and including this one.
    pub heard: RequestSequence,
    /// What is asked.
    pub fragment: Bytes,
}

/// A message to a direct reply-to address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectReply {
    /// Whose address it is, of the connections of the node that is spoken to.
    pub connection: u32,
    /// The channel that waits there.
    pub channel: u16,
    /// Tells the channel from others that had its number.
    pub nonce: u64,
    /// Where the message was published.
    pub exchange: Bytes,
    /// With which key.
    pub routing_key: Bytes,
    /// Its content header.
    pub header: Bytes,
    /// Its body.
    pub body: Bytes,
}

/// What stands in a stream, or where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// The broker's own bytes.
    pub head: Bytes,
    /// The rows that they refer to.
    pub rows: Vec<(LogIndex, Bytes)>,
}

/// What a front says to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrontItem {
    /// Begins a round: from here on the front is told what happens at the place.
    Subscribe {
        /// The place.
        place: Place,
        /// Which attempt of the front's this is; later attempts have higher numbers.
        round: u64,
        /// Notices are to bring the rows that they refer to.
        wants_rows: bool,
    },
    /// Requests, in order.
    Fragments {
        /// Whom is asked.
        place: Place,
        /// The round they belong to.
        round: u64,
        /// The requests.
        fragments: Vec<FrontFragment>,
    },
    /// A message for a connection of the host's.
    DirectReply(DirectReply),
}

/// What a host says to a front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostItem {
    /// The round has begun.
    Subscribed {
        /// The place.
        place: Place,
        /// The round.
        round: u64,
        /// The leadership that the front talks to.
        term: Term,
        /// The consumers of the front that the place knows.
        consumers: Vec<ConsumerNumber>,
        /// Whether the front's session is open: of one that is not, nothing is known.
        open: bool,
    },
    /// The round is over: the place is not led here, or not here at all.
    Refused {
        /// The place.
        place: Place,
        /// The round.
        round: u64,
        /// Who leads the place, as far as it is known.
        leader: Option<NodeId>,
        /// The term that is known of.
        term: Term,
    },
    /// Answers to requests.
    Answers {
        /// Who answers.
        place: Place,
        /// The round they belong to.
        round: u64,
        /// The answers, each with the number of its request.
        answers: Vec<(RequestSequence, Bytes)>,
    },
    /// What happened at the place unasked.
    Notices {
        /// The place.
        place: Place,
        /// What happened, in order.
        notices: Vec<Bytes>,
        /// The rows that the notices refer to, if the front wants them.
        rows: Vec<(LogIndex, Bytes)>,
    },
}
