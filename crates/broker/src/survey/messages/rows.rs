//! What is asked about the messages of a queue, and what is told.

use std::fmt;

use bytes::Bytes;
use warren_amqp::header::{self, Properties};
use warren_queue::entry::Message;
use warren_queue::{MessageListing, Spot};
use warren_types::{DecodeError, Location, LogIndex, MessageNumber, NodeId, Reader, Value, Writer};

use crate::survey::wire::{Wire, wire_struct};

/// What becomes of a message next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// It waits to be given out.
    Waiting,
    /// A consumer holds it.
    Unacked,
    /// It is kept for a client whose connection broke.
    Reserved,
    /// It came back, and waits for its next attempt.
    Retry,
    /// It waits for a time that its publisher chose.
    Scheduled,
    /// It is dead, and has not arrived where it goes.
    Dead,
}

impl MessageState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Unacked, Self::Reserved, Self::Retry, Self::Scheduled, Self::Dead];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unacked => "unacked",
            Self::Reserved => "reserved",
            Self::Retry => "retry",
            Self::Scheduled => "scheduled",
            Self::Dead => "dead",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// That of a message which is there.
    pub(crate) fn of(spot: Spot) -> Self {
        match spot {
            Spot::Waiting { .. } => Self::Waiting,
            Spot::Held { .. } => Self::Unacked,
            Spot::Reserved { .. } => Self::Reserved,
            Spot::Delayed { .. } => Self::Retry,
            Spot::Scheduled { .. } => Self::Scheduled,
            Spot::Dead { .. } => Self::Dead,
        }
    }
}

impl Wire for MessageState {
    fn write(&self, writer: &mut Writer) {
        writer.text(self.name());
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let name = reader.text("state of a message")?;
        Self::of_name(&name).ok_or(DecodeError::Unknown { what: "state of a message", value: 0 })
    }
}

impl Wire for Spot {
    fn write(&self, writer: &mut Writer) {
        let (kind, one, other) = self.numbers();
        (kind, (one, other)).write(writer);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let (kind, (one, other)) = Wire::read(reader)?;
        Self::of((kind, one, other))
    }
}

impl Wire for Bytes {
    fn write(&self, writer: &mut Writer) {
        writer.bytes(self);
    }

    fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        reader.bytes("bytes")
    }
}

wire_struct! {
    /// Where a message's record stands in the log of its queue's shard: a name that it keeps.
    #[derive(Copy, Eq, PartialOrd, Ord)]
    MessageId {
        /// The row.
        row: u64,
        /// Where in it.
        offset: u32,
    }
}

impl MessageId {
    pub(crate) fn of(at: Location) -> Self {
        Self { row: at.index.0, offset: at.offset }
    }

    pub(crate) fn at(self) -> Location {
        Location { index: LogIndex(self.row), offset: self.offset }
    }

    /// The name that was written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (row, offset) = text.split_once('-')?;
        Some(Self { row: row.parse().ok()?, offset: offset.parse().ok()? })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.row, self.offset)
    }
}

wire_struct! {
    /// Which messages are meant: those of which all of this is true.
    #[derive(Default, Eq)]
    MessageFilter {
        /// It is one of these, where there are any.
        ids: Vec<MessageId>,
        /// It is in one of these states, where there are any.
        states: Vec<MessageState>,
        /// It has headers of these names, which read so.
        headers: Vec<(String, String)>,
        /// What its publisher calls it.
        message_id: Option<String>,
        /// What it belongs to.
        correlation_id: Option<String>,
        /// What it was published to.
        exchange: Option<String>,
        /// With which key.
        routing_key: Option<String>,
        /// How its body begins.
        body_prefix: Option<String>,
    }
}

impl MessageFilter {
    /// Whether it means every message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a message must be read to find out whether it is meant.
    pub(crate) fn asks_for_content(&self) -> bool {
        let Self {
            ids: _,
            states: _,
            headers,
            message_id,
            correlation_id,
            exchange,
            routing_key,
            body_prefix,
        } = self;
        let texts = [message_id, correlation_id, exchange, routing_key, body_prefix];
        !headers.is_empty() || texts.into_iter().any(Option::is_some)
    }

