//! What operators see of a cluster and do to it, while its nodes live, fall silent and are drained.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use warren_types::QueueId;

use super::chance::Chance;
use super::client::declare;
use super::history::History;
use super::network::{HoldId, Network, Spot};
use super::node::{Home, Homes};
use super::plan::Settings;
use super::wire::{self, Ended, Method, Wire};
use crate::admin::{AckMode, Actor, AdminError, Publication};
use crate::broker::Broker;
use crate::connection::operator::Published;
use crate::directory::name;
use crate::grants::Grants;
use crate::maintenance::DrainState;
use crate::survey::{Gathered, Verdict, Which};

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes.
pub(super) struct Cluster {
    pub(super) network: Network,
    pub(super) homes: Homes,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let network = Network::new(Chance::new(1));
        let history = History::default();
        let homes: Homes =
            [1, 2, 3].map(|spot| (spot, Home::new(spot, Settings::new(Chance::new(1))))).into();
        let mut cluster = Self { network, homes };
        for spot in [1, 2, 3] {
            let home = cluster.homes.get_mut(&spot).unwrap();
            home.start(&cluster.network, vec![1], &history);
            let home = &cluster.homes[&spot];
            eventually("it serves", async || home.serving().is_some()).await;
        }
        eventually("the cluster is complete", async || {
            [1, 2, 3].into_iter().all(|spot| {
                let overview = cluster.broker(spot).overview().cluster;
                (overview.nodes_running, overview.replicas_missing, overview.leaderless)
                    == (3, 0, 0)
            })
        })
        .await;
        cluster
    }

    pub(super) fn broker(&self, spot: Spot) -> Broker {
        self.homes[&spot].serving().unwrap().broker
    }

    pub(super) async fn client(&self, spot: Spot) -> Wire {
        let mut wire = self.homes[&spot].connect().unwrap();
        wire.open().await.unwrap();
        wire
    }

    pub(super) fn crash(&mut self, spot: Spot) {
        let home = self.homes.get_mut(&spot).unwrap();
        home.crash(&self.network, Chance::new(2));
    }

    pub(super) fn start_again(&mut self, spot: Spot) {
        let home = self.homes.get_mut(&spot).unwrap();
        home.start(&self.network, vec![1], &History::default());
    }

    /// From here on nothing is heard of a node, and it hears nothing.
    pub(super) fn freeze(&self, frozen: Spot) -> HoldId {
        let others = [1, 2, 3].into_iter().filter(|spot| *spot != frozen);
        let held = others.flat_map(|other| [(frozen, other), (other, frozen)]);
        self.network.hold(BTreeSet::from_iter(held))
    }

    fn queue(&self, queue: &str) -> QueueId {
        self.broker(1).look(|catalog| catalog.queue("/", queue).unwrap().id)
    }
}

pub(super) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !condition().await {
        assert!(begin.elapsed() < PATIENCE, "{what}: not in time");
        sleep(Duration::from_millis(20)).await;
    }
}

fn operator() -> Actor {
    let (tags, grants) = (Vec::new(), Grants::Catalog);
    Actor { user: name("guest"), tags, grants, trusted: false, from: None }
}

fn message(exchange: &str, routing_key: &str, payload: &'static str) -> Publication {
    Publication {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        properties: Default::default(),
        payload: Bytes::from_static(payload.as_bytes()),
    }
}

/// A consumer with a prefetch of 1 that acknowledges nothing.
async fn consume(wire: &mut Wire, queue: &str) -> Result<(), Ended> {
    wire.send(Method::new(60, 10).u32(0).u16(1).u8(0))?;
    wire.expect(wire::QOS_OK).await?;
    wire.send(Method::new(60, 20).u16(0).short(queue).short("lazy").u8(0).u32(0))?;
    wire.expect(wire::CONSUME_OK).await?;
    wire.expect(wire::DELIVER).await?;
    Ok(())
}

async fn publish_three(cluster: &Cluster, queue: &str) {
    let mut wire = cluster.client(1).await;
    declare(&mut wire, queue).await.unwrap();
    for payload in ["one", "two", "three"] {
        let message = message("", queue, payload);
        let published = cluster.broker(1).publish(&operator(), "/", message).await;
        assert_eq!(published, Ok(Published::Routed));
    }
}

