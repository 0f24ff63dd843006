//! A machine to replicate, and nodes to replicate it on.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use warren_machine::{Applied, Digest, Entry, Machine, RestoreError, SparseRow};
use warren_rpc::{ClusterId, Desk, Identity, Incarnation, Nobody, Peers, serve};
use warren_storage::{LogEngine, MemoryEngine, OpenError, RocksConfig, Store};
use warren_types::{BootId, GroupId, LogIndex, NodeId, Reader, Writer};

use crate::{Config, Fatality, Group, Node, Performed};

/// How long a condition may take to come true.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The group of all tests.
pub(super) const GROUP: GroupId = GroupId(1);

/// Keeps what it is told until it is told to forget it. The entries are its bodies.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    count: u64,
    /// Rows that are needed, and how many of their bytes, from the start.
    live: BTreeMap<LogIndex, Needed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Needed {
    bytes: u32,
    of: u32,
}

/// What [`Ledger`] is told.
pub(super) enum Do<'a> {
    Keep(&'a [u8]),
    Forget(LogIndex),
    /// Only the first bytes of a row are needed from here on.
    Shrink(LogIndex, u32),
    Panic,
}

impl Do<'_> {
    pub(super) fn bytes(&self) -> Bytes {
        let mut writer = Writer::new();
        match self {
            Do::Keep(body) => {
                writer.u8(0);
                writer.raw(body);
            }
            Do::Forget(index) => {
                writer.u8(1);
                writer.u64(index.0);
            }
            Do::Shrink(index, bytes) => {
                writer.u8(2);
                writer.u64(index.0);
                writer.u32(*bytes);
            }
            Do::Panic => writer.u8(3),
        }
        writer.finish()
    }
}

/// The body within a kept entry.
pub(super) fn body(row: &Bytes) -> Bytes {
    row.slice(1..)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Kept(u64),
    TookOver(u64),
}

impl Ledger {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn live(&self) -> Vec<LogIndex> {
        self.live.keys().copied().collect()
    }
}

impl Machine for Ledger {
    type Reply = u64;
    type Effect = Effect;

    fn apply(&mut self, entry: &Entry) -> Applied<u64, Effect> {
        let mut reader = Reader::new(entry.payload.clone());
        let mut effects = Vec::new();
        match reader.u8("what to do").expect("the tests write whole commands") {
            0 => {
                let of = u32::try_from(entry.payload.len()).expect("small");
                self.live.insert(entry.index, Needed { bytes: of, of });
                self.count += 1;
                effects.push(Effect::Kept(self.count));
            }
            1 => {
                self.live.remove(&LogIndex(reader.u64("a row").expect("whole")));
            }
            2 => {
                let row = LogIndex(reader.u64("a row").expect("whole"));
                let bytes = reader.u32("bytes").expect("whole");
                self.live.get_mut(&row).expect("a row that is kept").bytes = bytes;
            }
            _ => panic!("told to"),
        }
        Applied { reply: self.count, effects }
    }

    fn take_over(&mut self) -> Vec<Effect> {
        vec![Effect::TookOver(self.count)]
    }

    fn snapshot(&self) -> Vec<Bytes> {
        let mut head = Writer::new();
        head.u64(self.count);
        let mut rows = Writer::new();
        rows.list(&self.live, |writer, (index, needed)| {
            writer.u64(index.0);
            writer.u32(needed.bytes);
            writer.u32(needed.of);
        });
        vec![head.finish(), rows.finish()]
    }

    fn restore(pages: &[Bytes]) -> Result<Self, RestoreError> {
        let damaged = |page| move |source| RestoreError::Damaged { page, source };
        let [head, rows] = pages else {
            return Err(RestoreError::Inconsistent { what: format!("{} pages", pages.len()) });
        };
        let count = Reader::new(head.clone()).u64("count").map_err(damaged(0))?;
        let rows = Reader::new(rows.clone()).list("rows", |reader| {
            let index = LogIndex(reader.u64("a row")?);
            Ok((index, Needed { bytes: reader.u32("bytes")?, of: reader.u32("bytes")? }))
        });
        Ok(Self { count, live: rows.map_err(damaged(1))?.into_iter().collect() })
    }

    fn digest(&self) -> Digest {
        Digest(
            self.live.keys().fold(self.count, |sum, row| sum.wrapping_mul(31).wrapping_add(row.0)),
        )
    }

    fn live_rows(&self, floor: LogIndex) -> Vec<LogIndex> {
        self.live.range(..=floor).map(|(index, _)| *index).collect()
    }

    fn sparse_rows(&self, after: LogIndex, floor: LogIndex, limit: usize) -> Vec<SparseRow> {
        if after >= floor {
            return vec![];
        }
        let behind = (Bound::Excluded(after), Bound::Included(floor));
        let sparse = self.live.range(behind).filter(|(_, needed)| needed.bytes * 4 < needed.of);
        let row = |(index, needed): (&LogIndex, &Needed)| SparseRow {
            index: *index,
            live_offsets: vec![needed.bytes],
        };
        sparse.take(limit).map(row).collect()
    }

    fn thin(row: &Bytes, live_offsets: &[u32]) -> Bytes {
        let bytes = usize::try_from(live_offsets[0]).expect("small");
        row.slice(..bytes.min(row.len()))
    }
}

/// Fast enough for tests, slow enough for a busy machine.
pub(super) fn config() -> Config {
    Config {
        heartbeat_ms: 100,
        election_min_ms: 600,
        election_max_ms: 1200,
        sweep_ms: 20,
        ..Config::default()
    }
}

