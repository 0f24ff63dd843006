//! What operators see: connections, channels, consumers, queues, shards and nodes.
//!
//! Every node tells about its own clients and about the queues that it leads. Whoever is asked for
//! a list asks all nodes at once and gives them a deadline; the answer has what came, and names the
//! nodes that did not answer.
//!
//! **Always holds:** a list is there within [`ASK_LIMIT`] and a bit, whatever the other nodes do;
//! nothing is collected that nobody has asked for.
//!
//! **Not here:** changing things ([`crate::admin`]), how it is shown (`management`).

mod explain;
mod local;
mod messages;
pub(crate) mod question;
mod rates;
mod readers;
mod rows;
pub(crate) mod samples;
mod scheduled;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use warren_catalog::{Placement, Queue, QueueKind};
use warren_rpc::Refusal;
use warren_types::{NodeId, QueueId};

pub use self::explain::{Explanation, Fact, Finding, Severity, Verdict};
pub use self::messages::{
    Bookmark, FoundMessages, MessageFilter, MessageId, MessageQuery, MessageRow, MessageState,
};
pub(crate) use self::question::Whose;
use self::question::{Question, read_answer};
use self::rates::ChurnPace;
pub(crate) use self::rates::{MessagePace, Pace, QueuePaces};
pub use self::readers::{ReaderFigures, StreamReach};
pub(crate) use self::rows::growth;
pub use self::rows::{
    ChannelRow, ChurnCounts, ChurnNumbers, ChurnRates, ConnectionRow, ConsumerRow, ExchangeFigures,
    Gathered, HolderRow, Listener, Machine, MessageCounts, MessageNumbers, MessageRates,
    NodeFigures, NodeRow, NodeSample, NodeSamples, QueueDetail, QueueFigures, QueueSample,
    ScheduledRow, ShardRow, TlsRow,
};
use self::samples::Samples;
use self::wire::Wire;
use crate::broker::{Broker, Inner};

/// How long another node may take to answer.
const ASK_LIMIT: Duration = Duration::from_millis(1500);

/// Which queues are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// These.
    These(Vec<QueueId>),
}

/// Says how a machine is.
type Gauge = Box<dyn Fn() -> Machine + Send + Sync>;

/// What a node remembers for those who look at it.
pub(crate) struct Sight {
    begun: Instant,
    gauge: OnceLock<Gauge>,
    pace: Mutex<MessagePace>,
    churn_pace: Mutex<ChurnPace>,
    queue_paces: QueuePaces,
    reader_paces: QueuePaces,
    samples: Samples,
}

impl Default for Sight {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            gauge: OnceLock::new(),
            pace: Mutex::default(),
            churn_pace: Mutex::default(),
            queue_paces: QueuePaces::default(),
            reader_paces: QueuePaces::default(),
            samples: Samples::default(),
        }
    }
}

impl Sight {
    fn rates(&self, counts: MessageCounts) -> MessageRates {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.of(Instant::now(), counts)
    }

    fn churn_rates(&self, churn: ChurnCounts) -> ChurnRates {
        let mut pace = self.churn_pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.look(Instant::now(), churn, ChurnCounts::rates_since)
    }

    fn machine(&self) -> Machine {
        self.gauge.get().map(|gauge| gauge()).unwrap_or_default()
    }
}

/// Answers another node's question.
pub(crate) async fn reply(broker: &Inner, question: Bytes) -> Result<Bytes, Refusal> {
    let senseless =
        |error: warren_types::DecodeError| Refusal::Senseless { text: error.to_string() };
    let question = Question::decode(question).map_err(senseless)?;
    Ok(local::reply(broker, question).await)
}

/// A node of the cluster, as far as the catalog knows it.
struct Known {
    id: NodeId,
    name: String,
    running: bool,
}

impl Broker {
    /// From here on, `gauge` says how this node's machine is. What is said first stands.
    pub fn set_machine(&self, gauge: impl Fn() -> Machine + Send + Sync + 'static) {
        drop(self.inner().sight.gauge.set(Box::new(gauge)));
    }

    /// The nodes of the cluster.
    pub async fn nodes(&self) -> Gathered<NodeRow> {
        let (answers, stale) = self.ask::<NodeFigures>(&Question::Node).await;
        let mut figures: BTreeMap<NodeId, NodeFigures> = answers.into_iter().collect();
        let rows = self.look(|catalog| {
            let rows = catalog.nodes().map(|row| NodeRow {
                node: row.id,
                name: row.name.to_string(),
                address: row.address.to_string(),
                zone: row.zone.to_string(),
                boot: row.boot,
                running: row.running,
                draining: row.draining,
                figures: figures.remove(&row.id),
            });
            rows.collect()
        });
        Gathered { rows, stale }
    }

    /// Connections of clients.
    pub async fn connections(&self) -> Gathered<ConnectionRow> {
        self.gather(&Question::Connections).await
    }

