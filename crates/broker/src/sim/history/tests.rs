//! Each checker finds the fault that it is for.

use std::time::Duration;

use super::*;

const HOME: Session = (NodeId(1), BootId(1));
const GROUP: GroupId = GroupId(1);

/// A queue with one publishing channel and two consumers.
fn history(prefetch: u16) -> (History, Publisher, [Consumer; 2]) {
    let history = History::default();
    let publisher = history.publisher("q");
    let consumers = [(); 2].map(|()| history.consumer("q", HOME, prefetch));
    (history, publisher, consumers)
}

fn published(history: &History, publisher: Publisher) -> Message {
    let message = history.publish(publisher);
    history.confirm(message);
    message
}

/// The numbers of what was found.
fn found(history: &History) -> Vec<String> {
    let faults = history.finish().faults;
    faults.iter().map(|fault| fault.trim().split([' ', ':']).nth(1).unwrap().to_owned()).collect()
}

#[test]
fn what_a_broker_may_do_is_no_fault() {
    let (history, publisher, [one, other]) = history(2);
    let [a, b, c] = [(); 3].map(|()| published(&history, publisher));

    history.deliver(one, a, false);
    history.deliver(one, b, false);
    history.acknowledge(one, a);
    history.give_back(one, b);
    history.deliver(other, b, true);
    history.deliver(one, c, false);
    history.gone(one);
    history.deliver(other, c, true);
    history.acknowledge(other, b);
    history.acknowledge(other, c);
    history.certain(other, &[b, c]);

    assert!(found(&history).is_empty());
}

#[test]
fn a_confirmed_message_that_is_lost_is_found() {
    let (history, publisher, _) = history(0);
    published(&history, publisher);

    assert_eq!(found(&history), ["I1"]);
}

#[test]
fn a_message_that_is_lost_with_its_consumer_is_found() {
    let (history, publisher, [one, _]) = history(0);
    let message = published(&history, publisher);
    history.deliver(one, message, false);
    history.gone(one);

    assert_eq!(found(&history), ["I1"]);
}

#[test]
fn a_message_that_nobody_published_is_found() {
    let (history, publisher, [one, _]) = history(0);
    history.deliver(one, (publisher, 0), false);

    assert_eq!(found(&history), ["I2"]);
}

#[test]
fn a_message_from_another_queue_is_found() {
    let (history, _, [one, _]) = history(0);
    let elsewhere = history.publisher("elsewhere");
    let message = history.publish(elsewhere);
    history.deliver(one, message, false);

    assert_eq!(found(&history), ["I2"]);
}

#[test]
fn a_message_that_comes_again_without_its_flag_is_found() {
    let (history, publisher, [one, other]) = history(0);
    let message = published(&history, publisher);
    history.deliver(one, message, false);
    history.give_back(one, message);
    history.deliver(other, message, false);
    history.acknowledge(other, message);

    assert_eq!(found(&history), ["I3"]);
}

#[test]
fn a_message_that_two_have_at_once_is_found() {
    let (history, publisher, [one, other]) = history(0);
    let message = published(&history, publisher);
    history.deliver(one, message, false);
    history.deliver(other, message, true);
    history.acknowledge(other, message);

    assert_eq!(found(&history), ["I3"]);
}

#[test]
fn what_a_lost_session_has_may_go_to_others() {
    let (history, publisher, [one, _]) = history(0);
    let message = published(&history, publisher);
    history.deliver(one, message, false);
    history.session_seen(HOME, LogIndex(1), false);
    let other = history.consumer("q", (NodeId(2), BootId(1)), 0);
    history.deliver(other, message, true);
    history.acknowledge(one, message);
    history.acknowledge(other, message);

    assert!(found(&history).is_empty());
}

#[test]
fn messages_that_change_places_are_found() {
    let (history, publisher, [one, _]) = history(0);
    let [a, b] = [(); 2].map(|()| published(&history, publisher));
    for message in [b, a] {
        history.deliver(one, message, false);
        history.acknowledge(one, message);
    }

    assert_eq!(found(&history), ["I4"]);
}

