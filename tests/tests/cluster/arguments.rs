//! What queues do by their arguments, for clients of nodes that do not lead them, and after the
//! node that does was killed.
//!
//! One cluster serves many checks. Each [`Check`] does its first half through a [`Stage`] whose
//! clients are on nodes that lead nothing of it, and gives its second half, which runs once the
//! leader's node was killed. With `WARREN_TEST_CHECKS=text` only those run whose name has the text.

mod browse;
mod consuming;
mod deaths;
mod exchanges;
mod leases;
mod lengths;
mod once;
mod policies;
mod streams;
mod times;
mod transactions;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use warren_tests::cluster::{Cluster, Queue};
use warren_tests::http::Client as Api;
use warren_tests::node::unique;
use warren_tests::wire::{Field, Pack, consume, id, pairs, settle};

use crate::support::{Client, await_that};

pub use warren_tests::wire::Properties;

/// How long who leads must have led: longer than it takes until a lead goes where it belongs.
const SETTLED: Duration = Duration::from_secs(4);

/// What a check does once the leader's node was killed.
type Later = Box<dyn FnOnce(&Stage)>;

/// The first half of a check.
type Check = fn(&Stage) -> Later;

const CHECKS: &[(&str, Check)] = &[
    // What is kept is kept for a minute.
    ("session_id, classic", |stage| leases::kept(stage, CLASSIC)),
    ("session_id, quorum", |stage| leases::kept(stage, QUORUM)),
    ("leases, classic", |stage| leases::returned(stage, CLASSIC)),
    ("leases, quorum", |stage| leases::returned(stage, QUORUM)),
    ("leases, extended", leases::extended),
    ("x-consumer-timeout-action, close", leases::closed),
    ("x-recent-history", leases::history),
    ("drop-head, classic", |stage| lengths::drop_head(stage, CLASSIC)),
    ("drop-head, quorum", |stage| lengths::drop_head(stage, QUORUM)),
    ("max-length-bytes, classic", |stage| lengths::bytes(stage, CLASSIC)),
    ("max-length-bytes, quorum", |stage| lengths::bytes(stage, QUORUM)),
    ("reject-publish, classic", |stage| lengths::reject_publish(stage, CLASSIC)),
    ("reject-publish, quorum", |stage| lengths::reject_publish(stage, QUORUM)),
    ("reject-publish-dlx", lengths::reject_publish_dlx),
    ("dead-letter exchange, classic", |stage| deaths::two_hops(stage, CLASSIC)),
    ("dead-letter exchange, quorum", |stage| deaths::two_hops(stage, QUORUM)),
    ("dead-letter strategy", deaths::at_least_once),
    ("delivery-limit", deaths::delivery_limit),
    ("delivery-limit, by default", deaths::default_delivery_limit),
    ("max-priority", consuming::classic_priorities),
    ("priorities of quorum queues", consuming::quorum_priorities),
    ("single active consumer, classic", |stage| consuming::single_active(stage, CLASSIC)),
    ("single active consumer, quorum", |stage| consuming::single_active(stage, QUORUM)),
    ("single active consumer, taken over", consuming::takeover),
    ("equality on declaring again", consuming::equality),
    ("policies", policies::lesser_counts),
    ("policies of exchanges", policies::alternate_exchange),
    ("limits", policies::limits),
    ("default queue type", policies::default_type),
    ("x-consistent-hash", exchanges::consistent_hash),
    ("x-random", exchanges::random),
    ("x-delayed-message", exchanges::scheduled),
    ("x-dedup-window, classic", |stage| once::reconnected(stage, CLASSIC)),
    ("x-dedup-window, quorum", |stage| once::reconnected(stage, QUORUM)),
    ("x-deduplication-header", once::by_header),
    ("x-retry, classic", |stage| once::retried(stage, CLASSIC)),
    ("x-retry, quorum", |stage| once::retried(stage, QUORUM)),
    ("parking", once::parked),
    ("scheduled messages, listed and cancelled", once::cancelled),
    ("messages, dropped and moved, classic", |stage| browse::sorted(stage, CLASSIC)),
    ("messages, dropped and moved, quorum", |stage| browse::sorted(stage, QUORUM)),
    ("messages, not to be moved", browse::refused),
    ("streams, offsets", streams::offsets),
    ("streams, ahead", streams::ahead),
    ("streams, credit", streams::credit),
    ("streams, refusals", streams::refusals),
    ("streams, filters", streams::filters),
    ("streams, kept by size", streams::kept_by_size),
    ("streams, kept by age", streams::kept_by_age),
    ("streams, deleted", streams::deleted),
    ("streams, targets", streams::targets),
    ("streams, large", streams::large),
    ("streams, shown", streams::shown),
    ("streams, declared", streams::declared),
    ("streams, minded", streams::minded),
    ("tx, classic", |stage| transactions::commit_and_rollback(stage, CLASSIC)),
    ("tx, quorum", |stage| transactions::commit_and_rollback(stage, QUORUM)),
];

/// Kinds of queue, as `x-queue-type` has them.
const CLASSIC: &str = "classic";
const QUORUM: &str = "quorum";

#[test]
fn arguments_mean_the_same_on_every_node_and_after_the_leader_was_killed() {
    // With one shard the clients' nodes lead nothing.
    check_all(&["--shards", "1"]);
}