#[tokio::test(start_paused = true)]
async fn every_node_tells_the_same_of_clients_and_queues() {
    let cluster = Cluster::start().await;
    publish_three(&cluster, "q").await;
    let mut consumer = cluster.client(2).await;
    consume(&mut consumer, "q").await.unwrap();
    let queue = cluster.queue("q");

    for spot in [1, 2, 3] {
        let broker = cluster.broker(spot);
        let connections = broker.connections().await;
        assert_eq!((connections.rows.len(), connections.stale.len()), (1, 0), "one has gone");
        let channels = broker.channels().await.rows;
        assert_eq!(channels[0].messages_unacknowledged, 1);
        assert_eq!((channels[0].counts.deliver, channels[0].prefetch_count), (1, 1));
        let consumers = broker.consumers().await.rows;
        assert_eq!((&*consumers[0].tag, consumers[0].queue), ("lazy", queue));
        let these = broker.queue_figures(Which::These(vec![queue])).await;
        let all = broker.queue_figures(Which::All).await;
        assert_eq!(these, all);
        let figures = &these.rows[0];
        assert_eq!((figures.ready, figures.unacknowledged, figures.consumers), (2, 1, 1));
        assert_eq!((figures.counts.publish, figures.counts.deliver), (3, 1));
        let detail = &broker.queue_detail(queue).await.rows[0];
        assert_eq!(detail.holders[0].unacknowledged, 1);
        assert_eq!(detail.holders[0].consumer, consumers[0].consumer);
        let nodes = broker.nodes().await.rows;
        let totals = nodes.iter().filter_map(|node| node.figures.as_ref());
        let waiting: u64 = totals.clone().map(|figures| figures.ready).sum();
        let held: u64 = totals.map(|figures| figures.unacknowledged).sum();
        assert_eq!((waiting, held), (2, 1));
        let groups: Vec<u32> = broker.shards().await.rows.iter().map(|row| row.group.0).collect();
        assert_eq!(BTreeSet::from_iter(groups), BTreeSet::from([0, 1, 2]));
    }
}

