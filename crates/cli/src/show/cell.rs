//! One value in a list, as text and as JSON.

use serde_json::{Map, Value, json};

/// One value in a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Anything without a look of its own.
    Plain(Value),
    /// The arguments of a queue, exchange, binding or consumer: typed, as AMQP has them.
    Arguments(Map<String, Value>),
    /// What a policy says.
    Definition(Map<String, Value>),
    /// Names with a word for each.
    States(Map<String, Value>),
    /// An address of the Internet.
    Address(String),
    /// The number of a protocol's version.
    Protocol(String),
}

impl Cell {
    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Plain(Value::String(text.into()))
    }

    /// As it stands in a table.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Plain(value) => shown(value),
            Self::Arguments(arguments) => terms(arguments),
            Self::Definition(definition) if definition.is_empty() => "#{}".to_owned(),
            Self::Definition(definition) => {
                let each = definition.iter();
                list(each.map(|(key, value)| format!("{{<<\"{key}\">>, {}}}", shown(value))), ", ")
            }
            Self::States(states) => {
                let each = states.iter();
                list(each.map(|(name, state)| format!("{{{name}, {}}}", shown(state))), ", ")
            }
            Self::Address(address) => escaped(address),
            Self::Protocol(protocol) => match version(protocol) {
                Some([major, minor, revision]) => format!("{{{major},{minor},{revision}}}"),
                None => escaped(protocol),
            },
        }
    }

    /// As it stands in JSON.
    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Plain(Value::Null) => json!(""),
            Self::Plain(value) => value.clone(),
            Self::Arguments(arguments) => typed(arguments),
            Self::Definition(map) | Self::States(map) => Value::Object(map.clone()),
            Self::Address(address) => match address.parse::<std::net::Ipv4Addr>() {
                Ok(address) => json!(address.octets()),
                Err(_) => json!(address),
            },
            Self::Protocol(protocol) => match version(protocol) {
                Some(version) => json!(version),
                None => json!(protocol),
            },
        }
    }

    /// As a term of Erlang.
    pub(crate) fn term(&self) -> String {
        match self {
            Self::Plain(Value::String(text)) => format!("<<\"{}\">>", quoted(text)),
            Self::Plain(Value::Null) => "<<>>".to_owned(),
            other => other.shown(),
        }
    }
}

/// The numbers of `AMQP 0-9-1`.
fn version(protocol: &str) -> Option<[u8; 3]> {
    let (_, version) = protocol.split_once(' ')?;
    let numbers: Option<Vec<u8>> = version.split('-').map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => escaped(text),
        Value::Array(values) => list(values.iter().map(shown), ", "),
        Value::Object(map) => {
            let each = map.iter().map(|(key, value)| format!("{key} => {}", shown(value)));
            let each: Vec<String> = each.collect();
            format!("#{{{}}}", each.join(", "))
        }
    }
}

fn list(each: impl Iterator<Item = String>, between: &str) -> String {
    let each: Vec<String> = each.collect();
    format!("[{}]", each.join(between))
}

/// Control characters as octal numbers, so that a name neither breaks a row nor talks to a terminal.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        if letter.is_control() {
            safe.push_str(&format!("\\{:03o}", u32::from(letter)));
        } else {
            safe.push(letter);
        }
    }
    safe
}

fn quoted(text: &str) -> String {
    escaped(&text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `[{"name",value},…]`.
fn terms(table: &Map<String, Value>) -> String {
    list(table.iter().map(|(key, value)| format!("{{\"{}\",{}}}", quoted(key), term(value))), ",")
}

fn term(value: &Value) -> String {
    match value {
        Value::Null => "undefined".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => format!("\"{}\"", quoted(text)),
        Value::Array(values) => list(values.iter().map(term), ","),
        Value::Object(table) => terms(table),
    }
}

/// `[["name","type",value],…]`.
fn typed(table: &Map<String, Value>) -> Value {
    table
        .iter()
        .map(|(key, value)| {
            let (kind, value) = kind(value);
            json!([key, kind, value])
        })
        .collect()
}

/// The type that AMQP has for it. JSON has fewer, so that it is the likeliest one.
fn kind(value: &Value) -> (&'static str, Value) {
    match value {
        Value::Null => ("void", json!("undefined")),
        Value::Bool(_) => ("bool", value.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) if i32::try_from(whole).is_ok() => ("signedint", value.clone()),
            Some(_) => ("long", value.clone()),
            None => ("double", value.clone()),
        },
        Value::String(_) => ("longstr", value.clone()),
        Value::Array(values) => {
            let each = values.iter().map(kind).map(|(kind, value)| json!([kind, value]));
            ("array", each.collect())
        }
        Value::Object(table) => ("table", typed(table)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(value: Value) -> Cell {
        match value {
            Value::Object(map) => Cell::Arguments(map),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn arguments_look_as_in_rabbitmqs_tables() {
        let value = json!({"b": true, "l": [1, "x"], "n": 1, "s": "v\"", "t": {"a": 1}});

        let cell = arguments(value);

        assert_eq!(
            cell.shown(),
            r#"[{"b",true},{"l",[1,"x"]},{"n",1},{"s","v\""},{"t",[{"a",1}]}]"#
        );
        assert_eq!(
            cell.value().to_string(),
            r#"[["b","bool",true],["l","array",[["signedint",1],["longstr","x"]]],["n","signedint",1],["s","longstr","v\""],["t","table",[["a","signedint",1]]]]"#
        );
        assert_eq!(arguments(json!({})).shown(), "[]");
    }

    #[test]
    fn a_policys_definition_looks_as_in_rabbitmqs_tables() {
        let Value::Object(map) = json!({"max-length": 50}) else { panic!("it is an object") };

        assert_eq!(Cell::Definition(map).shown(), "[{<<\"max-length\">>, 50}]");
        assert_eq!(Cell::Definition(Map::new()).shown(), "#{}");
    }

    #[test]
    fn plain_values_look_as_in_rabbitmqs_tables() {
        let cases = [
            (json!("a b"), "a b"),
            (json!("a\tb\n"), "a\\011b\\012"),
            (json!(null), ""),
            (json!(1.5), "1.5"),
            (json!(true), "true"),
            (json!([]), "[]"),
            (json!(["x", "y"]), "[x, y]"),
            (json!({"k": "v", "l": [1]}), "#{k => v, l => [1]}"),
        ];

        for (value, text) in cases {
            assert_eq!(Cell::Plain(value).shown(), text);
        }
    }

    #[test]
    fn addresses_and_versions_are_numbers_in_json() {
        let address = Cell::Address("127.0.0.1".into());
        let protocol = Cell::Protocol("AMQP 0-9-1".into());

        assert_eq!(
            (address.shown().as_str(), address.value()),
            ("127.0.0.1", json!([127, 0, 0, 1]))
        );
        assert_eq!((protocol.shown().as_str(), protocol.value()), ("{0,9,1}", json!([0, 9, 1])));
        assert_eq!(Cell::Address("::1".into()).value(), json!("::1"));
    }
}
