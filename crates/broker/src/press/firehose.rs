//! Copies of the messages that pass through a virtual host, for its `amq.rabbitmq.trace`.
//!
//! A message that comes in is copied under `publish.` and its exchange's name, one that goes out
//! under `deliver.` and its queue's. The body stays what it is; who, where and how stands in the
//! headers, and so do the properties. Messages of the broker's own are not copied, wherever they
//! have got to.

use bytes::{Bytes, BytesMut};
use warren_amqp::Body;
use warren_amqp::header::{self, Properties};
use warren_catalog::Name;
use warren_types::{Table, Value};

use super::{Bulletin, COPY_EXCHANGE, Press};
use crate::dead_letter::sorted;
use crate::trail::Trail;

/// Whose doing it is that a message passes.
pub(crate) struct Passer<'a> {
    pub(crate) vhost: &'a Name,
    pub(crate) user: &'a str,
    /// What people call the connection.
    pub(crate) connection: &'a str,
    pub(crate) channel: u16,
}

/// A message that passes.
pub(crate) struct Passing<'a> {
    pub(crate) exchange: &'a [u8],
    pub(crate) routing_key: &'a [u8],
    /// Its properties as consumers see them.
    pub(crate) header: &'a [u8],
    pub(crate) body: &'a Body,
}

impl Press {
    /// A message comes in, and goes to queues of these names.
    pub(crate) fn copy_in(
        &self,
        by: &Passer<'_>,
        message: &Passing<'_>,
        extra_keys: &[Vec<u8>],
        queues: &[Name],
    ) {
        let mut headers = self.facts(by, message, extra_keys);
        let queues = queues.iter().map(|queue| Value::text(queue)).collect();
        headers.insert("routed_queues", Value::Array(queues));
        let key = format!("publish.{}", String::from_utf8_lossy(message.exchange));
        self.print(copy(by, key, &headers, message.body));
    }

    /// A message goes out of a queue.
    pub(crate) fn copy_out(
        &self,
        by: &Passer<'_>,
        message: &Passing<'_>,
        trail: &Bytes,
        queue: &str,
        redelivered: bool,
    ) {
        let trail = Trail::decode(trail);
        if trail.is_own {
            return;
        }
        let mut extra_keys = Vec::new();
        if !trail.readdressed {
            extra_keys = copies_of(message.header);
            extra_keys.extend(trail.hidden_keys);
        }
        let mut headers = self.facts(by, message, &extra_keys);
        headers.insert("redelivered", Value::I32(i32::from(redelivered)));
        self.print(copy(by, format!("deliver.{queue}"), &headers, message.body));
    }

    fn facts(&self, by: &Passer<'_>, message: &Passing<'_>, extra_keys: &[Vec<u8>]) -> Table {
        let text = |bytes: &[u8]| Value::LongString(bytes.to_vec());
        let extra_keys = extra_keys.iter().map(Vec::as_slice);
        let keys = std::iter::once(message.routing_key).chain(extra_keys).map(text);
        let properties = Properties::decode(message.header).unwrap_or_default();
        let mut headers = Table::new();
        headers.insert("exchange_name", text(message.exchange));
        headers.insert("routing_keys", Value::Array(keys.collect()));
        headers.insert("properties", Value::Table(table(properties)));
        headers.insert("node", Value::text(self.node()));
        headers.insert("vhost", Value::text(by.vhost));
        headers.insert("connection", Value::text(by.connection));
        headers.insert("channel", Value::I32(i32::from(by.channel)));
        headers.insert("user", Value::text(by.user));
        headers
    }
}

fn copy(by: &Passer<'_>, routing_key: String, headers: &Table, body: &Body) -> Bulletin {
    let mut whole = BytesMut::with_capacity(body.len());
    for piece in body.pieces() {
        // In memory of its own: a burst that was read is not kept for a copy of it.
        whole.extend_from_slice(piece);
    }
    Bulletin {
        vhost: by.vhost.clone(),
        exchange: COPY_EXCHANGE,
        routing_key,
        properties: Properties { headers: Some(sorted(headers)), ..Properties::default() },
        body: whole.freeze(),
    }
}

/// The keys in the CC header.
fn copies_of(properties: &[u8]) -> Vec<Vec<u8>> {
    let headers = header::headers_table(properties).ok().flatten().unwrap_or_default();
    let Some(Value::Array(keys)) = headers.value("CC") else { return Vec::new() };
    let keys = keys.iter().filter_map(|key| match key {
        Value::LongString(key) => Some(key.clone()),
        _ => None,
    });
    keys.collect()
}

/// Properties as a table, in RabbitMQ's order: the last one first.
fn table(properties: Properties) -> Table {
    let Properties {
        content_type,
        content_encoding,
        headers,
        delivery_mode,
        priority,
        correlation_id,
        reply_to,
        expiration,
        message_id,
        timestamp,
        kind,
        user_id,
        app_id,
        cluster_id,
    } = properties;
    let text = |text: Option<String>| text.map(|text| Value::text(&text));
    let octet = |octet: Option<u8>| octet.map(|octet| Value::I32(i32::from(octet)));
    let number = |number: u64| match i32::try_from(number) {
        Ok(number) => Value::I32(number),
        Err(_) => Value::I64(i64::try_from(number).unwrap_or(i64::MAX)),
    };
    let values = [
        ("cluster_id", text(cluster_id)),
        ("app_id", text(app_id)),
        ("user_id", text(user_id)),
        ("type", text(kind)),
        ("timestamp", timestamp.map(number)),
        ("message_id", text(message_id)),
        ("expiration", text(expiration)),
        ("reply_to", text(reply_to)),
        ("correlation_id", text(correlation_id)),
        ("priority", octet(priority)),
        ("delivery_mode", octet(delivery_mode)),
        ("headers", headers.map(Value::Table)),
        ("content_encoding", text(content_encoding)),
        ("content_type", text(content_type)),
    ];
    let present = values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    present.collect()
}
