//! What a stream must be: the same for everybody, for ever.
//!
//! - **I1** what was confirmed stands in the stream, and is read (`History::missing` asks for it);
//! - **I2** what is read was published there;
//! - **I3** a message stands at one offset;
//! - **I4** at an offset stands one message, whoever reads it from whichever node; a reader passes over
//!   none and is given none twice; what one channel publishes stands in its order.

use std::collections::BTreeMap;

use super::{History, Inner, Message};

/// What is known of a stream.
#[derive(Default)]
pub(super) struct Stream {
    at: BTreeMap<u64, Message>,
    offsets: BTreeMap<Message, u64>,
}

/// One reader of a stream.
pub(in crate::sim) struct Reading {
    stream: String,
    /// The offset that must come, unless it began where nobody could know.
    next: Option<u64>,
}

impl History {
    /// A reader that begins at an offset, or at whatever comes.
    pub(in crate::sim) fn reading(&self, stream: &str, from: Option<u64>) -> Reading {
        self.note(format!("a reader of {stream} begins at {from:?}"));
        Reading { stream: stream.to_owned(), next: from }
    }

    /// A message was read.
    pub(in crate::sim) fn read(&self, reading: &mut Reading, offset: u64, message: Message) {
        let mut inner = self.inner();
        inner.event(format!("read {message:?} at {offset} of {}", reading.stream));
        inner.summary.read += 1;
        if reading.next.is_some_and(|next| next != offset) {
            let next = reading.next.unwrap_or_default();
            inner.fault(format!("I4: a reader is given offset {offset} instead of {next}"));
        }
        reading.next = Some(offset + 1);
        if inner.origin(&reading.stream, message).is_none() {
            return inner.fault(format!("I2: {message:?} was never published to the stream"));
        }
        inner.messages.get_mut(&message).expect("it was published").acknowledged = true;
        inner.judge_place(&reading.stream, offset, message);
    }
}

impl Inner {
    fn judge_place(&mut self, name: &str, offset: u64, message: Message) {
        let stream = self.streams.entry(name.to_owned()).or_default();
        let there = *stream.at.entry(offset).or_insert(message);
        let place = *stream.offsets.entry(message).or_insert(offset);
        // Its neighbours among those of its channel that somebody has read.
        let (publisher, number) = message;
        let before = stream.offsets.range((publisher, 0)..message).next_back();
        let after = stream.offsets.range((publisher, number + 1)..(publisher + 1, 0)).next();
        let is_ordered = before.is_none_or(|(_, before)| *before < offset)
            && after.is_none_or(|(_, after)| *after > offset);
        if there != message {
            self.fault(format!("I4: at {offset} stood {there:?}, and {message:?} is read there"));
        }
        if place != offset {
            self.fault(format!("I3: {message:?} stands at {place} and at {offset}"));
        } else if !is_ordered {
            self.fault(format!("I4: {message:?} at {offset} is out of its channel's order"));
        }
    }
}
