//! What a request's body says: the fields of a JSON object.
//!
//! What is missing or of another kind is refused in RabbitMQ's words.

use serde_json::{Map, Value, json};
use warren_catalog::Name;
use warren_types::Table;

use super::answer::Problem;
use super::table;

/// The fields of an object. No body at all is one without fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of `body`.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) | Err(_) => Err(Problem::bad_request("not_json")),
        }
    }

    /// The fields of an object within another.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        value.as_object().cloned().map(Self)
    }

    /// One field.
    pub(crate) fn one(name: &str, value: &Value) -> Self {
        Self([(name.to_owned(), value.clone())].into_iter().collect())
    }

    /// All fields.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A field; `null` counts as none.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Refuses the request unless all of these are there.
    ///
    /// # Errors
    /// When one is not.
    pub(crate) fn need(&self, names: &[&str]) -> Result<(), Problem> {
        let missing: Vec<String> = names
            .iter()
            .filter(|name| self.value(name).is_none())
            .map(|name| format!("{{key_missing,{name}}}"))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Problem::bad_request(format!("[{}]", missing.join(","))))
    }

    /// A text; empty where there is none.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn text(&self, name: &str) -> Result<Name, Problem> {
        match self.value(name) {
            None => Ok("".into()),
            Some(Value::String(text)) => Ok(text.as_str().into()),
            Some(other) => Err(Problem::bad_request(json!(["not_string", name, other]))),
        }
    }

    /// Whether it is so; no, where nothing is said. Words are understood as well.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn truth(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.optional_truth(name)?.unwrap_or(false))
    }

    /// Whether it is so, if that is said.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn optional_truth(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(Value::String(word)) if word == "true" => Ok(Some(true)),
            Some(Value::String(word)) if word == "false" => Ok(Some(false)),
            Some(other) => Err(Problem::bad_request(json!(["not_boolean", other]))),
        }
    }

    /// A whole number, if there is one. Digits in quotes are understood as well.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(digits) => digits.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| Problem::bad_request(json!(["not_integer", value])))?;
        Ok(Some(number))
    }

    /// AMQP arguments; none where nothing is said.
    ///
    /// # Errors
    /// When it is something else, or a name is too long.
    pub(crate) fn table(&self, name: &str) -> Result<Table, Problem> {
        match self.value(name) {
            None => Ok(Table::new()),
            // What PHP makes of an empty map.
            Some(Value::Array(none)) if none.is_empty() => Ok(Table::new()),
            Some(Value::Object(fields)) => table::from_json(fields).map_err(Problem::bad_request),
            Some(other) => Err(Problem::bad_request(json!(["not_object", name, other]))),
        }
    }

    /// Names: a list of them, or one text with commas between.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn names(&self, name: &str) -> Result<Option<Vec<Name>>, Problem> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let refuse = || Problem::bad_request(json!(["not_a_list_of_strings", name, value]));
        let words: Vec<&str> = match value {
            Value::String(text) => text.split(',').map(str::trim).collect(),
            Value::Array(items) => {
                let words = items.iter().map(Value::as_str);
                words.collect::<Option<Vec<&str>>>().ok_or_else(refuse)?
            }
            _ => return Err(refuse()),
        };
        let mut names: Vec<Name> =
            words.into_iter().filter(|word| !word.is_empty()).map(Name::from).collect();
        names.dedup();
        Ok(Some(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields {
        Fields::parse(body.as_bytes()).expect("an object")
    }

    #[test]
    fn no_body_is_an_object_without_fields_and_a_list_is_none() {
        assert_eq!(Fields::parse(b"").expect("no body"), Fields::default());
        for body in ["[]", "{x", "1"] {
            let problem = Fields::parse(body.as_bytes()).expect_err("no object");
            assert_eq!(problem, Problem::bad_request("not_json"));
        }
    }

    #[test]
    fn all_that_is_missing_is_named() {
        let problem = fields(r#"{"a":1,"b":null}"#).need(&["a", "b", "c"]).expect_err("missing");

        assert_eq!(problem.reason(), "[{key_missing,b},{key_missing,c}]");
    }

    #[test]
    fn truth_and_numbers_are_understood_in_quotes_and_nonsense_is_not() {
        let said = fields(r#"{"yes":"true","no":false,"maybe":"maybe","n":"12","m":7,"x":"x"}"#);

        assert_eq!((said.truth("yes"), said.truth("no")), (Ok(true), Ok(false)));
        assert_eq!(said.truth("absent"), Ok(false));
        let maybe = said.truth("maybe").expect_err("neither");
        assert_eq!(maybe.reason(), r#"["not_boolean","maybe"]"#);
        assert_eq!((said.integer("n"), said.integer("m")), (Ok(Some(12)), Ok(Some(7))));
        assert!(said.integer("x").is_err());
    }

    #[test]
    fn names_come_as_a_list_or_with_commas() {
        let said = fields(r#"{"a":"x, y,","b":["x","y"],"c":"","d":[1]}"#);

        let xy: Vec<Name> = vec!["x".into(), "y".into()];
        assert_eq!(said.names("a"), Ok(Some(xy.clone())));
        assert_eq!(said.names("b"), Ok(Some(xy)));
        assert_eq!(said.names("c"), Ok(Some(Vec::new())));
        assert_eq!(said.names("absent"), Ok(None));
        assert!(said.names("d").is_err());
    }
}
