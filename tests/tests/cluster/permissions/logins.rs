//! Passwords, and who comes in with them.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use warren_tests::cluster::Cluster;
use warren_tests::http::Client as Http;
use warren_tests::node::{binary, unique};
use warren_tests::wire::{Flags, Guest, Pack, Wire, capabilities, get, id, plain_start_ok};

use super::{Configure, Names, PASSWORD, Read, User, Write, bring_in, guest};
use crate::support::{PATIENCE, await_that};

/// Failed logins of one address that the nodes bear.
const FAILURES: usize = 5;

#[test]
fn a_user_made_on_one_node_comes_in_by_the_next_whatever_the_password_is_hashed_with() {
    let cluster = Cluster::start();
    let all = ["rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512", ""];
    for (at, algorithm) in all.into_iter().enumerate() {
        let (user, node) = (unique("user"), at % cluster.len());
        let next = (node + 1) % cluster.len();
        let mut body = json!({ "password": PASSWORD, "tags": "management" });
        if !algorithm.is_empty() {
            body["hashing_algorithm"] = algorithm.into();
        }
        let permission = json!({ "configure": ".*", "write": ".*", "read": ".*" });

        let made =
            guest(&cluster, node).ask("PUT", &format!("/api/users/{user}"), &body.to_string());
        let path = format!("/api/permissions/%2F/{user}");
        let granted = guest(&cluster, node).ask("PUT", &path, &permission.to_string());
        let comes_in = Guest { user: &user, password: PASSWORD, ..Guest::default() };
        let mut wire = Wire::open_channel_for(cluster.amqp(next), PATIENCE, &comes_in).unwrap();
        let wrong = Guest { password: "another", ..comes_in };
        let refused = Wire::open_channel_for(cluster.amqp(next), PATIENCE, &wrong);

        assert_eq!((made.status, granted.status), (201, 201), "{algorithm}");
        wire.publish_to(1, "nothing", b"x").unwrap();
        wire.close().unwrap();
        let refused = format!("{:#}", refused.expect_err("that is not the password"));
        assert!(refused.contains("ACCESS_REFUSED - Login was refused"), "{refused}");
    }
}

#[test]
fn a_new_secret_is_checked_like_a_password() {
    let cluster = Cluster::start();
    let names = Names::new();
    let user = User::new(
        "",
        &[(Configure, "queue", "queue"), (Write, "queue", "queue"), (Read, "queue", "queue")],
    );
    bring_in(&guest(&cluster, 0), &names, std::slice::from_ref(&user), &[]);
    let update = |secret: &str| {
        Pack::method(id::UPDATE_SECRET).long(secret.as_bytes()).short("because").frame(0)
    };
    let mut wire = user.wire(cluster.amqp(1 % cluster.len()));

    wire.call(0, update(PASSWORD), id::UPDATE_SECRET_OK).unwrap();
    wire.send(&update("another")).unwrap();

    let close = wire.expect_close().unwrap();
    let text = format!(
        "NOT_ALLOWED - New secret was refused by one of the backends for user '{}'",
        user.name
    );
    assert_eq!((close.channel, close.code, close.text), (0, 530, text));
}

#[test]
fn an_address_that_fails_too_often_is_turned_away_but_for_who_has_come_in_before() {
    if Cluster::is_elsewhere() {
        return;
    }
    let mut config = tempfile::NamedTempFile::new().unwrap();
    write!(config, "[limits]\nlogin_failures_per_minute = {FAILURES}\n").unwrap();
    let cluster = Cluster::start_with(1, &["--config", config.path().to_str().unwrap()]);
    let names = Names::new();
    let known = User::new("", &[]);
    let unknown = User::new("", &[]);
    let users = [known.clone(), unknown.clone()];
    bring_in(&guest(&cluster, 0), &names, &users, &[]);
    drop(known.wire(cluster.amqp(0)));

    for _ in 0..FAILURES {
        let mut wire = Wire::begin(cluster.amqp(0)).unwrap();
        wire.send(&plain_start_ok(&unknown.name, "another", &capabilities())).unwrap();
        assert_eq!(wire.expect_close().unwrap().code, 403);
    }
    let shut_out = Wire::open_channel_for(cluster.amqp(0), PATIENCE, &unknown.guest());
    let comes_back = Wire::open_channel_for(cluster.amqp(0), PATIENCE, &known.guest());

    let shut_out = format!("{:#}", shut_out.expect_err("the password is right and comes too late"));
    assert!(shut_out.contains("ACCESS_REFUSED - Login was refused"), "{shut_out}");
    comes_back.expect("it has come in before").close().unwrap();
    let admin = guest(&cluster, 0);
    let name = admin.value("/api/overview")["node"].as_str().expect("a name").to_owned();
    let attempts = admin.value(&format!("/api/auth/attempts/{name}"));
    assert_eq!(attempts[1]["protocol"], "amqp091", "{attempts}");
    assert_eq!(attempts[1]["auth_attempts_failed"], FAILURES + 1, "{attempts}");
}

#[test]
fn who_did_what_from_where_is_written_down_and_so_is_what_was_refused() {
    if Cluster::is_elsewhere() {
        return;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let record = dir.path().join("record");
    let config = dir.path().join("warren.toml");
    std::fs::write(&config, format!("[audit]\ndir = {record:?}\n")).unwrap();
    let cluster = Cluster::start_with(1, &["--config", config.to_str().unwrap()]);
    let names = Names::new();
    let user = User::new("management", &[(Configure, "queue", "queue")]);

    bring_in(&guest(&cluster, 0), &names, std::slice::from_ref(&user), &[]);
    let mut wire = user.wire(cluster.amqp(0));
    wire.declare(1, &names.queue, Flags::DURABLE, &[]).unwrap();
    wire.send(&get(1, &names.queue, true)).unwrap();
    assert_eq!(wire.expect_close().unwrap().code, 403);
    let refused = user.http(cluster.http(0)).ask("GET", "/api/users", "");
    let wrong = Http::new(cluster.http(0), &user.name, "another").ask("GET", "/api/whoami", "");

    assert_eq!((refused.status, wrong.status), (401, 401));
    let (by, queue) = (user.name.as_str(), names.queue.as_str());
    let expected = [
        ("user.created", "guest", by),
        ("permission.created", "guest", by),
        ("queue.created", by, queue),
        ("operation.refused", by, queue),
        ("operation.refused", by, "GET /api/users"),
        ("user.authentication.failure", by, "invalid credentials"),
    ];
    for (event, by, said) in expected {
        // Refusals are written down a moment later.
        await_that(&format!("{event} by {by} about {said}"), || {
            let lines = read_all(&record);
            lines.iter().any(|line| {
                line["event"] == event
                    && line["user"] == by
                    && line["from"] == "127.0.0.1"
                    && line["said"].to_string().contains(said)
            })
        });
    }
    let verified = Command::new(binary().unwrap()).arg("verify-audit").arg(&record).output();
    let verified = String::from_utf8(verified.unwrap().stdout).unwrap();
    assert!(verified.starts_with("unbroken: "), "{verified}");
}

/// All lines of a record.
fn read_all(record: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(record).unwrap().map(|entry| entry.unwrap().path());
    let text: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    // The last line may be half written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
