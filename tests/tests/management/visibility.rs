//! Who may ask, and what they see.

use warren_tests::http::Client;
use warren_tests::node::Node;

use crate::guest;

#[test]
fn nobody_is_asked_for_a_password_and_a_wrong_one_is_refused() {
    let node = Node::start();
    let http = node.addresses().http;

    let nobody = Client::nobody(http).ask("GET", "/api/overview", "");
    let wrong = Client::new(http, "guest", "wrong").ask("GET", "/api/overview", "");

    assert_eq!(nobody.status, 401);
    assert!(nobody.header("www-authenticate").is_some_and(|it| it.starts_with("Basic ")));
    assert_eq!((wrong.status, wrong.header("www-authenticate")), (401, None));
}

#[test]
fn who_can_read_the_nodes_secret_may_do_everything() {
    let node = Node::start();
    let http = node.addresses().http;
    let secret = std::fs::read_to_string(node.data_dir().join("management.secret")).unwrap();
    let addresses = std::fs::read_to_string(node.data_dir().join("management.addresses")).unwrap();

    let tool = Client::bearer(http, &secret);
    assert_eq!(guest(&node).ask("DELETE", "/api/users/guest", "").status, 204);

    assert!(addresses.lines().any(|line| line == format!("http={http}")), "{addresses}");
    assert_eq!(tool.value("/api/whoami")["name"], "warrenctl");
    assert_eq!(tool.ask("PUT", "/api/users/ann", r#"{"password":"p","tags":""}"#).status, 201);
    assert_eq!(tool.ask("PUT", "/api/queues/%2F/q", "{}").status, 201);
    assert_eq!(Client::bearer(http, "guess").ask("GET", "/api/whoami", "").status, 401);
}

#[test]
fn a_user_sees_the_virtual_hosts_that_it_may_open() {
    let node = Node::start();
    let client = guest(&node);
    for (path, body) in [
        ("/api/vhosts/shop", "{}"),
        ("/api/users/ann", r#"{"password":"p","tags":"management"}"#),
        ("/api/permissions/shop/ann", r#"{"configure":"^a","write":"","read":""}"#),
        ("/api/queues/shop/a", r#"{"durable":true}"#),
        ("/api/queues/%2F/hidden", r#"{"durable":true}"#),
    ] {
        assert_eq!(client.ask("PUT", path, body).status, 201, "{path}");
    }

    let ann = Client::new(node.addresses().http, "ann", "p");

    let queues = ann.value("/api/queues?columns=name");
    assert_eq!(queues.to_string(), r#"[{"name":"a"}]"#);
    assert_eq!(ann.ask("GET", "/api/queues/%2F", "").status, 404);
    assert_eq!(ann.ask("GET", "/api/nodes", "").status, 401);
    assert_eq!(ann.ask("PUT", "/api/queues/shop/b", "{}").status, 401);
    assert_eq!(ann.ask("PUT", "/api/queues/shop/another", "{}").status, 201);
}

#[test]
fn metrics_are_served_without_a_password_and_nothing_else_is_where_they_are() {
    let node = Node::start();
    let client = guest(&node);
    assert_eq!(client.ask("PUT", "/api/queues/%2F/q", r#"{"durable":true}"#).status, 201);
    let metrics = Client::nobody(node.addresses().metrics);

    let each = metrics.ask("GET", "/metrics/per-object", "");
    let detailed = metrics.ask("GET", "/metrics/detailed?family=queue_coarse_metrics", "");

    assert!(
        each.body.contains("rabbitmq_queue_consumers{vhost=\"/\",queue=\"q\"} 0"),
        "{}",
        each.body
    );
    let line = "rabbitmq_detailed_queue_messages_ready{vhost=\"/\",queue=\"q\"} 0";
    assert!(detailed.body.contains(line), "{}", detailed.body);
    assert!(!detailed.body.contains("connection_"), "{}", detailed.body);
    assert_eq!(metrics.ask("GET", "/api/overview", "").status, 404);
}
