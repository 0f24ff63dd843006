//! What is too particular to be found in generated histories.

use super::scene::{deliver, sum};
use super::*;
use crate::history::{Action, Death, How, Outcome, Rules};
use crate::readings::{Counts, Group, Reading};

pub(super) const SECOND: u64 = 1_000_000;

/// Events, one a millisecond.
#[derive(Default)]
pub(super) struct Script(pub(super) Vec<Line>);

impl Script {
    pub(super) fn of(events: impl IntoIterator<Item = Event>) -> Self {
        events.into_iter().fold(Self::default(), Self::then)
    }

    pub(super) fn then(self, event: Event) -> Self {
        self.after(1000, event)
    }

    pub(super) fn after(mut self, micros: u64, event: Event) -> Self {
        let at = self.0.last().map_or(0, |line| line.at) + micros;
        self.0.push(Line { at, event });
        self
    }

    fn found(self) -> Vec<&'static str> {
        found(self.0)
    }
}

pub(super) fn open(channel: u64, node: &str) -> Event {
    Event::Open { channel, node: node.into(), who: "somebody".into() }
}

pub(super) fn consume(consumer: u64, channel: u64, queue: &str) -> Event {
    Event::Consume {
        consumer,
        channel,
        queue: queue.into(),
        prefetch: 5,
        automatic: false,
        exclusive: false,
        priority: 0,
    }
}

pub(super) fn publish(channel: u64, tag: u64, message: u64, queues: &[&str]) -> Event {
    Event::Publish {
        channel,
        tag,
        message,
        queues: queues.iter().map(|queue| (*queue).to_owned()).collect(),
        size: 64,
        sum: sum(message),
        mandatory: false,
        priority: 0,
        ttl_ms: None,
    }
}

pub(super) fn confirm(channel: u64, tag: u64) -> Event {
    Event::Confirm { channel, tag, multiple: false, taken: true }
}

pub(super) fn queue(name: &str, rules: Rules) -> Event {
    Event::Queue { queue: name.into(), rules }
}

pub(super) fn fault(nodes: &[&str], what: &str) -> Event {
    let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
    Event::Fault { fault: 900, name: "N".into(), nodes, what: what.into() }
}

pub(super) fn prove(channel: u64) -> [Event; 2] {
    [Event::Ask { channel }, Event::Certain { channel }]
}

/// Two messages of channel 1 in `q`, and two consumers 20 and 30 on channels 2 and 3.
fn two_consumers(rules: Rules) -> Script {
    Script::of([
        queue("q", rules),
        open(1, "n1"),
        open(2, "n2"),
        open(3, "n3"),
        publish(1, 1, 101, &["q"]),
        publish(1, 2, 102, &["q"]),
        Event::Confirm { channel: 1, tag: 2, multiple: true, taken: true },
        consume(20, 2, "q"),
        consume(30, 3, "q"),
    ])
}

#[test]
fn what_a_living_consumer_holds_goes_to_nobody_else() {
    let taken = |faults: Option<Event>| {
        let script = two_consumers(Rules::default()).then(deliver(20, 1, 101, 0));
        let script = faults.into_iter().fold(script, Script::then);
        prove(2).into_iter().fold(script.then(deliver(30, 1, 101, 1)), Script::then).found()
    };

    assert_eq!(taken(None), ["I3"]);
    assert_eq!(taken(Some(fault(&["n1"], "pause"))), ["I3"], "another node is no excuse");
    assert!(taken(Some(fault(&["n2"], "pause"))).is_empty(), "its node may have been given up");
}

#[test]
fn what_a_consumer_held_whose_connection_turns_out_to_be_lost_may_go_to_another() {
    let script = two_consumers(Rules::default())
        .then(deliver(20, 1, 101, 0))
        .then(deliver(30, 1, 101, 1))
        .then(Event::Lost { channel: 2, why: "reset".into() });

    assert!(script.found().is_empty());
}

#[test]
fn a_node_that_was_frozen_may_send_what_it_had_in_its_buffers() {
    let thawed = |node: &str| {
        two_consumers(Rules::default())
            .then(fault(&[node], "pause"))
            .then(deliver(20, 1, 101, 0))
            .then(Event::Settle { channel: 2, tag: 1, multiple: false, how: How::Ack })
            .then(Event::Healed { fault: 900 })
            .then(deliver(30, 1, 101, 0))
            .found()
    };

    assert!(thawed("n3").is_empty());
    assert_eq!(thawed("n1"), ["I3"]);
}

