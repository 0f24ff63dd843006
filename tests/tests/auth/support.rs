//! A node that believes an issuer of tokens, and a service that is asked.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use serde_json::{Value, json};
use tempfile::TempDir;
use warren_auth::kit::Issuer;
use warren_tests::http::Client as Http;
use warren_tests::node::{self, Node};
use warren_tests::wire::{Close, Frame, Heard, PATIENCE, Wire};

/// The cluster's name as an audience.
pub const AUDIENCE: &str = "rabbit";

/// A node and whoever makes tokens for it.
pub struct Court {
    pub node: Node,
    pub issuer: Issuer,
    _dir: TempDir,
}

impl Court {
    /// A node that asks `backends`, a TOML value, and is told what else stands in `settings`. None
    /// where another broker is tested.
    pub fn open(backends: &str, settings: &str) -> Option<Self> {
        if node::elsewhere().is_some() {
            return None;
        }
        let dir = TempDir::new().unwrap();
        let (issuer, keys) = (Issuer::new("k"), dir.path().join("keys.json"));
        fs::write(&keys, issuer.jwks()).unwrap();
        let config = dir.path().join("warren.toml");
        let text = format!(
            "auth_backends = {backends}\n[auth_oauth2]\nresource_server_id = \"{AUDIENCE}\"\n\
             jwks_file = '{}'\n{settings}",
            keys.display()
        );
        fs::write(&config, text).unwrap();
        let node = Node::start_with(&["--config", config.to_str().unwrap()]);
        Some(Self { node, issuer, _dir: dir })
    }

    /// A token of `user` with these scopes that is good for so long.
    pub fn token(&self, user: &str, scopes: &str, seconds: u64) -> String {
        self.issuer.token(&claims(user, scopes, now_s() + seconds))
    }

    pub fn amqp(&self) -> SocketAddr {
        self.node.addresses().amqp
    }

    /// Asks over HTTP with a token.
    pub fn http(&self, token: &str) -> Http {
        Http::bearer(self.node.addresses().http, token)
    }

    /// Asks over HTTP as guest.
    pub fn guest(&self) -> Http {
        Http::new(self.node.addresses().http, "guest", "guest")
    }

    /// A connection with a channel, with a token.
    pub fn wire(&self, token: &str) -> Wire {
        let mut wire = Wire::open_as(self.amqp(), "whoever", token).unwrap();
        wire.channel(1).unwrap();
        wire
    }

    /// Why nobody comes in with that password.
    pub fn refusal(&self, user: &str, password: &str) -> String {
        let outcome = Wire::open_as(self.amqp(), user, password);
        format!("{:#}", outcome.expect_err("nobody is let in"))
    }
}

pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn claims(user: &str, scopes: &str, expires_s: u64) -> Value {
    json!({ "sub": user, "aud": AUDIENCE, "scope": scopes, "exp": expires_s })
}

/// What the broker says to something that is sent: `ok`, or why not.
pub fn told(wire: &mut Wire, sent: &[u8]) -> String {
    wire.send(sent).unwrap();
    said(&wire.frame().unwrap())
}

/// What a frame says: `ok` unless it closes something.
pub fn said(frame: &Frame) -> String {
    match Close::of(frame) {
        Some(close) => format!("{} {}", close.code, close.text),
        None => "ok".to_owned(),
    }
}

/// How a connection ends.
pub fn end_of(wire: &mut Wire) -> String {
    loop {
        match wire.hear().unwrap() {
            Heard::Frame(frame) if Close::of(&frame).is_some_and(|close| close.channel == 0) => {
                return said(&frame);
            }
            Heard::Frame(_) => {}
            Heard::End => return "the connection ends without a word".to_owned(),
        }
    }
}

/// What a service is asked: the path and the parameters.
pub type Asked = (String, BTreeMap<String, String>);

/// A service that says who may do what.
pub struct Small {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<Mutex<bool>>,
}

impl Small {
    /// Answers as `decide` says.
    pub fn new(decide: impl Fn(&Asked) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
        let (heard, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if *stopped.lock().unwrap() {
                    return;
                }
                let Ok(mut stream) = stream else { return };
                let Some(question) = read(&mut stream) else { continue };
                let body = decide(&question);
                heard.lock().unwrap().push(question);
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        Self { port, asked, stop }
    }

    /// What a node has to be told to ask it.
    pub fn settings(&self) -> String {
        let paths = ["user", "vhost", "resource", "topic"];
        let lines = paths
            .map(|path| format!("{path}_path = \"http://127.0.0.1:{}/auth/{path}\"\n", self.port));
        format!("[auth_http]\n{}", lines.concat())
    }

    /// How often it was asked at this path.
    pub fn count(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(known, _)| known == path).count()
    }

    /// Answers nobody from here on.
    pub fn stop(&self) {
        *self.stop.lock().unwrap() = true;
        // It looks when somebody comes.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut bytes = vec![0; 64 * 1024];
    let mut length = 0;
    while !bytes[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        let more = stream.read(&mut bytes[length..]).ok().filter(|more| *more > 0)?;
        length += more;
    }
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    let (path, query) = text.split(' ').nth(1)?.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), decoded(value)));
    Some((path.to_owned(), pairs.collect()))
}

fn decoded(text: &str) -> String {
    text.replace('+', " ").replace("%2F", "/").replace("%2E", ".")
}

/// Waits until something holds.
pub fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < until, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
