//! Runtime parameters: values that components keep in the catalog, as JSON text.

use serde_json::Value as Json;
use warren_types::Value;

use crate::Name;

/// A runtime parameter of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Where it applies.
    pub vhost: Name,
    /// Whose it is, such as `shovel`.
    pub component: Name,
    /// Its name.
    pub name: Name,
    /// Its value, JSON.
    pub value: Name,
}

/// What a JSON text says, as the value of a field table. None when it is no JSON.
#[must_use]
pub fn json_value(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().map(field)
}

fn field(json: Json) -> Value {
    match json {
        Json::Null => Value::Void,
        Json::Bool(flag) => Value::Bool(flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::I64(integer),
            None => Value::F64(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::text(&text),
        Json::Array(values) => Value::Array(values.into_iter().map(field).collect()),
        Json::Object(entries) => {
            // A field's name is shorter than a JSON key may be.
            let short = entries.into_iter().filter(|(name, _)| u8::try_from(name.len()).is_ok());
            Value::Table(short.map(|(name, value)| (name, field(value))).collect())
        }
    }
}
