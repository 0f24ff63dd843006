//! What a message's properties ask of the broker.

use bytes::Bytes;
use warren_amqp::{ReplyCode, header};
use warren_catalog::{MessageHeaders, Property};
use warren_queue::DedupKey;
use warren_queue::entry::{Message, PublishParts};
use warren_types::{QueueId, Table, Value};

use super::publish::Publish;
use super::traced::Traced;
use crate::failure::Failure;
use crate::trail::Trail;

/// The longest time to live that RabbitMQ takes: ten years, in milliseconds.
const EXPIRATION_MAX_MS: u64 = 10 * 365 * 24 * 3600 * 1000;

/// The header that says for how many milliseconds a message is to be put aside.
const DELAY: &str = "x-delay";

/// What a message's properties ask for, besides being carried along.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// The properties as consumers shall see them.
    pub(crate) header: Bytes,
    /// Routing keys besides the one of basic.publish (CC and BCC).
    pub(crate) extra_keys: Vec<Vec<u8>>,
    /// Headers, where there are any.
    pub(crate) headers: Option<Table>,
    /// Delivery mode 2.
    pub(crate) persistent: bool,
    /// How long the message may wait in a queue, in milliseconds.
    pub(crate) expiration_ms: Option<u64>,
    /// How long the message is put aside before it waits in a queue, in milliseconds.
    pub(crate) delay_ms: Option<u32>,
    /// The message's priority.
    pub(crate) priority: Option<u8>,
    /// What is to be known of it when it dies.
    pub(crate) trail: Bytes,
    /// Where it stands in its trace, if it is traced.
    pub(crate) traced: Option<Box<Traced>>,
}

impl Wishes {
    /// Those of a message that is moved from one queue to another: it was routed, counted and looked
    /// at when it was published, and goes nowhere but where it is moved to.
    pub(crate) fn of_moved(message: &Message, delay_ms: Option<u64>) -> Self {
        let header = message.header.clone();
        let expiration = header::expiration(&header).map(expiration_ms);
        Self {
            extra_keys: Vec::new(),
            headers: header::headers_table(&header).ok().flatten(),
            persistent: message.persistent,
            expiration_ms: expiration.and_then(Result::ok),
            delay_ms: delay_ms.map(|delay_ms| u32::try_from(delay_ms).unwrap_or(u32::MAX)),
            priority: header::priority(&header),
            trail: message.trail.clone(),
            traced: None,
            header,
        }
    }

    /// The message as the shard of `queues` is given it, but for its body. `dedup` tells it from others
    /// in those of them that take a message once.
    pub(crate) fn parts<'a>(
        &'a self,
        publish: &'a Publish,
        queues: &'a [QueueId],
        dedup: &'a [(QueueId, DedupKey)],
    ) -> PublishParts<'a> {
        PublishParts {
            queues,
            persistent: self.persistent,
            exchange: &publish.exchange,
            routing_key: &publish.routing_key,
            header: &self.header,
            upload: None,
            expiration_ms: self.expiration_ms,
            priority: self.priority,
            trail: &self.trail,
            letter: None,
            delay_ms: self.delay_ms.map(u64::from),
            dedup,
        }
    }
}

/// What exchanges may ask of a message besides its keys.
#[derive(Debug)]
pub(crate) struct Properties<'a> {
    pub(crate) header: &'a [u8],
    pub(crate) headers: Option<&'a Table>,
}

impl MessageHeaders for Properties<'_> {
    fn table(&self) -> Option<&Table> {
        self.headers
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        match property {
            Property::CorrelationId => header::correlation_id(self.header).map(<[u8]>::to_vec),
            Property::MessageId => header::message_id(self.header).map(<[u8]>::to_vec),
            Property::Timestamp => {
                header::timestamp(self.header).map(|seconds| seconds.to_be_bytes().to_vec())
            }
        }
    }

    fn dice(&self) -> u64 {
        rand::random()
    }
}

