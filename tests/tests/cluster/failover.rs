//! Nodes are killed, frozen and stopped under traffic, and come back.

use std::time::Duration;

use warren_tests::cluster::Cluster;
use warren_tests::failover::{Pace, expect_empty, fault};

use crate::support::{Client, numbers, texts};

/// What a busy machine may make of a failover of 0.1 s, or of 4 s.
const LONGEST_GAP: Duration = Duration::from_secs(20);

/// Kills of a node that leads the queue, unless `WARREN_TEST_ROUNDS` says otherwise.
const KILLS: usize = 3;

#[test]
fn clients_notice_nothing_but_a_pause_when_the_node_that_leads_their_queue_is_killed() {
    let kills = std::env::var("WARREN_TEST_ROUNDS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut cluster = Cluster::start();

    for round in 0..kills {
        let account = fault::kill(&mut cluster, round % 3, &Pace::default());

        account.expect_no_faults();
        account.expect_no_losses();
        account.expect_gaps_below(LONGEST_GAP);
    }
}

#[test]
fn clients_notice_nothing_but_a_pause_when_the_node_that_leads_their_queue_freezes_and_thaws() {
    let mut cluster = Cluster::start();

    let account = fault::freeze(&mut cluster, 0, &Pace::default());

    account.expect_no_faults();
    account.expect_no_losses();
    account.expect_gaps_below(LONGEST_GAP);
}

#[test]
fn clients_of_a_killed_node_go_on_elsewhere_and_nothing_is_lost() {
    let mut cluster = Cluster::start();

    for node in 0..2 {
        let account = fault::kill_own(&mut cluster, node, &Pace::default());

        account.expect_no_faults();
        account.expect_gaps_below(LONGEST_GAP);
        assert_eq!(account.losses.len(), 2, "{account:#?}");
    }
}

#[test]
fn a_rolling_restart_loses_and_doubles_nothing() {
    let mut cluster = Cluster::start();

    let account = fault::rolling(&mut cluster, &Pace::default());

    account.expect_no_faults();
    account.expect_gaps_below(LONGEST_GAP);
}

#[test]
fn everything_confirmed_is_there_in_order_after_all_nodes_were_killed_at_once() {
    let mut cluster = Cluster::start();

    for order in [[2, 0, 1], [1, 2, 0]] {
        let account = fault::kill_all(&mut cluster, &order, &Pace::default());

        account.expect_no_faults();
    }
}

#[test]
fn a_consumer_whose_node_was_killed_gets_exactly_what_it_had_again_and_then_the_rest() {
    let mut cluster = Cluster::start();

    // Once its node leads the queue, once another does.
    for leads in [true, false] {
        let queue = cluster.declare("own", 0);
        let leader = cluster.leader(&queue);
        let own = if leads { leader } else { (leader + 1) % 3 };
        let elsewhere = (own + 1) % 3;
        Client::of(&cluster, elsewhere).put_numbers(&queue.name, 0..100);
        let mut consumer = Client::of(&cluster, own);
        consumer.consume(&queue.name, 30);
        let held = consumer.next(30);
        held.iter().take(10).for_each(|message| consumer.ack(message.tag));
        // The next deliveries tell that the acknowledgements are known.
        let more = consumer.next(10);
        assert_eq!(texts(&more), numbers(30..40));

        cluster.kill9(own);
        let mut consumer = Client::of(&cluster, elsewhere);
        consumer.consume(&queue.name, 100);
        let again = consumer.next(90);

        let seen = again.iter().map(|message| (crate::support::text(message), message.redelivered));
        let expected = numbers(10..100).into_iter().enumerate();
        let expected = expected.map(|(at, text)| (text, at < 30));
        assert!(seen.eq(expected), "node {own} of leader {leader}: {again:#?}");
        again.iter().for_each(|message| consumer.ack(message.tag));
        assert_eq!(consumer.counts(&queue.name).0, 0);
        drop(consumer);
        cluster.restart(own);
        cluster.wait_complete();
        expect_empty(&cluster, &queue.name);
    }
}