#[tokio::test(start_paused = true)]
async fn lists_have_the_rest_within_two_seconds_and_name_the_node_that_is_silent() {
    let cluster = Cluster::start().await;
    publish_three(&cluster, "q").await;
    let _there = cluster.client(2).await;
    let _gone = cluster.client(3).await;
    let broker = cluster.broker(1);

    cluster.freeze(3);
    let begin = Instant::now();
    let connections = broker.connections().await;
    let took = begin.elapsed();
    let nodes = broker.nodes().await;

    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!((connections.rows.len(), connections.stale), (1, vec!["n3".to_owned()]));
    let answered: Vec<bool> = nodes.rows.iter().map(|node| node.figures.is_some()).collect();
    assert_eq!((answered, nodes.stale), (vec![true, true, false], vec!["n3".to_owned()]));
    let queue = cluster.queue("q");
    eventually("somebody else leads", async || {
        let Gathered { rows, stale } = broker.queue_figures(Which::These(vec![queue])).await;
        rows.len() == 1 && stale == ["n3"]
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_keeps_a_queue_from_moving_is_said() {
    let cluster = Cluster::start().await;
    let mut wire = cluster.client(1).await;
    declare(&mut wire, "empty").await.unwrap();
    publish_three(&cluster, "unread").await;
    publish_three(&cluster, "held").await;
    let mut consumer = cluster.client(2).await;
    consume(&mut consumer, "held").await.unwrap();
    let broker = cluster.broker(3);
    let explain = async |queue: &str| {
        let explanation = broker.explain("/", queue).await.unwrap();
        (explanation.verdict, explanation.findings.first().map(|finding| finding.code))
    };

    assert_eq!(explain("empty").await, (Verdict::Idle, None));
    assert_eq!(explain("unread").await, (Verdict::Waiting, Some("no_consumers")));
    assert_eq!(explain("held").await, (Verdict::Waiting, Some("prefetch_full")));
    let held = broker.explain("/", "held").await.unwrap();
    let text = "No consumer takes more: 1 messages are unacknowledged with \
                'lazy' on 127.0.0.1:1 (1) (1 of 1).";
    assert_eq!(held.summary, text);
    cluster.freeze(3);
    eventually("the others are given up", async || {
        explain("held").await == (Verdict::Stuck, Some("no_leader"))
    })
    .await;
    let missing = cluster.broker(1).explain("/", "missing").await;
    assert!(matches!(missing, Err(AdminError::Refused { code: 404, .. })));
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_looked_at_go_back_and_those_that_are_taken_do_not() {
    let cluster = Cluster::start().await;
    publish_three(&cluster, "q").await;
    let (broker, operator) = (cluster.broker(2), operator());
    let get = async |mode| {
        let got = broker.get_messages(&operator, "/", "q", 2, mode, Some(3)).await.unwrap();
        let told = |one: &crate::Fetched| (one.payload.clone(), one.payload_bytes, one.redelivered);
        got.iter().map(told).collect::<Vec<_>>()
    };
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());

    let looked = get(AckMode::AckRequeueTrue).await;
    let taken = get(AckMode::AckRequeueFalse).await;
    let rest = get(AckMode::AckRequeueFalse).await;
    let none = get(AckMode::AckRequeueFalse).await;

    assert_eq!(looked, [(text("one"), 3, false), (text("two"), 3, false)]);
    assert_eq!(taken, [(text("one"), 3, true), (text("two"), 3, true)]);
    assert_eq!(rest, [(text("thr"), 5, false)]);
    assert_eq!(none, []);
    let figures = broker.queue_figures(Which::All).await.rows;
    assert_eq!((figures[0].ready, figures[0].unacknowledged), (0, 0));
    assert_eq!((figures[0].counts.get, figures[0].counts.ack), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn operators_are_told_what_clients_would_be_told() {
    let cluster = Cluster::start().await;
    let (broker, by) = (cluster.broker(1), operator());
    let nobody = Actor { user: name("nobody"), ..operator() };
    let trusted = Actor { trusted: true, ..nobody.clone() };
    publish_three(&cluster, "q").await;

    let unroutable = broker.publish(&by, "/", message("", "missing", "lost")).await;
    let nowhere = broker.publish(&by, "/", message("missing", "", "lost")).await;
    let refused = broker.purge_queue(&nobody, "/", "q").await;
    let purged = broker.purge_queue(&trusted, "/", "q").await;
    let gone = broker.delete_queue(&by, "/", "missing", false, false).await;

    let refusal = |code, text: &str| AdminError::Refused { code, text: text.to_owned() };
    assert_eq!(unroutable, Ok(Published::Unroutable));
    let text = "NOT_FOUND - no exchange 'missing' in vhost '/'";
    assert_eq!(nowhere, Err(refusal(404, text)));
    let text = "ACCESS_REFUSED - read access to queue 'q' in vhost '/' refused for user 'nobody'";
    assert_eq!(refused, Err(refusal(403, text)));
    assert_eq!(purged, Ok(3));
    assert_eq!(gone, Err(refusal(404, "NOT_FOUND - no queue 'missing' in vhost '/'")));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_from_any_node() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client(2).await;
    let name = cluster.broker(1).connections().await.rows[0].name.clone();

    let closed = cluster.broker(3).close_connection(&name, "out of the way").await;
    let again = cluster.broker(3).close_connection("another", "").await;

    assert_eq!((closed, again), (true, false));
    let said = timeout(PATIENCE, client.expect(wire::CLOSE)).await.unwrap().unwrap();
    let mut arguments = said.arguments;
    let code = bytes::Buf::get_u16(&mut arguments);
    let text = wire::short(&mut arguments);
    assert_eq!((code, &*text), (320, "CONNECTION_FORCED - out of the way"));
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_leads_nothing_and_serves_nobody_until_it_is_revived() {
    let cluster = Cluster::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let drained = cluster.broker(2);
    tokio::spawn(async move { drained.serve(listener).await });
    let listens = async || TcpStream::connect(address).await.is_ok();
    let mut client = cluster.client(2).await;
    let broker = cluster.broker(1);
    let node = broker.node_by_name("n2").unwrap();
    let drain = async || broker.drain_of(node).await.unwrap();
    eventually("it leads something", async || drain().await.leaderships > 0).await;
    assert!(listens().await);

    broker.drain_node(node).await.unwrap();

    timeout(PATIENCE, client.expect(wire::CLOSE)).await.unwrap().unwrap();
    drop(client);
    eventually("it is drained", async || drain().await.state == DrainState::Drained).await;
    assert!(!listens().await);
    let refused = broker.forget_node(node).await;
    assert!(matches!(refused, Err(AdminError::Refused { code: 406, .. })), "{refused:?}");
    broker.revive_node(node).await.unwrap();
    eventually("it listens again", listens).await;
    assert_eq!(drain().await.state, DrainState::Serving);
    let mut client = cluster.client(2).await;
    assert!(timeout(Duration::from_secs(5), client.hear()).await.is_err(), "it may stay");
}
