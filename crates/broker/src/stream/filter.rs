//! Which messages of a stream a reader wants.
//!
//! A publisher gives a message a value in its header `x-stream-filter-value`. What is passed over is
//! never sent, and what is sent has one of the values: RabbitMQ leaves that to its clients.

use warren_amqp::header;
use warren_types::{Table, Value};

/// The header that gives a message its value.
const FILTER_VALUE: &str = "x-stream-filter-value";

/// What a reader wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    values: Vec<Vec<u8>>,
    /// Whether messages without a value are wanted as well.
    unfiltered: bool,
}

impl Filter {
    /// What the arguments of a consumer say; none where it wants all. As in RabbitMQ, what is no
    /// text is not looked at.
    pub(crate) fn of(arguments: &Table) -> Option<Self> {
        let values = match arguments.value("x-stream-filter")? {
            Value::LongString(value) => vec![value.clone()],
            Value::Array(values) => values.iter().filter_map(bytes).collect(),
            _ => return None,
        };
        let unfiltered = arguments.value("x-stream-match-unfiltered").and_then(Value::as_bool);
        Some(Self { values, unfiltered: unfiltered.unwrap_or(false) })
    }

    /// Whether a message with these properties is wanted.
    pub(crate) fn wants(&self, properties: &[u8]) -> bool {
        match value_of(properties) {
            Some(value) => self.values.contains(&value),
            None => self.unfiltered,
        }
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::LongString(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

/// A message's value. The headers are decoded only where there may be one.
fn value_of(properties: &[u8]) -> Option<Vec<u8>> {
    if !header::may_have(properties, FILTER_VALUE) {
        return None;
    }
    let headers = header::headers_table(properties).ok().flatten()?;
    headers.value(FILTER_VALUE).and_then(bytes)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use warren_amqp::header::Properties;

    use super::*;

    fn table(name: &str, value: Value) -> Table {
        std::iter::once((name.to_owned(), value)).collect()
    }

    fn message(headers: Option<Table>) -> Bytes {
        Properties { headers, ..Properties::default() }.encode()
    }

    #[test]
    fn a_filter_wants_its_values_and_nothing_else() {
        let filter = Filter::of(&table("x-stream-filter", Value::text("a"))).expect("a filter");
        let with = |value: Value| message(Some(table(FILTER_VALUE, value)));

        assert!(filter.wants(&with(Value::text("a"))));
        assert!(!filter.wants(&with(Value::text("b"))));
        assert!(!filter.wants(&with(Value::I32(1))));
        assert!(!filter.wants(&message(Some(table("note", Value::text(FILTER_VALUE))))));
        assert!(!filter.wants(&message(None)));
    }

    #[test]
    fn a_filter_of_several_may_take_what_has_no_value_as_well() {
        let values = Value::Array(vec![Value::text("a"), Value::I32(4), Value::text("b")]);
        let mut arguments = table("x-stream-filter", values);
        arguments.insert("x-stream-match-unfiltered", Value::Bool(true));
        let filter = Filter::of(&arguments).expect("a filter");
        let wanted = ["a", "b", "c"]
            .map(|value| filter.wants(&message(Some(table(FILTER_VALUE, Value::text(value))))));

        assert_eq!(wanted, [true, true, false]);
        assert!(filter.wants(&message(None)));
    }

    #[test]
    fn who_names_no_value_wants_all() {
        assert_eq!(Filter::of(&Table::new()), None);
        assert_eq!(Filter::of(&table("x-stream-filter", Value::I32(1))), None);
        assert_eq!(Filter::of(&table("x-stream-match-unfiltered", Value::Bool(true))), None);
    }
}
