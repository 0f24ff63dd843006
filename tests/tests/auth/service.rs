//! Clients whom a service over HTTP knows.

use warren_tests::http::Client as Http;
use warren_tests::wire::{Flags, Wire, declare_exchange, declare_queue, get, publish};

use crate::support::{Asked, Court, Small, await_that, told};

/// ann, whose password is `right`, may do everything with what is called after her, and may open `/`.
fn decide((path, parameters): &Asked) -> String {
    let is = |name: &str, value: &str| parameters.get(name).is_some_and(|found| found == value);
    let starts = |name: &str, value: &str| {
        parameters.get(name).is_some_and(|found| found.starts_with(value))
    };
    let is_allowed = match path.as_str() {
        "/auth/user" => is("username", "ann") && is("password", "right"),
        "/auth/vhost" => is("vhost", "/") && is("ip", "127.0.0.1"),
        "/auth/resource" => starts("name", "ann-") || is("name", "amq.default"),
        "/auth/topic" => starts("routing_key", "ann."),
        _ => false,
    };
    match (is_allowed, path.as_str()) {
        (true, "/auth/user") => "allow management".to_owned(),
        (true, _) => "allow".to_owned(),
        (false, _) => "deny".to_owned(),
    }
}

fn court(backends: &str, small: &Small, more: &str) -> Option<Court> {
    Court::open(backends, &format!("{}{more}", small.settings()))
}

fn ann(court: &Court) -> Wire {
    let mut wire = Wire::open_as(court.amqp(), "ann", "right").unwrap();
    wire.channel(1).unwrap();
    wire
}

#[test]
fn who_comes_in_and_what_they_may_do_is_asked_of_the_service() {
    let small = Small::new(decide);
    let Some(court) = court("[\"http\"]", &small, "") else { return };
    let mut wire = ann(&court);
    let topic = declare_exchange(1, "ann-topics", "topic", Flags::DURABLE, &[]);
    let barrier = || declare_queue(1, "ann-queue", Flags::DURABLE, &[]);
    let behind = |mut sent: Vec<u8>| {
        sent.extend(barrier());
        sent
    };
    let on_topic = |key: &str| behind(publish(1, "ann-topics", key, 0, &[0, 0], b"x"));

    for sent in [topic, barrier(), on_topic("ann.key"), get(1, "ann-queue", true)] {
        assert_eq!(told(&mut wire, &sent), "ok");
    }
    let refused = "403 ACCESS_REFUSED - ";
    for (sent, expected) in [
        (declare_queue(1, "bobs", Flags::DURABLE, &[]), "configure access to queue 'bobs'"),
        (get(1, "bobs", true), "read access to queue 'bobs'"),
        (on_topic("bob.key"), "write access to topic 'bob.key' in exchange 'ann-topics'"),
        (behind(publish(1, "bobs", "", 0, &[0, 0], b"x")), "write access to exchange 'bobs'"),
    ] {
        let expected = format!("{refused}{expected} in vhost '/' refused for user 'ann'");
        assert_eq!(told(&mut ann(&court), &sent), expected);
    }
    let refusal = court.refusal("ann", "wrong");
    assert!(refusal.contains("ACCESS_REFUSED - Login was refused"), "{refusal}");
}

#[test]
fn the_service_is_not_asked_for_every_message() {
    let small = Small::new(decide);
    let Some(court) = court("[\"http\"]", &small, "") else { return };
    let mut wire = ann(&court);
    told(&mut wire, &declare_queue(1, "ann-queue", Flags::DURABLE, &[]));
    let before = small.count("/auth/resource");

    for _ in 0..100 {
        wire.publish_to(1, "ann-queue", b"x").unwrap();
    }
    told(&mut wire, &get(1, "ann-queue", true));

    let asked = small.count("/auth/resource") - before;
    assert!((2..=4).contains(&asked), "it was asked {asked} times");
}

