//! A shard, for those who talk to it.
//!
//! A [`ShardHandle`] looks alike whether its shard is replicated, or lives in the memory of this
//! node or of another. A request is a fragment of commands; requests of one sender are taken in the
//! order they were sent. A request waits for as long as its shard cannot answer: whoever cannot
//! wait that long sets a deadline of its own.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use warren_queue::entry::{FragmentWriter, chunk};
use warren_queue::{Command, FragmentReply, Shard};
use warren_rpc::HostItem;
use warren_types::{BootId, Location, LogIndex, NodeId, SessionId};

use super::guests::GuestEvent;
use super::whereabouts::Whereabouts;
use crate::broker::ShardPart;
use crate::connection::{Mailbox, ToConnection};

/// The broker is stopping; what was asked may or may not have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopped;

/// A shard's place in this node's list of shards: the replicated ones, then those in its memory, then
/// those in other nodes' memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ShardSlot(pub(crate) usize);

/// Whoever waits for the answer to a fragment.
#[derive(Debug)]
pub(crate) enum AnswerTo {
    /// A connection, which knows the fragment by `token`.
    Connection { mailbox: Mailbox, token: u64 },
    /// A connection, for one of its consumers.
    Holder { mailbox: Mailbox, nth: u32 },
    /// An operation.
    Caller(oneshot::Sender<FragmentReply>),
    /// Nobody: the commands answer nothing that matters.
    Nobody,
}

impl AnswerTo {
    /// Hands the answer over; a receiver that has gone does not mind.
    pub(crate) fn answer(self, reply: FragmentReply) {
        match self {
            Self::Connection { mailbox, token } => {
                mailbox.send(ToConnection::Answered { token, reply });
            }
            Self::Holder { mailbox, nth } => {
                mailbox.send(ToConnection::AttachedAnew { nth, reply });
            }
            Self::Caller(caller) => drop(caller.send(reply)),
            Self::Nobody => {}
        }
    }
}

/// Commands to be committed together, in order.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) fragment: Bytes,
    pub(crate) answer_to: AnswerTo,
}

/// What a shard's task hears besides requests.
pub(crate) enum Event {
    /// This node has a replica of the shard.
    Replica(ShardPart),
    /// This node has no replica any more.
    NoReplica,
    /// Another node's front.
    Guest(GuestEvent),
    /// What the node that leads says to this node's front.
    FromHost { node: NodeId, item: HostItem },
    /// The stream to `node` broke: what was sent may not have arrived, and what it sent as well.
    LinkDown { node: NodeId },
    /// Something did not arrive that the shard has sent.
    Again,
    /// A start of a node is over; its session is to be closed.
    Dead(SessionId),
    /// The node that holds the shard in its memory runs as `boot`; `None`: it does not run.
    Holder(Option<BootId>),
    /// A row, wherever this node has it.
    Row { index: LogIndex, answer_to: oneshot::Sender<Option<Bytes>> },
    /// A look at the state of a shard in this node's memory.
    Look(Box<dyn FnOnce(&Shard) + Send>),
}

/// A shard's mailbox. Cheap to clone.
///
/// The mailbox itself has no bound: each connection bounds the bytes that it has waiting in all
/// shards together, and stops reading its socket beyond that. Other nodes' fronts do likewise.
#[derive(Clone, Debug)]
pub(crate) struct ShardHandle {
    requests: Lanes<mpsc::UnboundedSender<Request>>,
    events: mpsc::UnboundedSender<Event>,
    whereabouts: Arc<Whereabouts>,
}

/// The two ways into a shard's mailbox.
///
/// Settles and grants overtake everything else: they free memory and keep consumers going, and
/// behind a flood of publishes they would come too late for both. They speak of deliveries, so
/// whatever must have come before them has come.
#[derive(Clone, Debug)]
pub(crate) struct Lanes<T> {
    settles: T,
    rest: T,
}

/// The receiving end of a shard's mailbox.
pub(crate) type Requests = Lanes<mpsc::UnboundedReceiver<Request>>;

