//! A node that gives prepared answers.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What a node says to a request for something it does not have.
const NOT_FOUND: &str = r#"{"error":"Object Not Found","reason":"Not Found"}"#;

/// A node that answers `METHOD /path`, without the query, as it was told to.
pub(crate) struct Fake {
    pub(crate) url: String,
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `METHOD /path?query`.
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Fake {
    /// A node with those answers: what is asked, the status, and the body.
    pub(crate) fn answering(answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let answers: BTreeMap<String, (u16, String)> = answers
            .iter()
            .map(|(line, status, body)| ((*line).to_owned(), (*status, (*body).to_owned())))
            .collect();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let thread = thread::spawn(move || {
            // A connection without a request ends it.
            while serve(&listener, &answers, &seen).is_some() {}
        });
        Self { url: format!("http://{address}"), address, requests, thread: Some(thread) }
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.requests.lock().expect("nobody panics with it").clone()
    }

    /// All that was asked to be changed, with its body.
    pub(crate) fn changes(&self) -> Vec<String> {
        let asked = self.asked().into_iter().filter(|request| !request.line.starts_with("GET"));
        asked.map(|Request { line, body, .. }| format!("{line} {body}").trim().to_owned()).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it serves without panic");
        }
    }
}

fn serve(
    listener: &TcpListener,
    answers: &BTreeMap<String, (u16, String)>,
    seen: &Mutex<Vec<Request>>,
) -> Option<()> {
    let (mut stream, _) = listener.accept().expect("a client comes");
    let request = read(&mut stream)?;
    let line = request.line.split('?').next().expect("there is a first part").to_owned();
    // Noted before it is answered: who has the answer finds the question here.
    seen.lock().expect("nobody panics with it").push(request);
    let (status, body) = match answers.get(&line) {
        Some((status, body)) => (*status, body.as_str()),
        None => (404, NOT_FOUND),
    };
    // One chunk, as servers send what they do not know the length of.
    let answer = if body.is_empty() {
        format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")
    } else {
        let bytes = body.len();
        format!(
            "HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{body}\r\n0\r\n\r\n"
        )
    };
    stream.write_all(answer.as_bytes()).expect("the client reads");
    Some(())
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).expect("the client writes") == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("requests are text");
    let (first, headers) = head.split_once("\r\n").expect("there is a first line");
    let length = headers.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.map_or(0, |length| length.parse().expect("a length is a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the body is whole");
    let line = first.strip_suffix(" HTTP/1.1").expect("it is HTTP/1.1").to_owned();
    let body = String::from_utf8(body).expect("bodies are text");
    Some(Request { line, headers: headers.to_owned(), body })
}
