//! Messages, as publishers write them and consumers recognise them.
//!
//! A body begins with a word and the message's number; the rest follows from the number. The sum is
//! of all that must arrive as it was sent: the body, its priority, and the header that repeats the number.

use warren_tests::wire::{Delivered, Field as Value, Properties, Unpack};

use crate::history::{Death, Message};

/// What bodies begin with.
const WORD: &[u8; 4] = b"WRRN";

/// Bytes of the word and the number.
const HEAD_BYTES: usize = 12;

/// The header that repeats the number.
const HEADER: &str = "message";

/// Property flags that may come: headers, delivery mode, priority, expiration.
const EXPECTED_PROPERTIES: u16 = 1 << 13 | 1 << 12 | 1 << 11 | 1 << 8;

/// A message that is to be published.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// The exchange.
    pub exchange: &'a str,
    /// The routing key.
    pub key: &'a str,
    /// The queues where it belongs.
    pub queues: &'a [&'a str],
    /// Bytes of its body, at least.
    pub size: usize,
    /// Whether it comes back when it belongs nowhere.
    pub mandatory: bool,
    /// Its priority.
    pub priority: Option<u8>,
    /// How long it lives.
    pub ttl_ms: Option<u64>,
}

/// What a delivery says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Which message it is, if a publisher wrote it.
    pub message: Option<Message>,
    /// The sum of what came.
    pub sum: u32,
    /// x-acquired-count
    pub acquired: u64,
    /// x-delivery-count
    pub count: u64,
    /// The latest of x-death
    pub death: Option<Death>,
}

impl<'a> Parcel<'a> {
    /// A small message for one queue, by the default exchange.
    pub fn to(queue: &'a &'a str) -> Self {
        Self {
            exchange: "",
            key: queue,
            queues: std::slice::from_ref(queue),
            size: 64,
            mandatory: false,
            priority: None,
            ttl_ms: None,
        }
    }

    /// Body, properties and sum.
    pub fn wrap(&self, message: Message) -> (Vec<u8>, Vec<u8>, u32) {
        let mut body = Vec::with_capacity(self.size.max(HEAD_BYTES));
        body.extend(WORD);
        body.extend(message.to_be_bytes());
        let [.., low] = message.to_be_bytes();
        body.resize(self.size.max(HEAD_BYTES), low);
        let number = i64::try_from(message).expect("messages are counted from 1");
        let properties = Properties {
            priority: self.priority,
            expiration: self.ttl_ms.map(|ttl| ttl.to_string()),
            ..Properties::persistent().with_headers(&[(HEADER, Value::I64(number))])
        };
        let sum = sum(&body, properties.priority, Some(message));
        (body, properties.encode(), sum)
    }
}

impl Seen {
    /// Looks at what came.
    pub fn of(delivered: &Delivered) -> Self {
        let Some(properties) = decode(&delivered.properties) else {
            return Self { message: number(&delivered.body), ..Self::default() };
        };
        let count = |name| properties.header(name).and_then(whole).unwrap_or_default();
        Self {
            message: number(&delivered.body),
            sum: sum(
                &delivered.body,
                properties.priority,
                properties.header(HEADER).and_then(whole),
            ),
            acquired: count("x-acquired-count"),
            count: count("x-delivery-count"),
            death: properties.header("x-death").and_then(latest),
        }
    }
}

/// Properties that may have come.
fn decode(bytes: &[u8]) -> Option<Properties> {
    let flags = Unpack::new(bytes.get(..2)?).u16();
    (flags & !EXPECTED_PROPERTIES == 0).then(|| Properties::decode(bytes))
}

fn number(body: &[u8]) -> Option<Message> {
    let rest = body.strip_prefix(WORD)?;
    Some(Message::from_be_bytes(*rest.first_chunk()?))
}

fn sum(body: &[u8], priority: Option<u8>, header: Option<u64>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(&[priority.unwrap_or_default()]);
    hasher.update(&header.unwrap_or_default().to_be_bytes());
    hasher.finalize()
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::I64(number) => u64::try_from(*number).ok(),
        Value::I32(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// The first row of x-death, which is the latest.
fn latest(deaths: &Value) -> Option<Death> {
    let Value::Array(rows) = deaths else { return None };
    let Some(Value::Table(row)) = rows.first() else { return None };
    let find = |name: &str| row.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let text = |name| match find(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    Some(Death {
        queue: text("queue")?,
        reason: text("reason")?,
        count: find("count").and_then(whole)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(body: Vec<u8>, properties: Vec<u8>) -> Delivered {
        let (consumer, exchange, key) = (String::new(), String::new(), String::new());
        let (tag, redelivered, number) = (1, false, 0);
        Delivered { consumer, tag, redelivered, exchange, key, number, properties, body }
    }

    #[test]
    fn a_message_is_recognised_with_its_sum() {
        let (body, properties, sum) = Parcel { priority: Some(3), ..Parcel::to(&"q") }.wrap(77);

        let seen = Seen::of(&deliver(body, properties));

        assert_eq!(seen, Seen { message: Some(77), sum, ..Seen::default() });
    }

    #[test]
    fn any_byte_that_differs_changes_the_sum() {
        let (body, properties, sum) = Parcel::to(&"q").wrap(77);
        for at in 0..body.len() {
            let mut damaged = body.clone();
            damaged[at] ^= 4;

            let seen = Seen::of(&deliver(damaged, properties.clone()));

            assert_ne!((seen.message, seen.sum), (Some(77), sum), "byte {at}");
        }
    }

    #[test]
    fn counts_and_the_latest_death_are_read() {
        let row = |reason: &str| {
            Value::Table(vec![
                ("queue".into(), Value::text("q")),
                ("reason".into(), Value::text(reason)),
                ("count".into(), Value::I64(2)),
            ])
        };
        let deaths = Value::Array(vec![row("expired"), row("rejected")]);
        let headers =
            [("message", Value::I64(77)), ("x-delivery-count", Value::I64(4)), ("x-death", deaths)];
        let properties = Properties::persistent().with_headers(&headers).encode();

        let seen = Seen::of(&deliver(Parcel::to(&"q").wrap(77).0, properties));

        let death = Death { queue: "q".into(), reason: "expired".into(), count: 2 };
        assert_eq!((seen.count, seen.death), (4, Some(death)));
    }
}
