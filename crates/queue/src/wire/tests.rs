//! Round trips, a frozen sample, and bytes that mean nothing.

use proptest::prelude::*;

use super::*;

const SESSION: SessionId = SessionId { node: NodeId(3), boot: BootId(1_700_000_000_000) };

fn at(index: u64, offset: u32) -> Location {
    Location { index: LogIndex(index), offset }
}

fn got() -> Got {
    Got {
        sequence: DeliverySequence(9),
        location: at(1 << 40, 77),
        size: 5000,
        redelivered: false,
        delivery_count: 1,
        acquired_count: 2,
        parts: None,
        remaining: u64::MAX,
    }
}

fn every_command_reply() -> Vec<CommandReply> {
    let refusals = [
        Refusal::UnknownQueue,
        Refusal::QueueDeleted,
        Refusal::ExclusiveConsumer,
        Refusal::SingleActiveConsumer,
        Refusal::InUse,
        Refusal::NotEmpty,
        Refusal::ConsumerExists,
        Refusal::SessionClosed,
        Refusal::UnknownUpload,
        Refusal::QueueFull,
    ];
    let status = QueueStatus {
        ready: 1,
        ready_bytes: 2,
        unsettled: 3,
        unsettled_bytes: 4,
        consumers: 5,
        delayed: 6,
        delayed_bytes: 7,
        dead: 8,
        dead_bytes: 9,
    };
    let parts = Some(vec![at(3, 4), at(5, 6)].into());
    let mut replies: Vec<CommandReply> = refusals.map(CommandReply::Refused).into();
    replies.extend([
        CommandReply::Missing(vec![]),
        CommandReply::Missing(vec![QueueId(1), QueueId(u64::MAX)]),
        CommandReply::Attached,
        CommandReply::Got(got()),
        CommandReply::Got(Got { redelivered: true, parts, ..got() }),
        CommandReply::Empty,
        CommandReply::Created { fresh: true },
        CommandReply::Created { fresh: false },
        CommandReply::Deleted { messages: 11 },
        CommandReply::Purged { messages: 12 },
        CommandReply::Status(status),
    ]);
    replies
}

fn every_reply() -> Vec<FragmentReply> {
    vec![
        FragmentReply::Done(vec![]),
        FragmentReply::Done((7..).zip(every_command_reply()).collect()),
        FragmentReply::Duplicate,
        FragmentReply::UnknownSession,
        FragmentReply::Gap { next: RequestSequence(1 << 50) },
    ]
}

fn every_notice() -> Vec<Notice> {
    let consumer = ConsumerId { session: SESSION, number: ConsumerNumber(21) };
    let queue = QueueId(8);
    let run = DeliveredRun {
        location: at(1000, 44),
        stride: 200,
        count: 50,
        size: 100,
        redelivered: false,
        delivery_count: 0,
        acquired_count: 0,
        parts: None,
    };
    let large = DeliveredRun {
        stride: 0,
        count: 1,
        size: u32::MAX,
        redelivered: true,
        delivery_count: 3,
        acquired_count: 4,
        parts: Some(vec![at(998, 40), at(999, 40)].into()),
        ..run.clone()
    };
    let (first, runs) = (DeliverySequence(1001), vec![run, large]);
    let cancelled = |reason| Notice::Cancelled { consumer, queue, reason };
    vec![
        Notice::Delivered(Delivered { consumer, queue, first, runs }),
        Notice::Delivered(Delivered { consumer, queue, first, runs: vec![] }),
        cancelled(CancelReason::QueueDeleted),
        cancelled(CancelReason::Timeout),
    ]
}

/// All samples, each behind its length.
fn samples() -> Vec<u8> {
    let replies = every_reply().into_iter().map(|reply| reply.encode());
    let notices = every_notice().into_iter().map(|notice| notice.encode());
    let mut out = Writer::new();
    replies.chain(notices).for_each(|bytes| out.bytes(&bytes));
    out.finish().to_vec()
}

#[test]
fn every_answer_is_read_as_it_was_written() {
    for reply in every_reply() {
        assert_eq!(FragmentReply::decode(reply.encode()), Ok(reply));
    }
}

#[test]
fn every_notice_is_read_as_it_was_written() {
    for notice in every_notice() {
        assert_eq!(Notice::decode(notice.encode()), Ok(notice));
    }
}

