//! What a token lets its bearer do, and which tokens let nobody in.

use serde_json::{Value, json};
use warren_auth::kit::{Issuer, unsigned};
use warren_tests::http::Client as Http;
use warren_tests::wire::{
    Flags, Guest, PATIENCE, Wire, bind_queue, declare_exchange, declare_queue, get, publish,
};

use crate::support::{Court, claims, now_s, told};

/// Something that a client does on channel 1.
type Act = fn() -> Vec<u8>;

/// What is there before: queues `q` and `other`, the topic exchange `t`.
const ACTS: [(&str, Act); 7] = [
    ("declare q", || declare_queue(1, "q", Flags::DURABLE, &[])),
    ("declare other", || declare_queue(1, "other", Flags::DURABLE, &[])),
    ("get q", || get(1, "q", true)),
    ("bind q a.b", || bind_queue(1, "q", "t", "a.b")),
    ("publish q", || with_barrier(publish(1, "", "q", 0, &[0, 0], b"x"))),
    ("publish t a.b", || with_barrier(publish(1, "t", "a.b", 0, &[0, 0], b"x"))),
    ("publish t c.d", || with_barrier(publish(1, "t", "c.d", 0, &[0, 0], b"x"))),
];

/// Something behind it that is answered whoever asks: publishing is not.
fn with_barrier(mut sent: Vec<u8>) -> Vec<u8> {
    use warren_tests::wire::{Pack, id};
    sent.extend(Pack::method(id::QOS).u32(0).u16(1).u8(0).frame(1));
    sent
}

/// Scopes, and which of the acts they allow.
const TABLE: &[(&str, &[&str])] = &[
    (
        "rabbit.configure:*/* rabbit.read:*/*/* rabbit.write:*/*/*",
        &[
            "declare q",
            "declare other",
            "get q",
            "bind q a.b",
            "publish q",
            "publish t a.b",
            "publish t c.d",
        ],
    ),
    ("rabbit.configure:%2F/q", &["declare q"]),
    ("rabbit.configure:*/o*", &["declare other"]),
    ("rabbit.read:%2F/q", &["get q"]),
    ("rabbit.write:%2F/amq.default", &["publish q"]),
    ("rabbit.write:%2F/t", &[]),
    ("rabbit.write:%2F/t/a.*", &["publish t a.b"]),
    ("rabbit.write:%2F/q rabbit.read:%2F/t", &[]),
    ("rabbit.write:%2F/q rabbit.read:%2F/t/*.b", &["bind q a.b"]),
    ("rabbit.write:%2F/* rabbit.read:*/t/{sub}.*", &["publish q"]),
];

#[test]
fn a_token_allows_what_its_scopes_say_and_nothing_else() {
    let Some(court) = Court::open("[\"oauth2\", \"internal\"]", "") else { return };
    let mut guest = Wire::open_channel(court.amqp()).unwrap();
    for sent in [
        declare_queue(1, "q", Flags::DURABLE, &[]),
        declare_queue(1, "other", Flags::DURABLE, &[]),
        declare_exchange(1, "t", "topic", Flags::DURABLE, &[]),
    ] {
        assert_eq!(told(&mut guest, &sent), "ok");
    }

    for (scopes, allowed) in TABLE {
        let token = court.token("ann", scopes, 3600);
        for (name, act) in ACTS {
            let answer = told(&mut court.wire(&token), &act());
            if allowed.contains(&name) {
                assert_eq!(answer, "ok", "{scopes}: {name}");
            } else {
                let refused = answer.starts_with("403 ACCESS_REFUSED - ");
                assert!(
                    refused && answer.ends_with("refused for user 'ann'"),
                    "{scopes}: {name}: {answer}"
                );
            }
        }
    }
}

#[test]
fn a_token_opens_the_virtual_hosts_that_its_scopes_name() {
    let Some(court) = Court::open("[\"oauth2\", \"internal\"]", "") else { return };
    assert_eq!(court.guest().ask("PUT", "/api/vhosts/orders", "").status, 201);
    let token = court.token("ann", "rabbit.read:ord*/*", 3600);
    let open = |vhost| {
        let guest = Guest { user: "", password: &token, vhost, ..Guest::default() };
        Wire::open_channel_for(court.amqp(), PATIENCE, &guest)
            .map(drop)
            .map_err(|error| format!("{error:#}"))
    };

    let (named, other, missing) = (open("orders"), open("/"), open("orders2"));

    named.unwrap();
    let text = "access to vhost '/' refused for user 'ann'";
    assert!(other.as_ref().is_err_and(|error| error.contains(text)), "{other:?}");
    assert!(missing.is_err_and(|error| error.contains("vhost orders2 not found")));
}

