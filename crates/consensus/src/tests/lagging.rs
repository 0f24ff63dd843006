//! Those who ask much, those who leave, and those who were away for long.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::{self, FuturesOrdered};
use warren_rpc::{Entry, EntryId, EntryKind, Peers, SnapshotBegin, SnapshotPart};
use warren_storage::MemoryEngine;
use warren_types::{LogIndex, NodeId};

use super::cluster::{Cluster, id, live};
use super::kit::{
    Do, GROUP, Ledger, PATIENCE, Replica, body, config, eventually, identity, leads, memory_store,
};
use crate::{Config, Group};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn barriers_that_are_asked_for_at_once_share_a_round() {
    let cluster = Cluster::new(config()).await;
    let leader = cluster.leader().await;
    let index = cluster.keep(b"written").await;

    for at in [leader, (leader + 1) % 3] {
        let node = cluster.node(at);
        let before = node.group.barrier_rounds();
        let asking = |group: Group<Ledger>| async move {
            join_all((0..1000).map(|_| group.read_barrier())).await
        };
        for seen in node.run(asking).await {
            assert!(seen.expect("a leader confirms") >= index);
        }
        let rounds = node.group.barrier_rounds() - before;
        assert!(rounds <= 2, "{rounds} rounds for barriers that came together");
    }

    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_hands_its_leaderships_over_first() {
    let cluster = Cluster::new(config()).await;
    cluster.keep(b"something").await;
    let leader = cluster.leader().await;
    let node = &cluster.node(leader).node;
    assert_eq!((node.groups(), node.leads()), (vec![GROUP], vec![GROUP]));

    let left = {
        let node = node.clone();
        cluster.node(leader).run(|_| async move { node.hand_over(PATIENCE).await }).await
    };

    assert_eq!((left, node.leads()), (0, vec![]));
    assert_ne!(cluster.leader().await, leader);
    assert!(!node.status(GROUP).expect("it runs").leadership.here);
    cluster.keep(b"something else").await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_leadership_that_nobody_else_could_have_is_not_waited_for() {
    let replica =
        Replica::start(identity(1, 1), memory_store(&MemoryEngine::new()), config(), "127.0.0.1:0")
            .await;
    let voters = [(NodeId(1), replica.address.clone())];
    replica.run(|group| async move { group.bootstrap(&voters).await }).await.expect("bootstrap");
    leads(&replica).await;

    let node = replica.node.clone();
    let left = replica.run(|_| async move { node.hand_over(PATIENCE).await }).await;

    assert_eq!((left, replica.node.leads()), (1, vec![GROUP]));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_was_cut_off_goes_on_where_it_stopped() {
    let eager = Config { snapshot_after_entries: 50, keep_entries: 10, ..config() };
    let mut cluster = Cluster::new(eager).await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        kept.push(cluster.keep(b"from the leader").await);
    }
    let leader = cluster.leader().await;
    let spare = cluster.add().await;
    let address = cluster.addresses[spare].clone();
    let peers = Peers::new(identity(99, 1));
    peers.set_address(id(spare), &address);
    let peer = peers.raft(id(spare), GROUP);
    let (done, rest) = kept.split_at(10);
    let row = |index: &LogIndex| Entry {
        id: EntryId { term: warren_types::Term(1), leader: id(leader), index: *index },
        kind: EntryKind::Command,
        payload: Do::Keep(b"from the first try").bytes(),
    };

    // The first half of a snapshot, and no end.
    let meta = crate::types::SnapshotMeta {
        last_log_id: Some(crate::types::LogId::new(
            crate::types::Leader { term: 1, node_id: id(leader).0 },
            1000,
        )),
        last_membership: crate::types::StoredMembership::default(),
    };
    let ballot =
        warren_rpc::Ballot { term: warren_types::Term(1), node: id(leader), committed: true };
    let begin = SnapshotBegin { ballot, meta: crate::codec::write_meta(&meta) };
    let half = SnapshotPart::Rows(done.iter().map(row).collect());
    peer.snapshot(begin, stream::iter([half])).await.expect_err("it has no end");
    assert_eq!(peer.progress(PATIENCE).await.expect("answered"), *done.last().expect("ten"));

    for _ in 0..100 {
        let passing = cluster.keep(b"passing").await;
        cluster.node(leader).propose(Do::Forget(passing)).await.expect("committed");
    }
    let purged = async || (cluster.node(leader).group.status().purged > kept[19]).then_some(());
    eventually("the log is purged", purged).await;
    let add = |group: Group<Ledger>| async move { group.add_learner(id(spare), &address).await };
    cluster.node(leader).run(add).await.expect("added");
    cluster.agree(cluster.keep(b"last").await).await;

    let node = cluster.node(spare);
    assert_eq!(live(node)[..20], kept);
    for (indexes, expected) in [(done, &b"from the first try"[..]), (rest, b"from the leader")] {
        for index in indexes {
            let row = node.group.rows().read(*index).await.expect("readable").expect("it is there");
            assert_eq!(body(&row), expected, "row {index}");
        }
    }
    cluster.stop().await;
}

/// Entries that go by while a node is away. WARREN_AWAY_ENTRIES is for more.
const AWAY_ENTRIES: usize = 20_000;
/// Entries that are kept at any time.
const LIVE: usize = 2_000;
const IN_FLIGHT: usize = 64;
const WINDOW: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_long_catches_up_under_load() {
    let entries = std::env::var("WARREN_AWAY_ENTRIES").ok().and_then(|count| count.parse().ok());
    let entries = entries.unwrap_or(AWAY_ENTRIES);
    let eager = Config { snapshot_after_entries: 2000, keep_entries: 1000, ..config() };
    let mut cluster = Cluster::new(eager).await;
    let leader = cluster.leader().await;
    let away = (leader + 1) % 3;
    cluster.kill(away);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = cluster.node(leader).spawn(move |group| load(group, stopped));
    let applied = |cluster: &Cluster, at: usize| cluster.node(at).group.applied().0;
    let enough = u64::try_from(entries).expect("small");
    let (began, first) = (Instant::now(), applied(&cluster, leader));
    eventually("the entries have gone by", async || {
        (applied(&cluster, leader) >= enough).then_some(())
    })
    .await;
    let alone = per_second(applied(&cluster, leader) - first, began.elapsed());

    cluster.start(away).await;
    let (began, first) = (Instant::now(), applied(&cluster, leader));
    let mut windows = Vec::new();
    loop {
        let (start, before) = (Instant::now(), applied(&cluster, leader));
        let caught_up = tokio::time::timeout(WINDOW, async {
            let reached = cluster.node(away).group.wait_applied(LogIndex(before)).await;
            reached.expect("running");
        });
        let caught_up = caught_up.await.is_ok();
        if caught_up {
            break;
        }
        windows.push(per_second(applied(&cluster, leader) - before, start.elapsed()));
        assert!(began.elapsed() < PATIENCE, "it never catches up: {windows:?}");
    }
    let together = per_second(applied(&cluster, leader) - first, began.elapsed());
    stop.send(true).expect("the load goes on");
    load.await.expect("no panic");

    println!(
        "{alone} entries/s while it was away, {together} while it caught up in {:?}, {windows:?}",
        began.elapsed()
    );
    // All three share the cores of this machine, and the one that catches up has most to do.
    assert!(together * 4 >= alone, "{alone} entries/s before, {together} while it caught up");
    let last = cluster.keep(b"last").await;
    cluster.agree(last).await;
    let expected = live(cluster.node(leader));
    let digest = cluster.node(leader).group.inspect(warren_machine::Machine::digest);
    for (_, node) in cluster.running() {
        assert_eq!(node.group.inspect(warren_machine::Machine::digest), digest);
        assert_eq!(live(node), expected);
    }
    for index in expected {
        let mut rows = Vec::new();
        for (_, node) in cluster.running() {
            rows.push(node.group.rows().read(index).await.expect("readable").expect("needed"));
        }
        assert!(rows.windows(2).all(|pair| pair[0] == pair[1]), "row {index} differs");
    }
    cluster.stop().await;
}

/// Keeps entries and forgets older ones until it is told to stop.
async fn load(group: Group<Ledger>, stopped: tokio::sync::watch::Receiver<bool>) {
    let mut in_flight = FuturesOrdered::<crate::Submitted<u64>>::new();
    let mut kept = std::collections::VecDeque::new();
    let payload = Do::Keep(&[7; 200]).bytes();
    while !*stopped.borrow() {
        while in_flight.len() < IN_FLIGHT {
            in_flight.push_back(group.submit(payload.clone()));
        }
        let (index, _) = in_flight.next().await.expect("some").expect("committed");
        kept.push_back(index);
        if kept.len() > LIVE {
            let oldest = kept.pop_front().expect("some");
            group.propose(Do::Forget(oldest).bytes()).await.expect("committed");
        }
    }
    while let Some(outcome) = in_flight.next().await {
        outcome.expect("committed");
    }
}

fn per_second(entries: u64, spent: Duration) -> u64 {
    let ms = u64::try_from(spent.as_millis()).expect("short").max(1);
    entries * 1000 / ms
}
