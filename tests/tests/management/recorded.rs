//! Requests as they were recorded against RabbitMQ 4.3, one after the other, and its answers.

use serde::Deserialize;
use serde_json::Value;
use warren_tests::http::Client;
use warren_tests::node::Node;

const RECORDED: &str = include_str!("recorded.json");

/// A request and what was answered.
#[derive(Deserialize)]
struct Exchange {
    method: String,
    path: String,
    #[serde(default)]
    body: String,
    /// `name:password`; nobody if it is empty.
    #[serde(default = "guest")]
    user: String,
    status: u16,
    /// What was answered, where it is always the same.
    answer: Option<Value>,
    location: Option<String>,
}

fn guest() -> String {
    "guest:guest".to_owned()
}

#[test]
fn requests_are_answered_as_rabbitmq_answers_them() {
    let node = Node::start();
    let exchanges: Vec<Exchange> = serde_json::from_str(RECORDED).unwrap();

    let mut different = Vec::new();
    for exchange in &exchanges {
        let client = match exchange.user.split_once(':') {
            Some((user, password)) => Client::new(node.addresses().http, user, password),
            None => Client::nobody(node.addresses().http),
        };
        let Exchange { method, path, body, .. } = exchange;
        let answer = client.ask(method, path, body);
        let same = answer.status == exchange.status
            && exchange.answer.as_ref().is_none_or(|expected| answer.json() == *expected)
            && exchange.location.as_deref() == answer.header("location");
        if !same {
            let expected = (&exchange.status, &exchange.answer, &exchange.location);
            different.push(format!("{method} {path} {body}\n  {expected:?}\n  {answer:?}"));
        }
    }

    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(exchanges.len() > 200, "only {} were recorded", exchanges.len());
}
