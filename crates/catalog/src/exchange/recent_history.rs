//! `x-recent-history`: all, and whoever is bound is given the last messages first.
//!
//! The messages themselves stand in a queue of the exchange's own, [`queue_name`], which is made with
//! it and goes with it. Routing names that queue besides those that are bound, except for messages
//! that ask not to be kept. What such a queue holds, and how it comes to those that are bound, is the
//! broker's affair.

use warren_types::{Table, Value};

use super::fanout::Fanout;
use crate::Name;
use crate::route::MessageHeaders;

/// How many messages are kept.
const LENGTH: &str = "x-recent-history-length";

/// The header of a message that is not kept.
const NO_STORE: &str = "x-recent-history-no-store";

/// As many as the plugin keeps where nobody says how many.
const DEFAULT_LENGTH: i64 = 20;

/// What the name of an exchange's own queue begins with. Nobody can declare such a queue.
const QUEUE_PREFIX: &str = "amq.warren.history.";

/// The bindings of such an exchange.
#[derive(Clone, Debug)]
pub(crate) struct RecentHistory {
    pub(crate) bound: Fanout,
    queue: Name,
}

impl RecentHistory {
    pub(crate) fn new(exchange: &str) -> Self {
        Self { bound: Fanout::default(), queue: queue_name(exchange) }
    }

    /// The queue that keeps a message with these headers, if it is to be kept.
    pub(crate) fn keeper(&self, headers: &dyn MessageHeaders) -> Option<&Name> {
        let no_store = headers.table().and_then(|table| table.value(NO_STORE)?.as_bool());
        (no_store != Some(true)).then_some(&self.queue)
    }
}

/// The name of an exchange's own queue.
#[must_use]
pub fn queue_name(exchange: &str) -> Name {
    format!("{QUEUE_PREFIX}{exchange}").into()
}

/// Whether a queue is some exchange's own.
#[must_use]
pub fn is_queue_name(queue: &str) -> bool {
    queue.starts_with(QUEUE_PREFIX)
}

/// How many messages an exchange keeps.
#[must_use]
pub fn length(arguments: &Table) -> u64 {
    let length = arguments.value(LENGTH).and_then(Value::as_integer);
    u64::try_from(length.unwrap_or(DEFAULT_LENGTH)).unwrap_or_default()
}

/// What is wrong with a declaration's arguments, in the plugin's words.
pub(crate) fn check_arguments(arguments: &Table) -> Result<(), String> {
    match arguments.value(LENGTH).map(Value::as_integer) {
        None => Ok(()),
        Some(Some(length)) if length >= 0 => Ok(()),
        Some(_) => Err(format!("Invalid argument, '{LENGTH}' must be a positive integer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Log, VHOST, exchange, queue, table, to_queue};
    use crate::{Command, DeclareExchange, DeclareQueue, Effect, Message, RefusalKind};

    /// Such an exchange with its own queue, and one that is bound.
    fn remembering() -> Log {
        let mut log = Log::new();
        log.accept(Command::DeclareExchange(exchange("x", "x-recent-history")));
        let own = DeclareQueue { server_named: true, ..queue(&queue_name("x")) };
        log.accept(Command::DeclareQueue(own));
        log.accept(Command::DeclareQueue(queue("bound")));
        log.accept(Command::Bind(to_queue("x", "bound", "any")));
        log
    }

    #[test]
    fn a_message_goes_to_all_and_is_kept_unless_it_asks_not_to_be() {
        let log = remembering();
        let kept = |no_store: Value| {
            let headers = table(&[(NO_STORE, no_store)]);
            let message = Message { headers: &headers, ..Message::with_key(b"key") };
            log.route("x", message).len()
        };

        assert_eq!(log.route_key("x", "key"), ["amq.warren.history.x", "bound"]);
        assert_eq!(
            [kept(Value::Bool(true)), kept(Value::Bool(false)), kept(Value::I32(1))],
            [1, 2, 2]
        );
    }

    #[test]
    fn an_exchanges_own_queue_goes_with_it() {
        let mut log = remembering();

        log.accept(Command::DeleteExchange {
            vhost: VHOST.into(),
            exchange: "x".into(),
            if_unused: false,
        });

        assert!(log.catalog.queue(VHOST, &queue_name("x")).is_none());
        assert!(log.catalog.queue(VHOST, "bound").is_some());
        let is_own = |effect: &Effect| match effect {
            Effect::QueueRemoved { queue, .. } => is_queue_name(&queue.name),
            _ => false,
        };
        assert_eq!(log.effects.iter().filter(|effect| is_own(effect)).count(), 1);
    }

    #[test]
    fn a_length_is_a_number_that_is_not_negative() {
        let mut log = Log::new();
        let declare = |length: Value| {
            let arguments = table(&[(LENGTH, length)]);
            Command::DeclareExchange(DeclareExchange {
                arguments,
                ..exchange("x", "x-recent-history")
            })
        };
        for nonsense in [Value::I32(-1), Value::text("5")] {
            let refusal = log.refuse(declare(nonsense));
            assert_eq!(refusal.kind(), RefusalKind::PreconditionFailed);
            let text = "Invalid argument, 'x-recent-history-length' must be a positive integer";
            assert!(refusal.to_string().contains(text), "{refusal}");
        }

        log.accept(declare(Value::I64(0)));
        let arguments = |log: &Log| log.catalog.exchange(VHOST, "x").unwrap().arguments.clone();
        assert_eq!((length(&arguments(&log)), length(&Table::new())), (0, 20));
    }
}
