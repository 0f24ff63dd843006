//! What acknowledgements cost, and whom they keep waiting.

use tokio::time::{Duration, Instant, sleep};
use warren_types::{GroupId, LogIndex};

use super::client::declare;
use super::operators::{Cluster, eventually};
use super::wire::{self, Method, Wire};
use crate::survey::Which;

const QUEUE: &str = "patient";

const MESSAGES: u64 = 50;

/// Three nodes, a client of one that publishes and consumes, and the queue's shard.
async fn client(prefetch: u16) -> (Cluster, Wire, GroupId) {
    let cluster = Cluster::start().await;
    let mut wire = cluster.client(2).await;
    declare(&mut wire, QUEUE).await.unwrap();
    wire.send(Method::new(85, 10).u8(0)).unwrap();
    wire.expect(wire::SELECT_OK).await.unwrap();
    wire.send(Method::new(60, 10).u32(0).u16(prefetch).u8(0)).unwrap();
    wire.expect(wire::QOS_OK).await.unwrap();
    let placement = cluster.broker(2).look(|it| it.queue("/", QUEUE).unwrap().placement);
    let warren_catalog::Placement::Shard(group) = placement else { panic!("it is durable") };
    (cluster, wire, group)
}

async fn consume(wire: &mut Wire) {
    wire.send(Method::new(60, 20).u16(0).short(QUEUE).short("c").u8(0).u32(0)).unwrap();
    wire.expect(wire::CONSUME_OK).await.unwrap();
}

fn ack(wire: &Wire, tag: u64) {
    wire.send(Method::new(60, 80).u64(tag).u8(0)).unwrap();
}

fn last(cluster: &Cluster, group: GroupId) -> LogIndex {
    let applied = |spot| {
        let node = cluster.homes[spot].serving().unwrap();
        node.consensus.status(group).unwrap().applied
    };
    [1, 2, 3].iter().map(applied).max().unwrap()
}

/// How many messages wait and are held, as the node says that leads the queue.
async fn figures(cluster: &Cluster) -> Option<(u64, u64)> {
    let id = cluster.broker(2).look(|it| it.queue("/", QUEUE).unwrap().id);
    let listing = cluster.broker(2).queue_figures(Which::These(vec![id])).await;
    listing.rows.first().map(|row| (row.ready, row.unacknowledged))
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_shares_its_entry_with_the_next_publish() {
    let (cluster, mut wire, group) = client(100).await;
    consume(&mut wire).await;
    let before = last(&cluster, group);

    for tag in 1..=MESSAGES {
        wire.publish(QUEUE, b"it").unwrap();
        let (mut delivered, mut confirmed) = (false, false);
        while !(delivered && confirmed) {
            let said = wire.hear().await.unwrap().method;
            delivered |= said == wire::DELIVER;
            confirmed |= said == wire::ACK;
        }
        ack(&wire, tag);
    }
    eventually("all is acknowledged", async || figures(&cluster).await == Some((0, 0))).await;

    let entries = last(&cluster, group).0 - before.0;
    assert!((MESSAGES..MESSAGES + 10).contains(&entries), "{entries} entries");
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_with_nobody_behind_it_is_done_soon() {
    let (cluster, mut wire, group) = client(100).await;
    consume(&mut wire).await;
    wire.publish(QUEUE, b"it").unwrap();
    while wire.hear().await.unwrap().method != wire::DELIVER {}
    sleep(Duration::from_secs(1)).await;
    let before = last(&cluster, group);

    ack(&wire, 1);
    let asked = Instant::now();
    eventually("it is acknowledged", async || last(&cluster, group) > before).await;

    assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
    assert_eq!(figures(&cluster).await, Some((0, 0)));
}

#[tokio::test(start_paused = true)]
async fn who_takes_one_at_a_time_is_given_the_next_at_once() {
    let (cluster, publisher, _) = client(1).await;
    for _ in 0..MESSAGES {
        publisher.publish(QUEUE, b"it").unwrap();
    }
    eventually("all wait", async || figures(&cluster).await == Some((MESSAGES, 0))).await;
    let mut wire = cluster.client(2).await;
    wire.send(Method::new(60, 10).u32(0).u16(1).u8(0)).unwrap();
    wire.expect(wire::QOS_OK).await.unwrap();
    consume(&mut wire).await;
    let begin = Instant::now();

    for tag in 1..=MESSAGES {
        wire.expect(wire::DELIVER).await.unwrap();
        ack(&wire, tag);
    }

    // Each is a commit and a way there and back, and no more.
    assert!(begin.elapsed() < Duration::from_millis(7 * MESSAGES), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_dies_while_its_acknowledgement_waits_is_not_waited_for() {
    for after_ms in 0..8 {
        let (mut cluster, mut wire, group) = client(100).await;
        consume(&mut wire).await;
        wire.publish(QUEUE, b"it").unwrap();
        while wire.hear().await.unwrap().method != wire::DELIVER {}
        sleep(Duration::from_millis(100)).await;
        ack(&wire, 1);
        sleep(Duration::from_millis(after_ms)).await;

        cluster.crash(2);

        let leads = |spot: &super::network::Spot| {
            let node = cluster.homes[spot].serving();
            node.is_some_and(|node| node.consensus.status(group).unwrap().leadership.here)
        };
        // A leader that turned in a circle would let no time pass.
        eventually("somebody leads", async || [1, 3].iter().any(leads)).await;
        sleep(Duration::from_secs(1)).await;
    }
}
