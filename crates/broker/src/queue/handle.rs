//! A shard, for those who talk to it.
//!
//! A [`ShardHandle`] looks alike whether its shard is replicated or lives in this node's memory.
//! A request is a fragment of commands; requests of one sender are taken in the order they were
//! sent. A request waits for as long as its shard cannot answer: whoever cannot wait that long
//! sets a deadline of its own.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use warren_consensus::Rows;
use warren_queue::entry::{FragmentWriter, chunk};
use warren_queue::{Command, FragmentReply};
use warren_types::{Location, LogIndex};

use crate::connection::{Mailbox, ToConnection};

/// The broker is stopping; what was asked may or may not have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub(crate) struct Stopped;

/// A shard's place in this node's list of shards: the replicated ones, then those in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ShardSlot(pub(crate) usize);

/// Whoever waits for the answer to a fragment.
#[derive(Debug)]
pub(crate) enum AnswerTo {
    /// A connection, which knows the fragment by `token`.
    Connection { mailbox: Mailbox, token: u64 },
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
            Self::Caller(caller) => drop(caller.send(reply)),
            Self::Nobody => {}
        }
    }
}

/// What is asked of a shard's task.
#[derive(Debug)]
pub(crate) enum Request {
    /// Commands to be committed together, in order.
    Fragment { fragment: Bytes, answer_to: AnswerTo },
    /// A row that an in-memory shard holds.
    Row { index: LogIndex, answer_to: oneshot::Sender<Option<Bytes>> },
}

impl Request {
    /// One command that nobody waits for.
    pub(crate) fn unheard(command: &Command) -> Self {
        let mut fragment = FragmentWriter::new();
        fragment.command(command);
        Self::Fragment { fragment: fragment.finish(), answer_to: AnswerTo::Nobody }
    }
}

/// Where rows are read from.
#[derive(Clone, Debug)]
enum RowSource {
    /// Storage, by way of the group.
    Replicated(Rows),
    /// The task that owns the shard.
    Local,
}

/// A shard's mailbox. Cheap to clone.
///
/// The mailbox itself has no bound: each connection bounds the bytes that it has waiting in all
/// shards together, and stops reading its socket beyond that.
#[derive(Clone, Debug)]
pub(crate) struct ShardHandle {
    requests: Lanes<mpsc::UnboundedSender<Request>>,
    rows: RowSource,
}

/// The two ways into a shard's mailbox.
///
/// Settles and grants overtake everything else: they free memory and keep consumers going, and
/// behind a flood of publishes they would come too late for both. They speak of deliveries, so
/// whatever must have come before them has come.
#[derive(Clone, Debug)]
pub(crate) struct Lanes<T> {
    pub(crate) settles: T,
    pub(crate) rest: T,
}

/// The receiving end of a shard's mailbox.
pub(crate) type Requests = Lanes<mpsc::UnboundedReceiver<Request>>;

/// A shard's mailbox.
#[expect(
    clippy::disallowed_methods,
    reason = "each connection bounds what it has waiting in all shards together"
)]
pub(crate) fn mailbox() -> (Lanes<mpsc::UnboundedSender<Request>>, Requests) {
    let (settles_in, settles) = mpsc::unbounded_channel();
    let (rest_in, rest) = mpsc::unbounded_channel();
    (Lanes { settles: settles_in, rest: rest_in }, Lanes { settles, rest })
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
    /// A handle to a replicated shard whose rows are read through `rows`.
    pub(crate) fn replicated(requests: Lanes<mpsc::UnboundedSender<Request>>, rows: Rows) -> Self {
        Self { requests, rows: RowSource::Replicated(rows) }
    }

    /// A handle to a shard in this node's memory.
    pub(crate) fn local(requests: Lanes<mpsc::UnboundedSender<Request>>) -> Self {
        Self { requests, rows: RowSource::Local }
    }

    /// Sends a fragment off and lets `answer_to` hear of it.
    pub(crate) fn send(&self, fragment: Bytes, answer_to: AnswerTo) {
        // A shard's task ends after all connections have: what is lost then was never answered.
        drop(self.requests.rest.send(Request::Fragment { fragment, answer_to }));
    }

    /// Sends a fragment of nothing but settles and grants off, past what else waits.
    pub(crate) fn send_settles(&self, fragment: Bytes, answer_to: AnswerTo) {
        drop(self.requests.settles.send(Request::Fragment { fragment, answer_to }));
    }

    /// Has a fragment committed and waits for the answer.
    pub(crate) async fn ask(&self, fragment: Bytes) -> Result<FragmentReply, Stopped> {
        let (answer_to, answer) = oneshot::channel();
        self.send(fragment, AnswerTo::Caller(answer_to));
        answer.await.map_err(|_| Stopped)
    }

    /// Has one command committed that nobody waits for.
    pub(crate) fn tell(&self, command: &Command) {
        drop(self.requests.rest.send(Request::unheard(command)));
    }

    /// A row from memory, if it is there without asking anybody.
    pub(crate) fn recent_row(&self, index: LogIndex) -> Option<Bytes> {
        match &self.rows {
            RowSource::Replicated(rows) => rows.recent(index),
            RowSource::Local => None,
        }
    }

    /// A row, from wherever it is. `None` when it is not needed any more.
    pub(crate) async fn row(&self, index: LogIndex) -> Option<Bytes> {
        match &self.rows {
            RowSource::Replicated(rows) => rows.read(index).await.ok().flatten(),
            RowSource::Local => {
                let (answer_to, answer) = oneshot::channel();
                self.requests.settles.send(Request::Row { index, answer_to }).ok()?;
                answer.await.ok().flatten()
            }
        }
    }
}

/// A message's bytes, from memory or disk.
pub(crate) async fn read_parts(
    shard: &ShardHandle,
    location: Location,
    parts: Option<&[Location]>,
) -> Option<(Bytes, Vec<Bytes>)> {
    let row = shard.row(location.index).await?;
    let mut pieces = Vec::new();
    for part in parts.unwrap_or_default() {
        let row = shard.row(part.index).await?;
        pieces.push(chunk(&row, part.offset).ok()?);
    }
    Some((row, pieces))
}
