//! Requests that are sent again: what is done once, what is answered again, what is missing.

use warren_machine::Machine;
use warren_types::{ConsumerNumber, QueueId, RequestSequence, SessionId};

use super::kit::{FRONT, Log, QUEUE, publish, session, terms};
use crate::{Command, CommandReply, FragmentReply, Overflow, QueueSettings, Refusal};

const OTHER: QueueId = QueueId(2);

fn get(number: u64) -> Command {
    Command::Get { consumer: ConsumerNumber(number), queue: QUEUE, no_ack: false }
}

fn delete() -> Command {
    Command::DeleteQueue { queue: OTHER, if_unused: false, if_empty: false }
}

fn done(replies: Vec<(u32, CommandReply)>) -> FragmentReply {
    FragmentReply::Done(replies)
}

fn gap(next: u64) -> FragmentReply {
    FragmentReply::Gap { next: RequestSequence(next) }
}

/// The front end opens its session and publishes under 1 and 2, and has heard nothing.
fn unheard() -> Log {
    let mut log = Log::default();
    let front = session(2, 1);
    log.fragment_heard(front, (1, 0), &[Command::OpenSession]);
    log.fragment_heard(
        front,
        (2, 0),
        &[publish(&[QUEUE], b"once"), Command::PurgeQueue { queue: OTHER }],
    );
    log
}

fn close(log: &mut Log, session: SessionId) -> FragmentReply {
    log.fragment(SessionId::LEADER, 0, &[Command::CloseSession { session }])
}

fn ready(log: &Log) -> u64 {
    log.shard.queue_status(QUEUE).map_or(0, |status| status.ready)
}

#[test]
fn whatever_is_asked_again_is_answered_as_the_first_time_and_done_once() {
    let full = QueueSettings {
        max_length: Some(2),
        overflow: Overflow::RejectPublish,
        ..QueueSettings::default()
    };
    let mut log = Log::with(full);
    log.create(OTHER, QueueSettings::default());
    log.enqueue_all::<2>();
    let status = Command::Status { queue: QUEUE };
    let asked = [
        vec![publish(&[QUEUE], b"too many"), publish(&[OTHER], b"fits")],
        vec![publish(&[QueueId(77)], b"nowhere")],
        vec![get(5), status.clone()],
        vec![Command::Attach(terms(6)), Command::Attach(terms(6))],
        vec![get(7), Command::CreateQueue { queue: QueueId(3), settings: QueueSettings::PLAIN }],
        vec![Command::PurgeQueue { queue: OTHER }, delete(), delete()],
        vec![Command::Tick],
        vec![status, Command::Touch { queue: QUEUE }],
    ];
    let heard = log.next_sequence(FRONT) - 1;

    let ask = |log: &mut Log| -> Vec<FragmentReply> {
        let numbered = (heard + 1..).zip(&asked);
        numbered.map(|(at, commands)| log.fragment_heard(FRONT, (at, heard), commands)).collect()
    };
    let first = ask(&mut log);
    let state = log.shard.digest();
    let second = ask(&mut log);
    log.restart();
    let third = ask(&mut log);

    assert!(first.iter().all(|reply| matches!(reply, FragmentReply::Done(_))));
    assert_eq!(first[0], done(vec![(0, CommandReply::Refused(Refusal::QueueFull))]));
    assert_eq!(first[1], done(vec![(0, CommandReply::Missing(vec![QueueId(77)]))]));
    assert!(matches!(&first[2], FragmentReply::Done(replies) if replies.len() == 2));
    assert_eq!(first[3], {
        let taken = CommandReply::Refused(Refusal::ConsumerExists);
        done(vec![(0, CommandReply::Attached), (1, taken)])
    });
    assert_eq!(first[4], {
        done(vec![(0, CommandReply::Empty), (1, CommandReply::Created { fresh: true })])
    });
    assert_eq!(first[5], {
        let gone = CommandReply::Refused(Refusal::QueueDeleted);
        let purged = CommandReply::Purged { messages: 1 };
        done(vec![(0, purged), (1, CommandReply::Deleted { messages: 0 }), (2, gone)])
    });
    assert_eq!(first[6], done(vec![]));
    assert_eq!(second, first);
    assert_eq!(third, first);
    assert_eq!(log.effects, []);
    log.shard.applied.0 -= 16;
    assert_eq!(log.shard.digest(), state, "nothing but the index has changed since");
}

#[test]
fn an_answer_that_was_heard_is_forgotten_and_its_request_a_duplicate() {
    let mut log = unheard();
    let front = session(2, 1);
    let kept = log.shard.memory_bytes();

    let heard = log.fragment_heard(front, (3, 2), &[Command::Tick]);
    let again = log.fragment_heard(front, (2, 0), &[publish(&[QUEUE], b"once")]);

    assert_eq!([heard, again], [done(vec![]), FragmentReply::Duplicate]);
    assert_eq!(ready(&log), 1);
    let answers = log.shard.sessions.answers_mut(front).expect("its boot");
    assert_eq!(answers.kept().count(), 0);
    assert!(log.shard.memory_bytes() <= kept);
}

