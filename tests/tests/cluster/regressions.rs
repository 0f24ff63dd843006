//! One test for each known way in which replicated queues have gone wrong elsewhere.

use std::collections::BTreeSet;

use warren_tests::cluster::{Cluster, durable};
use warren_tests::failover::expect_empty;
use warren_tests::node::unique;
use warren_tests::wire::{Field, Heard};

use crate::support::{Client, await_that, has_queue, numbers, text, texts};

/// rabbitmq-server #12366: a replica that slept through delete and re-declare comes back, wins,
/// and replays its whole log.
#[test]
fn nothing_old_comes_back_when_a_node_slept_through_delete_and_redeclare() {
    let mut cluster = Cluster::start();

    // Once the node that sleeps is a follower, once the leader.
    for leads in [false, true] {
        let queue = cluster.declare("incarnation", 0);
        let leader = cluster.leader(&queue);
        let sleeper = if leads { leader } else { (leader + 1) % 3 };
        let awake = cluster.others(sleeper);
        let mut client = Client::of(&cluster, awake[0]);
        client.put_numbers(&queue.name, 0..100);
        for number in 0..50 {
            assert_eq!(client.take(&queue.name), Some(number.to_string()));
        }

        cluster.kill9(sleeper);
        client.delete(&queue.name);
        client.declare_with(&queue.name, &durable());
        client.put_numbers(&queue.name, 1000..1005);
        cluster.restart(sleeper);
        cluster.wait_complete();
        // Whoever is killed, the sleeper is among those who are left.
        for node in awake {
            cluster.kill9(node);
            let mut client = Client::of(&cluster, sleeper);
            await_that("five messages are there", || client.counts(&queue.name) == (5, 0));
            cluster.restart(node);
            cluster.wait_complete();
        }

        let mut client = Client::of(&cluster, sleeper);
        assert_eq!(client.drain(&queue.name), numbers(1000..1005));
        expect_empty(&cluster, &queue.name);
        client.delete(&queue.name);
    }
}

/// rabbitmq-server #15473: after a change of leader, unacknowledged messages are owned by no
/// channel, and never delivered again.
#[test]
fn no_unacknowledged_message_is_left_without_an_owner_after_a_change_of_leader() {
    let mut cluster = Cluster::start();
    let queue = cluster.declare("orphans", 0);
    let leader = cluster.leader(&queue);
    let others = cluster.others(leader);
    let mut publisher = Client::of(&cluster, others[0]);
    let mut consumers = [leader, others[0], others[1]].map(|node| Client::of(&cluster, node));
    for consumer in &mut consumers {
        consumer.consume(&queue.name, 10);
    }
    publisher.put_numbers(&queue.name, 0..60);
    let [doomed, first, second] = &mut consumers;
    doomed.next(10);
    let held: Vec<_> = [first.next(10), second.next(10)].concat();

    cluster.kill9(leader);

    // What was delivered before is acknowledged after, and the rest as it comes.
    let mut seen: BTreeSet<String> = texts(&held).into_iter().collect();
    for (at, message) in held.iter().enumerate() {
        if at < 10 { &mut *first } else { &mut *second }.ack(message.tag);
    }
    await_that("what the dead consumer had goes to the living", || {
        for consumer in [&mut *first, &mut *second] {
            for message in consumer.rest() {
                assert!(seen.insert(text(&message)), "{} came twice", text(&message));
                consumer.ack(message.tag);
            }
        }
        seen.len() == 60
    });
    cluster.restart(leader);
    cluster.wait_complete();
    drop(consumers);
    expect_empty(&cluster, &queue.name);
    await_that("nothing is ready or unacknowledged, as every node says", || {
        (0..3).all(|node| cluster.unsettled(node, &queue.name) == Some(0))
    });
    if !cluster.is_foreign() {
        for node in 0..3 {
            let orphans = cluster.metrics(node).value("warren_orphaned_consumers_total", &[]);
            assert_eq!(orphans, Some(0.0), "node {node} has consumers of nobody");
        }
    }
}