    /// Their channels.
    pub async fn channels(&self) -> Gathered<ChannelRow> {
        self.gather(&Question::Channels).await
    }

    /// Their consumers.
    pub async fn consumers(&self) -> Gathered<ConsumerRow> {
        let (asked, actives) = (Question::Consumers, Question::Actives);
        let (consumers, actives) =
            tokio::join!(self.gather::<ConsumerRow>(&asked), self.gather(&actives));
        let Gathered { mut rows, stale } = consumers;
        let actives: BTreeMap<QueueId, (NodeId, u64)> = actives.rows.into_iter().collect();
        for row in &mut rows {
            let active = actives.get(&row.queue);
            row.active = active.is_none_or(|active| *active == (row.node, row.consumer));
        }
        Gathered { rows, stale }
    }

    /// Figures of queues. Of one that has no leader, or none that answers, there are none.
    pub async fn queue_figures(&self, which: Which) -> Gathered<QueueFigures> {
        let (wanted, may_be_read) = match which {
            Which::All => (None, true),
            Which::These(queues) => {
                let is_read = queues.iter().any(|queue| self.is_stream(*queue));
                (Some(queues), is_read)
            }
        };
        let asked = Question::Queues(wanted);
        let (mut figures, readers) =
            tokio::join!(self.gather(&asked), self.stream_readers(may_be_read));
        readers::add(figures.rows.iter_mut(), readers);
        figures
    }

    /// How far a stream reaches; none where it is no stream, or nobody says that it leads it.
    pub async fn stream_reach(&self, stream: QueueId) -> Option<StreamReach> {
        if !self.is_stream(stream) {
            return None;
        }
        self.gather(&Question::Stream(stream)).await.rows.pop()
    }

    fn is_stream(&self, queue: QueueId) -> bool {
        let is_stream = |row: &Arc<Queue>| row.kind == QueueKind::Stream;
        self.look(|catalog| catalog.queue_by_id(queue).is_some_and(is_stream))
    }

    /// Who reads streams, if anybody may.
    async fn stream_readers(&self, may_be_read: bool) -> Vec<ReaderFigures> {
        if !may_be_read {
            return Vec::new();
        }
        self.gather(&Question::Readers).await.rows
    }

    /// What the nodes keep of their past, since a time in milliseconds since 1970.
    pub async fn node_samples(&self, since_ms: u64) -> Gathered<NodeSamples> {
        self.gather(&Question::NodeSamples(since_ms)).await
    }

    /// What is kept of a queue's past, the oldest first. Samples are taken from the first time on
    /// that somebody asks for them, for as long as somebody does.
    pub async fn queue_samples(&self, queue: QueueId, since_ms: u64) -> Gathered<QueueSample> {
        self.gather(&Question::QueueSamples(queue, since_ms)).await
    }

    /// Exchanges that were published to: a row of each node where that happened.
    pub async fn exchange_figures(&self) -> Gathered<ExchangeFigures> {
        self.gather(&Question::Exchanges).await
    }

    /// A queue in full: one row, or none when nobody who answers leads it.
    pub async fn queue_detail(&self, queue: QueueId) -> Gathered<QueueDetail> {
        let (asked, is_stream) = (Question::Queue(queue), self.is_stream(queue));
        let (mut detail, readers) =
            tokio::join!(self.gather::<QueueDetail>(&asked), self.stream_readers(is_stream));
        readers::add(detail.rows.iter_mut().map(|row| &mut row.figures), readers);
        detail
    }

    /// The replicated groups that have a leader who answers. The catalog is group 0.
    pub async fn shards(&self) -> Gathered<ShardRow> {
        self.gather(&Question::Shards).await
    }

    /// The nodes that should hold a queue, and whether each runs.
    #[must_use]
    pub fn members(&self, queue: &Queue) -> Vec<(String, bool)> {
        self.look(|catalog| {
            let nodes = match &queue.placement {
                Placement::Shard(group) => {
                    catalog.shard(*group).map(|shard| shard.replicas.clone()).unwrap_or_default()
                }
                Placement::Local { node, .. } => vec![*node],
            };
            let named = nodes.into_iter().filter_map(|node| {
                let row = catalog.node(node)?;
                Some((row.name.to_string(), row.running))
            });
            named.collect()
        })
    }

    /// What people call a node.
    #[must_use]
    pub fn node_name(&self, node: NodeId) -> Option<String> {
        self.look(|catalog| catalog.node(node).map(|row| row.name.to_string()))
    }

    /// Closes the connection of that name, wherever it is. Returns whether there was one.
    pub async fn close_connection(&self, name: &str, reason: &str) -> bool {
        self.close(Whose::Name(name.to_owned()), reason).await > 0
    }

    /// Closes all connections of a user. Returns how many there were.
    pub async fn close_connections_of_user(&self, user: &str, reason: &str) -> u64 {
        self.close(Whose::User(user.to_owned()), reason).await
    }

