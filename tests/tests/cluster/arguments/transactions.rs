//! Publishes and acknowledgements that count when they are committed.

use warren_tests::wire::{Pack, Wire, id, publish, settle};

use super::{Later, Properties, Stage};
use crate::support::{Client, PATIENCE, await_that, text};

/// One transaction is committed and one rolled back on either side of the failover; two more are
/// begun before it and ended after.
pub fn commit_and_rollback(stage: &Stage, kind: &str) -> Later {
    let queues = ["one", "two"].map(|stem| stage.queue(stem, kind, &[]));
    let mut watcher = stage.far_client();
    let mut sessions = [0, 1, 2].map(|_| Session::begin(stage));
    let [only, committed, dropped] = &mut sessions;

    for (round, ends) in [("a", id::TX_ROLLBACK), ("b", id::TX_COMMIT)] {
        only.publish(&queues[0], round);
        only.publish(&queues[1], round);
        assert_eq!(counts(&mut watcher, &queues), [0, 0], "{round} is not committed");
        only.end(ends);
    }
    assert_eq!(counts(&mut watcher, &queues), [1, 1]);
    let held = only.wire.get(1, &queues[0], false).unwrap().unwrap();
    only.wire.send(&settle(1, id::ACK, held.tag, 0)).unwrap();
    for (session, round) in [(committed, "c"), (dropped, "d")] {
        session.publish(&queues[0], round);
        session.publish(&queues[1], round);
    }

    Box::new(move |stage| {
        let [only, committed, dropped] = &mut sessions;
        dropped.end(id::TX_ROLLBACK);
        committed.end(id::TX_COMMIT);
        assert_eq!(counts(&mut watcher, &queues), [1, 2]);
        // The acknowledgement is taken back, and the message returns with the channel's end.
        only.end(id::TX_ROLLBACK);
        *only = Session::begin(stage);
        await_that("what was not acknowledged is there", || {
            counts(&mut watcher, &queues) == [2, 2]
        });
        let again = only.wire.get(1, &queues[0], false).unwrap().unwrap();
        assert_eq!((text(&again).as_str(), again.redelivered), ("b", true));
        only.wire.send(&settle(1, id::ACK, again.tag, 0)).unwrap();
        only.publish(&queues[1], "e");
        only.end(id::TX_COMMIT);
        *only = Session::begin(stage);
        assert_eq!(watcher.drain(&queues[0]), ["c"]);
        assert_eq!(watcher.drain(&queues[1]), ["b", "c", "e"]);
    })
}

fn counts(watcher: &mut Client, queues: &[String; 2]) -> [u32; 2] {
    queues.each_ref().map(|queue| watcher.counts(queue).0)
}

/// A connection whose channel 1 is transactional.
struct Session {
    wire: Wire,
}

impl Session {
    fn begin(stage: &Stage) -> Self {
        let address = stage.cluster.amqp((stage.leader + 1) % 3);
        let mut wire = Wire::open_channel_within(address, PATIENCE).unwrap();
        wire.call(1, Pack::method(id::TX_SELECT).frame(1), id::TX_SELECT_OK).unwrap();
        Self { wire }
    }

    fn publish(&mut self, queue: &str, body: &str) {
        let properties = Properties::persistent().encode();
        self.wire.send(&publish(1, "", queue, 0, &properties, body.as_bytes())).unwrap();
    }

    /// Commits or rolls back.
    fn end(&mut self, method: (u16, u16)) {
        let answer = (method.0, method.1 + 1);
        self.wire.call(1, Pack::method(method).frame(1), answer).unwrap();
    }
}
