//! One history in which all is well, and for each invariant changes to it that break that one alone.

use std::collections::BTreeSet;

use super::scene::{deliver, sum};
use super::scripts::{
    SECOND, Script, confirm, consume, fault, group, open, prove, publish, queue, reading,
};
use super::*;
use crate::history::{Action, DAMAGE, Death, How, Message, Outcome, Overflow, Rules};
use crate::readings::{Members, Reading};

/// What a run leaves.
struct Run {
    lines: Vec<Line>,
    readings: Readings,
}

/// A change, what it is, and the invariant that it breaks.
type Planted = (&'static str, &'static str, fn(&mut Run));

const PLANTED: &[Planted] = &[
    ("I1", "a confirmed message never comes", |run| run.forget(is_delivery_of(103))),
    ("I2", "a message is not what was published", |run| run.garble(102)),
    ("I2", "a message that nobody published", |run| run.at_the_end(deliver(20, 90, 999_999, 0))),
    ("I2", "a message in a queue where it does not belong", |run| {
        run.at_the_end(deliver(20, 90, 104, 0));
    }),
    ("I3", "a message comes twice", |run| run.behind(is_delivery_of(101), deliver(20, 90, 101, 0))),
    ("I3", "a message comes again without its flag", |run| run.unflag(103)),
    ("I3", "a dead letter comes twice", |run| run.behind(is_delivery_of(106), dead_letter(41))),
    ("I4", "two messages change places", |run| run.swap(101, 102)),
    ("I5", "a message rises that was settled for certain", |run| {
        run.at_the_end(deliver(20, 90, 103, 9));
    }),
    ("I5", "a message rises from before a delete", Run::delete_before_it_is_consumed),
    ("I6", "a publish is confirmed twice", |run| run.at_the_end(confirm(1, 1))),
    ("I6", "a publish is confirmed that was none", |run| run.at_the_end(confirm(1, 5000))),
    ("I7", "a consumer gets more than it asked for", Run::ask_for_one),
    ("I8", "two single active consumers", |run| run.change(Run::give_to_another)),
    ("I9", "a queue stays whose owner left", |run| run.change(Run::stay)),
    ("I10", "a node does not see what is there", |run| run.change(Run::blind)),
    ("I11", "a message expires early", |run| run.change(Run::live_long)),
    ("I12", "a message dies of nothing", |run| run.change(Run::die_of_boredom)),
    ("I13", "what was rolled back comes", |run| run.at_the_end(deliver(20, 90, 107, 0))),
    ("I14", "two replicas differ", |run| run.last("n2").groups[0].digest = Some((50, 8))),
    ("I14", "a counter does not come back to zero", |run| {
        run.last("n2").queues[0].unacknowledged = 1
    }),
    ("I15", "a term has two leaders", |run| run.last("n2").groups[0].leads = true),
    ("I15", "a replica forgets its term", |run| run.last("n2").groups[0].term = 1),
    ("I16", "damage is served", |run| {
        run.lines.insert(0, Line { at: 0, event: fault(&["n9"], DAMAGE) });
        run.garble(102);
    }),
    ("I16", "damage is spread", |run| {
        run.lines.insert(0, Line { at: 0, event: fault(&["n9"], DAMAGE) });
        run.last("n2").groups[0].digest = Some((50, 8));
    }),
    ("I17", "somebody votes who is not to", |run| {
        run.last("n1").members[0].voters.push("n4".into())
    }),
    ("I18", "a publisher is blocked for good", |run| {
        run.forget(|event| matches!(event, Event::Blocked { blocked: false, .. }));
    }),
    ("I19", "a broker does not recover", |run| run.change(Run::fail)),
    ("I19", "nobody looks whether it does", |run| {
        run.forget(|event| matches!(event, Event::Probe { .. }));
    }),
    ("I20", "an answer does not come", |run| {
        run.at_the_end(Event::Stuck { channel: 1, what: "no answer".into() });
    }),
    ("I20", "messages go to nobody", |run| run.change(Run::leave_some)),
    ("I21", "files are never closed", |run| run.last("n1").files = 9000),
    ("I22", "a slow node stops all", |run| {
        run.forget(|event| matches!(event, Event::Confirm { channel: 8, .. }));
    }),
];

#[test]
fn a_good_run_has_nothing_wrong() {
    let verdict = good().judge();

    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.summary.lost, verdict.summary.duplicated), (0, 0));
}

