//! As much HTTP as it takes to ask a node's management API.
//!
//! One request per connection and HTTP/1.0, which knows no chunks, so that the end of an answer is
//! the end of its connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Somebody who asks one node.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    limit: Duration,
    /// The value of the header that says who it is; none says nothing.
    authorization: Option<String>,
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Client {
    /// Asks the node at `address` as `user`.
    pub fn new(address: SocketAddr, user: &str, password: &str) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        Self { authorization: Some(format!("Basic {credentials}")), ..Self::nobody(address) }
    }

    /// Asks the node at `address` without a word about who it is.
    pub fn nobody(address: SocketAddr) -> Self {
        Self { address, limit: LIMIT, authorization: None }
    }

    /// Asks the node at `address` as the bearer of `secret`.
    pub fn bearer(address: SocketAddr, secret: &str) -> Self {
        Self { authorization: Some(format!("Bearer {secret}")), ..Self::nobody(address) }
    }

    /// The same, with another limit for each answer.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Asks, with a body or an empty one.
    ///
    /// # Panics
    ///
    /// If nobody answers, or with something that is not HTTP.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.try_ask(method, path, body).expect("the node answers over HTTP")
    }

    /// The value at `path`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn value(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// The body at `path`.
    ///
    /// # Errors
    ///
    /// When there is none, or nobody answers in time.
    pub fn body(&self, path: &str) -> Result<String> {
        let answer = self.try_ask("GET", path, "")?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// As [`Client::ask`], where it may be that nobody answers.
    ///
    /// # Errors
    ///
    /// When nobody answers, or with something that is not HTTP.
    pub fn try_ask(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let mut stream =
            TcpStream::connect_timeout(&self.address, self.limit).context("cannot connect")?;
        stream.set_read_timeout(Some(self.limit))?;
        let authorization =
            self.authorization.as_ref().map(|value| format!("authorization: {value}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: {}\r\n{}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            authorization.unwrap_or_default(),
            body.len(),
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Answer::parse(&String::from_utf8(answer)?)
    }
}

impl Answer {
    fn parse(text: &str) -> Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").context("an answer has a head")?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("a status")?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        Ok(Self {
            status: status.parse()?,
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.into())).collect(),
            body: body.to_owned(),
        })
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}
