//! Calls between nodes that are answered once.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use warren_types::{BootId, GroupId, LogIndex, NodeId};

use super::kit::*;
use crate::{
    Caller, ClusterId, Distress, Followed, Founded, Hello, HelloReply, Identity, Incarnation, Join,
    PeerError, Peers, Ping, Place, Pong, Verdict,
};

const TOKEN: u128 = u128::MAX - 7;

fn join() -> Join {
    let text = |text: &str| text.to_owned();
    Join { token: TOKEN, name: text("näme"), address: text("here:1"), zone: text("") }
}

#[tokio::test]
async fn every_call_brings_its_answer() {
    let host = Host::start(desk(Frontend::silent())).await;
    let peers = host.peers();

    let proposed = peers.propose(HOST, Bytes::from_static(b"what"), PATIENCE).await;
    assert_eq!(proposed.expect("led"), (LogIndex(12), Bytes::from_static(b"what")));
    for draining in [false, true] {
        let distress = Distress { disk: draining, memory: !draining, stalled: draining };
        let ping = Ping { draining, distress };
        let pong = peers.ping(HOST, ping, PATIENCE).await.expect("answered");
        let (serving, forgotten) = (!draining, draining);
        assert_eq!(pong, Pong { boot: HOST_BOOT, draining, serving, distress, forgotten });
    }
    for (about, verdict) in [(1, Verdict::Alive), (2, Verdict::Gone), (3, Verdict::Silent)] {
        let said = peers.probe(HOST, NodeId(about), PATIENCE).await.expect("answered");
        assert_eq!(said, verdict);
    }
    for group in [LED, FOLLOWED] {
        let said = peers.group_status(HOST, group, PATIENCE).await.expect("answered");
        assert_eq!(said, status(group));
    }
    for nonce in [1, 2] {
        assert_eq!(peers.listens(HOST, nonce, PATIENCE).await.expect("answered"), nonce == 1);
    }
    let wanted =
        || vec![(LogIndex(1), vec![0, u32::MAX]), (LogIndex(2), vec![]), (LogIndex(9), vec![5])];
    let row = |index| (LogIndex(index), Bytes::from_static(b"row"));
    for place in [Place::Shard(LED), Place::Local { boot: HOST_BOOT, slot: u16::MAX }] {
        let rows = peers.rows(HOST, place, wanted(), PATIENCE).await.expect("answered");
        assert_eq!(rows, [row(1), row(9)]);
    }
    let question = Bytes::from_static(b"two");
    let place = Place::Shard(LED);
    let followed = peers.follow(HOST, place, question.clone(), PATIENCE).await.expect("answered");
    assert_eq!(followed, Followed { head: question, rows: vec![row(1), row(2), row(3)] });
}

#[tokio::test]
async fn each_way_to_refuse_arrives_as_what_it_was() {
    let host = Host::start(desk(Frontend::silent())).await;
    let peers = host.peers();

    let error = peers.propose(HOST, Bytes::new(), PATIENCE).await.expect_err("not led");
    assert!(matches!(error, PeerError::NotLeader { group: GroupId::CATALOG, .. }), "{error:?}");
    let error = peers.group_status(HOST, GroupId(50), PATIENCE).await.expect_err("unknown");
    assert!(matches!(error, PeerError::UnknownGroup { group: GroupId(50), .. }), "{error:?}");
    let error = peers.group_status(HOST, STARTING, PATIENCE).await.expect_err("starting");
    assert!(matches!(error, PeerError::Unavailable { node: HOST, .. }), "{error:?}");
    let error = peers.group_status(HOST, BROKEN, PATIENCE).await.expect_err("broken");
    assert!(matches!(error, PeerError::Failed { node: HOST, .. }), "{error:?}");
    let error = peers.probe(HOST, NodeId(50), PATIENCE).await.expect_err("unknown");
    assert!(matches!(error, PeerError::NotHere { node: HOST }), "{error:?}");
    let elsewhere = Place::Local { boot: BootId(8), slot: 0 };
    let error = peers.rows(HOST, elsewhere, vec![], PATIENCE).await.expect_err("not here");
    assert!(matches!(error, PeerError::NotHere { node: HOST }), "{error:?}");
    let question = Bytes::from_static(b"q");
    let error = peers.follow(HOST, elsewhere, question, PATIENCE).await.expect_err("not here");
    assert!(matches!(error, PeerError::NotHere { node: HOST }), "{error:?}");
    let error =
        peers.rows(HOST, Place::Shard(FOLLOWED), vec![], PATIENCE).await.expect_err("not here");
    assert!(matches!(error, PeerError::UnknownGroup { group: FOLLOWED, .. }), "{error:?}");
}

#[tokio::test]
async fn hello_and_join_are_answered_between_nodes_that_are_nobody() {
    let desk = TestDesk::new();
    let cluster = Arc::new(Cluster::default());
    desk.set_cluster(Arc::clone(&cluster));
    let host = Host::start(Arc::new(desk)).await;
    let peers = Peers::new_unknown();

    for founding in [false, true] {
        let hello = Hello { token: TOKEN, founding };
        let reply = peers.hello(&host.address, hello, PATIENCE).await.expect("answered");
        let promised = founding;
        assert_eq!(reply, HelloReply { token: TOKEN + 1, cluster: None, promised });
    }
    let reply = peers.join(&host.address, join(), PATIENCE).await.expect("answered");
    assert_eq!(reply, welcome());
    let heard = cluster.heard.lock().unwrap().clone();
    assert_eq!(heard.last(), Some(&format!("{:?}", join())));
}