#[test]
fn format_1_stays_as_it_is_for_ever() {
    let frozen = include_bytes!("../../testdata/formats/wire-1.bin");

    assert!(samples() == frozen.as_slice(), "format 1 has changed; it must not");
}

#[test]
fn what_is_cut_off_or_too_long_is_refused() {
    for whole in every_reply().into_iter().map(|reply| reply.encode()) {
        for end in 0..whole.len() {
            assert!(FragmentReply::decode(whole.slice(..end)).is_err(), "cut off at {end}");
        }
        let longer = Bytes::from([&whole[..], &[0]].concat());
        assert_eq!(FragmentReply::decode(longer), Err(DecodeError::Trailing { count: 1 }));
    }
    for whole in every_notice().into_iter().map(|notice| notice.encode()) {
        for end in 0..whole.len() {
            assert!(Notice::decode(whole.slice(..end)).is_err(), "cut off at {end}");
        }
        let longer = Bytes::from([&whole[..], &[0]].concat());
        assert_eq!(Notice::decode(longer), Err(DecodeError::Trailing { count: 1 }));
    }
}

#[test]
fn bytes_without_meaning_are_refused_by_name() {
    let unknown = |what, value| DecodeError::Unknown { what, value };
    let reply = |bytes: &'static [u8]| FragmentReply::decode(Bytes::from_static(bytes));
    let command = |bytes: &'static [u8]| {
        let head = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        FragmentReply::decode(Bytes::from([&head[..], bytes].concat()))
    };
    let notice = |bytes: &'static [u8]| Notice::decode(Bytes::from_static(bytes));

    assert_eq!(reply(&[2, 1]), Err(unknown("version", 2)));
    assert_eq!(reply(&[1, 4]), Err(unknown("fragment reply", 4)));
    assert_eq!(command(&[9]), Err(unknown("reply", 9)));
    assert_eq!(command(&[0, 13]), Err(unknown("refusal", 13)));
    assert_eq!(command(&[5, 2]), Err(unknown("fresh", 2)));
    assert_eq!(notice(&[0, 0]), Err(unknown("version", 0)));
    assert_eq!(notice(&[1, 2]), Err(unknown("notice", 2)));
    let mut reason = every_notice()[2].encode().to_vec();
    *reason.last_mut().unwrap() = 4;
    assert_eq!(Notice::decode(reason.into()), Err(unknown("reason", 4)));
}

#[test]
fn what_came_later_is_read_as_it_was_written() {
    for refusal in [Refusal::NotHeld, Refusal::IsStream, Refusal::OtherKind] {
        let reply = FragmentReply::Done(vec![(3, CommandReply::Refused(refusal))]);
        assert_eq!(FragmentReply::decode(reply.encode()), Ok(reply));
    }

    for reason in [CancelReason::LeaseEnded, CancelReason::TakenOver] {
        let (consumer, queue) = (ConsumerId::default(), QueueId(7));
        let notice = Notice::Cancelled { consumer, queue, reason };
        assert_eq!(Notice::decode(notice.encode()), Ok(notice));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from([&[VERSION][..], &bytes].concat());

        let reply = FragmentReply::decode(bytes.clone());
        let notice = Notice::decode(bytes.clone());

        prop_assert!(reply.is_err() || reply.is_ok_and(|reply| reply.encode() == bytes));
        prop_assert!(notice.is_err() || notice.is_ok_and(|notice| notice.encode() == bytes));
    }

    #[test]
    fn changed_bytes_are_read_or_refused(
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (replies, notices) = (every_reply(), every_notice());
        let mut bytes = match sample.index(replies.len() + notices.len()) {
            reply if reply < replies.len() => replies[reply].encode().to_vec(),
            notice => notices[notice - replies.len()].encode().to_vec(),
        };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let bytes = Bytes::from(bytes);

        let reply = FragmentReply::decode(bytes.clone());
        let notice = Notice::decode(bytes.clone());

        prop_assert!(reply.is_err() || reply.is_ok_and(|reply| reply.encode() == bytes));
        prop_assert!(notice.is_err() || notice.is_ok_and(|notice| notice.encode() == bytes));
    }
}