#[test]
fn an_excuse_ends_a_while_after_the_fault() {
    let script = two_consumers(Rules::default())
        .then(fault(&["n2"], "pause"))
        .then(Event::Healed { fault: 900 })
        .after(20 * SECOND, deliver(20, 1, 101, 0))
        .then(deliver(30, 1, 101, 1));

    assert_eq!(prove(2).into_iter().fold(script, Script::then).found(), ["I3"]);
}

#[test]
fn two_single_active_consumers_are_found() {
    let rules = Rules { single_active: true, ..Rules::default() };
    let script =
        || two_consumers(rules.clone()).then(deliver(20, 1, 101, 0)).then(deliver(30, 1, 102, 0));

    assert_eq!(prove(2).into_iter().fold(script(), Script::then).found(), ["I8"]);
    assert!(script().found().is_empty(), "nothing proves that the first lived");
    let settled = Event::Settle { channel: 2, tag: 1, multiple: false, how: How::Ack };
    let after = two_consumers(rules.clone()).then(deliver(20, 1, 101, 0)).then(settled);
    let after = prove(2).into_iter().fold(after.then(deliver(30, 1, 102, 0)), Script::then);
    assert!(after.found().is_empty(), "it had settled everything");
}

#[test]
fn two_exclusive_consumers_are_found() {
    let alone = |consumer, channel| match consume(consumer, channel, "q") {
        Event::Consume { consumer, channel, queue, prefetch, automatic, priority, .. } => {
            Event::Consume {
                consumer,
                channel,
                queue,
                prefetch,
                automatic,
                exclusive: true,
                priority,
            }
        }
        _ => unreachable!(),
    };
    let events = [
        open(2, "n2"),
        open(3, "n3"),
        alone(20, 2),
        Event::Consumed { consumer: 20 },
        alone(30, 3),
        Event::Consumed { consumer: 30 },
    ];

    assert_eq!(Script::of(events.into_iter().chain(prove(2))).found(), ["I8"]);
}

#[test]
fn what_was_there_before_a_purge_or_a_delete_does_not_come_after_it() {
    for delete in [false, true] {
        let removed = |consumer_first: bool| {
            let consumer = [open(2, "n2"), consume(20, 2, "q")];
            let removal = [
                Event::Remove { queue: "q".into(), delete },
                Event::Removed { queue: "q".into(), delete },
            ];
            let (first, then) =
                if consumer_first { (consumer, removal) } else { (removal, consumer) };
            let begin = [open(1, "n1"), publish(1, 1, 101, &["q"]), confirm(1, 1)];
            let events = begin.into_iter().chain(first).chain(then);
            Script::of(events).then(deliver(20, 1, 101, 0)).found()
        };

        assert_eq!(removed(false), ["I5"]);
        assert!(removed(true).is_empty(), "it may have been on its way");
    }
}

#[test]
fn what_is_purged_is_not_lost_and_what_is_published_later_is() {
    let script = |then: Event| {
        Script::of([
            queue("q", Rules::default()),
            open(1, "n1"),
            publish(1, 1, 101, &["q"]),
            confirm(1, 1),
            Event::Remove { queue: "q".into(), delete: false },
            Event::Removed { queue: "q".into(), delete: false },
            then,
            confirm(1, 2),
            Event::Drained { queue: "q".into(), ready: 0 },
        ])
    };

    let verdict = verdict(script(publish(1, 2, 102, &["q"])).0);

    assert_eq!((invariants(&verdict), verdict.summary.lost), (vec!["I1"], 1));
    assert!(verdict.violations[0].text.starts_with("message 102 "));
    assert!(script(publish(1, 2, 102, &[])).found().is_empty());
}

#[test]
fn a_transaction_that_was_undone_leaves_nothing() {
    let tx = |end: Event| {
        let events =
            [open(1, "n1"), open(2, "n2"), consume(20, 2, "q"), publish(1, 0, 101, &["q"])];
        Script::of(events).then(end).then(deliver(20, 1, 101, 0)).found()
    };

    assert_eq!(tx(Event::RolledBack { channel: 1 }), ["I13"]);
    assert_eq!(tx(Event::Lost { channel: 1, why: String::new() }), ["I13"]);
    assert!(tx(Event::Commit { channel: 1 }).is_empty());
}

