//! As much HTTP as it takes to ask a node's management API.
//!
//! One request per connection, so that the end of an answer is the end of its connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Somebody who asks one node.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
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
        let credentials = base64(format!("{user}:{password}").as_bytes());
        Self { address, authorization: Some(format!("Basic {credentials}")) }
    }

    /// Asks the node at `address` without a word about who it is.
    pub fn nobody(address: SocketAddr) -> Self {
        Self { address, authorization: None }
    }

    /// Asks the node at `address` as the bearer of `secret`.
    pub fn bearer(address: SocketAddr, secret: &str) -> Self {
        Self { address, authorization: Some(format!("Bearer {secret}")) }
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

    fn try_ask(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.address).context("connecting")?;
        stream.set_read_timeout(Some(LIMIT))?;
        let authorization =
            self.authorization.as_ref().map(|value| format!("authorization: {value}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{}\
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

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_in_the_rfc() {
        let encoded = [b"".as_slice(), b"f", b"fo", b"foo", b"foob"].map(base64);

        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
