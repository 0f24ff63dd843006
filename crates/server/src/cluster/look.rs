//! Asks a node over HTTP how it is.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// The most of an answer that is read, bytes.
const ANSWER_BYTES: u64 = 4 << 20;

/// The gauge that says how many nodes the catalog believes to run.
const NODES_RUNNING: &str = "warren_cluster_nodes_running";

/// The gauge that says how many replicas should be there and are not.
const REPLICAS_MISSING: &str = "warren_cluster_replicas_missing";

/// What keeps the node from being ready, if something does.
pub(super) async fn not_ready(http: SocketAddr) -> Option<String> {
    match fetch(http, "/health/ready").await {
        None => Some("no answer yet".to_owned()),
        Some((200, _)) => None,
        Some((_, body)) => Some(reason(&body).to_owned()),
    }
}

/// What the node finds missing in a cluster of `nodes`, if something is.
pub(super) async fn incomplete(metrics: SocketAddr, nodes: usize) -> Option<String> {
    let (_, page) = fetch(metrics, "/metrics").await.unwrap_or_default();
    let running = gauge(&page, NODES_RUNNING).unwrap_or_default();
    match gauge(&page, REPLICAS_MISSING) {
        _ if running < nodes => Some(format!("{running} of {nodes} nodes are known to run")),
        Some(missing) if missing > 0 => Some(format!("{missing} replicas are missing")),
        Some(_) => None,
        None => Some("it does not know yet which replicas there are".to_owned()),
    }
}

/// The text of a health check's `"reason"`, or all that there is.
fn reason(body: &str) -> &str {
    let text = body.split_once(r#""reason":""#).and_then(|(_, rest)| rest.rsplit_once('"'));
    text.map_or(body, |(reason, _)| reason)
}

/// The value of a gauge on a page of metrics, whatever its labels.
fn gauge(page: &str, name: &str) -> Option<usize> {
    let mut values = page.lines().rev().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit_once(' ')?.1.parse().ok()
    });
    values.next()
}

async fn fetch(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES).read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    };
    tokio::time::timeout(LIMIT, asking).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_health_check_is_found() {
        let body = r#"{"status":"failed","reason":"the node is starting: waiting"}"#;

        assert_eq!(reason(body), "the node is starting: waiting");
        assert_eq!(reason("nonsense"), "nonsense");
    }

    #[test]
    fn a_gauge_is_read_with_labels_and_without() {
        let page = "# HELP a A.\na_total 7\na{b=\"c d\"} 3\nb 4\n";

        assert_eq!(gauge(page, "a"), Some(3));
        assert_eq!(gauge(page, "b"), Some(4));
        assert_eq!(gauge(page, "c"), None);
    }
}
