use super::*;

/// Five messages of publisher 7, all confirmed.
fn five_confirmed() -> Checker {
    let mut checker = Checker::default();
    for _ in 0..5 {
        let number = checker.publish(7);
        checker.confirm(7, number);
    }
    checker
}

fn deliver_all(checker: &mut Checker, numbers: &[Number]) {
    for number in numbers {
        checker.deliver(7, *number, false);
    }
}

#[test]
fn a_history_without_faults_has_none() {
    let mut checker = five_confirmed();
    deliver_all(&mut checker, &[0, 1, 2]);
    checker.deliver(7, 1, true);
    deliver_all(&mut checker, &[3, 4]);

    let (summary, faults) = checker.finish();

    assert_eq!(faults, []);
    assert_eq!(summary, Summary { sent: 5, confirmed: 5, delivered: 5, repeats: 1 });
}

#[test]
fn a_dropped_message_is_found_if_it_was_confirmed() {
    let mut checker = five_confirmed();
    checker.publish(7);
    deliver_all(&mut checker, &[0, 1, 3, 4]);

    assert_eq!(checker.missing(), 1);
    assert_eq!(checker.finish().1, [Fault::Lost { publisher: 7, number: 2 }]);
}

#[test]
fn a_second_delivery_without_the_flag_is_found() {
    let mut checker = five_confirmed();
    deliver_all(&mut checker, &[0, 1, 2, 3, 4, 3]);

    assert_eq!(checker.finish().1, [Fault::Unflagged { publisher: 7, number: 3 }]);
}

#[test]
fn a_message_that_overtakes_another_is_found() {
    let mut checker = five_confirmed();
    deliver_all(&mut checker, &[0, 2, 1, 3, 4]);

    assert_eq!(checker.finish().1, [Fault::Overtaken { publisher: 7, number: 1, by: 2 }]);
}

#[test]
fn what_was_sent_to_a_lost_connection_may_come_late_and_flagged() {
    let mut checker = five_confirmed();
    deliver_all(&mut checker, &[0, 2]);
    checker.deliver(7, 1, true);
    deliver_all(&mut checker, &[3, 4]);

    assert_eq!(checker.finish().1, []);
}

#[test]
fn a_message_that_comes_again_after_it_was_settled_is_found_even_with_the_flag() {
    let mut checker = five_confirmed();
    deliver_all(&mut checker, &[0, 1, 2, 3, 4]);
    checker.settle(7, 0);
    checker.deliver(7, 0, true);

    assert_eq!(checker.finish().1, [Fault::Risen { publisher: 7, number: 0 }]);
}

#[test]
fn a_message_that_nobody_sent_is_found() {
    let mut checker = five_confirmed();
    deliver_all(&mut checker, &[0, 1, 2, 3, 4, 5]);
    checker.confirm(7, 9);

    let expected = [
        Fault::Ghost { publisher: 7, number: 5 },
        Fault::StrangeConfirm { publisher: 7, number: 9 },
    ];
    assert_eq!(checker.finish().1, expected);
}

/// Two messages of publisher 7, confirmed, and a consumer that may have two.
fn two_for_a_consumer() -> (Checker, Consumer) {
    let mut checker = Checker::default();
    for _ in 0..2 {
        let number = checker.publish(7);
        checker.confirm(7, number);
    }
    let consumer = checker.attach(2);
    (checker, consumer)
}

#[test]
fn a_consumer_that_lives_keeps_what_it_has() {
    let (mut checker, first) = two_for_a_consumer();
    let second = checker.attach(2);
    checker.deliver_to(first, 7, 0, false);
    checker.deliver_to(first, 7, 1, false);
    checker.acknowledge(first, 7, 0);
    checker.lose(second);

    checker.deliver_to(second, 7, 0, true);
    checker.deliver_to(second, 7, 1, true);

    let taken = |number| Fault::Taken { publisher: 7, number, from: first, to: second };
    assert_eq!(checker.finish().1, [taken(0), taken(1)]);
}

#[test]
fn what_a_lost_consumer_had_or_gave_back_goes_to_another() {
    let (mut checker, first) = two_for_a_consumer();
    checker.deliver_to(first, 7, 0, false);
    checker.deliver_to(first, 7, 1, false);
    checker.give_back(first, 7, 1);
    assert_eq!(checker.held_by(first), [(7, 0)]);
    checker.lose(first);

    let second = checker.attach(2);
    checker.deliver_to(second, 7, 0, true);
    checker.deliver_to(second, 7, 1, true);

    assert_eq!(checker.finish().1, []);
}

#[test]
fn a_flag_without_a_reason_is_found() {
    let (mut checker, consumer) = two_for_a_consumer();
    checker.deliver_to(consumer, 7, 0, true);
    checker.deliver_to(consumer, 7, 1, false);

    assert_eq!(checker.finish().1, [Fault::FalselyFlagged { publisher: 7, number: 0 }]);
}

#[test]
fn an_acknowledgement_that_is_certain_holds_beyond_the_connection() {
    let (mut checker, first) = two_for_a_consumer();
    checker.deliver_to(first, 7, 0, false);
    checker.acknowledge(first, 7, 0);
    checker.settle_all(first);
    checker.deliver_to(first, 7, 1, false);
    checker.acknowledge(first, 7, 1);
    checker.lose(first);

    let second = checker.attach(2);
    checker.deliver_to(second, 7, 0, true);
    checker.deliver_to(second, 7, 1, true);

    assert_eq!(checker.finish().1, [Fault::Risen { publisher: 7, number: 0 }]);
}

#[test]
fn a_consumer_that_gets_more_than_it_asked_for_is_found() {
    let (mut checker, _) = two_for_a_consumer();
    let modest = checker.attach(1);
    checker.deliver_to(modest, 7, 0, false);
    checker.deliver_to(modest, 7, 1, false);

    assert_eq!(checker.finish().1, [Fault::Overfed { consumer: modest, held: 2, limit: 1 }]);
}

#[test]
fn a_second_confirm_and_a_refusal_are_found() {
    let mut checker = five_confirmed();
    deliver_all(&mut checker, &[0, 1, 2, 3, 4]);
    checker.confirm(7, 1);
    checker.refuse(7, 2);
    let refused = checker.publish(7);
    checker.refuse(7, refused);

    let expected = [
        Fault::ConfirmedTwice { publisher: 7, number: 1 },
        Fault::ConfirmedTwice { publisher: 7, number: 2 },
        Fault::Refused { publisher: 7, number: 2 },
        Fault::Refused { publisher: 7, number: 5 },
    ];
    assert_eq!(checker.finish().1, expected);
}