#[test]
fn a_settled_message_that_comes_again_is_found() {
    let (history, publisher, [one, other]) = history(0);
    let message = published(&history, publisher);
    history.deliver(one, message, false);
    history.acknowledge(one, message);
    history.certain(one, &[message]);
    history.gone(one);
    history.deliver(other, message, true);

    assert_eq!(found(&history), ["I5"]);
}

#[test]
fn a_message_that_is_confirmed_twice_is_found() {
    let (history, publisher, [one, _]) = history(0);
    let message = published(&history, publisher);
    history.deliver(one, message, false);
    history.acknowledge(one, message);
    history.confirm(message);

    assert_eq!(found(&history), ["I6"]);
}

#[test]
fn a_consumer_that_is_given_too_much_is_found() {
    let (history, publisher, [one, _]) = history(1);
    let [a, b] = [(); 2].map(|()| published(&history, publisher));
    history.deliver(one, a, false);
    history.deliver(one, b, false);
    history.acknowledge(one, a);
    history.acknowledge(one, b);

    assert_eq!(found(&history), ["I7"]);
}

#[test]
fn replicas_that_differ_are_found() {
    let history = History::default();
    history.state(1, GROUP, LogIndex(7), Digest(1));
    history.state(2, GROUP, LogIndex(8), Digest(2));
    history.state(3, GROUP, LogIndex(7), Digest(2));

    assert_eq!(found(&history), ["I14"]);
}

/// What a node says that has so much of a log, and a leader of this term.
fn status(term: u64, leader: u64, applied: u64) -> Status {
    let leader = Some(NodeId(leader));
    let applied = LogIndex(applied);
    let leadership = Leadership { leader, term: Term(term), here: false };
    Status { leadership, applied, committed: applied, last: applied, ..Status::default() }
}

#[test]
fn a_node_that_goes_back_to_an_earlier_leader_is_found() {
    let history = History::default();
    history.status(1, 1, GROUP, &status(3, 10, 5));
    history.status(1, 1, GROUP, &status(3, 11, 5));
    history.status(1, 2, GROUP, &status(3, 10, 5));

    assert_eq!(found(&history), ["I15"]);
}

#[test]
fn a_node_that_forgets_what_it_applied_is_found() {
    let history = History::default();
    history.status(1, 1, GROUP, &status(1, 1, 5));
    history.status(1, 1, GROUP, &status(1, 1, 4));

    assert_eq!(found(&history), ["I15"]);
}

#[test]
fn a_node_that_applies_what_is_not_committed_is_found() {
    let history = History::default();
    let status = Status { applied: LogIndex(6), ..status(1, 1, 5) };
    history.status(1, 1, GROUP, &status);

    assert_eq!(found(&history), ["I15"]);
}

#[test]
fn two_active_consumers_of_a_queue_for_one_are_found() {
    let (history, publisher, [one, other]) = history(0);
    history.single("q");
    let [a, b] = [(); 2].map(|()| published(&history, publisher));
    history.deliver(one, a, false);
    history.deliver(other, b, false);
    history.acknowledge(one, a);
    history.acknowledge(other, b);

    assert_eq!(found(&history), ["I8"]);
}

/// A queue that buries what is older than a second, and a consumer of its grave.
fn burial() -> (History, Message, [Consumer; 2]) {
    let (history, publisher, [one, _]) = history(0);
    history.buries("q", "grave", Duration::from_secs(1));
    let message = published(&history, publisher);
    let digger = history.consumer("grave", HOME, 0);
    (history, message, [one, digger])
}

#[test]
fn a_message_that_is_buried_before_its_time_is_found() {
    let (history, message, [_, digger]) = burial();
    history.deliver(digger, message, false);
    history.acknowledge(digger, message);

    assert_eq!(found(&history), ["I11"]);
}

#[test]
fn a_message_that_is_buried_twice_is_found() {
    let (history, message, [_, digger]) = burial();
    history.buries("q", "grave", Duration::ZERO);
    for _ in 0..2 {
        history.deliver(digger, message, false);
        history.acknowledge(digger, message);
    }

    assert_eq!(found(&history), ["I12"]);
}

