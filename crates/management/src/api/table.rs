//! AMQP tables as JSON, and back.
//!
//! JSON has fewer kinds of numbers than AMQP: a whole number becomes a 64-bit one, as in RabbitMQ.

use serde_json::{Map, Value as Json};
use warren_types::{Table, Value};

/// The longest name that AMQP can carry.
const NAME_BYTES: usize = 255;

/// Objects and lists within each other that are accepted, as on the wire.
const DEPTH: usize = warren_types::MAX_TABLE_DEPTH;

/// A table as JSON.
#[must_use]
pub fn to_json(table: &Table) -> Json {
    let fields = table.iter().map(|(name, value)| (name.to_owned(), value_to_json(value)));
    Json::Object(fields.collect())
}

fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::I8(value) => Json::from(*value),
        Value::U8(value) => Json::from(*value),
        Value::I16(value) => Json::from(*value),
        Value::U16(value) => Json::from(*value),
        Value::I32(value) => Json::from(*value),
        Value::U32(value) => Json::from(*value),
        Value::I64(value) => Json::from(*value),
        Value::F32(value) => Json::from(*value),
        Value::F64(value) => Json::from(*value),
        Value::Decimal { scale, value } => {
            Json::from(f64::from(*value) / 10_f64.powi(i32::from(*scale)))
        }
        Value::LongString(bytes) | Value::Bytes(bytes) => {
            Json::from(String::from_utf8_lossy(bytes))
        }
        Value::Array(values) => Json::Array(values.iter().map(value_to_json).collect()),
        Value::Timestamp(seconds) => Json::from(*seconds),
        Value::Table(table) => to_json(table),
        Value::Void => Json::Null,
    }
}

/// A JSON object as a table.
///
/// # Errors
/// When AMQP cannot carry it.
pub(crate) fn from_json(fields: &Map<String, Json>) -> Result<Table, String> {
    object(fields, DEPTH)
}

fn object(fields: &Map<String, Json>, depth: usize) -> Result<Table, String> {
    let depth = depth.checked_sub(1).ok_or("too many objects within each other")?;
    let mut table = Table::new();
    for (name, value) in fields {
        if name.len() > NAME_BYTES {
            return Err(format!("the name of a field has more than {NAME_BYTES} bytes"));
        }
        table.insert(name, value_from_json(value, depth)?);
    }
    Ok(table)
}

fn value_from_json(value: &Json, depth: usize) -> Result<Value, String> {
    Ok(match value {
        Json::Null => Value::Void,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::I64(whole),
            (None, Some(fraction)) => Value::F64(fraction),
            (None, None) => return Err(format!("{number} is out of range")),
        },
        Json::String(text) => Value::text(text),
        Json::Array(values) => {
            let depth = depth.checked_sub(1).ok_or("too many lists within each other")?;
            let values = values.iter().map(|value| value_from_json(value, depth));
            Value::Array(values.collect::<Result<_, String>>()?)
        }
        Json::Object(fields) => Value::Table(object(fields, depth)?),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_survives_the_way_through_json() {
        let said = json!({
            "x-max-length": 10, "x-queue-type": "quorum", "flag": true, "half": 0.5,
            "list": [1, "a", [null]], "inner": { "deep": { "er": -1 } },
        });

        let table = from_json(said.as_object().expect("an object")).expect("AMQP can carry it");

        assert_eq!(table.value("x-max-length"), Some(&Value::I64(10)));
        assert_eq!(table.value("half"), Some(&Value::F64(0.5)));
        assert_eq!(to_json(&table), said);
    }

    #[test]
    fn what_amqp_cannot_carry_is_refused() {
        let mut deep = json!({});
        for _ in 0..DEPTH {
            deep = json!({ "a": deep });
        }

        assert!(from_json(deep.as_object().expect("an object")).is_err());
        assert!(from_json(json!({ "n".repeat(256): 1 }).as_object().expect("an object")).is_err());
    }
}