pub(super) fn memory_store(engine: &MemoryEngine) -> Store {
    let config =
        warren_storage::Config { recent_bytes: 1 << 20, ..warren_storage::Config::default() };
    Store::with_engine(Box::new(engine.clone()), config).expect("memory opens")
}

pub(super) fn rocks_store(dir: &std::path::Path) -> Store {
    disk_store(dir, LogEngine::Rocksdb)
}

pub(super) fn segment_store(dir: &std::path::Path) -> Store {
    disk_store(dir, LogEngine::Segments)
}

fn disk_store(dir: &std::path::Path, log_engine: LogEngine) -> Store {
    let rocksdb = RocksConfig { write_buffer_bytes: 1 << 20, ..RocksConfig::default() };
    let config = warren_storage::Config { rocksdb, log_engine, ..warren_storage::Config::new(dir) };
    // What a stopped node leaves behind holds its lock for a moment longer.
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match Store::open(config.clone()) {
            Ok(store) => return store,
            Err(OpenError::Locked { .. }) if std::time::Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("the directory does not open: {error}"),
        }
    }
}

pub(super) fn identity(node: u64, boot: u64) -> Identity {
    let (cluster, incarnation) = (ClusterId(7), Incarnation(1));
    Identity { cluster, incarnation, node: NodeId(node), boot: BootId(boot) }
}

/// A node with one group, on a runtime of its own, so that it can be killed.
pub(super) struct Replica {
    pub(super) node: Node,
    pub(super) group: Group<Ledger>,
    pub(super) address: String,
    effects: Arc<Mutex<Vec<Performed<Effect>>>>,
    fatal: Arc<Mutex<Vec<Fatality>>>,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Replica {
    /// Starts node `id` with what `store` holds, listening at `address`.
    pub(super) async fn start(
        identity: Identity,
        store: Store,
        config: Config,
        address: &str,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let address = address.to_owned();
        let starting =
            runtime.spawn(async move { Self::start_here(identity, store, config, &address).await });
        let mut replica = starting.await.expect("starting does not panic");
        replica.runtime = Some(runtime);
        replica
    }

    async fn start_here(identity: Identity, store: Store, config: Config, address: &str) -> Self {
        let node = Node::new(store, Peers::new(identity), config);
        let fatal: Arc<Mutex<Vec<Fatality>>> = Arc::default();
        let heard = Arc::clone(&fatal);
        node.on_fatal(move |fatality| heard.lock().unwrap().push(fatality));
        let (tx, mut rx) = effects_mailbox();
        let effects: Arc<Mutex<Vec<Performed<Effect>>>> = Arc::default();
        let seen = Arc::clone(&effects);
        tokio::spawn(async move {
            while let Some(performed) = rx.recv().await {
                seen.lock().unwrap().push(performed);
            }
        });
        let group = node.start(GROUP, Ledger::default, tx).await.expect("the group starts");
        let listener = listen(address).await;
        let address = listener.local_addr().expect("bound").to_string();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let desk = Arc::new(Desk::<_, Nobody, Nobody>::new());
        desk.set_identity(identity);
        desk.set_raft(node.handler());
        let serving = tokio::spawn(async move {
            serve(listener, desk, stopped).await.expect("serving ends when told to");
        });
        let (serving, runtime) = (Some(serving), None);
        Self { node, group, address, effects, fatal, stop, serving, runtime }
    }

    /// Runs something on the node's own runtime.
    pub(super) async fn run<F>(&self, act: impl FnOnce(Group<Ledger>) -> F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn(act).await.expect("tests do not panic inside")
    }

    /// Begins something on the node's own runtime.
    pub(super) fn spawn<F>(&self, act: impl FnOnce(Group<Ledger>) -> F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.as_ref().expect("running").spawn(act(self.group.clone()))
    }

    pub(super) async fn propose(
        &self,
        what: Do<'_>,
    ) -> Result<(LogIndex, u64), crate::ProposeError> {
        let payload = what.bytes();
        self.run(|group| async move { group.propose(payload).await }).await
    }

    pub(super) fn effects(&self) -> Vec<Performed<Effect>> {
        self.effects.lock().unwrap().clone()
    }

    pub(super) fn fatalities(&self) -> Vec<Fatality> {
        self.fatal.lock().unwrap().clone()
    }

    /// Stops in order.
    pub(super) async fn stop(mut self) {
        let node = self.node.clone();
        self.run(|_| async move { node.shutdown().await }).await;
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            serving.await.expect("serving does not panic");
        }
        assert_eq!(self.fatalities(), [], "an orderly stop is no alarm");
        self.runtime.take().expect("running").shutdown_background();
    }

    /// Ends without any order: tasks and sockets are gone at once.
    pub(super) fn kill(mut self) {
        self.runtime.take().expect("running").shutdown_background();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tests are short")]
pub(super) fn effects_mailbox()
-> (mpsc::UnboundedSender<Performed<Effect>>, mpsc::UnboundedReceiver<Performed<Effect>>) {
    mpsc::unbounded_channel()
}

/// Listens, also where somebody has just stopped listening.
async fn listen(address: &str) -> tokio::net::TcpListener {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match tokio::net::TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if tokio::time::Instant::now() > deadline => panic!("{address}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Waits until `condition` gives something.
pub(super) async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until `replica` leads.
pub(super) async fn leads(replica: &Replica) {
    let mut leadership = replica.group.leadership();
    let waiting = leadership.wait_for(|leadership| leadership.here);
    let waited = tokio::time::timeout(PATIENCE, waiting).await.map(|seen| seen.map(|seen| *seen));
    waited.expect("elected in time").expect("the group runs");
}
