//! Who may do what: operation, permission and answer, over AMQP and HTTP, on every node.
//!
//! Each operation is tried once by a user who has exactly what it needs, and once by each user who
//! lacks one thing of that. A queue's messages are led by one of the nodes and the catalog by one,
//! so every operation is refused by nodes that lead and by nodes that do not.

mod amqp;
mod http;
mod logins;
mod routes;
mod topics;

use std::net::SocketAddr;

use serde_json::{Value, json};
use warren_tests::cluster::Cluster;
use warren_tests::http::Client as Http;
use warren_tests::node::unique;
use warren_tests::wire::{
    Close, Field, Flags, Guest, Pack, Wire, declare_exchange, delete_queue, id, pairs,
};

use crate::support::PATIENCE;

/// The password of every user here.
const PASSWORD: &str = "Wuerfelhusten";

/// What a permission is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Configure,
    Write,
    Read,
}

use Access::{Configure, Read, Write};

impl Access {
    fn word(self) -> &'static str {
        match self {
            Configure => "configure",
            Write => "write",
            Read => "read",
        }
    }
}

/// What an operation needs: access to a kind of thing, by the word that stands for its name.
type Need = (Access, &'static str, &'static str);

/// The names that the operations are about.
#[derive(Clone, Debug)]
pub struct Names {
    /// A durable queue.
    queue: String,
    /// A topic exchange.
    source: String,
    /// A fanout exchange.
    target: String,
    /// Nothing has that name yet.
    fresh: String,
}

impl Names {
    fn new() -> Self {
        Self {
            queue: unique("queue"),
            source: unique("source"),
            target: unique("target"),
            fresh: unique("fresh"),
        }
    }

    fn of(&self, word: &str) -> &str {
        match word {
            "queue" => &self.queue,
            "source" => &self.source,
            "target" => &self.target,
            "fresh" => &self.fresh,
            "default" => "amq.default",
            other => panic!("nothing is called {other}"),
        }
    }

    /// Has the things be there, and nothing else.
    fn prepare(&self, wire: &mut Wire) {
        for name in [&self.fresh, &self.queue] {
            wire.call(1, delete_queue(1, name), id::QUEUE_DELETE_OK).unwrap();
        }
        wire.call(1, delete_exchange(&self.fresh), id::EXCHANGE_DELETE_OK).unwrap();
        wire.declare(1, &self.queue, Flags::DURABLE, &[]).unwrap();
        for (name, kind) in [(&self.source, "topic"), (&self.target, "fanout")] {
            let declare = declare_exchange(1, name, kind, Flags::DURABLE, &[]);
            wire.call(1, declare, id::EXCHANGE_DECLARE_OK).unwrap();
        }
    }
}

/// Somebody who has exactly these permissions.
#[derive(Clone, Debug)]
struct User {
    name: String,
    tags: &'static str,
    has: Vec<Need>,
}

impl User {
    fn new(tags: &'static str, has: &[Need]) -> Self {
        Self { name: unique("user"), tags, has: has.to_vec() }
    }

    fn permission(&self, names: &Names) -> Value {
        let pattern = |access: Access| {
            let has = self.has.iter().filter(|need| need.0 == access);
            let known: Vec<String> = has.map(|need| names.of(need.2).replace('.', "\\.")).collect();
            if known.is_empty() { String::new() } else { format!("^({})$", known.join("|")) }
        };
        json!({
            "user": self.name, "vhost": "/",
            "configure": pattern(Configure), "write": pattern(Write), "read": pattern(Read),
        })
    }

    fn guest(&self) -> Guest<'_> {
        Guest { user: &self.name, password: PASSWORD, ..Guest::default() }
    }

    /// A connection with channel 1 open.
    fn wire(&self, address: SocketAddr) -> Wire {
        Wire::open_channel_for(address, PATIENCE, &self.guest()).unwrap()
    }

    fn http(&self, address: SocketAddr) -> Http {
        Http::new(address, &self.name, PASSWORD)
    }
}

/// Makes users, and what else a document says, through one node.
fn bring_in(http: &Http, names: &Names, users: &[User], more: &[(&str, Value)]) {
    let hash = http.value(&format!("/api/auth/hash_password/{PASSWORD}"));
    let of_user = |user: &User| {
        json!({
            "name": user.name, "password_hash": hash["ok"], "tags": user.tags,
            "hashing_algorithm": "rabbit_password_hashing_sha256",
        })
    };
    let mut document = json!({
        "users": users.iter().map(of_user).collect::<Vec<_>>(),
        "permissions": users.iter().map(|user| user.permission(names)).collect::<Vec<_>>(),
    });
    for (key, value) in more {
        document[*key] = value.clone();
    }
    let answer = http.ask("POST", "/api/definitions", &document.to_string());
    assert!((200..300).contains(&answer.status), "{answer:?}");
}

fn guest(cluster: &Cluster, node: usize) -> Http {
    Http::new(cluster.http(node), "guest", "guest")
}

/// Each row with somebody who has all that it `needs`, and with others who each lack one thing of that.
fn tries<Row>(
    rows: &'static [Row],
    tags: &'static str,
    needs: impl Fn(&Row) -> &[Need],
) -> Vec<(&'static Row, User, Option<Need>)> {
    let mut tried = Vec::new();
    for row in rows {
        for lacking in needs(row) {
            let has = needs(row).iter().filter(|need| *need != lacking);
            let has: Vec<Need> = has.copied().collect();
            tried.push((row, User::new(tags, &has), Some(*lacking)));
        }
        tried.push((row, User::new(tags, needs(row)), None));
    }
    tried
}

/// What a client reads who lacks something.
fn refusal((access, kind, word): Need, names: &Names, user: &str) -> String {
    let (access, name) = (access.word(), names.of(word));
    format!(
        "ACCESS_REFUSED - {access} access to {kind} '{name}' in vhost '/' refused for user '{user}'"
    )
}

/// The end of channel 1 with 403.
fn assert_refused(close: &Close, text: &str, what: &str) {
    assert_eq!((close.channel, close.code, close.text.as_str()), (1, 403, text), "{what}");
}

fn delete_exchange(name: &str) -> Vec<u8> {
    Pack::method(id::EXCHANGE_DELETE).u16(0).short(name).u8(0).frame(1)
}

/// queue.bind or exchange.bind
fn bind(method: (u16, u16), destination: &str, source: &str, key: &str) -> Vec<u8> {
    let bind = Pack::method(method).u16(0).short(destination).short(source).short(key);
    bind.u8(0).table(&pairs(&[])).frame(1)
}

/// queue.unbind, which has no octet for nowait
fn unbind_queue(queue: &str, source: &str, key: &str) -> Vec<u8> {
    let unbind = Pack::method(id::QUEUE_UNBIND).u16(0).short(queue).short(source).short(key);
    unbind.table(&pairs(&[])).frame(1)
}

fn text(word: &str, value: &str) -> Vec<(String, Field)> {
    pairs(&[(word, Field::text(value))])
}
