//! The programs that RabbitMQ's Python tutorials teach, with pika of today and of long ago.

use std::net::SocketAddr;

use warren_tests::node::{self, unique};
use warren_tests::python::{LATEST, Library, OLD, OLDEST};
use warren_tests::wire::{Flags, PATIENCE, Wire};

/// The same tests for each version of pika.
macro_rules! walks {
    ($($module:ident: $pika:expr,)*) => {$(
        mod $module {
            #[test]
            fn hello_world_arrives() {
                super::hello_world_arrives($pika);
            }

            #[test]
            fn two_workers_share_the_tasks_in_turn() {
                super::two_workers_share_the_tasks_in_turn($pika);
            }

            #[test]
            fn the_task_of_a_killed_worker_goes_to_the_other_flagged() {
                super::the_task_of_a_killed_worker_goes_to_the_other_flagged($pika);
            }

            #[test]
            fn a_persistent_task_outlives_the_broker() {
                super::a_persistent_task_outlives_the_broker($pika);
            }

            #[test]
            fn every_subscriber_gets_a_copy_and_takes_its_queue_along() {
                super::every_subscriber_gets_a_copy_and_takes_its_queue_along($pika);
            }

            #[test]
            fn routing_goes_by_the_key() {
                super::routing_goes_by_the_key($pika);
            }

            #[test]
            fn topics_go_by_patterns() {
                super::topics_go_by_patterns($pika);
            }

            #[test]
            fn remote_calls_are_answered() {
                super::remote_calls_are_answered($pika);
            }

            #[test]
            fn publishers_hear_what_became_of_their_messages() {
                super::publishers_hear_what_became_of_their_messages($pika);
            }

            #[test]
            fn names_in_any_script_work() {
                super::names_in_any_script_work($pika);
            }
        }
    )*};
}

walks! {
    pika_latest: super::LATEST,
    pika_0_13: super::OLD,
    pika_0_10: super::OLDEST,
}

/// Nothing of it is in the library: a lease is extended by publishing, and a client is known by a
/// property that it chooses.
#[test]
fn a_long_job_keeps_its_lease_and_goes_on_with_the_client_that_was_cut_off() {
    let Some(node) = node::own() else { return };
    let (broker, queue) = (node.amqp(), unique("jobs"));
    let mut first = LATEST.start(broker, "long_job", &[&queue, "first"]);
    first.wait_for("waiting", 1);
    let mut wire = Wire::open_channel(broker).unwrap();
    for job in ["short", "hang", "last"] {
        wire.publish_to(1, &queue, job.as_bytes()).unwrap();
    }
    assert_eq!(first.wait_for("extended ", 2), ["short", "hang"]);
    assert_eq!(first.said("over "), ["short"], "what it has settled it does not hold");
    let other = LATEST.start(broker, "long_job", &[&queue, "other"]);
    assert_eq!(other.wait_for("over ", 1), ["last"]);

    first.kill9();

    let again = LATEST.start(broker, "long_job", &[&queue, "first"]);
    assert_eq!(again.wait_for("extended ", 1), ["hang"]);
    assert_eq!(again.said("again "), ["hang"]);
    assert!(other.said("again ").is_empty(), "it was kept for its client");
}

/// The offset is a header like any other, and a prefetch and acknowledgements are all that it takes.
#[test]
fn a_stream_is_read_from_where_each_reader_likes() {
    let Some(node) = node::own() else { return };
    let (broker, queue) = (node.amqp(), unique("events"));
    LATEST.run(broker, "read_stream", &[&queue, "publish", "apple", "bean", "avocado"]);
    let next = LATEST.start(broker, "read_stream", &[&queue, "read", "next"]);
    next.wait_for("waiting", 1);

    let first = LATEST.start(broker, "read_stream", &[&queue, "read", "first"]);
    let second = LATEST.start(broker, "read_stream", &[&queue, "read", "1"]);
    let fruit = LATEST.start(broker, "read_stream", &[&queue, "read", "1h", "a"]);
    assert_eq!(first.wait_for("read ", 3), ["0 apple", "1 bean", "2 avocado"]);
    assert_eq!(second.wait_for("read ", 2), ["1 bean", "2 avocado"]);
    assert_eq!(fruit.wait_for("read ", 2), ["0 apple", "2 avocado"]);
    LATEST.run(broker, "read_stream", &[&queue, "publish", "beet"]);

    assert_eq!(next.wait_for("read ", 1), ["3 beet"]);
    assert_eq!(first.wait_for("read ", 4)[3], "3 beet");
    assert!(fruit.said("again ").is_empty() && fruit.said("read ").len() == 2);
}