#[test]
fn an_answer_is_heard_with_a_request_that_is_not_done_as_well() {
    for (sequence, expected) in [(2, FragmentReply::Duplicate), (9, gap(3))] {
        let mut log = unheard();
        let front = session(2, 1);

        let reply = log.fragment_heard(front, (sequence, 2), &[Command::Tick]);
        let again = log.fragment_heard(front, (2, 0), &[Command::Tick]);

        assert_eq!([reply, again], [expected, FragmentReply::Duplicate]);
    }
}

#[test]
fn nothing_is_heard_before_it_was_asked() {
    let mut log = unheard();
    let front = session(2, 1);
    log.fragment_heard(front, (9, 8), &[Command::Tick]);

    let reply = log.fragment_heard(front, (3, 0), &[Command::Status { queue: OTHER }]);
    let again = log.fragment_heard(front, (3, 0), &[Command::Status { queue: OTHER }]);

    assert_eq!(again, reply);
    assert_eq!(reply, done(vec![(0, CommandReply::Refused(Refusal::UnknownQueue))]));
}

#[test]
fn who_wants_no_answer_kept_says_that_it_has_heard_what_it_asks() {
    let mut log = unheard();
    let front = session(2, 1);

    let reply = log.fragment_heard(front, (3, 3), &[Command::Status { queue: OTHER }]);
    let again = log.fragment_heard(front, (3, 3), &[Command::Status { queue: OTHER }]);

    assert_eq!(reply, done(vec![(0, CommandReply::Refused(Refusal::UnknownQueue))]));
    assert_eq!(again, FragmentReply::Duplicate);
}

#[test]
fn a_gap_does_nothing_and_says_where_to_go_on() {
    let mut log = unheard();
    let front = session(2, 1);
    let late = [publish(&[QUEUE], b"late")];

    let gaps = [4, 5, u64::MAX].map(|at| log.fragment_heard(front, (at, 0), &late));
    let opener = log.fragment_heard(front, (5, 0), &[Command::OpenSession]);

    assert_eq!(gaps, [gap(3), gap(3), gap(3)]);
    assert_eq!(opener, gap(3), "the session is open");
    assert_eq!(ready(&log), 1);
    let filled = [3, 4, 5].map(|at| log.fragment_heard(front, (at, 0), &late));
    assert_eq!(filled, [done(vec![]), done(vec![]), done(vec![])]);
    assert_eq!(ready(&log), 4);
}

#[test]
fn a_closed_session_is_opened_behind_what_was_heard_and_goes_on_counting() {
    let mut log = unheard();
    let front = session(2, 1);
    let first = log.fragment_heard(front, (2, 0), &[]);
    log.fragment_heard(front, (3, 1), &[Command::Attach(terms(1))]);
    close(&mut log, front);
    let closed = log.fragment_heard(front, (4, 1), &[publish(&[QUEUE], b"second")]);
    log.restart();

    // As a front end does that has heard the answer to 1.
    let opened = log.fragment_heard(front, (1, 1), &[Command::OpenSession]);
    let again =
        [2, 3, 4].map(|at| log.fragment_heard(front, (at, 1), &[publish(&[QUEUE], b"second")]));

    assert_eq!(closed, FragmentReply::UnknownSession);
    assert_eq!(opened, FragmentReply::Duplicate);
    assert_eq!(again, [first, done(vec![(0, CommandReply::Attached)]), done(vec![])]);
    assert_eq!(ready(&log), 2);
    assert_eq!(log.shard.session_consumers(front), [], "what it held is others' again");
    assert_eq!(log.fragment_heard(front, (6, 1), &[]), gap(5));
}

#[test]
fn a_session_that_is_opened_again_under_another_number_still_knows_its_answers() {
    let mut log = unheard();
    let front = session(2, 1);
    let first = log.fragment_heard(front, (2, 0), &[]);
    close(&mut log, front);

    let opened = log.fragment_heard(front, (3, 0), &[Command::OpenSession]);
    let again = log.fragment_heard(front, (2, 0), &[publish(&[QUEUE], b"once")]);

    assert_eq!([opened, again], [done(vec![]), first]);
    assert_eq!(ready(&log), 1);
}

#[test]
fn a_closed_session_answers_what_was_done_and_does_nothing() {
    let mut log = unheard();
    let front = session(2, 1);
    let first = log.fragment_heard(front, (2, 0), &[]);
    close(&mut log, front);

    let again = log.fragment_heard(front, (2, 0), &[publish(&[QUEUE], b"once")]);

    assert_eq!(again, first);
    assert!(!log.shard.open_sessions().contains(&front));
    assert_eq!(ready(&log), 1);
}

