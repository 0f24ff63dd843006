//! What happens while there is no majority, and after.

use std::time::Duration;

use warren_tests::cluster::Cluster;

use crate::support::{Client, numbers, texts};

/// How long clients are watched that should hear nothing.
const WATCH: Duration = Duration::from_secs(3);

#[test]
fn confirms_wait_for_a_majority_and_nothing_is_closed() {
    // RabbitMQ confirmed nothing for two minutes after all nodes were back.
    let Some(mut cluster) = Cluster::own(3) else { return };
    let queue = cluster.declare("patient", 0);
    let leader = cluster.leader(&queue);

    // Once the leader is left alone, once a follower.
    for alone in [leader, (leader + 1) % 3] {
        let mut publisher = Client::of(&cluster, alone);
        let mut consumer = Client::of(&cluster, alone);
        consumer.consume(&queue.name, 100);
        publisher.put(&queue.name, "before");
        let before = consumer.next(1);
        let gone = cluster.others(alone);
        gone.iter().for_each(|node| cluster.kill9(*node));

        for number in 0..20 {
            publisher.send(&queue.name, &number.to_string());
        }
        consumer.ack(before[0].tag);
        assert_eq!(publisher.wire.hear_within(WATCH).unwrap(), None, "without a majority");
        assert_eq!(consumer.wire.hear_within(Duration::from_millis(1)).unwrap(), None);

        gone.iter().for_each(|node| cluster.launch(*node));
        publisher.await_confirms();
        let after = consumer.next(20);
        assert_eq!(texts(&after), numbers(0..20));
        assert!(after.iter().all(|message| !message.redelivered), "{after:?}");
        after.iter().for_each(|message| consumer.ack(message.tag));
        gone.iter().for_each(|node| cluster.wait_ready(*node));
        cluster.wait_complete();
        drop(consumer);
        warren_tests::failover::expect_empty(&cluster, &queue.name);
    }
}