#[test]
fn a_transaction_that_was_committed_is_not_lost() {
    let events = [
        queue("q", Rules::default()),
        open(1, "n1"),
        publish(1, 0, 101, &["q"]),
        Event::Commit { channel: 1 },
        Event::Committed { channel: 1 },
        Event::Drained { queue: "q".into(), ready: 0 },
    ];

    assert_eq!(Script::of(events).found(), ["I1"]);
}

#[test]
fn what_belongs_nowhere_comes_back_before_its_confirm() {
    let mandatory = match publish(1, 1, 101, &[]) {
        Event::Publish { channel, tag, message, queues, size, sum, priority, ttl_ms, .. } => {
            Event::Publish {
                channel,
                tag,
                message,
                queues,
                size,
                sum,
                mandatory: true,
                priority,
                ttl_ms,
            }
        }
        _ => unreachable!(),
    };
    let back = Event::Return { channel: 1, message: 101, code: 312 };
    let script = |events: [Event; 2]| {
        Script::of([open(1, "n1"), mandatory.clone()].into_iter().chain(events)).found()
    };

    assert!(script([back.clone(), confirm(1, 1)]).is_empty());
    assert_eq!(script([confirm(1, 1), back]), ["I13", "I6"]);
}

/// A message dies in `q`, which has these rules, so long after its publish.
fn dies(rules: Rules, reason: &str, after: u64) -> Script {
    let rules = Rules { dead_letters: Some("dead".into()), at_least_once: true, ..rules };
    let mut dead = deliver(30, 1, 101, 0);
    if let Event::Deliver { death, .. } = &mut dead {
        *death = Some(Death { queue: "q".into(), reason: reason.into(), count: 1 });
    }
    Script::of([
        queue("q", rules),
        queue("dead", Rules::default()),
        open(1, "n1"),
        open(2, "n2"),
        open(3, "n3"),
        consume(20, 2, "q"),
        consume(30, 3, "dead"),
        publish(1, 1, 101, &["q"]),
        confirm(1, 1),
        deliver(20, 1, 101, 0),
    ])
    .after(after, dead)
    .then(Event::Settle { channel: 3, tag: 1, multiple: false, how: How::Ack })
    .then(Event::Drained { queue: "q".into(), ready: 0 })
}

#[test]
fn a_message_that_expires_early_is_found() {
    let rules = Rules { ttl_ms: Some(5000), ..Rules::default() };

    assert_eq!(dies(rules.clone(), "expired", SECOND).found(), ["I11"]);
    assert!(dies(rules, "expired", 6 * SECOND).found().is_empty());
    assert_eq!(dies(Rules::default(), "expired", SECOND).found(), ["I11"]);
}

#[test]
fn a_message_that_is_delivered_long_after_its_time_is_found() {
    let rules = Rules { ttl_ms: Some(1000), ..Rules::default() };
    let late = |fault: Option<Event>| {
        let script = two_consumers(rules.clone());
        let script = fault.into_iter().fold(script, Script::then);
        script.after(20 * SECOND, deliver(20, 1, 101, 0)).found()
    };

    assert_eq!(late(None), ["I11"]);
    assert!(late(Some(fault(&["n1"], "pause"))).is_empty());
}

#[test]
fn a_message_dies_of_what_it_says() {
    let limit = Rules { delivery_limit: Some(3), ..Rules::default() };

    assert_eq!(dies(limit, "delivery_limit", SECOND).found(), ["I12"], "after one delivery");
    assert_eq!(dies(Rules::default(), "rejected", SECOND).found(), ["I12"], "by nobody");
    assert_eq!(dies(Rules::default(), "maxlen", SECOND).found(), ["I12"], "of no limit");
    assert_eq!(dies(Rules::default(), "boredom", SECOND).found(), ["I12"]);
}

