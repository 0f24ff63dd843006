//! Tests of `node`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);
const OK: &str = "HTTP/1.0 200 OK\r\n\r\n{\"status\":\"ok\"}";
const FAILED: &str =
    "HTTP/1.0 503 Service Unavailable\r\n\r\n{\"status\":\"failed\",\"reason\":\"it drains\"}";

#[test]
fn a_node_that_answers_is_alive() {
    let node = Fake::answering(&[OK]);

    let report = ping(&node.url, TIMEOUT).expect("the node answers");

    assert!(report.well);
    assert_eq!(report.show(Format::Table), "check\tok\treason\nalive\ttrue\t");
    assert_eq!(report.show(Format::Json), r#"[{"check":"alive","ok":true}]"#);
    assert_eq!(node.asked(), ["/health/live"]);
}

#[test]
fn a_node_that_is_not_ready_says_why_and_is_not_well() {
    let node = Fake::answering(&[OK, OK, FAILED]);

    let report = status(&node.url, TIMEOUT).expect("the node answers");

    assert!(!report.well);
    assert_eq!(
        report.show(Format::Table),
        "check\tok\treason\nalive\ttrue\t\nstarted\ttrue\t\nready\tfalse\tit drains"
    );
    assert_eq!(
        report.show(Format::Json),
        r#"[{"check":"alive","ok":true},{"check":"started","ok":true},{"check":"ready","ok":false,"reason":"it drains"}]"#
    );
    assert_eq!(node.asked(), ["/health/live", "/health/startup", "/health/ready"]);
}

#[test]
fn nobody_there_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    drop(listener);

    let failure = ping(&format!("http://{address}"), TIMEOUT).expect_err("nobody listens");

    assert!(matches!(failure, Failure::Unreachable { .. }), "{failure}");
}

#[test]
fn a_node_that_does_not_answer_in_time_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");

    let failure = ping(&format!("http://{address}"), Duration::from_millis(50));

    let failure = failure.expect_err("nobody answers");
    assert!(failure.to_string().ends_with("no answer in time"), "{failure}");
}

#[test]
fn somebody_else_there_is_a_failure() {
    let answers = [
        "SSH-2.0-x\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\n\r\n<html>",
        "HTTP/1.0 200 OK\r\n\r\n{\"status\":\"failed\"}",
    ];

    for answer in answers {
        let node = Fake::answering(&[answer]);
        let failure = ping(&node.url, TIMEOUT).expect_err("no node answers so");
        assert!(matches!(failure, Failure::Senseless { .. }), "{answer}: {failure}");
    }
}

struct Fake {
    url: String,
    thread: JoinHandle<Vec<String>>,
}

impl Fake {
    /// Gives each of `answers` to one connection.
    fn answering(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let thread =
            thread::spawn(move || answers.iter().map(|answer| serve(&listener, answer)).collect());
        Self { url: format!("http://{address}"), thread }
    }

    /// The paths that were asked for.
    fn asked(self) -> Vec<String> {
        self.thread.join().expect("all answers were given")
    }
}

fn serve(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().expect("a client comes");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the request has an end");
        request.push(byte[0]);
    }
    stream.write_all(answer.as_bytes()).expect("the client reads");
    let request = String::from_utf8(request).expect("requests are text");
    request.split(' ').nth(1).expect("a request names a path").to_owned()
}