#[test]
fn an_opener_from_before_what_was_heard_opens_nothing() {
    let mut log = unheard();
    let front = session(2, 1);
    log.fragment_heard(front, (3, 2), &[Command::Tick]);
    close(&mut log, front);

    let straggler = log.fragment_heard(front, (1, 1), &[Command::OpenSession]);
    let after_it = log.fragment_heard(front, (4, 3), &[publish(&[QUEUE], b"x")]);

    assert_eq!(straggler, FragmentReply::UnknownSession);
    assert_eq!(after_it, FragmentReply::UnknownSession, "its front end is told");
    assert_eq!(
        log.fragment_heard(front, (3, 3), &[Command::OpenSession]),
        FragmentReply::Duplicate
    );
    assert!(log.shard.open_sessions().contains(&front));
}

#[test]
fn an_opener_of_the_first_round_opens_the_session_before_anything_was_asked() {
    let mut log = Log::default();
    let front = session(2, 1);

    let opened = log.fragment_heard(front, (0, 0), &[Command::OpenSession]);
    let again = log.fragment_heard(front, (0, 0), &[Command::OpenSession]);
    close(&mut log, front);
    let after_close = log.fragment_heard(front, (0, 0), &[Command::OpenSession]);
    let first = log.fragment_heard(front, (1, 0), &[publish(&[QUEUE], b"x")]);

    assert_eq!([opened, first], [done(vec![]), done(vec![])]);
    assert_eq!([again, after_close], [FragmentReply::Duplicate, FragmentReply::Duplicate]);
    assert_eq!(ready(&log), 1);
}

#[test]
fn requests_that_an_opener_left_behind_are_never_called_done() {
    let mut log = Log::default();
    let front = session(2, 1);
    log.fragment_heard(front, (5, 1), &[Command::OpenSession]);
    log.restart();

    let left_behind = [2, 3, 4].map(|at| log.fragment_heard(front, (at, 1), &[]));
    let heard = log.fragment_heard(front, (1, 1), &[]);
    let opener = log.fragment_heard(front, (5, 1), &[]);

    assert!(left_behind.iter().all(|reply| *reply == FragmentReply::UnknownSession));
    assert_eq!([heard, opener], [FragmentReply::Duplicate, done(vec![])]);
    close(&mut log, front);
    let opens = log.fragment_heard(front, (3, 1), &[Command::OpenSession]);
    assert_eq!(opens, FragmentReply::UnknownSession);
    assert!(!log.shard.open_sessions().contains(&front));
}

#[test]
fn an_opener_skips_nothing_that_its_front_end_waits_for() {
    let mut log = unheard();
    let front = session(2, 1);
    close(&mut log, front);

    // All that was asked up to 7 was given up, and the next is 8.
    log.fragment_heard(front, (7, 7), &[Command::OpenSession]);
    let next = log.fragment_heard(front, (8, 7), &[publish(&[QUEUE], b"x")]);

    assert_eq!(next, done(vec![]));
    assert_eq!(ready(&log), 2);
    let answers = log.shard.sessions.answers_mut(front).expect("its boot");
    assert_eq!(answers.skipped().count(), 0);
}

#[test]
fn a_later_boot_counts_from_its_own_beginning_and_knows_no_earlier_answers() {
    let mut log = unheard();
    let (former, later) = (session(2, 1), session(2, 2));

    let opened = log.fragment_heard(later, (0, 0), &[Command::OpenSession]);
    let first = log.fragment_heard(later, (1, 0), &[publish(&[QUEUE], b"x")]);
    let second = log.fragment_heard(later, (2, 0), &[publish(&[QUEUE], b"y")]);
    let late = [1, 2, 3].map(|at| log.fragment_heard(former, (at, 0), &[Command::OpenSession]));

    assert_eq!([opened, first, second], [done(vec![]), done(vec![]), done(vec![])]);
    assert!(late.iter().all(|reply| *reply == FragmentReply::UnknownSession));
    assert_eq!(ready(&log), 3);
    assert!(log.shard.sessions.answers_mut(former).is_none());
}

#[test]
fn the_leader_closes_sessions_and_does_nothing_else() {
    let mut log = unheard();
    let front = session(2, 1);
    log.fragment_heard(front, (3, 0), &[Command::Attach(terms(1))]);
    let sessions = log.shard.sessions().len();
    let commands = [
        Command::OpenSession,
        publish(&[QUEUE], b"x"),
        Command::Attach(terms(4)),
        Command::CreateQueue { queue: OTHER, settings: QueueSettings::default() },
        Command::PurgeQueue { queue: QUEUE },
        Command::Tick,
    ];

    let nothing = log.fragment(SessionId::LEADER, 0, &commands);
    let at_any_number = [9, 9, 0].map(|at| log.fragment(SessionId::LEADER, at, &[Command::Tick]));

    assert_eq!(nothing, done(vec![]));
    assert!(at_any_number.iter().all(|reply| *reply == done(vec![])));
    assert_eq!(log.shard.sessions().len(), sessions);
    assert_eq!(log.shard.queue_status(OTHER), None);
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.unsettled), Some(1));
    let twice = [close(&mut log, front), close(&mut log, front)];
    assert_eq!(twice, [done(vec![]), done(vec![])]);
    assert_eq!(log.shard.open_sessions(), [FRONT]);
    assert_eq!(ready(&log), 1, "what it held waits again");
}
