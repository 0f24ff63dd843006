//! Celery's workers and kombu's clients, with the queues that they declare by default and with
//! quorum queues.
//!
//! Every test has a queue, and so workers, of its own. Celery finds out by itself that a queue is
//! a quorum queue: it does without `basic.qos` for the channel then, and has the broker wait for
//! what is to run later, by way of 28 queues whose messages expire into each other.

use std::net::SocketAddr;

use warren_tests::node::{self, unique};
use warren_tests::python::{CELERY, Program};
use warren_tests::wire::{Flags, Wire};

/// The same tests for both types of queue.
macro_rules! with_queues_of {
    ($($kind:ident)*) => {$(
        mod $kind {
            const KIND: &str = stringify!($kind);

            #[test]
            fn results_come_back() {
                super::results_come_back(KIND);
            }

            #[test]
            fn tasks_that_fail_are_tried_again_later() {
                super::tasks_that_fail_are_tried_again_later(KIND);
            }

            #[test]
            fn tasks_with_a_countdown_run_then() {
                super::tasks_with_a_countdown_run_then(KIND);
            }

            #[test]
            fn tasks_run_by_priority() {
                super::tasks_run_by_priority(KIND);
            }

            #[test]
            fn the_task_of_a_killed_worker_is_done_by_another() {
                super::the_task_of_a_killed_worker_is_done_by_another(KIND);
            }

            #[test]
            fn workers_find_each_other_and_obey_and_tell() {
                super::workers_find_each_other_and_obey_and_tell(KIND);
            }

            #[test]
            fn kombu_does_what_it_promises() {
                super::kombu_does_what_it_promises(KIND);
            }
        }
    )*};
}

with_queues_of! { classic quorum }

fn results_come_back(kind: &str) {
    let site = Site::of("results", kind);
    let _worker = site.worker("one", "prefork", 2, 4);

    assert_eq!(site.client("results"), ["3 + 4 = 7", "sums True", "chain 10"]);
}

fn tasks_that_fail_are_tried_again_later(kind: &str) {
    let site = Site::of("retries", kind);
    let worker = site.worker("one", "prefork", 2, 4);

    let said = site.client("retries");

    assert_eq!(said, ["retries 2", "in time True", "gave up: not yet"]);
    assert_eq!(worker.said("try "), ["0", "1", "2", "0", "1", "2", "3"]);
}

fn tasks_with_a_countdown_run_then(kind: &str) {
    let site = Site::of("later", kind);
    let _worker = site.worker("one", "prefork", 2, 4);

    let said = site.client("later");

    let [at_once, brief, eta, slow, expired] = said.as_slice() else { panic!("{said:?}") };
    for (said, what) in
        [(at_once, "at once"), (brief, "countdown 1"), (eta, "eta 2"), (slow, "countdown 3")]
    {
        assert_eq!(*said, format!("{what}: in time"));
    }
    assert_eq!(expired, "expired: TaskRevokedError");
    // Who did the waiting.
    assert_eq!(site.has_queue("celery_delayed_0"), kind == "quorum");
}

fn tasks_run_by_priority(kind: &str) {
    let site = Site::of("priorities", kind);

    site.client("priorities");
    // One after the other, none of them ahead of its time.
    let worker = site.worker("one", "solo", 1, 1);

    let order = worker.wait_for("did priority ", 6);
    // The first may have been given out before the others were there to be compared.
    assert_eq!(order, ["9", "9", "6", "3", "1", "0"]);
}

fn the_task_of_a_killed_worker_is_done_by_another(kind: &str) {
    let site = Site::of("killed", kind);
    let mut doomed = site.worker("doomed", "prefork", 1, 1);
    let client = site.start_client("hangs");
    doomed.wait_for("hanging", 1);
    let heir = site.worker("heir", "prefork", 1, 1);

    doomed.kill9();

    heir.wait_for("again", 1);
    assert_eq!(client.finish(), ["result finished elsewhere"]);
}

fn workers_find_each_other_and_obey_and_tell(kind: &str) {
    let site = Site::of("control", kind);
    let first = site.worker("one", "prefork", 1, 1);
    let second = site.worker("two", "prefork", 1, 1);

    // The second asked around when it came, and both hear of each other's comings and goings.
    assert_eq!(second.wait_for("mingle: ", 1), ["sync with 1 nodes"]);
    first.wait_for("gossip two", 1);
    assert_eq!(site.client("events"), ["missing []"]);
    let said = site.client("control");
    let pong = "{'ok': 'pong'}";
    let expected = [
        "ping ['one', 'two']",
        "queues True",
        "registered True",
        "stats 2",
        "rate limit ['new rate', 'new rate']",
        &format!("broadcast [{pong}, {pong}]"),
        "revoked True",
        "no consumers 0",
    ];
    assert_eq!(said, expected);
}

fn kombu_does_what_it_promises(kind: &str) {
    for (scenario, expected) in [
        ("simple", &["simple [0, 1, 2]", "left 0", "empty"][..]),
        ("mixin", &["answers [('0', 0), ('1', 1), ('2', 2)]"]),
        ("fanout", &["copies 3 {'news'}", "gone 3"]),
        ("again", &["bodies ['before', 'after']"]),
        ("heartbeats", &["every 2.0 s", "alive"]),
    ] {
        let queue = unique(scenario);
        let said = CELERY.run(node::shared(), "mixins", &[&queue, kind, scenario]);
        assert_eq!(said, expected, "{scenario}");
    }
}

/// A queue, and who works with it.
struct Site {
    broker: SocketAddr,
    queue: String,
    kind: String,
}

impl Site {
    fn of(stem: &str, kind: &str) -> Self {
        Self { broker: node::shared(), queue: unique(stem), kind: kind.to_owned() }
    }

    /// A worker with a pool of so many, which takes so many tasks ahead for each, once it is ready.
    fn worker(&self, name: &str, pool: &str, size: usize, ahead: usize) -> Program {
        let (size, ahead) = (size.to_string(), ahead.to_string());
        let arguments = [&self.queue, &self.kind, name, pool, &size, &ahead];
        let worker = CELERY.start(self.broker, "worker", &arguments);
        worker.wait_for("ready", 1);
        worker
    }

    fn start_client(&self, scenario: &str) -> Program {
        CELERY.start(self.broker, "client", &[&self.queue, &self.kind, scenario])
    }

    fn client(&self, scenario: &str) -> Vec<String> {
        self.start_client(scenario).finish()
    }

    fn has_queue(&self, name: &str) -> bool {
        let mut wire = Wire::open_channel(self.broker).unwrap();
        wire.declare(1, name, Flags::PASSIVE, &[]).is_ok()
    }
}
