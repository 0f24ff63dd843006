//! Tests of `snapshot`.

use warren_machine::Machine;
use warren_types::Value;

use super::*;
use crate::testing::{Log, VHOST, exchange, queue_with, to_exchange, to_queue};
use crate::{Command, PutPolicy};

fn filled() -> Log {
    let mut log = Log::new();
    log.accept(Command::DeclareExchange(exchange("x", "topic")));
    let arguments = [("x-max-length", Value::I32(9))];
    log.accept(Command::DeclareQueue(queue_with("q", &arguments)));
    log.accept(Command::Bind(to_queue("x", "q", "a.#")));
    log.accept(Command::Bind(to_exchange("amq.fanout", "x", "")));
    log.accept(Command::PutPolicy(PutPolicy {
        vhost: VHOST.into(),
        layer: PolicyLayer::User,
        name: "p".into(),
        pattern: ".*".into(),
        apply_to: crate::ApplyTo::All,
        priority: 1,
        definition: "{\"max-length\":5}".into(),
    }));
    log
}

#[test]
fn a_restored_catalog_is_the_same_and_routes_the_same() {
    let log = filled();

    let restored = Catalog::restore(&log.catalog.snapshot()).expect("its own snapshot");

    restored.check();
    assert_eq!(restored.digest(), log.catalog.digest());
    assert_eq!(restored.revision(), log.catalog.revision());
    assert_eq!(restored.topology_revision(), log.catalog.topology_revision());
    let queue = restored.queue(VHOST, "q").expect("restored");
    assert_eq!(Some(queue), log.catalog.queue(VHOST, "q"));
    assert_eq!(queue.settings.max_length, Some(5));
    let mut routed = crate::Routed::new();
    let message = crate::Message::with_key(b"a.b");
    restored.route(VHOST, "amq.fanout", message, &mut routed).expect("predeclared");
    assert_eq!(routed.targets(), [queue.target()]);
}

#[test]
fn large_catalogs_take_several_pages_of_bounded_size() {
    let mut log = Log::new();
    let value: String = format!("\"{}\"", "x".repeat(10_000));
    let parameter = |number: usize| Command::PutGlobalParameter {
        name: format!("p{number}").as_str().into(),
        value: value.as_str().into(),
    };
    log.apply_all((0..300).map(parameter).collect());

    let pages = log.catalog.snapshot();

    assert!(pages.len() > 2);
    assert!(pages.iter().all(|page| page.len() <= 1024 * 1024));
    let restored = Catalog::restore(&pages).expect("its own snapshot");
    assert_eq!(restored.digest(), log.catalog.digest());
    let mut swapped = pages.clone();
    swapped.swap(0, 1);
    assert!(matches!(Catalog::restore(&swapped), Err(RestoreError::Inconsistent { .. })));
    let short = Catalog::restore(&pages[..1]);
    assert!(matches!(short, Err(RestoreError::Inconsistent { .. })));
}

#[test]
fn every_damage_is_an_error_or_another_catalog_but_no_panic() {
    let page = filled().catalog.snapshot().remove(0);

    for end in 0..page.len() {
        let restored = Catalog::restore(&[page.slice(..end)]);
        // A page may end between two records.
        if let Ok(restored) = restored {
            restored.check();
        }
    }
    for at in 0..page.len() {
        let mut damaged = page.to_vec();
        damaged[at] ^= 0x41;
        if let Ok(restored) = Catalog::restore(&[damaged.into()]) {
            restored.snapshot();
        }
    }
}

#[test]
fn other_versions_and_no_pages_at_all_are_refused() {
    let mut page = filled().catalog.snapshot().remove(0).to_vec();
    page[1] = 2;

    let other = Catalog::restore(&[page.into()]);
    let none = Catalog::restore(&[]);

    assert!(matches!(other, Err(RestoreError::Version { version: 2 })));
    assert!(matches!(none, Err(RestoreError::Inconsistent { .. })));
}
