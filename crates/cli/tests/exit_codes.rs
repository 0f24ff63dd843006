//! What the program prints, and how it ends.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};

#[test]
fn no_command_is_a_usage_error() {
    let output = warrenctl(&[]);

    assert_eq!(output.status.code(), Some(64));
    assert!(output.stdout.is_empty());
    assert!(!output.stderr.is_empty());
}

#[test]
fn help_is_no_error() {
    let output = warrenctl(&["--help"]);

    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_url_that_is_none_is_a_usage_error() {
    assert_eq!(warrenctl(&["ping", "--url", "https://a"]).status.code(), Some(64));
}

#[test]
fn a_node_that_is_not_there_is_unavailable_and_said_on_stderr() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    drop(listener);

    let output = warrenctl(&["ping", "--url", &format!("http://{address}")]);

    assert_eq!(output.status.code(), Some(69));
    assert!(output.stdout.is_empty());
    assert!(output.stderr.starts_with(b"Error: the node at "));
}

#[test]
fn a_node_that_answers_is_a_success_and_said_on_stdout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    let node = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the tool connects");
        let answer = b"HTTP/1.0 200 OK\r\n\r\n{\"status\":\"ok\"}";
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the request has an end");
            request.push(byte[0]);
        }
        stream.write_all(answer).expect("the tool reads");
    });

    let output = warrenctl(&["ping", "--format", "json", "--url", &format!("http://{address}")]);

    node.join().expect("the node was asked");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"[{\"check\":\"alive\",\"ok\":true}]\n");
    assert!(output.stderr.is_empty());
}

fn warrenctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_warrenctl"))
        .args(arguments)
        .env_remove("WARRENCTL_URL")
        .output()
        .expect("the program runs")
}
