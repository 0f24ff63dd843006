//! Three voters over real sockets: replication, failover, catching up, strangers.

use std::time::Duration;

use warren_rpc::{ClusterId, Identity, Incarnation, PeerError, Peers, VoteRequest};
use warren_storage::MemoryEngine;
use warren_types::{BootId, LogIndex, NodeId, Term};

use super::kit::{
    Do, Effect, GROUP, Ledger, PATIENCE, Replica, body, config, eventually, identity, memory_store,
};
use crate::{Config, Leadership};

/// Three nodes and their disks. A node that is down is `None`.
pub(super) struct Cluster {
    pub(super) config: Config,
    pub(super) disks: Vec<MemoryEngine>,
    pub(super) addresses: Vec<String>,
    pub(super) boots: Vec<u64>,
    pub(super) nodes: Vec<Option<Replica>>,
}

impl Cluster {
    /// Makes a group of three voters.
    pub(super) async fn new(config: Config) -> Self {
        let mut cluster = Self {
            config,
            disks: Vec::new(),
            addresses: Vec::new(),
            boots: Vec::new(),
            nodes: Vec::new(),
        };
        for _ in 0..3 {
            cluster.add().await;
        }
        let voters = cluster.places();
        let first = cluster.nodes[0].as_ref().expect("started");
        first.run(|group| async move { group.bootstrap(&voters).await }).await.expect("bootstrap");
        cluster
    }

    /// Starts one more node, which belongs to no group yet.
    pub(super) async fn add(&mut self) -> usize {
        let at = self.nodes.len();
        self.disks.push(MemoryEngine::new());
        self.addresses.push("127.0.0.1:0".to_owned());
        self.boots.push(0);
        self.nodes.push(None);
        self.start(at).await;
        self.addresses[at] = self.node(at).address.clone();
        at
    }

    pub(super) fn places(&self) -> Vec<(NodeId, String)> {
        let place = |(at, address): (usize, &String)| (id(at), address.clone());
        self.addresses.iter().enumerate().map(place).collect()
    }

    pub(super) async fn start(&mut self, at: usize) {
        self.boots[at] += 1;
        let identity = identity(id(at).0, self.boots[at]);
        let store = memory_store(&self.disks[at]);
        let node = Replica::start(identity, store, self.config.clone(), &self.addresses[at]).await;
        self.nodes[at] = Some(node);
    }

    /// Ends a node as a power cut would.
    pub(super) fn kill(&mut self, at: usize) {
        self.disks[at] = self.disks[at].crash();
        self.nodes[at].take().expect("running").kill();
    }