#[tokio::test]
async fn hello_tells_which_cluster_there_is() {
    let host = Host::start(desk(Frontend::silent())).await;

    let hello = Hello { token: 1, founding: false };
    let reply = Peers::new_unknown().hello(&host.address, hello, PATIENCE).await;

    let founded = Founded { cluster: ClusterId(77), incarnation: Incarnation(3), node: HOST };
    assert_eq!(reply.expect("answered").cluster, Some(founded));
}

/// What every checked call that is answered once brings.
async fn ask_all(peers: &Peers, node: NodeId) -> Vec<PeerError> {
    let outcomes = [
        peers.propose(node, Bytes::from_static(b"what"), PATIENCE).await.err(),
        peers.ping(node, Ping::default(), PATIENCE).await.err(),
        peers.probe(node, NodeId(1), PATIENCE).await.err(),
        peers.group_status(node, LED, PATIENCE).await.err(),
        peers.listens(node, 1, PATIENCE).await.err(),
        peers.rows(node, Place::Shard(LED), vec![], PATIENCE).await.err(),
        peers.front(node, stream::pending(), PATIENCE).await.err(),
        peers.raft(node, LED).progress(PATIENCE).await.err(),
    ];
    outcomes.into_iter().map(|error| error.expect("refused")).collect()
}

#[tokio::test]
async fn strangers_are_refused_before_anybody_hears_of_them() {
    let desk = TestDesk::new();
    desk.set_identity(identity(HOST, HOST_BOOT));
    let cluster = Arc::new(Cluster::default());
    desk.set_cluster(Arc::clone(&cluster));
    desk.set_frontend(Frontend::new(Bytes::new(), |_, _| panic!("a stranger came through")));
    let host = Host::start(Arc::new(desk)).await;
    let ours = identity(CALLER, CALLER_BOOT);
    let strangers = [
        (Identity { cluster: ClusterId(78), ..ours }, HOST),
        (Identity { incarnation: Incarnation(2), ..ours }, HOST),
        // One of us, but whom it calls is another node.
        (ours, NodeId(3)),
    ];

    for (stranger, node) in strangers {
        let peers = Peers::new(stranger);
        peers.set_address(node, &host.address);
        for error in ask_all(&peers, node).await {
            assert!(matches!(error, PeerError::Stranger { .. }), "{error:?}");
        }
    }
    assert_eq!(*cluster.heard.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn an_empty_place_at_the_desk_is_unavailable_until_somebody_sits_there() {
    let desk = Arc::new(TestDesk::new());
    let host = Host::start(Arc::clone(&desk)).await;
    let peers = host.peers();
    let unavailable = |error: &PeerError| matches!(error, PeerError::Unavailable { .. });

    let hello = Hello { token: 1, founding: false };
    let error = peers.hello(&host.address, hello, PATIENCE).await.expect_err("nobody");
    assert!(unavailable(&error), "{error:?}");
    let error = peers.join(&host.address, join(), PATIENCE).await.expect_err("nobody");
    assert!(unavailable(&error), "{error:?}");
    // First it is not known who this is, then nobody is there.
    assert!(ask_all(&peers, HOST).await.iter().all(unavailable));
    desk.set_identity(identity(HOST, HOST_BOOT));
    assert!(ask_all(&peers, HOST).await.iter().all(unavailable));

    desk.set_cluster(Arc::default());
    desk.set_frontend(Frontend::silent());
    let pong = peers.ping(HOST, Ping::default(), PATIENCE).await.expect("somebody");
    assert_eq!(pong.boot, HOST_BOOT);
    assert!(peers.listens(HOST, 1, PATIENCE).await.expect("somebody"));
    let error = peers.raft(HOST, LED).progress(PATIENCE).await.expect_err("nobody");
    assert!(unavailable(&error), "{error:?}");
}

#[tokio::test]
async fn a_handler_hears_who_calls() {
    let desk = TestDesk::new();
    desk.set_identity(identity(HOST, HOST_BOOT));
    let cluster = Arc::new(Cluster::default());
    desk.set_cluster(Arc::clone(&cluster));
    let host = Host::start(Arc::new(desk)).await;

    host.peers().ping(HOST, Ping::default(), PATIENCE).await.expect("answered");

    let caller = Caller { node: CALLER, boot: CALLER_BOOT };
    assert_eq!(*cluster.heard.lock().unwrap(), [format!("{caller:?}")]);
}

#[tokio::test]
async fn where_nobody_listens_the_process_is_gone() {
    let host = Host::start(desk(Frontend::silent())).await;
    let (peers, address) = (host.peers(), host.address.clone());
    host.stop().await;

    let error = peers.ping(HOST, Ping::default(), PATIENCE).await.expect_err("gone");
    assert!(matches!(error, PeerError::Gone { node: HOST, .. }), "{error:?}");
    let hello = Hello { token: 1, founding: false };
    let error = peers.hello(&address, hello, PATIENCE).await.expect_err("gone");
    assert!(matches!(error, PeerError::Gone { node: NodeId(0), .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_no_address_is_not_called() {
    let peers = Peers::new(identity(CALLER, CALLER_BOOT));
    peers.set_address(HOST, "not an address");

    let error = peers.ping(HOST, Ping::default(), PATIENCE).await.expect_err("nowhere");
    assert!(matches!(error, PeerError::NoAddress { node: HOST }), "{error:?}");
    let error = peers.ping(NodeId(7), Ping::default(), PATIENCE).await.expect_err("unknown");
    assert!(matches!(error, PeerError::NoAddress { node: NodeId(7) }), "{error:?}");
    let hello = Hello { token: 1, founding: false };
    let error = peers.hello("not an address", hello, PATIENCE).await.expect_err("nowhere");
    assert!(matches!(error, PeerError::NoAddress { node: NodeId(0) }), "{error:?}");
}
