//! The queues of a run, and what is particular about some of them.

use std::time::Duration;

use super::history::History;

/// Has one active consumer.
pub(super) const SINGLE: &str = "single";

/// Keeps nothing for longer than [`BRIEFLY`].
pub(super) const BRIEF: &str = "brief";

/// Gives nobody the same message too often.
pub(super) const LIMITED: &str = "limited";

/// Keeps everything for [`LONG`], which is longer than a run in which all goes well.
const LASTING: &str = "c";

/// A stream: nobody takes anything out.
pub(super) const STREAM: &str = "stream";

/// Where [`BRIEF`], [`LIMITED`] and [`LASTING`] bury their dead.
pub(super) const GRAVE: &str = "grave";

/// How long a message stays in [`BRIEF`].
const BRIEFLY: Duration = Duration::from_secs(2);

/// How long a message stays in [`LASTING`].
const LONG: Duration = Duration::from_secs(120);

/// How often a message may go back to [`LIMITED`].
const LIMIT: u8 = 3;

/// Queues of a run, with their publishers and consumers.
pub(super) const QUEUES: [(&str, usize, usize); 8] = [
    ("a", 1, 1),
    ("b", 1, 1),
    (LASTING, 1, 2),
    ("shared", 2, 3),
    (SINGLE, 1, 3),
    (BRIEF, 1, 0),
    (LIMITED, 1, 1),
    (GRAVE, 0, 1),
];

/// Whether nobody else consumes a queue.
pub(super) fn has_one_consumer(queue: &str) -> bool {
    QUEUES.iter().any(|(name, _, consumers)| *name == queue && *consumers == 1)
}

/// Tells the history what may be expected of them.
pub(super) fn introduce(history: &History) {
    history.single(SINGLE);
    history.buries(BRIEF, GRAVE, BRIEFLY);
    history.buries(LASTING, GRAVE, LONG);
    history.buries(LIMITED, GRAVE, Duration::ZERO);
}

/// The arguments that a queue is declared with, as a table without its length.
pub(super) fn arguments(queue: &str) -> Vec<u8> {
    let mut table = Vec::new();
    let mut put = |name: &str, kind: u8, value: &[u8]| {
        table.push(u8::try_from(name.len()).expect("names are short"));
        table.extend_from_slice(name.as_bytes());
        table.push(kind);
        table.extend_from_slice(value);
    };
    if queue == SINGLE {
        put("x-single-active-consumer", b't', &[1]);
    }
    let text = |text: &str| {
        let length = u32::try_from(text.len()).expect("it is short").to_be_bytes();
        [&length, text.as_bytes()].concat()
    };
    if queue == STREAM {
        put("x-queue-type", b'S', &text("stream"));
    }
    for (_, age) in [(BRIEF, BRIEFLY), (LASTING, LONG)].iter().filter(|(name, _)| *name == queue) {
        let millis = i32::try_from(age.as_millis()).expect("it is short");
        put("x-message-ttl", b'I', &millis.to_be_bytes());
    }
    if queue == LIMITED {
        put("x-delivery-limit", b'b', &[LIMIT]);
        put("x-queue-type", b'S', &text("quorum"));
        // The others' letters are carried at most once.
        put("x-dead-letter-strategy", b'S', &text("at-least-once"));
        put("x-overflow", b'S', &text("reject-publish"));
    }
    if [BRIEF, LIMITED, LASTING].contains(&queue) {
        put("x-dead-letter-exchange", b'S', &[0; 4]);
        put("x-dead-letter-routing-key", b'S', &text(GRAVE));
    }
    table
}