    /// Closes all connections in a virtual host. Returns how many there were.
    pub async fn close_connections_of_vhost(&self, vhost: &str, reason: &str) -> u64 {
        self.close(Whose::Vhost(vhost.to_owned()), reason).await
    }

    /// Closes all connections. Returns how many there were.
    pub async fn close_all_connections(&self, reason: &str) -> u64 {
        self.close(Whose::All, reason).await
    }

    async fn close(&self, whose: Whose, reason: &str) -> u64 {
        let question = Question::Close { whose, reason: reason.to_owned() };
        let (answers, _) = self.ask::<u64>(&question).await;
        answers.into_iter().map(|(_, count)| count).sum()
    }

    /// Asks all nodes and puts what they tell into one list.
    async fn gather<T: Wire>(&self, question: &Question) -> Gathered<T> {
        let (answers, stale) = self.ask::<Vec<T>>(question).await;
        Gathered { rows: answers.into_iter().flat_map(|(_, rows)| rows).collect(), stale }
    }

    /// Asks all nodes at once. Returns what came, and who did not answer.
    async fn ask<T: Wire>(&self, question: &Question) -> (Vec<(NodeId, T)>, Vec<String>) {
        ask(self.inner(), question).await
    }
}

impl Inner {
    /// How many connections of all nodes a selection means. A node that does not answer has none:
    /// better some too many than that nobody gets in because one node is down.
    pub(crate) async fn count_connections(self: &Arc<Self>, whose: Whose) -> u64 {
        let (counts, silent) = ask::<u64>(self, &Question::Count(whose)).await;
        if !silent.is_empty() {
            tracing::warn!(?silent, "connections of nodes that do not answer are not counted");
        }
        counts.into_iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// The same for their channels.
    pub(crate) async fn count_channels(self: &Arc<Self>, whose: Whose) -> u64 {
        let (counts, silent) = ask::<u64>(self, &Question::CountChannels(whose)).await;
        if !silent.is_empty() {
            tracing::warn!(?silent, "channels of nodes that do not answer are not counted");
        }
        counts.into_iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Whether anybody reads a stream, through whatever node.
    pub(crate) async fn is_read(self: &Arc<Self>, stream: QueueId) -> bool {
        let (answers, silent) = ask::<Vec<ReaderFigures>>(self, &Question::Readers).await;
        if !silent.is_empty() {
            tracing::warn!(?silent, "readers on nodes that do not answer are not counted");
        }
        let mut readers = answers.into_iter().flat_map(|(_, readers)| readers);
        readers.any(|reader| reader.queue == stream && reader.consumers > 0)
    }
}

/// Messages of a queue, told by its leader; none where nobody says that it leads the queue. To whom
/// it `is_enough` where they are, nothing else is told.
pub(crate) async fn find_messages(
    inner: &Arc<Inner>,
    queue: QueueId,
    query: &MessageQuery,
    is_enough: bool,
) -> Option<FoundMessages> {
    let query = Box::new(query.clone());
    let question = Question::Messages { queue, query, is_enough };
    let nodes = known(inner);
    let asks = nodes.iter().map(|node| ask_one::<Vec<FoundMessages>>(inner, node, &question));
    let mut answers: FuturesUnordered<_> = asks.collect();
    while let Some(answer) = answers.next().await {
        if let Some(found) = answer.and_then(|mut found| found.pop()) {
            return Some(found);
        }
    }
    None
}

/// The nodes of the cluster.
fn known(inner: &Inner) -> Vec<Known> {
    inner.directory.look(|catalog| {
        let known = |row: &warren_catalog::Node| Known {
            id: row.id,
            name: row.name.to_string(),
            running: row.running,
        };
        catalog.nodes().map(known).collect()
    })
}

async fn ask<T: Wire>(inner: &Arc<Inner>, question: &Question) -> (Vec<(NodeId, T)>, Vec<String>) {
    let nodes = known(inner);
    let asks = nodes.into_iter().map(|node| async {
        let answer = ask_one(inner, &node, question).await;
        (node, answer)
    });
    let (mut answers, mut stale) = (Vec::new(), Vec::new());
    for (node, answer) in join_all(asks).await {
        match answer {
            Some(answer) => answers.push((node.id, answer)),
            None => stale.push(node.name),
        }
    }
    (answers, stale)
}

async fn ask_one<T: Wire>(inner: &Arc<Inner>, node: &Known, question: &Question) -> Option<T> {
    let bytes = if node.id == inner.session.node {
        local::reply(inner, question.clone()).await
    } else if node.running {
        let asked = inner.peers.survey(node.id, question.encode(), ASK_LIMIT).await;
        asked.inspect_err(|error| tracing::debug!(%error, "a node is left out")).ok()?
    } else {
        return None;
    };
    let answer = read_answer(bytes);
    answer.inspect_err(|error| tracing::warn!(%error, node = node.name, "a strange answer")).ok()
}
