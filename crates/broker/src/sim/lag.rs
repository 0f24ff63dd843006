//! A node whose copy of the catalog is behind: what it does not know yet harms nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Buf as _;
use tokio::time::sleep;
use warren_types::GroupId;

use super::client::declare;
use super::network::Spot;
use super::operators::{Cluster, eventually};
use super::wire::{self, Method, Wire};

const QUEUE: &str = "again";

/// How long what is held has to have been asked for.
const A_WHILE: Duration = Duration::from_millis(500);

/// Whether a node counts as running, as another one knows.
fn runs(cluster: &Cluster, at: Spot, spot: Spot) -> bool {
    let id = cluster.homes[&spot].id().unwrap();
    cluster.broker(at).look(|catalog| catalog.node(id).is_some_and(|row| row.running))
}

/// It asks the others first, and among them who came back while it heard nothing.
#[tokio::test(start_paused = true)]
async fn a_node_that_hears_again_gives_nobody_up_whom_another_sees() {
    for later_ms in (0..3500).step_by(500) {
        let mut cluster = Cluster::start().await;
        cluster.crash(3);
        eventually("it is given up", async || !runs(&cluster, 2, 3)).await;
        let deaf = cluster.network.hold(BTreeSet::from([(1, 2), (3, 2)]));
        cluster.start_again(3);
        eventually("it is back", async || runs(&cluster, 1, 3)).await;
        eventually("who hears nothing is given up", async || !runs(&cluster, 1, 2)).await;
        sleep(Duration::from_millis(later_ms)).await;

        cluster.network.let_go(deaf);

        while !runs(&cluster, 1, 2) {
            assert!(runs(&cluster, 1, 1), "{later_ms} ms later");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A client at the node that is behind.
struct Late {
    cluster: Cluster,
    wire: Wire,
}

/// Asks a node for something while it does not know that a queue was deleted and declared anew, with a
/// message in it. Returns what it says first once it hears of that.
async fn ask_late(ask: impl Fn(&Wire)) -> (Late, wire::Said) {
    let cluster = Cluster::start().await;
    let leads = |spot: &Spot| {
        let node = cluster.homes[spot].serving().unwrap();
        node.consensus.status(GroupId::CATALOG).is_some_and(|status| status.leadership.here)
    };
    let leader = [1, 2, 3].into_iter().find(leads).unwrap();
    let late = [1, 2, 3].into_iter().find(|spot| *spot != leader).unwrap();
    let (mut here, mut there) = (cluster.client(leader).await, cluster.client(late).await);
    declare(&mut here, QUEUE).await.unwrap();
    declare(&mut there, QUEUE).await.unwrap();
    let held = cluster.network.hold(BTreeSet::from([(leader, late)]));
    delete(&here);
    here.expect(wire::DELETE_OK).await.unwrap();
    declare(&mut here, QUEUE).await.unwrap();
    here.send(Method::new(85, 10).u8(0)).unwrap();
    here.expect(wire::SELECT_OK).await.unwrap();
    here.publish(QUEUE, b"it").unwrap();
    here.expect(wire::ACK).await.unwrap();

    ask(&there);
    sleep(A_WHILE).await;
    cluster.network.let_go(held);

    let said = there.hear().await.unwrap();
    (Late { cluster, wire: there }, said)
}

fn delete(wire: &Wire) {
    wire.send(Method::new(50, 40).u16(0).short(QUEUE).u8(0)).unwrap();
}

/// Method and arguments of queue.delete-ok and queue.purge-ok: how many messages there were.
fn one_message(said: wire::Said) -> ((u16, u16), u32) {
    let mut arguments = said.arguments;
    (said.method, arguments.get_u32())
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_declared_anew_elsewhere_is_deleted() {
    let (late, said) = ask_late(delete).await;

    assert_eq!(one_message(said), (wire::DELETE_OK, 1));
    for spot in [1, 2, 3] {
        let gone = async || late.cluster.broker(spot).look(|it| it.queue("/", QUEUE).is_none());
        eventually("it is gone", gone).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_declared_anew_elsewhere_is_purged() {
    let purge = |wire: &Wire| {
        wire.send(Method::new(50, 30).u16(0).short(QUEUE).u8(0)).unwrap();
    };

    let (_late, said) = ask_late(purge).await;

    assert_eq!(one_message(said), (wire::PURGE_OK, 1));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_declared_anew_elsewhere_is_there() {
    let look = |wire: &Wire| {
        wire.send(Method::new(50, 10).u16(0).short(QUEUE).u8(1).u32(0)).unwrap();
    };

    let (_late, said) = ask_late(look).await;

    assert_eq!(said.method, wire::DECLARE_OK, "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_was_declared_anew_elsewhere_can_be_consumed() {
    let consume = |wire: &Wire| {
        wire.send(Method::new(60, 20).u16(0).short(QUEUE).short("c").u8(0).u32(0)).unwrap();
    };

    let (mut late, said) = ask_late(consume).await;

    assert_eq!(said.method, wire::CONSUME_OK, "{said:?}");
    late.wire.expect(wire::DELIVER).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn from_a_queue_that_was_declared_anew_elsewhere_can_be_got() {
    let get = |wire: &Wire| {
        wire.send(Method::new(60, 70).u16(0).short(QUEUE).u8(0)).unwrap();
    };

    let (_late, said) = ask_late(get).await;

    assert_eq!(said.method, wire::GET_OK, "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_queue_that_was_declared_anew_elsewhere_did_not_take_is_not_confirmed() {
    let publish = |wire: &Wire| {
        wire.send(Method::new(85, 10).u8(0)).unwrap();
        wire.publish(QUEUE, b"late").unwrap();
    };

    let (mut late, said) = ask_late(publish).await;

    assert_eq!(said.method, wire::SELECT_OK, "{said:?}");
    late.wire.expect(wire::NACK).await.unwrap();
}
