//! Tests of `route`.

use std::cell::Cell;

use warren_types::Value;

use super::*;
use crate::testing::{Log, VHOST, exchange, queue, table, to_exchange, to_queue};
use crate::{Command, DeclareExchange};

fn log(queues: &[&str]) -> Log {
    let mut log = Log::new();
    for name in queues {
        log.accept(Command::DeclareQueue(queue(name)));
    }
    log
}

fn alternate(name: &str, kind: &str, alternate: &str) -> DeclareExchange {
    let arguments = table(&[("alternate-exchange", Value::text(alternate))]);
    DeclareExchange { arguments, ..exchange(name, kind) }
}

#[test]
fn the_default_exchange_knows_every_queue_by_its_name() {
    let log = log(&["q", "r"]);

    assert_eq!(log.route_key("", "q"), ["q"]);
    assert_eq!(log.route_key("", "x"), [""; 0]);
    let extra: &[&[u8]] = &[b"r", b"q", b"missing", &[0xFF]];
    let message = Message { extra_keys: extra, ..Message::with_key(b"q") };
    assert_eq!(log.route("", message), ["q", "r"]);
}

#[test]
fn a_direct_exchange_goes_by_equal_key_and_by_each_extra_key() {
    let mut log = log(&["q", "r"]);
    log.accept(Command::Bind(to_queue("amq.direct", "q", "k")));
    log.accept(Command::Bind(to_queue("amq.direct", "r", "l")));

    assert_eq!(log.route_key("amq.direct", "k"), ["q"]);
    assert_eq!(log.route_key("amq.direct", "K"), [""; 0]);
    let message = Message { extra_keys: &[b"l"], ..Message::with_key(b"k") };
    assert_eq!(log.route("amq.direct", message), ["q", "r"]);
}

#[test]
fn a_queue_is_named_once_however_many_bindings_lead_to_it() {
    let mut log = log(&["q"]);
    log.accept(Command::Bind(to_queue("amq.topic", "q", "#")));
    log.accept(Command::Bind(to_queue("amq.topic", "q", "a.*")));
    log.accept(Command::Bind(to_exchange("amq.topic", "amq.fanout", "a.#")));
    log.accept(Command::Bind(to_queue("amq.fanout", "q", "")));

    assert_eq!(log.route_key("amq.topic", "a.b"), ["q"]);
}

#[test]
fn exchanges_that_lead_to_each_other_are_visited_once() {
    let mut log = log(&["q", "r"]);
    for name in ["a", "b", "c"] {
        log.accept(Command::DeclareExchange(exchange(name, "fanout")));
    }
    log.accept(Command::Bind(to_exchange("a", "b", "")));
    log.accept(Command::Bind(to_exchange("b", "c", "")));
    log.accept(Command::Bind(to_exchange("c", "a", "")));
    log.accept(Command::Bind(to_exchange("a", "a", "")));
    log.accept(Command::Bind(to_queue("c", "q", "")));
    log.accept(Command::Bind(to_queue("a", "r", "")));

    assert_eq!(log.route_key("a", ""), ["q", "r"]);
    assert_eq!(log.route_key("b", ""), ["q", "r"]);
}

#[test]
fn the_alternate_exchange_has_what_finds_no_way() {
    let mut log = log(&["q", "lost"]);
    log.accept(Command::DeclareExchange(exchange("pit", "fanout")));
    log.accept(Command::DeclareExchange(alternate("second", "direct", "pit")));
    log.accept(Command::DeclareExchange(alternate("first", "direct", "second")));
    log.accept(Command::Bind(to_queue("pit", "lost", "")));
    log.accept(Command::Bind(to_queue("first", "q", "k")));

    assert_eq!(log.route_key("first", "k"), ["q"]);
    assert_eq!(log.route_key("first", "other"), ["lost"]);
}

#[test]
fn a_way_to_an_exchange_is_a_way_even_if_that_leads_nowhere() {
    let mut log = log(&["lost"]);
    log.accept(Command::DeclareExchange(exchange("pit", "fanout")));
    log.accept(Command::DeclareExchange(alternate("first", "direct", "pit")));
    log.accept(Command::Bind(to_queue("pit", "lost", "")));
    log.accept(Command::Bind(to_exchange("first", "amq.direct", "k")));

    assert_eq!(log.route_key("first", "k"), [""; 0]);
}