#[test]
fn each_planted_fault_breaks_its_invariant_and_no_other() {
    let wrong: Vec<String> = PLANTED.iter().filter_map(judged_otherwise).collect();

    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_invariant_is_broken_once() {
    let broken: BTreeSet<String> = PLANTED.iter().map(|(name, ..)| (*name).to_owned()).collect();

    let all: BTreeSet<String> = (1..=22).map(|number| format!("I{number}")).collect();
    assert_eq!(broken, all);
}

/// What is found instead, if it is not what was planted.
fn judged_otherwise((invariant, what, plant): &Planted) -> Option<String> {
    let mut run = good();
    plant(&mut run);
    let verdict = run.judge();
    let is_right = invariants(&verdict) == [*invariant];
    (!is_right).then(|| format!("{invariant}, {what}: {:?}", verdict.violations))
}

fn phase(name: &str) -> Event {
    Event::Phase { phase: name.into() }
}

fn ack(channel: u64, tag: u64) -> Event {
    Event::Settle { channel, tag, multiple: true, how: How::Ack }
}

/// Message 106, which expired in `aged`.
fn dead_letter(tag: u64) -> Event {
    let mut event = deliver(40, tag, 106, 0);
    if let Event::Deliver { death, .. } = &mut event {
        let (queue, reason) = ("aged".into(), "expired".into());
        *death = Some(Death { queue, reason, count: 1 });
    }
    event
}

/// So many publishes of a channel that go nowhere, each confirmed after a hundredth of a second.
fn steady(script: Script, channel: u64, count: u64) -> Script {
    (1..=count).fold(script, |script, tag| {
        let message = channel * 10_000 + tag;
        script.then(publish(channel, tag, message, &[])).after(10_000, confirm(channel, tag))
    })
}

fn good() -> Run {
    let rules = |rules: &Rules| Rules { counts: true, ..rules.clone() };
    let aged = Rules {
        ttl_ms: Some(1000),
        dead_letters: Some("dead".into()),
        at_least_once: true,
        overflow: Overflow::RejectPublish,
        ..Rules::default()
    };
    let active = Rules { single_active: true, ..Rules::default() };
    let begin = Script::of([
        phase("calm"),
        queue("q", rules(&Rules::default())),
        queue("active", rules(&active)),
        queue("aged", rules(&aged)),
        queue("dead", rules(&Rules::default())),
    ]);
    let nodes = ["n1", "n2", "n3", "n1", "n2", "n3", "n1", "n2"];
    let script = (1..).zip(nodes).fold(begin, |script, (at, node)| script.then(open(at, node)));
    let script = steady(script, 7, 600);
    let script = topology(messages(script)).then(phase("faults")).then(fault(&["n3"], "slow disk"));
    let script = steady(script, 8, 600)
        .then(Event::Healed { fault: 900 })
        .then(phase("heal"))
        .then(Event::Probe { queue: "q".into(), node: "n1".into(), took_ms: 90, failed: None })
        .then(phase("drain"));
    let queues = ["q", "active", "aged", "dead"];
    let script = queues.into_iter().fold(script, |script, queue| {
        script.then(Event::Drained { queue: queue.into(), ready: 0 })
    });
    let names = || ["n1", "n2", "n3"].map(str::to_owned).to_vec();
    let of = |node: &str, phase: &str, applied: u64| {
        let members = Members { group: 1, wanted: names(), voters: names(), ..Members::default() };
        let mut group = group(applied, applied + 1);
        group.leads = node == "n1";
        let counts = crate::readings::Counts { queue: "q".into(), ..Default::default() };
        Reading {
            groups: vec![group],
            members: vec![members],
            queues: vec![counts],
            ..reading(node, phase)
        }
    };
    let taken = [("calm", 40), ("end", 50)];
    let taken = taken
        .iter()
        .flat_map(|(phase, at)| ["n1", "n2"].map(|node| of(node, phase, *at)))
        .collect();
    Run { lines: script.0, readings: Readings { taken } }
}

/// Messages 101 to 103 and 107 for `q`, 104 and 105 for `active`, 106 for `aged`.
fn messages(script: Script) -> Script {
    let events = [
        publish(1, 1, 101, &["q"]),
        publish(1, 2, 102, &["q"]),
        publish(1, 3, 103, &["q"]),
        publish(1, 4, 104, &["active"]),
        publish(1, 5, 105, &["active"]),
        publish(1, 6, 106, &["aged"]),
        Event::Confirm { channel: 1, tag: 6, multiple: true, taken: true },
        publish(5, 0, 107, &["q"]),
        Event::RolledBack { channel: 5 },
        consume(20, 2, "q"),
        consume(30, 3, "active"),
        consume(40, 4, "dead"),
        consume(60, 6, "active"),
        deliver(20, 1, 101, 0),
        deliver(20, 2, 102, 0),
        ack(2, 2),
        deliver(20, 3, 103, 0),
        Event::Settle { channel: 2, tag: 3, multiple: false, how: How::Requeue },
        deliver(20, 4, 103, 1),
        ack(2, 4),
    ];
    let script = events.into_iter().chain(prove(2)).fold(script, Script::then);
    // Whatever either of the two consumers of `active` got, they acknowledge.
    let events = [deliver(30, 1, 104, 0), deliver(30, 2, 105, 0), ack(3, 2), ack(6, 1)];
    let script = events.into_iter().chain(prove(3)).fold(script, Script::then);
    let script = script.after(2 * SECOND, dead_letter(1)).then(ack(4, 1));
    prove(4).into_iter().fold(script, Script::then)
}

fn topology(script: Script) -> Script {
    let operate = |operation, action| Event::Operate {
        operation,
        object: "queue x".into(),
        action,
        node: "n1".into(),
    };
    let events = [
        operate(1, Action::Declare(7)),
        Event::Answer { operation: 1, outcome: Outcome::Done },
        operate(2, Action::Look),
        Event::Answer { operation: 2, outcome: Outcome::Present },
        Event::Vanish { object: "own".into(), node: "n1".into(), took_ms: 9, gone: true },
        Event::Blocked { channel: 1, blocked: true },
        Event::Blocked { channel: 1, blocked: false },
    ];
    events.into_iter().fold(script, Script::then)
}

fn is_delivery_of(wanted: Message) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Deliver { message: Some(message), .. } if *message == wanted)
}

