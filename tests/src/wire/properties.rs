//! The properties of a message that tests set and look at.

use crate::wire::pack::{Field, Pack, Unpack, pairs};

const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;

/// Some of the properties of class basic; the others are neither sent nor expected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// headers
    pub headers: Option<Vec<(String, Field)>>,
    /// delivery-mode; 2 is persistent
    pub delivery_mode: Option<u8>,
    /// priority
    pub priority: Option<u8>,
    /// expiration: milliseconds, as text
    pub expiration: Option<String>,
    /// message-id
    pub message_id: Option<String>,
}

impl Properties {
    /// Those of a message that outlives the broker.
    pub fn persistent() -> Self {
        Self { delivery_mode: Some(2), ..Self::default() }
    }

    /// The same, with headers.
    #[must_use]
    pub fn with_headers(mut self, headers: &[(&str, Field)]) -> Self {
        self.headers = Some(pairs(headers));
        self
    }

    /// The same, with a priority.
    #[must_use]
    pub fn with_priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// The same, to live so long.
    #[must_use]
    pub fn with_expiration_ms(mut self, expiration_ms: u64) -> Self {
        self.expiration = Some(expiration_ms.to_string());
        self
    }

    /// The same, with a name.
    #[must_use]
    pub fn with_message_id(mut self, message_id: &str) -> Self {
        self.message_id = Some(message_id.to_owned());
        self
    }

    /// As they stand in a content header, with their flags.
    pub fn encode(&self) -> Vec<u8> {
        let flags = [
            (HEADERS, self.headers.is_some()),
            (DELIVERY_MODE, self.delivery_mode.is_some()),
            (PRIORITY, self.priority.is_some()),
            (EXPIRATION, self.expiration.is_some()),
            (MESSAGE_ID, self.message_id.is_some()),
        ];
        let set = flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).sum();
        let mut pack = Pack::empty().u16(set);
        if let Some(headers) = &self.headers {
            pack = pack.table(headers);
        }
        for octet in [self.delivery_mode, self.priority].into_iter().flatten() {
            pack = pack.u8(octet);
        }
        for text in [&self.expiration, &self.message_id].into_iter().flatten() {
            pack = pack.short(text);
        }
        pack.bytes()
    }

    /// Reads what [`Properties::encode`] writes.
    ///
    /// # Panics
    ///
    /// If there are other properties.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut fields = Unpack::new(bytes);
        let flags = fields.u16();
        let has = |flag| flags & flag != 0;
        let known = HEADERS | DELIVERY_MODE | PRIORITY | EXPIRATION | MESSAGE_ID;
        assert_eq!(flags & !known, 0, "there are properties that nobody sent");
        Self {
            headers: has(HEADERS).then(|| fields.table()),
            delivery_mode: has(DELIVERY_MODE).then(|| fields.u8()),
            priority: has(PRIORITY).then(|| fields.u8()),
            expiration: has(EXPIRATION).then(|| fields.short()),
            message_id: has(MESSAGE_ID).then(|| fields.short()),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&Field> {
        let headers = self.headers.as_deref().unwrap_or_default();
        headers.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_survive_the_way_through_their_bytes() {
        let all = Properties::persistent()
            .with_headers(&[("x-count", Field::I64(3))])
            .with_priority(7)
            .with_expiration_ms(1500)
            .with_message_id("m-1");

        for properties in [all, Properties::persistent(), Properties::default()] {
            assert_eq!(Properties::decode(&properties.encode()), properties);
        }
    }
}