#[test]
fn a_dead_letter_that_does_not_arrive_is_lost_if_it_was_certain_to() {
    let discarded = |at_least_once| {
        let rules = Rules { dead_letters: Some("dead".into()), at_least_once, ..Rules::default() };
        Script::of([
            queue("q", rules),
            open(1, "n1"),
            open(2, "n2"),
            consume(20, 2, "q"),
            publish(1, 1, 101, &["q"]),
            confirm(1, 1),
            deliver(20, 1, 101, 0),
            Event::Settle { channel: 2, tag: 1, multiple: false, how: How::Discard },
            Event::Drained { queue: "q".into(), ready: 0 },
        ])
        .found()
    };

    assert_eq!(discarded(true), ["I1"]);
    assert!(discarded(false).is_empty());
}

fn operate(operation: u64, action: Action) -> Event {
    Event::Operate { operation, object: "queue x".into(), action, node: "n1".into() }
}

fn answer(operation: u64, outcome: Outcome) -> Event {
    Event::Answer { operation, outcome }
}

#[test]
fn a_node_that_does_not_see_what_another_said_is_found() {
    let declared = [operate(1, Action::Declare(7)), answer(1, Outcome::Done)];
    let look = [operate(2, Action::Look), answer(2, Outcome::Absent)];

    assert_eq!(Script::of(declared.clone().into_iter().chain(look.clone())).found(), ["I10"]);
    assert!(Script::of(look.clone().into_iter().chain(declared)).found().is_empty());
    let [ask, tell] = look;
    let overlapping = [operate(1, Action::Declare(7)), ask, answer(1, Outcome::Done), tell];
    assert!(Script::of(overlapping).found().is_empty());
}

#[test]
fn a_node_that_sees_what_was_deleted_long_ago_is_found() {
    let looks = |after: u64, broken: Option<Event>| {
        let events = [
            operate(1, Action::Declare(7)),
            answer(1, Outcome::Done),
            operate(2, Action::Delete),
            answer(2, Outcome::Done),
        ];
        let script = broken.into_iter().fold(Script::of(events), Script::then);
        let script = script.after(after, operate(3, Action::Look));
        script.then(answer(3, Outcome::Present)).found()
    };

    assert!(looks(SECOND, None).is_empty(), "it may not have heard yet");
    assert_eq!(looks(3 * SECOND, None), ["I10"]);
    assert!(looks(3 * SECOND, Some(fault(&["n1"], "isolate"))).is_empty(), "it cannot have heard");
}

#[test]
fn what_was_not_answered_may_be_done_late_or_never() {
    let looks = |first, second| {
        let events = [
            operate(1, Action::Declare(7)),
            operate(2, Action::Look),
            answer(2, first),
            operate(3, Action::Look),
            answer(3, second),
        ];
        Script::of(events).found()
    };

    assert!(looks(Outcome::Absent, Outcome::Present).is_empty());
    assert!(looks(Outcome::Absent, Outcome::Absent).is_empty());
    assert!(looks(Outcome::Present, Outcome::Present).is_empty());
    assert_eq!(looks(Outcome::Present, Outcome::Absent), ["I10"]);
}

#[test]
fn a_broker_that_never_recovers_is_found() {
    let probe = |failed: Option<String>, took_ms| {
        let (queue, node) = ("q".into(), "n1".into());
        let events = [
            Event::Phase { phase: "heal".into() },
            Event::Probe { queue, node, took_ms, failed },
            Event::Phase { phase: "drain".into() },
        ];
        Script::of(events).found()
    };

    assert!(probe(None, 900).is_empty());
    assert_eq!(probe(Some("nobody answers".into()), 30_000), ["I19"]);
    assert_eq!(probe(None, 60_000), ["I19"]);
    let unseen = ["heal", "drain"].map(|phase| Event::Phase { phase: phase.into() });
    assert_eq!(Script::of(unseen).found(), ["I19"]);
}

#[test]
fn what_hangs_is_found() {
    let stuck = Event::Stuck { channel: 1, what: "no answer".into() };
    assert_eq!(Script::of([open(1, "n1"), stuck]).found(), ["I20"]);
    let left = Event::Drained { queue: "q".into(), ready: 3 };
    assert_eq!(Script::of([left]).found(), ["I20"]);
    let blocked = [
        open(1, "n1"),
        Event::Blocked { channel: 1, blocked: true },
        Event::Phase { phase: "drain".into() },
    ];
    assert_eq!(Script::of(blocked).found(), ["I18"]);
    let there = Event::Vanish { object: "x".into(), node: "n1".into(), took_ms: 9, gone: false };
    assert_eq!(Script::of([there]).found(), ["I9"]);
}