/// Reads a message's properties, as far as they concern the broker.
///
/// `may_impersonate` users may write any user-id.
pub(crate) fn wishes(header: Bytes, user: &str, may_impersonate: bool) -> Result<Wishes, Failure> {
    if let Some(claimed) = header::user_id(&header)
        && claimed != user
        && !may_impersonate
    {
        return Err(Failure::new(
            ReplyCode::PreconditionFailed,
            format_args!("user_id property set to '{claimed}' but authenticated user was '{user}'"),
        ));
    }
    let expiration_ms = header::expiration(&header).map(expiration_ms).transpose()?;
    let mut wishes = Wishes {
        persistent: header::delivery_mode(&header) == Some(2),
        priority: header::priority(&header),
        header,
        extra_keys: Vec::new(),
        headers: None,
        expiration_ms,
        delay_ms: None,
        trail: Bytes::new(),
        traced: None,
    };
    if !header::has_headers(&wishes.header) {
        return Ok(wishes);
    }
    let mut headers = header::headers_table(&wishes.header)?;
    let extra_keys = &mut wishes.extra_keys;
    if let Some(table) = &mut headers {
        extra_keys.extend(keys(table, "CC")?);
        let hidden_keys = keys(table, "BCC")?;
        wishes.delay_ms = delay_ms(table);
        if let Some(delay_ms) = wishes.delay_ms {
            // Turned round, as by the plugin: whoever publishes it again sees that it is over.
            table.insert(DELAY, Value::I64(-i64::from(delay_ms)));
        }
        if table.remove("BCC").is_some() || wishes.delay_ms.is_some() {
            wishes.header = header::replace_headers(&wishes.header, Some(table));
        }
        extra_keys.extend(hidden_keys.iter().cloned());
        wishes.trail = Trail { hidden_keys, ..Trail::default() }.encode();
    }
    wishes.headers = headers;
    Ok(wishes)
}

/// How long a message is to be put aside. As with RabbitMQ's plugin, what is no number of
/// milliseconds above 0, or more than it knows, is no delay.
fn delay_ms(headers: &Table) -> Option<u32> {
    let value = headers.value(DELAY)?;
    let delay = match value.as_text() {
        Some(text) => text.parse().ok(),
        None => value.as_integer(),
    };
    delay.and_then(|delay| u32::try_from(delay).ok()).filter(|delay| *delay > 0)
}

/// A per-message time to live: whole milliseconds, in digits. The texts are RabbitMQ's.
fn expiration_ms(text: &str) -> Result<u64, Failure> {
    let invalid = |why: &dyn std::fmt::Display| {
        let text = format!("invalid expiration '{text}': {why}");
        Err(Failure::new(ReplyCode::PreconditionFailed, text))
    };
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || (*at == 0 && matches!(c, '-' | '+'))))
        .map_or(text.len(), |(at, _)| at);
    let (number, rest) = text.split_at(end);
    let Ok(value) = number.parse::<i128>() else { return invalid(&"no_integer") };
    if !rest.is_empty() {
        return invalid(&format_args!("{{leftover_string,\"{rest}\"}}"));
    }
    if value < 0 {
        return invalid(&format_args!("{{value_negative,{value}}}"));
    }
    match u64::try_from(value).ok().filter(|value| *value <= EXPIRATION_MAX_MS) {
        Some(value) => Ok(value),
        None => invalid(&format_args!("{{value_too_large,{value}}}")),
    }
}

fn keys(headers: &Table, name: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let unacceptable = |kind: &str| {
        let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}");
        Failure::new(ReplyCode::PreconditionFailed, text)
    };
    let Some(value) = headers.value(name) else { return Ok(Vec::new()) };
    let Value::Array(values) = value else { return Err(unacceptable(value.type_name())) };
    let texts = values.iter().map(|value| match value {
        Value::LongString(key) => Ok(key.clone()),
        other => Err(unacceptable(other.type_name())),
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_a_number_of_milliseconds_above_zero() {
        let delay = |value: Value| delay_ms(&std::iter::once((DELAY.to_owned(), value)).collect());

        assert_eq!(delay(Value::I32(5000)), Some(5000));
        assert_eq!(delay(Value::text("5000")), Some(5000));
        assert_eq!(delay(Value::I64(4_294_967_295)), Some(u32::MAX));
        let none =
            [Value::I32(0), Value::I32(-1), Value::I64(1 << 32), Value::text("soon"), Value::Void];
        assert_eq!(none.map(delay), [None; 5]);
    }

    fn refusal(text: &str) -> Option<String> {
        expiration_ms(text).err().map(|failure| failure.to_string())
    }

    #[test]
    fn an_expiration_is_a_number_of_milliseconds() {
        assert_eq!(refusal("0"), None);
        assert_eq!(refusal("315360000000"), None);
    }

    #[test]
    fn an_expiration_that_is_none_is_refused_with_the_reason() {
        let texts = ["soon", "", "-1", "10s", "99999999999999"].map(refusal);

        let reasons = [
            "'soon': no_integer",
            "'': no_integer",
            "'-1': {value_negative,-1}",
            "'10s': {leftover_string,\"s\"}",
            "'99999999999999': {value_too_large,99999999999999}",
        ];
        let text = |reason| Some(format!("PRECONDITION_FAILED - invalid expiration {reason}"));
        assert_eq!(texts, reasons.map(text));
    }
}