    /// Whether a message's state is one that is asked for.
    pub(crate) fn fits_state(&self, state: MessageState) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }

    /// Whether what stands before a message's body is what is asked for.
    pub(crate) fn fits(&self, message: &Message) -> bool {
        let is = |wanted: &Option<String>, found: Option<&[u8]>| {
            wanted.as_ref().is_none_or(|wanted| found == Some(wanted.as_bytes()))
        };
        is(&self.exchange, Some(&message.exchange))
            && is(&self.routing_key, Some(&message.routing_key))
            && is(&self.message_id, header::message_id(&message.header))
            && is(&self.correlation_id, header::correlation_id(&message.header))
            && self.fits_headers(&message.header)
    }

    fn fits_headers(&self, properties: &[u8]) -> bool {
        if self.headers.is_empty() {
            return true;
        }
        let table = header::headers_table(properties).ok().flatten().unwrap_or_default();
        let mut wanted = self.headers.iter();
        wanted.all(|(name, text)| table.value(name).is_some_and(|value| reads(value, text)))
    }
}

/// Whether a header's value is one that people write so.
fn reads(value: &Value, text: &str) -> bool {
    match value {
        Value::Bool(truth) => truth.to_string() == text,
        Value::F32(number) => text.parse() == Ok(*number),
        Value::F64(number) => text.parse() == Ok(*number),
        value => match (value.as_text(), value.as_integer()) {
            (Some(found), _) => found == text,
            (None, Some(number)) => number.to_string() == text,
            (None, None) => false,
        },
    }
}

impl fmt::Display for MessageFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.ids.iter().map(|id| ("id".to_owned(), id.to_string()));
        let states = self.states.iter().map(|state| ("state".to_owned(), state.name().to_owned()));
        let headers =
            self.headers.iter().map(|(name, text)| ("header".to_owned(), format!("{name}={text}")));
        let texts = [
            ("message_id", &self.message_id),
            ("correlation_id", &self.correlation_id),
            ("exchange", &self.exchange),
            ("routing_key", &self.routing_key),
            ("body_prefix", &self.body_prefix),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| text.as_ref().map(|text| (name.to_owned(), text.clone())));
        let mut all = ids.chain(states).chain(headers).chain(texts).peekable();
        if all.peek().is_none() {
            return f.write_str("all");
        }
        for (nth, (name, text)) in all.enumerate() {
            write!(f, "{}{name}={text}", if nth == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

wire_struct! {
    /// Where a look at messages goes on.
    #[derive(Copy, Eq)]
    Bookmark {
        /// Where in the queue.
        spot: Spot,
        /// Which message stood there.
        id: MessageId,
        /// How many messages were before it.
        position: u64,
    }
}

impl Bookmark {
    /// What was written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (kind, one, other, position) = (number()?, number()?, number()?, number()?);
        let spot = Spot::of((u8::try_from(kind).ok()?, one, other)).ok()?;
        Some(Self { spot, id: MessageId::parse(parts.next()?)?, position })
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, one, other) = self.spot.numbers();
        write!(f, "{kind}-{one}-{other}-{}-{}", self.position, self.id)
    }
}

wire_struct! {
    /// What is asked about the messages of a queue.
    #[derive(Eq)]
    MessageQuery {
        /// Which messages.
        filter: MessageFilter,
        /// Where to go on.
        from: Option<Bookmark>,
        /// How many messages to pass over.
        offset: u64,
        /// How many to tell of, or to drop or move, at most.
        count: u64,
        /// How many to look at, at most.
        scan: u64,
        /// Bytes of bodies to tell, of each message.
        truncate: u64,
    }
}

wire_struct! {
    /// A message of a queue.
    #[derive(Eq)]
    MessageRow {
        /// How many messages were listed before it.
        position: u64,
        /// Its name.
        id: MessageId,
        /// Where in the queue it is.
        spot: Spot,
        /// Bytes of its body.
        payload_bytes: u64,
        /// The beginning of its body.
        payload: Bytes,
        /// Its properties, encoded.
        header: Bytes,
        /// What it was published to.
        exchange: String,
        /// With which key.
        routing_key: String,
        /// When it came, in milliseconds since 1970, where that is known.
        entered_ms: Option<u64>,
        /// How often it was given out and came back.
        acquired_count: u32,
        /// How often that was a failed delivery.
        delivery_count: u32,
        /// Until its time comes, where it waits for one.
        in_ms: Option<u64>,
        /// Until it has waited for too long, where that is bounded.
        expires_in_ms: Option<u64>,
        /// The node and the number of the consumer that holds it.
        holder: Option<(NodeId, u64)>,
        /// Its tag; empty where it was made by basic.get.
        holder_tag: String,
        /// Where the earlier parts of its body stand.
        parts: Vec<MessageId>,
    }
}

