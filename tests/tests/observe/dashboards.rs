//! Dashboards and alerts refer only to what nodes say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use warren_tests::http::Client;
use warren_tests::node::Node;
use warren_tests::wire::{Flags, Wire, id, settle};

use crate::traces;

/// Labels that Prometheus gives to whatever it collects.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "namespace"];

/// What the queues' dashboard says must be collected as well.
const DETAILED: &str = "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count\
                        &family=queue_metrics&family=queue_delivery_metrics";

/// The labels of each metric that a node shows.
type Shown = BTreeMap<String, BTreeSet<String>>;

/// What a node shows that has done a little of everything.
fn shown() -> Shown {
    let config = traces::config("http://127.0.0.1:9", "");
    let node = traces::node(&config);
    let mut wire = traces::channel(node.amqp());
    wire.declare(1, "q", Flags::DURABLE, &[]).unwrap();
    traces::send(&mut wire, "", "q", &traces::traced("01"));
    let delivered = traces::receive(&mut wire, "q");
    wire.send(&settle(1, id::ACK, delivered.tag, 0)).unwrap();
    assert!(Wire::open_channel(node.amqp()).unwrap().get(1, "q", true).unwrap().is_none());
    let mut shown = Shown::new();
    for path in ["/metrics", DETAILED] {
        let answer = Client::nobody(node.addresses().metrics).ask("GET", path, "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
            let sample = line.rsplit_once(' ').unwrap().0;
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let labels = labels.split("\",").filter_map(|label| label.split_once("=\""));
            let labels = labels.map(|(label, _)| label.to_owned());
            shown.entry(name.to_owned()).or_default().extend(labels);
        }
    }
    shown
}

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/grafana")
}

/// Every expression in our dashboards and rules, with the name of its file.
fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(deploy().join("dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let before = found.len();
        collect(&dashboard, &mut |expression| found.push((file.clone(), expression.to_owned())));
        assert!(found.len() > before + 10, "{file} shows next to nothing");
    }
    let rules = fs::read_to_string(deploy().join("rules.yaml")).unwrap();
    for line in rules.lines() {
        if let Some(quoted) = line.trim().strip_prefix("expr: '") {
            let text = quoted.strip_suffix('\'').expect("a rule is one line");
            found.push(("rules.yaml".to_owned(), text.replace("''", "'")));
        }
    }
    found
}

fn collect(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "expr" => found(text),
                    Value::String(text) if name == "query" && text.contains('(') => found(text),
                    other => collect(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What an expression refers to: metrics with the labels asked of them, and other labels.
fn references(expression: &str) -> (Vec<(String, Vec<String>)>, Vec<String>) {
    let mut rest = expression;
    let (mut metrics, mut labels) = (Vec::<(String, Vec<String>)>::new(), Vec::new());
    let mut word = String::new();
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        if letter.is_ascii_alphanumeric() || letter == '_' || letter == ':' {
            word.push(letter);
            rest = after;
            continue;
        }
        let is_list = matches!(
            word.as_str(),
            "by" | "on" | "without" | "ignoring" | "group_left" | "group_right"
        );
        if word.starts_with("rabbitmq_") || word.starts_with("warren_") {
            metrics.push((word.clone(), Vec::new()));
        }
        if !letter.is_whitespace() || !is_list {
            word.clear();
        }
        rest = after;
        match letter {
            '(' if is_list => {
                let (list, behind) = after.split_once(')').unwrap();
                labels.extend(list.split(',').map(|label| label.trim().to_owned()));
                rest = behind;
            }
            '{' => {
                let (matchers, behind) = after.split_once('}').unwrap();
                let asked = matchers.split(',').filter_map(|matcher| matcher.split_once('='));
                let asked = asked.map(|(label, _)| label.trim().trim_end_matches('!').to_owned());
                metrics.last_mut().expect("labels belong to a metric").1.extend(asked);
                rest = behind;
            }
            '[' => rest = after.split_once(']').unwrap().1,
            _ => {}
        }
    }
    if word.starts_with("rabbitmq_") || word.starts_with("warren_") {
        metrics.push((word, Vec::new()));
    }
    labels.retain(|label| !label.is_empty());
    (metrics, labels)
}

#[test]
fn dashboards_and_alerts_refer_to_metrics_and_labels_that_there_are() {
    let shown = shown();
    let every: BTreeSet<&str> =
        shown.values().flatten().map(String::as_str).chain(OF_PROMETHEUS).collect();
    let mut wrong = Vec::new();

    for (file, expression) in expressions() {
        // The names of labels as Grafana asks for them.
        let expression = match expression.strip_prefix("label_values(") {
            Some(rest) => format!(
                "sum by ({} {}",
                rest.split_once(", ").unwrap().1,
                rest.split_once(',').unwrap().0
            ),
            None => expression,
        };
        let (metrics, labels) = references(&expression);
        for (metric, asked) in metrics {
            match shown.get(&metric) {
                None => wrong.push(format!("{file}: there is no metric {metric}")),
                Some(known) => wrong.extend(
                    asked
                        .iter()
                        .filter(|label| {
                            !known.contains(*label) && !OF_PROMETHEUS.contains(&label.as_str())
                        })
                        .map(|label| format!("{file}: {metric} has no label {label}")),
                ),
            }
        }
        let unknown = labels.iter().filter(|label| !every.contains(label.as_str()));
        wrong.extend(unknown.map(|label| format!("{file}: nothing has a label {label}")));
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_rabbitmqs_own_dashboards_show_is_there() {
    let shown = shown();

    let missing: Vec<&str> = include_str!("rabbitmq_metrics.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !shown.contains_key(*line))
        .collect();

    assert!(missing.is_empty(), "{missing:#?}");
    for (metric, labels) in [
        ("rabbitmq_identity_info", &["rabbitmq_node", "rabbitmq_cluster", "rabbitmq_endpoint"][..]),
        ("rabbitmq_build_info", &["rabbitmq_version", "erlang_version", "product_version"]),
        ("rabbitmq_global_messages_received_total", &["protocol"]),
    ] {
        assert!(labels.iter().all(|label| shown[metric].contains(*label)), "{metric}: {shown:?}");
    }
    // The panels with sizes ask for these bounds by their texts.
    let node = Node::start();
    let page = Client::nobody(node.addresses().metrics).ask("GET", "/metrics", "").body;
    for bound in
        ["100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf"]
    {
        let bucket = format!("rabbitmq_message_size_bytes_bucket{{le=\"{bound}\"}} ");
        assert!(page.contains(&bucket), "{bucket}");
    }
}

#[test]
fn an_expression_is_taken_apart() {
    let (metrics, labels) = references(
        "sum by (le, queue) (rate(warren_a_bucket{le=\"1\", x!=\"y\"}[5m]) * on(job) \
         group_left(rabbitmq_node) rabbitmq_b) > 3",
    );

    let named = |name: &str, labels: &[&str]| {
        (name.to_owned(), labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(metrics, [named("warren_a_bucket", &["le", "x"]), named("rabbitmq_b", &[])]);
    assert_eq!(labels, ["le", "queue", "job", "rabbitmq_node"]);
}
