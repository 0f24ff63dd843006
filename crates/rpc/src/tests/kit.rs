//! Nodes that answer as a test tells them to.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use warren_types::{BootId, GroupId, LogIndex, NodeId};

use crate::{
    Caller, ClusterHandler, ClusterId, Desk, Dialer, Duplex, Flow, Followed, Founded, FrontItem,
    FrontendHandler, GroupStatus, Hello, HelloReply, HostItem, Identity, Incarnation, Join,
    JoinReply, Nobody, PeerError, Peers, Ping, Place, Pong, Refusal, Verdict, serve, serve_streams,
};

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The node that calls, and the one that is called.
pub(super) const CALLER: NodeId = NodeId(1);
pub(super) const HOST: NodeId = NodeId(2);
pub(super) const CALLER_BOOT: BootId = BootId(5);
pub(super) const HOST_BOOT: BootId = BootId(9);

/// The group that the host runs and leads, one that it runs, one that it is not ready for, and one
/// that fails. It runs no other.
pub(super) const LED: GroupId = GroupId(1);
pub(super) const FOLLOWED: GroupId = GroupId(2);
pub(super) const STARTING: GroupId = GroupId(3);
pub(super) const BROKEN: GroupId = GroupId(4);

pub(super) fn identity(node: NodeId, boot: BootId) -> Identity {
    Identity { cluster: ClusterId(77), incarnation: Incarnation(3), node, boot }
}

pub(super) fn caller() -> Caller {
    Caller { node: CALLER, boot: CALLER_BOOT }
}

type Converse = dyn Fn(Caller, Flow<Vec<FrontItem>>) -> Flow<Vec<HostItem>> + Send + Sync;

/// Answers fronts.
pub(super) struct Frontend {
    converse: Box<Converse>,
    row: Bytes,
}

impl Frontend {
    /// Converses with `converse`. All its rows say `row`.
    pub(super) fn new(
        row: Bytes,
        converse: impl Fn(Caller, Flow<Vec<FrontItem>>) -> Flow<Vec<HostItem>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { converse: Box::new(converse), row })
    }

    /// Has nothing to say.
    pub(super) fn silent() -> Arc<Self> {
        Self::new(Bytes::from_static(b"row"), |_, _| Box::pin(stream::pending()))
    }
}

impl FrontendHandler for Frontend {
    fn converse(&self, caller: Caller, items: Flow<Vec<FrontItem>>) -> Flow<Vec<HostItem>> {
        (self.converse)(caller, items)
    }

    async fn rows(
        &self,
        _caller: Caller,
        place: Place,
        wanted: Vec<(LogIndex, Vec<u32>)>,
    ) -> Result<Vec<(LogIndex, Bytes)>, Refusal> {
        match place {
            Place::Shard(LED) => {}
            Place::Shard(group) => return Err(Refusal::UnknownGroup { group }),
            Place::Local { boot: HOST_BOOT, .. } => {}
            Place::Local { .. } => return Err(Refusal::NotHere),
        }
        // Rows without a wanted record are missing, to tell that offsets arrive.
        let rows = wanted.into_iter().filter(|(_, offsets)| !offsets.is_empty());
        Ok(rows.map(|(index, _)| (index, self.row.clone())).collect())
    }

    /// The question as the head, and as many rows as it is long.
    async fn follow(
        &self,
        _caller: Caller,
        place: Place,
        question: Bytes,
    ) -> Result<Followed, Refusal> {
        if place != Place::Shard(LED) {
            return Err(Refusal::NotHere);
        }
        let rows = (1_u64..).map(|at| (LogIndex(at), self.row.clone()));
        Ok(Followed { rows: rows.take(question.len()).collect(), head: question })
    }

    async fn listens(&self, _caller: Caller, nonce: u64) -> Result<bool, Refusal> {
        Ok(nonce == 1)
    }

    /// An answer of as many bytes as the question names.
    async fn survey(&self, _caller: Caller, question: Bytes) -> Result<Bytes, Refusal> {
        let text = String::from_utf8_lossy(&question);
        let unknown = |_| Refusal::Failed { text: text.to_string() };
        let length: usize = text.parse().map_err(unknown)?;
        Ok((0..length).map(|at| u8::try_from(at % 251).unwrap()).collect())
    }
}

/// Answers for a node.
#[derive(Default)]
pub(super) struct Cluster {
    pub(super) founded: bool,
    pub(super) heard: Mutex<Vec<String>>,
}

impl Cluster {
    fn hear(&self, what: impl std::fmt::Debug) {
        self.heard.lock().unwrap().push(format!("{what:?}"));
    }
}

pub(super) fn welcome() -> JoinReply {
    JoinReply {
        cluster: ClusterId(u128::MAX - 1),
        incarnation: Incarnation(3),
        node: NodeId(4),
        shards: 16,
        members: vec![(NodeId(1), "one:1".to_owned()), (NodeId(2), "two:2".to_owned())],
    }
}

pub(super) fn status(group: GroupId) -> GroupStatus {
    GroupStatus {
        leader: (group == LED).then_some(HOST),
        term: warren_types::Term(6),
        here: group == LED,
        voters: vec![NodeId(1), NodeId(2)],
        learners: vec![NodeId(3)],
        applied: LogIndex(u64::MAX),
    }
}

impl ClusterHandler for Cluster {
    async fn hello(&self, request: Hello) -> Result<HelloReply, Refusal> {
        self.hear(request);
        let (cluster, incarnation) = (ClusterId(77), Incarnation(3));
        let founded = Founded { cluster, incarnation, node: HOST };
        let cluster = self.founded.then_some(founded);
        Ok(HelloReply { token: request.token + 1, cluster, promised: request.founding })
    }