/// rabbitmq-server #15725: after its restart a node boots a fresh, empty member under the old
/// name; the group never has a leader again, and the queue cannot be deleted.
#[test]
fn a_node_that_was_restarted_is_a_full_member_of_every_group_again() {
    let mut cluster = Cluster::start();
    let queue = cluster.declare("member", 0);
    let mut next = 0;
    let mut publish = |cluster: &Cluster, node: usize| {
        Client::of(cluster, node).put_numbers(&queue.name, next..next + 20);
        next += 20;
    };

    for node in 0..3 {
        let (after, last) = ((node + 1) % 3, (node + 2) % 3);
        cluster.kill9(node);
        publish(&cluster, after);
        cluster.restart(node);
        cluster.wait_complete();
        // Without the node that was restarted there is no majority.
        cluster.kill9(after);
        publish(&cluster, node);
        publish(&cluster, last);
        cluster.restart(after);
        cluster.wait_complete();
    }

    let mut client = Client::of(&cluster, 0);
    assert_eq!(client.drain(&queue.name), numbers(0..180));
    client.delete(&queue.name);
    await_that("it is gone", || (0..3).all(|node| !has_queue(&cluster, node, &queue.name)));
}

/// rabbitmq-server #1825 and #17317: a queue with a single active consumer keeps ghosts of
/// consumers, and deliveries stop.
#[test]
fn a_single_active_consumer_stays_the_one_or_hands_over_when_nodes_die() {
    let mut cluster = Cluster::start();
    let single = [("x-single-active-consumer", Field::Bool(true))];
    let queue = cluster.declare_with("single", 0, &single);
    let leader = cluster.leader(&queue);
    let others = cluster.others(leader);
    let mut publisher = Client::of(&cluster, others[1]);
    let mut waiting: Vec<Client> = Vec::new();
    let mut active = Client::of(&cluster, others[0]);
    active.consume(&queue.name, 5);
    for node in [leader, others[1], others[0]] {
        let mut client = Client::of(&cluster, node);
        client.consume(&queue.name, 5);
        waiting.push(client);
    }
    publisher.put_numbers(&queue.name, 0..10);
    let held = active.next(5);

    // The leader dies, and a consumer that waits with it: the active one lives and stays.
    cluster.kill9(leader);
    held.iter().for_each(|message| active.ack(message.tag));
    let held = active.next(5);
    assert_eq!(texts(&held), numbers(5..10));
    assert!(held.iter().all(|message| !message.redelivered), "{held:?}");
    assert_nothing_for(&mut waiting[1..]);
    cluster.restart(leader);
    cluster.wait_complete();

    // The active one's node dies: the next in line gets what it had, and all that comes.
    cluster.kill9(others[0]);
    publisher.put_numbers(&queue.name, 10..12);
    let mut again = waiting[1].next(5);
    assert_eq!(texts(&again), numbers(5..10));
    assert!(again.iter().all(|message| message.redelivered), "{again:?}");
    for message in again.drain(..) {
        waiting[1].ack(message.tag);
    }
    assert_eq!(texts(&waiting[1].next(2)), numbers(10..12));
    await_that("ghosts are not counted", || publisher.counts(&queue.name) == (0, 1));
    cluster.restart(others[0]);
}

fn assert_nothing_for(clients: &mut [Client]) {
    for client in clients {
        let heard = client.wire.hear_within(std::time::Duration::from_millis(200)).unwrap();
        assert!(heard.is_none(), "a consumer that waits heard {heard:?}");
    }
}