impl MessageRow {
    /// A message, without what it says itself.
    pub(crate) fn bare(position: u64, listing: &MessageListing) -> Self {
        let holder = listing.holder.as_ref();
        let parts = listing.parts.as_deref().unwrap_or_default();
        Self {
            position,
            id: MessageId::of(listing.at),
            spot: listing.spot,
            payload_bytes: u64::from(listing.size),
            payload: Bytes::new(),
            header: Bytes::new(),
            exchange: String::new(),
            routing_key: String::new(),
            entered_ms: None,
            acquired_count: listing.acquired_count,
            delivery_count: listing.delivery_count,
            in_ms: listing.in_ms,
            expires_in_ms: listing.expires_in_ms,
            holder: holder.map(|(who, _)| (who.session.node, who.number.0)),
            holder_tag: holder
                .map(|(_, tag)| String::from_utf8_lossy(tag).into_owned())
                .unwrap_or_default(),
            parts: parts.iter().copied().map(MessageId::of).collect(),
        }
    }

    /// What becomes of it next.
    #[must_use]
    pub fn state(&self) -> MessageState {
        MessageState::of(self.spot)
    }

    /// Its properties.
    #[must_use]
    pub fn properties(&self) -> Properties {
        Properties::decode(&self.header).unwrap_or_default()
    }

    /// Whether it came to the end of its queue behind the message of that number.
    pub(crate) fn is_behind(&self, newest: MessageNumber) -> bool {
        matches!(self.spot, Spot::Waiting { number, .. } if number > newest)
    }
}

wire_struct! {
    /// Some of a queue's messages.
    #[derive(Eq, Default)]
    FoundMessages {
        /// In order.
        rows: Vec<MessageRow>,
        /// How many were looked at.
        scanned: u64,
        /// Where to go on, if that was not the end.
        next: Option<Bookmark>,
        /// How many messages have ever come to the queue.
        newest: u64,
        /// How many attempts a message has after the first, where the queue tries again.
        attempts: Option<u64>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_and_an_id_are_read_as_they_were_written_and_nothing_else_is_one() {
        let id = MessageId { row: 4711, offset: 35 };
        let spot = Spot::Waiting { level: -1, number: MessageNumber(5) };
        let bookmark = Bookmark { spot, id, position: 9 };

        assert_eq!(bookmark.to_string(), "0-65535-5-9-4711-35");
        assert_eq!(Bookmark::parse("0-65535-5-9-4711-35"), Some(bookmark));
        assert_eq!(MessageId::parse(&id.to_string()), Some(id));
        let none = ["", "7", "0-65535-5-9-4711", "9-1-5-9-4711-35", "0-65535-5-9-4711-35-1"];
        assert_eq!(none.map(Bookmark::parse), [None; 5]);
        assert_eq!(["", "7", "7-", "7-8-9"].map(MessageId::parse), [None; 4]);
    }

    #[test]
    fn a_header_reads_as_people_write_it() {
        let value = [
            (Value::I32(-5), "-5"),
            (Value::text("late"), "late"),
            (Value::Bool(true), "true"),
            (Value::F64(1.5), "1.5"),
        ];

        assert!(value.iter().all(|(value, text)| reads(value, text)));
        assert!(!reads(&Value::Void, "") && !reads(&Value::I32(5), "05"));
    }

    #[test]
    fn a_filter_is_told_in_words() {
        let filter = MessageFilter {
            states: vec![MessageState::Retry],
            headers: vec![("a".to_owned(), "1".to_owned())],
            ..MessageFilter::default()
        };

        assert_eq!(filter.to_string(), "state=retry header=a=1");
        assert_eq!(MessageFilter::default().to_string(), "all");
    }
}