    async fn join(&self, request: Join) -> Result<JoinReply, Refusal> {
        self.hear(request);
        Ok(welcome())
    }

    async fn propose(&self, caller: Caller, payload: Bytes) -> Result<(LogIndex, Bytes), Refusal> {
        self.hear(caller);
        if payload.is_empty() {
            return Err(Refusal::NotLeader { group: GroupId::CATALOG });
        }
        Ok((LogIndex(12), payload))
    }

    async fn ping(&self, caller: Caller, ping: Ping) -> Result<Pong, Refusal> {
        self.hear(caller);
        let Ping { draining, distress } = ping;
        Ok(Pong { boot: HOST_BOOT, draining, serving: !draining, distress, forgotten: draining })
    }

    async fn probe(&self, _caller: Caller, about: NodeId) -> Result<Verdict, Refusal> {
        match about.0 {
            1 => Ok(Verdict::Alive),
            2 => Ok(Verdict::Gone),
            3 => Ok(Verdict::Silent),
            _ => Err(Refusal::NotHere),
        }
    }

    async fn group_status(&self, _caller: Caller, group: GroupId) -> Result<GroupStatus, Refusal> {
        match group {
            LED | FOLLOWED => Ok(status(group)),
            STARTING => Err(Refusal::Unavailable { text: "it starts".to_owned() }),
            BROKEN => Err(Refusal::Failed { text: "it broke".to_owned() }),
            _ => Err(Refusal::UnknownGroup { group }),
        }
    }
}

pub(super) type TestDesk = Desk<Nobody, Frontend, Cluster>;

/// A desk of the host, with everybody at it.
pub(super) fn desk(frontend: Arc<Frontend>) -> Arc<TestDesk> {
    let desk = TestDesk::new();
    desk.set_identity(identity(HOST, HOST_BOOT));
    desk.set_frontend(frontend);
    desk.set_cluster(Arc::new(Cluster { founded: true, ..Cluster::default() }));
    Arc::new(desk)
}

/// A host on sockets, with a runtime of its own, so that it can be killed.
pub(super) struct Host {
    pub(super) address: String,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Host {
    pub(super) async fn start(desk: Arc<TestDesk>) -> Self {
        Self::start_at("127.0.0.1:0", desk).await
    }

    pub(super) async fn start_at(address: &str, desk: Arc<TestDesk>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let listener = listener.into_std().expect("not in use");
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("threads");
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            serve(listener, desk, stopped).await.expect("ends when told to");
        });
        Self { address, stop, serving: Some(serving), runtime: Some(runtime) }
    }

    /// Who can call the host.
    pub(super) fn peers(&self) -> Peers {
        let peers = Peers::new(identity(CALLER, CALLER_BOOT));
        peers.set_address(HOST, &self.address);
        peers
    }

    /// Stops in order.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        self.serving.take().expect("running").await.expect("serving does not panic");
    }

    /// Ends without any order: tasks and sockets are gone at once.
    pub(super) fn kill(mut self) {
        self.runtime.take().expect("running").shutdown_background();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Connections over memory, by address.
#[derive(Clone, Default)]
pub(super) struct Net {
    listeners: Arc<Mutex<HashMap<String, mpsc::Sender<DuplexStream>>>>,
}

impl Net {
    pub(super) fn dialer(&self) -> Dialer {
        let net = self.clone();
        Dialer::new(move |address| {
            let (net, address) = (net.clone(), address.to_owned());
            async move {
                let stream: Box<dyn Duplex> = Box::new(net.connect(&address).await?);
                Ok(stream)
            }
        })
    }

    /// Where nobody listens, the process is gone.
    pub(super) async fn connect(&self, address: &str) -> io::Result<DuplexStream> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let listener = self.listeners.lock().unwrap().get(address).cloned();
        let (near, far) = tokio::io::duplex(64 * 1024);
        listener.ok_or_else(refused)?.send(far).await.map_err(|_| refused())?;
        Ok(near)
    }

    /// What is dialled at `address` from here on.
    pub(super) fn listen(&self, address: &str) -> mpsc::Receiver<DuplexStream> {
        let (sender, receiver) = mpsc::channel(16);
        self.listeners.lock().unwrap().insert(address.to_owned(), sender);
        receiver
    }

    /// Serves at `address` until the task is aborted.
    pub(super) fn serve(&self, address: &str, desk: Arc<TestDesk>) -> JoinHandle<()> {
        let incoming = ReceiverStream::new(self.listen(address)).map(Ok);
        tokio::spawn(async move {
            let never = std::future::pending();
            serve_streams(incoming, desk, never).await.expect("incoming does not end");
        })
    }

    /// Who can call the host, which is at `address`.
    pub(super) fn peers(&self, address: &str) -> Peers {
        let peers = Peers::with_dialer(identity(CALLER, CALLER_BOOT), self.dialer());
        peers.set_address(HOST, address);
        peers
    }
}

/// `future`, but not for ever.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// A front that says `batches` and then stays.
pub(super) fn lasting<T>(batches: impl Stream<Item = T>) -> impl Stream<Item = T> {
    batches.chain(stream::pending())
}

/// The first `count` items, which are all that there is.
pub(super) async fn gather(
    mut replies: Flow<Result<Vec<HostItem>, PeerError>>,
    count: usize,
) -> Vec<HostItem> {
    let mut items = Vec::new();
    while items.len() < count {
        let batch = soon(replies.next()).await.expect("the stream lasts");
        items.extend(batch.expect("no error"));
    }
    assert_eq!(items.len(), count);
    items
}
