//! Tests of `scopes`.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn settings() -> ResourceServer {
    ResourceServer { id: "rabbit".to_owned(), ..ResourceServer::default() }
}

fn scopes_by(server: &ResourceServer, claims: Value) -> Scopes {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    Scopes::of(server, &claims).expect("not too many")
}

fn scopes(scope: &str) -> Scopes {
    scopes_by(&settings(), json!({ "scope": scope, "sub": "ann" }))
}

fn queue(vhost: &'static str, name: &'static str, permission: &'static str) -> Question<'static> {
    Question { vhost: vhost.into(), what: What::Queue { name: name.into(), permission } }
}

fn topic(exchange: &'static str, key: &'static str) -> Question<'static> {
    let what =
        What::Topic { exchange: exchange.into(), routing_key: key.into(), permission: "write" };
    Question { vhost: "/".into(), what }
}

#[test]
fn a_scope_allows_one_thing_with_what_its_patterns_match() {
    for (scope, question, expected) in [
        ("rabbit.read:%2F/q", queue("/", "q", "read"), true),
        ("rabbit.read:%2F/q", queue("/", "q", "write"), false),
        ("rabbit.read:%2F/q", queue("/", "qq", "read"), false),
        ("rabbit.read:%2F/q", queue("v", "q", "read"), false),
        ("rabbit.read:*/q*", queue("v", "qq", "read"), true),
        ("rabbit.configure:*/*", queue("v", "any", "configure"), true),
        ("rabbit.write:*/*/*", queue("v", "any", "write"), true),
        ("rabbit.read:q", queue("/", "q", "read"), false),
        ("rabbit.read:*/*/*/*", queue("/", "q", "read"), false),
        ("rabbit.delete:*/*", queue("/", "q", "delete"), false),
        ("other.read:*/*", queue("/", "q", "read"), false),
        ("read:*/*", queue("/", "q", "read"), false),
        ("rabbit.READ:*/*", queue("/", "q", "read"), false),
    ] {
        assert_eq!(scopes(scope).allow(&question), expected, "{scope}: {question:?}");
    }
}

#[test]
fn any_permission_opens_its_virtual_host() {
    let vhost = |name: &'static str| Question { vhost: name.into(), what: What::Vhost };

    assert!(scopes("rabbit.read:a*/q").allow(&vhost("abc")));
    assert!(!scopes("rabbit.read:a*/q").allow(&vhost("b")));
    assert!(!scopes("rabbit.tag:administrator").allow(&vhost("abc")));
}

#[test]
fn routing_keys_need_a_scope_with_a_third_part() {
    assert!(scopes("rabbit.write:*/logs/app.*").allow(&topic("logs", "app.error")));
    assert!(!scopes("rabbit.write:*/logs/app.*").allow(&topic("logs", "db.error")));
    assert!(!scopes("rabbit.write:*/logs").allow(&topic("logs", "app.error")));
    assert!(!scopes("rabbit.read:*/logs/*").allow(&topic("logs", "app.error")));
}

#[test]
fn claims_stand_in_for_their_names_in_braces() {
    assert!(scopes("rabbit.read:*/{sub}-*").allow(&queue("/", "ann-1", "read")));
    assert!(!scopes("rabbit.read:*/{sub}-*").allow(&queue("/", "bob-1", "read")));
    assert!(scopes("rabbit.read:{vhost}/q").allow(&queue("v", "q", "read")));
    assert!(scopes("rabbit.read:*/{nothing}").allow(&queue("v", "nothing", "read")));
    assert!(!scopes("rabbit.read:*/{sub").allow(&queue("v", "ann", "read")));
    assert!(!scopes("rabbit.read:*/{s*}").allow(&queue("v", "s*", "read")));
}

#[test]
fn tags_are_scopes_too() {
    let scopes = scopes("rabbit.tag:monitoring rabbit.tag:administrator tag:management");

    assert_eq!(scopes.tags(), ["administrator", "monitoring"]);
}

#[test]
fn scopes_are_found_in_lists_and_in_the_places_that_are_named() {
    let question = queue("/", "q", "read");
    let mut settings = settings();
    settings.additional_scopes_key = "roles realm.groups".to_owned();

    for (claims, expected) in [
        (json!({"scope": ["rabbit.read:*/*", 7]}), true),
        (json!({"scope": 7}), false),
        (json!({"roles": "a rabbit.read:*/*"}), true),
        (json!({"roles": {"rabbit": ["read:*/*"]}}), true),
        (json!({"roles": {"rabbit": "read:*/*"}}), true),
        (json!({"roles": {"other": ["read:*/*"]}}), false),
        (json!({"realm": {"groups": ["rabbit.read:*/*"]}}), true),
        (json!({"realm": [{"groups": "rabbit.read:*/*"}]}), true),
        (json!({"realm": "rabbit.read:*/*"}), false),
        (json!({"authorization": {"permissions": [{"scopes": ["rabbit.read:*/*"]}]}}), true),
        (json!({}), false),
    ] {
        let allowed = scopes_by(&settings, claims.clone()).allow(&question);
        assert_eq!(allowed, expected, "{claims}");
    }
}

#[test]
fn aliases_stand_for_other_scopes() {
    let mut settings = settings();
    let meant = vec!["rabbit.read:*/*".to_owned(), "rabbit.tag:management".to_owned()];
    settings.scope_aliases = BTreeMap::from([("reader".to_owned(), meant)]);

    let scopes = scopes_by(&settings, json!({"scope": "reader"}));

    assert!(scopes.allow(&queue("/", "q", "read")));
    assert_eq!(scopes.tags(), ["management"]);
}

#[test]
fn the_prefix_may_be_another_one_or_none() {
    let question = queue("/", "q", "read");
    let with = |prefix: &str, scope: &str| {
        let settings = ResourceServer { scope_prefix: prefix.to_owned(), ..settings() };
        scopes_by(&settings, json!({ "scope": scope })).allow(&question)
    };

    assert!(with("api://", "api://read:*/*"));
    assert!(!with("api://", "rabbit.read:*/*"));
    assert!(with("", "read:*/*"));
}

#[test]
fn more_scopes_than_anybody_needs_are_refused() {
    let many: Vec<String> = (0..=SCOPES_MOST).map(|nth| format!("rabbit.read:*/q{nth}")).collect();
    let claims = Map::from_iter([("scope".to_owned(), Value::from(many))]);

    assert!(Scopes::of(&settings(), &claims).is_none());
}
