//! A replica that leaves its group, is erased, and comes back.

use warren_rpc::{Ballot, Caller, EntryId, RaftHandler as _, VoteReply, VoteRequest};
use warren_types::{BootId, LogIndex, NodeId, Term};

use super::cluster::{Cluster, id};
use super::kit::{GROUP, Ledger, Replica, config, eventually};
use crate::Group;

/// Asks for the vote of a node, as a candidate that knows more than anybody.
async fn ask_vote(of: &Replica, from: usize, trial: bool) -> VoteReply {
    let handler = of.node.handler();
    let (node, term) = (id(from), Term(1 << 40));
    let last = Some(EntryId { term, leader: node, index: LogIndex(1 << 40) });
    let ballot = Ballot { term, node, committed: false };
    let request = VoteRequest { ballot, last, transfer: true, trial };
    let caller = Caller { node, boot: BootId(1) };
    let asking = of.run(|_| async move { handler.vote(caller, GROUP, request).await });
    asking.await.expect("answered")
}

/// The group without one of its followers, whose replica is erased and started anew.
async fn with_one_erased() -> (Cluster, usize, usize) {
    let mut cluster = Cluster::new(config()).await;
    let kept = cluster.keep(b"known to all").await;
    cluster.agree(kept).await;
    let leader = cluster.leader().await;
    let (gone, stays) = ((leader + 1) % 3, (leader + 2) % 3);
    let voters = [id(leader), id(stays)];
    let change = move |group: Group<Ledger>| async move { group.change_voters(&voters).await };
    cluster.node(leader).run(change).await.expect("changed");
    let remove =
        move |group: Group<Ledger>| async move { group.remove_learners(&[id(gone)]).await };
    cluster.node(leader).run(remove).await.expect("removed");

    let node = cluster.node(gone).node.clone();
    let erased = cluster.node(gone).run(|_| async move { node.remove(GROUP).await }).await;
    erased.expect("erased");
    cluster.kill(gone);
    cluster.start(gone).await;
    (cluster, leader, gone)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_comes_back_does_not_vote_until_it_knows_what_it_knew() {
    let (cluster, leader, gone) = with_one_erased().await;
    assert_eq!(cluster.node(gone).group.applied(), LogIndex(0), "it was erased");

    for trial in [true, false] {
        let reply = ask_vote(cluster.node(gone), leader, trial).await;
        assert!(!reply.granted, "it forgot what it voted for, and for whom: {reply:?}");
        assert!(reply.ballot.term > Term(0), "its vote went with the rest: {reply:?}");
    }
    let (after, address) = (cluster.keep(b"afterwards").await, cluster.addresses[gone].clone());
    let add = |group: Group<Ledger>| async move { group.add_learner(id(gone), &address).await };
    cluster.node(leader).run(add).await.expect("added");
    cluster.agree(after).await;

    // It has applied all, and may be told only then that this is all there is to know.
    let votes = async || ask_vote(cluster.node(gone), leader, false).await.granted.then_some(());
    eventually("it votes, since it knows all again", votes).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_has_left_its_maker_is_not_made_again() {
    let (cluster, leader, gone) = with_one_erased().await;
    let (alone, address) = (id(gone), cluster.addresses[gone].clone());
    let voters: [(NodeId, String); 1] = [(alone, address.clone())];

    let made = cluster.node(gone).run(|group| async move { group.bootstrap(&voters).await }).await;

    made.expect("there is nothing to do");
    let after = cluster.keep(b"afterwards").await;
    let add = |group: Group<Ledger>| async move { group.add_learner(alone, &address).await };
    cluster.node(leader).run(add).await.expect("added");
    cluster.agree(after).await;
    let leader_of_it =
        eventually("it follows", async || cluster.node(gone).group.leadership().borrow().leader);
    assert_eq!(leader_of_it.await, id(leader));
    cluster.stop().await;
}