fn hello_world_arrives(pika: Library) {
    let broker = node::shared();
    let queue = unique("hello");
    let receiver = pika.start(broker, "receive", &[&queue]);
    receiver.wait_for("waiting", 1);

    let sent = pika.run(broker, "send", &[&queue]);

    assert_eq!(sent, ["sent Hello World!"]);
    assert_eq!(receiver.wait_for("received ", 1), ["Hello World!"]);
}

fn two_workers_share_the_tasks_in_turn(pika: Library) {
    let broker = node::shared();
    let queue = unique("tasks");
    let workers =
        [pika.start(broker, "worker", &[&queue]), pika.start(broker, "worker", &[&queue])];
    for worker in &workers {
        worker.wait_for("waiting", 1);
    }
    let mut wire = Wire::open_channel(broker).unwrap();
    until(|| wire.declare(1, &queue, Flags::PASSIVE, &[]).unwrap().2 == 2);

    // One after the other: each worker is free again when the next task comes.
    for number in 0..6 {
        pika.run(broker, "new_task", &[&queue, &number.to_string()]);
        until(|| workers.iter().map(|worker| worker.said("done ").len()).sum::<usize>() > number);
    }

    let mut shares = workers.each_ref().map(|worker| worker.said("done "));
    shares.sort();
    assert_eq!(shares, [["0", "2", "4"], ["1", "3", "5"]]);
}

fn the_task_of_a_killed_worker_goes_to_the_other_flagged(pika: Library) {
    let broker = node::shared();
    let queue = unique("tasks");
    let mut first = pika.start(broker, "worker", &[&queue]);
    first.wait_for("waiting", 1);
    pika.run(broker, "new_task", &[&queue, "hang", "next"]);
    first.wait_for("received hang", 1);
    let second = pika.start(broker, "worker", &[&queue]);
    // The second task goes to the second worker: the first one holds as many as it may.
    second.wait_for("received next", 1);

    first.kill9();

    second.wait_for("again hang", 1);
    second.wait_for("done hang", 1);
}

fn a_persistent_task_outlives_the_broker(pika: Library) {
    let Some(mut node) = node::own() else { return };
    let queue = unique("tasks");
    pika.run(node.amqp(), "new_task", &[&queue, "one", "two"]);

    node.kill9();
    node.restart();

    let worker = pika.start(node.amqp(), "worker", &[&queue]);
    assert_eq!(worker.wait_for("done ", 2), ["one", "two"]);
}

fn every_subscriber_gets_a_copy_and_takes_its_queue_along(pika: Library) {
    let broker = node::shared();
    let exchange = unique("logs");
    let mut receivers = [0, 1, 2].map(|_| pika.start(broker, "receive_logs", &[&exchange]));
    for receiver in &receivers {
        receiver.wait_for("waiting", 1);
    }
    let queues: Vec<String> =
        receivers.iter().flat_map(|receiver| receiver.said("queue ")).collect();

    pika.run(broker, "emit_log", &[&exchange, "info: hello"]);
    for receiver in &receivers {
        assert_eq!(receiver.wait_for("received ", 1), ["info: hello"]);
    }
    receivers[0].kill9();
    let [first, second, third] = [&queues[0], &queues[1], &queues[2]];
    until(|| !is_there(broker, first));

    pika.run(broker, "emit_log", &[&exchange, "warn: again"]);
    assert_eq!(receivers[1].wait_for("received ", 2), ["info: hello", "warn: again"]);
    for receiver in &mut receivers {
        receiver.kill9();
    }
    until(|| !is_there(broker, second) && !is_there(broker, third));
}