#[test]
fn a_missing_alternate_exchange_and_the_default_one_as_alternate_are_fine() {
    let mut log = log(&["q"]);
    log.accept(Command::DeclareExchange(alternate("a", "fanout", "missing")));
    log.accept(Command::DeclareExchange(alternate("b", "fanout", "")));

    assert_eq!(log.route_key("a", "q"), [""; 0]);
    assert_eq!(log.route_key("b", "q"), ["q"]);
}

#[test]
fn an_unknown_exchange_or_vhost_is_told_and_leaves_nothing_behind() {
    let log = log(&["q"]);
    let mut routed = Routed::new();
    let message = Message::with_key(b"q");
    log.catalog.route(VHOST, "", message, &mut routed).expect("the default exchange");

    let no_exchange = log.catalog.route(VHOST, "x", message, &mut routed);
    assert_eq!(no_exchange, Err(RouteRefusal::NoExchange));
    assert_eq!(routed.targets(), []);
    let no_vhost = log.catalog.route("v", "", message, &mut routed);
    assert_eq!(no_vhost, Err(RouteRefusal::NoVhost));
}

struct Counted {
    table: Table,
    asked: Cell<u32>,
}

impl MessageHeaders for Counted {
    fn table(&self) -> Option<&Table> {
        self.asked.set(self.asked.get() + 1);
        Some(&self.table)
    }
}

#[test]
fn headers_are_asked_for_by_headers_exchanges_alone() {
    let mut log = log(&["q"]);
    log.accept(Command::Bind(to_queue("amq.fanout", "q", "")));
    let mut binding = to_queue("amq.headers", "q", "");
    binding.arguments = table(&[("a", Value::I32(1))]);
    log.accept(Command::Bind(binding));
    let headers = Counted { table: table(&[("a", Value::I64(1))]), asked: Cell::new(0) };
    let message = Message { headers: &headers, ..Message::with_key(b"") };
    let mut routed = Routed::new();

    log.catalog.route(VHOST, "amq.fanout", message, &mut routed).expect("predeclared");
    assert_eq!((headers.asked.get(), routed.varies()), (0, false));
    log.catalog.route(VHOST, "amq.headers", message, &mut routed).expect("predeclared");
    assert_eq!((headers.asked.get(), routed.varies()), (1, true));
    assert_eq!(routed.targets().len(), 1);
    log.catalog.route(VHOST, "amq.fanout", message, &mut routed).expect("predeclared");
    assert!(!routed.varies());
}

#[test]
fn a_thousand_queues_behind_one_key_come_and_go() {
    let names: Vec<String> = (0..1000).map(|number| format!("q{number:04}")).collect();
    let mut log = log(&[]);
    for name in &names {
        let bind = Command::Bind(to_queue("amq.fanout", name, ""));
        let replies = log.apply_all(vec![Command::DeclareQueue(queue(name)), bind]);
        assert!(replies.iter().all(Result::is_ok));
    }
    assert_eq!(log.route_key("amq.fanout", ""), names);

    for name in &names {
        log.accept(Command::Unbind(to_queue("amq.fanout", name, "")));
    }
    assert_eq!(log.route_key("amq.fanout", ""), [""; 0]);
}

#[test]
fn topology_revision_moves_with_what_alters_routing_and_with_nothing_else() {
    let mut log = log(&["q"]);
    let before = log.catalog.topology_revision();

    log.accept(Command::DeleteUser { user: "guest".into() });
    assert_eq!(log.catalog.topology_revision(), before);
    let revision = log.catalog.revision();
    assert!(revision > before);
    log.accept(Command::Bind(to_queue("amq.fanout", "q", "")));
    let bound = log.catalog.topology_revision();
    assert!(bound > revision);
    log.accept(Command::Bind(to_queue("amq.fanout", "q", "")));
    assert_eq!(log.catalog.topology_revision(), bound, "nothing changed");
}