    pub(super) fn node(&self, at: usize) -> &Replica {
        self.nodes[at].as_ref().expect("running")
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (usize, &Replica)> {
        self.nodes.iter().enumerate().filter_map(|(at, node)| Some((at, node.as_ref()?)))
    }

    /// The node that leads, once all that run agree on it.
    pub(super) async fn leader(&self) -> usize {
        eventually("all agree on a leader", async || {
            let seen: Vec<Leadership> =
                self.running().map(|(_, node)| *node.group.leadership().borrow()).collect();
            let same = seen.windows(2).all(|two| two[0].leader == two[1].leader);
            let leader = seen[0].leader.filter(|_| same)?;
            let (at, _) = self
                .running()
                .find(|(at, node)| id(*at) == leader && node.group.leadership().borrow().here)?;
            Some(at)
        })
        .await
    }

    /// Proposes until it is certainly done, wherever that is possible.
    pub(super) async fn keep(&self, body: &[u8]) -> LogIndex {
        eventually("a proposal is committed", async || {
            for (_, node) in self.running() {
                if let Ok((index, _)) = node.propose(Do::Keep(body)).await {
                    return Some(index);
                }
            }
            None
        })
        .await
    }

    /// Waits until all that run have applied the same.
    pub(super) async fn agree(&self, index: LogIndex) {
        for (_, node) in self.running() {
            let waiting = node.run(move |group| async move { group.wait_applied(index).await });
            tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("running");
        }
    }

    pub(super) async fn stop(self) {
        for node in self.nodes.into_iter().flatten() {
            node.stop().await;
        }
    }
}

pub(super) fn id(at: usize) -> NodeId {
    NodeId(u64::try_from(at).unwrap() + 1)
}

pub(super) fn live(node: &Replica) -> Vec<LogIndex> {
    node.group.inspect(Ledger::live)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_applied_everywhere_and_performed_once() {
    let cluster = Cluster::new(config()).await;
    let leader = cluster.leader().await;

    let mut last = LogIndex(0);
    for count in 0..50_u32 {
        last = cluster.keep(&count.to_be_bytes()).await;
    }
    cluster.agree(last).await;

    let expected = live(cluster.node(leader));
    assert_eq!(expected.len(), 50);
    for (at, node) in cluster.running() {
        assert_eq!(live(node), expected);
        let performed = node.effects();
        if at == leader {
            assert_eq!(performed.len(), 51, "one take-over and the effect of each entry");
            assert_eq!(performed.iter().filter(|it| it.take_over).count(), 1);
        } else {
            assert_eq!(performed, [], "only the leader performs");
        }
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_at_once_and_nothing_is_lost() {
    // With such timeouts, only the news that the process is gone can make it quick.
    let patient = Config { election_min_ms: 20_000, election_max_ms: 30_000, ..config() };
    let mut cluster = Cluster::new(patient).await;
    let leader = cluster.leader().await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        kept.push(cluster.keep(b"before").await);
    }

    cluster.kill(leader);
    let began = std::time::Instant::now();
    let next = cluster.leader().await;
    let took = began.elapsed();
    kept.push(cluster.keep(b"after").await);

    assert_ne!(next, leader);
    assert!(took < Duration::from_secs(10), "{took:?} is no quicker than an election timeout");
    println!("a killed leader was replaced after {took:?}");
    cluster.agree(kept[20]).await;
    for (_, node) in cluster.running() {
        assert_eq!(live(node), kept);
    }
    let takeovers = cluster.node(next).effects();
    let takeovers: Vec<_> = takeovers.iter().filter(|it| it.take_over).collect();
    assert_eq!(takeovers.len(), 1);
    assert_eq!(takeovers[0].effects, [Effect::TookOver(20)]);
    cluster.start(leader).await;
    cluster.agree(kept[20]).await;
    assert_eq!(live(cluster.node(leader)), kept);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_has_said_nothing_to_restarted_followers_is_replaced_at_once_too() {
    let patient = Config { election_min_ms: 20_000, election_max_ms: 30_000, ..config() };
    let mut cluster = Cluster::new(patient).await;
    let leader = cluster.leader().await;
    cluster.agree(cluster.keep(b"before").await).await;
    for follower in [(leader + 1) % 3, (leader + 2) % 3] {
        cluster.kill(follower);
        cluster.start(follower).await;
        let follows = async || (cluster.node(follower).group.streams() > 0).then_some(());
        eventually("the leader keeps a stream to it", follows).await;
    }

    cluster.kill(leader);
    let began = std::time::Instant::now();
    let next = cluster.leader().await;

    let took = began.elapsed();
    assert_ne!(next, leader);
    assert!(took < Duration::from_secs(10), "{took:?} is no quicker than an election timeout");
    cluster.keep(b"after").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_killed_with_entries_on_their_way_is_replaced_at_once_too() {
    let patient = Config { election_min_ms: 20_000, election_max_ms: 30_000, ..config() };
    for _ in 0..10 {
        let mut cluster = Cluster::new(patient.clone()).await;
        let leader = cluster.leader().await;
        // The survivors' logs differ in length, in whichever direction.
        let group = &cluster.node(leader).group;
        let in_flight: Vec<_> =
            (0..500).map(|_| group.submit(Do::Keep(&[1; 1000]).bytes())).collect();
        cluster.keep(b"known").await;

        cluster.kill(leader);
        let began = std::time::Instant::now();
        cluster.leader().await;

        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?} is no quicker than a timeout");
        drop(in_flight);
        cluster.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_in_turn_is_killed_and_no_acknowledged_entry_is_lost() {
    let mut cluster = Cluster::new(config()).await;
    let mut kept = Vec::new();

    for round in 0..6_usize {
        kept.push(cluster.keep(b"settled").await);
        let leader = cluster.leader().await;
        let victim = if round % 2 == 0 { leader } else { (leader + 1) % 3 };
        // Some are in flight when it happens.
        let in_flight: Vec<_> = (0..100)
            .map(|_| cluster.node(leader).group.submit(Do::Keep(b"in flight").bytes()))
            .collect();
        cluster.kill(victim);
        if victim == leader {
            drop(in_flight);
        } else {
            for outcome in in_flight {
                kept.push(outcome.await.expect("a majority is there").0);
            }
        }
        kept.push(cluster.keep(b"without it").await);
        cluster.start(victim).await;
    }

    let last = cluster.keep(b"last").await;
    kept.push(last);
    cluster.agree(last).await;
    let expected = live(cluster.node(0));
    assert!(kept.iter().all(|index| expected.contains(index)), "acknowledged entries are there");
    for (_, node) in cluster.running() {
        assert_eq!(live(node), expected);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_on_request() {
    let cluster = Cluster::new(config()).await;
    cluster.keep(b"something").await;
    let leader = cluster.leader().await;
    let next = (leader + 1) % 3;

    let transfer =
        move |group: crate::Group<Ledger>| async move { group.transfer_leadership(id(next)).await };
    cluster.node(leader).run(transfer).await.expect("running");

    eventually("the other leads", async || (cluster.leader().await == next).then_some(())).await;
    cluster.keep(b"something else").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_barrier_works_on_every_node() {
    let cluster = Cluster::new(config()).await;
    let leader = cluster.leader().await;

    for _ in 0..20 {
        let (index, _) =
            cluster.node(leader).propose(Do::Keep(b"written")).await.expect("committed");
        for (_, node) in cluster.running() {
            let seen = node.run(|group| async move { group.read_barrier().await }).await;
            assert!(seen.expect("a leader confirms") >= index);
            assert!(live(node).contains(&index), "read your writes, anywhere");
        }
    }

    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_barrier_waits_for_a_machine_that_lags() {
    let cluster = Cluster::new(config()).await;
    let leader = cluster.leader().await;
    cluster.agree(cluster.keep(b"before").await).await;
    let lagging = cluster.node((leader + 1) % 3);
    let (holding, held) = std::sync::mpsc::sync_channel(0);
    let (release, released) = std::sync::mpsc::sync_channel::<()>(0);
    let group = lagging.group.clone();
    let looking = std::thread::spawn(move || {
        group.inspect(|_| {
            holding.send(()).expect("the test waits");
            released.recv().expect("the test releases");
        });
    });
    held.recv().expect("the look has begun");

    let (index, _) =
        cluster.node(leader).propose(Do::Keep(b"x")).await.expect("a majority is there");
    let barrier = lagging.spawn(|group| async move { group.read_barrier().await });
    let known = async || (lagging.group.status().committed >= index).then_some(());
    eventually("the entry is known to be committed", known).await;
    assert!(!barrier.is_finished(), "nobody may read what is not applied");
    release.send(()).expect("the look goes on");
    let seen = barrier.await.expect("no panic").expect("a leader confirms");

    assert!(seen >= index && lagging.group.applied() >= index);
    looking.join().expect("no panic");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_far_behind_gets_a_snapshot_with_the_bodies_it_lacks() {
    let eager = Config { snapshot_after_entries: 50, keep_entries: 10, ..config() };
    let mut cluster = Cluster::new(eager).await;
    let shared = cluster.keep(b"before it went").await;
    cluster.agree(shared).await;
    let behind = (cluster.leader().await + 1) % 3;
    cluster.kill(behind);
    let precious = cluster.keep(b"while it was away").await;
    let leader = cluster.leader().await;
    for _ in 0..200 {
        let passing = cluster.keep(b"passing").await;
        cluster.node(leader).propose(Do::Forget(passing)).await.expect("committed");
    }
    let purged = async || (cluster.node(leader).group.status().purged > precious).then_some(());
    eventually("the log is purged", purged).await;

    cluster.start(behind).await;
    let last = cluster.keep(b"after it came back").await;
    cluster.agree(last).await;

    // The log is purged a moment after the snapshot is in place.
    let came = async || (cluster.node(behind).group.status().purged > precious).then_some(());
    eventually("it came by snapshot", came).await;
    let node = cluster.node(behind);
    assert_eq!(live(node), [shared, precious, last]);
    let rows = node.group.rows();
    for (index, expected) in [
        (shared, &b"before it went"[..]),
        (precious, b"while it was away"),
        (last, b"after it came back"),
    ] {
        let row = rows.read(index).await.expect("readable").expect("the bodies came along");
        assert_eq!(body(&row), expected);
    }
    // And they stay: after a restart, and when it leads.
    cluster.kill(behind);
    cluster.start(behind).await;
    cluster.agree(last).await;
    let row = cluster.node(behind).group.rows().read(precious).await.expect("readable");
    assert_eq!(body(&row.expect("it is on the disk")), b"while it was away".as_slice());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_added_as_a_learner_and_takes_a_voters_place() {
    let mut cluster = Cluster::new(config()).await;
    let kept = cluster.keep(b"known before").await;
    let leader = cluster.leader().await;
    let spare = cluster.add().await;
    let address = cluster.addresses[spare].clone();

    let add =
        |group: crate::Group<Ledger>| async move { group.add_learner(id(spare), &address).await };
    cluster.node(leader).run(add).await.expect("added");
    let gone = (leader + 1) % 3;
    let mut voters: Vec<NodeId> = (0..3).filter(|at| *at != gone).map(id).collect();
    voters.push(id(spare));
    let wanted = voters.clone();
    let change =
        move |group: crate::Group<Ledger>| async move { group.change_voters(&wanted).await };
    cluster.node(leader).run(change).await.expect("changed");
    let remove =
        move |group: crate::Group<Ledger>| async move { group.remove_learners(&[id(gone)]).await };
    cluster.node(leader).run(remove).await.expect("removed");

    voters.sort_unstable();
    let status = cluster.node(leader).group.status();
    let voting: Vec<NodeId> = status.voters.iter().map(|(node, _)| *node).collect();
    assert_eq!((voting, status.learners, status.changing), (voters, vec![], false));
    cluster.nodes[gone].take().expect("running").stop().await;
    let after = cluster.keep(b"known after").await;
    cluster.agree(after).await;
    assert_eq!(live(cluster.node(spare)), [kept, after]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_refused_before_it_can_disturb() {
    let cluster = Cluster::new(config()).await;
    let leader = cluster.leader().await;
    let term = cluster.node(leader).group.leadership().borrow().term;
    let target = (leader + 1) % 3;
    let claim = VoteRequest {
        ballot: warren_rpc::Ballot { term: Term(1000), node: NodeId(1), committed: false },
        last: None,
        transfer: true,
        trial: false,
    };
    let ours = identity(1, 99);
    let strangers = [
        Identity { cluster: ClusterId(8), ..ours },
        Identity { incarnation: Incarnation(0), ..ours },
    ];

    for stranger in strangers {
        let peers = Peers::new(Identity { boot: BootId(1), ..stranger });
        peers.set_address(id(target), &cluster.addresses[target]);
        let answer = peers.raft(id(target), GROUP).vote(claim, PATIENCE).await;
        assert!(matches!(answer, Err(PeerError::Stranger { .. })), "{answer:?}");
    }
    // One of us, but what it calls is another node.
    let peers = Peers::new(ours);
    peers.set_address(NodeId(77), &cluster.addresses[target]);
    let answer = peers.raft(NodeId(77), GROUP).vote(claim, PATIENCE).await;
    assert!(matches!(answer, Err(PeerError::Stranger { .. })), "{answer:?}");

    cluster.keep(b"undisturbed").await;
    assert_eq!(cluster.node(leader).group.leadership().borrow().term, term);
    cluster.stop().await;
}
