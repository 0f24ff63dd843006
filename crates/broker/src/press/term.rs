//! Values as Erlang writes them, where RabbitMQ's events have them as texts.

use std::fmt;
use std::net::IpAddr;

use warren_types::{Table, Value};

/// The entries of a table, each as a text: `{<<"x-max-length">>,signedint,5}`.
pub(crate) fn entries(table: &Table) -> Value {
    let texts = table.iter().map(|entry| Value::text(&Entry(entry).to_string()));
    Value::Array(texts.collect())
}

/// An address: `{127,0,0,1}`.
pub(crate) fn address(address: IpAddr) -> Value {
    let parts = match address.to_canonical() {
        IpAddr::V4(address) => address.octets().map(|octet| octet.to_string()).join(","),
        IpAddr::V6(address) => address.segments().map(|part| part.to_string()).join(","),
    };
    Value::text(&format!("{{{parts}}}"))
}

struct Entry<'a>((&'a str, &'a Value));

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self((name, value)) = self;
        write!(f, "{{<<\"{name}\">>,{},{}}}", value.type_name(), Term(value))
    }
}

struct Term<'a>(&'a Value);

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Bool(value) => write!(f, "{value}"),
            Value::I8(value) => write!(f, "{value}"),
            Value::U8(value) => write!(f, "{value}"),
            Value::I16(value) => write!(f, "{value}"),
            Value::U16(value) => write!(f, "{value}"),
            Value::I32(value) => write!(f, "{value}"),
            Value::U32(value) => write!(f, "{value}"),
            Value::I64(value) => write!(f, "{value}"),
            Value::Timestamp(value) => write!(f, "{value}"),
            Value::F32(value) => write!(f, "{value:?}"),
            Value::F64(value) => write!(f, "{value:?}"),
            Value::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
            Value::LongString(bytes) | Value::Bytes(bytes) => {
                write!(f, "<<\"{}\">>", String::from_utf8_lossy(bytes))
            }
            Value::Array(values) => {
                let typed = |value: &Value| format!("{{{},{}}}", value.type_name(), Term(value));
                let parts: Vec<String> = values.iter().map(typed).collect();
                write!(f, "[{}]", parts.join(","))
            }
            Value::Table(table) => {
                let parts: Vec<String> = table.iter().map(|it| Entry(it).to_string()).collect();
                write!(f, "[{}]", parts.join(","))
            }
            Value::Void => f.write_str("undefined"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_read_as_rabbitmq_prints_them() {
        let mut inner = Table::new();
        inner.insert("basic.nack", Value::Bool(true));
        let mut table = Table::new();
        table.insert("x-max-length", Value::I32(5));
        table.insert("x-queue-type", Value::text("classic"));
        table.insert("capabilities", Value::Table(inner));

        let texts = entries(&table);

        let expected = [
            "{<<\"x-max-length\">>,signedint,5}",
            "{<<\"x-queue-type\">>,longstr,<<\"classic\">>}",
            "{<<\"capabilities\">>,table,[{<<\"basic.nack\">>,bool,true}]}",
        ];
        assert_eq!(texts, Value::Array(expected.map(Value::text).to_vec()));
    }

    #[test]
    fn an_address_is_a_tuple_and_one_of_ipv4_stays_one() {
        let text = |text: &str| address(text.parse().expect("an address"));

        assert_eq!(text("127.0.0.1"), Value::text("{127,0,0,1}"));
        assert_eq!(text("::ffff:127.0.0.1"), Value::text("{127,0,0,1}"));
        assert_eq!(text("::1"), Value::text("{0,0,0,0,0,0,0,1}"));
    }
}
