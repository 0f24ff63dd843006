//! `x-delayed-message`: routes as the type in its `x-delayed-type` does.
//!
//! **Not here:** the delay, which comes before routing and which any exchange's messages may have.

use warren_types::{Table, Value};

use crate::ExchangeKind;

/// How it routes once the time has come.
const DELAYED_TYPE: &str = "x-delayed-type";

/// The kind that routes.
pub(crate) fn kind(arguments: &Table) -> Option<ExchangeKind> {
    let kind = ExchangeKind::parse(arguments.value(DELAYED_TYPE)?.as_text()?)?;
    (kind != ExchangeKind::Delayed).then_some(kind)
}

/// What is wrong with a declaration's arguments, in the plugin's words.
pub(crate) fn check_arguments(arguments: &Table) -> Result<(), String> {
    let given = arguments.value(DELAYED_TYPE).and_then(Value::as_text);
    match given.and_then(ExchangeKind::parse) {
        Some(ExchangeKind::Delayed) => {
            Err(format!("Invalid argument, 'x-delayed-message' can't be used for '{DELAYED_TYPE}'"))
        }
        Some(_) => Ok(()),
        None => {
            Err(format!("Invalid argument, '{DELAYED_TYPE}' must be an existing exchange type"))
        }
    }
}
