//! Tests of `server`.

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::node::{
    Answering, ClientTotals, Facts, Health, Identity, Observation, Phase, Setting, Wish,
};

#[tokio::test]
async fn a_starting_node_is_alive_and_neither_started_nor_ready() {
    let node = Fake::at(Phase::Starting, Some("group 3 has no leader"));
    let http = Http::serve(&node).await;

    let failed = r#"{"status":"failed","reason":"the node is starting: group 3 has no leader"}"#;
    assert_eq!(http.get("/health/live").await, (200, r#"{"status":"ok"}"#.to_owned()));
    assert_eq!(http.get("/health/startup").await, (503, failed.to_owned()));
    assert_eq!(http.get("/health/ready").await, (503, failed.to_owned()));
}

#[tokio::test]
async fn a_serving_node_is_alive_started_and_ready() {
    let http = Http::serve(&Fake::at(Phase::Serving, None)).await;

    for path in ["/health/live", "/health/startup", "/health/ready"] {
        assert_eq!(http.get(path).await, (200, r#"{"status":"ok"}"#.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_node_that_cannot_do_its_work_says_why_it_is_not_ready() {
    let http = Http::serve(&Fake::at(Phase::Serving, Some("group 3 has no leader"))).await;

    let failed = r#"{"status":"failed","reason":"group 3 has no leader"}"#;
    assert_eq!(http.get("/health/live").await.0, 200);
    assert_eq!(http.get("/health/startup").await.0, 200);
    assert_eq!(http.get("/health/ready").await, (503, failed.to_owned()));
}

#[tokio::test]
async fn a_draining_node_is_alive_and_not_ready() {
    let http = Http::serve(&Fake::at(Phase::Draining, None)).await;

    let failed = r#"{"status":"failed","reason":"the node is draining"}"#;
    assert_eq!(http.get("/health/live").await.0, 200);
    assert_eq!(http.get("/health/startup").await.0, 200);
    assert_eq!(http.get("/health/ready").await, (503, failed.to_owned()));
}

#[tokio::test]
async fn an_answer_follows_the_node_and_not_an_earlier_answer() {
    let node = Fake::at(Phase::Starting, None);
    let http = Http::serve(&node).await;
    let before = http.get("/health/ready").await.0;

    node.become_(Phase::Serving);

    assert_eq!((before, http.get("/health/ready").await.0), (503, 200));
}

#[tokio::test]
async fn metrics_are_in_prometheus_text_and_name_the_address_they_were_asked_at() {
    let http = Http::serve(&Fake::at(Phase::Serving, None)).await;

    let answer = http.raw("GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert!(answer.contains("rabbitmq_endpoint=\"aggregated\""), "{answer}");
    assert!(answer.contains("\nrabbitmq_queue_messages_ready 7\n"), "{answer}");
}

#[tokio::test]
async fn a_node_that_starts_says_so_instead_of_asking_for_a_password() {
    let http = Http::serve(&Fake::at(Phase::Starting, None)).await;

    let expected = r#"{"error":"service_unavailable","reason":"the node is starting"}"#;
    assert_eq!(http.get("/api/overview").await, (503, expected.to_owned()));
}

#[tokio::test]
async fn a_stopped_node_says_so_and_does_what_a_tool_on_its_machine_asks() {
    let node = Fake::at(Phase::Stopped, None);
    let http = Http::serve(&node).await;
    let wanted = "this command requires the 'rabbit' app to be running on the target node. \
                  Start it with 'rabbitmqctl start_app'.";

    let others = [http.get("/api/overview").await, http.ask("PUT", "n1/app", "guess").await];
    let state = http.ask("GET", "n1/app", "secret").await;
    let elsewhere = http.ask("PUT", "n2/app", "secret").await.0;
    let started = http.ask("PUT", "n1/app", "secret").await.0;
    let ended = http.ask("POST", "n1/stop", "secret").await.0;

    assert_eq!(
        others[0],
        (503, format!(r#"{{"error":"service_unavailable","reason":"{wanted}"}}"#))
    );
    assert_eq!(others[1].0, 401);
    assert_eq!(state, (200, r#"{"node":"n1","state":"stopped"}"#.to_owned()));
    assert_eq!((elsewhere, started, ended), (404, 204, 204));
    assert_eq!(*node.wishes.lock().expect("no holder panics"), [Wish::Start, Wish::End]);
    assert_eq!(http.get("/health/ready").await.0, 503);
}

#[tokio::test]
async fn what_a_node_was_told_is_shown_as_json() {
    let http = Http::serve(&Fake::at(Phase::Stopped, None)).await;

    let told = http.asked("GET /api/config/effective", "secret").await;

    assert_eq!(told.1, r#"{"limits.channels":2047,"name":"n","odd":"'\\'"}"#);
}

#[tokio::test]
async fn the_user_interface_is_at_the_root() {
    let http = Http::serve(&Fake::at(Phase::Serving, None)).await;

    let (status, page) = http.get("/").await;

    assert_eq!(status, 200);
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"), "{page}");
}

#[tokio::test]
async fn a_path_that_is_none_is_not_found_in_rabbitmqs_words() {
    let http = Http::serve(&Fake::at(Phase::Serving, None)).await;

    let expected = r#"{"error":"Object Not Found","reason":"Not Found"}"#;
    assert_eq!(http.get("/nothing").await, (404, expected.to_owned()));
}

#[tokio::test]
async fn another_method_is_not_allowed() {
    let http = Http::serve(&Fake::at(Phase::Serving, None)).await;

    let answer = http.raw("DELETE /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;

    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn one_connection_carries_several_requests() {
    let http = Http::serve(&Fake::at(Phase::Serving, None)).await;
    let first = "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    let second = "GET /health/ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    let answers = http.raw(&format!("{first}{second}")).await;

    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
}

#[tokio::test]
async fn stopping_ends_the_server_though_an_idle_client_stays() {
    let http = Http::serve(&Fake::at(Phase::Serving, None)).await;
    let mut idle = TcpStream::connect(http.address).await.expect("the server listens");
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
    idle.read_u8().await.expect("the request is answered");

    http.stop.cancel();

    http.serving.await.expect("the server ends in order");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_let_go() {
    let http = Http::serve(&Fake::at(Phase::Serving, None)).await;
    let mut silent = TcpStream::connect(http.address).await.expect("the server listens");

    let end = silent.read_u8().await;

    assert!(end.is_err(), "the server closes, having sent nothing");
}

struct Fake {
    health: Mutex<Health>,
    wishes: Mutex<Vec<Wish>>,
}

impl Fake {
    fn at(phase: Phase, obstacle: Option<&str>) -> Arc<Self> {
        let health = Health { phase, obstacle: obstacle.map(str::to_owned) };
        Arc::new(Self { health: Mutex::new(health), wishes: Mutex::default() })
    }

    fn become_(&self, phase: Phase) {
        *self.health.lock().expect("no holder panics") = Health { phase, obstacle: None };
    }
}

impl Node for Fake {
    fn broker(&self) -> Option<warren_broker::Broker> {
        None
    }

    fn facts(&self) -> Facts {
        let identity = Identity { node_name: "n1".to_owned(), ..Identity::default() };
        Facts { identity, secret: "secret".to_owned(), ..Facts::default() }
    }

    fn health(&self) -> Health {
        self.health.lock().expect("no holder panics").clone()
    }

    fn observe(&self) -> Observation {
        Observation {
            identity: Identity::default(),
            clients: Some(ClientTotals { messages_ready: 7, ..ClientTotals::default() }),
            ..Observation::default()
        }
    }

    fn settings(&self) -> Vec<Setting> {
        let setting = |name: &str, value: &str| Setting { name: name.into(), value: value.into() };
        vec![setting("limits.channels", "2047"), setting("name", "\"n\""), setting("odd", "'\\'")]
    }

    fn wish(&self, wish: Wish) -> Answering {
        self.wishes.lock().expect("no holder panics").push(wish);
        Box::pin(async { Ok(()) })
    }
}

fn answer(text: &str) -> (u16, String) {
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("an answer begins with its status"), body.to_owned())
}

struct Http {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Http {
    async fn serve(node: &Arc<Fake>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let stop = CancellationToken::new();
        let server = Server::new(Arc::clone(node));
        let until = stop.clone();
        let serving =
            tokio::spawn(async move { server.serve(listener, Surface::Management, until).await });
        Self { address, stop, serving }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        answer(&self.raw(&request).await)
    }

    /// Asks something about a node, as who knows `secret`.
    async fn ask(&self, method: &str, what: &str, secret: &str) -> (u16, String) {
        self.asked(&format!("{method} /api/warren/nodes/{what}"), secret).await
    }

    async fn asked(&self, what: &str, secret: &str) -> (u16, String) {
        let request = format!(
            "{what} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {secret}\r\n\r\n"
        );
        answer(&self.raw(&request).await)
    }

    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("the server listens");
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the server answers and closes");
        answer
    }
}
