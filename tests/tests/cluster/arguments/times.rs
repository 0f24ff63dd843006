//! What happens at a time, when the node that keeps the time is killed meanwhile.
//!
//! Everything here is done twice: first undisturbed, which tells how late this machine is anyway,
//! then with the leader killed before anything is due.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use warren_tests::node::unique;
use warren_tests::wire::{Field, id};

use super::{CLASSIC, Properties, QUORUM, Stage, consume_with, mortal, nack, of_kind, offer};
use crate::support::text;

/// Longer than a failover on a busy machine: due while there is a leader again.
const LONG: Duration = Duration::from_millis(4000);

/// Shorter than it takes to notice that a node was killed: due while there may be no leader.
const SHORT: Duration = Duration::from_millis(150);

/// How late something may be after a change of leader, and how much for each millisecond by which
/// it is late without one.
const LATE: Duration = Duration::from_secs(1);
const LATE_PER_CALM: u32 = 5;

/// Entries are stamped in whole milliseconds.
const EARLY: Duration = Duration::from_millis(1);

/// Something that is to happen so long after it was begun.
struct Timed {
    name: &'static str,
    after: Duration,
    prepare: fn(&Stage, Duration) -> Prepared,
}

/// Begins it; what is given then waits until it has happened.
type Prepared = Box<dyn FnOnce() -> Begun>;
type Begun = Box<dyn FnOnce() + Send>;

// Those that are due soon are begun last.
const TIMED: &[Timed] = &[
    timed("x-message-ttl, classic", LONG, |stage, after| queue_ttl(stage, CLASSIC, after)),
    timed("expiration, quorum", LONG, |stage, after| message_ttl(stage, QUORUM, after)),
    timed("x-expires, classic", LONG, |stage, after| expires(stage, CLASSIC, after)),
    timed("x-consumer-timeout, long", LONG, consumer_timeout),
    timed("x-delayed-retry, long", LONG, delayed_retry),
    timed("x-delay, long", LONG, scheduled),
    timed("x-message-ttl, quorum", SHORT, |stage, after| queue_ttl(stage, QUORUM, after)),
    timed("expiration, classic", SHORT, |stage, after| message_ttl(stage, CLASSIC, after)),
    timed("x-consumer-timeout, short", SHORT, consumer_timeout),
    timed("x-expires, quorum", SHORT, |stage, after| expires(stage, QUORUM, after)),
    timed("x-delayed-retry, short", SHORT, delayed_retry),
    timed("x-delay, short", SHORT, scheduled),
];

const fn timed(
    name: &'static str,
    after: Duration,
    prepare: fn(&Stage, Duration) -> Prepared,
) -> Timed {
    Timed { name, after, prepare }
}

#[test]
fn nothing_is_early_or_more_than_a_second_late_when_the_leader_is_killed_meanwhile() {
    let Some(mut stage) = Stage::begin(&["--shards", "1"]) else { return };

    let calm = lateness(&mut stage, |_| {});
    let disturbed = lateness(&mut stage, Stage::kill_leader);

    for ((timed, disturbed), calm) in TIMED.iter().zip(disturbed).zip(calm) {
        let bound = LATE + calm * LATE_PER_CALM;
        println!("{}: {disturbed:?} late, {calm:?} undisturbed", timed.name);
        assert!(disturbed <= bound, "{}: later than {bound:?}", timed.name);
    }
}

/// How late each is, if something happens once all have begun.
fn lateness(stage: &mut Stage, happen: impl FnOnce(&mut Stage)) -> Vec<Duration> {
    let prepared: Vec<Prepared> =
        TIMED.iter().map(|timed| (timed.prepare)(stage, timed.after)).collect();
    let mut watches = Vec::new();
    for begin in prepared {
        let from = Instant::now();
        let wait = begin();
        let begun = Instant::now();
        let watch = thread::spawn(move || {
            wait();
            Instant::now()
        });
        watches.push((from, begun, watch));
    }
    happen(stage);
    let late =
        |(timed, (from, begun, watch)): (&Timed, (Instant, Instant, JoinHandle<Instant>))| {
            let happened = watch.join().unwrap();
            let passed = happened - from;
            assert!(passed + EARLY >= timed.after, "{}: early, after {passed:?}", timed.name);
            happened.saturating_duration_since(begun + timed.after)
        };
    TIMED.iter().zip(watches).map(late).collect()
}

