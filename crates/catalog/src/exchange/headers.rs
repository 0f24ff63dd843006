//! By header values.
//!
//! A binding names headers and the values they should have; `x-match` says whether all or any
//! must fit, and whether headers that begin with `x-` count. Values compare as what they mean:
//! an integer's width does not matter, 1 is not 1.0, and a void value asks for the header alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use warren_types::{Table, Value};

use super::targets::Hop;
use crate::equivalence::equal;
use crate::refusal::Term;
use crate::route::Found;
use crate::{Binding, Message};

const MATCH: &str = "x-match";
const RESERVED: &str = "x-";

/// How the headers that a binding names decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    All,
    Any,
}

/// What `x-match` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    quantity: Quantity,
    /// Whether headers that begin with `x-` count.
    with_x: bool,
}

impl Rule {
    fn parse(text: &[u8]) -> Option<Self> {
        let (quantity, with_x) = match text {
            b"all" => (Quantity::All, false),
            b"any" => (Quantity::Any, false),
            b"all-with-x" => (Quantity::All, true),
            b"any-with-x" => (Quantity::Any, true),
            _ => return None,
        };
        Some(Self { quantity, with_x })
    }
}

#[derive(Clone, Debug)]
struct Bound {
    rule: Rule,
    hop: Hop,
}

/// The bindings of a headers exchange.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    bindings: BTreeMap<Arc<Binding>, Bound>,
}

impl Headers {
    pub(crate) fn bind(&mut self, binding: &Arc<Binding>, hop: Hop) {
        let rule = match binding.arguments.value(MATCH) {
            Some(Value::LongString(text)) => Rule::parse(text),
            _ => None,
        };
        let rule = rule.unwrap_or(Rule { quantity: Quantity::All, with_x: false });
        self.bindings.insert(Arc::clone(binding), Bound { rule, hop });
    }

    pub(crate) fn unbind(&mut self, binding: &Binding) {
        self.bindings.remove(binding);
    }

    pub(crate) fn route<'a>(&'a self, message: Message<'_>, found: &mut Found<'a, '_>) {
        if self.bindings.is_empty() {
            return;
        }
        let none = Table::new();
        let headers = message.headers.table().unwrap_or(&none);
        for (binding, bound) in &self.bindings {
            if matches(&binding.arguments, bound.rule, headers) {
                match &bound.hop {
                    Hop::Queue(target) => found.targets.push(*target),
                    Hop::Exchange(name) => found.exchanges.push(name),
                }
            }
        }
    }
}

/// What is wrong with the arguments of a binding from a headers exchange, in RabbitMQ's words.
pub(crate) fn check_arguments(arguments: &Table) -> Result<(), String> {
    match arguments.value(MATCH) {
        None => Ok(()),
        Some(Value::LongString(text)) if Rule::parse(text).is_some() => Ok(()),
        Some(value @ Value::LongString(_)) => Err(format!(
            "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
            Term(value)
        )),
        Some(value) => Err(format!(
            "Invalid x-match field type {} (value {}); expected longstr",
            value.type_name(),
            Term(value)
        )),
    }
}

fn matches(arguments: &Table, rule: Rule, headers: &Table) -> bool {
    let mut counted = arguments
        .iter()
        .filter(|(name, _)| if rule.with_x { *name != MATCH } else { !name.starts_with(RESERVED) });
    match rule.quantity {
        Quantity::All => counted.all(|(name, wanted)| fits(wanted, headers.value(name))),
        Quantity::Any => counted.any(|(name, wanted)| fits(wanted, headers.value(name))),
    }
}

fn fits(wanted: &Value, found: Option<&Value>) -> bool {
    match (wanted, found) {
        (_, None) => false,
        (Value::Void, Some(_)) => true,
        (wanted, Some(found)) => equal(wanted, found),
    }
}

#[cfg(test)]
mod tests;