/// rabbitmq-server #5609: credit is granted twice for a message that is returned and then
/// dead-lettered, so that a consumer gets more than its prefetch count.
#[test]
fn the_prefetch_count_is_never_exceeded_across_returns_dead_letters_and_failover() {
    const PREFETCH: usize = 5;
    const MESSAGES: usize = 300;
    let mut cluster = Cluster::start();
    let graveyard = cluster.declare("graveyard", 1);
    let route = [
        ("x-dead-letter-exchange", Field::text("")),
        ("x-dead-letter-routing-key", Field::text(&graveyard.name)),
    ];
    let queue = cluster.declare_with("credit", 0, &route);
    let leader = cluster.leader(&queue);
    let others = cluster.others(leader);
    Client::of(&cluster, others[0]).put_numbers(&queue.name, 0..MESSAGES);
    let mut consumer = Client::of(&cluster, others[1]);
    consumer.consume(&queue.name, u16::try_from(PREFETCH).unwrap());

    let (mut held, mut settled) = (Vec::new(), 0);
    let mut is_killed = false;
    while settled < MESSAGES {
        if settled > MESSAGES / 3 && !is_killed {
            cluster.kill9(leader);
            is_killed = true;
        }
        held.extend(consumer.next(1));
        // All that is on its way has come when nothing more is heard for a moment.
        let moment = std::time::Duration::from_millis(if held.len() < PREFETCH { 1 } else { 5 });
        while let Some(heard) = consumer.wire.hear_within(moment).unwrap() {
            let Heard::Frame(frame) = heard else { panic!("the connection ended") };
            held.push(consumer.wire.message_after(1, &frame).unwrap());
            assert!(held.len() <= PREFETCH, "{} at once: {held:?}", held.len());
        }
        for message in held.drain(..) {
            let number: usize = text(&message).parse().unwrap();
            match number % 3 {
                // Once back, then to the dead.
                0 if !message.redelivered => consumer.reject(message.tag, true),
                0 => {
                    consumer.reject(message.tag, false);
                    settled += 1;
                }
                1 => {
                    consumer.reject(message.tag, false);
                    settled += 1;
                }
                _ => {
                    consumer.ack(message.tag);
                    settled += 1;
                }
            }
        }
    }

    cluster.restart(leader);
    let mut client = Client::of(&cluster, others[0]);
    let dead = MESSAGES / 3 * 2;
    let mut buried = Vec::new();
    await_that("the dead are buried", || {
        let before = buried.len();
        buried.extend(client.drain(&graveyard.name));
        if buried.len() > before {
            println!("{} of {dead} are buried", buried.len());
        }
        buried.len() >= dead
    });
    let different: BTreeSet<&String> = buried.iter().collect();
    // Dead-lettering is at least once: what the killed leader had buried and not noted comes again.
    println!("{} were buried twice", buried.len() - different.len());
    assert_eq!(different.len(), dead, "some were not buried");
    drop(consumer);
    expect_empty(&cluster, &queue.name);
}

/// rabbitmq-server #2420: consumers of a node that was lost are counted for ever; of quorum queues
/// to this day until the node returns.
#[test]
fn consumers_of_a_lost_node_are_not_counted() {
    let Some(mut cluster) = Cluster::own(3) else { return };
    let queue = unique("count");
    let mut clients: Vec<Client> = Vec::new();
    Client::of(&cluster, 0).declare_with(&queue, &durable());
    for node in [0, 1, 2, 0, 1, 2] {
        let mut client = Client::of(&cluster, node);
        client.consume(&queue, 1);
        clients.push(client);
    }
    let count = |cluster: &Cluster, nodes: &[usize], consumers: u32| {
        await_that(&format!("{consumers} consumers are counted by {nodes:?}"), || {
            nodes.iter().all(|node| Client::of(cluster, *node).counts(&queue) == (0, consumers))
        });
    };
    count(&cluster, &[0, 1, 2], 6);

    for node in 0..3 {
        cluster.kill9(node);
        count(&cluster, &cluster.others(node), 4);
        cluster.restart(node);
        cluster.wait_complete();
        count(&cluster, &[0, 1, 2], 4);
        for at in [node, node + 3] {
            clients[at] = Client::of(&cluster, node);
            clients[at].consume(&queue, 1);
        }
        count(&cluster, &[0, 1, 2], 6);
    }
    drop(clients);
    count(&cluster, &[0, 1, 2], 0);
}