#[test]
fn tokens_that_are_not_good_let_nobody_in_and_are_never_told() {
    let Some(court) = Court::open("[\"oauth2\", \"internal\"]", "") else { return };
    let all = "rabbit.read:*/* rabbit.tag:administrator";
    let changed = |name: &str, value: Value| {
        let mut claims = claims("ann", all, now_s() + 3600);
        claims[name] = value;
        court.issuer.token(&claims)
    };
    let none = unsigned(&json!({"alg": "none", "kid": "k"}), &claims("ann", all, now_s() + 3600));
    let bad = [
        changed("exp", json!(now_s() - 5)),
        changed("exp", json!(null)),
        changed("nbf", json!(now_s() + 3600)),
        changed("aud", json!("others")),
        Issuer::new("k").token(&claims("ann", all, now_s() + 3600)),
        Issuer::new("x").token(&claims("ann", all, now_s() + 3600)),
        format!("{none}."),
        "nonsense".to_owned(),
    ];

    for token in &bad {
        let refusal = court.refusal("ann", token);
        assert!(refusal.contains("ACCESS_REFUSED - Login was refused"), "{refusal}");
        assert_eq!(court.http(token).ask("GET", "/api/whoami", "").status, 401);
    }

    let good = court.token("ann", all, 3600);
    court.wire(&good);
    let log = court.node.log();
    for token in bad.iter().chain([&good]) {
        let signature = token.rsplit('.').next().unwrap_or_default();
        let is_told = signature.len() > 20 && log.contains(signature);
        assert!(
            !is_told && !log.contains(&**token) || token == "nonsense",
            "{token} is in the log"
        );
    }
}

#[test]
fn the_management_api_believes_tokens_too() {
    let Some(court) = Court::open("[\"internal\", \"oauth2\"]", "") else { return };
    court.guest().ask("PUT", "/api/vhosts/orders", "");
    let vhosts = |http: &Http| {
        let rows = http.value("/api/vhosts");
        let names = rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap());
        names.map(str::to_owned).collect::<Vec<String>>()
    };
    let administrator = court.token("ann", "rabbit.tag:administrator", 3600);
    let manager = court.token("bob", "rabbit.tag:management rabbit.configure:orders/a*", 3600);
    let plain = court.token("carl", "rabbit.read:*/*", 3600);

    let whoami = court.http(&administrator).value("/api/whoami");
    let as_password = Http::new(court.node.addresses().http, "any", &administrator);
    let put = |name: &str| {
        let path = format!("/api/exchanges/orders/{name}");
        court.http(&manager).ask("PUT", &path, "{\"type\": \"direct\"}").status
    };

    let expected = json!({"name": "ann", "tags": ["administrator"], "is_internal_user": false});
    assert_eq!(whoami, expected);
    assert_eq!(as_password.value("/api/whoami")["name"], "ann");
    assert_eq!(vhosts(&court.http(&administrator)), ["/", "orders"]);
    assert_eq!(vhosts(&court.http(&manager)), ["orders"]);
    assert_eq!((put("abc"), put("xyz")), (201, 401));
    assert_eq!(court.http(&plain).ask("GET", "/api/whoami", "").status, 401);
    assert_eq!(court.http(&manager).ask("GET", "/api/users", "").status, 401);
    assert_eq!(court.guest().value("/api/whoami")["is_internal_user"], true);
}

#[test]
fn who_makes_a_virtual_host_with_a_token_gives_nothing_to_a_user_of_that_name() {
    let Some(court) = Court::open("[\"internal\", \"oauth2\"]", "") else { return };
    let (guest, body) = (court.guest(), "{\"password\": \"p\", \"tags\": \"\"}");
    assert_eq!(guest.ask("PUT", "/api/users/ann", body).status, 201);
    let token = court.token("ann", "rabbit.tag:administrator", 3600);

    let made = court.http(&token).ask("PUT", "/api/vhosts/hers", "");

    assert_eq!(made.status, 201);
    assert_eq!(guest.value("/api/users/ann/permissions"), json!([]));
}