/// What a shard's task serves.
pub(crate) struct Inbox {
    pub(crate) requests: Requests,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

impl Requests {
    /// The next request; `None` once nobody can ask any more.
    pub(crate) async fn recv(&mut self) -> Option<Request> {
        tokio::select! {
            biased;
            Some(request) = self.settles.recv() => Some(request),
            request = self.rest.recv() => request,
        }
    }

    /// The next request, if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<Request> {
        self.settles.try_recv().or_else(|_| self.rest.try_recv()).ok()
    }
}

impl ShardHandle {
    /// A shard that is where `whereabouts` says, and what its task serves.
    #[expect(
        clippy::disallowed_methods,
        reason = "each connection bounds what it has waiting in all shards together"
    )]
    pub(crate) fn new(whereabouts: Arc<Whereabouts>) -> (Self, Inbox) {
        let (settles_in, settles) = mpsc::unbounded_channel();
        let (rest_in, rest) = mpsc::unbounded_channel();
        let (events_in, events) = mpsc::unbounded_channel();
        let requests = Lanes { settles: settles_in, rest: rest_in };
        let handle = Self { requests, events: events_in, whereabouts };
        (handle, Inbox { requests: Lanes { settles, rest }, events })
    }

    /// Where the shard is.
    pub(crate) fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    /// Sends a fragment off and lets `answer_to` hear of it.
    pub(crate) fn send(&self, fragment: Bytes, answer_to: AnswerTo) {
        // A shard's task ends after all connections have: what is lost then was never answered.
        drop(self.requests.rest.send(Request { fragment, answer_to }));
    }

    /// Sends a fragment of nothing but settles and grants off, past what else waits.
    pub(crate) fn send_settles(&self, fragment: Bytes, answer_to: AnswerTo) {
        drop(self.requests.settles.send(Request { fragment, answer_to }));
    }

    /// Has a fragment committed and waits for the answer.
    pub(crate) async fn ask(&self, fragment: Bytes) -> Result<FragmentReply, Stopped> {
        let (answer_to, answer) = oneshot::channel();
        self.send(fragment, AnswerTo::Caller(answer_to));
        answer.await.map_err(|_| Stopped)
    }

    /// Has one command committed that nobody waits for.
    pub(crate) fn tell(&self, command: &Command) {
        let mut fragment = FragmentWriter::new();
        fragment.command(command);
        self.send(fragment.finish(), AnswerTo::Nobody);
    }

    /// Tells the shard's task something.
    pub(crate) fn inform(&self, event: Event) {
        // As with requests: the task outlives all who could miss it.
        drop(self.events.send(event));
    }

    /// A row from memory, if it is there without asking anybody.
    pub(crate) fn recent_row(&self, index: LogIndex) -> Option<Bytes> {
        self.whereabouts.recent_row(index)
    }

    /// A row, from wherever it is; at least what stands at `offsets` of it. `None` when it is not
    /// needed any more.
    pub(crate) async fn row(&self, index: LogIndex, offsets: &[u32]) -> Option<Bytes> {
        if self.whereabouts.is_own_memory() {
            return self.row_of_memory(index).await;
        }
        self.whereabouts.row(index, offsets).await
    }

    /// A row that this node's own memory holds.
    pub(crate) async fn row_of_memory(&self, index: LogIndex) -> Option<Bytes> {
        let (answer_to, answer) = oneshot::channel();
        self.inform(Event::Row { index, answer_to });
        answer.await.ok().flatten()
    }
}

/// A message's bytes, from memory or disk, here or elsewhere.
pub(crate) async fn read_parts(
    shard: &ShardHandle,
    location: Location,
    parts: Option<&[Location]>,
) -> Option<(Bytes, Vec<Bytes>)> {
    let row = shard.row(location.index, &[location.offset]).await?;
    let mut pieces = Vec::new();
    for part in parts.unwrap_or_default() {
        let row = shard.row(part.index, &[part.offset]).await?;
        pieces.push(chunk(&row, part.offset).ok()?);
    }
    Some((row, pieces))
}
