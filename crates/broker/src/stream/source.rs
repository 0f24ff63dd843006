//! Where a reader gets a stream from.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use warren_consensus::{Group, ReadError};
use warren_queue::Shard;
use warren_types::{GroupId, NodeId, QueueId};

use super::Start;
use super::page::{Found, Page, read, since};
use super::wire::{Answer, Question, follow_limit};
use crate::broker::Inner;
use crate::queue::handle::{ShardHandle, ShardSlot};

/// How long a reader waits at the end of a stream before it looks where the stream is.
const WAIT: Duration = Duration::from_secs(5);

/// How long after an entry that brought a reader nothing it does not look again: a busy shard has
/// thousands of entries a second, and a waiting reader must not cost a look at each.
const LULL: Duration = Duration::from_millis(2);

/// How long to wait before somebody else is asked.
const RETRY: Duration = Duration::from_millis(20);

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At this offset.
    At(u64),
    /// It is no stream, whatever the catalog says: it was made before all nodes knew streams.
    Queue,
    /// Nowhere: the stream was deleted.
    Gone,
}

/// A stream, from where it can be read.
pub(crate) struct Source {
    broker: Arc<Inner>,
    slot: ShardSlot,
    group: GroupId,
    queue: QueueId,
    /// Who of the others is asked, in their order.
    turn: AtomicUsize,
}

impl Source {
    /// The stream `queue`, whose shard is that of `group`, at `slot`.
    pub(crate) fn new(broker: Arc<Inner>, slot: ShardSlot, group: GroupId, queue: QueueId) -> Self {
        Self { broker, slot, group, queue, turn: AtomicUsize::new(0) }
    }

    /// The broker that the reader is a client of.
    pub(crate) fn broker(&self) -> &Inner {
        &self.broker
    }

    /// Which stream.
    pub(crate) fn queue(&self) -> QueueId {
        self.queue
    }

    /// Where a reader begins. What was published before the call has come by then, and what is
    /// published after it is behind [`Start::Next`].
    pub(crate) async fn begin(&self, start: Start) -> Begin {
        while self.is_there() {
            if let Some(group) = self.shard().whereabouts().group() {
                match begin(&group, self.queue, start).await {
                    Ok(Some(begin)) => return begin,
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "a stream's end is not known yet"),
                }
            }
            let question = Question::Begin { queue: self.queue, start };
            if let Some(Answer::Begin(begin)) = self.ask(question, RETRY).await {
                return begin;
            }
            sleep(RETRY).await;
        }
        Begin::Gone
    }

    /// What follows the offset `from`, once there is something; none when the stream is gone.
    pub(crate) async fn page(&self, from: u64) -> Option<Page> {
        while self.is_there() {
            match self.found(from).await {
                Some(Found::Page(page)) => return Some(page),
                Some(Found::Nothing) => {}
                // It is being made, or deleted, or somebody does not answer.
                Some(Found::Missing) | None => sleep(RETRY).await,
            }
        }
        None
    }

    /// What this node's replica has there, or another's; none when nobody says.
    async fn found(&self, from: u64) -> Option<Found> {
        let whereabouts = self.shard().whereabouts();
        let mut moved = whereabouts.moves();
        if let Some(group) = whereabouts.group() {
            let here = pin!(next_page(&group, self.queue, from, WAIT));
            tokio::select! {
                // A replica that knows nothing of the stream is not complete: others are.
                found = here => if found != Found::Missing { return Some(found) },
                _ = moved.changed() => return Some(Found::Nothing),
            }
        }
        let wait_ms = u64::try_from(WAIT.as_millis()).unwrap_or(u64::MAX);
        let question = Question::Page { queue: self.queue, from, wait_ms };
        let asking = pin!(self.ask(question, WAIT));
        tokio::select! {
            answer = asking => match answer? {
                Answer::Found(found) => Some(found),
                Answer::Begin(_) => None,
            },
            _ = moved.changed() => Some(Found::Nothing),
        }
    }

    /// Asks a node that has a replica. Who has nothing to say is asked last the next time: it may be
    /// cut off from those who have.
    async fn ask(&self, question: Question, wait: Duration) -> Option<Answer> {
        let (others, turn) = (self.others(), self.turn.load(Ordering::Relaxed));
        let node = *others.get(turn.checked_rem(others.len())?)?;
        let place = self.shard().whereabouts().place();
        let peers = &self.broker.peers;
        let asked = peers.follow(node, place, question.encode(), follow_limit(wait)).await;
        let answer = match asked {
            Ok(followed) => Answer::decode(followed).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if !matches!(answer, Ok(Answer::Found(Found::Page(_)) | Answer::Begin(_))) {
            self.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
        }
        answer.inspect_err(|error| tracing::debug!(%node, error, "a stream is not read there")).ok()
    }

    /// The other nodes that have a replica, the one that leads last: it has enough to do. Nodes
    /// begin with different ones.
    fn others(&self) -> Vec<NodeId> {
        let me = self.broker.session.node;
        let leader = self.shard().whereabouts().leader();
        let mut others: Vec<NodeId> = self.broker.directory.look(|catalog| {
            let replicas = catalog.shard(self.group).map(|shard| shard.replicas.clone());
            let runs = |node: &NodeId| catalog.node(*node).is_some_and(|row| row.running);
            replicas
                .unwrap_or_default()
                .into_iter()
                .filter(|node| *node != me && runs(node))
                .collect()
        });
        others.sort_by_key(|node| (Some(*node) == leader, node.0 < me.0, *node));
        others
    }

    fn shard(&self) -> &ShardHandle {
        self.broker.shard(self.slot)
    }

    /// Whether the catalog has the stream. It had it when the reader came.
    fn is_there(&self) -> bool {
        self.broker.directory.look(|catalog| catalog.queue_by_id(self.queue).is_some())
    }
}

/// Where a reader begins, by what this replica knows once it knows all that was committed before;
/// none where it does not know the stream.
pub(crate) async fn begin(
    group: &Group<Shard>,
    queue: QueueId,
    start: Start,
) -> Result<Option<Begin>, ReadError> {
    if start.needs_the_end() {
        group.read_barrier().await?;
    }
    let look = |shard: &Shard| (shard.stream(queue), shard.queue(queue).is_some());
    let offset = match (group.inspect(look), start) {
        ((None, true), _) => return Ok(Some(Begin::Queue)),
        ((None, false), _) => None,
        ((Some(_), _), Start::Since(time_ms)) => since(group, queue, time_ms).await,
        ((Some(status), _), _) => start.offset(&status),
    };
    Ok(offset.map(Begin::At))
}

/// What this replica has from the offset `from` on; where there is nothing, what it has after `wait`
/// at the latest.
pub(crate) async fn next_page(
    group: &Group<Shard>,
    queue: QueueId,
    from: u64,
    wait: Duration,
) -> Found {
    let until = Instant::now() + wait;
    let mut progress = group.progress();
    loop {
        progress.borrow_and_update();
        let found = read(group, queue, from).await;
        if found != Found::Nothing {
            return found;
        }
        let left = until.saturating_duration_since(Instant::now());
        match timeout(left, progress.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Found::Nothing,
        }
        let look = |shard: &Shard| shard.stream(queue).is_some_and(|it| it.next_offset <= from);
        if group.inspect(look) {
            sleep(LULL).await;
        }
    }
}
