//! Lists while a node does not answer.

use std::time::{Duration, Instant};

use warren_tests::cluster::Cluster;
use warren_tests::http::Client;

/// How long a list may take.
const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn with_one_node_of_three_frozen_every_list_answers_with_the_rest_and_says_so() {
    let mut cluster = Cluster::start_with(3, &[]);
    cluster.wait_complete();
    let client = Client::new(cluster.http(0), "guest", "guest");
    let declared = client.ask("PUT", "/api/queues/%2F/q", r#"{"durable":true}"#);
    assert_eq!(declared.status, 201, "{}", declared.body);

    cluster.pause(2);

    let lists = [
        "/api/connections",
        "/api/channels",
        "/api/consumers",
        "/api/queues",
        "/api/queues?page=1&page_size=10",
        "/api/nodes",
        "/api/overview",
        "/api/warren/shards",
    ];
    for path in lists {
        let asked = Instant::now();
        let answer = client.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(asked.elapsed() < LIMIT, "{path} took {:?}", asked.elapsed());
        assert!(answer.header("x-warren-stale").is_some(), "{path}: {:?}", answer.headers);
    }
}