impl Run {
    fn judge(self) -> Verdict {
        check(&History::Memory(self.lines), &self.readings)
    }

    fn forget(&mut self, what: impl Fn(&Event) -> bool) {
        self.lines.retain(|line| !what(&line.event));
    }

    fn change(&mut self, change: impl FnMut(&mut Event)) {
        self.lines.iter_mut().map(|line| &mut line.event).for_each(change);
    }

    fn behind(&mut self, what: impl Fn(&Event) -> bool, event: Event) {
        let at = self.lines.iter().position(|line| what(&line.event)).unwrap();
        self.lines.insert(at + 1, Line { at: self.lines[at].at, event });
    }

    /// While all is healed, and before the queues are drained.
    fn at_the_end(&mut self, event: Event) {
        self.behind(|event| matches!(event, Event::Probe { .. }), event);
    }

    fn garble(&mut self, wanted: Message) {
        self.change(|event| {
            if is_delivery_of(wanted)(event)
                && let Event::Deliver { sum, .. } = event
            {
                *sum ^= 1;
            }
        });
    }

    fn unflag(&mut self, wanted: Message) {
        self.change(|event| {
            if is_delivery_of(wanted)(event)
                && let Event::Deliver { redelivered, .. } = event
            {
                *redelivered = false;
            }
        });
    }

    fn swap(&mut self, one: Message, other: Message) {
        self.change(|event| {
            let Event::Deliver { message: Some(message), sum: of, .. } = event else { return };
            let new = match *message {
                message if message == one => other,
                message if message == other => one,
                message => message,
            };
            (*message, *of) = (new, sum(new));
        });
    }

    /// The consumer of `q` came after all that is in it was confirmed, and deleted.
    fn delete_before_it_is_consumed(&mut self) {
        let is_consume = |line: &Line| matches!(line.event, Event::Consume { consumer: 20, .. });
        let at = self.lines.iter().position(is_consume).unwrap();
        let time = self.lines[at].at;
        for event in [
            Event::Removed { queue: "q".into(), delete: true },
            Event::Remove { queue: "q".into(), delete: true },
        ] {
            self.lines.insert(at, Line { at: time, event });
        }
    }

    fn ask_for_one(&mut self) {
        self.change(|event| {
            if let Event::Consume { consumer: 20, prefetch, .. } = event {
                *prefetch = 1;
            }
        });
    }

    fn last(&mut self, node: &str) -> &mut Reading {
        let mut taken = self.readings.taken.iter_mut();
        taken.rfind(|reading| reading.node == node && reading.phase == "end").unwrap()
    }

    /// While the first one holds message 104.
    fn give_to_another(event: &mut Event) {
        if is_delivery_of(105)(event)
            && let Event::Deliver { consumer, tag, .. } = event
        {
            (*consumer, *tag) = (60, 1);
        }
    }

    fn stay(event: &mut Event) {
        if let Event::Vanish { gone, .. } = event {
            *gone = false;
        }
    }

    fn blind(event: &mut Event) {
        if let Event::Answer { operation: 2, outcome } = event {
            *outcome = Outcome::Absent;
        }
    }

    fn live_long(event: &mut Event) {
        if let Event::Queue { queue, rules } = event
            && queue == "aged"
        {
            rules.ttl_ms = Some(60_000);
        }
    }

    fn die_of_boredom(event: &mut Event) {
        if let Event::Deliver { death: Some(death), .. } = event {
            death.reason = "boredom".into();
        }
    }

    fn fail(event: &mut Event) {
        if let Event::Probe { failed, .. } = event {
            *failed = Some("nobody answers".into());
        }
    }

    fn leave_some(event: &mut Event) {
        if let Event::Drained { queue, ready } = event
            && queue == "q"
        {
            *ready = 3;
        }
    }
}