#[test]
fn a_slow_node_that_stops_the_others_is_found() {
    let run = |confirms: u64| {
        let script = Script::of([open(1, "n1"), Event::Phase { phase: "calm".into() }]);
        let publish_some = |script: Script, from: u64, count: u64, micros: u64| {
            (from..from + count).fold(script, |script, tag| {
                script.then(publish(1, tag, tag, &[])).after(micros, confirm(1, tag))
            })
        };
        let script = publish_some(script, 1, 600, SECOND / 100);
        let script =
            script.then(Event::Phase { phase: "faults".into() }).then(fault(&["n2"], "slow disk"));
        let micros = 10 * SECOND / confirms;
        publish_some(script, 601, confirms, micros).then(Event::Healed { fault: 900 }).found()
    };

    assert!(run(200).is_empty());
    assert_eq!(run(2), ["I22"]);
}

#[test]
fn the_longest_gap_is_what_clients_felt_while_something_could_be_broken() {
    let script = Script::of([open(1, "n1"), publish(1, 1, 101, &[]), publish(1, 2, 102, &[])])
        .then(Event::Phase { phase: "calm".into() })
        .after(50 * SECOND, Event::Phase { phase: "faults".into() })
        .after(2 * SECOND, confirm(1, 1))
        .after(3 * SECOND, Event::Phase { phase: "heal".into() })
        .after(2 * SECOND, confirm(1, 2));

    // Nothing was delivered at all, so the longest gap is that of the whole stretch.
    let ended = script.after(SECOND, Event::Phase { phase: "drain".into() });
    assert_eq!(verdict(ended.0).summary.longest_gap, Duration::from_secs(8));
}

pub(super) fn reading(node: &str, phase: &str) -> Reading {
    Reading { node: node.into(), phase: phase.into(), ..Reading::default() }
}

pub(super) fn group(applied: u64, digest: u64) -> Group {
    let (last, committed) = (applied, applied);
    let name = "shard 1".into();
    Group {
        name,
        term: 3,
        applied,
        last,
        committed,
        digest: Some((applied, digest)),
        ..Group::default()
    }
}

fn found_in(taken: Vec<Reading>) -> Vec<&'static str> {
    let script = Script::of([queue("q", Rules::default())]);
    invariants(&check(&History::Memory(script.0), &Readings { taken }))
}

#[test]
fn replicas_that_differ_are_found() {
    let of = |node, applied, digest| Reading {
        groups: vec![group(applied, digest)],
        ..reading(node, "end")
    };

    assert!(found_in(vec![of("n1", 10, 7), of("n2", 10, 7), of("n3", 11, 8)]).is_empty());
    assert_eq!(found_in(vec![of("n1", 10, 7), of("n2", 10, 9)]), ["I14"]);
}

#[test]
fn counters_that_do_not_come_back_to_zero_are_found() {
    let of = |unacknowledged| Reading {
        queues: vec![Counts { queue: "q".into(), unacknowledged, ..Counts::default() }],
        ..reading("n1", "end")
    };

    assert!(found_in(vec![of(3), of(0)]).is_empty(), "the last reading counts");
    assert_eq!(found_in(vec![of(3)]), ["I14"]);
}

#[test]
fn a_log_that_goes_back_is_found() {
    let of = |life, group| Reading { life, groups: vec![group], ..reading("n1", "calm") };
    let older = Group { term: 2, ..group(20, 1) };

    assert_eq!(found_in(vec![of(0, group(10, 1)), of(0, older.clone())]), ["I15"]);
    assert_eq!(found_in(vec![of(0, group(10, 1)), of(0, group(9, 2))]), ["I15"]);
    let disordered = Group { committed: 5, ..group(10, 1) };
    assert_eq!(found_in(vec![of(0, disordered)]), ["I15"]);
    assert!(found_in(vec![of(0, group(10, 1)), of(1, group(9, 2))]).is_empty());
}

#[test]
fn what_grows_and_stays_is_found() {
    let of = |phase, files| Reading { files, ..reading("n1", phase) };

    assert!(found_in(vec![of("calm", 90), of("end", 120)]).is_empty());
    assert_eq!(found_in(vec![of("calm", 90), of("end", 900)]), ["I21"]);
}