#[test]
fn the_management_api_asks_the_service_as_well() {
    let small = Small::new(decide);
    let Some(court) = court("[\"http\"]", &small, "") else { return };
    let http = Http::new(court.node.addresses().http, "ann", "right");
    let put = |name: &str| {
        let path = format!("/api/exchanges/%2F/{name}");
        http.ask("PUT", &path, "{\"type\": \"direct\"}").status
    };

    assert_eq!(http.value("/api/whoami")["tags"][0], "management");
    assert_eq!(http.value("/api/vhosts")[0]["name"], "/");
    assert_eq!((put("ann-x"), put("bobs-x")), (201, 401));
    assert_eq!(court.guest().ask("GET", "/api/whoami", "").status, 401);
}

#[test]
fn a_dead_service_lets_nobody_in_and_allows_nothing_more() {
    let small = Small::new(decide);
    let Some(court) = court("[\"http\"]", &small, "") else { return };
    let mut wire = ann(&court);
    assert_eq!(told(&mut wire, &declare_queue(1, "ann-queue", Flags::DURABLE, &[])), "ok");

    small.stop();
    await_that("the service is gone", || Wire::open_as(court.amqp(), "ann", "right").is_err());

    let refusal = court.refusal("ann", "right");
    assert!(refusal.contains("ACCESS_REFUSED - Login was refused"), "{refusal}");
    let known = told(&mut wire, &declare_queue(1, "ann-queue", Flags::DURABLE, &[]));
    let unknown = told(&mut wire, &declare_queue(1, "ann-other", Flags::DURABLE, &[]));
    assert_eq!(known, "ok");
    assert!(
        unknown.starts_with("403 ACCESS_REFUSED - configure access to queue 'ann-other'")
            && unknown.contains("the backing HTTP service did not answer"),
        "{unknown}"
    );
}

#[test]
fn one_may_say_who_somebody_is_and_another_what_they_may_do() {
    let small = Small::new(decide);
    let Some(court) = court("[\"http/internal\", \"internal\"]", &small, "") else { return };

    let stranger = court.refusal("ann", "right");
    let body = "{\"password\": \"another\", \"tags\": \"\"}";
    assert_eq!(court.guest().ask("PUT", "/api/users/ann", body).status, 201);
    let grant = "{\"configure\": \"^own\", \"write\": \"\", \"read\": \"\"}";
    assert_eq!(court.guest().ask("PUT", "/api/permissions/%2F/ann", grant).status, 201);
    let mut wire = ann(&court);

    assert!(stranger.contains("ACCESS_REFUSED"), "{stranger}");
    assert_eq!(told(&mut wire, &declare_queue(1, "own-queue", Flags::DURABLE, &[])), "ok");
    let other = told(&mut wire, &declare_queue(1, "ann-queue", Flags::DURABLE, &[]));
    assert!(other.contains("configure access to queue 'ann-queue'"), "{other}");
    assert_eq!(small.count("/auth/resource"), 0);
    Wire::open_as(court.amqp(), "ann", "another").unwrap();
}

#[test]
fn answers_are_remembered_for_a_while_and_no_more_of_them_than_there_may_be() {
    let small = Small::new(decide);
    let bound = "[auth_cache]\ncache_entries = 2\ncache_ttl = 600000\n";
    let Some(court) = court("[\"cache\"]", &small, bound) else { return };

    for _ in 0..3 {
        ann(&court);
    }
    let (logins, vhosts) = (small.count("/auth/user"), small.count("/auth/vhost"));
    let mut wire = ann(&court);
    for queue in ["ann-1", "ann-2", "ann-3"] {
        told(&mut wire, &declare_queue(1, queue, Flags::DURABLE, &[]));
    }
    ann(&court);

    assert_eq!((logins, vhosts), (1, 1));
    assert_eq!(small.count("/auth/user"), 2, "the oldest answer was forgotten");
}