#[test]
fn a_message_that_rises_from_its_grave_is_found() {
    let (history, message, [one, digger]) = burial();
    history.buries("q", "grave", Duration::ZERO);
    history.deliver(digger, message, false);
    history.give_back(digger, message);
    history.deliver(one, message, true);
    history.acknowledge(one, message);

    assert_eq!(found(&history), ["I12"]);
}

#[test]
fn a_message_that_is_buried_after_it_was_settled_is_found() {
    let (history, message, [one, digger]) = burial();
    history.buries("q", "grave", Duration::ZERO);
    history.deliver(one, message, false);
    history.acknowledge(one, message);
    history.certain(one, &[message]);
    history.deliver(digger, message, false);
    history.acknowledge(digger, message);

    assert_eq!(found(&history), ["I5"]);
}

#[test]
fn each_time_that_a_start_of_a_node_is_given_up_counts_once_whoever_is_behind() {
    let history = History::default();

    let entries = [(1, true), (2, false), (2, false), (1, true), (3, true), (2, false), (4, false)];
    let news = entries.map(|(upto, running)| history.session_seen(HOME, LogIndex(upto), running));

    assert_eq!(news, [false, true, false, false, false, false, true]);
}

/// A stream with one publishing channel and a reader that has begun with the first message.
fn stream() -> (History, Publisher, Reading) {
    let history = History::default();
    let publisher = history.publisher("s");
    let reading = history.reading("s", Some(0));
    (history, publisher, reading)
}

#[test]
fn readers_of_a_stream_may_begin_anywhere_and_read_it_again() {
    let (history, publisher, mut one) = stream();
    let [a, b] = [(); 2].map(|()| published(&history, publisher));

    history.read(&mut one, 0, a);
    history.read(&mut one, 1, b);
    history.read(&mut history.reading("s", None), 1, b);
    history.read(&mut history.reading("s", Some(0)), 0, a);

    assert!(found(&history).is_empty());
}

#[test]
fn a_confirmed_message_that_no_reader_finds_is_found() {
    let (history, publisher, mut one) = stream();
    let [a, _] = [(); 2].map(|()| published(&history, publisher));

    history.read(&mut one, 0, a);

    assert_eq!(found(&history), ["I1"]);
}

#[test]
fn what_was_not_published_to_a_stream_is_found() {
    let (history, publisher, mut one) = stream();

    history.read(&mut one, 0, (publisher, 7));

    assert_eq!(found(&history), ["I2"]);
}

#[test]
fn a_message_that_stands_in_a_stream_twice_is_found() {
    let (history, publisher, mut one) = stream();
    let a = published(&history, publisher);

    history.read(&mut one, 0, a);
    history.read(&mut one, 1, a);

    assert_eq!(found(&history), ["I3"]);
}

#[test]
fn an_offset_that_changes_its_message_is_found() {
    let (history, publisher, mut one) = stream();
    let [a, b] = [(); 2].map(|()| published(&history, publisher));

    history.read(&mut one, 0, a);
    history.read(&mut one, 1, b);
    let c = published(&history, publisher);
    history.read(&mut history.reading("s", Some(1)), 1, c);

    assert_eq!(found(&history), ["I4", "I4"]);
}

#[test]
fn a_reader_that_is_passed_over_or_given_something_again_is_found() {
    for offset in [0, 2] {
        let (history, publisher, mut one) = stream();
        let [a, b] = [(); 2].map(|()| published(&history, publisher));
        let mut other = history.reading("s", Some(0));
        history.read(&mut other, 0, a);
        history.read(&mut other, 1, b);

        history.read(&mut one, 0, a);
        let again = if offset == 0 { a } else { b };
        history.read(&mut one, offset, again);

        assert!(found(&history).contains(&"I4".to_owned()), "{offset}");
    }
}

#[test]
fn a_stream_that_turns_a_channels_order_round_is_found() {
    let (history, publisher, mut one) = stream();
    let [a, b] = [(); 2].map(|()| published(&history, publisher));

    history.read(&mut one, 0, b);
    history.read(&mut one, 1, a);

    assert_eq!(found(&history), ["I4"]);
}
