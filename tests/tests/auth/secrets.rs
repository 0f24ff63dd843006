//! Tokens end, and are replaced while their bearers stay connected.

use warren_tests::python::LATEST;
use warren_tests::wire::{Flags, Frame, Heard, Pack, Wire, consume, declare_queue, id, publish};

use crate::support::{Court, end_of, said, told};

const ALL: &str = "rabbit.configure:*/* rabbit.read:*/* rabbit.write:*/*";

fn update(secret: &str) -> Vec<u8> {
    Pack::method(id::UPDATE_SECRET).long(secret.as_bytes()).short("it ends").frame(0)
}

fn court() -> Option<Court> {
    Court::open("[\"oauth2\", \"internal\"]", "")
}

/// What becomes of something that is tried with tokens of a few seconds. They may have ended before
/// it has begun, on a machine that is busy: then it is tried with longer ones.
fn in_time<R>(attempt: impl Fn(u64) -> Option<R>) -> R {
    let mut outcomes = [3, 12, 40].into_iter().filter_map(attempt);
    outcomes.next().expect("40 seconds are enough to come in")
}

/// A connection with a channel and this token, unless it has ended.
fn come(court: &Court, token: &str) -> Option<Wire> {
    let mut wire = Wire::open_as(court.amqp(), "whoever", token).ok()?;
    wire.channel(1).ok()?;
    Some(wire)
}

#[test]
fn a_connection_ends_with_its_token() {
    let Some(court) = court() else { return };

    let end = in_time(|seconds| {
        let mut wire = come(&court, &court.token("ann", ALL, seconds))?;
        Some(end_of(&mut wire))
    });

    assert_eq!(end, "320 CONNECTION_FORCED - credential expired");
}

#[test]
fn a_connection_outlives_its_token_with_another_one_of_the_same_user() {
    let Some(court) = court() else { return };

    let (mut wire, end) = in_time(|seconds| {
        let token = court.token("ann", ALL, seconds);
        let (mut wire, mut watch) = (come(&court, &token)?, come(&court, &token)?);
        let longer = update(&court.token("ann", ALL, 3600));
        wire.call(0, longer, id::UPDATE_SECRET_OK).ok()?;
        Some((wire, end_of(&mut watch)))
    });
    let after = told(&mut wire, &declare_queue(1, "q", Flags::DURABLE, &[]));

    assert_eq!(end, "320 CONNECTION_FORCED - credential expired");
    assert_eq!(after, "ok");
}

#[test]
fn a_token_of_somebody_else_or_a_bad_one_is_no_replacement() {
    let Some(court) = court() else { return };
    let elsewhere = court.token("ann", "rabbit.read:orders/*", 3600);
    for (secret, expected) in [
        (
            court.token("bob", ALL, 3600),
            "530 NOT_ALLOWED - New secret was refused by one of the backends for user 'ann'",
        ),
        (
            "nonsense".to_owned(),
            "530 NOT_ALLOWED - New secret was refused by one of the backends for user 'ann'",
        ),
        (elsewhere, "530 NOT_ALLOWED - access to vhost '/' refused for user 'ann'"),
    ] {
        let mut wire = court.wire(&court.token("ann", ALL, 3600));
        assert_eq!(told(&mut wire, &update(&secret)), expected);
    }
}

#[test]
fn what_a_client_may_do_follows_from_its_latest_token_also_for_consumers_that_it_has() {
    let Some(court) = court() else { return };
    let mut wire = court.wire(&court.token("ann", ALL, 3600));
    let publish = || publish(1, "", "q", 0, &[0, 0], b"x");
    told(&mut wire, &declare_queue(1, "q", Flags::DURABLE, &[]));
    told(&mut wire, &declare_queue(1, "r", Flags::DURABLE, &[]));
    wire.call(1, consume(1, "q", "on q", 2, &[]), id::CONSUME_OK).unwrap();
    wire.call(1, consume(1, "r", "on r", 2, &[]), id::CONSUME_OK).unwrap();
    // The way of these messages has been worked out with what the token allows.
    wire.send(&publish()).unwrap();
    wire.message(1).unwrap();

    wire.send(&update(&court.token("ann", "rabbit.read:*/r", 3600))).unwrap();
    let heard = [wire.frame().unwrap(), wire.frame().unwrap()];
    wire.send(&publish()).unwrap();
    let refused = said(&wire.frame().unwrap());

    let methods: Vec<_> = heard.iter().map(Frame::method).collect();
    assert_eq!(methods, [Some(id::CANCEL), Some(id::UPDATE_SECRET_OK)], "{heard:?}");
    let expected = "403 ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' \
                    refused for user 'ann'";
    assert_eq!(refused, expected);
}

#[test]
fn many_replacements_leave_one_end() {
    let Some(court) = court() else { return };

    let mut wire = in_time(|seconds| {
        let mut wire = come(&court, &court.token("ann", ALL, 3600))?;
        for seconds in [3000, 2000, seconds] {
            let secret = update(&court.token("ann", ALL, seconds));
            wire.call(0, secret, id::UPDATE_SECRET_OK).ok()?;
        }
        Some(wire)
    });

    assert_eq!(end_of(&mut wire), "320 CONNECTION_FORCED - credential expired");
    assert!(matches!(close(wire), Heard::End));
}

/// What comes after the client has agreed to the end.
fn close(mut wire: Wire) -> Heard {
    wire.send_lossy(&Pack::method(id::CLOSE_OK).frame(0));
    wire.hear().unwrap()
}

#[test]
fn pika_comes_in_with_a_token_and_shows_others_later() {
    let Some(court) = court() else { return };
    let lesser = court.token("ann", "rabbit.write:*/*", 3600);
    let tokens = [court.token("ann", ALL, 600), court.token("ann", ALL, 3600), lesser];
    let arguments = ["q", &tokens[0], &tokens[1], &tokens[2]];

    let said = LATEST.run(court.amqp(), "bearer", &arguments);

    assert_eq!(said, ["got with a token", "refused 403"]);
}