#[test]
fn arguments_mean_the_same_for_queues_of_several_shards_of_which_some_change_their_leader() {
    check_all(&[]);
}

fn check_all(arguments: &[&str]) {
    let Some(mut stage) = Stage::begin(arguments) else { return };
    let wanted = std::env::var("WARREN_TEST_CHECKS").unwrap_or_default();

    let begin = |(name, check): &(&'static str, Check)| {
        println!("{name}, through a node that does not lead it");
        (*name, check(&stage))
    };
    let checks = CHECKS.iter().filter(|(name, _)| name.contains(&wanted));
    let later: Vec<(&str, Later)> = checks.map(begin).collect();
    stage.kill_leader();

    for (name, check) in later {
        println!("{name}, after the leader was killed");
        check(&stage);
    }
}

/// Three nodes, of which the one will be killed that leads the scout, a queue.
struct Stage {
    cluster: Cluster,
    scout: Queue,
    leader: usize,
}

impl Stage {
    /// Nothing if the tests run against another broker: classic queues are replicated here alone.
    fn begin(arguments: &[&str]) -> Option<Self> {
        if Cluster::is_elsewhere() {
            return None;
        }
        let cluster = Cluster::start_with(3, arguments);
        let scout = cluster.declare("scout", 0);
        let leader = settled_leader(&cluster, &scout);
        Some(Self { cluster, scout, leader })
    }

    fn client(&self) -> Client {
        Client::of(&self.cluster, (self.leader + 1) % 3)
    }

    /// The client of another node that does not lead either.
    fn far_client(&self) -> Client {
        Client::of(&self.cluster, (self.leader + 2) % 3)
    }

    /// The management API of the node that [`Stage::client`] is on.
    fn api(&self) -> Api {
        Api::new(self.cluster.http((self.leader + 1) % 3), "guest", "guest")
    }

    /// The AMQP address of the node that is going to be killed.
    fn leading(&self) -> SocketAddr {
        self.cluster.amqp(self.leader)
    }

    /// The AMQP address of the node that [`Stage::client`] is on.
    fn near(&self) -> SocketAddr {
        self.cluster.amqp((self.leader + 1) % 3)
    }

    /// The AMQP address of the node that [`Stage::far_client`] is on.
    fn far(&self) -> SocketAddr {
        self.cluster.amqp((self.leader + 2) % 3)
    }

    /// Declares a durable queue with a name of its own.
    fn queue(&self, stem: &str, kind: &str, arguments: &[(&str, Field)]) -> String {
        let name = unique(stem);
        self.client().declare_with(&name, &of_kind(kind, arguments));
        name
    }

    /// Kills the node that leads.
    fn kill_leader(&mut self) {
        assert_eq!(self.cluster.leader(&self.scout), self.leader, "the lead has moved meanwhile");
        self.cluster.kill9(self.leader);
    }
}

/// The node that leads a queue, once it has done so for long enough to go on with it.
fn settled_leader(cluster: &Cluster, queue: &Queue) -> usize {
    let mut leader = cluster.leader(queue);
    let mut since = Instant::now();
    await_that("a leader stays", || {
        let found = cluster.leader(queue);
        if found != leader {
            (leader, since) = (found, Instant::now());
        }
        since.elapsed() >= SETTLED
    });
    leader
}

/// Arguments of a queue of this kind.
fn of_kind<'a>(kind: &str, arguments: &[(&'a str, Field)]) -> Vec<(&'a str, Field)> {
    let mut all = vec![("x-queue-type", Field::text(kind))];
    all.extend(arguments.iter().cloned());
    all
}

/// Arguments that send the dead of a queue to another one, over the default exchange.
fn mortal<'a>(dead: &str, more: &[(&'a str, Field)]) -> Vec<(&'a str, Field)> {
    let mut all = vec![
        ("x-dead-letter-exchange", Field::text("")),
        ("x-dead-letter-routing-key", Field::text(dead)),
    ];
    all.extend(more.iter().cloned());
    all
}

/// Consumes on a channel of its own, with a tag and arguments.
fn consume_with(client: &mut Client, queue: &str, prefetch: u16, arguments: &[(&str, Field)]) {
    let qos = Pack::method(id::QOS).u32(0).u16(prefetch).u8(0).frame(1);
    client.wire.call(1, qos, id::QOS_OK).unwrap();
    let consume = consume(1, queue, "tag", 0, &pairs(arguments));
    client.wire.call(1, consume, id::CONSUME_OK).unwrap();
}

/// Publishes and waits for the answer: whether it was taken.
fn offer(client: &mut Client, queue: &str, properties: &Properties, body: &str) -> bool {
    client.send_with(queue, &properties.encode(), body);
    client.is_taken()
}

/// Gives a message back as basic.nack does.
fn nack(client: &mut Client, tag: u64) {
    client.wire.send(&settle(1, id::NACK, tag, 2)).unwrap();
}

/// Waits until so many messages are ready.
fn await_ready(client: &mut Client, queue: &str, count: u32) {
    let mut last = None;
    await_that(&format!("{count} are ready in {queue}"), || {
        let ready = client.counts(queue).0;
        if last.replace(ready) != Some(ready) {
            println!("{ready} are ready in {queue}");
        }
        ready == count
    });
}
