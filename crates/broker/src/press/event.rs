//! What an event says: its key and its headers, as RabbitMQ's plugin has them.
//!
//! **Not here:** which events a change of the catalog makes ([`change`]), and what clients'
//! connections tell of themselves (`connection::events`).

mod change;
mod declared;

use warren_amqp::header::Properties;
use warren_catalog::Name;
use warren_types::{Table, Value};

use super::{Bulletin, EVENT_EXCHANGE};
use crate::dead_letter::sorted;
use crate::queue::batch::wall_clock;

pub(crate) use self::change::Foretold;
pub(crate) use super::term::{address, entries};

/// Something that has happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    key: &'static str,
    headers: Table,
}

impl Told {
    /// An event of which nothing is said.
    pub(crate) fn new(key: &'static str) -> Self {
        Self { key, headers: Table::new() }
    }

    /// What has happened.
    pub(crate) fn key(&self) -> &'static str {
        self.key
    }

    /// What is said of it.
    pub(crate) fn headers(&self) -> &Table {
        &self.headers
    }

    /// Says something of it.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Says something of it in words.
    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        self.with(name, Value::text(text))
    }

    /// Says a number.
    pub(crate) fn number(self, name: &str, number: impl Into<u64>) -> Self {
        let number = i64::try_from(number.into()).unwrap_or(i64::MAX);
        self.with(name, Value::I64(number))
    }

    /// Says yes or no.
    pub(crate) fn flag(self, name: &str, flag: bool) -> Self {
        self.with(name, Value::Bool(flag))
    }

    /// Says whose doing it was.
    pub(crate) fn by(self, user: &str) -> Self {
        self.text("user_who_performed_action", user)
    }

    /// The message that tells it, in the virtual host of events.
    pub(super) fn bulletin(mut self, vhost: Name) -> Bulletin {
        let time = wall_clock().0;
        self = self.number("timestamp_in_ms", time);
        Bulletin {
            vhost,
            exchange: EVENT_EXCHANGE,
            routing_key: self.key.to_owned(),
            properties: Properties {
                headers: Some(sorted(&self.headers)),
                delivery_mode: Some(2),
                timestamp: Some(time / 1000),
                ..Properties::default()
            },
            body: bytes::Bytes::new(),
        }
    }
}