fn routing_goes_by_the_key(pika: Library) {
    let broker = node::shared();
    let exchange = unique("direct_logs");
    let all =
        pika.start(broker, "receive_keyed", &[&exchange, "direct", "info", "warning", "error"]);
    let errors = pika.start(broker, "receive_keyed", &[&exchange, "direct", "error"]);
    all.wait_for("waiting", 1);
    errors.wait_for("waiting", 1);

    for (key, message) in [("info", "a"), ("debug", "b"), ("error", "c"), ("warning", "d")] {
        pika.run(broker, "emit_keyed", &[&exchange, "direct", key, message]);
    }

    assert_eq!(all.wait_for("received ", 3), ["info:a", "error:c", "warning:d"]);
    assert_eq!(errors.wait_for("received ", 1), ["error:c"]);
}

fn topics_go_by_patterns(pika: Library) {
    let broker = node::shared();
    let exchange = unique("topic_logs");
    let all = pika.start(broker, "receive_keyed", &[&exchange, "topic", "#"]);
    let kern = pika.start(broker, "receive_keyed", &[&exchange, "topic", "kern.*"]);
    let critical =
        pika.start(broker, "receive_keyed", &[&exchange, "topic", "*.critical", "kern.*"]);
    for receiver in [&all, &kern, &critical] {
        receiver.wait_for("waiting", 1);
    }

    for (key, message) in [
        ("kern.critical", "a"),
        ("cron.critical", "b"),
        ("kern.info.more", "c"),
        ("kern.info", "d"),
    ] {
        pika.run(broker, "emit_keyed", &[&exchange, "topic", key, message]);
    }

    assert_eq!(
        all.wait_for("received ", 4),
        ["kern.critical:a", "cron.critical:b", "kern.info.more:c", "kern.info:d"]
    );
    assert_eq!(kern.wait_for("received ", 2), ["kern.critical:a", "kern.info:d"]);
    assert_eq!(
        critical.wait_for("received ", 3),
        ["kern.critical:a", "cron.critical:b", "kern.info:d"]
    );
}

fn remote_calls_are_answered(pika: Library) {
    let broker = node::shared();
    let queue = unique("rpc");
    let server = pika.start(broker, "rpc_server", &[&queue]);
    server.wait_for("waiting", 1);

    let answers = pika.run(broker, "rpc_client", &[&queue, "0", "10", "30", "90"]);

    assert_eq!(
        answers,
        ["fib(0) = 0", "fib(10) = 55", "fib(30) = 832040", "fib(90) = 2880067194370816120"]
    );
}

fn publishers_hear_what_became_of_their_messages(pika: Library) {
    let heard = pika.run(node::shared(), "confirms", &[&unique("confirms")]);

    let mut expected = vec!["confirmed first", "returned second", "refused third"];
    if pika.programs == "old" {
        expected.push("basic_publish says False");
    }
    assert_eq!(heard, expected);
}

fn names_in_any_script_work(pika: Library) {
    for stem in ["очередь", "キュー", "grüße", "ॐ \u{1F407}"] {
        let queue = unique(stem);

        let said = pika.run(node::shared(), "names", &[&queue]);

        assert_eq!(said, [format!("{queue} got тело 体")]);
    }
}

/// Looks until it is so.
#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "not within {PATIENCE:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn is_there(broker: SocketAddr, queue: &str) -> bool {
    // Another connection's exclusive queue is refused with 405, a missing one with 404.
    let mut wire = Wire::open_channel(broker).unwrap();
    wire.send(&warren_tests::wire::declare_queue(1, queue, Flags::PASSIVE, &[])).unwrap();
    wire.expect_close().unwrap().code != 404
}