/// A message goes where the dead go when its queue says so.
fn queue_ttl(stage: &Stage, kind: &str, after: Duration) -> Prepared {
    expiry(stage, kind, &[("x-message-ttl", milliseconds(after))], Properties::persistent())
}

/// A message goes where the dead go when it says so itself.
fn message_ttl(stage: &Stage, kind: &str, after: Duration) -> Prepared {
    let after = u64::try_from(after.as_millis()).unwrap();
    expiry(stage, kind, &[], Properties::persistent().with_expiration_ms(after))
}

fn expiry(
    stage: &Stage,
    kind: &str,
    arguments: &[(&str, Field)],
    properties: Properties,
) -> Prepared {
    let dead = stage.queue("dead", QUORUM, &[]);
    let queue = stage.queue("mortal", kind, &mortal(&dead, arguments));
    let (mut client, mut watcher) = (stage.client(), stage.far_client());
    watcher.consume(&dead, 1);
    Box::new(move || {
        assert!(offer(&mut client, &queue, &properties, "brief"));
        Box::new(move || assert_eq!(text(&watcher.next(1)[0]), "brief"))
    })
}

/// A queue that nobody uses goes.
fn expires(stage: &Stage, kind: &str, after: Duration) -> Prepared {
    let expires = [("x-expires", milliseconds(after))];
    let (mut client, arguments) = (stage.client(), of_kind(kind, &expires));
    Box::new(move || {
        let queue = unique("unused");
        client.declare_with(&queue, &arguments);
        // A publish is no use of a queue, and comes back once there is none.
        Box::new(move || while client.publish("", &queue, "is it there?") {})
    })
}

/// A consumer that holds a message for too long is told to go, and the message is another's.
fn consumer_timeout(stage: &Stage, after: Duration) -> Prepared {
    let timeout = [("x-consumer-timeout", milliseconds(after))];
    let queue = stage.queue("leased", QUORUM, &timeout);
    let (mut publisher, mut slow, mut next) = (stage.client(), stage.client(), stage.far_client());
    consume_with(&mut slow, &queue, 1, &[("x-priority", Field::I32(1))]);
    consume_with(&mut next, &queue, 1, &[]);
    Box::new(move || {
        publisher.put(&queue, "long work");
        slow.next(1);
        Box::new(move || {
            slow.expect(id::CANCEL);
            assert!(next.next(1)[0].redelivered);
        })
    })
}

/// A message that was given back waits for a while.
fn delayed_retry(stage: &Stage, after: Duration) -> Prepared {
    let retry = [
        ("x-delayed-retry-type", Field::text("all")),
        ("x-delayed-retry-min", milliseconds(after)),
        ("x-delayed-retry-max", milliseconds(after)),
    ];
    let queue = stage.queue("retried", QUORUM, &retry);
    let mut client = stage.client();
    client.put(&queue, "again");
    client.consume(&queue, 1);
    let held = client.next(1);
    Box::new(move || {
        nack(&mut client, held[0].tag);
        Box::new(move || assert!(client.next(1)[0].redelivered))
    })
}

/// A message comes when its publisher said.
fn scheduled(stage: &Stage, after: Duration) -> Prepared {
    let queue = stage.queue("scheduled", CLASSIC, &[]);
    let (mut client, mut consumer) = (stage.client(), stage.far_client());
    consumer.consume(&queue, 1);
    let delayed = Properties::persistent().with_headers(&[("x-delay", milliseconds(after))]);
    Box::new(move || {
        assert!(offer(&mut client, &queue, &delayed, "later"));
        Box::new(move || assert_eq!(text(&consumer.next(1)[0]), "later"))
    })
}

fn milliseconds(duration: Duration) -> Field {
    Field::I64(i64::try_from(duration.as_millis()).unwrap())
}
